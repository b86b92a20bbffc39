"""The types that signatures across the package share."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

__all__ = ["Array", "ArrayLike", "DTypeLike", "Reduction", "Seed", "Shape", "Size"]

Array: TypeAlias = NDArray[Any]
"""A NumPy array of any shape and dtype."""

Shape: TypeAlias = tuple[int, ...]
"""The shape of an array."""

Size: TypeAlias = int
"""A number of features, samples or classes: at least 1."""

Reduction: TypeAlias = Literal["mean", "sum", "none"]
"""How a loss joins the losses of single elements."""

Seed: TypeAlias = "np.random.Generator | int | None"
"""Where randomness comes from: a generator, a seed for one, or None for a fresh one."""
