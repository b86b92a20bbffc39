"""Layers, losses and optimizers of every kind, written from the guide alone, that keep all laws."""

from __future__ import annotations

import math

import numpy as np

import tinynn as nn


class Square(nn.Layer):
    """y = x²."""

    def forward(self, x):
        self.saved.push(x)
        return x * x

    def backward(self, grad):
        return 2 * self.saved.pop() * grad


class Scale(nn.Layer):
    """y = w x + b for each feature."""

    def __init__(self, features=3, *, rng=None):
        self.weight = nn.Parameter(np.zeros(features))
        self.bias = nn.Parameter(np.zeros(features))
        self.draw_parameters(np.random.default_rng() if rng is None else rng)

    def draw_parameters(self, rng):
        self.weight.data = rng.normal(size=self.weight.shape)
        self.bias.data = rng.normal(size=self.bias.shape)

    def forward(self, x):
        self.saved.push(x)
        return self.weight.data * x + self.bias.data

    def backward(self, grad):
        x = self.saved.pop()
        self.weight.add_grad((grad * x).sum(axis=0))
        self.bias.grad += grad.sum(axis=0)
        return grad * self.weight.data


class Softmax(nn.Layer):
    """yᵢ = exp(xᵢ) / Σⱼ exp(xⱼ) along the last axis."""

    def forward(self, x):
        e = np.exp(x - x.max(axis=-1, keepdims=True))
        y = e / e.sum(axis=-1, keepdims=True)
        self.saved.push(y)
        return y

    def backward(self, grad):
        y = self.saved.pop()
        return y * (grad - (y * grad).sum(axis=-1, keepdims=True))


class Dropout(nn.Layer):
    """y = x m / (1 - p) with m drawn anew in every forward in training mode."""

    def __init__(self, p=0.5, *, rng=None):
        self.p = p
        self.rng = np.random.default_rng() if rng is None else rng

    def forward(self, x):
        if not self.training:
            self.saved.push(None)
            return x
        mask = (self.rng.random(x.shape) >= self.p).astype(x.dtype) / (1 - self.p)
        self.saved.push(mask)
        return x * mask

    def backward(self, grad):
        mask = self.saved.pop()
        return grad if mask is None else grad * mask

    def extra_repr(self):
        return f"p={self.p}"


class BatchNorm1d(nn.Layer):
    """y = w (x - mean) / √(var + eps) + b, with the statistics of the batch, or the running ones in evaluation mode."""

    def __init__(self, features, eps=1e-5, momentum=0.1):
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(np.ones(features))
        self.bias = nn.Parameter(np.zeros(features))
        self.running_mean = nn.Buffer(np.zeros(features))
        self.running_var = nn.Buffer(np.ones(features))
        self.num_batches_tracked = nn.Buffer(0)

    def draw_parameters(self, rng):
        self.weight.data = np.ones(self.weight.shape)
        self.bias.data = np.zeros(self.bias.shape)
        self.running_mean.data = np.zeros(self.weight.shape)
        self.running_var.data = np.ones(self.weight.shape)
        self.num_batches_tracked.data = 0

    def forward(self, x):
        mean, var = self.running_mean.data, self.running_var.data
        if self.training:
            mean, n = x.mean(axis=0), len(x)
            var = ((x - mean) ** 2).mean(axis=0)
            self.running_mean.data = (1 - self.momentum) * self.running_mean.data + self.momentum * mean
            unbiased = var * (n / max(n - 1, 1))
            self.running_var.data = (1 - self.momentum) * self.running_var.data + self.momentum * unbiased
            self.num_batches_tracked.data = self.num_batches_tracked.data + 1
        scale = 1 / np.sqrt(var + self.eps)
        normal = (x - mean) * scale
        self.saved.push((normal, scale, self.training))
        return normal * self.weight.data + self.bias.data

    def backward(self, grad):
        normal, scale, training = self.saved.pop()
        self.weight.add_grad((grad * normal).sum(axis=0))
        self.bias.add_grad(grad.sum(axis=0))
        grad = grad * self.weight.data
        if training:
            grad = grad - grad.mean(axis=0) - normal * (grad * normal).mean(axis=0)
        return grad * scale


class Embedding(nn.Layer):
    """y = W[i]: a row for each index."""

    takes_integers = True

    def __init__(self, count, features, *, rng=None):
        self.weight = nn.Parameter((np.random.default_rng() if rng is None else rng).normal(size=(count, features)))

    def draw_parameters(self, rng):
        self.weight.data = rng.normal(size=self.weight.shape)

    def forward(self, indices):
        self.saved.push(indices)
        return self.weight.data[indices]

    def backward(self, grad):
        total = np.zeros_like(self.weight.data)
        np.add.at(total, self.saved.pop(), grad)
        self.weight.add_grad(total)


class Bilinear(nn.Layer):
    """yₖ = Σᵢⱼ aᵢ Wₖᵢⱼ bⱼ, of two inputs."""

    def __init__(self, m, n, out, *, rng=None, dtype=None):
        rng = np.random.default_rng() if rng is None else rng
        self.weight = nn.Parameter(rng.normal(size=(out, m, n)), dtype=dtype)

    def forward(self, a, b):
        self.saved.push((a, b))
        return np.einsum("...i,kij,...j->...k", a, self.weight.data, b)

    def backward(self, grad):
        a, b = self.saved.pop()
        self.weight.add_grad(np.einsum("nk,ni,nj->kij", grad, a, b))
        at_a = np.einsum("...k,kij,...j->...i", grad, self.weight.data, b)
        return at_a, np.einsum("...k,kij,...i->...j", grad, self.weight.data, a)


class SumAndProduct(nn.Layer):
    """(x + y, x y): two inputs, two outputs."""

    def forward(self, x, y):
        self.saved.push((x, y))
        return x + y, x * y

    def backward(self, at_sum, at_product):
        x, y = self.saved.pop()
        return at_sum + y * at_product, at_sum + x * at_product


class Centred(nn.Layer):
    """y = x minus the mean of the batch, always."""

    def forward(self, x):
        return x - x.mean(axis=0)

    def backward(self, grad):
        return grad - grad.mean(axis=0)


class Gated(nn.Layer):
    """y = f(x) ⊙ g(x): a container of layers, some of them not tinynn's own."""

    def __init__(self, *, rng=None):
        rng = np.random.default_rng() if rng is None else rng
        self.value = nn.Sequential(Scale(rng=rng), Square(), Dropout(0.4, rng=rng))
        self.gates = [nn.Linear(3, 3, rng=rng), nn.Sigmoid()]

    def forward(self, x):
        value, gate = self.value(x), self.gates[1](self.gates[0](x))
        self.saved.push((value, gate))
        return value * gate

    def backward(self, grad):
        value, gate = self.saved.pop()
        at_gate = self.gates[0].backward(self.gates[1].backward(grad * value))
        return self.value.backward(grad * gate) + at_gate


def reduced(loss, losses):
    """Return what the reduction of a loss makes of its numbers, and their common factor."""
    return loss.reduce(losses), loss.share(losses)


class L1Loss(nn.Loss):
    """|a - a*|."""

    def forward(self, prediction, target):
        if prediction.shape != target.shape:
            raise self.wrong_shape(prediction, target)
        error = prediction - target.astype(prediction.dtype)
        loss, share = reduced(self, np.abs(error))
        self.saved.push((np.sign(error), share))
        return loss

    def backward(self, grad=None):
        return self.times(*self.saved.pop(), grad)


class TripletMarginLoss(nn.Loss):
    """max(‖a - p‖² - ‖a - n‖² + margin, 0), of anchor, positive and negative, all of which have a gradient."""

    def __init__(self, margin=1.0, *, reduction="mean"):
        super().__init__(reduction=reduction)
        self.margin = margin

    def forward(self, anchor, positive, negative):
        for other in (positive, negative):
            if anchor.shape != other.shape:
                raise self.wrong_shape(anchor, other)
        near, far = anchor - positive.astype(anchor.dtype), anchor - negative.astype(anchor.dtype)
        losses = np.maximum((near**2).sum(axis=-1) - (far**2).sum(axis=-1) + self.margin, 0)
        loss, share = reduced(self, losses)
        self.saved.push((near, far, losses > 0, share))
        return loss

    def backward(self, grad=None):
        near, far, active, share = self.saved.pop()
        factor = np.asarray(share * active * (1.0 if grad is None else grad), near.dtype)[..., np.newaxis]
        return 2 * factor * (near - far), -2 * factor * near, 2 * factor * far


class CosineEmbeddingLoss(nn.Loss):
    """1 - cos(x₁, x₂) where the target is 1, max(cos(x₁, x₂), 0) where it is -1; x₁ and x₂ have gradients."""

    def forward(self, x1, x2, target):
        if x1.shape != x2.shape:
            raise self.wrong_shape(x1, x2)
        if target.shape != x1.shape[:-1]:
            raise self.wrong_shape(x1[..., 0], target)
        x2, same = x2.astype(x1.dtype), target > 0
        size1, size2 = (np.sqrt((x * x).sum(axis=-1, keepdims=True)) for x in (x1, x2))
        unit1, unit2 = x1 / size1, x2 / size2
        cosine = (unit1 * unit2).sum(axis=-1)
        losses = np.where(same, 1 - cosine, np.maximum(cosine, 0))
        slope = np.where(same, -1, np.where(cosine > 0, 1, 0)).astype(x1.dtype)
        loss, share = reduced(self, losses)
        self.saved.push((unit1, unit2, size1, size2, cosine[..., np.newaxis], share * slope))
        return loss

    def backward(self, grad=None):
        unit1, unit2, size1, size2, cosine, slope = self.saved.pop()
        slope = np.asarray(slope if grad is None else slope * grad, unit1.dtype)[..., np.newaxis]
        return slope * (unit2 - cosine * unit1) / size1, slope * (unit1 - cosine * unit2) / size2, None


class GaussianNLLLoss(nn.Loss):
    """½ (log var + (a - a*)² / var); a and var have gradients, the target in between has none."""

    def forward(self, prediction, target, var):
        for other in (target, var):
            if prediction.shape != other.shape:
                raise self.wrong_shape(prediction, other)
        error, var = prediction - target.astype(prediction.dtype), var.astype(prediction.dtype)
        loss, share = reduced(self, 0.5 * (np.log(var) + error * error / var))
        self.saved.push((error, var, share))
        return loss

    def backward(self, grad=None):
        error, var, share = self.saved.pop()
        at_prediction, at_var = error / var, 0.5 * (1 - error * error / var) / var
        return self.times(at_prediction, share, grad), None, self.times(at_var, share, grad)


class WeightedSquare(nn.Loss):
    """w (a - a*)² with a weight for each sample; the mean is over the weights."""

    def forward(self, prediction, target, weight):
        if prediction.shape != target.shape:
            raise self.wrong_shape(prediction, target)
        if weight.shape != prediction.shape:
            raise self.wrong_shape(prediction, weight)
        weight = weight.astype(prediction.dtype)
        error = prediction - target.astype(prediction.dtype)
        losses = weight * error**2
        self.share(losses)
        share = 1 / weight.sum() if self.reduction == "mean" else 1.0
        self.saved.push((2 * weight * error, share))
        return losses if self.reduction == "none" else losses.sum() * share

    def backward(self, grad=None):
        return self.times(*self.saved.pop(), grad)


class Adam(nn.Optimizer):
    """Adam, from the paper."""

    state_arrays = ("first", "second")
    state_numbers = ("step",)

    def __init__(self, params, lr=1e-2, beta1=0.9, beta2=0.99, eps=1e-8, maximize=False):
        super().__init__(params, lr=lr, beta1=beta1, beta2=beta2, eps=eps, maximize=maximize)

    def check(self, options):
        if not 0 < options["lr"] < math.inf:
            raise ValueError(f"Adam expects a finite lr > 0, got {options['lr']}")
        return dict(options)

    def update(self, grad, state, step, options):
        t = state["step"] = state.get("step", 0) + 1
        first, second = (state.setdefault(name, np.zeros_like(grad)) for name in ("first", "second"))
        first += (1 - options.beta1) * (grad - first)
        second += (1 - options.beta2) * (grad * grad - second)
        size = np.sqrt(second / (1 - options.beta2**t)) + options.eps
        step[...] = options.lr / (1 - options.beta1**t) * first / size


def adam(data, grads, lr=1e-2, beta1=0.9, beta2=0.99, eps=1e-8):
    """Return the array after each step, as the paper has it."""
    m = v = 0
    steps = []
    for t, g in enumerate(grads, start=1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        data = data - lr * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps)
        steps.append(data)
    return steps


def no_descent(data, grads, lr=0.1):
    """A closed form: the sum of all gradients so far."""
    return data - lr * np.cumsum(grads, axis=0)
