"""Layers of one's own: a nonlinearity from two functions, and a layer with parameters from forward and backward.

The two make a network of bells. `Distances` measures how far a point is from each of its centres, which it learns;
`Bell` turns a distance into a height, 1 at the centre and falling from there; a `Linear` layer adds the bells up. The
network learns a landscape over the plane from 400 noisy measurements.

Before that, every gradient written by hand here is compared with central differences, in a few lines of NumPy.

All numbers are float64, as they should be where gradients are checked. This example needs nothing but NumPy.

    python examples/custom_layer.py
"""

from __future__ import annotations

import argparse

import numpy as np

import tinynn as nn
from tinynn.typing import Array

NOISE = 0.1  # standard deviation of the measurements
LEARNING_RATE = 0.1  # at the start

# A nonlinearity is two functions of arrays, as the note writes them: sigma and its derivative. They are defined at the
# level of the module, so that a model with this layer can be pickled.


def bell(x: Array) -> Array:
    """σ(x) = e⁻ˣ."""
    return np.exp(-x)


def bell_derivative(x: Array) -> Array:
    """σ'(x) = -e⁻ˣ."""
    return -np.exp(-x)


class Bell(nn.Elementwise):
    """y = e⁻ˣ: a bell over the plane where x is a squared distance."""

    function = staticmethod(bell)
    derivative = staticmethod(bell_derivative)


# A layer with parameters is two methods, forward and backward. The others here are a courtesy: draw_parameters lets
# reset_parameters draw the centres anew, extra_repr lets print show their number.


class Distances(nn.Layer):
    """yₖ = Σᵢ (xᵢ - cₖᵢ)²: the squared distance of a point to each of the centres c.

    Backward:
        ∂L/∂xᵢ = Σₖ 2 gradₖ (xᵢ - cₖᵢ), and ∂L/∂cₖᵢ is -2 gradₖ (xᵢ - cₖᵢ), added up over the points.

    Shapes:
        x (points, features), y (points, centres); centres (centres, features).
    """

    def __init__(self, features: int, centres: int, *, rng: np.random.Generator) -> None:
        self.centres = nn.Parameter(np.empty((centres, features)))
        self.draw_parameters(rng)

    def draw_parameters(self, rng: np.random.Generator) -> None:
        """Draw the centres: `reset_parameters` calls this."""
        self.centres.data = rng.uniform(-2, 2, self.centres.shape)

    def extra_repr(self) -> str:
        """Return what `print(model)` shows between the parentheses."""
        return f"{self.centres.shape[1]}, {self.centres.shape[0]}"

    def forward(self, x: Array) -> Array:
        """Return the squared distances."""
        differences = x[:, np.newaxis, :] - self.centres.data  # (points, centres, features)
        self.saved.push(differences)
        return np.sum(differences**2, axis=2)

    def backward(self, grad: Array) -> Array:
        """Add to the gradient of the centres, and return the gradient at x."""
        differences = self.saved.pop()
        at_differences = 2 * grad[:, :, np.newaxis] * differences  # (points, centres, features)
        self.centres.add_grad(-at_differences.sum(axis=0))
        return at_differences.sum(axis=1)


def build_model(rng: np.random.Generator) -> nn.Sequential:
    """Return a model that mixes layers of one's own with those of tinynn."""
    return nn.Sequential(
        nn.Linear(2, 2, rng=rng),  # turns and stretches the plane
        Distances(2, 12, rng=rng),
        Bell(),
        nn.Linear(12, 1, rng=rng),
    )


def largest_gradient_error(model: nn.Layer, x: Array, target: Array) -> float:
    """Compare the gradient of every single number in the model, and in x, with a central difference."""
    loss_fn = nn.MSELoss()
    loss_fn(model(x), target)
    model.zero_grad()
    at_x = model.backward(loss_fn.backward())
    pairs = [(x, at_x)] + [(parameter.data, parameter.grad) for parameter in model.parameters()]

    step, largest = 1e-5, 0.0
    for array, gradient in pairs:
        for index in np.ndindex(array.shape):
            kept = array[index]
            array[index] = kept + step
            above = loss_fn(model(x), target)
            array[index] = kept - step
            below = loss_fn(model(x), target)
            array[index] = kept
            largest = max(largest, abs((above - below) / (2 * step) - gradient[index]))
    return float(largest)


def measure(points: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return points of the plane and the noisy heights of a landscape there: a hill, a long one, and a hollow."""
    x = rng.uniform(-2, 2, (points, 2))
    east, north = x[:, :1], x[:, 1:]
    hill = np.exp(-((east - 1) ** 2) - (north - 1) ** 2)
    ridge = np.exp(-((east + 1) ** 2) / 2 - 2 * north**2)
    hollow = np.exp(-2 * (east - 1) ** 2 - (north + 1) ** 2)
    heights = hill + ridge - hollow
    return x, heights + rng.normal(0, NOISE, heights.shape)


def main(arguments: list[str] | None = None) -> tuple[float, float, float]:
    """Check the gradients, then train; return the largest error of a gradient, and the first and the last loss."""
    parser = argparse.ArgumentParser(description="Check and train a network with layers of one's own.")
    parser.add_argument("--seed", type=int, default=0, help="of the data, the start and the order (default: 0)")
    parser.add_argument("--epochs", type=int, default=100, help="default: 100")
    options = parser.parse_args(arguments)

    rng = np.random.default_rng(options.seed)
    x, target = measure(400, rng)
    model = build_model(rng)
    print(model)

    error = largest_gradient_error(model, x[:5].copy(), target[:5])
    print(f"largest difference between a gradient and a central difference: {error:.1e}")

    model.reset_parameters(rng=options.seed)  # draws the centres too
    loss_fn = nn.MSELoss()
    optimizer = nn.SGD(model.parameters(), lr=LEARNING_RATE, momentum=0.9)
    with nn.no_grad():
        first = last = loss_fn(model(x), target).item()
    print(f"loss before training: {first:.4f}")
    for epoch in range(1, options.epochs + 1):
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * (1 - (epoch - 1) / options.epochs)  # down to zero
        for xs, targets in nn.data.batches(x, target, batch_size=20, shuffle=True, rng=rng):
            loss_fn(model(xs), targets)
            optimizer.zero_grad()
            model.backward_parameters(loss_fn.backward())
            optimizer.step()
        with nn.no_grad():
            last = loss_fn(model(x), target).item()
        if epoch % 25 == 0:
            print(f"epoch {epoch:3}: loss {last:.5f}")
    print(f"half the variance of the noise, which no model can explain: {NOISE**2 / 2:.5f}")
    return error, first, last


if __name__ == "__main__":
    main()
