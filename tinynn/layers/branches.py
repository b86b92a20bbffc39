"""Layers made of layers side by side, whose outputs are joined. Each backward is its forward turned upside down."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
from typing_extensions import override

from tinynn.core import discovery
from tinynn.core.arguments import axis_in, integer, written
from tinynn.core.arrays import cast, floating
from tinynn.core.layer import Layer
from tinynn.errors import ArgumentError, ShapeError, expects
from tinynn.layers.containers import Container, as_layer
from tinynn.typing import Array

__all__ = ["Add", "Concatenate", "Multiply", "Residual"]


class Branches(Container):
    """Layers side by side: what `Add`, `Multiply` and `Concatenate` share, which is all but `join` and `split`."""

    def __init__(self, *branches: Layer | Mapping[str, Layer]) -> None:
        super().__init__(*branches)
        if not len(self):
            raise ArgumentError(expects(type(self).__name__, "at least one branch", "none"))

    def join(self, outputs: list[Array]) -> Array:
        """Return y for the outputs of the branches."""
        raise NotImplementedError

    def split(self, grad: Array) -> list[Array]:
        """Return the gradients at the outputs of the branches."""
        raise NotImplementedError

    @override
    def forward(self, *x: Any) -> Array:
        if len(x) not in (1, len(self)):
            what = f"1 input for all branches, or {len(self)}, one for each"
            raise ShapeError(expects(self, what, len(x)))
        self.saved.push(len(x))
        inputs = x if len(x) > 1 else x * len(self)
        return self.join(self._in_one_dtype([f.forward(x) for f, x in zip(self, inputs, strict=True)]))

    @override
    def backward(self, grad: Array) -> Any:
        at_inputs = [f.backward(at_output) for f, at_output in self._latest_first(grad)]
        if self.saved.pop() > 1:
            return tuple(_apart(at_inputs[::-1]))
        parts = [cast(part, grad.dtype) for part in at_inputs if part is not None]  # None at integers
        return functools.reduce(np.add, parts) if parts else None

    @override
    def backward_parameters(self, grad: Array) -> None:
        distinct = len(set(map(id, self))) == len(self)  # a branch that comes twice has to be undone in its turn
        for f, at_output in self._latest_first(grad):
            if not distinct or discovery.trainable(f):
                f.backward_parameters(at_output)

    def _latest_first(self, grad: Array) -> list[tuple[Layer, Array]]:
        return list(zip(self, self.split(grad), strict=True))[::-1]

    def _in_one_dtype(self, outputs: list[Any]) -> list[Array]:
        """Return the outputs in one dtype: that of the first branch with parameters, the widest if none has any."""
        for name, y in zip(self._layers, outputs, strict=True):
            if isinstance(y, tuple):
                raise ShapeError(expects(self, f"one array from branch {name}", f"a tuple of {len(y)}"))
        outputs = [floating(y) for y in outputs]
        if all(y.dtype == outputs[0].dtype for y in outputs):
            return outputs
        own = (y.dtype for f, y in zip(self, outputs, strict=True) if any(True for _ in f.parameters()))
        dtype = next(own, np.result_type(*outputs))
        return [cast(y, dtype) for y in outputs]

    def _demand_one_shape(self, outputs: list[Array]) -> None:
        for name, y in zip(self._layers, outputs, strict=True):
            if y.shape != outputs[0].shape:
                what = f"branch {name} to return the shape {outputs[0].shape}, that of the first branch"
                raise ShapeError(expects(self, what, y.shape))


def _apart(grads: list[Any]) -> list[Any]:
    """Return gradients of which no two are one array, which would change together."""
    return [
        grad if grad is None or all(grad is not other for other in grads[:i]) else grad.copy()
        for i, grad in enumerate(grads)
    ]


class Add(Branches):
    """y = f₁(x) + f₂(x) + ...: the outputs of branches, added up.

    One input goes to every branch. Several are dealt out, one to each: y = f₁(x₁) + f₂(x₂) + ...

    Backward:
        ∂L/∂x = the sum of what the branches return for grad; with an input for each branch, a tuple of it.

    Shapes:
        x what the branches take; y what they return, one array of the same shape each. Where their dtypes differ, the
        branches without parameters follow those with; if none has any, the widest is taken.

    Args:
        branches: layers, or one dict of names to layers, which then name the entries of the state dict.

    Raises:
        ShapeError: if the branches return different shapes, nothing being broadcast; or for another number of inputs.

    Example:
        >>> nn.Add(nn.Identity(), nn.ReLU())(np.array([-1.0, 2.0]))
        array([-1.,  4.])
    """

    @override
    def join(self, outputs: list[Array]) -> Array:
        self._demand_one_shape(outputs)
        y: Array = functools.reduce(np.add, outputs)
        return y

    @override
    def split(self, grad: Array) -> list[Array]:
        return [grad] * len(self)


class Multiply(Branches):
    """y = f₁(x) ⊙ f₂(x) ⊙ ...: the product of the outputs of branches, so that one can be the gate of another.

    One input goes to every branch. Several are dealt out, one to each: y = f₁(x₁) ⊙ f₂(x₂) ⊙ ...

    Backward:
        A branch is given grad times the outputs of all others; ∂L/∂x = the sum of what the branches return, or with an
        input for each branch a tuple of it. Outputs are never divided by, so they may be zero.

    Shapes:
        x what the branches take; y what they return, one array of the same shape each. Where their dtypes differ, the
        branches without parameters follow those with; if none has any, the widest is taken.

    Args:
        branches: layers, or one dict of names to layers, which then name the entries of the state dict.

    Raises:
        ShapeError: if the branches return different shapes, nothing being broadcast; or for another number of inputs.

    Example:
        >>> nn.Multiply(nn.Identity(), nn.Sigmoid())(np.array([0.0, 100.0]))
        array([  0., 100.])
    """

    @override
    def join(self, outputs: list[Array]) -> Array:
        self._demand_one_shape(outputs)
        products: list[Array] = list(itertools.accumulate(outputs, np.multiply))
        self.saved.push((outputs[1:], products[:-1]))
        return products[-1]

    @override
    def split(self, grad: Array) -> list[Array]:
        outputs, products = self.saved.pop()
        grads = []
        for y, before in zip(reversed(outputs), reversed(products), strict=True):
            grads.append(grad * before)
            grad = grad * y
        return [grad, *reversed(grads)]


class Concatenate(Branches):
    """y = [f₁(x), f₂(x), ...]: the outputs of branches, one after the other along an axis.

    One input goes to every branch. Several are dealt out, one to each: y = [f₁(x₁), f₂(x₂), ...].

    Backward:
        A branch is given its part of grad; ∂L/∂x = the sum of what the branches return, or with an input for each
        branch a tuple of it.

    Shapes:
        x what the branches take; y what they return, arrays that differ in the length of the axis ``dim`` at most.
        Where their dtypes differ, the branches without parameters follow those with; if none has any, the widest is
        taken.

    Args:
        branches: layers, or one dict of names to layers, which then name the entries of the state dict.
        dim: the axis; negative numbers count from the end.

    Raises:
        ShapeError: if the branches return shapes that do not fit together; or for another number of inputs.

    Example:
        >>> nn.Concatenate(nn.Identity(), nn.ReLU())(np.array([-1.0, 2.0]))
        array([-1.,  2.,  0.,  2.])
    """

    def __init__(self, *branches: Layer | Mapping[str, Layer], dim: int = -1) -> None:
        super().__init__(*branches)
        self.dim = integer("Concatenate", "dim", dim)

    @override
    def join(self, outputs: list[Array]) -> Array:
        shape = outputs[0].shape
        axis = axis_in(self, self.dim, shape)
        for name, y in zip(self._layers, outputs, strict=True):
            if (y.shape[:axis], y.shape[axis + 1 :]) != (shape[:axis], shape[axis + 1 :]) or y.ndim != len(shape):
                what = f"branch {name} to return the shape {shape}, that of the first branch, but for axis {axis}"
                raise ShapeError(expects(self, what, y.shape))
        self.saved.push((axis, [y.shape[axis] for y in outputs]))
        return np.concatenate(outputs, axis=axis)

    @override
    def split(self, grad: Array) -> list[Array]:
        axis, sizes = self.saved.pop()
        return np.split(grad, list(itertools.accumulate(sizes))[:-1], axis=axis)

    @override
    def extra_repr(self) -> str:
        return written(self, dim=self.dim)


class Residual(Layer):
    """y = x + f(x), in the dtype of f(x).

    Backward:
        The sum becomes a copy: ∂L/∂x = grad + what f returns for grad.

    Shapes:
        x what f takes, y the same: f keeps the shape.

    Args:
        layer: the layer f.

    Raises:
        ShapeError: if f(x) has not the shape of x.
    """

    def __init__(self, layer: Layer) -> None:
        self.layer = as_layer("Residual", layer)

    @override
    def forward(self, x: Array) -> Array:
        y = self.layer(x)
        if y.shape != x.shape:
            raise ShapeError(expects(self, f"its layer to keep the shape {x.shape}", y.shape))
        y = floating(y)
        total: Array = cast(x, y.dtype) + y
        return total

    @override
    def backward(self, grad: Array) -> Array:
        total: Array = grad + self.layer.backward(grad)
        return total

    @override
    def backward_parameters(self, grad: Array) -> None:
        self.layer.backward_parameters(grad)
