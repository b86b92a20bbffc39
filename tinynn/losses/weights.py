"""Weights of classes and of elements: what `CrossEntropyLoss` and its like are given as ``weight``."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynn.core.arrays import as_array, cast, floating
from tinynn.core.parameter import Buffer
from tinynn.errors import ArgumentError, ShapeError, expects
from tinynn.typing import Array, ArrayLike

__all__ = ["as_buffer", "fitting", "weighted"]


def as_buffer(owner: str, name: str, value: ArrayLike | None) -> Buffer | None:
    """Return weights as a part of the state; None stays None.

    Raises:
        ArgumentError: if one of them is not finite.
    """
    if value is None:
        return None
    array = floating(as_array(owner, name, value))
    if not np.isfinite(array).all():
        wrong = array[~np.isfinite(array)][0]
        raise ArgumentError(expects(owner, f"{name} to be finite numbers", f"{wrong} among them"))
    return Buffer(array)


def fitting(owner: Any, name: str, weights: Buffer, x: Array) -> Array:
    """Return weights for the elements of ``x``, in its dtype; they are broadcast to its shape, but not beyond.

    Raises:
        ShapeError: if that cannot be done.
    """
    lengths = zip(reversed(weights.shape), reversed(x.shape), strict=False)
    if weights.ndim > x.ndim or any(length not in (1, wanted) for length, wanted in lengths):
        what = f"prediction whose last axes fit {name} of shape {weights.shape}"
        raise ShapeError(expects(owner, what, x.shape))
    return cast(weights.data, x.dtype)


def weighted(weights: Array, x: Array) -> Array:
    """Return weights · x, where nothing of any number is nothing: 0 · ∞ = 0. What is no number stays that."""
    y: Array = weights * np.where(weights == 0, np.sign(x), x)
    return y
