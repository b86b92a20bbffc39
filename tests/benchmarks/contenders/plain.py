"""NumPy by hand: the note's listing, a bare step without any check, and the limit, the matrix products alone."""

from __future__ import annotations

import math

import numpy as np

from tests.benchmarks.cases import BETA1, BETA2, EPS, LR, MOMENTUM, Case
from tests.benchmarks.contenders import Run
from tests.listing import Listing

ONE_OVER_PI = 1 / math.pi


def note(case: Case) -> Run:
    """The note's listing, its errors corrected and nothing else changed; it computes no loss, so that is added last."""
    listing = Listing(case.sizes)
    listing.network_weight = [weight.copy() for weight, _ in case.layers]
    listing.network_bias = [bias.copy() for _, bias in case.layers]
    x, target = case.x[0], case.target[0]

    def run(n: int) -> float:
        for _ in range(n):
            listing.step(x, target, LR)
        return 0.5 * np.sum((listing.network_activation[-1] - target) ** 2)

    return run


def bare(case: Case) -> Run:
    """What one writes who knows NumPy and needs this network and no other."""
    weights = [weight.copy() for weight, _ in case.layers]
    biases = [bias.copy() for _, bias in case.layers]
    parameters = [array for pair in zip(weights, biases, strict=True) for array in pair]
    x, target, batch, depth = case.x, case.target, case.batch, len(weights)
    update = UPDATES[case.optimizer](parameters)

    def forward() -> tuple[list[np.ndarray], list[np.ndarray]]:
        z, a = [], [x]
        for weight, bias in zip(weights, biases, strict=True):
            product = a[-1].dot(weight.T)
            product += bias
            activation = np.arctan(product)
            activation *= ONE_OVER_PI
            activation += 0.5
            z.append(product)
            a.append(activation)
        return z, a

    def train(n: int) -> float:
        for _ in range(n):
            z, a = forward()
            error = a[-1] - target
            loss = 0.5 / batch * np.vdot(error, error)
            error *= 1 / batch
            gradients = [None] * len(parameters)
            for layer in range(depth - 1, -1, -1):
                slope = z[layer]
                slope *= slope
                slope += 1
                error /= slope
                error *= ONE_OVER_PI
                gradients[2 * layer] = error.T.dot(a[layer])
                gradients[2 * layer + 1] = error.sum(axis=0)
                if layer:
                    error = error.dot(weights[layer])
            update(gradients)
        return loss

    def infer(n: int) -> np.ndarray:
        for _ in range(n):
            _, a = forward()
        return a[-1]

    return infer if case.task == "inference" else train


def _sgd(parameters):
    def update(gradients):
        for parameter, gradient in zip(parameters, gradients, strict=True):
            gradient *= LR
            parameter -= gradient

    return update


def _momentum(parameters):
    velocities = [np.zeros_like(parameter) for parameter in parameters]

    def update(gradients):
        for parameter, gradient, velocity in zip(parameters, gradients, velocities, strict=True):
            velocity *= MOMENTUM
            velocity += gradient
            np.multiply(velocity, LR, out=gradient)
            parameter -= gradient

    return update


def _adam(parameters):
    means = [np.zeros_like(parameter) for parameter in parameters]
    squares = [np.zeros_like(parameter) for parameter in parameters]
    steps = 0

    def update(gradients):
        nonlocal steps
        steps += 1
        rate, root = LR / (1 - BETA1**steps), math.sqrt(1 - BETA2**steps)
        for parameter, gradient, mean, square in zip(parameters, gradients, means, squares, strict=True):
            mean *= BETA1
            mean += (1 - BETA1) * gradient
            square *= BETA2
            gradient *= gradient
            gradient *= 1 - BETA2
            square += gradient
            step = np.sqrt(square)
            step /= root
            step += EPS
            np.divide(mean, step, out=step)
            step *= rate
            parameter -= step

    return update


UPDATES = {"SGD": _sgd, "SGD with momentum": _momentum, "Adam": _adam}


def gemms(case: Case) -> Run:
    """The products of a step with NumPy's own BLAS, into arrays that are there already: nobody can be faster by much.

    Forward, weight gradient and input gradient of every layer (the first layer has no input gradient); in inference
    forward alone.
    """
    products = []
    x = case.x
    for index, (weight, _) in enumerate(case.layers):
        y = np.empty((case.batch, weight.shape[0]), case.dtype)
        products.append((x, weight.T, y))
        if case.task == "training":
            y.fill(0.5)
            products.append((y.T, x, np.empty_like(weight)))
            if index:
                products.append((y, weight, np.empty_like(x)))
        x = y

    def run(n: int) -> None:
        for _ in range(n):
            for left, right, out in products:
                np.dot(left, right, out=out)

    return run
