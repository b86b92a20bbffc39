"""A curve through noisy points: the smallest useful network, one hidden layer of arctan sigmoids.

200 points are measured on a curve, each with an error of known size. The model fits them with the note's half squared
error, which `MSELoss` computes unless told otherwise, and the picture shows points, curve and fit. Since the size of
the errors is known, so is the loss that a good fit ends with: half their variance. A much smaller one would mean that
the model had learned the errors.

All numbers are float64.

    python examples/regression.py            prints the loss, then saves pictures/regression.png
"""

from __future__ import annotations

import argparse
import functools
from pathlib import Path

import numpy as np

import tinynn as nn
from tinynn.typing import Array

try:
    from matplotlib.figure import Figure
except ImportError as error:
    message = 'this example draws with an optional package: python -m pip install -e ".[examples]"'
    raise nn.errors.MissingExtraError(message) from error

NOISE = 0.15  # standard deviation of the errors
LEARNING_RATE = 0.05  # at the start; it falls to zero on a straight line


def curve(x: Array) -> Array:
    """Return the curve that is measured."""
    return np.sin(2 * x) + x / 2


def build_model(rng: np.random.Generator) -> nn.Sequential:
    """Return a model from one number to one number.

    A unit of the hidden layer is a step at x = -b/w, where its input changes sign. So that there are steps everywhere
    between -3 and 3, b is drawn from a range three times as wide as the typical w.
    """
    weight_init = functools.partial(nn.init.normal_, std=2)
    bias_init = functools.partial(nn.init.uniform_, a=-6, b=6)
    return nn.Sequential(
        nn.Linear(1, 64, rng=rng, weight_init=weight_init, bias_init=bias_init),
        nn.ArctanSigmoid(),
        nn.Linear(64, 1, rng=rng),
    )


def train(model: nn.Sequential, x: Array, y: Array, epochs: int, rng: np.random.Generator) -> list[float]:
    """Fit the model, and return the loss over all points after each epoch."""
    loss_fn = nn.MSELoss()
    optimizer = nn.SGD(model.parameters(), lr=LEARNING_RATE, momentum=0.9)
    losses = []
    for epoch in range(epochs):
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * (1 - epoch / epochs)
        for xs, ys in nn.data.batches(x, y, batch_size=20, shuffle=True, rng=rng):
            loss_fn(model(xs), ys)
            optimizer.zero_grad()
            model.backward_parameters(loss_fn.backward())
            optimizer.step()
        with nn.no_grad():
            losses.append(loss_fn(model(x), y).item())
    return losses


def draw(x: Array, y: Array, model: nn.Sequential, losses: list[float], path: Path) -> None:
    """Save points, curve and fit, and the loss beside them, as one picture."""
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(2, 1))

    grid = np.linspace(-3, 3, 301)[:, np.newaxis]  # (301, 1)
    with nn.no_grad():
        fit = model(grid)
    left.scatter(x, y, s=8, color="tab:gray", label="measured")
    left.plot(grid, curve(grid), color="black", linestyle="--", label="curve")
    left.plot(grid, fit, color="tab:orange", label="fit")
    left.set(xlabel="x", ylabel="y", title="data and fit")
    left.legend()

    right.semilogy(range(1, len(losses) + 1), losses)
    right.axhline(NOISE**2 / 2, color="black", linestyle="--", label="half the errors' variance")
    right.set(xlabel="epoch", ylabel="loss", title="learning curve")
    right.legend(loc="upper right")

    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


def main(arguments: list[str] | None = None) -> tuple[float, float]:
    """Fit and draw; return the last loss, and the typical distance of the fit from the curve."""
    parser = argparse.ArgumentParser(description="Fit a curve through noisy points.")
    parser.add_argument("--seed", type=int, default=0, help="of the data, the start and the order (default: 0)")
    parser.add_argument("--epochs", type=int, default=300, help="default: 300")
    parser.add_argument("--pictures", type=Path, default=Path("pictures"), help="folder to save the picture in")
    options = parser.parse_args(arguments)
    if options.epochs < 1:
        parser.error("--epochs is at least 1")

    rng = np.random.default_rng(options.seed)
    x = rng.uniform(-3, 3, (200, 1))
    y = curve(x) + rng.normal(0, NOISE, x.shape)
    model = build_model(rng)
    losses = train(model, x, y, options.epochs, rng)
    with nn.no_grad():
        distance = float(np.sqrt(np.mean((model(x) - curve(x)) ** 2)))

    for epoch in range(0, options.epochs, 50):
        print(f"epoch {epoch + 1:3}: loss {losses[epoch]:.5f}")
    print(f"at the end: loss {losses[-1]:.5f}; half the variance of the errors is {NOISE**2 / 2:.5f}")
    print(f"typical distance of the fit from the curve: {distance:.3f}; of the points from the curve: {NOISE}")

    path = options.pictures / "regression.png"
    draw(x, y, model, losses, path)
    print(f"saved {path}")
    return losses[-1], distance


if __name__ == "__main__":
    main()
