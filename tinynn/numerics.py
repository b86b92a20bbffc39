"""Stable pure functions of arrays: right on the whole float line, without masks, warnings or loops.

They stay analytic, so that a complex step passes through them: ``maximum(x, -x)`` compares real parts and is the
absolute value without its kink in the complex direction.
"""

from __future__ import annotations

import numpy as np

from tinynn.typing import Array

__all__ = ["log_sum_exp", "sigmoid", "sigmoid_derivative"]


def sigmoid(x: Array) -> Array:
    """The logistic function 1 / (1 + e⁻ˣ), with full relative accuracy in both tails."""
    return np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.maximum(x, -x)))


def sigmoid_derivative(x: Array) -> Array:
    """The derivative of the logistic function, e⁻|ˣ| / (1 + e⁻|ˣ|)²."""
    decay = np.exp(-np.maximum(x, -x))
    return decay / ((1 + decay) * (1 + decay))


def log_sum_exp(x: Array, axis: int) -> Array:
    """log Σ eˣ along ``axis``, which is kept with length 1; never overflows.

    An infinite maximum is the answer itself; it is not subtracted, since ∞ - ∞ is no number.
    """
    largest = x.max(axis=axis, keepdims=True)
    shift = np.where(np.isfinite(largest), largest, 0)
    return np.log(np.exp(x - shift).sum(axis=axis, keepdims=True)) + shift
