"""The order in which the calls of one layer are undone: what was called last comes first."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from tinynn.core.passes import Call
from tinynn.testing.case import Case

__all__ = ["call_order"]


def call_order(case: Case) -> str | None:
    """Return what to say of a gradient that is right if calls of one layer are undone in the order of the calls."""
    subject, measured = case.trial.real, case.measured
    subject.layer.zero_grad()
    subject.forward()
    turned = _turn_round(subject.layer._pass)
    if not turned:
        return None
    given = subject.gradients(case.trial.grads)[case.where]
    if given is None or given.shape != measured.shape:
        return None
    if not np.all((np.abs(given - measured) <= case.room)[case.known]):
        return None
    names = sorted({type(call.layer).__name__ for call in turned})
    return (
        f"the gradient is right if the calls of {', '.join(names)} are undone in the order in which they were made: "
        f"go back through the last call first, b = ...backward(grad_b) before a = ...backward(grad_a)"
    )


def _turn_round(outer: Call | None) -> list[Call]:
    """Turn round the calls of each layer that was called more than once inside a call, and return them."""
    if outer is None:
        return []
    calls = list(outer.inside())
    turned = [call for inside in calls for call in _turn_round(inside)]
    places = defaultdict(list)
    for place, call in enumerate(calls):
        places[id(call.layer)].append(place)
    for same in places.values():
        for place, call in zip(same, [calls[place] for place in reversed(same)], strict=True):
            calls[place] = call
        if len(same) > 1:
            turned += [calls[place] for place in same]
    outer.last = None
    for call in reversed(calls):
        call.before, outer.last = outer.last, call
    return turned
