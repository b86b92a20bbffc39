"""Anomaly detection: a watch that looks at every call, for those who hunt a NaN or a silently wrong gradient."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from tinynn.core import discovery
from tinynn.core.parameter import Parameter
from tinynn.core.passes import Call, Pass
from tinynn.errors import AnomalyError, NonFiniteError, expects
from tinynn.typing import Array

__all__ = ["Watch", "detect_anomaly", "watching"]


class Watch:
    """What `detect_anomaly` sees: numbers that are not finite, and arrays that changed between forward and backward.

    Attributes:
        judged: the fingerprints of the predictions of losses that have gone back, until models have followed.
        followed: whether one has: the next loss begins anew.
        outputs: the fingerprints of what each layer, by its id, has returned to the user since it last went back.
    """

    def __init__(self) -> None:
        self.judged: set[int] = set()
        self.followed = False
        self.outputs: defaultdict[int, set[int]] = defaultdict(set)

    def called(self, current: Pass, call: Call, inputs: tuple[Any, ...], y: Any) -> None:
        """Look at a call that has returned ``y``, and take the fingerprints of all that its backward will rely on."""
        self.finite(current, call.layer, "input", "forward", inputs)
        self.finite(current, call.layer, "output", "forward", (y,))
        values = discovery.own(call.layer)  # buffers may move: a later call updates a running mean
        own = [(f"the parameter {name}", value.data) for name, value in values if isinstance(value, Parameter)]
        saved = [("an array that it has saved", array) for array in call.own_arrays()]
        call.prints = [(what, array, fingerprint(array)) for what, array in own + saved]
        call.judged = tuple(map(fingerprint, inputs)) if call.layer.is_loss else ()
        call.result = fingerprint(y) if isinstance(y, np.ndarray) else None
        if call.result is not None and _is_outermost(current, call):
            self.outputs[id(call.layer)].add(call.result)

    def undoing(self, current: Pass, call: Call) -> None:
        """Look at a call that is about to be undone: is all as it was, and is it the call that the loss has judged?"""
        for what, array, before in getattr(call, "prints", ()):  # none for a call from before the watch
            if fingerprint(array) != before:
                expected = f"{what} to be as it was in forward"
                actual = f"other values{_where(current, call.layer)}"
                remedy = "copy an input before editing it, and step after backward, not before"
                raise AnomalyError(expects(call.layer, expected, actual, remedy))
        call.prints = []
        if _is_outermost(current, call) and not call.layer.is_loss:
            self._follow(current, call)

    def _follow(self, current: Pass, call: Call) -> None:
        """Raise an error if a loss has judged not this call but one of the same layer that nobody can undo any more.

        What a loss has judged need not be an output as it was: it may be a part of one, or the sum of two.
        """
        result, outputs = getattr(call, "result", None), self.outputs.pop(id(call.layer), set())
        waiting = {getattr(other, "result", None) for other in (call, *current.inside())}
        if result not in {None, *self.judged} and self.judged & (outputs - waiting):
            remedy = "put a validation in between under no_grad, or join the calls by one_pass"
            raise AnomalyError(expects(call.layer, "to undo the call whose output the loss saw", "another one", remedy))
        self.judged -= outputs
        self.followed = True

    def undone(self, current: Pass, call: Call, grads: tuple[Any, ...], result: Any) -> None:
        """Look at the gradients of a call that was undone."""
        self.finite(current, call.layer, "gradient at the output", "backward", grads)
        self.finite(current, call.layer, "gradient at the input", "backward", (result,))
        for name, value in discovery.own(call.layer):
            if isinstance(value, Parameter):
                self.finite(current, call.layer, f"gradient of {name}", "backward", (value.read_grad(),))
        if call.layer.is_loss:
            if self.followed:
                self.judged, self.followed = set(), False
            given = result if isinstance(result, tuple) else (result,)
            pairs = zip(getattr(call, "judged", ()), given, strict=False)
            self.judged |= {seen for seen, grad in pairs if grad is not None}  # a target has none

    def finite(self, current: Pass, layer: Any, what: str, method: str, arrays: Iterable[Any]) -> None:
        """Raise an error if there is a NaN or an infinity among the arrays."""
        for array in _flat(arrays):
            good = np.isfinite(array)
            if good.all():
                continue
            rest = array[good]
            nans, lost = int(np.isnan(array).sum()), array.size - rest.size
            actual = f"{nans} NaN and {lost - nans} infinite among {array.size}{_where(current, layer)}"
            span = f"the others are {rest.min():.3g} to {rest.max():.3g}" if rest.size else "there are no others"
            raise NonFiniteError(expects(layer, f"its {what} in {method} to be finite numbers", actual, span))


def fingerprint(array: Any) -> int:
    """Return a number that changes when the values change."""
    return zlib.crc32(np.ascontiguousarray(array).tobytes())


def _is_outermost(current: Pass, call: Call) -> bool:
    return call is current or current.layer is None


def _flat(items: Iterable[Any]) -> Generator[Array]:
    for item in items:
        if isinstance(item, tuple):
            yield from _flat(item)
        elif item is not None and np.asarray(item).dtype.kind in "fc":
            yield np.asarray(item)


def _where(current: Pass, layer: Any) -> str:
    """Return where a layer sits in the model whose pass this is."""
    if current.layer is None or current.layer is layer:
        return ""
    paths = [path for path, found in current.layer.named_layers() if found is layer]
    return f" (layer {paths[0]} of {type(current.layer).__name__})" if paths else ""


_watching: ContextVar[Watch | None] = ContextVar("watching", default=None)
watching = _watching.get


@contextmanager
def detect_anomaly() -> Generator[None]:
    """A context that finds the first NaN or infinity, and arrays changed between forward and backward. Slow.

    Every call is looked at, also those inside containers: the first input, output or gradient that is not finite is an
    `AnomalyError` that names the layer, its path and the numbers. So is a saved array, an input or a parameter that was
    changed between forward and backward, and a backward through another call than the one whose output the loss saw.
    Arrays that a layer saves inside objects of its own are not seen. Outside the context nothing is looked at, and it
    costs nothing.

    Raises:
        AnomalyError: at the first anomaly.

    Example:
        >>> with nn.detect_anomaly():
        ...     y = nn.Linear(3, 2)(np.ones((5, 3)))
    """
    token = _watching.set(Watch())
    try:
        yield
    finally:
        _watching.reset(token)
