"""Layers that are linear in their input."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import numpy as np
from typing_extensions import override

from tinynn import init
from tinynn.core.arguments import boolean, layer_generator, size
from tinynn.core.arrays import as_dtype, cast, get_default_dtype
from tinynn.core.layer import Layer
from tinynn.core.parameter import Parameter
from tinynn.errors import ArgumentTypeError, ShapeError, expects
from tinynn.typing import Array, DTypeLike

__all__ = ["Identity", "Linear"]


class Linear(Layer):
    """y = x Wᵀ + b: the note's Z = W A + B, with a sample in each row.

    Backward:
        ∂L/∂W = gradᵀ x, ∂L/∂b = Σ grad over the samples, ∂L/∂x = grad W.

    Shapes:
        x (..., in_features), y (..., out_features); weight (out_features, in_features), bias (out_features,).

    Args:
        in_features: size of a sample that comes in.
        out_features: size of a sample that goes out.
        bias: whether b is there.
        rng: the generator that the parameters are drawn from.
        dtype: float32 or float64.
        weight_init: fills the weight; by default U(±1/√in_features), as in PyTorch. See `tinynn.init`.
        bias_init: fills the bias; by default what ``weight_init`` returned, or else U(±1/√in_features).

    Raises:
        ShapeError: if the last axis of x has not ``in_features`` elements.

    References:
        The note, (1) to (3) forward; (14), (15) and (23) weight; (10) bias; (18), (19) and (24) input.

    Example:
        >>> layer = nn.Linear(3, 2, rng=np.random.default_rng(0))
        >>> layer(np.ones((5, 3))).shape
        (5, 2)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike | None = None,
        weight_init: init.Initializer | None = None,
        bias_init: init.Initializer | None = None,
    ) -> None:
        self.in_features = size("Linear", "in_features", in_features)
        self.out_features = size("Linear", "out_features", out_features)
        has_bias = boolean("Linear", "bias", bias)
        dtype = get_default_dtype() if dtype is None else as_dtype("Linear", dtype)
        rng = layer_generator("Linear", rng)
        for name, function in (("weight_init", weight_init), ("bias_init", bias_init)):
            if function is not None and not callable(function):
                remedy = "as in tinynn.init.zeros_"
                raise ArgumentTypeError(expects("Linear", f"{name} to be a function", repr(function), remedy))
        self.weight = Parameter(np.zeros((out_features, in_features)), dtype=dtype)
        self.bias = Parameter(np.zeros(out_features), dtype=dtype) if has_bias else None
        self.weight_init = weight_init
        self.bias_init = bias_init
        self.draw_parameters(rng)

    @override
    def draw_parameters(self, rng: np.random.Generator) -> None:
        default = partial(init.fan_in_uniform_, fan_in=self.in_features)
        bias = (self.weight_init or default)(self.weight, rng=rng)
        if bias is not None and np.shape(bias) != (self.out_features,):
            what = f"weight_init to fill its parameter and return None, or a bias of shape ({self.out_features},)"
            raise ShapeError(expects("Linear", what, f"an array of shape {np.shape(bias)}"))
        if self.bias is not None and self.bias_init is None and bias is not None:
            self.bias.data = bias
        elif self.bias is not None:
            (self.bias_init or default)(self.bias, rng=rng)

    @override
    def forward(self, x: Array) -> Array:
        weight = self.weight.data
        shape = x.shape
        if not shape or shape[-1] != self.in_features:
            raise ShapeError(expects(self, f"x of shape (..., {self.in_features})", shape))
        if x.dtype is not weight.dtype:
            x = cast(x, weight.dtype)
        self.saved.push(x)
        y: Array = x.dot(weight.T) if len(shape) <= 2 else by_rows(x, weight.T)
        if self.bias is not None:
            rows = y[0] if shape[0] == 1 and len(shape) == 2 else y  # NumPy adds arrays of one shape in half the time
            rows += self.bias.data
        return y

    @override
    def backward(self, grad: Array) -> Array:
        self._add_gradients(grad)
        weight = self.weight.data
        return grad.dot(weight) if grad.ndim <= 2 else by_rows(grad, weight)

    @override
    def backward_parameters(self, grad: Array) -> None:
        self._add_gradients(grad)

    def _add_gradients(self, grad: Array) -> None:
        x = self.saved.pop()
        weight, bias = self.weight, self.bias
        if grad.ndim != 2:  # as rows, (samples, out_features) and (samples, in_features)
            grad, x = grad.reshape(-1, self.out_features), x.reshape(-1, self.in_features)
        if weight.requires_grad:
            weight.add_product(grad.T, x)
        if bias is not None and bias.requires_grad:
            if len(grad) == 1:  # nothing to sum
                bias.add_grad(grad[0])
            else:
                bias.add_product(ones(len(grad), grad.dtype), grad)

    @override
    def extra_repr(self) -> str:
        bias = "" if self.bias is not None else ", bias=False"
        dtype = "" if self.weight.dtype == np.float64 else f", dtype={self.weight.dtype}"
        return f"{self.in_features}, {self.out_features}{bias}{dtype}"


class Identity(Layer):
    """y = x.

    Backward:
        ∂L/∂x = grad.

    Shapes:
        x of any shape and dtype, y the same.
    """

    takes_integers = True

    @override
    def forward(self, x: Array) -> Array:
        return x

    @override
    def backward(self, grad: Array) -> Array:
        return grad


@lru_cache(64)
def ones(length: int, dtype: np.dtype[Any]) -> Array:
    """Return ones to multiply a matrix by: its sum over the rows, in half the time that NumPy takes to add them."""
    return np.ones(length, dtype)


def by_rows(x: Array, matrix: Array) -> Array:
    """Return x @ matrix for x of more than two axes, (..., n), as one product, which NumPy leaves to BLAS."""
    y: Array = x.reshape(-1, x.shape[-1]).dot(matrix)
    return y.reshape(*x.shape[:-1], matrix.shape[1])
