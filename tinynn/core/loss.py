"""The base class of losses."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from tinynn.core.arguments import choice
from tinynn.core.layer import Layer
from tinynn.errors import ShapeError, expects
from tinynn.typing import Array

__all__ = ["Loss"]


class Loss(Layer):
    """A layer that takes a prediction and a target and returns a number.

    ``loss_fn(prediction, target)`` returns the loss as a NumPy scalar of the prediction's dtype, and
    ``loss_fn.backward()`` its gradient at the prediction. With ``reduction="none"`` the loss is an array, and
    ``backward(grad)`` needs the gradient at it; otherwise ``grad`` is a factor.

    Args:
        reduction: how the losses of single elements are joined.
    """

    takes_integers: ClassVar[bool] = True  # class indices
    is_loss: ClassVar[bool] = True
    reductions: ClassVar[tuple[str, ...]] = ("mean", "sum", "none")

    def __init__(self, *, reduction: str = "mean") -> None:
        self.reduction = choice(type(self).__name__, "reduction", reduction, self.reductions)
        self.needs_grad = self.reduction == "none"

    @override
    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}"

    def wrong_shape(self, prediction: Array, target: Array) -> ShapeError:
        """Return the error for a target that has not exactly the shape of the prediction: nothing is broadcast."""
        return ShapeError(expects(self, f"target of shape {prediction.shape}, that of prediction", target.shape))

    def share(self, losses: Array) -> float:
        """Return what the sum of ``losses`` is multiplied by: 1 for a sum, 1 over their number for a mean.

        With ``reduction="half"`` it is ½ over the length of the first axis, or just ½ where there are fewer than two.

        Raises:
            ShapeError: for a mean over nothing.
        """
        if self.reduction == "half":
            if losses.ndim <= 1 and losses.size:
                return 0.5
            count = 2.0 * len(losses)
        elif self.reduction == "mean":
            count = float(losses.size)
        else:
            return 1.0
        if losses.size == 0:
            remedy = "leave empty batches out or use reduction='sum'"
            raise ShapeError(expects(self, "at least one element to average over", f"shape {losses.shape}", remedy))
        return 1.0 / count

    def reduce(self, losses: Array) -> Any:
        """Join the losses of single elements into a number, or hand them out as they are."""
        return losses if self.reduction == "none" else np.add.reduce(losses, axis=None) * self.share(losses)

    def times(self, gradient: Array, factor: Any, grad: Any) -> Array:
        """Return ``gradient`` times ``factor`` times the ``grad`` that backward was given.

        Args:
            gradient: the gradient of the loss without its reduction; it belongs to the caller.
            factor: what the reduction multiplies it by.
            grad: the gradient at the loss; None counts as 1, which only a loss that is one number allows.
        """
        if grad is not None:
            factor = factor * grad
        elif factor == 1:
            return gradient
        product: Array = gradient * factor
        return product
