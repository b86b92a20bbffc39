"""Losses for predictions of classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from typing_extensions import override

from tinynn.core.arguments import integer, number
from tinynn.core.arrays import cast, floating
from tinynn.core.loss import Loss
from tinynn.errors import ArgumentError, DTypeError, ShapeError, expects
from tinynn.losses.weights import as_buffer, weighted
from tinynn.numerics import log_softmax, narrowed, widened
from tinynn.typing import Array, ArrayLike

__all__ = ["CrossEntropyLoss", "NLLLoss"]

ONE_LOGIT = "for one logit per sample take BCEWithLogitsLoss"


class ClassLoss(Loss):
    """What losses of the form -Σ_c q_c log p_c have in common: the q that a label stands for, and its share in a mean.

    q is the weight of the class that a label names and 0 for the others, or 0 for all where the label is ignored.
    """

    def __init__(self, weight: ArrayLike | None = None, *, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        name = type(self).__name__
        self.ignore_index = integer(name, "ignore_index", ignore_index)
        self.weight = as_buffer(name, "weight", weight)
        if self.weight is not None and self.weight.ndim != 1:
            raise ShapeError(expects(name, "weight of shape (C,), a number for each class", self.weight.shape))

    def axis_of_classes(self, prediction: Array) -> int:
        """Return which axis of a prediction (N, C, ...) or (C,) is that of the classes."""
        if prediction.ndim == 0:
            raise ShapeError(expects(self, "prediction with an axis of classes, (N, C) or (C,)", prediction.shape))
        axis = min(prediction.ndim - 1, 1)
        if prediction.shape[axis] == 0:
            raise ShapeError(expects(self, "prediction with at least one class", prediction.shape))
        if self.weight is not None and self.weight.size != prediction.shape[axis]:
            what = f"prediction of {self.weight.size} classes, as many as there are weights"
            raise ShapeError(expects(self, what, prediction.shape))
        return axis

    def ones(self, prediction: Array, target: Array, axis: int) -> Array:
        """Return labels as ones among zeros, and as zeros only where they are to be ignored."""
        if target.dtype.kind not in "iu":
            remedy = "write labels.astype(int)"
            raise DTypeError(expects(self, "labels as integers", f"labels of dtype {target.dtype}", remedy))
        classes = prediction.shape[axis]
        counts = target != self.ignore_index
        wrong = ((target < 0) | (target >= classes)) & counts
        if wrong.any():
            remedy = "ignore_index=-1 leaves them out" if (target[wrong] == -1).all() else ""
            self.refuse(wrong, f"labels from 0 to {classes - 1}", target, ONE_LOGIT if classes == 1 else remedy)
        ones = np.expand_dims(target, axis) == along(np.arange(classes), axis, prediction.ndim)
        if 0 <= self.ignore_index < classes:
            ones &= np.expand_dims(counts, axis)
        p: Array = ones.astype(prediction.dtype)
        return p

    def remedy(self, prediction: Array, target: Array, axis: int, otherwise: str) -> str:
        """Return what to write instead of a target of a wrong shape: ``otherwise`` if it is that of the prediction."""
        if target.shape == prediction.shape:
            one_logit = target.dtype.kind in "iub" and (prediction.ndim == 1 or prediction.shape[1] == 1)
            return ONE_LOGIT if one_logit else otherwise
        if target.shape == prediction.shape[:-1]:
            return "classes are axis 1: write np.moveaxis(prediction, -1, 1)"
        return "write target[..., 0]" if target.shape == (*without(axis, prediction.shape), 1) else ""

    def surprise(self, p: Array, q: Array, log_p: Array, axis: int) -> Array:
        """Return -Σ q log p over the classes, for q = w p; where p is 0 nothing counts, even what is no number."""
        log_p = np.where(p == 0, 0, log_p)
        losses: Array = -np.add.reduce(q * log_p if self.weight is None else weighted(q, log_p), axis=axis)
        return losses

    def times_weight(self, p: Array, axis: int) -> Array:
        """Return p times the weights of the classes, if there are any."""
        return p if self.weight is None else p * along(cast(self.weight.data, p.dtype), axis, p.ndim)

    def at_classes(self, grad: Any, axis: int) -> Any:
        """Return the gradient at the losses so that it is broadcast along the axis of the classes."""
        return np.expand_dims(grad, axis) if self.reduction == "none" else grad

    @override
    def share(self, losses: Array, total: float | None = None) -> float:
        """Return what the sum of ``losses`` is multiplied by: 1 over ``total`` for a mean of labels.

        Raises:
            ArgumentError: if ``total``, the sum of the weights of the labels, is 0.
        """
        share = super().share(losses)
        if total is None or self.reduction != "mean":
            return share
        if total == 0:
            remedy = "leave such batches out or use reduction='sum'"
            raise ArgumentError(expects(self, "labels that weigh something to average over", "none", remedy))
        return 1.0 / total


class CrossEntropyLoss(ClassLoss):
    """L = -Σ_c w_c p_c log softmax(z)_c for logits z and a class label, or probabilities p, for each sample.

    Backward:
        ∂L/∂z = softmax(z) Σ_c w_c p_c - w p, over what the mean is over.

    Shapes:
        prediction (N, C), or (C,) for one sample, or (N, C, d₁, ...); target as integer labels (N,), (),
        (N, d₁, ...), or as probabilities of the shape of the prediction.

    Args:
        weight: w, a number for each class, (C,); 1 by default. It is part of the state.
        ignore_index: a label that does not count; only for labels.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``. The mean of labels is over the sum of their weights, that of
            probabilities over the number of samples, as in PyTorch.
        label_smoothing: s from 0 to 1: p becomes (1 - s) p + s / C.

    Raises:
        ArgumentError: if a label is not in 0 ... C - 1; it says which. If no label counts, for a mean.
        DTypeError: if labels are floats.
        ShapeError: if the shapes do not belong together, or for a mean over nothing.

    References:
        Szegedy et al., Rethinking the inception architecture for computer vision, 2015 (label smoothing).

    Example:
        >>> loss = nn.CrossEntropyLoss()(np.zeros((5, 4)), np.array([0, 1, 2, 3, 0]))
        >>> round(loss.item(), 6)  # log 4
        1.386294
    """

    def __init__(
        self,
        weight: ArrayLike | None = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, ignore_index=ignore_index, reduction=reduction)
        self.label_smoothing = number("CrossEntropyLoss", "label_smoothing", label_smoothing, low=0, high=1)

    @override
    def forward(self, prediction: Array, target: Array) -> Any:
        prediction = floating(prediction)
        logits = widened(prediction)
        axis = self.axis_of_classes(logits)
        p, q, total = self._wanted(logits, target, axis)
        log_p = log_softmax(logits, axis)
        losses = self.surprise(p, q, log_p, axis)
        share = self.share(losses, total)
        self.saved.push((log_p, q, axis, share, prediction.dtype))
        return narrowed(self.reduce(losses, share), prediction.dtype)

    @override
    def backward(self, grad: Any = None) -> Array:
        log_p, q, axis, share, dtype = self.saved.pop()
        total = np.add.reduce(q, axis=axis, keepdims=True)
        return narrowed(self.times(np.exp(log_p) * total - q, share, self.at_classes(grad, axis)), dtype)

    def _wanted(self, logits: Array, target: Array, axis: int) -> tuple[Array, Array, float | None]:
        """Return p, q = w p, and the total weight of the labels; None where the target is probabilities."""
        labels_shape = without(axis, logits.shape)
        labels = target.shape == labels_shape
        if not labels and (target.shape != logits.shape or target.dtype.kind != "f"):
            what = f"target as labels of shape {labels_shape} or as probabilities of shape {logits.shape}"
            remedy = self.remedy(logits, target, axis, "probabilities are floating: write target.astype(float)")
            raise ShapeError(expects(self, what, f"{target.dtype} of shape {target.shape}", remedy))
        if not labels and self.ignore_index >= 0:
            remedy = "only a label can be ignored"
            raise ArgumentError(expects(self, "labels, since it has an ignore_index", "probabilities", remedy))
        p = self.ones(logits, target, axis) if labels else cast(target, logits.dtype)
        q = self.times_weight(p, axis)
        total = total_of(q) if labels else None
        if self.label_smoothing:
            all_classes = np.add.reduce(p, axis=axis, keepdims=True) if labels else 1.0  # 0 where a label is ignored
            p = (1 - self.label_smoothing) * p + self.label_smoothing / logits.shape[axis] * all_classes
            q = self.times_weight(p, axis)
        return p, q, total


class NLLLoss(ClassLoss):
    """L = -w_c log p_c for the logarithms of probabilities and the label c of each sample.

    Backward:
        ∂L/∂log p = -w_c at the label and 0 elsewhere, over what the mean is over.

    Shapes:
        prediction (N, C), or (C,) for one sample, or (N, C, d₁, ...); target as integer labels (N,), (),
        (N, d₁, ...).

    Args:
        weight: w, a number for each class, (C,); 1 by default. It is part of the state.
        ignore_index: a label that does not count.
        reduction: ``"mean"`` over the sum of the weights of the labels, ``"sum"`` or ``"none"``.

    Raises:
        ArgumentError: if a label is not in 0 ... C - 1; it says which. If no label counts, for a mean.
        DTypeError: if labels are floats.
        ShapeError: if the shapes do not belong together, or for a mean over nothing.

    Example:
        >>> nn.NLLLoss()(np.log([[0.5, 0.5], [0.25, 0.75]]), np.array([0, 1])).round(3)  # -(log 0.5 + log 0.75) / 2
        np.float64(0.49)
    """

    @override
    def forward(self, prediction: Array, target: Array) -> Any:
        log_p = floating(prediction)
        axis = self.axis_of_classes(log_p)
        labels_shape = without(axis, log_p.shape)
        if target.shape != labels_shape:
            remedy = self.remedy(log_p, target, axis, f"write target.argmax(axis={axis})")
            raise ShapeError(expects(self, f"target as labels of shape {labels_shape}", target.shape, remedy))
        p = self.ones(log_p, target, axis)
        q = self.times_weight(p, axis)
        losses = self.surprise(p, q, log_p, axis)
        share = self.share(losses, total_of(q))
        self.saved.push((q, axis, share))
        return self.reduce(losses, share)

    @override
    def backward(self, grad: Any = None) -> Array:
        q, axis, share = self.saved.pop()
        return self.times(-q, share, self.at_classes(grad, axis))


def along(values: Array, axis: int, ndim: int) -> Array:
    """Return values, one for each class, so that they stand along the axis of the classes."""
    return values.reshape(-1, *[1] * (ndim - 1 - axis))


def without(axis: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape without one of its axes."""
    return shape[:axis] + shape[axis + 1 :]


def total_of(q: Array) -> float:
    """Return the sum of all weights, which may be beyond the range of their dtype."""
    total: float = np.add.reduce(q.real, axis=None, dtype=np.float64).item()
    return total
