"""Stable pure functions of arrays: right on the whole float line, without masks, warnings or loops.

They stay analytic, so that a complex step passes through them: ``maximum(x, -x)`` compares real parts and is the
absolute value without its kink in the complex direction.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import numpy as np

from tinynn.typing import Array

__all__ = [
    "absolute",
    "clamp",
    "constant",
    "log_softmax",
    "narrowed",
    "normal_cdf",
    "normal_density",
    "sigmoid",
    "sigmoid_derivative",
    "softmax",
    "softplus",
    "widened",
]


def constant(value: float) -> defaultdict[np.dtype[Any], Any]:
    """Return a number as NumPy takes it fastest, ``HALF[x.dtype]``: an array without axes, of the dtype of its partner.

    A Python number is turned into such an array in every operation, which takes as long as the operation itself where
    arrays are small. Other dtypes get the Python number.
    """
    return defaultdict(lambda: value, {np.dtype(dtype): np.array(value, dtype) for dtype in (np.float32, np.float64)})


def widened(x: Array) -> Array:
    """x in float32 where it is float16, whose sums and squares soon leave its range and its digits; else x itself."""
    return x.astype(np.float32) if x.dtype.itemsize < 4 else x


def narrowed(y: Array, dtype: np.dtype[Any]) -> Array:
    """y in float16 again, if that is the dtype of what was `widened`; else y itself."""
    if dtype.itemsize >= 4:
        return y
    with np.errstate(over="ignore"):  # what is too large is ∞ there
        return y.astype(np.float16)


def absolute(x: Array) -> Array:
    """|x|, without its kink in the complex direction."""
    y: Array = np.maximum(x, -x)
    return y


def clamp(x: Array, low: float, high: float) -> Array:
    """The number nearest to x between ``low`` and ``high``."""
    y: Array = np.minimum(np.maximum(x, low), high)
    return y


def sigmoid(x: Array) -> Array:
    """The logistic function 1 / (1 + e⁻ˣ), with full relative accuracy in both tails."""
    y: Array = np.exp(np.minimum(x, 0)) / (1 + np.exp(-absolute(x)))
    return y


def sigmoid_derivative(x: Array) -> Array:
    """The derivative of the logistic function, e⁻|ˣ| / (1 + e⁻|ˣ|)²."""
    decay = np.exp(-absolute(x))
    y: Array = decay / ((1 + decay) * (1 + decay))
    return y


def softplus(x: Array) -> Array:
    """log(1 + eˣ), with full relative accuracy where it is small."""
    y: Array = np.maximum(x, 0) + np.log1p(np.exp(-absolute(x)))
    return y


MILLS_ABOVE = [
    *(1.3993048118643565e-06, 3.757916535870989e-05, 0.0004941506706428816, 0.004115983017212425),
    *(0.023751350888201746, 0.0981308959658345, 0.2903132931433541, 0.5954446719693803, 0.7758577209030002, 0.5),
]
MILLS_BELOW = [
    *(3.5075370062550256e-06, 9.419699842335464e-05, 0.0012421595801411335, 0.010411436397331716, 0.06076744505109421),
    *(0.2561065130662715, 0.7848013162542371, 1.718839864814702, 2.5655989100829704, 2.349600002608859, 1.0),
]
MILLS = [[constant(value) for value in coefficients] for coefficients in (MILLS_ABOVE, MILLS_BELOW)]
"""Two polynomials, highest power first, whose quotient is Φ(-x) exp(x²/2) for x from 0 to 39, to 1e-16: it agrees in
twenty points, which lie as Chebyshev's do for (x - 4) / (x + 4). No coefficient is negative, so no digits are lost."""


def normal_cdf(x: Array) -> Array:
    """Φ(x) = ½ (1 + erf(x/√2)), the share of the normal distribution below x.

    The relative error is a few units in the last place; far to the left, where Φ(x) is as small as exp(-x²/2), it
    grows with x².
    """
    x = widened(x)  # in float16 the polynomials overflow
    distance = np.minimum(absolute(x), 200)  # further out, Φ is 0 or 1
    tail, below = (_polynomial(coefficients, distance) for coefficients in MILLS)
    tail /= below
    distance *= distance
    distance *= -0.5
    tail *= np.exp(distance)
    return np.where(x < 0, tail, 1 - tail)


def normal_density(x: Array) -> Array:
    """φ(x) = exp(-x²/2) / √(2π), the density of the normal distribution."""
    y: Array = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    return y


def _polynomial(coefficients: list[defaultdict[np.dtype[Any], Any]], x: Array) -> Array:
    dtype = x.dtype
    y = np.full_like(x, coefficients[0][dtype])
    for coefficient in coefficients[1:]:
        y *= x
        y += coefficient[dtype]
    return y


def log_softmax(x: Array, axis: int) -> Array:
    """Return log(eˣ / Σ eˣ), the sum running along ``axis``; never overflows, and large numbers lose no digits.

    The largest number is subtracted first; an infinite one leaves the others with probability 0.
    """
    if not x.size:  # there is no logarithm of an empty sum
        return x
    shifted = _below_largest(widened(x), axis)
    y: Array = shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
    return narrowed(y, x.dtype)


def softmax(x: Array, axis: int) -> Array:
    """Return eˣ / Σ eˣ, the sum running along ``axis``; as `log_softmax` it never overflows."""
    y: Array = np.exp(_below_largest(widened(x), axis))
    y /= y.sum(axis=axis, keepdims=True)
    return narrowed(y, x.dtype)


def _below_largest(x: Array, axis: int) -> Array:
    largest = x.max(axis=axis, keepdims=True, initial=-np.inf)
    with np.errstate(over="ignore", invalid="ignore"):  # of numbers at both ends of the float line, and of ∞ - ∞
        return np.where(x == largest, 0, x - largest)
