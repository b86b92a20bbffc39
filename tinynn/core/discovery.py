"""How the parameters, buffers and layers of a layer are found: by looking at its attributes, when asked.

Attributes are followed into lists, tuples and dicts with string keys, to any depth. Where this cannot see, a layer or
parameter is an error: it would be left out of training and of files without a word.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np

from tinynn.core.parameter import Buffer, Parameter, StateArray
from tinynn.errors import DiscoveryError

__all__ = ["attributes", "each_once", "generators", "own", "trainable", "walk", "walk_once"]

T = TypeVar("T")

HOLDERS = (list, tuple, dict, set, frozenset, deque)


def attributes(layer: Any, kind: type[T] | tuple[type[T], ...]) -> Iterator[tuple[str, T]]:
    """Yield the objects of one kind among the attributes of ``layer`` with their names (``"blocks.0"`` in a list).

    Raises:
        DiscoveryError: if one sits in a set, under a key that is no string, in ``__slots__``, in a class attribute, or
            under a name with a dot.
    """
    for cls in type(layer).__mro__[:-1]:
        if not cls.__dict__.get("foreign", True):  # tinynn's own classes hide nothing
            continue
        slots = cls.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if _holds(getattr(layer, name, None), kind):
                raise _hidden(layer, f"the slot {name!r}", "remove __slots__ from the class")
        for name, value in cls.__dict__.items():
            if isinstance(value, (*HOLDERS, kind)) and _holds(value, kind):
                raise _hidden(layer, f"the class attribute {name!r}", "create it in __init__, one for each layer")
    for name, value in vars(layer).items():
        if isinstance(value, (*HOLDERS, kind)):
            if "." in name and _holds(value, kind):
                raise _hidden(layer, f"the name {name!r}", "use a name without dots")
            yield from _inside(layer, name, value, kind, ())


def _inside(layer: Any, name: str, value: Any, kind: Any, path: tuple[int, ...]) -> Iterator[tuple[str, Any]]:
    if isinstance(value, kind):
        yield name, value
    elif id(value) in path:
        return
    elif isinstance(value, dict):
        for key, item in value.items():
            if isinstance(key, str) and "." not in key:
                yield from _inside(layer, f"{name}.{key}", item, kind, (*path, id(value)))
            elif _holds(item, kind):
                raise _hidden(layer, f"the key {key!r} of {name!r}", "use strings without dots as keys")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _inside(layer, f"{name}.{index}", item, kind, (*path, id(value)))
    elif path and isinstance(value, type) and isinstance(kind, type) and issubclass(value, kind):
        raise _hidden(layer, f"{name!r} the class {value.__name__}", f"write {value.__name__}()")
    elif isinstance(value, (set, frozenset, deque)) and _holds(value, kind):
        what = "deque" if isinstance(value, deque) else "set"
        raise _hidden(layer, f"the {what} {name!r}", "use a list")


def _holds(value: Any, kind: Any, path: tuple[int, ...] = ()) -> bool:
    if isinstance(value, kind):
        return True
    if id(value) in path or not isinstance(value, HOLDERS):
        return False
    items = value.values() if isinstance(value, dict) else value
    return any(_holds(item, kind, (*path, id(value))) for item in items)


def _hidden(layer: Any, where: str, remedy: str) -> DiscoveryError:
    name = type(layer).__name__
    return DiscoveryError(
        f"{name} expects layers, parameters and buffers in its own attributes, or in lists, tuples and dicts there, "
        f"got one in {where}; {remedy}"
    )


def own(layer: Any) -> list[tuple[str, StateArray]]:
    """Return the parameters, then the buffers, that belong to ``layer`` itself, with their names."""
    found = list(attributes(layer, StateArray))
    kinds = (Parameter, Buffer)
    return [(name, value) for kind in kinds for name, value in found if isinstance(value, kind)]


def walk(layer: Any, path: str = "", above: tuple[int, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yield ``layer`` and every layer below it with its path, as often as it is reached; cycles end."""
    yield path, layer
    for name, child in layer.named_children():
        if id(child) not in above and child is not layer:
            yield from walk(child, f"{path}.{name}" if path else name, (*above, id(layer)))


def walk_once(layer: Any) -> Iterator[tuple[str, Any]]:
    """Yield ``layer`` and every layer below it with the first path that it is reached by, each once."""
    seen: set[int] = set()
    waiting = [("", layer)]
    while waiting:
        path, found = waiting.pop()
        if id(found) not in seen:
            seen.add(id(found))
            yield path, found
            below = [(f"{path}.{name}" if path else name, child) for name, child in found.named_children()]
            waiting += reversed(below)


def each_once(pairs: Iterator[tuple[str, T]]) -> Iterator[tuple[str, T]]:
    """Yield the pairs whose object did not come before, by identity."""
    seen: set[int] = set()
    for name, value in pairs:
        if id(value) not in seen:
            seen.add(id(value))
            yield name, value


def generators(layer: Any) -> Iterator[np.random.Generator]:
    """Yield each random generator in the attributes of ``layer`` and of the layers below it once."""
    pairs = (pair for _, inside in walk_once(layer) for pair in attributes(inside, np.random.Generator))
    return (generator for _, generator in each_once(pairs))


def trainable(layer: Any) -> bool:
    """Whether ``layer`` or a layer below it has a parameter that requires a gradient. Fast: it runs in every step."""
    for value in layer.__dict__.values():
        if type(value) is Parameter and value.requires_grad:
            return True
    return any(_trainable(value, (id(layer),)) for value in layer.__dict__.values())


def _trainable(value: Any, path: tuple[int, ...]) -> bool:
    if isinstance(value, Parameter):
        return value.requires_grad
    if id(value) in path:
        return False
    if isinstance(value, (list, tuple, dict)):
        items = value.values() if isinstance(value, dict) else value
    elif hasattr(value, "named_children"):
        items = vars(value).values()
    else:
        return False
    path = (*path, id(value))
    return any(_trainable(item, path) for item in items)
