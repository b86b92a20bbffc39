"""The types that signatures across the package share."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

__all__ = ["Array", "ArrayLike", "DTypeLike", "Seed", "Shape"]

Array: TypeAlias = NDArray[Any]
"""A NumPy array of any shape and dtype."""

Shape: TypeAlias = tuple[int, ...]
"""The shape of an array."""

Seed: TypeAlias = "np.random.Generator | int | None"
"""Where randomness comes from: a generator, a seed for one, or None for a fresh one."""
