"""One training step of the note's 3-2-3-4 network, tinynn beside the note's corrected listing, float64.

    python tests/benchmarks/note_step.py

Both take turns in short slices of one process, since both are NumPy; printed are the medians of the times and of the
ratios, with the spread of the ratios over the rounds. Below 1 tinynn is faster.
"""

from __future__ import annotations

import itertools
import math
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

import tinynn as nn

SIZES = [3, 2, 3, 4]
LR = 0.001
ONE_OVER_PI = 1 / math.pi


def sigma(x: np.ndarray) -> np.ndarray:
    return np.arctan(x) * ONE_OVER_PI + 0.5


def d_sigma(x: np.ndarray) -> np.ndarray:
    return ONE_OVER_PI / (1 + (x**2))


def listing(
    weights: list[np.ndarray], biases: list[np.ndarray], x: np.ndarray, target: np.ndarray
) -> Callable[[], None]:
    """Return the step of the note's listing, its slips corrected and nothing else changed."""
    depth = len(weights)
    activation, z = [None] * depth, [None] * depth
    gradient_activation, gradient_bias, gradient_weight = [None] * depth, [None] * depth, [None] * depth

    def step() -> None:
        z[0] = np.matmul(weights[0], x) + biases[0]
        activation[0] = sigma(z[0])
        for n in range(1, depth):
            z[n] = np.matmul(weights[n], activation[n - 1]) + biases[n]
            activation[n] = sigma(z[n])
        gradient_activation[depth - 1] = activation[depth - 1] - target
        for n in range(depth - 1, 0, -1):
            gradient_bias[n] = d_sigma(z[n]) * gradient_activation[n]
            gradient_weight[n] = np.tensordot(gradient_bias[n], activation[n - 1], axes=0)
            gradient_activation[n - 1] = np.matmul(np.transpose(gradient_bias[n]), weights[n])
        gradient_bias[0] = d_sigma(z[0]) * gradient_activation[0]
        gradient_weight[0] = np.tensordot(gradient_bias[0], x, axes=0)
        for n in range(depth):
            weights[n] = weights[n] - LR * gradient_weight[n]
            biases[n] = biases[n] - LR * gradient_bias[n]

    return step


def framework(model: nn.Layer, x: np.ndarray, target: np.ndarray, *, input_gradient: bool) -> Callable[[], None]:
    """Return the step through the public interface."""
    loss_fn, optimizer = nn.MSELoss(), nn.SGD(model.parameters(), lr=LR)
    backward = model.backward if input_gradient else model.backward_parameters

    def step() -> None:
        loss_fn(model(x), target)
        optimizer.zero_grad()
        backward(loss_fn.backward())
        optimizer.step()

    return step


def build() -> nn.Sequential:
    rng = np.random.default_rng(0)
    layers = []
    for before, after in itertools.pairwise(SIZES):
        layers += [nn.Linear(before, after, rng=rng), nn.ArctanSigmoid()]
    return nn.Sequential(*layers)


def main(rounds: int = 100, steps: int = 200) -> None:
    x, target = np.ones(3), np.full(4, 2.0)
    start = build()
    arrays = [parameter.data.copy() for parameter in start.parameters()]
    contenders = {
        "the note's listing": listing(arrays[0::2], arrays[1::2], x, target),
        "tinynn, one sample": framework(build(), x, target, input_gradient=True),
        "tinynn, one sample, backward_parameters": framework(build(), x, target, input_gradient=False),
        "tinynn, a batch of one": framework(build(), x[None], target[None], input_gradient=True),
        "tinynn, a batch of one, backward_parameters": framework(build(), x[None], target[None], input_gradient=False),
    }
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for round_ in range(rounds + 1):
        for name, step in contenders.items():
            begin = time.perf_counter()
            for _ in range(steps):
                step()
            if round_:  # the first round warms up
                times[name].append((time.perf_counter() - begin) / steps * 1e6)
    reference = times["the note's listing"]
    print(f"Python {sys.version.split()[0]}, NumPy {np.__version__}, float64, {rounds} rounds of {steps} steps")
    print(f"{'':46}  µs/step  ratio  (10 % to 90 %)")
    for name, values in times.items():
        ratios = sorted(mine / theirs for mine, theirs in zip(values, reference, strict=True))
        low, high = ratios[len(ratios) // 10], ratios[-1 - len(ratios) // 10]
        print(
            f"{name:46}  {statistics.median(values):7.1f}  {statistics.median(ratios):5.2f}  ({low:.2f} to {high:.2f})"
        )


if __name__ == "__main__":
    main()
