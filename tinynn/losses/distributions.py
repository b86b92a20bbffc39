"""Losses for predictions of distributions: how far they are, or how unlikely they make what came."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from tinynn.core.arguments import boolean, number
from tinynn.core.arrays import cast
from tinynn.core.loss import Loss
from tinynn.errors import ShapeError, expects
from tinynn.losses.elementwise import ElementwiseLoss
from tinynn.losses.weights import weighted
from tinynn.typing import Array

__all__ = ["GaussianNLLLoss", "KLDivLoss", "PoissonNLLLoss"]

LOG_TWO_PI = math.log(2 * math.pi)


class KLDivLoss(ElementwiseLoss):
    """L = t (log t - x), the Kullback-Leibler divergence, for x = log p, a prediction of logarithms of probabilities.

    Backward:
        ∂L/∂x = -t; -eᵗ with ``log_target=True``.

    Shapes:
        prediction and target the same.

    Args:
        reduction: ``"mean"`` over the elements, ``"batchmean"`` over the first axis, which is the divergence as it is
            defined, ``"sum"`` or ``"none"``.
        log_target: whether the target is logarithms, too; L = eᵗ (t - x) then.

    Raises:
        ShapeError: if the shapes differ, or for a mean over nothing.

    Example:
        >>> loss_fn = nn.KLDivLoss(reduction="batchmean")
        >>> loss_fn(np.log([[0.5, 0.5]]), np.array([[1.0, 0.0]])).round(6)  # log 2
        np.float64(0.693147)
    """

    reductions: ClassVar[tuple[str, ...]] = ("mean", "batchmean", "sum", "none")

    def __init__(self, *, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction=reduction)
        self.log_target = boolean("KLDivLoss", "log_target", log_target)

    @override
    def function(self, prediction: Array, target: Array) -> Array:
        p, log_p = (np.exp(target), target) if self.log_target else (target, np.log(target))
        return weighted(p, np.where(p == 0, 0, log_p) - prediction)

    @override
    def derivative(self, prediction: Array, target: Array) -> Array:
        return -np.exp(target) if self.log_target else -target


class PoissonNLLLoss(ElementwiseLoss):
    """L = eˣ - t x, the negative log-likelihood of a count t where x is the logarithm of the rate that is expected.

    Backward:
        ∂L/∂x = eˣ - t; 1 - t / (x + eps) with ``log_input=False``.

    Shapes:
        prediction and target the same.

    Args:
        log_input: whether the prediction is the logarithm of the rate; if not, it is the rate, and
            L = x - t log(x + eps).
        full: whether Stirling's approximation of log t!, which has no gradient, is added: t log t - t + ½ log(2π t)
            where t > 1.
        eps: keeps a rate of 0 out of the logarithm.
        reduction: ``"mean"`` over the elements, ``"sum"`` or ``"none"``.

    Raises:
        ShapeError: if the shapes differ, or for a mean over nothing.

    Example:
        >>> nn.PoissonNLLLoss()(np.array([0.0]), np.array([3.0])).item()
        1.0
    """

    def __init__(
        self, log_input: bool = True, full: bool = False, *, eps: float = 1e-8, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction=reduction)
        self.log_input = boolean("PoissonNLLLoss", "log_input", log_input)
        self.full = boolean("PoissonNLLLoss", "full", full)
        self.eps = number("PoissonNLLLoss", "eps", eps, low=0)

    @override
    def function(self, prediction: Array, target: Array) -> Array:
        if self.log_input:
            losses = np.exp(prediction) - weighted(target, prediction)
        else:
            losses = prediction - weighted(target, np.log(prediction + self.eps))
        return losses + stirling(target) if self.full else losses

    @override
    def derivative(self, prediction: Array, target: Array) -> Array:
        return np.exp(prediction) - target if self.log_input else 1 - target / (prediction + self.eps)


class GaussianNLLLoss(Loss):
    """L = ½ (log v + (a - a*)² / v), the negative log-likelihood of a* where a is its mean and v its variance.

    A variance below eps counts as eps.

    Backward:
        ∂L/∂a = (a - a*) / v and ∂L/∂v = ½ (1 / v - (a - a*)² / v²), a tuple (∂L/∂a, None, ∂L/∂v): a target has no
        gradient. A variance below eps is not stuck there: as in PyTorch its gradient is that at eps.

    Shapes:
        prediction and target the same; var the same, or with one axis of length 1 (one variance along it), or
        without the last axis, or a single number.

    Args:
        full: whether the constant ½ log 2π is added.
        eps: the least variance.
        reduction: ``"mean"`` over the elements, ``"sum"`` or ``"none"``.

    Raises:
        ArgumentError: if a variance is negative; it says which.
        ShapeError: if the shapes do not belong together, or for a mean over nothing.

    References:
        Nix and Weigend, Estimating the mean and variance of the target probability distribution, 1994.

    Example:
        >>> loss_fn = nn.GaussianNLLLoss()
        >>> loss_fn(np.array([1.0, 2.0]), np.array([1.0, 4.0]), np.array([1.0, 2.0])).round(6)  # ¼ (log 2 + 2)
        np.float64(0.673287)
        >>> at_mean, _, at_var = loss_fn.backward()
    """

    may_overflow: ClassVar[bool] = False  # it asks for silence itself

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.full = boolean("GaussianNLLLoss", "full", full)
        self.eps = number("GaussianNLLLoss", "eps", eps, above=0)

    @override
    def forward(self, prediction: Array, target: Array, var: Array) -> Any:
        prediction, target = self.matched(prediction=prediction, target=target)
        shape = var.shape
        var = self._wide(cast(var, prediction.dtype), prediction.shape)
        with np.errstate(all="ignore"):
            error, var = prediction - target, np.maximum(var, self.eps)
            self.saved.push((error, var, shape))
            losses = 0.5 * (np.log(var) + error / var * error)
            return self.reduce(losses + 0.5 * LOG_TWO_PI if self.full else losses)

    @override
    def backward(self, grad: Any = None) -> tuple[Array, None, Array]:
        error, var, shape = self.saved.pop()
        with np.errstate(all="ignore"):
            ratio, share = error / var, self.share(error)
            at_var = self.times(0.5 * (1 / var - ratio * ratio), share, grad)
            return self.times(ratio, share, grad), None, sum_to(at_var, var.shape).reshape(shape)

    def _wide(self, var: Array, shape: tuple[int, ...]) -> Array:
        """Return the variances in a shape that is broadcast to that of the prediction."""
        self.refuse(var.real < 0, "var to be at least 0", var)
        if var.ndim == 0:
            return var.reshape([1] * len(shape))
        if var.shape == shape[:-1]:
            return var[..., np.newaxis]
        lengths = list(zip(var.shape, shape, strict=False))
        if var.ndim != len(shape) or any(length not in (1, wanted) for length, wanted in lengths):
            what = f"var of shape {shape}, that of prediction, or {shape[:-1]}, or with axes of length 1"
            raise ShapeError(expects(self, what, var.shape))
        return var


def stirling(t: Array) -> Array:
    """Return t log t - t + ½ log(2π t), close to log t!, where t > 1; 0 elsewhere."""
    log_t = np.log(np.maximum(t, 1))
    return np.where(t > 1, t * log_t - t + 0.5 * (LOG_TWO_PI + log_t), 0)


def sum_to(x: Array, shape: tuple[int, ...]) -> Array:
    """Return the sums of ``x`` along the axes where an array of this shape, with as many axes, was broadcast to it."""
    total: Array = np.add.reduce(x, axis=tuple(axis for axis, length in enumerate(shape) if length != x.shape[axis]))
    return total
