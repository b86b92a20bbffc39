"""Stable pure functions of arrays: right on the whole float line, without masks, warnings or loops.

They stay analytic, so that a complex step passes through them: ``maximum(x, -x)`` compares real parts and is the
absolute value without its kink in the complex direction.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynn.typing import Array

__all__ = ["Constant", "log_softmax", "sigmoid", "sigmoid_derivative"]


class Constant(dict[np.dtype[Any], Any]):
    """A number as NumPy takes it fastest, ``HALF[x.dtype]``: an array without axes, of the dtype of its partner.

    A Python number is turned into such an array in every operation, which takes as long as the operation itself where
    arrays are small.
    """

    def __init__(self, value: float) -> None:
        super().__init__({np.dtype(dtype): np.array(value, dtype) for dtype in (np.float32, np.float64)})
        self.value = value

    def __missing__(self, dtype: np.dtype[Any]) -> float:
        return self.value  # a Python number takes the dtype of its partner


def sigmoid(x: Array) -> Array:
    """The logistic function 1 / (1 + e⁻ˣ), with full relative accuracy in both tails."""
    y: Array = np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.maximum(x, -x)))
    return y


def sigmoid_derivative(x: Array) -> Array:
    """The derivative of the logistic function, e⁻|ˣ| / (1 + e⁻|ˣ|)²."""
    decay = np.exp(-np.maximum(x, -x))
    y: Array = decay / ((1 + decay) * (1 + decay))
    return y


def log_softmax(x: Array, axis: int) -> Array:
    """Return log(eˣ / Σ eˣ), the sum running along ``axis``; never overflows, and large numbers lose no digits.

    The largest number is subtracted first; an infinite one leaves the others with probability 0.
    """
    largest = x.max(axis=axis, keepdims=True, initial=-np.inf)
    with np.errstate(over="ignore", invalid="ignore"):  # of numbers at both ends of the float line, and of ∞ - ∞
        shifted = np.where(x == largest, 0, x - largest)
    y: Array = shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
    return y
