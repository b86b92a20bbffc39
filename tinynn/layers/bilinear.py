"""A layer that is linear in each of its two inputs."""

from __future__ import annotations

import numpy as np
from numpy import newaxis
from typing_extensions import override

from tinynn import init
from tinynn.core.arguments import boolean, layer_generator, size, written
from tinynn.core.arrays import as_dtype, cast, get_default_dtype
from tinynn.core.layer import Layer
from tinynn.core.parameter import Parameter
from tinynn.errors import ShapeError, expects
from tinynn.typing import Array, DTypeLike

__all__ = ["Bilinear"]


class Bilinear(Layer):
    """yₖ = Σᵢⱼ Wₖᵢⱼ uᵢ vⱼ + bₖ for two inputs u and v: linear in all products of the one's numbers with the other's.

    Backward:
        With P = Σₖ gradₖ Wₖ: ∂L/∂u = P v, ∂L/∂v = Pᵀ u; ∂L/∂Wₖ = Σ gradₖ u ⊗ v and ∂L/∂b = Σ grad over the samples.

    Shapes:
        input1 (..., in1_features), input2 (..., in2_features), the same axes before the last; y (..., out_features);
        weight (out_features, in1_features, in2_features), bias (out_features,).

    Args:
        in1_features: size of a sample of u.
        in2_features: size of a sample of v.
        out_features: size of a sample that goes out.
        bias: whether b is there.
        rng: the generator that the parameters are drawn from, as U(±1/√in1_features).
        dtype: float32 or float64.

    Raises:
        ShapeError: if the shapes do not fit.

    Example:
        >>> nn.Bilinear(3, 4, 2)(np.ones((5, 3)), np.ones((5, 4))).shape
        (5, 2)
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        *,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        self.in1_features = size("Bilinear", "in1_features", in1_features)
        self.in2_features = size("Bilinear", "in2_features", in2_features)
        self.out_features = size("Bilinear", "out_features", out_features)
        has_bias = boolean("Bilinear", "bias", bias)
        dtype = get_default_dtype() if dtype is None else as_dtype("Bilinear", dtype)
        rng = layer_generator("Bilinear", rng)
        self.weight = Parameter(np.zeros((out_features, in1_features, in2_features)), dtype=dtype)
        self.bias = Parameter(np.zeros(out_features), dtype=dtype) if has_bias else None
        self.draw_parameters(rng)

    @override
    def draw_parameters(self, rng: np.random.Generator) -> None:
        for parameter in (self.weight, self.bias):
            if parameter is not None:
                init.fan_in_uniform_(parameter, fan_in=self.in1_features, rng=rng)

    @override
    def forward(self, input1: Array, input2: Array) -> Array:
        samples = input1.shape[:-1]
        if input1.shape != (*samples, self.in1_features):
            raise ShapeError(expects(self, f"input1 of shape (..., {self.in1_features})", input1.shape))
        if input2.shape != (*samples, self.in2_features):
            raise ShapeError(expects(self, f"input2 of shape {(*samples, self.in2_features)}", input2.shape))
        weight = self.weight.data
        u = cast(input1, weight.dtype).reshape(-1, self.in1_features)
        v = cast(input2, weight.dtype).reshape(-1, self.in2_features)
        self.saved.push((u, v))
        y: Array = products(u, v).dot(weight.reshape(self.out_features, -1).T)
        if self.bias is not None:
            y += self.bias.data
        return y.reshape(*samples, self.out_features)

    @override
    def backward(self, grad: Array) -> tuple[Array, Array]:
        u, v = self._add_gradients(grad)
        weight = self.weight.data
        p = grad.reshape(-1, self.out_features).dot(weight.reshape(self.out_features, -1))
        p = p.reshape(-1, self.in1_features, self.in2_features)
        at_u, at_v = p @ v[:, :, newaxis], u[:, newaxis, :] @ p
        samples = grad.shape[:-1]
        return at_u.reshape(*samples, self.in1_features), at_v.reshape(*samples, self.in2_features)

    @override
    def backward_parameters(self, grad: Array) -> None:
        self._add_gradients(grad)

    def _add_gradients(self, grad: Array) -> tuple[Array, Array]:
        """Add the gradients of the parameters to theirs; return the inputs as rows."""
        u, v = self.saved.pop()
        grad = grad.reshape(-1, self.out_features)
        if self.weight.requires_grad:
            self.weight.add_grad(grad.T.dot(products(u, v)).reshape(self.weight.shape))
        if self.bias is not None and self.bias.requires_grad:
            self.bias.add_grad(np.add.reduce(grad))
        return u, v

    @override
    def extra_repr(self) -> str:
        sizes = self.in1_features, self.in2_features, self.out_features
        return written(self, *sizes, bias=self.bias is not None, dtype=self.weight.dtype)


def products(u: Array, v: Array) -> Array:
    """Return u ⊗ v for each sample, (samples, in1_features · in2_features)."""
    outer: Array = u[:, :, newaxis] * v[:, newaxis, :]
    return outer.reshape(len(u), u.shape[1] * v.shape[1])
