"""A loss from the loss of one element and its derivative."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from tinynn.core.loss import Loss
from tinynn.typing import Array

__all__ = ["ElementwiseLoss"]


class ElementwiseLoss(Loss):
    """L = Σ ℓ(a, a*) over the elements, from the pair of ℓ and its derivative at a.

    A subclass writes the pair; shapes, dtypes and reductions are taken care of here::

        class LogCosh(nn.ElementwiseLoss):
            def function(self, prediction, target):
                error = prediction - target
                return np.logaddexp(error, -error) - math.log(2)

            def derivative(self, prediction, target):
                return np.tanh(prediction - target)

    Both return new arrays, and need not fear overflow, infinities or logarithms of 0: no warning gets out.

    Backward:
        ∂L/∂a = ∂ℓ/∂a, over the number of elements for ``reduction="mean"``.

    Shapes:
        prediction and target the same.

    Args:
        reduction: ``"mean"`` over the elements, ``"sum"`` or ``"none"``.

    Raises:
        ShapeError: if the shapes differ, or for a mean over nothing.
    """

    may_overflow: ClassVar[bool] = False  # it asks for silence itself

    def function(self, prediction: Array, target: Array) -> Array:
        """Return ℓ for each element."""
        raise NotImplementedError(f"{type(self).__name__} defines no function")

    def derivative(self, prediction: Array, target: Array) -> Array:
        """Return ∂ℓ/∂a for each element."""
        raise NotImplementedError(f"{type(self).__name__} defines no derivative")

    @override
    def forward(self, prediction: Array, target: Array) -> Any:
        prediction, target = self.matched(prediction=prediction, target=target)
        self.saved.push((prediction, target))
        with np.errstate(all="ignore"):
            return self.reduce(self.function(prediction, target))

    @override
    def backward(self, grad: Any = None) -> Array:
        prediction, target = self.saved.pop()
        with np.errstate(all="ignore"):
            slopes = self.derivative(prediction, target)
            return self.times(slopes, self.share(slopes), grad)
