"""Losses for predictions of classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from typing_extensions import override

from tinynn.core.arrays import cast, floating
from tinynn.core.loss import Loss
from tinynn.errors import ArgumentError, DTypeError, ShapeError, expects
from tinynn.numerics import log_softmax
from tinynn.typing import Array

__all__ = ["CrossEntropyLoss"]


class CrossEntropyLoss(Loss):
    """L = -Σ_c p_c log softmax(z)_c for logits z and a class label, or probabilities p, for each sample.

    Backward:
        ∂L/∂z = softmax(z) Σ_c p_c - p, over the number of samples for ``reduction="mean"``.

    Shapes:
        prediction (N, C), or (C,) for one sample, or (N, C, d₁, ...); target as integer labels (N,), (),
        (N, d₁, ...), or as probabilities of the shape of the prediction.

    Args:
        reduction: ``"mean"`` over the samples, ``"sum"`` or ``"none"``.

    Raises:
        ArgumentError: if a label is not in 0 ... C - 1; it says which.
        DTypeError: if labels are floats.
        ShapeError: if the shapes do not belong together, or for a mean over nothing.

    Example:
        >>> loss = nn.CrossEntropyLoss()(np.zeros((5, 4)), np.array([0, 1, 2, 3, 0]))
        >>> round(loss.item(), 6)  # log 4
        1.386294
    """

    @override
    def forward(self, prediction: Array, target: Array) -> Any:
        logits = floating(prediction)
        if logits.ndim == 0:
            raise ShapeError(expects(self, "prediction with an axis of classes, (N, C) or (C,)", logits.shape))
        axis = min(logits.ndim - 1, 1)
        probabilities = self._probabilities(logits, target, axis)
        log_p = log_softmax(logits, axis)
        losses = -np.add.reduce(np.where(probabilities == 0, 0, log_p) * probabilities, axis=axis)
        loss = self.reduce(losses)
        self.saved.push((log_p, probabilities, axis, self.share(losses)))
        return loss

    @override
    def backward(self, grad: Any = None) -> Array:
        log_p, probabilities, axis, share = self.saved.pop()
        total = np.add.reduce(probabilities, axis=axis, keepdims=True)
        if grad is not None and self.reduction == "none":
            grad = np.expand_dims(grad, axis)
        return self.times(np.exp(log_p) * total - probabilities, share, grad)

    def _probabilities(self, logits: Array, target: Array, axis: int) -> Array:
        """Return the target as probabilities, labels as ones among zeros."""
        labels_shape = logits.shape[:axis] + logits.shape[axis + 1 :]
        if target.shape == logits.shape and target.dtype.kind == "f":
            return cast(target, logits.dtype)
        if target.shape != labels_shape:
            what = f"target as labels of shape {labels_shape} or as probabilities of shape {logits.shape}"
            raise ShapeError(expects(self, what, f"{target.dtype} of shape {target.shape}"))
        if target.dtype.kind not in "iu":
            remedy = "write labels.astype(int)"
            raise DTypeError(expects(self, "labels as integers", f"labels of dtype {target.dtype}", remedy))
        classes = logits.shape[axis]
        wrong = np.argwhere((target < 0) | (target >= classes))
        if len(wrong):
            sample = tuple(wrong[0].tolist())
            where = f"sample {sample[0] if len(sample) == 1 else sample}"
            raise ArgumentError(expects(self, f"labels from 0 to {classes - 1}", f"{target[sample]} for {where}"))
        probabilities = np.zeros(logits.shape, logits.real.dtype)
        np.put_along_axis(probabilities, np.expand_dims(target, axis), 1.0, axis)
        return probabilities
