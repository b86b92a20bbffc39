"""Losses for embeddings: what belongs together shall be close, what does not shall be apart."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from numpy import newaxis
from typing_extensions import override

from tinynn.core.arguments import boolean, number
from tinynn.core.arrays import cast
from tinynn.core.loss import Loss
from tinynn.errors import ShapeError, expects
from tinynn.losses.elementwise import ElementwiseLoss
from tinynn.numerics import absolute
from tinynn.typing import Array

__all__ = ["CosineEmbeddingLoss", "HingeEmbeddingLoss", "TripletMarginLoss"]

EPS = float(np.float32(1e-12))
"""What PyTorch adds to the square of a length, so that 0 can be divided by it; a float32 number there, too."""


class HingeEmbeddingLoss(ElementwiseLoss):
    """L = x where the target is 1, max(0, margin - x) where it is -1, for a distance x.

    Backward:
        ∂L/∂x = 1 where the target is 1; where it is -1, -1 as long as x <= margin, and 0 beyond.

    Shapes:
        prediction and target the same.

    Args:
        margin: the distance that is far enough.
        reduction: ``"mean"`` over the elements, ``"sum"`` or ``"none"``.

    Raises:
        ArgumentError: if a target is neither 1 nor -1; it says which.
        ShapeError: if the shapes differ, or for a mean over nothing.

    Example:
        >>> nn.HingeEmbeddingLoss(reduction="none")(np.array([0.25, 0.25]), np.array([1, -1]))
        array([0.25, 0.75])
    """

    def __init__(self, margin: float = 1.0, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.margin = number("HingeEmbeddingLoss", "margin", margin)

    @override
    def function(self, prediction: Array, target: Array) -> Array:
        check_signs(self, target)
        return np.where(target == 1, prediction, np.maximum(self.margin - prediction, 0))

    @override
    def derivative(self, prediction: Array, target: Array) -> Array:
        beyond = self.margin < prediction
        return np.where(target == 1, target, np.where(beyond, 0, target))


class CosineEmbeddingLoss(Loss):
    """L = 1 - cos(x₁, x₂) where the target is 1, max(0, cos(x₁, x₂) - margin) where it is -1.

    cos(x₁, x₂) = u₁ · u₂ with uᵢ = xᵢ / ‖xᵢ‖ and ‖xᵢ‖ = √(Σ xᵢ² + 1e-12).

    Backward:
        ∂cos/∂x₁ = (u₂ - cos u₁) / ‖x₁‖, and the same with 1 and 2 exchanged; a tuple (∂L/∂x₁, ∂L/∂x₂). The slope of L
        is -1 where the target is 1, and 1 where it is -1 and cos >= margin.

    Shapes:
        x1 and x2 (N, D) with target (N,), or (D,) with ().

    Args:
        margin: the cosine, from -1 to 1, that is far enough.
        reduction: ``"mean"`` over the pairs, ``"sum"`` or ``"none"``.

    Raises:
        ArgumentError: if a target is neither 1 nor -1; it says which.
        ShapeError: if the shapes do not belong together, or for a mean over nothing.

    Example:
        >>> loss_fn = nn.CosineEmbeddingLoss()
        >>> loss_fn(np.array([[1.0, 0.0]]), np.array([[3.0, 4.0]]), np.array([1])).round(6)  # 1 - 3/5
        np.float64(0.4)
        >>> at_x1, at_x2 = loss_fn.backward()
    """

    may_overflow: ClassVar[bool] = False  # it asks for silence itself

    def __init__(self, margin: float = 0.0, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.margin = number("CosineEmbeddingLoss", "margin", margin, low=-1, high=1)

    @override
    def forward(self, x1: Array, x2: Array, target: Array) -> Any:
        x1, x2 = self.matched(x1=x1, x2=x2)
        if x1.ndim not in (1, 2):
            raise ShapeError(expects(self, "x1 of shape (N, D) or (D,)", x1.shape))
        if target.shape != x1.shape[:-1]:
            raise ShapeError(expects(self, f"target of shape {x1.shape[:-1]}, a number for each pair", target.shape))
        check_signs(self, target)
        with np.errstate(all="ignore"):
            (u1, length1), (u2, length2) = unit(x1), unit(x2)
            cos = np.add.reduce(u1 * u2, axis=-1)
            same = target == 1
            losses = np.where(same, 1 - cos, np.maximum(cos - self.margin, 0))
            self.saved.push((u1, length1, u2, length2, cos, same))
            return self.reduce(losses)

    @override
    def backward(self, grad: Any = None) -> tuple[Array, Array]:
        u1, length1, u2, length2, cos, same = self.saved.pop()
        with np.errstate(all="ignore"):
            slopes = cast(np.where(same, -1.0, cos >= self.margin), cos.dtype)
            slopes = self.times(slopes, self.share(cos), grad)[..., newaxis]
            cos = cos[..., newaxis]
            return slopes * (u2 - cos * u1) / length1, slopes * (u1 - cos * u2) / length2


class TripletMarginLoss(Loss):
    """L = max(0, d(a, p) - d(a, n) + margin): an anchor shall be closer to the positive than to the negative.

    d(x, y) = ‖x - y + eps‖ₚ, the distance (Σ |xᵢ - yᵢ + eps|ᵖ)^(1/p).

    Backward:
        ∂d/∂x = sign(x - y + eps) (|x - y + eps| / d)ᵖ⁻¹ = -∂d/∂y, and 0 for d = 0; a tuple (∂L/∂a, ∂L/∂p, ∂L/∂n), 0
        where the negative is far enough.

    Shapes:
        anchor, positive and negative (..., D); one loss for each, (...).

    Args:
        margin: by how much the negative shall be farther away; > 0.
        p: which norm, p > 0; with ``math.inf`` it is the largest difference.
        eps: is added to each difference.
        swap: whether d(p, n) counts instead of d(a, n) where it is less.
        reduction: ``"mean"`` over the triplets, ``"sum"`` or ``"none"``.

    Raises:
        ShapeError: if the shapes differ, or for a mean over nothing.

    References:
        Balntas et al., Learning local feature descriptors with triplets and shallow convolutional networks, 2016.

    Example:
        >>> loss_fn = nn.TripletMarginLoss(margin=1.0)
        >>> loss_fn(np.array([0.0, 0.0]), np.array([3.0, 4.0]), np.array([0.0, 2.0])).round(4)  # 5 - 2 + 1
        np.float64(4.0)
        >>> at_anchor, at_positive, at_negative = loss_fn.backward()
    """

    may_overflow: ClassVar[bool] = False  # it asks for silence itself

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        *,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        self.margin = number("TripletMarginLoss", "margin", margin, above=0)
        self.p = p if p == math.inf else number("TripletMarginLoss", "p", p, above=0)
        self.eps = number("TripletMarginLoss", "eps", eps, low=0)
        self.swap = boolean("TripletMarginLoss", "swap", swap)

    @override
    def forward(self, anchor: Array, positive: Array, negative: Array) -> Any:
        anchor, positive, negative = self.matched(anchor=anchor, positive=positive, negative=negative)
        if anchor.ndim == 0:
            raise ShapeError(expects(self, "anchor of shape (..., D)", anchor.shape))
        with np.errstate(all="ignore"):
            pairs = [(anchor, positive), (anchor, negative), (positive, negative)][: 3 if self.swap else 2]
            differences = [x - y + self.eps for x, y in pairs]
            distances = [norm(difference, self.p) for difference in differences]
            near, far = distances[0], np.minimum(*distances[1:]) if self.swap else distances[1]
            excess = self.margin + near - far
            self.saved.push((differences, distances, excess))
            return self.reduce(np.maximum(excess, 0))

    @override
    def backward(self, grad: Any = None) -> tuple[Array, Array, Array]:
        differences, distances, excess = self.saved.pop()
        with np.errstate(all="ignore"):
            slopes = self.times(cast(excess >= 0, excess.dtype), self.share(excess), grad)
            at_near, at_far, *at_swapped = (
                slopes[..., newaxis] * norm_derivative(x, size, self.p)
                for x, size in zip(differences, distances, strict=True)
            )
            if not self.swap:
                return at_near - at_far, -at_near, at_far
            swapped = 0.5 + 0.5 * np.sign(distances[1] - distances[2])[..., newaxis]  # ½ where they are equal
            at_far, at_other = (1 - swapped) * at_far, swapped * at_swapped[0]
            return at_near - at_far, -at_near - at_other, at_far + at_other


def check_signs(loss: Loss, target: Array) -> None:
    """Refuse a target that is neither 1 nor -1."""
    wrong = (target != 1) & (target != -1)
    if wrong.any():
        zeros_and_ones = ((target == 0) | (target == 1)).all()
        loss.refuse(wrong, "targets of 1 and -1", target, "write 2.0 * target - 1" if zeros_and_ones else "")


def unit(x: Array) -> tuple[Array, Array]:
    """Return vectors of length 1 in the direction of ``x``, and the lengths of ``x``."""
    scale = np.abs(x).max(axis=-1, keepdims=True, initial=1.0)  # no square overflows
    x = x / scale
    length = np.sqrt(np.add.reduce(x * x, axis=-1, keepdims=True) + EPS / scale / scale)
    return x / length, scale * length


def norm(x: Array, p: float) -> Array:
    """Return (Σ |xᵢ|ᵖ)^(1/p) along the last axis."""
    size = absolute(x)
    largest = size.max(axis=-1, keepdims=True, initial=0)
    if p == math.inf:
        length: Array = largest[..., 0]
        return length
    scale: Array = np.where((largest.real > 0) & (largest.real < math.inf), largest.real, 1)  # no power overflows
    total: Array = np.add.reduce((size / scale) ** p, axis=-1)
    return scale[..., 0] * total ** (1 / p)


def norm_derivative(x: Array, length: Array, p: float) -> Array:
    """Return the derivative of `norm`: sign(x) (|x| / ‖x‖)ᵖ⁻¹, and 0 at the kink, where x is 0."""
    size, length = np.abs(x), length[..., newaxis]
    if p == math.inf:
        largest = (size == length) & (size > 0)
        shared = largest / np.maximum(largest.sum(axis=-1, keepdims=True), 1)  # by all that are largest
        return np.sign(x) * cast(shared, x.dtype)
    return np.where(size == 0, 0, np.sign(x) * (size / length) ** (p - 1))
