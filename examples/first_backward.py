"""Three wrong gradients and what the checker says of them; then every law of a layer, a loss and an optimizer.

Each mistake is easily made and hard to see: the numbers look like a gradient, and a network even learns with them, only
worse. `check_gradients` measures the gradient of what forward really computes and names the slip. Then the layer, put
right, is held to everything that tinynn promises of a layer.

    python examples/first_backward.py
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import tinynn as nn
from tinynn.testing import GradientError, LawReport, check_gradients, check_layer, check_loss, check_optimizer
from tinynn.typing import Array


class Weighted(nn.Layer):
    """y = (x Wᵀ)².

    Backward:
        With z = x Wᵀ and G = 2 z ⊙ grad: ∂L/∂W = Gᵀ x, summed over the samples by the product, and ∂L/∂x = G W.

    Shapes:
        x (samples, features), y the same.
    """

    def __init__(self, features: int = 3, *, rng: np.random.Generator) -> None:
        self.weight = nn.Parameter(np.zeros((features, features)))
        self.draw_parameters(rng)

    def draw_parameters(self, rng: np.random.Generator) -> None:
        """Draw the weight from a normal distribution."""
        nn.init.normal_(self.weight, rng=rng)

    def forward(self, x: Array) -> Array:
        """Return (x Wᵀ)²."""
        z = x @ self.weight.data.T
        self.saved.push((x, z))
        return z * z

    def backward(self, grad: Array) -> Array:
        """Return ∂L/∂x, and add ∂L/∂W."""
        x, z = self.saved.pop()
        g = 2 * z * grad
        self.weight.add_grad(g.T @ x)
        return g @ self.weight.data


# The same layer, three times wrong.


class WithoutTheTwo(Weighted):
    """The derivative of z² is 2 z."""

    def backward(self, grad: Array) -> Array:
        """Forget a factor."""
        return super().backward(grad / 2)


class Transposed(Weighted):
    """The gradient at the weight is Gᵀ x."""

    def backward(self, grad: Array) -> Array:
        """Multiply in the wrong order: the shape is right all the same."""
        x, z = self.saved.pop()
        g = 2 * z * grad
        self.weight.add_grad(x.T @ g)
        return g @ self.weight.data


class KeptOnSelf(Weighted):
    """What backward needs belongs to the call, not to the layer."""

    def forward(self, x: Array) -> Array:
        """Overwrite what an earlier call has kept."""
        self.x, self.z = x, x @ self.weight.data.T
        return self.z**2

    def backward(self, grad: Array) -> Array:
        """Use what the latest call has kept, whichever call is undone."""
        g = 2 * self.z * grad
        self.weight.add_grad(g.T @ self.x)
        return g @ self.weight.data


class LogCosh(nn.Loss):
    """L = log cosh(a - a*): like a square close by, like an absolute value far away."""

    def forward(self, prediction: Array, target: Array) -> Any:
        """Return the loss, which is computed without an overflow of cosh."""
        if prediction.shape != target.shape:
            raise self.wrong_shape(prediction, target)
        error = prediction - target.astype(prediction.dtype)
        losses = np.logaddexp(error, -error) - float(np.log(2))
        self.saved.push((np.tanh(error), self.share(losses)))
        return self.reduce(losses)

    def backward(self, grad: Any = None) -> Array:
        """Return ∂L/∂a = tanh(a - a*), times what the reduction multiplies by."""
        slope, share = self.saved.pop()
        return self.times(slope, share, grad)


def momentum(data: Array, grads: list[Array]) -> Iterator[Array]:
    """Yield a parameter after each step of gradient descent with momentum, as the books have it."""
    v = np.zeros_like(data)
    for grad in grads:
        v = 0.9 * v + grad
        data = data - 0.1 * v
        yield data


def diagnoses(layer: nn.Layer, x: Array) -> list[str]:
    """Print what the checker says of a layer; return the words that it has for it."""
    print(f"{type(layer).__name__}:")
    try:
        report = check_gradients(layer, x)
    except GradientError as error:
        for finding in error.findings:
            print(f"  {finding}")
        return [finding.diagnosis for finding in error.findings]
    print(f"  right, to {report.largest.error:.0e}, by {report.largest.method} steps")
    return []


def main() -> tuple[dict[str, list[str]], list[LawReport]]:
    """Return what was said of each layer, and the tables of the laws."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 3))
    said = {cls.__name__: diagnoses(cls(rng=rng), x) for cls in (WithoutTheTwo, Transposed, KeptOnSelf, Weighted)}
    print()
    reports = [check_layer(Weighted, (5, 3))]
    print()
    reports += [check_loss(LogCosh, (5, 3), (5, 3))]
    print()
    reports += [check_optimizer(lambda params: nn.SGD(params, lr=0.1, momentum=0.9), momentum)]
    return said, reports


if __name__ == "__main__":
    main()
