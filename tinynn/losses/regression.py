"""Losses for predictions that are numbers: functions of the error, prediction - target."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from tinynn.core.arguments import number
from tinynn.core.loss import Loss
from tinynn.losses.elementwise import ElementwiseLoss
from tinynn.numerics import absolute, clamp
from tinynn.typing import Array

__all__ = ["HuberLoss", "L1Loss", "MSELoss", "SmoothL1Loss"]

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)


class MSELoss(Loss):
    """L = ½ Σ (a - a*)², averaged over the samples of a batch: the note's half squared error.

    ========== ==================================================== ==============================
    reduction  loss                                                 gradient
    ========== ==================================================== ==============================
    "half"     ½ Σ (a - a*)², averaged over the first axis          (a - a*) / N
    "mean"     Σ (a - a*)² over the number of elements (PyTorch's)  2 (a - a*) / number of elements
    "sum"      Σ (a - a*)²                                          2 (a - a*)
    "none"     (a - a*)², an array                                  2 (a - a*) · grad
    ========== ==================================================== ==============================

    A 1-D prediction is one sample, N = 1, as in the note.

    Shapes:
        prediction and target the same.

    Args:
        reduction: ``"half"``, ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ShapeError: if the shapes differ, or for an average over nothing.

    References:
        The note, (6) and (25).

    Example:
        >>> nn.MSELoss()(np.array([1.0, 2.0]), np.array([0.0, 0.0])).item()
        2.5
    """

    may_overflow: ClassVar[bool] = False
    reductions: ClassVar[tuple[str, ...]] = ("half", "mean", "sum", "none")
    reduction: str = "half"

    def __init__(self, *, reduction: str = "half") -> None:
        super().__init__(reduction=reduction)

    @override
    def forward(self, prediction: Array, target: Array) -> Any:
        if prediction.shape != target.shape:
            raise self.wrong_shape(prediction, target)
        dtype = prediction.dtype
        usual = dtype is FLOAT64 or dtype is FLOAT32
        if dtype is not target.dtype or not usual:
            prediction, target = self.matched(prediction=prediction, target=target)
        error = prediction - target
        if self.needs_grad:  # reduction="none"
            self.saved.push((error, 2.0))
            return error * error
        share = self.share(error)
        self.saved.push((error, 2.0 * share))
        if not usual:
            return self.reduce(error * error)
        flat = error.ravel()
        return flat.dot(flat) * share

    @override
    def backward(self, grad: Any = None) -> Array:
        error, factor = self.saved.pop()
        return self.times(error, factor, grad)


class L1Loss(ElementwiseLoss):
    """L = |a - a*|.

    Backward:
        ∂L/∂a = sign(a - a*), 0 where they are equal.

    Shapes:
        prediction and target the same.

    Args:
        reduction: ``"mean"`` over the elements, ``"sum"`` or ``"none"``.

    Raises:
        ShapeError: if the shapes differ, or for a mean over nothing.

    Example:
        >>> nn.L1Loss()(np.array([1.0, 2.0]), np.array([0.0, 5.0])).item()
        2.0
    """

    @override
    def function(self, prediction: Array, target: Array) -> Array:
        return absolute(prediction - target)

    @override
    def derivative(self, prediction: Array, target: Array) -> Array:
        slopes: Array = np.sign(prediction - target)
        return slopes


class SmoothL1Loss(ElementwiseLoss):
    """L = ½ (a - a*)² / β where |a - a*| < β, else |a - a*| - ½ β: an absolute error without the kink.

    Backward:
        ∂L/∂a = (a - a*) / β, and no further than ±1.

    Shapes:
        prediction and target the same.

    Args:
        reduction: ``"mean"`` over the elements, ``"sum"`` or ``"none"``.
        beta: β >= 0; with 0 it is `L1Loss`.

    Raises:
        ShapeError: if the shapes differ, or for a mean over nothing.

    References:
        Girshick, Fast R-CNN, 2015.

    Example:
        >>> nn.SmoothL1Loss(reduction="none")(np.array([0.5, 2.0]), np.array([0.0, 0.0]))
        array([0.125, 1.5  ])
    """

    def __init__(self, *, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.beta = number("SmoothL1Loss", "beta", beta, low=0)

    @override
    def function(self, prediction: Array, target: Array) -> Array:
        far = absolute(prediction - target)
        if self._has_kink(far):
            return far
        near = np.minimum(far, self.beta)
        return near / self.beta * (far - 0.5 * near)

    @override
    def derivative(self, prediction: Array, target: Array) -> Array:
        error = prediction - target
        return np.sign(error) if self._has_kink(error) else clamp(error / self.beta, -1, 1)

    def _has_kink(self, error: Array) -> bool:
        """Whether β is 0, be it in the dtype of the error only."""
        return bool(error.dtype.type(self.beta) == 0)


class HuberLoss(ElementwiseLoss):
    """L = ½ (a - a*)² where |a - a*| <= δ, else δ (|a - a*| - ½ δ): a squared error that outliers do not rule.

    Backward:
        ∂L/∂a = a - a*, and no further than ±δ.

    Shapes:
        prediction and target the same.

    Args:
        reduction: ``"mean"`` over the elements, ``"sum"`` or ``"none"``.
        delta: δ > 0.

    Raises:
        ShapeError: if the shapes differ, or for a mean over nothing.

    References:
        Huber, Robust estimation of a location parameter, 1964.

    Example:
        >>> nn.HuberLoss(delta=0.5, reduction="none")(np.array([0.5, 2.0]), np.array([0.0, 0.0]))
        array([0.125, 0.875])
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.delta = number("HuberLoss", "delta", delta, above=0)

    @override
    def function(self, prediction: Array, target: Array) -> Array:
        far = absolute(prediction - target)
        near = np.minimum(far, self.delta)
        return near * (far - 0.5 * near)

    @override
    def derivative(self, prediction: Array, target: Array) -> Array:
        return clamp(prediction - target, -self.delta, self.delta)
