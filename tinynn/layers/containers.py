"""Layers made of layers, one after the other. The backward is the forward turned upside down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self, overload

from numpy import ndarray
from typing_extensions import override

from tinynn.core import discovery
from tinynn.core.layer import Layer
from tinynn.errors import ArgumentError, ArgumentTypeError, DiscoveryError, expects

__all__ = ["Container", "Sequential", "as_layer"]


class Container(Layer):
    """Layers in a row, each with a name: what `Sequential` and the branches of `tinynn.layers.branches` share."""

    def __init__(self, *layers: Layer | Mapping[str, Layer]) -> None:
        owner = type(self).__name__
        named: dict[str, Any] = {}
        if len(layers) == 1 and isinstance(layers[0], Mapping):
            named.update(layers[0])
        else:
            named.update({str(index): layer for index, layer in enumerate(layers)})
        for name, layer in named.items():
            if not isinstance(name, str) or not name or "." in name:
                raise DiscoveryError(expects(owner, "names that are text without dots", repr(name)))
            named[name] = as_layer(owner, layer)
        self._layers: dict[str, Layer] = named

    @override
    def named_children(self) -> Iterator[tuple[str, Layer]]:
        return ((name.removeprefix("_layers."), child) for name, child in super().named_children())

    def __len__(self) -> int:
        return len(self._layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self._layers.values())

    def __getitem__(self, index: int | str) -> Any:
        return self._layers[index] if isinstance(index, str) else list(self._layers.values())[index]


class Sequential(Container):
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

    @override
    def forward(self, *x: Any) -> Any:
        y: Any = x if len(x) != 1 else x[0]
        for layer in self._layers.values():
            y = layer.forward(y) if type(y) is ndarray else layer.forward(*_several(y))
        return y

    @override
    def backward(self, *grads: Any) -> Any:
        grad: Any = grads if len(grads) != 1 else grads[0]
        for layer in reversed(self._layers.values()):
            grad = layer.backward(grad) if type(grad) is ndarray else layer.backward(*_several(grad))
        return grad

    @override
    def backward_parameters(self, *grads: Any) -> None:
        grad: Any = grads if len(grads) != 1 else grads[0]
        layers = list(self._layers.values())
        while layers and not discovery.trainable(layers[0]):
            del layers[0]
        if not layers:
            return
        for layer in layers[:0:-1]:
            grad = layer.backward(grad) if type(grad) is ndarray else layer.backward(*_several(grad))
        layers[0].backward_parameters(*_several(grad))

    def append(self, layer: Layer) -> Self:
        """Add a layer at the end, named by its position."""
        name = str(len(self._layers))
        if name in self._layers:
            raise ArgumentError(expects("Sequential", "a free name for the new layer", f"{name!r}, which is taken"))
        self._layers[name] = as_layer("Sequential", layer)
        return self

    @overload
    def __getitem__(self, index: int | str) -> Layer: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    @override
    def __getitem__(self, index: int | str | slice) -> Layer:
        if isinstance(index, slice):
            return Sequential(dict(list(self._layers.items())[index]))
        layer: Layer = super().__getitem__(index)
        return layer

    def __setitem__(self, index: int | str, layer: Layer) -> None:
        name = index if isinstance(index, str) else list(self._layers)[index]
        if name not in self._layers:
            raise KeyError(name)
        self._layers[name] = as_layer("Sequential", layer)


def _several(y: Any) -> tuple[Any, ...]:
    """Return what one layer has returned as what the next one is given: a tuple is several arrays."""
    return y if isinstance(y, tuple) else (y,)


def as_layer(owner: str, layer: object) -> Layer:
    """Return ``layer``, which must be one."""
    if isinstance(layer, Layer):
        return layer
    if isinstance(layer, type) and issubclass(layer, Layer):
        raise ArgumentTypeError(expects(owner, "layers", f"the class {layer.__name__}", f"write {layer.__name__}()"))
    remedy = "wrap it: nn.Elementwise(function, derivative)" if callable(layer) else "pass layers one by one"
    raise ArgumentTypeError(expects(owner, "layers", repr(layer), remedy))
