"""State dicts: names to arrays, and back, all or nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tinynn.core import discovery
from tinynn.core.arguments import contents
from tinynn.core.parameter import StateArray
from tinynn.errors import DiscoveryError, DTypeError, StateError, expects
from tinynn.typing import Array

__all__ = ["entries", "load", "save"]


def entries(layer: Any) -> Iterator[tuple[str, StateArray]]:
    """Yield all parameters and buffers with their paths, under every name that they have.

    For each layer its own parameters first, then its buffers, then the layers inside: the order of PyTorch.
    """
    seen: dict[str, StateArray] = {}
    for path, found in discovery.walk(layer):
        for name, value in discovery.own(found):
            full = f"{path}.{name}" if path else name
            if seen.setdefault(full, value) is not value:
                raise DiscoveryError(f"{type(layer).__name__} expects one array for each name, got two for {full!r}")
            yield full, value


def save(layer: Any) -> dict[str, Array]:
    """Return a copy of every array under its path."""
    return {path: value.data.copy() for path, value in entries(layer)}


def load(layer: Any, state_dict: Mapping[str, Any], strict: bool) -> None:
    """Copy the arrays of ``state_dict`` in, after every one of them was checked."""
    if not isinstance(state_dict, Mapping):
        raise StateError(expects(type(layer).__name__, "a state dict", contents(state_dict)))
    targets = dict(entries(layer))
    problems = []
    if strict:
        problems += [f"missing: {name}" for name in targets if name not in state_dict]
        problems += [f"unexpected: {name}" for name in state_dict if name not in targets]
    fitted: dict[int, tuple[str, StateArray, Array]] = {}
    for name, target in targets.items():
        if name not in state_dict:
            continue
        try:
            value = state_dict[name]
            array = target.fit("data", value)
            kind = value.dtype if isinstance(value, StateArray) else np.asarray(value).dtype
            if kind.kind != target.dtype.kind:
                raise DTypeError(expects(target, f"data of dtype {target.dtype}", kind))
        except (ValueError, TypeError) as error:
            problems.append(f"{name}: {error}")
            continue
        first, _, other = fitted.setdefault(id(target), (name, target, array))
        if not np.array_equal(array, other, equal_nan=True):
            problems.append(f"{name}: two values for one array, which is {first} as well")
    if problems:
        listing = "\n  ".join(problems)
        raise StateError(f"{type(layer).__name__} expects the state of the same architecture, got\n  {listing}")
    copies = [(target, array.copy()) for _, target, array in fitted.values()]  # the source may be our own live arrays
    for target, array in copies:
        target.data = array
