"""Nonlinearities, each from a function and its derivative.

The functions are pure: arrays in, arrays out, no masks and no state, defined here at module level. Each layer below
ties a pair of them together.
"""

from __future__ import annotations

import math

import numpy as np
from typing_extensions import override

from tinynn.layers.elementwise import Elementwise
from tinynn.numerics import Constant, sigmoid, sigmoid_derivative
from tinynn.typing import Array

__all__ = ["ArctanSigmoid", "ReLU", "Sigmoid", "Tanh"]

ONE_OVER_PI, HALF, ONE = Constant(1 / math.pi), Constant(0.5), Constant(1.0)


def arctan_sigmoid(x: Array) -> Array:
    """σ(x) = arctan(x)/π + ½."""
    y: Array = np.arctan(x)
    dtype = y.dtype
    y *= ONE_OVER_PI[dtype]
    y += HALF[dtype]
    return y


def arctan_sigmoid_derivative(x: Array) -> Array:
    """σ'(x) = (1/π) / (1 + x²)."""
    y = x * x
    dtype = y.dtype
    y += ONE[dtype]
    slope: Array = ONE_OVER_PI[dtype] / y
    return slope


def relu(x: Array) -> Array:
    """max(x, 0)."""
    y: Array = np.maximum(x, 0)
    return y


def relu_derivative(x: Array) -> Array:
    """1 where x > 0, else 0."""
    return (x > 0).astype(x.dtype)


def tanh(x: Array) -> Array:
    """The hyperbolic tangent."""
    y: Array = np.tanh(x)
    return y


def tanh_derivative(x: Array) -> Array:
    """1 - tanh²(x)."""
    y = np.tanh(x)
    return 1 - y * y


class ArctanSigmoid(Elementwise):
    """y = arctan(x)/π + ½, the note's nonlinearity: it takes values in (0, 1), and approaches them slowly.

    Backward:
        ∂L/∂x = grad · (1/π) / (1 + x²).

    Shapes:
        x of any shape, y the same.

    References:
        The note, sections 1 and 2.

    Example:
        >>> nn.ArctanSigmoid()(np.array([-1.0, 0.0, 1.0]))
        array([0.25, 0.5 , 0.75])
    """

    function = staticmethod(arctan_sigmoid)
    derivative = staticmethod(arctan_sigmoid_derivative)


class ReLU(Elementwise):
    """y = max(x, 0).

    Backward:
        ∂L/∂x = grad where x > 0, else 0; at the kink, x = 0, it is 0 as in PyTorch.

    Shapes:
        x of any shape, y the same.
    """

    function = staticmethod(relu)
    derivative = staticmethod(relu_derivative)

    @override
    def backward(self, grad: Array) -> Array:
        x = self.saved.pop()
        return np.where(x <= 0, 0, grad)  # where 0 · ∞ is 0


class Sigmoid(Elementwise):
    """y = 1 / (1 + e⁻ˣ), the logistic function.

    Backward:
        ∂L/∂x = grad · y (1 - y).

    Shapes:
        x of any shape, y the same.
    """

    function = staticmethod(sigmoid)
    derivative = staticmethod(sigmoid_derivative)


class Tanh(Elementwise):
    """y = tanh(x).

    Backward:
        ∂L/∂x = grad · (1 - y²).

    Shapes:
        x of any shape, y the same.
    """

    function = staticmethod(tanh)
    derivative = staticmethod(tanh_derivative)
