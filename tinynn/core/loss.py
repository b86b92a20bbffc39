"""The base class of losses."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from tinynn.core.arguments import choice
from tinynn.core.arrays import cast, floating
from tinynn.core.layer import Layer
from tinynn.errors import ArgumentError, ShapeError, expects
from tinynn.typing import Array

__all__ = ["Loss"]

HALF = np.dtype(np.float16)


class Loss(Layer):
    """A layer that takes a prediction and a target and returns a number.

    ``loss_fn(prediction, target)`` returns the loss as a NumPy scalar of the prediction's dtype, and
    ``loss_fn.backward()`` its gradient at the prediction. With ``reduction="none"`` the loss is an array, and
    ``backward(grad)`` needs the gradient at it; otherwise ``grad`` is a factor.

    A loss of several predictions returns a tuple of gradients, each in the place of its input: None stands for a
    target, which has none, and targets at the end are left out.

    Args:
        reduction: how the losses of single elements are joined.
    """

    takes_integers: ClassVar[bool] = True  # class indices
    is_loss: ClassVar[bool] = True
    reductions: ClassVar[tuple[str, ...]] = ("mean", "sum", "none")
    reduction: str = "mean"
    needs_grad: bool = False

    def __init__(self, *, reduction: str = "mean") -> None:
        self.reduction = choice(type(self).__name__, "reduction", reduction, self.reductions)
        self.needs_grad = self.reduction == "none"

    @override
    def extra_repr(self) -> str:
        parts = []
        for name, argument in [*inspect.signature(type(self).__init__).parameters.items()][1:]:
            value = vars(self).get(name, argument.default)
            plain = value is None or isinstance(value, (bool, int, float, str))
            if name == "reduction" or not plain or value != argument.default:
                parts.append(f"{name}={value!r}" if plain else f"{name}=...")
        return ", ".join(parts)

    # Between a model and an optimizer

    def judge(self, outputs: Any, target: Any) -> Any:
        """Return the loss of what a model has returned: of a tuple each part is a prediction.

        ``loss_fn.judge(model(x), target)`` is ``loss_fn(model(x), target)`` for one output.
        """
        if not isinstance(outputs, tuple):
            return self(outputs, target)
        place = _place_of_target(type(self).forward)
        return self(*outputs, target) if place is None else self(*outputs[:place], target, *outputs[place:])

    def gradients(self, *grad: Any) -> tuple[Any, ...]:
        """Return the gradients at the outputs that were judged: ``model.backward(*loss_fn.gradients())``."""
        grads = self.backward(*grad)
        if not isinstance(grads, tuple):
            return (grads,)
        place = _place_of_target(type(self).forward)
        return grads if place is None else grads[:place] + grads[place + 1 :]

    # Checks

    def matched(self, **arrays: Array) -> list[Array]:
        """Return arrays in the dtype of the first, which is floating; all must have its very shape.

        Raises:
            ShapeError: if one has another shape: nothing is broadcast.
        """
        (first, x), *others = arrays.items()
        x = floating(x)
        for name, other in others:
            if other.shape != x.shape:
                raise self._unlike(first, x, name, other)
        return [x, *(cast(other, x.dtype) for _, other in others)]

    def wrong_shape(self, prediction: Array, target: Array) -> ShapeError:
        """Return the error for a target that has not exactly the shape of the prediction: nothing is broadcast."""
        return self._unlike("prediction", prediction, "target", target)

    def _unlike(self, first: str, x: Array, name: str, other: Array) -> ShapeError:
        alike = [length for length in x.shape if length != 1] == [length for length in other.shape if length != 1]
        remedy = f"write {name}.reshape({first}.shape)" if alike else ""
        return ShapeError(expects(self, f"{name} of shape {x.shape}, that of {first}", other.shape, remedy))

    def refuse(self, wrong: Array, what: str, array: Array, remedy: str = "") -> None:
        """Raise an error that says where the first of the elements is that are wrong, if any is.

        Raises:
            ArgumentError: if there is a True in ``wrong``.
        """
        if wrong.any():
            place = tuple(np.argwhere(wrong)[0].tolist())
            sample = place[0] if len(place) == 1 else place
            where = f" for sample {sample}" if place else ""
            raise ArgumentError(expects(self, what, f"{array[place]}{where}", remedy))

    # Reductions

    def share(self, losses: Array) -> float:
        """Return what the sum of ``losses`` is multiplied by: 1 for a sum, 1 over their number for a mean.

        With ``reduction="half"`` it is ½ over the length of the first axis, or just ½ where there are fewer than two
        axes; with ``"batchmean"`` it is 1 over the length of the first axis.

        Raises:
            ShapeError: for a mean over nothing.
        """
        if self.reduction == "half" and losses.size:
            return 0.5 if losses.ndim <= 1 else 0.5 / len(losses)
        if self.reduction in {"sum", "none"}:
            return 1.0
        by_sample = self.reduction in {"half", "batchmean"} and losses.ndim
        count = len(losses) if by_sample else losses.size
        if count == 0:
            remedy = "leave empty batches out or use reduction='sum'"
            raise ShapeError(expects(self, "at least one element to average over", f"shape {losses.shape}", remedy))
        return (0.5 if self.reduction == "half" else 1.0) / count

    def reduce(self, losses: Array, share: float | None = None) -> Any:
        """Join the losses of single elements into a number, or hand them out as they are.

        Args:
            losses: one for each element.
            share: what their sum is multiplied by; by default what `share` says.
        """
        if self.reduction == "none":
            return losses
        share = self.share(losses) if share is None else share
        if losses.dtype == HALF:  # whose sums overflow where means do not
            return cast(np.add.reduce(losses, axis=None, dtype=np.float32) * share, HALF)
        return np.add.reduce(losses, axis=None) * share

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


@lru_cache(128)
def _place_of_target(forward: Callable[..., Any]) -> int | None:
    """Return at which place ``forward`` takes the target; None where no argument has that name: it comes last then."""
    _, *names = inspect.signature(forward).parameters
    return names.index("target") if "target" in names else None
