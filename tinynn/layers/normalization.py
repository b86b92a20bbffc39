"""Layers that normalize within each sample: mean 0 and variance 1, or a mean square of 1, over some of its numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from typing_extensions import override

from tinynn.core.arguments import boolean, number, size, written
from tinynn.core.arrays import as_dtype, cast, get_default_dtype
from tinynn.core.layer import Layer
from tinynn.core.parameter import Parameter
from tinynn.errors import ArgumentError, ShapeError, expects
from tinynn.numerics import narrowed, widened
from tinynn.typing import Array, DTypeLike, Shape

__all__ = ["GroupNorm", "LayerNorm", "Normalization", "RMSNorm", "all_but_channels", "along_channels", "centre", "mean"]


class Normalization(Layer):
    """What all normalizations share: what is normalized, x̂, goes out as y = x̂ ⊙ weight + bias."""

    weight: Parameter | None
    bias: Parameter | None

    def create_parameters(self, shape: Shape, affine: bool, bias: bool, dtype: DTypeLike | None) -> None:
        """Create weight and bias, or what is wanted of them."""
        dtype = get_default_dtype() if dtype is None else as_dtype(type(self).__name__, dtype)
        self.weight = Parameter(np.ones(shape), dtype=dtype) if affine else None
        self.bias = Parameter(np.zeros(shape), dtype=dtype) if affine and bias else None

    @override
    def draw_parameters(self, rng: np.random.Generator) -> None:
        if self.weight is not None:
            self.weight.data.fill(1)
        if self.bias is not None:
            self.bias.data.fill(0)

    @property
    def has_bias(self) -> bool:
        """The argument ``bias``; true as well where it made no difference."""
        return self.bias is not None or self.weight is None

    def in_own_dtype(self, x: Array) -> Array:
        """Return ``x`` in the dtype of the parameters, or as it is where there are none."""
        return x if self.weight is None else cast(x, self.weight.dtype)

    def scale_and_shift(self, normal: Array, shape: Shape) -> Array:
        """Return y for x̂; ``shape`` is what weight and bias have to look like beside it."""
        if self.weight is None:
            return normal
        y: Array = normal * self.weight.data.reshape(shape)
        if self.bias is not None:
            y += self.bias.data.reshape(shape)
        return y

    def undo_scale_and_shift(self, grad: Array, normal: Array, shape: Shape, axes: tuple[int, ...]) -> Array:
        """Return the gradient at x̂, and add those of the parameters, which are sums over ``axes``."""
        weight, bias = self.weight, self.bias
        if bias is not None and bias.requires_grad:
            bias.add_grad(np.add.reduce(grad, axis=axes))
        if weight is None:
            return grad
        if weight.requires_grad:
            weight.add_grad(np.add.reduce(grad * normal, axis=axes))
        at_normal: Array = grad * weight.data.reshape(shape)
        return at_normal

    @override
    def extra_repr(self) -> str:
        sizes, options = self.arguments()
        if self.weight is not None:
            options["dtype"] = self.weight.dtype
        return written(self, *sizes, **options)

    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments that it was built with but for the dtype: sizes, and the others by name."""
        raise NotImplementedError


class LayerNorm(Normalization):
    """y = (x - μ) / √(σ² + eps) ⊙ weight + bias, with the mean μ and the variance σ² of each sample's last axes.

    Backward:
        With g = grad ⊙ weight and x̂ = (x - μ)/√(σ² + eps): ∂L/∂x = (g - mean(g) - x̂ mean(g ⊙ x̂)) / √(σ² + eps),
        ∂L/∂weight = Σ grad ⊙ x̂ and ∂L/∂bias = Σ grad over the samples.

    Shapes:
        x (..., d₁, ..., dₖ) where normalized_shape is (d₁, ..., dₖ), y the same; weight and bias (d₁, ..., dₖ).

    Args:
        normalized_shape: the lengths of the last axes, over which is normalized; a number for one axis.
        eps: what is added to the variance.
        elementwise_affine: whether weight and bias are there.
        bias: whether the bias is there.
        dtype: float32 or float64, that of weight and bias; without them, that of the input is kept.

    Raises:
        ShapeError: if x has other last axes.

    References:
        Ba, Kiros and Hinton, "Layer normalization", 2016.

    Example:
        >>> nn.LayerNorm(4)(np.array([1.0, 2.0, 3.0, 4.0])).round(3)
        array([-1.342, -0.447,  0.447,  1.342])
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        dtype: DTypeLike | None = None,
    ) -> None:
        self.normalized_shape = lengths("LayerNorm", normalized_shape)
        self.eps = number("LayerNorm", "eps", eps, low=0)
        self.elementwise_affine = boolean("LayerNorm", "elementwise_affine", elementwise_affine)
        has_bias = boolean("LayerNorm", "bias", bias)
        self.create_parameters(self.normalized_shape, self.elementwise_affine, has_bias, dtype)

    @override
    def forward(self, x: Array) -> Array:
        inner, _ = axes_of(self, x, self.normalized_shape)
        normal, deviation = standardize(self.in_own_dtype(x), inner, self.eps)
        self.saved.push((normal, deviation))
        return self.scale_and_shift(normal, self.normalized_shape)

    @override
    def backward(self, grad: Array) -> Array:
        normal, deviation = self.saved.pop()
        inner, outer = axes_of(self, grad, self.normalized_shape)
        grad = self.undo_scale_and_shift(grad, normal, self.normalized_shape, outer)
        return undo_standardize(grad, normal, deviation, inner)

    @override
    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        options = {"eps": self.eps, "elementwise_affine": self.elementwise_affine, "bias": self.has_bias}
        return (plain(self.normalized_shape),), options


class RMSNorm(Normalization):
    """y = x / √(mean(x²) + eps) ⊙ weight, the mean being that of each sample's last axes.

    Backward:
        With g = grad ⊙ weight and x̂ = x / √(mean(x²) + eps): ∂L/∂x = (g - x̂ mean(g ⊙ x̂)) / √(mean(x²) + eps) and
        ∂L/∂weight = Σ grad ⊙ x̂ over the samples.

    Shapes:
        x (..., d₁, ..., dₖ) where normalized_shape is (d₁, ..., dₖ), y the same; weight (d₁, ..., dₖ).

    Args:
        normalized_shape: the lengths of the last axes, over which is normalized; a number for one axis.
        eps: what is added to the mean square; None for the distance from 1 to the next number of the dtype.
        elementwise_affine: whether the weight is there.
        dtype: float32 or float64, that of the weight; without it, that of the input is kept.

    Raises:
        ShapeError: if x has other last axes.

    References:
        Zhang and Sennrich, "Root mean square layer normalization", 2019.

    Example:
        >>> nn.RMSNorm(2)(np.array([3.0, 4.0])).round(3)
        array([0.849, 1.131])
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        *,
        dtype: DTypeLike | None = None,
    ) -> None:
        self.normalized_shape = lengths("RMSNorm", normalized_shape)
        self.eps = None if eps is None else number("RMSNorm", "eps", eps, low=0)
        self.elementwise_affine = boolean("RMSNorm", "elementwise_affine", elementwise_affine)
        self.create_parameters(self.normalized_shape, self.elementwise_affine, False, dtype)

    @override
    def forward(self, x: Array) -> Array:
        inner, _ = axes_of(self, x, self.normalized_shape)
        x = self.in_own_dtype(x)
        wide = widened(x)
        eps = np.finfo(wide.dtype).eps.item() if self.eps is None else self.eps
        root = np.sqrt(mean(wide * wide, inner) + eps)
        normal = narrowed(wide / root, x.dtype)
        self.saved.push((normal, root))
        return self.scale_and_shift(normal, self.normalized_shape)

    @override
    def backward(self, grad: Array) -> Array:
        normal, root = self.saved.pop()
        inner, outer = axes_of(self, grad, self.normalized_shape)
        grad = self.undo_scale_and_shift(grad, normal, self.normalized_shape, outer)
        wide = widened(grad)
        at_x: Array = (wide - normal * mean(wide * normal, inner)) / root
        return narrowed(at_x, grad.dtype)

    @override
    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (plain(self.normalized_shape),), {"eps": self.eps, "elementwise_affine": self.elementwise_affine}


class GroupNorm(Normalization):
    """y = (x - μ) / √(σ² + eps) ⊙ weight + bias, with the mean μ and the variance σ² of each group of channels.

    Each sample is normalized by itself. With one group it is all channels together, with a group for each channel each
    one alone.

    Backward:
        With g = grad ⊙ weight and x̂ = (x - μ)/√(σ² + eps): ∂L/∂x = (g - mean(g) - x̂ mean(g ⊙ x̂)) / √(σ² + eps), the
        means being those of a group; ∂L/∂weight = Σ grad ⊙ x̂ and ∂L/∂bias = Σ grad over samples and positions.

    Shapes:
        x (N, num_channels, ...), y the same; weight and bias (num_channels,).

    Args:
        num_groups: the number of groups, which divides that of channels.
        num_channels: the number of channels.
        eps: what is added to the variance.
        affine: whether weight and bias are there.
        dtype: float32 or float64, that of weight and bias; without them, that of the input is kept.
        bias: whether the bias is there.

    Raises:
        ShapeError: if x has not ``num_channels`` channels.

    References:
        Wu and He, "Group normalization", 2018.

    Example:
        >>> nn.GroupNorm(2, 6)(np.ones((5, 6, 4))).shape
        (5, 6, 4)
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        dtype: DTypeLike | None = None,
        bias: bool = True,
    ) -> None:
        self.num_groups = size("GroupNorm", "num_groups", num_groups)
        self.num_channels = size("GroupNorm", "num_channels", num_channels)
        if self.num_channels % self.num_groups:
            actual = f"{self.num_channels} channels in {self.num_groups} groups"
            raise ArgumentError(expects("GroupNorm", "num_channels to be a multiple of num_groups", actual))
        self.eps = number("GroupNorm", "eps", eps, low=0)
        self.affine = boolean("GroupNorm", "affine", affine)
        has_bias = boolean("GroupNorm", "bias", bias)
        self.create_parameters((self.num_channels,), self.affine, has_bias, dtype)

    @override
    def forward(self, x: Array) -> Array:
        shape = x.shape
        if len(shape) < 2 or shape[1] != self.num_channels:
            raise ShapeError(expects(self, f"x of shape (N, {self.num_channels}, ...)", shape))
        normal, deviation = standardize(self._groups(self.in_own_dtype(x)), (2,), self.eps)
        normal = normal.reshape(shape)
        self.saved.push((normal, deviation))
        return self.scale_and_shift(normal, along_channels(normal))

    @override
    def backward(self, grad: Array) -> Array:
        normal, deviation = self.saved.pop()
        at_normal = self.undo_scale_and_shift(grad, normal, along_channels(normal), all_but_channels(normal))
        at_groups = undo_standardize(self._groups(at_normal), self._groups(normal), deviation, (2,))
        return at_groups.reshape(grad.shape)

    def _groups(self, x: Array) -> Array:
        """Return ``x`` as (N, num_groups, numbers of a group)."""
        return x.reshape(len(x), self.num_groups, math.prod(x.shape[1:]) // self.num_groups)

    @override
    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        options = {"eps": self.eps, "affine": self.affine, "bias": self.has_bias}
        return (self.num_groups, self.num_channels), options


def standardize(x: Array, axes: tuple[int, ...], eps: float) -> tuple[Array, Array]:
    """Return x̂ = (x - μ) / √(σ² + eps) and √(σ² + eps), with the mean and the variance along ``axes``."""
    normal, _ = centre(widened(x), axes)
    deviation = np.sqrt(mean(normal * normal, axes) + eps)
    normal /= deviation
    return narrowed(normal, x.dtype), deviation


def undo_standardize(grad: Array, normal: Array, deviation: Array, axes: tuple[int, ...]) -> Array:
    """Return the gradient at x for that at x̂: (grad - mean(grad) - x̂ mean(grad ⊙ x̂)) / √(σ² + eps)."""
    wide = widened(grad)
    at_x = wide - mean(wide, axes)
    at_x -= normal * mean(wide * normal, axes)
    at_x /= deviation
    return narrowed(at_x, grad.dtype)


def centre(x: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """Return x - μ and μ, the mean along ``axes``. Far from 0 it is rounded; what is left is taken off, too."""
    middle = mean(x, axes)
    centred = x - middle
    left = mean(centred, axes)
    centred -= left
    middle += left
    return centred, middle


def mean(x: Array, axes: tuple[int, ...]) -> Array:
    """Return the mean along ``axes``, which are kept with a length of 1; that of nothing is 0."""
    total: Array = np.add.reduce(x, axis=axes, keepdims=True)
    total /= max(math.prod([x.shape[axis] for axis in axes]), 1)
    return total


def along_channels(x: Array) -> Shape:
    """Return the shape in which a number for each channel stands beside ``x``, (N, C, ...)."""
    return (x.shape[1], *(1,) * (x.ndim - 2))


def all_but_channels(x: Array) -> tuple[int, ...]:
    """Return the axes of ``x``, (N, C, ...), without that of the channels."""
    return (0, *range(2, x.ndim))


def axes_of(owner: Layer, x: Array, normalized_shape: Shape) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the axes of ``x`` that are normalized over, its last ones, and the others.

    Raises:
        ShapeError: if the last ones have other lengths.
    """
    first = x.ndim - len(normalized_shape)
    if first < 0 or x.shape[first:] != normalized_shape:
        raise ShapeError(expects(owner, f"x of shape (..., {', '.join(map(str, normalized_shape))})", x.shape))
    return tuple(range(first, x.ndim)), tuple(range(first))


def lengths(owner: str, normalized_shape: object) -> Shape:
    """Return the lengths of the axes to normalize over, given as a number or as a sequence of numbers."""
    if not isinstance(normalized_shape, (tuple, list)):
        return (size(owner, "normalized_shape", normalized_shape),)
    if not normalized_shape:
        raise ArgumentError(expects(owner, "normalized_shape to have an axis", repr(normalized_shape)))
    return tuple(size(owner, "each length in normalized_shape", length) for length in normalized_shape)


def plain(normalized_shape: Shape) -> Shape | int:
    """Return it as one would write it: a number for one axis."""
    return normalized_shape if len(normalized_shape) > 1 else normalized_shape[0]
