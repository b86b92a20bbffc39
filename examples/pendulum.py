"""The period of a pendulum, learned without a remainder: a method of second order goes on where Adam gets stuck.

A pendulum that swings far takes longer than one that swings little. By how much follows from its greatest angle θ: the
period is 1 / M(1, cos(θ/2)) times that of small swings, where M is the mean of Gauss, which is computed by taking
arithmetic and geometric means of two numbers until they agree. A network with ten hidden units is to learn that
function from 40 points without errors, so the loss can become as small as one likes. L-BFGS-B, which `nn.minimize`
hands the model to, and Adam, with a rate that falls to zero, begin at the same parameters. L-BFGS-B stops at a loss of
1e-8; Adam is then given ten times as many gradients, and its best rate.

All numbers are float64. Needs SciPy: python -m pip install -e ".[scipy]"

    python examples/pendulum.py            prints the losses and the largest errors
"""

from __future__ import annotations

import argparse

import numpy as np

import tinynn as nn
from tinynn.typing import Array

LARGEST = 2.0  # radians, 115 degrees
GOAL = 1e-8
RATE = 0.05  # of Adam: the best of 0.002, 0.005, 0.01, 0.02, 0.05 and 0.1
MORE = 10  # how many gradients Adam is given for each of L-BFGS-B


def period(angle: Array) -> Array:
    """Return the period for a greatest angle in radians, as a multiple of that of small swings."""
    a, b = np.ones_like(angle), np.cos(angle / 2)
    for _ in range(8):
        a, b = (a + b) / 2, np.sqrt(a * b)
    return 1 / a


def build_model(seed: int) -> nn.Sequential:
    """Return a model from an angle to a period."""
    rng = np.random.default_rng(seed)
    return nn.Sequential(nn.Linear(1, 10, rng=rng), nn.Tanh(), nn.Linear(10, 1, rng=rng))


def train_with_adam(model: nn.Sequential, x: Array, y: Array, steps: int) -> float:
    """Fit the model by Adam on all points at once, and return the loss."""
    loss_fn = nn.MSELoss()
    optimizer = nn.Adam(model.parameters(), lr=RATE)
    scheduler = nn.CosineAnnealingLR(optimizer, T_max=steps)
    for _ in range(steps):
        loss_fn(model(x), y)
        optimizer.zero_grad()
        model.backward_parameters(loss_fn.backward())
        optimizer.step()
        scheduler.step()
    return loss_fn(model(x), y).item()


def main(arguments: list[str] | None = None) -> tuple[float, float]:
    """Train twice; return the loss of L-BFGS-B and that of Adam."""
    parser = argparse.ArgumentParser(description="Learn the period of a pendulum.")
    parser.add_argument("--seed", type=int, default=0, help="of the start (default: 0)")
    options = parser.parse_args(arguments)

    x = np.linspace(0, LARGEST, 40)[:, np.newaxis]
    y = period(x)
    between = (x[1:] + x[:-1]) / 2

    model = build_model(options.seed)
    limits = {"maxiter": 10_000, "maxfun": 10_000, "ftol": 0, "gtol": 0, "maxcor": 50}
    result = nn.minimize(model, nn.MSELoss(), x, y, options=limits, callback=stop_at_the_goal)
    other = build_model(options.seed)
    loss = train_with_adam(other, x, y, steps=MORE * result.nfev)

    for name, fit, reached, count in (
        ("L-BFGS-B", model, result.fun, result.nfev),
        ("Adam", other, loss, MORE * result.nfev),
    ):
        with nn.no_grad():
            error = np.abs(fit(between) - period(between)).max()
        print(f"{name:8}: loss {reached:.1e} after {count} gradients, largest error between the points {error:.1e}")
    return float(result.fun), loss


def stop_at_the_goal(intermediate_result: object) -> None:
    """Stop when the loss is small enough."""
    if intermediate_result.fun < GOAL:  # type: ignore[attr-defined]
        raise StopIteration


if __name__ == "__main__":
    main()
