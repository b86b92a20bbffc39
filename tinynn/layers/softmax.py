"""Layers that turn scores into shares along an axis."""

from __future__ import annotations

import numpy as np
from typing_extensions import override

from tinynn.core.arguments import axis_in, integer
from tinynn.core.layer import Layer
from tinynn.errors import ArgumentTypeError, expects
from tinynn.numerics import log_softmax, narrowed, softmax, widened
from tinynn.typing import Array

__all__ = ["LogSoftmax", "Softmax", "Softmin"]


class AlongAxis(Layer):
    """A layer that works along one axis, ``dim``."""

    def __init__(self, dim: int | None = None) -> None:
        name = type(self).__name__
        if dim is None:
            remedy = "write dim=1 for scores of shape (samples, classes, ...), dim=-1 for the last axis"
            raise ArgumentTypeError(expects(name, "dim to be the number of an axis", "None", remedy))
        self.dim = integer(name, "dim", dim)

    def axis(self, x: Array) -> int:
        """Return the axis, once it is clear that x has it; a number alone counts as an axis of one element."""
        return axis_in(self, self.dim, x.shape or (1,))

    @override
    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmax(AlongAxis):
    """y = eˣ / Σ eˣ, the sum running along an axis: positive numbers that add up to 1.

    Backward:
        ∂L/∂x = y · (grad - Σ grad · y).

    Shapes:
        x of any shape, y the same.

    Args:
        dim: the axis. PyTorch guesses one, and warns, where none is given; here it has to be.

    Raises:
        ShapeError: if x has no such axis.

    Example:
        >>> nn.Softmax(dim=-1)(np.log([1.0, 2.0, 5.0]))
        array([0.125, 0.25 , 0.625])
    """

    @override
    def forward(self, x: Array) -> Array:
        y = softmax(x, self.axis(x))
        self.saved.push(y)
        return y

    @override
    def backward(self, grad: Array) -> Array:
        y = self.saved.pop()
        product = y * widened(grad)
        at_input: Array = product - y * product.sum(axis=self.dim, keepdims=True)
        return narrowed(at_input, grad.dtype)


class Softmin(Softmax):
    """y = e⁻ˣ / Σ e⁻ˣ, the sum running along an axis: `Softmax` of -x.

    Backward:
        ∂L/∂x = -y · (grad - Σ grad · y).

    Shapes:
        x of any shape, y the same.

    Args:
        dim: the axis, which has to be given.

    Raises:
        ShapeError: if x has no such axis.
    """

    @override
    def forward(self, x: Array) -> Array:
        return super().forward(-x)

    @override
    def backward(self, grad: Array) -> Array:
        return -super().backward(grad)


class LogSoftmax(AlongAxis):
    """y = log(eˣ / Σ eˣ), the sum running along an axis: logarithms of probabilities.

    Backward:
        ∂L/∂x = grad - eʸ Σ grad.

    Shapes:
        x of any shape, y the same.

    Args:
        dim: the axis, which has to be given.

    Raises:
        ShapeError: if x has no such axis.
    """

    @override
    def forward(self, x: Array) -> Array:
        y = log_softmax(x, self.axis(x))
        self.saved.push(y)
        return y

    @override
    def backward(self, grad: Array) -> Array:
        y = self.saved.pop()
        at_input: Array = grad - np.exp(y) * widened(grad).sum(axis=self.dim, keepdims=True)
        return narrowed(at_input, grad.dtype)
