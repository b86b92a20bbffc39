"""Layers that move numbers to other places and change none of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from typing_extensions import override

from tinynn.core.arguments import axis_in, integer
from tinynn.core.layer import Layer
from tinynn.errors import ArgumentError, ArgumentTypeError, ShapeError, expects
from tinynn.typing import Array

__all__ = ["Flatten", "Unflatten"]


class Reshaping(Layer):
    """What the layers here share: backward gives the shape back."""

    takes_integers = True

    @override
    def backward(self, grad: Array | None) -> Array | None:
        shape = self.saved.pop()
        return None if grad is None else grad.reshape(shape)  # there is no gradient at integers


class Flatten(Reshaping):
    """y has the numbers of x, with the axes from ``start_dim`` to ``end_dim`` joined into one.

    Backward:
        ∂L/∂x = grad in the shape of x.

    Shapes:
        x (N, d₁, d₂, ...), y (N, d₁ d₂ ...) by default; any dtype.

    Args:
        start_dim: the first axis that is joined; negative numbers count from the end.
        end_dim: the last one.

    Raises:
        ShapeError: if x has no such axes.

    Example:
        >>> nn.Flatten()(np.ones((5, 3, 4))).shape
        (5, 12)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim = integer("Flatten", "start_dim", start_dim)
        self.end_dim = integer("Flatten", "end_dim", end_dim)

    @override
    def forward(self, x: Array) -> Array:
        shape = x.shape or (1,)
        start, end = axis_in(self, self.start_dim, shape), axis_in(self, self.end_dim, shape)
        if start > end:
            raise ShapeError(expects(self, "start_dim not to come after end_dim", f"an array of shape {shape}"))
        self.saved.push(x.shape)
        return x.reshape(*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :])

    @override
    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Reshaping):
    """y has the numbers of x, with the axis ``dim`` split into several.

    Backward:
        ∂L/∂x = grad in the shape of x.

    Shapes:
        x (..., d, ...), y (..., d₁, ..., dₖ, ...), where unflattened_size is (d₁, ..., dₖ) and d = d₁ ⋯ dₖ; any dtype.

    Args:
        dim: the axis that is split; negative numbers count from the end.
        unflattened_size: what it is split into, a tuple or a list; one of the sizes may be -1 and follows from d.

    Raises:
        ShapeError: if x has no such axis, or if its length is another one.

    Example:
        >>> nn.Unflatten(1, (3, -1))(np.ones((5, 12))).shape
        (5, 3, 4)
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        self.dim = integer("Unflatten", "dim", dim)
        if not isinstance(unflattened_size, (tuple, list)):
            what = "unflattened_size to be a tuple or a list of integers"
            raise ArgumentTypeError(expects("Unflatten", what, repr(unflattened_size)))
        sizes = tuple(integer("Unflatten", "each size", size, low=-1) for size in unflattened_size)
        if not sizes or sizes.count(-1) > 1 or {0, -1} <= set(sizes):
            what = "unflattened_size to be sizes, one of them -1 at most, and none 0 then"
            raise ArgumentError(expects("Unflatten", what, repr(unflattened_size)))
        self.unflattened_size = sizes

    @override
    def forward(self, x: Array) -> Array:
        shape = x.shape
        axis = axis_in(self, self.dim, shape)
        known = math.prod(size for size in self.unflattened_size if size != -1)
        rest = shape[axis] // max(known, 1)
        sizes = [rest if size == -1 else size for size in self.unflattened_size]
        if math.prod(sizes) != shape[axis]:
            what = f"x with an axis {self.dim} that can be split into {self.unflattened_size}"
            raise ShapeError(expects(self, what, f"shape {shape}"))
        self.saved.push(shape)
        return x.reshape(*shape[:axis], *sizes, *shape[axis + 1 :])

    @override
    def extra_repr(self) -> str:
        return f"{self.dim}, {self.unflattened_size}"
