"""Layers made of layers. Each backward is its forward turned upside down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self, overload

from typing_extensions import override

from tinynn.core import discovery
from tinynn.core.arrays import cast, floating
from tinynn.core.layer import Layer
from tinynn.errors import ArgumentError, ArgumentTypeError, DiscoveryError, ShapeError, expects
from tinynn.typing import Array

__all__ = ["Residual", "Sequential"]


class Sequential(Layer):
    """y = fₙ(... f₂(f₁(x))): layers one after the other, the note's N(A⁰) = Aᴸ.

    Backward:
        The layers in reverse: the note's steps 1 to 3.

    Shapes:
        x what the first layer takes, y what the last one returns. A tuple that one layer returns is handed to the next
        as several inputs.

    Args:
        layers: layers, or one dict of names to layers, which then name the entries of the state dict.

    References:
        The note, (4) and (5), and the steps after (24).

    Example:
        >>> model = nn.Sequential(nn.Linear(3, 2), nn.ArctanSigmoid())
        >>> len(model), model[0], model[:1]
        (2, Linear(3, 2), Sequential(
          (0): Linear(3, 2)
        ))
    """

    def __init__(self, *layers: Layer | Mapping[str, Layer]) -> None:
        named: dict[str, Any] = {}
        if len(layers) == 1 and isinstance(layers[0], Mapping):
            named.update(layers[0])
        else:
            named.update({str(index): layer for index, layer in enumerate(layers)})
        for name, layer in named.items():
            if not isinstance(name, str) or not name or "." in name:
                raise DiscoveryError(expects("Sequential", "names that are text without dots", repr(name)))
            named[name] = _layer("Sequential", layer)
        self._layers: dict[str, Layer] = named

    @override
    def forward(self, *x: Any) -> Any:
        y: Any = x if len(x) != 1 else x[0]
        for layer in self._layers.values():
            y = layer.forward(*y) if isinstance(y, tuple) else layer.forward(y)
        return y

    @override
    def backward(self, *grads: Any) -> Any:
        grad: Any = grads if len(grads) != 1 else grads[0]
        for layer in reversed(self._layers.values()):
            grad = layer.backward(*grad) if isinstance(grad, tuple) else layer.backward(grad)
        return grad

    @override
    def backward_parameters(self, *grads: Any) -> None:
        grad: Any = grads if len(grads) != 1 else grads[0]
        layers = list(self._layers.values())
        first = 0
        while first < len(layers) and not discovery.trainable(layers[first]):
            first += 1
        if first == len(layers):
            return
        for layer in layers[:first:-1]:
            grad = layer.backward(*grad) if isinstance(grad, tuple) else layer.backward(grad)
        if isinstance(grad, tuple):
            layers[first].backward_parameters(*grad)
        else:
            layers[first].backward_parameters(grad)

    @override
    def named_children(self) -> Iterator[tuple[str, Layer]]:
        return ((name.removeprefix("_layers."), child) for name, child in super().named_children())

    def append(self, layer: Layer) -> Self:
        """Add a layer at the end, named by its position."""
        name = str(len(self._layers))
        if name in self._layers:
            raise ArgumentError(expects("Sequential", "a free name for the new layer", f"{name!r}, which is taken"))
        self._layers[name] = _layer("Sequential", layer)
        return self

    def __len__(self) -> int:
        return len(self._layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self._layers.values())

    @overload
    def __getitem__(self, index: int | str) -> Layer: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    def __getitem__(self, index: int | str | slice) -> Layer:
        if isinstance(index, str):
            return self._layers[index]
        if isinstance(index, slice):
            return Sequential(dict(list(self._layers.items())[index]))
        return list(self._layers.values())[index]

    def __setitem__(self, index: int | str, layer: Layer) -> None:
        name = index if isinstance(index, str) else list(self._layers)[index]
        if name not in self._layers:
            raise KeyError(name)
        self._layers[name] = _layer("Sequential", layer)


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
        self.layer = _layer("Residual", layer)

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


def _layer(owner: str, layer: object) -> Layer:
    if isinstance(layer, Layer):
        return layer
    if isinstance(layer, type) and issubclass(layer, Layer):
        raise ArgumentTypeError(expects(owner, "layers", f"the class {layer.__name__}", f"write {layer.__name__}()"))
    remedy = "wrap it: nn.Elementwise(function, derivative)" if callable(layer) else "pass layers one by one"
    raise ArgumentTypeError(expects(owner, "layers", repr(layer), remedy))
