"""Layers and losses whose forward is right and whose backward has one plausible slip, and sound ones beside them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

import tinynn as nn


@dataclass(frozen=True)
class Broken:
    """A layer or loss with one mistake in its backward: where it is, which word names it, and what it is."""

    name: str
    make: Callable[[], nn.Layer]
    inputs: tuple[np.ndarray, ...]
    where: str
    diagnosis: str
    why: str


@dataclass(frozen=True)
class Sound:
    """A layer or loss without a mistake."""

    name: str
    make: Callable[[], nn.Layer]
    inputs: tuple[np.ndarray, ...]


def normal(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def uniform(low, high, *shape, seed=0):
    return np.random.default_rng([seed, *shape]).uniform(low, high, shape)


def labels(samples, classes, seed=0):
    return np.random.default_rng([seed, samples, classes]).integers(classes, size=samples)


def one_hot(samples, classes, seed=0):
    return np.eye(classes)[labels(samples, classes, seed)]


def linear(inputs, outputs):
    return nn.Linear(inputs, outputs, rng=np.random.default_rng(7))


def logistic(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def log_softmax(x):
    z = x - x.max(axis=-1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))


# Sound layers


class Square(nn.Layer):
    """y = x², dy/dx = 2x."""

    def forward(self, x):
        self.saved.push(x)
        return x * x

    def backward(self, grad):
        return 2 * self.saved.pop() * grad


class Logistic(nn.Layer):
    """y = 1 / (1 + exp(-x)), dy/dx = y (1 - y)."""

    def forward(self, x):
        y = logistic(x)
        self.saved.push(y)
        return y

    def backward(self, grad):
        y = self.saved.pop()
        return grad * y * (1 - y)


class LogisticSlope(nn.Layer):
    """y = σ(βx), dy/dx = β y (1 - y)."""

    def __init__(self, beta):
        self.beta = beta

    def forward(self, x):
        y = logistic(self.beta * x)
        self.saved.push(y)
        return y

    def backward(self, grad):
        y = self.saved.pop()
        return self.beta * grad * y * (1 - y)


class Dense(nn.Layer):
    """y = x Wᵀ + b, dL/dW = gradᵀ x, dL/db = Σ grad, dL/dx = grad W."""

    def __init__(self, inputs, outputs):
        self.weight = nn.Parameter(normal(outputs, inputs, seed=11))
        self.bias = nn.Parameter(normal(outputs, seed=12))

    def forward(self, x):
        self.saved.push(x)
        return x @ self.weight.data.T + self.bias.data

    def backward(self, grad):
        x = self.saved.pop()
        self.weight.add_grad(grad.T @ x)
        self.bias.add_grad(grad.sum(axis=0))
        return grad @ self.weight.data


class Affine(nn.Layer):
    """y = w · x + b for each feature, dL/dw = Σ grad · x, dL/db = Σ grad, dL/dx = w · grad."""

    def __init__(self, features):
        self.weight = nn.Parameter(normal(features, seed=13))
        self.bias = nn.Parameter(normal(features, seed=14))

    def forward(self, x):
        self.saved.push(x)
        return self.weight.data * x + self.bias.data

    def backward(self, grad):
        x = self.saved.pop()
        self.weight.add_grad((grad * x).sum(axis=0))
        self.bias.add_grad(grad.sum(axis=0))
        return self.weight.data * grad


class TokenDense(nn.Layer):
    """y = x Wᵀ for every sample and every place, dL/dW = Σ Σ grad xᵀ."""

    def __init__(self, inputs, outputs):
        self.weight = nn.Parameter(normal(outputs, inputs, seed=15))

    def forward(self, x):
        self.saved.push(x)
        return x @ self.weight.data.T

    def backward(self, grad):
        x = self.saved.pop()
        self.weight.add_grad(np.einsum("nto,nti->oi", grad, x))
        return grad @ self.weight.data


class Bilinear(nn.Layer):
    """y = aᵀ W b for each sample, dL/dW = Σ grad a bᵀ."""

    def __init__(self, left, right):
        self.weight = nn.Parameter(normal(left, right, seed=16))

    def forward(self, a, b):
        self.saved.push((a, b))
        return np.einsum("ni,ij,nj->n", a, self.weight.data, b)

    def backward(self, grad):
        a, b = self.saved.pop()
        self.weight.add_grad(np.einsum("n,ni,nj->ij", grad, a, b))
        at_a = grad[:, None] * (b @ self.weight.data.T)
        return at_a, grad[:, None] * (a @ self.weight.data)


class Scores(nn.Layer):
    """y = q kᵀ / √d, dL/dq = grad k / √d, dL/dk = gradᵀ q / √d."""

    def forward(self, q, k):
        self.saved.push((q, k))
        return q @ k.T / math.sqrt(q.shape[1])

    def backward(self, grad):
        q, k = self.saved.pop()
        scale = 1 / math.sqrt(q.shape[1])
        return scale * grad @ k, scale * grad.T @ q


class Lookup(nn.Layer):
    """y = table[x], dL/dtable[i] = Σ grad where x = i."""

    takes_integers = True

    def __init__(self, rows, features):
        self.table = nn.Parameter(normal(rows, features, seed=17))

    def forward(self, x):
        self.saved.push(x)
        return self.table.data[x]

    def backward(self, grad):
        x = self.saved.pop()
        np.add.at(self.table.grad, x, grad)
        return np.zeros(x.shape)


class Softmax(nn.Layer):
    """y = exp(x) / Σ exp(x), dL/dx = y · (grad - Σ grad · y)."""

    def forward(self, x):
        y = softmax(x)
        self.saved.push(y)
        return y

    def backward(self, grad):
        y = self.saved.pop()
        return y * (grad - (grad * y).sum(axis=-1, keepdims=True))


class LayerNorm(nn.Layer):
    """y = (x - mean) / √(var + ε) in each row, dL/dx = (grad - mean(grad) - y mean(grad · y)) / √(var + ε)."""

    axis = -1

    def forward(self, x):
        centred = x - x.mean(axis=self.axis, keepdims=True)
        std = np.sqrt((centred * centred).mean(axis=self.axis, keepdims=True) + 1e-5)
        self.saved.push((centred / std, std))
        return centred / std

    def backward(self, grad):
        y, std = self.saved.pop()
        mean = grad.mean(axis=self.axis, keepdims=True)
        return (grad - mean - y * (grad * y).mean(axis=self.axis, keepdims=True)) / std


class BatchStandard(LayerNorm):
    """y = (x - mean) / √(var + ε) in each column, over the batch."""

    axis = 0


class BatchNorm(nn.Layer):
    """y = w (x - m) / √(v + ε) + b, with m and v of the batch in training, the running ones in evaluation."""

    def __init__(self, features):
        self.weight = nn.Parameter(uniform(0.5, 1.5, features, seed=18))
        self.bias = nn.Parameter(normal(features, seed=19))
        self.mean = nn.Buffer(normal(features, seed=20))
        self.var = nn.Buffer(uniform(0.5, 3.0, features, seed=21))

    def statistics(self, x):
        if not self.training:
            return self.mean.data, self.var.data
        mean = x.mean(axis=0)
        var = ((x - mean) ** 2).mean(axis=0)
        self.mean.data = 0.9 * self.mean.data + 0.1 * mean
        self.var.data = 0.9 * self.var.data + 0.1 * var
        return mean, var

    def forward(self, x):
        mean, var = self.statistics(x)
        std = np.sqrt(var + 1e-5)
        self.saved.push(((x - mean) / std, std))
        return self.weight.data * (x - mean) / std + self.bias.data

    def backward(self, grad):
        normed, std = self.saved.pop()
        self.weight.add_grad((grad * normed).sum(axis=0))
        self.bias.add_grad(grad.sum(axis=0))
        at_normed = grad * self.weight.data
        if not self.training:
            return at_normed / std
        return (at_normed - at_normed.mean(axis=0) - normed * (at_normed * normed).mean(axis=0)) / std


class ELU(nn.Layer):
    """y = x where x > 0, α (exp(x) - 1) elsewhere; dy/dx = 1 or y + α."""

    def __init__(self, alpha=1.0):
        self.alpha = alpha

    def forward(self, x):
        y = np.where(x > 0, x, self.alpha * (np.exp(np.minimum(x, 0)) - 1))
        self.saved.push(y)
        return y

    def backward(self, grad):
        y = self.saved.pop()
        return grad * np.where(y > 0, 1.0, y + self.alpha)


class LeakyReLU(nn.Layer):
    """y = x where x > 0, s x elsewhere; dy/dx = 1 or s."""

    def __init__(self, slope):
        self.slope = slope

    def forward(self, x):
        self.saved.push(x > 0)
        return np.where(x > 0, x, self.slope * x)

    def backward(self, grad):
        return grad * np.where(self.saved.pop(), 1.0, self.slope)


class RowMax(nn.Layer):
    """y = max x in each row; the gradient goes to the place of the maximum."""

    def forward(self, x):
        place = x.argmax(axis=1)
        self.saved.push((place, x.shape))
        return x[np.arange(len(x)), place]

    def backward(self, grad):
        place, shape = self.saved.pop()
        at_x = np.zeros(shape)
        at_x[np.arange(len(grad)), place] = grad
        return at_x


class GELU(nn.Layer):
    """y = ½ x (1 + tanh(u)), u = √(2/π) (x + 0.044715 x³)."""

    cubic = 0.044715

    def forward(self, x):
        self.saved.push(x)
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))

    def backward(self, grad):
        x = self.saved.pop()
        scale = math.sqrt(2 / math.pi)
        t = np.tanh(scale * (x + 0.044715 * x**3))
        return grad * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * scale * (1 + 3 * self.cubic * x * x))


class Gated(nn.Layer):
    """y = f(x) · σ(g(x)), dL/dx = f'(grad · gate) + g'(grad · value · gate · (1 - gate))."""

    def __init__(self, value, gate):
        self.value, self.gate = value, gate

    def forward(self, x):
        value, gate = self.value(x), logistic(self.gate(x))
        self.saved.push((value, gate))
        return value * gate

    def backward(self, grad):
        value, gate = self.saved.pop()
        at_gate = self.gate.backward(grad * value * gate * (1 - gate))
        return at_gate + self.value.backward(grad * gate)


class Recurrent(nn.Layer):
    """h_t = tanh(x_t + h_(t-1) Wᵀ), y = the last h; dL/dW sums over all steps."""

    def __init__(self, features):
        self.weight = nn.Parameter(0.5 * normal(features, features, seed=22))

    def forward(self, x):
        states = [np.zeros_like(x[:, 0])]
        for t in range(x.shape[1]):
            states.append(np.tanh(x[:, t] + states[-1] @ self.weight.data.T))
        self.saved.push(states)
        return states[-1]

    def backward(self, grad):
        states = self.saved.pop()
        at_x = []
        for before, after in reversed(list(pairwise(states))):
            at_sum = grad * (1 - after * after)
            self.weight.add_grad(at_sum.T @ before)
            grad = at_sum @ self.weight.data
            at_x.append(at_sum)
        return np.stack(at_x[::-1], axis=1)


class TiedAutoencoder(nn.Layer):
    """y = tanh(x W) Wᵀ; dL/dW has a term from each of the two uses of W."""

    def __init__(self, features, hidden):
        self.weight = nn.Parameter(0.5 * normal(features, hidden, seed=23))

    def forward(self, x):
        h = np.tanh(x @ self.weight.data)
        self.saved.push((x, h))
        return h @ self.weight.data.T

    def backward(self, grad):
        x, h = self.saved.pop()
        at_z = grad @ self.weight.data * (1 - h * h)
        self.weight.add_grad(grad.T @ h + x.T @ at_z)
        return at_z @ self.weight.data.T


class Correlation(nn.Layer):
    """y_i = Σ_k w_k x_(i+k), dL/dx_j = Σ_k w_k grad_(j-k), dL/dw_k = Σ grad_i x_(i+k)."""

    def __init__(self, taps):
        self.weight = nn.Parameter(normal(taps, seed=24))

    def forward(self, x):
        self.saved.push(x)
        length = x.shape[1] - len(self.weight.data) + 1
        return sum(w * x[:, k : k + length] for k, w in enumerate(self.weight.data))

    def backward(self, grad):
        x = self.saved.pop()
        at_x = np.zeros(x.shape)
        length = grad.shape[1]
        for k, w in enumerate(self.weight.data):
            at_x[:, k : k + length] += w * grad
            self.weight.grad[k] += (grad * x[:, k : k + length]).sum()
        return at_x


class Dropout(nn.Layer):
    """y = mask · x / (1 - p) in training; dL/dx = mask · grad / (1 - p)."""

    def __init__(self, p):
        self.p = p
        self.rng = np.random.default_rng(25)

    def forward(self, x):
        scale = (self.rng.random(x.shape) >= self.p) / (1 - self.p)
        self.saved.push(scale)
        return x * scale

    def backward(self, grad):
        return grad * self.saved.pop()


# Sound losses


class SquaredError(nn.Loss):
    """L = mean or sum of (p - t)², dL/dp = 2 (p - t) times the share."""

    def forward(self, prediction, target):
        error = prediction - target
        self.saved.push((error, self.share(error)))
        return self.reduce(error * error)

    def backward(self, grad=None):
        error, share = self.saved.pop()
        return self.times(2 * error, share, grad)


class CrossEntropy(nn.Loss):
    """L = Σ w_t (-log softmax(z/T))_t / Σ w_t, dL/dz = w_t (softmax(z/T) - one-hot) / (T Σ w_t)."""

    def __init__(self, temperature=1.0, weights=None):
        super().__init__()
        self.temperature = temperature
        self.weights = weights

    def weights_of(self, target, classes):
        return (np.ones(classes) if self.weights is None else np.asarray(self.weights))[target]

    def forward(self, prediction, target):
        z = prediction / self.temperature
        weights = self.weights_of(target, z.shape[1])
        self.saved.push((z, target, weights))
        return -(weights * log_softmax(z)[np.arange(len(z)), target]).sum() / weights.sum()

    def difference(self, z, target):
        p = softmax(z)
        p[np.arange(len(z)), target] -= 1
        return p

    def backward(self, grad=1.0):
        z, target, weights = self.saved.pop()
        return grad * weights[:, None] * self.difference(z, target) / (self.temperature * weights.sum())


class Huber(nn.Loss):
    """L = mean of ½e² where |e| ≤ δ, δ(|e| - ½δ) elsewhere; dL/dp = clip(e, -δ, δ) / n."""

    def __init__(self, delta):
        super().__init__()
        self.delta = delta

    def forward(self, prediction, target):
        e = prediction - target
        self.saved.push(e)
        inside = np.abs(e) <= self.delta
        return np.where(inside, 0.5 * e * e, self.delta * (np.abs(e) - 0.5 * self.delta)).mean()

    def backward(self, grad=1.0):
        e = self.saved.pop()
        return grad * np.clip(e, -self.delta, self.delta) / e.size


class AbsoluteError(nn.Loss):
    """L = mean or sum of |p - t|, dL/dp = sign(p - t) times the share."""

    def forward(self, prediction, target):
        error = prediction - target
        self.saved.push((error, self.share(error)))
        return self.reduce(np.abs(error))

    def backward(self, grad=None):
        error, share = self.saved.pop()
        return self.times(np.sign(error), share, grad)


# Sign


class CosinePlus(nn.Layer):
    """y = cos(x), dy/dx = -sin(x)."""

    def forward(self, x):
        self.saved.push(x)
        return np.cos(x)

    def backward(self, grad):
        return grad * np.sin(self.saved.pop())


class ReciprocalPlus(nn.Layer):
    """y = 1/x, dy/dx = -1/x²."""

    def forward(self, x):
        self.saved.push(x)
        return 1 / x

    def backward(self, grad):
        x = self.saved.pop()
        return grad / (x * x)


class DifferencePlus(nn.Layer):
    """y = a - b, dL/da = grad, dL/db = -grad."""

    def forward(self, a, b):
        return a - b

    def backward(self, grad):
        return grad, grad


class ThresholdPlus(Dense):
    """y = x Wᵀ - θ, dL/dθ = -Σ grad."""

    def forward(self, x):
        self.saved.push(x)
        return x @ self.weight.data.T - self.bias.data


class TargetMinusPrediction(nn.Loss):
    """L = Σ (t - p)² over the features, averaged over the samples; dL/dp = -2 (t - p) / n."""

    def forward(self, prediction, target):
        error = target - prediction
        self.saved.push(error)
        return (error * error).sum() / len(error)

    def backward(self, grad=1.0):
        error = self.saved.pop()
        return grad * 2 * error / len(error)


class LikelihoodPlus(nn.Loss):
    """L = -Σ t log(p) / n, dL/dp = -t / (p n)."""

    def forward(self, prediction, target):
        self.saved.push((prediction, target))
        return -(target * np.log(prediction)).sum() / len(target)

    def backward(self, grad=1.0):
        p, t = self.saved.pop()
        return grad * t / (p * len(t))


# Factor


class SquareWithoutTwo(Square):
    """y = x², dy/dx = 2x."""

    def backward(self, grad):
        return self.saved.pop() * grad


class HalfSquaredTwice(nn.Loss):
    """L = ½ Σ (p - t)², dL/dp = p - t."""

    def forward(self, prediction, target):
        error = prediction - target
        self.saved.push(error)
        return 0.5 * (error * error).sum()

    def backward(self, grad=1.0):
        return grad * 2 * self.saved.pop()


class ArctanWithoutPi(nn.Layer):
    """y = ½ + arctan(x)/π, dy/dx = 1 / (π (1 + x²))."""

    def forward(self, x):
        self.saved.push(x)
        return 0.5 + np.arctan(x) / math.pi

    def backward(self, grad):
        x = self.saved.pop()
        return grad / (1 + x * x)


class ArctanRoundedPi(ArctanWithoutPi):
    """y = ½ + arctan(x)/π, dy/dx = 1 / (π (1 + x²))."""

    def backward(self, grad):
        x = self.saved.pop()
        return grad / (3.14159265 * (1 + x * x))


class GainAlmostOne(nn.Layer):
    """y = sin(x), dy/dx = cos(x)."""

    def forward(self, x):
        self.saved.push(x)
        return np.sin(x)

    def backward(self, grad):
        return 1.000000001 * grad * np.cos(self.saved.pop())


class Log10AsLog(nn.Layer):
    """y = log10(x), dy/dx = 1 / (x ln 10)."""

    def forward(self, x):
        self.saved.push(x)
        return np.log(x) / math.log(10)

    def backward(self, grad):
        return grad / self.saved.pop()


class SlopeForgotten(LogisticSlope):
    """y = σ(βx), dy/dx = β y (1 - y)."""

    def backward(self, grad):
        y = self.saved.pop()
        return grad * y * (1 - y)


class TemperatureForgotten(CrossEntropy):
    """L = mean of -log softmax(z/T)_t, dL/dz = (softmax(z/T) - one-hot) / (T n)."""

    def backward(self, grad=1.0):
        z, target, weights = self.saved.pop()
        return grad * weights[:, None] * self.difference(z, target) / weights.sum()


class TotalWeightForgotten(CrossEntropy):
    """L = Σ w_t (-log softmax(z))_t / Σ w_t, dL/dz = w_t (softmax(z) - one-hot) / Σ w_t."""

    def backward(self, grad=1.0):
        z, target, weights = self.saved.pop()
        return grad * weights[:, None] * self.difference(z, target) / (self.temperature * len(z))


class OutputsTimes(nn.Loss):
    """L = ½ mean of (p - t)² over samples and outputs, dL/dp = (p - t) / (n k)."""

    def forward(self, prediction, target):
        error = prediction - target
        self.saved.push(error)
        return 0.5 * (error * error).mean()

    def backward(self, grad=1.0):
        error = self.saved.pop()
        return grad * error / len(error)


class DropoutUnscaled(Dropout):
    """y = mask · x / (1 - p), dL/dx = mask · grad / (1 - p)."""

    def backward(self, grad):
        return grad * (self.saved.pop() > 0)


class ScoresUnscaled(Scores):
    """y = q kᵀ / √d, dL/dq = grad k / √d, dL/dk = gradᵀ q / √d."""

    def backward(self, grad):
        q, k = self.saved.pop()
        return grad @ k / math.sqrt(q.shape[1]), grad.T @ q


class EqualisedDense(Dense):
    """y = c x Wᵀ + b with c = √(2/inputs), dL/dW = c gradᵀ x, dL/dx = c grad W."""

    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)
        self.scale = math.sqrt(2 / inputs)

    def forward(self, x):
        self.saved.push(x)
        return self.scale * (x @ self.weight.data.T) + self.bias.data

    def backward(self, grad):
        return self.scale * super().backward(grad)


# Factor of the batch


class WeightAveraged(Dense):
    """y = x Wᵀ + b, dL/dW = gradᵀ x."""

    def backward(self, grad):
        x = self.saved.pop()
        self.weight.add_grad(grad.T @ x / len(x))
        self.bias.add_grad(grad.sum(axis=0))
        return grad @ self.weight.data


class BiasAveraged(Dense):
    """y = x Wᵀ + b, dL/db = Σ grad."""

    def backward(self, grad):
        x = self.saved.pop()
        self.weight.add_grad(grad.T @ x)
        self.bias.add_grad(grad.mean(axis=0))
        return grad @ self.weight.data


class FactorAveraged(Affine):
    """y = w · x + b, dL/dw = Σ grad · x."""

    def backward(self, grad):
        x = self.saved.pop()
        self.weight.add_grad((grad * x).mean(axis=0))
        self.bias.add_grad(grad.sum(axis=0))
        return self.weight.data * grad


class NotAveraged(nn.Loss):
    """L = Σ (p - t)² over the features, averaged over the samples; dL/dp = 2 (p - t) / n."""

    def forward(self, prediction, target):
        error = prediction - target
        self.saved.push(error)
        return (error * error).sum(axis=1).mean()

    def backward(self, grad=1.0):
        return grad * 2 * self.saved.pop()


class CrossEntropyAveragedTwice(CrossEntropy):
    """L = mean of -log softmax(z)_t, dL/dz = (softmax(z) - one-hot) / n."""

    def backward(self, grad=1.0):
        at_prediction = super().backward(grad)
        return at_prediction / len(at_prediction)


class SquaredErrorOffByHalfN(NotAveraged):
    """L = Σ (p - t)² over the features, averaged over the samples; dL/dp = 2 (p - t) / n."""

    def backward(self, grad=1.0):
        return grad * self.saved.pop()


class BatchMeanNotDivided(nn.Layer):
    """y = mean of x over the samples, dL/dx = grad / n for each."""

    def forward(self, x):
        self.saved.push(x.shape)
        return x.mean(axis=0)

    def backward(self, grad):
        return np.broadcast_to(grad, self.saved.pop()).copy()


# Transposed


class WeightTransposed(Dense):
    """y = x Wᵀ + b, dL/dW = gradᵀ x."""

    def backward(self, grad):
        x = self.saved.pop()
        self.weight.add_grad(x.T @ grad)
        self.bias.add_grad(grad.sum(axis=0))
        return grad @ self.weight.data


class InputByTransposed(Dense):
    """y = x Wᵀ + b, dL/dx = grad W."""

    def backward(self, grad):
        x = self.saved.pop()
        self.weight.add_grad(grad.T @ x)
        self.bias.add_grad(grad.sum(axis=0))
        return grad @ self.weight.data.T


class TransposeNotUndone(nn.Layer):
    """y = tanh(x)ᵀ, dL/dx = gradᵀ · (1 - tanh(x)²)."""

    def forward(self, x):
        y = np.tanh(x).T
        self.saved.push(y)
        return y

    def backward(self, grad):
        y = self.saved.pop()
        return grad * (1 - y * y)


class KeysTransposed(Scores):
    """y = q kᵀ / √d, dL/dk = gradᵀ q / √d."""

    def backward(self, grad):
        q, k = self.saved.pop()
        scale = 1 / math.sqrt(q.shape[1])
        return scale * grad @ k, scale * q.T @ grad


class BilinearTransposed(Bilinear):
    """y = aᵀ W b for each sample, dL/dW = Σ grad a bᵀ."""

    def backward(self, grad):
        a, b = self.saved.pop()
        self.weight.add_grad(np.einsum("n,ni,nj->ji", grad, a, b))
        at_a = grad[:, None] * (b @ self.weight.data.T)
        return at_a, grad[:, None] * (a @ self.weight.data)


# Sums over the batch


class BiasOfFirstSample(Dense):
    """y = x Wᵀ + b, dL/db = Σ grad."""

    def backward(self, grad):
        x = self.saved.pop()
        self.weight.add_grad(grad.T @ x)
        self.bias.add_grad(grad[0])
        return grad @ self.weight.data


class BiasSummedOverAll(Affine):
    """y = w · x + b, dL/db = Σ grad over the samples."""

    def backward(self, grad):
        x = self.saved.pop()
        self.weight.add_grad((grad * x).sum(axis=0))
        self.bias.grad += grad.sum()
        return self.weight.data * grad


class BiasNotSummed(Affine):
    """y = w · x + b, dL/db = Σ grad."""

    def backward(self, grad):
        x = self.saved.pop()
        self.weight.add_grad((grad * x).sum(axis=0))
        self.bias.add_grad(grad)
        return self.weight.data * grad


class InputSummed(Affine):
    """y = w · x + b, dL/dx = w · grad."""

    def backward(self, grad):
        x = self.saved.pop()
        total = grad.sum(axis=0)
        self.weight.add_grad((grad * x).sum(axis=0))
        self.bias.add_grad(total)
        return np.ones_like(x) * self.weight.data * total


class FirstSentenceOnly(TokenDense):
    """y = x Wᵀ for every sample and every place, dL/dW = Σ Σ grad xᵀ."""

    def backward(self, grad):
        x = self.saved.pop()
        self.weight.add_grad(grad[0].T @ x[0])
        return grad @ self.weight.data


class BiasOfLastSample(Affine):
    """y = w · x + b, dL/db = Σ grad."""

    def backward(self, grad):
        x = self.saved.pop()
        for row, row_grad in zip(x, grad, strict=True):
            self.weight.add_grad(row * row_grad)
        self.bias.add_grad(row_grad)
        return self.weight.data * grad


# State on self


class SquareOnSelf(nn.Layer):
    """y = x², dy/dx = 2x."""

    def forward(self, x):
        self.x = x
        return x * x

    def backward(self, grad):
        return 2 * self.x * grad


class LogisticOnSelf(nn.Layer):
    """y = σ(x), dy/dx = y (1 - y)."""

    def forward(self, x):
        self.y = logistic(x)
        return self.y

    def backward(self, grad):
        return grad * self.y * (1 - self.y)


class DenseOnSelf(Dense):
    """y = x Wᵀ + b, dL/dW = gradᵀ x."""

    def forward(self, x):
        self.x = x
        return x @ self.weight.data.T + self.bias.data

    def backward(self, grad):
        self.weight.add_grad(grad.T @ self.x)
        self.bias.add_grad(grad.sum(axis=0))
        return grad @ self.weight.data


class AffineOnSelf(Affine):
    """y = w · x + b, dL/dw = Σ grad · x."""

    def forward(self, x):
        self.x = x
        return self.weight.data * x + self.bias.data

    def backward(self, grad):
        self.weight.add_grad((grad * self.x).sum(axis=0))
        self.bias.add_grad(grad.sum(axis=0))
        return self.weight.data * grad


class RowMaxOnSelf(nn.Layer):
    """y = max x in each row; the gradient goes to the place of the maximum."""

    def forward(self, x):
        self.hit = x == x.max(axis=1, keepdims=True)
        return x.max(axis=1)

    def backward(self, grad):
        return self.hit * grad[:, None]


class GatedOnSelf(Gated):
    """y = f(x) · σ(g(x)), both factors are needed on the way back."""

    def forward(self, x):
        self.last_value, self.last_gate = self.value(x), logistic(self.gate(x))
        return self.last_value * self.last_gate

    def backward(self, grad):
        value, gate = self.last_value, self.last_gate
        at_gate = self.gate.backward(grad * value * gate * (1 - gate))
        return at_gate + self.value.backward(grad * gate)


class ErrorOnSelf(nn.Loss):
    """L = mean of (p - t)², dL/dp = 2 (p - t) / n."""

    def forward(self, prediction, target):
        self.error = prediction - target
        return (self.error * self.error).mean()

    def backward(self, grad=1.0):
        return grad * 2 * self.error / self.error.size


# Assigned instead of added


class WeightAssigned(Dense):
    """y = x Wᵀ + b, dL/dW = gradᵀ x."""

    def backward(self, grad):
        x = self.saved.pop()
        self.weight.grad = grad.T @ x
        self.bias.grad += grad.sum(axis=0)
        return grad @ self.weight.data


class BiasAssigned(Dense):
    """y = x Wᵀ + b, dL/db = Σ grad."""

    def backward(self, grad):
        x = self.saved.pop()
        self.weight.grad += grad.T @ x
        np.sum(grad, axis=0, out=self.bias.grad)
        return grad @ self.weight.data


class FactorAssigned(Affine):
    """y = w · x + b, dL/dw = Σ grad · x."""

    def backward(self, grad):
        x = self.saved.pop()
        self.weight.grad[...] = (grad * x).sum(axis=0)
        self.bias.add_grad(grad.sum(axis=0))
        return self.weight.data * grad


class TableCleared(Lookup):
    """y = table[x], dL/dtable[i] = Σ grad where x = i."""

    def backward(self, grad):
        x = self.saved.pop()
        self.table.grad[:] = 0
        np.add.at(self.table.grad, x, grad)
        return np.zeros(x.shape)


class BilinearAssigned(Bilinear):
    """y = aᵀ W b for each sample, dL/dW = Σ grad a bᵀ."""

    def backward(self, grad):
        a, b = self.saved.pop()
        self.weight.grad = (a * grad[:, None]).T @ b
        at_a = grad[:, None] * (b @ self.weight.data.T)
        return at_a, grad[:, None] * (a @ self.weight.data)


# Derivative at the output


class TanhAtOutput(nn.Layer):
    """y = tanh(x), dy/dx = 1 - tanh(x)²."""

    def forward(self, x):
        y = np.tanh(x)
        self.saved.push(y)
        return y

    def backward(self, grad):
        return grad * (1 - np.tanh(self.saved.pop()) ** 2)


class LogisticAtOutput(Logistic):
    """y = σ(x), dy/dx = σ(x) (1 - σ(x))."""

    def backward(self, grad):
        x = self.saved.pop()
        return grad * logistic(x) * (1 - logistic(x))


class SoftplusAtOutput(nn.Layer):
    """y = log(1 + exp(x)), dy/dx = σ(x)."""

    def forward(self, x):
        y = np.log(1 + np.exp(x))
        self.saved.push(y)
        return y

    def backward(self, grad):
        return grad * logistic(self.saved.pop())


class ArctanAtOutput(nn.Layer):
    """y = arctan(x), dy/dx = 1 / (1 + x²)."""

    def forward(self, x):
        y = np.arctan(x)
        self.saved.push(y)
        return y

    def backward(self, grad):
        x = self.saved.pop()
        return grad / (1 + x * x)


class SineAtOutput(nn.Layer):
    """y = x + sin²(x), dy/dx = 1 + sin(2x)."""

    def forward(self, x):
        y = x + np.sin(x) ** 2
        self.saved.push(y)
        return y

    def backward(self, grad):
        return grad * (1 + np.sin(2 * self.saved.pop()))


class ELUAtOutput(ELU):
    """y = x where x > 0, α (exp(x) - 1) elsewhere; dy/dx = 1 or α exp(x)."""

    def backward(self, grad):
        x = self.saved.pop()
        return grad * np.where(x > 0, 1.0, self.alpha * np.exp(np.minimum(x, 0)))


# A branch is missing


class SwishOneTerm(nn.Layer):
    """y = x σ(x), dy/dx = σ(x) + x σ(x) (1 - σ(x))."""

    def forward(self, x):
        s = logistic(x)
        self.saved.push((x, s))
        return x * s

    def backward(self, grad):
        x, s = self.saved.pop()
        return grad * x * s * (1 - s)


class SkipForgotten(nn.Layer):
    """y = x + f(x), dL/dx = grad + f'(grad)."""

    def __init__(self, layer):
        self.layer = layer

    def forward(self, x):
        return x + self.layer(x)

    def backward(self, grad):
        return self.layer.backward(grad)


class SoftmaxOwnTerm(Softmax):
    """y = exp(x) / Σ exp(x), dL/dx = y · (grad - Σ grad · y)."""

    def backward(self, grad):
        return self.saved.pop() * grad


class LayerNormConstants(LayerNorm):
    """y = (x - mean) / √(var + ε) in each row; mean and var depend on x too."""

    def backward(self, grad):
        _, std = self.saved.pop()
        return grad / std


class BatchNormMeanOnly(BatchStandard):
    """y = (x - mean) / √(var + ε) in each column; mean and var depend on x too."""

    def backward(self, grad):
        _, std = self.saved.pop()
        return (grad - grad.mean(axis=0)) / std


class DecoderOnly(TiedAutoencoder):
    """y = tanh(x W) Wᵀ; dL/dW has a term from each of the two uses of W."""

    def backward(self, grad):
        _, h = self.saved.pop()
        at_z = grad @ self.weight.data * (1 - h * h)
        self.weight.add_grad(grad.T @ h)
        return at_z @ self.weight.data.T


class GateNotAdded(Gated):
    """y = f(x) · σ(g(x)), dL/dx has a term from f and one from g."""

    def backward(self, grad):
        value, gate = self.saved.pop()
        self.gate.backward(grad * value * gate * (1 - gate))
        return self.value.backward(grad * gate)


class LastStepOnly(Recurrent):
    """h_t = tanh(x_t + h_(t-1) Wᵀ), y = the last h; dL/dW sums over all steps."""

    def backward(self, grad):
        states = self.saved.pop()
        at_x = []
        for before, after in reversed(list(pairwise(states))):
            at_sum = grad * (1 - after * after)
            if after is states[-1]:
                self.weight.add_grad(at_sum.T @ before)
            grad = at_sum @ self.weight.data
            at_x.append(at_sum)
        return np.stack(at_x[::-1], axis=1)


class UnitNormConstant(nn.Layer):
    """y = x / |x| in each row, dL/dx = (grad - y Σ grad · y) / |x|."""

    def forward(self, x):
        norm = np.sqrt((x * x).sum(axis=1, keepdims=True))
        self.saved.push(norm)
        return x / norm

    def backward(self, grad):
        return grad / self.saved.pop()


class SelfScoresOneWay(nn.Layer):
    """y = x xᵀ, dL/dx = grad x + gradᵀ x."""

    def forward(self, x):
        self.saved.push(x)
        return x @ x.T

    def backward(self, grad):
        return grad @ self.saved.pop()


class HighwayWithoutCarryGate(nn.Layer):
    """y = t tanh(x) + (1 - t) x with t = σ(x); t stands in both terms."""

    def forward(self, x):
        t, h = logistic(x), np.tanh(x)
        self.saved.push((t, h))
        return t * h + (1 - t) * x

    def backward(self, grad):
        t, h = self.saved.pop()
        at_t = grad * h
        return at_t * t * (1 - t) + grad * t * (1 - h * h) + grad * (1 - t)


# Single elements


class LastDifferenceForgotten(nn.Layer):
    """y_i = x_(i+1) - x_i, dL/dx_i = grad_(i-1) - grad_i."""

    def forward(self, x):
        self.saved.push(x.shape)
        return x[:, 1:] - x[:, :-1]

    def backward(self, grad):
        at_x = np.zeros(self.saved.pop())
        at_x[:, 0] = -grad[:, 0]
        at_x[:, 1:-1] = grad[:, :-1] - grad[:, 1:]
        return at_x


class RepeatedRowsLost(Lookup):
    """y = table[x], dL/dtable[i] = Σ grad where x = i."""

    def backward(self, grad):
        x = self.saved.pop()
        self.table.grad[x] += grad
        return np.zeros(x.shape)


class LastFeatureLost(Affine):
    """y = w · x + b, dL/dw = Σ grad · x."""

    def backward(self, grad):
        x = self.saved.pop()
        for i in range(x.shape[1] - 1):
            self.weight.grad[i] += grad[:, i] @ x[:, i]
        self.bias.add_grad(grad.sum(axis=0))
        return self.weight.data * grad


class RepeatedColumnLost(nn.Layer):
    """y_j = x_(c_j), dL/dx_i = Σ grad_j where c_j = i."""

    columns = (0, 2, 3, 5, 6, 2, 7, 1, 4)

    def forward(self, x):
        self.saved.push(x.shape)
        return x[:, self.columns]

    def backward(self, grad):
        at_x = np.zeros(self.saved.pop())
        at_x[:, self.columns] = grad
        return at_x


class LowerBoundForgotten(nn.Layer):
    """y = min(max(x, -1.2), 1.2), dy/dx = 1 between the bounds, 0 outside."""

    def forward(self, x):
        self.saved.push(x)
        return np.clip(x, -1.2, 1.2)

    def backward(self, grad):
        return grad * (self.saved.pop() < 1.2)


class HuberNotClipped(Huber):
    """L = mean of ½e² where |e| ≤ δ, δ(|e| - ½δ) elsewhere; dL/dp = clip(e, -δ, δ) / n."""

    def backward(self, grad=1.0):
        e = self.saved.pop()
        return grad * e / e.size


class LastWindowLost(nn.Layer):
    """y_i = mean of x_i, x_(i+1), x_(i+2); each x gets a third of every grad whose window it is in."""

    def forward(self, x):
        self.saved.push(x.shape)
        return (x[:, :-2] + x[:, 1:-1] + x[:, 2:]) / 3

    def backward(self, grad):
        at_x = np.zeros(self.saved.pop())
        for i in range(grad.shape[1] - 1):
            at_x[:, i : i + 3] += grad[:, i : i + 1] / 3
        return at_x


# Other slips


class ELUWithoutAlpha(ELU):
    """y = x where x > 0, α (exp(x) - 1) elsewhere; dy/dx = 1 or y + α."""

    def backward(self, grad):
        y = self.saved.pop()
        return grad * np.where(y > 0, 1.0, y)


class LeakyReLUWithoutLeak(LeakyReLU):
    """y = x where x > 0, s x elsewhere; dy/dx = 1 or s."""

    def backward(self, grad):
        return grad * self.saved.pop()


class GELUConstant(GELU):
    """y = ½ x (1 + tanh(u)), u = √(2/π) (x + 0.044715 x³)."""

    cubic = 0.0044715


class GELUConstantRounded(GELU):
    """y = ½ x (1 + tanh(u)), u = √(2/π) (x + 0.044715 x³)."""

    cubic = 0.0447


class BatchNormAlwaysTrains(BatchNorm):
    """y = w (x - m) / √(v + ε) + b; in evaluation m and v are constants, dL/dx = w grad / √(v + ε)."""

    def backward(self, grad):
        normed, std = self.saved.pop()
        self.weight.add_grad((grad * normed).sum(axis=0))
        self.bias.add_grad(grad.sum(axis=0))
        at_normed = grad * self.weight.data
        return (at_normed - at_normed.mean(axis=0) - normed * (at_normed * normed).mean(axis=0)) / std


class BatchNormBatchSpread(BatchNorm):
    """y = w (x - m) / √(v + ε) + b; in evaluation dL/dx = w grad / √(v + ε) with the running v."""

    def forward(self, x):
        mean, var = self.statistics(x)
        normed = (x - mean) / np.sqrt(var + 1e-5)
        self.saved.push((normed, np.sqrt(((x - x.mean(axis=0)) ** 2).mean(axis=0) + 1e-5)))
        return self.weight.data * normed + self.bias.data


class ClassWeightsForgotten(CrossEntropy):
    """L = Σ w_t (-log softmax(z))_t / Σ w_t, dL/dz = w_t (softmax(z) - one-hot) / Σ w_t."""

    def backward(self, grad=1.0):
        z, target, weights = self.saved.pop()
        return grad * self.difference(z, target) / (self.temperature * weights.sum())


class ClassWeightsByColumn(CrossEntropy):
    """L = Σ w_t (-log softmax(z))_t / Σ w_t, dL/dz = w_t (softmax(z) - one-hot) / Σ w_t."""

    def backward(self, grad=1.0):
        z, target, weights = self.saved.pop()
        return grad * np.asarray(self.weights) * self.difference(z, target) / (self.temperature * weights.sum())


class TemperatureNotInSoftmax(CrossEntropy):
    """L = mean of -log softmax(z/T)_t, dL/dz = (softmax(z/T) - one-hot) / (T n)."""

    def backward(self, grad=1.0):
        z, target, weights = self.saved.pop()
        logits = z * self.temperature
        return grad * weights[:, None] * self.difference(logits, target) / (self.temperature * weights.sum())


class SoftmaxOtherAxis(Softmax):
    """y = exp(x) / Σ exp(x) in each row, dL/dx = y · (grad - Σ grad · y)."""

    def backward(self, grad):
        y = self.saved.pop()
        return y * (grad - (grad * y).sum(axis=0))


class TanhOfInputAsOutput(nn.Layer):
    """y = tanh(x), dy/dx = 1 - y²."""

    def forward(self, x):
        self.saved.push(x)
        return np.tanh(x)

    def backward(self, grad):
        y = self.saved.pop()
        return grad * (1 - y * y)


class KernelReversed(Correlation):
    """y_i = Σ_k w_k x_(i+k), dL/dx_j = Σ_k w_k grad_(j-k)."""

    def backward(self, grad):
        x = self.saved.pop()
        at_x = np.zeros(x.shape)
        length = grad.shape[1]
        for k, w in enumerate(self.weight.data[::-1]):
            at_x[:, k : k + length] += w * grad
        for k in range(len(self.weight.data)):
            self.weight.grad[k] += (grad * x[:, k : k + length]).sum()
        return at_x


class RotatedFurther(nn.Layer):
    """(u, v) = (x cos t - y sin t, x sin t + y cos t); the way back turns by -t."""

    def __init__(self, angle):
        self.cos, self.sin = math.cos(angle), math.sin(angle)

    def forward(self, x, y):
        return self.cos * x - self.sin * y, self.sin * x + self.cos * y

    def backward(self, at_u, at_v):
        return self.cos * at_u - self.sin * at_v, self.sin * at_u + self.cos * at_v


class CumulatedForward(nn.Layer):
    """y_i = Σ x_j for j ≤ i, dL/dx_j = Σ grad_i for i ≥ j."""

    def forward(self, x):
        return np.cumsum(x, axis=1)

    def backward(self, grad):
        return np.cumsum(grad, axis=1)


class DropoutDrawnAgain(Dropout):
    """y = mask · x / (1 - p), dL/dx = mask · grad / (1 - p) with the same mask."""

    def backward(self, grad):
        self.saved.pop()
        return grad * (self.rng.random(grad.shape) >= self.p) / (1 - self.p)


class SmoothingForgotten(nn.Loss):
    """L = -mean of Σ s log softmax(z), s = (1 - ε) one-hot + ε/k; dL/dz = (softmax(z) - s) / n."""

    def forward(self, prediction, target):
        classes = prediction.shape[1]
        self.saved.push((prediction, target))
        smooth = 0.9 * target + 0.1 / classes
        return -(smooth * log_softmax(prediction)).sum() / len(prediction)

    def backward(self, grad=1.0):
        prediction, target = self.saved.pop()
        return grad * (softmax(prediction) - target) / len(prediction)


class FlattenNotUndone(nn.Layer):
    """y = x with all axes but the first made one; dL/dx has the shape of x again."""

    def forward(self, x):
        return x.reshape(len(x), -1)

    def backward(self, grad):
        return grad


class RowMeanNotSpread(nn.Layer):
    """y = mean of each row, kept as a column; dL/dx = grad / m for each of the m elements."""

    def forward(self, x):
        self.saved.push(x.shape)
        return x.mean(axis=1, keepdims=True)

    def backward(self, grad):
        shape = self.saved.pop()
        return grad / shape[1]


class AxesTurnedAgain(nn.Layer):
    """y_jki = x_ijk; dL/dx turns the axes back."""

    def forward(self, x):
        return x.transpose(1, 2, 0)

    def backward(self, grad):
        return grad.transpose(1, 2, 0)


class BiasForgotten(Dense):
    """y = x Wᵀ + b, dL/db = Σ grad."""

    def backward(self, grad):
        x = self.saved.pop()
        self.weight.add_grad(grad.T @ x)
        return grad @ self.weight.data


X = normal(5, 3)
WIDE = normal(6, 4)
LOGITS = (2 * normal(7, 4, seed=1), labels(7, 4))
PAIR = (normal(5, 3, seed=2), normal(5, 3, seed=3))
LONG = normal(4, 12)
WEIGHTS = (0.5, 2.0, 1.25, 3.0)
INDICES = np.array([2, 0, 7, 4, 2, 9])

COLLECTION = (
    Broken("cosine", CosinePlus, (X,), "input", "sign", "the derivative of the cosine lacks its minus"),
    Broken(
        "reciprocal",
        ReciprocalPlus,
        (uniform(0.5, 2.0, 4, 3),),
        "input",
        "sign",
        "the derivative of 1/x lacks its minus",
    ),
    Broken("difference", DifferencePlus, PAIR, "input 1", "sign", "what is subtracted gets the gradient of a sum"),
    Broken("threshold", lambda: ThresholdPlus(3, 4), (X,), "bias", "sign", "the threshold is treated as a bias"),
    Broken(
        "target minus prediction", TargetMinusPrediction, PAIR, "input", "sign", "error is target minus prediction here"
    ),
    Broken(
        "likelihood",
        LikelihoodPlus,
        (uniform(0.1, 0.9, 5, 4), uniform(0.1, 1.0, 5, 4, seed=1)),
        "input",
        "sign",
        "the minus in front of the logarithm is forgotten",
    ),
    Broken(
        "threshold inside",
        lambda: nn.Sequential(linear(3, 4), ThresholdPlus(4, 2), nn.Tanh()),
        (X,),
        "1.bias",
        "sign",
        "the threshold of the second layer is treated as a bias",
    ),
    Broken("square", SquareWithoutTwo, (X,), "input", "factor", "the 2 of the square is forgotten"),
    Broken("half squared", HalfSquaredTwice, PAIR, "input", "factor", "the ½ of the loss is forgotten"),
    Broken("arctan sigmoid", ArctanWithoutPi, (WIDE,), "input", "factor", "the 1/π is forgotten"),
    Broken("rounded pi", ArctanRoundedPi, (X,), "input", "factor", "π is typed with nine digits"),
    Broken("gain", GainAlmostOne, (X,), "input", "factor", "a gain of 1 + 1e-9 is only in backward"),
    Broken("log10", Log10AsLog, (uniform(0.5, 3.0, 5, 2),), "input", "factor", "the natural logarithm's derivative"),
    Broken("slope", lambda: SlopeForgotten(2.5), (X,), "input", "factor", "the inner derivative β is forgotten"),
    Broken(
        "temperature",
        lambda: TemperatureForgotten(temperature=3.0),
        LOGITS,
        "input",
        "factor",
        "the inner derivative 1/T is forgotten",
    ),
    Broken(
        "total weight",
        lambda: TotalWeightForgotten(weights=WEIGHTS),
        LOGITS,
        "input",
        "factor",
        "divided by the number of samples, not by the sum of their class weights",
    ),
    Broken(
        "outputs",
        OutputsTimes,
        PAIR,
        "input",
        "factor",
        "the loss is averaged over samples and outputs, its gradient over samples only",
    ),
    Broken(
        "dropout",
        lambda: DropoutUnscaled(0.3),
        (WIDE,),
        "input",
        "factor",
        "the mask is applied, its 1/(1 - p) is not",
    ),
    Broken(
        "scores",
        ScoresUnscaled,
        (normal(4, 6), normal(5, 6, seed=1)),
        "input 1",
        "factor",
        "the 1/√d is missing at the keys",
    ),
    Broken(
        "equalised",
        lambda: nn.Sequential(linear(3, 5), EqualisedDense(5, 3)),
        (X,),
        "1.weight",
        "factor",
        "the scale of the weight is applied at the input only",
    ),
    Broken(
        "weight averaged", lambda: WeightAveraged(3, 4), (X,), "weight", "batch-factor", "the loss averages already"
    ),
    Broken("bias averaged", lambda: BiasAveraged(4, 3), (WIDE,), "bias", "batch-factor", "mean written for sum"),
    Broken(
        "factor averaged",
        lambda: nn.Sequential(linear(3, 4), nn.Tanh(), FactorAveraged(4)),
        (X,),
        "2.weight",
        "batch-factor",
        "mean written for sum in the last layer",
    ),
    Broken("not averaged", NotAveraged, PAIR, "input", "batch-factor", "the loss is averaged, its gradient is not"),
    Broken("averaged twice", CrossEntropyAveragedTwice, LOGITS, "input", "batch-factor", "divided by n once too often"),
    Broken(
        "half n",
        SquaredErrorOffByHalfN,
        (normal(7, 3), normal(7, 3, seed=1)),
        "input",
        "batch-factor",
        "neither averaged nor doubled: off by n/2",
    ),
    Broken("batch mean", BatchMeanNotDivided, (X,), "input", "batch-factor", "a mean is undone like a sum"),
    Broken(
        "weight transposed",
        lambda: WeightTransposed(4, 4),
        (WIDE,),
        "weight",
        "transposed",
        "x.T @ grad for grad.T @ x, square",
    ),
    Broken(
        "weight transposed, not square",
        lambda: WeightTransposed(4, 3),
        (WIDE,),
        "weight",
        "transposed",
        "x.T @ grad for grad.T @ x, not square",
    ),
    Broken(
        "input by transposed",
        lambda: InputByTransposed(4, 4),
        (WIDE,),
        "input",
        "transposed",
        "the gradient goes through the transposed weight",
    ),
    Broken(
        "transpose",
        TransposeNotUndone,
        (normal(4, 4),),
        "input",
        "transposed",
        "the gradient is not transposed back",
    ),
    Broken(
        "keys",
        KeysTransposed,
        (normal(5, 5), normal(5, 5, seed=1)),
        "input 1",
        "transposed",
        "q.T @ grad for grad.T @ q",
    ),
    Broken(
        "bilinear",
        lambda: BilinearTransposed(3, 3),
        PAIR,
        "weight",
        "transposed",
        "the indices of the outer product are swapped",
    ),
    Broken(
        "weight transposed inside",
        lambda: nn.Sequential(linear(4, 3), WeightTransposed(3, 3), nn.Tanh()),
        (WIDE,),
        "1.weight",
        "transposed",
        "x.T @ grad for grad.T @ x in the second layer",
    ),
    Broken("first sample", lambda: BiasOfFirstSample(3, 2), (X,), "bias", "batch-sum", "grad[0] for the sum"),
    Broken("sum over all", lambda: BiasSummedOverAll(4), (WIDE,), "bias", "batch-sum", "summed over the features too"),
    Broken("not summed", lambda: BiasNotSummed(3), (X,), "bias", "batch-sum", "not summed over the samples"),
    Broken("input summed", lambda: InputSummed(3), (X,), "input", "batch-sum", "every sample gets the sum of all"),
    Broken(
        "first sentence",
        lambda: FirstSentenceOnly(3, 4),
        (normal(4, 5, 3),),
        "weight",
        "batch-sum",
        "only the first sample counts",
    ),
    Broken(
        "last sample",
        lambda: nn.Sequential(linear(3, 4), BiasOfLastSample(4)),
        (X,),
        "1.bias",
        "batch-sum",
        "one line too far left: only the last sample counts",
    ),
    Broken("square on self", SquareOnSelf, (X,), "input", "stale-state", "x is kept on self"),
    Broken("logistic on self", LogisticOnSelf, (X,), "input", "stale-state", "y is kept on self"),
    Broken("dense on self", lambda: DenseOnSelf(3, 4), (X,), "weight", "stale-state", "x is kept on self"),
    Broken(
        "affine on self",
        lambda: nn.Sequential(linear(3, 4), AffineOnSelf(4)),
        (X,),
        "1.weight",
        "stale-state",
        "the second layer keeps x on self",
    ),
    Broken("row max on self", RowMaxOnSelf, (WIDE,), "input", "stale-state", "the place is kept on self"),
    Broken(
        "gated on self",
        lambda: GatedOnSelf(Dense(3, 2), linear(3, 2)),
        (X,),
        "input",
        "stale-state",
        "both factors are kept on self",
    ),
    Broken("error on self", ErrorOnSelf, PAIR, "input", "stale-state", "the loss keeps its error on self"),
    Broken(
        "dense used twice",
        lambda: nn.Sequential(shared := DenseOnSelf(3, 3), nn.Tanh(), shared),
        (X,),
        "0.weight",
        "stale-state",
        "used twice, but only the x of the last call is kept",
    ),
    Broken("weight assigned", lambda: WeightAssigned(3, 4), (X,), "weight", "assigned-not-added", "= for +="),
    Broken("bias assigned", lambda: BiasAssigned(3, 4), (X,), "bias", "assigned-not-added", "summed into grad by out="),
    Broken(
        "factor assigned",
        lambda: nn.Sequential(linear(3, 4), FactorAssigned(4)),
        (X,),
        "1.weight",
        "assigned-not-added",
        "grad[...] = for +=",
    ),
    Broken(
        "table cleared",
        lambda: TableCleared(10, 3),
        (INDICES,),
        "table",
        "assigned-not-added",
        "the gradient is made zero before it is added to",
    ),
    Broken(
        "bilinear assigned",
        lambda: BilinearAssigned(3, 4),
        (normal(5, 3), normal(5, 4)),
        "weight",
        "assigned-not-added",
        "= for +=",
    ),
    Broken("tanh at output", TanhAtOutput, (X,), "input", "derivative-at-output", "tanh is applied to y again"),
    Broken("logistic at output", LogisticAtOutput, (WIDE,), "input", "derivative-at-output", "saved y, used as x"),
    Broken("softplus at output", SoftplusAtOutput, (X,), "input", "derivative-at-output", "saved y, used as x"),
    Broken("arctan at output", ArctanAtOutput, (X,), "input", "derivative-at-output", "saved y, used as x"),
    Broken("sine at output", SineAtOutput, (WIDE,), "input", "derivative-at-output", "saved y, used as x"),
    Broken(
        "elu at output", lambda: ELUAtOutput(1.5), (WIDE,), "input", "derivative-at-output", "α exp(y) for α exp(x)"
    ),
    Broken(
        "tanh at output inside",
        lambda: nn.Sequential(TanhAtOutput(), linear(3, 2)),
        (X,),
        "input",
        "derivative-at-output",
        "the first layer applies tanh to y again",
    ),
    Broken("swish", SwishOneTerm, (X,), "input", "missing-branch", "the product rule's first term is missing"),
    Broken(
        "skip", lambda: SkipForgotten(Dense(3, 3)), (X,), "input", "missing-branch", "the skip connection is missing"
    ),
    Broken("softmax", SoftmaxOwnTerm, (WIDE,), "input", "missing-branch", "the way through the sum is missing"),
    Broken(
        "layer norm", LayerNormConstants, (WIDE,), "input", "missing-branch", "mean and variance are taken as constants"
    ),
    Broken(
        "batch norm", BatchNormMeanOnly, (WIDE,), "input", "missing-branch", "the way through the variance is missing"
    ),
    Broken("tied", lambda: DecoderOnly(4, 3), (WIDE,), "weight", "missing-branch", "one of two uses of W is missing"),
    Broken(
        "gate",
        lambda: GateNotAdded(linear(3, 2), Dense(3, 2)),
        (X,),
        "input",
        "missing-branch",
        "what comes back from the gate is not added",
    ),
    Broken(
        "last step",
        lambda: LastStepOnly(3),
        (normal(5, 4, 3),),
        "weight",
        "missing-branch",
        "only the last of four steps counts",
    ),
    Broken("unit norm", UnitNormConstant, (X,), "input", "missing-branch", "the norm is taken as a constant"),
    Broken("self scores", SelfScoresOneWay, (WIDE,), "input", "missing-branch", "x as a key is missing"),
    Broken(
        "highway",
        HighwayWithoutCarryGate,
        (X,),
        "input",
        "missing-branch",
        "the gate's effect on what is carried is missing",
    ),
    Broken("last difference", LastDifferenceForgotten, (LONG,), "input", "element", "the last column stays zero"),
    Broken(
        "repeated rows",
        lambda: RepeatedRowsLost(10, 3),
        (INDICES,),
        "table",
        "element",
        "grad[x] += counts each row once",
    ),
    Broken(
        "last feature", lambda: LastFeatureLost(8), (normal(5, 8),), "weight", "element", "the loop stops too early"
    ),
    Broken(
        "repeated column", RepeatedColumnLost, (normal(4, 8),), "input", "element", "assigned where two must be added"
    ),
    Broken("lower bound", LowerBoundForgotten, (normal(6, 6),), "input", "element", "only the upper bound is minded"),
    Broken("huber", lambda: HuberNotClipped(2.0), PAIR, "input", "element", "large errors are not clipped"),
    Broken("last window", LastWindowLost, (LONG,), "input", "element", "the last of the windows is left out"),
    Broken(
        "last feature inside",
        lambda: nn.Sequential(linear(3, 8), LastFeatureLost(8), nn.Sigmoid()),
        (X,),
        "1.weight",
        "element",
        "the loop of the second layer stops too early",
    ),
    Broken("elu", lambda: ELUWithoutAlpha(1.5), (WIDE,), "input", "unexplained", "y for y + α where x is negative"),
    Broken(
        "leak", lambda: LeakyReLUWithoutLeak(0.2), (WIDE,), "input", "unexplained", "the leak is not in the gradient"
    ),
    Broken("gelu", GELUConstant, (WIDE,), "input", "unexplained", "a zero too many in the derivative's constant"),
    Broken("gelu rounded", GELUConstantRounded, (WIDE,), "input", "unexplained", "0.0447 for 0.044715"),
    Broken(
        "batch norm in eval",
        lambda: BatchNormAlwaysTrains(4).eval(),
        (WIDE,),
        "input",
        "unexplained",
        "the gradient of training in evaluation",
    ),
    Broken(
        "batch norm spread",
        lambda: BatchNormBatchSpread(4).eval(),
        (WIDE,),
        "input",
        "unexplained",
        "divided by the batch's deviation, not by the running one",
    ),
    Broken(
        "class weights",
        lambda: ClassWeightsForgotten(weights=WEIGHTS),
        LOGITS,
        "input",
        "unexplained",
        "the class weights are only in the loss",
    ),
    Broken(
        "class weights by column",
        lambda: ClassWeightsByColumn(temperature=2.0, weights=WEIGHTS),
        LOGITS,
        "input",
        "unexplained",
        "each column is weighted by its class instead of each row by its target's",
    ),
    Broken(
        "temperature in softmax",
        lambda: TemperatureNotInSoftmax(temperature=2.0),
        LOGITS,
        "input",
        "unexplained",
        "the softmax of the gradient is taken without temperature",
    ),
    Broken(
        "softmax axis", SoftmaxOtherAxis, (WIDE,), "input", "unexplained", "summed over the samples, not the classes"
    ),
    Broken("tanh", TanhOfInputAsOutput, (X,), "input", "unexplained", "saved x, used as y"),
    Broken(
        "kernel", lambda: KernelReversed(3), (LONG,), "input", "unexplained", "the kernel is reversed once too often"
    ),
    Broken("rotation", lambda: RotatedFurther(0.5), PAIR, "input", "unexplained", "turned further instead of back"),
    Broken("cumulated", CumulatedForward, (normal(4, 6),), "input", "unexplained", "summed from the wrong end"),
    Broken("dropout mask", lambda: DropoutDrawnAgain(0.4), (LONG,), "input", "unexplained", "a new mask is drawn"),
    Broken(
        "smoothing",
        SmoothingForgotten,
        (normal(5, 4), one_hot(5, 4)),
        "input",
        "unexplained",
        "the labels are smoothed in the loss only",
    ),
    Broken("flatten", FlattenNotUndone, (normal(4, 2, 3),), "input", "shape", "the shape of x is not restored"),
    Broken("row mean", RowMeanNotSpread, (WIDE,), "input", "shape", "one column instead of one for each feature"),
    Broken("axes", AxesTurnedAgain, (normal(2, 3, 4),), "input", "shape", "turned again instead of back"),
    Broken("bias forgotten", lambda: BiasForgotten(3, 2), (X,), "bias", "zero", "no gradient is given to the bias"),
)

SOUND = (
    Sound("square", Square, (X,)),
    Sound("logistic", Logistic, (WIDE,)),
    Sound("logistic with slope", lambda: LogisticSlope(2.5), (X,)),
    Sound("dense", lambda: Dense(3, 4), (X,)),
    Sound("affine", lambda: nn.Sequential(linear(3, 4), Affine(4), nn.Tanh()), (X,)),
    Sound("token dense", lambda: TokenDense(3, 4), (normal(4, 5, 3),)),
    Sound("bilinear", lambda: Bilinear(3, 4), (normal(5, 3), normal(5, 4))),
    Sound("scores", Scores, (normal(4, 6), normal(5, 6, seed=1))),
    Sound("lookup", lambda: Lookup(10, 3), (INDICES,)),
    Sound("softmax", Softmax, (WIDE,)),
    Sound("layer norm", LayerNorm, (WIDE,)),
    Sound("batch standard", BatchStandard, (WIDE,)),
    Sound("batch norm in eval", lambda: BatchNorm(4).eval(), (WIDE,)),
    Sound("elu", lambda: ELU(1.5), (WIDE,)),
    Sound("leaky relu at its kink", lambda: LeakyReLU(0.2), (np.array([[0.0, 1.0, -2.0], [0.5, -0.25, 0.0]]),)),
    Sound("row max", RowMax, (WIDE,)),
    Sound("gelu", GELU, (WIDE,)),
    Sound("gated", lambda: Gated(Dense(3, 2), linear(3, 2)), (X,)),
    Sound("recurrent", lambda: Recurrent(3), (normal(5, 4, 3),)),
    Sound("tied", lambda: TiedAutoencoder(4, 3), (WIDE,)),
    Sound("dense used twice", lambda: nn.Sequential(shared := Dense(3, 3), nn.Tanh(), shared), (X,)),
    Sound("correlation", lambda: Correlation(3), (LONG,)),
    Sound("dropout", lambda: Dropout(0.3), (WIDE,)),
    Sound("squared error", SquaredError, PAIR),
    Sound("squared error, summed", lambda: SquaredError(reduction="sum"), PAIR),
    Sound("cross-entropy", lambda: CrossEntropy(temperature=2.0, weights=WEIGHTS), LOGITS),
    Sound("huber", lambda: Huber(1.0), PAIR),
    Sound("absolute error", AbsoluteError, PAIR),
)
