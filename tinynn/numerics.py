"""Stable pure functions of arrays: right on the whole float line, without masks, warnings or loops.

They stay analytic, so that a complex step passes through them: ``maximum(x, -x)`` compares real parts and is the
absolute value without its kink in the complex direction.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynn.typing import Array

__all__ = ["Constant", "log_sum_exp", "sigmoid", "sigmoid_derivative"]


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


def log_sum_exp(x: Array, axis: int) -> Array:
    """Return log Σ eˣ along ``axis``, which is kept with length 1; never overflows.

    An infinite maximum is the answer itself; it is not subtracted, since ∞ - ∞ is no number.
    """
    largest = x.max(axis=axis, keepdims=True)
    shift = np.where(np.isfinite(largest), largest, 0)
    y: Array = np.log(np.exp(x - shift).sum(axis=axis, keepdims=True)) + shift
    return y
