"""The layers inside a layer, each tried out by itself with what it was called with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tinynn.core.layer import Layer
from tinynn.testing.subject import Subject
from tinynn.testing.trial import Trial

__all__ = ["trials_inside"]


def trials_inside(trial: Trial) -> Iterator[tuple[str, Trial]]:
    """Yield a trial of each layer directly inside, for its first call, with its name.

    A layer that cannot be tried by itself is left out.
    """
    subject = Subject(trial.layer, trial.inputs, np.float64)
    calls: dict[int, tuple[Any, ...]] = {}
    children = list(subject.layer.named_children())
    try:
        for child in {id(child): child for _, child in children}.values():
            _record(child, calls)
        subject.forward()
    except Exception:  # a container that looks at what its layers hold
        return
    originals = dict(trial.layer.named_children())
    for name, child in children:
        inside = _trial(trial, originals[name], calls.pop(id(child), None))
        if inside is not None:
            yield name, inside


def _trial(trial: Trial, layer: Layer, inputs: tuple[Any, ...] | None) -> Trial | None:
    """Return a trial of a layer inside, unless it was not called or cannot be called without its container."""
    try:
        return None if inputs is None else trial.like(layer, inputs)
    except Exception:
        return None


def _record(layer: Layer, calls: dict[int, tuple[Any, ...]]) -> None:
    """Make ``layer``, which is part of a copy, leave a copy of its inputs in ``calls``."""

    def forward(*inputs: Any, **options: Any) -> Any:
        calls.setdefault(id(layer), tuple(None if x is None else np.array(x) for x in inputs))
        return type(layer).forward(layer, *inputs, **options)

    vars(layer)["forward"] = forward
