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
    """Yield a trial of each layer directly inside, for its first call, with its name."""
    subject = Subject(trial.layer, trial.inputs, np.float64)
    calls: dict[int, tuple[Any, ...]] = {}
    children = list(subject.layer.named_children())
    for _, child in children:
        _record(child, calls)
    subject.forward()
    originals = dict(trial.layer.named_children())
    for name, child in children:
        if id(child) in calls:
            yield name, trial.like(originals[name], calls[id(child)])


def _record(layer: Layer, calls: dict[int, tuple[Any, ...]]) -> None:
    """Make ``layer``, which is part of a copy, leave a copy of its inputs in ``calls``."""
    kind: Any = type(layer)

    def forward(self: Any, *inputs: Any, **options: Any) -> Any:
        calls.setdefault(id(self), tuple(np.array(x) for x in inputs))
        return kind.forward(self, *inputs, **options)

    layer.__class__ = type(kind.__name__, (kind,), {"forward": forward, "__module__": kind.__module__})
