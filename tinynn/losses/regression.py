"""Losses for predictions that are numbers."""

from __future__ import annotations

from typing import Any, ClassVar

from typing_extensions import override

from tinynn.core.arrays import cast, floating
from tinynn.core.loss import Loss
from tinynn.typing import Array

__all__ = ["MSELoss"]


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

    def __init__(self, *, reduction: str = "half") -> None:
        super().__init__(reduction=reduction)

    @override
    def forward(self, prediction: Array, target: Array) -> Any:
        if prediction.shape != target.shape:
            raise self.wrong_shape(prediction, target)
        if prediction.dtype is not target.dtype or prediction.dtype.kind != "f":
            prediction = floating(prediction)
            target = cast(target, prediction.dtype)
        error = prediction - target
        if self.reduction == "none":
            self.saved.push((error, 2.0))
            return error * error
        share = self.share(error)
        self.saved.push((error, 2.0 * share))
        flat = error if error.ndim == 1 else error.reshape(-1)
        return flat.dot(flat) * share

    @override
    def backward(self, grad: Any = None) -> Array:
        error, factor = self.saved.pop()
        return self.times(error, factor, grad)
