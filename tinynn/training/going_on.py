"""What a state has for things that only `Trainer.fit` is given: callbacks, and the random generators of loaders."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynn.errors import StateError, expects
from tinynn.training.callbacks import Callback

__all__ = ["check_generators", "matched", "put_generators"]


def matched(callbacks: list[Callback], states: list[Any]) -> list[tuple[Callback, Any]]:
    """Return which callback takes which state: the first of a class the first of that class, and so on."""
    waiting = list(callbacks)
    pairs = []
    for name, state in states:
        callback = next((callback for callback in waiting if type(callback).__name__ == name), None)
        if callback is not None:
            waiting.remove(callback)
            pairs.append((callback, state))
        elif state:
            remedy = "give fit the callbacks that the stopped run had"
            actual = ", ".join(type(callback).__name__ for callback in callbacks) or "none"
            raise StateError(expects("Trainer.fit", f"a callback {name} for its state", actual, remedy))
    return pairs


def check_generators(own: list[np.random.Generator], states: list[Any]) -> None:
    """Refuse states that do not belong to the generators."""
    kinds = [type(generator.bit_generator).__name__ for generator in own]
    saved = [state["bit_generator"] for state in states]
    if kinds != saved:
        what = f"the states of {len(own)} random generators ({', '.join(kinds) or 'none'})"
        remedy = "layers and loaders have to share generators as they did in the stopped run"
        raise StateError(expects("Trainer", what, f"{len(saved)} ({', '.join(saved) or 'none'})", remedy))


def put_generators(own: list[np.random.Generator], states: list[Any]) -> None:
    """Put generators where others were."""
    for generator, state in zip(own, states, strict=False):
        generator.bit_generator.state = state
