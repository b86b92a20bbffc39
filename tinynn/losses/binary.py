"""Losses for predictions of yes or no, each element by itself."""

from __future__ import annotations

import numpy as np
from typing_extensions import override

from tinynn.core.loss import Loss
from tinynn.losses.elementwise import ElementwiseLoss
from tinynn.losses.weights import as_buffer, fitting, weighted
from tinynn.numerics import sigmoid, softplus
from tinynn.typing import Array, ArrayLike

__all__ = ["BCELoss", "BCEWithLogitsLoss"]

MOST = 100.0
"""PyTorch's bound for -log 0."""

LEAST_SLOPE = float(np.float32(1e-12))
"""PyTorch's bound for p (1 - p) where it divides by that; a float32 number there, too."""


class BCELoss(ElementwiseLoss):
    """L = -w (t log p + (1 - t) log(1 - p)) for a probability p and a target t between 0 and 1.

    As in PyTorch, -log p counts as 100 where it is more: the loss stays finite at p = 0 and p = 1.
    `BCEWithLogitsLoss` needs no such bounds.

    Backward:
        ∂L/∂p = w (p - t) / (p (1 - p)), where the denominator counts as 1e-12 where it is less, as in PyTorch. Within
        1e-12 of 0 and 1 this is not the slope of L, but it is finite and has its sign.

    Shapes:
        prediction and target the same; weight is broadcast to it.

    Args:
        weight: w for each element; 1 by default. It is part of the state.
        reduction: ``"mean"`` over the elements, whatever they weigh, ``"sum"`` or ``"none"``.

    Raises:
        ArgumentError: if a prediction or a target is not between 0 and 1; it says which.
        ShapeError: if the shapes differ, or for a mean over nothing.

    Example:
        >>> nn.BCELoss(reduction="none")(np.array([0.5, 1.0]), np.array([1.0, 1.0])).round(3)
        array([0.693, 0.   ])
    """

    def __init__(self, weight: ArrayLike | None = None, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.weight = as_buffer("BCELoss", "weight", weight)

    @override
    def function(self, prediction: Array, target: Array) -> Array:
        remedy = "put a Sigmoid before it, or take BCEWithLogitsLoss"
        self.refuse(outside(prediction), "predictions from 0 to 1", prediction, remedy)
        check_targets(self, target)
        at_yes = np.minimum(-np.log(prediction), MOST)
        at_no = np.minimum(-np.log1p(-prediction), MOST)
        losses: Array = target * at_yes + (1 - target) * at_no
        return losses if self.weight is None else losses * fitting(self, "weight", self.weight, losses)

    @override
    def derivative(self, prediction: Array, target: Array) -> Array:
        slopes: Array = (prediction - target) / np.maximum(prediction * (1 - prediction), LEAST_SLOPE)
        return slopes if self.weight is None else slopes * fitting(self, "weight", self.weight, slopes)


class BCEWithLogitsLoss(ElementwiseLoss):
    """L = w (v t log(1 + e⁻ᶻ) + (1 - t) log(1 + eᶻ)): `BCELoss` for p = 1 / (1 + e⁻ᶻ), exact for any logit z.

    Backward:
        ∂L/∂z = w ((1 - t) σ(z) - v t σ(-z)), where σ is the logistic function; w (σ(z) - t) for v = 1.

    Shapes:
        prediction and target the same; weight and pos_weight are broadcast to it.

    Args:
        weight: w for each element; 1 by default. It is part of the state.
        reduction: ``"mean"`` over the elements, whatever they weigh, ``"sum"`` or ``"none"``.
        pos_weight: v, what a target of 1 weighs; above 1 it favours recall. It is part of the state.

    Raises:
        ArgumentError: if a target is not between 0 and 1; it says which.
        ShapeError: if the shapes differ, or for a mean over nothing.

    Example:
        >>> nn.BCEWithLogitsLoss(reduction="none")(np.array([0.0, -1e4]), np.array([1.0, 1.0])).round(3)
        array([6.93e-01, 1.00e+04])
    """

    def __init__(
        self,
        weight: ArrayLike | None = None,
        *,
        reduction: str = "mean",
        pos_weight: ArrayLike | None = None,
    ) -> None:
        super().__init__(reduction=reduction)
        self.weight = as_buffer("BCEWithLogitsLoss", "weight", weight)
        self.pos_weight = as_buffer("BCEWithLogitsLoss", "pos_weight", pos_weight)

    @override
    def function(self, prediction: Array, target: Array) -> Array:
        check_targets(self, target)
        yes, no = self._parts(prediction, target)
        return weighted(yes, softplus(-prediction)) + weighted(no, softplus(prediction))

    @override
    def derivative(self, prediction: Array, target: Array) -> Array:
        yes, no = self._parts(prediction, target)
        slopes: Array = no * sigmoid(prediction) - yes * sigmoid(-prediction)
        return slopes

    def _parts(self, prediction: Array, target: Array) -> tuple[Array, Array]:
        """Return by how much each element counts as yes and as no."""
        yes, no = target, 1 - target
        if self.pos_weight is not None:
            yes = yes * fitting(self, "pos_weight", self.pos_weight, prediction)
        if self.weight is not None:
            weight = fitting(self, "weight", self.weight, prediction)
            yes, no = yes * weight, no * weight
        return yes, no


def outside(x: Array) -> Array:
    """Return where x is not between 0 and 1, which NaN is not."""
    wrong: Array = ~((x.real >= 0) & (x.real <= 1))
    return wrong


def check_targets(loss: Loss, target: Array) -> None:
    """Refuse a target that is not between 0 and 1."""
    target = target.real
    wrong = outside(target)
    if wrong.any():
        remedy = ""
        if (abs(target) == 1).all():
            remedy = "write (target + 1) / 2"
        elif ((target >= 0) & (target % 1 == 0)).all():
            remedy = "for labels of several classes take CrossEntropyLoss"
        loss.refuse(wrong, "targets from 0 to 1", target, remedy)
