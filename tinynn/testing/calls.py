"""Mistakes that a single call does not show: state kept on the layer, gradients that are assigned instead of added."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tinynn.core.passes import one_pass
from tinynn.testing.moving import State
from tinynn.testing.report import Finding
from tinynn.testing.subject import Given, Subject
from tinynn.testing.trial import Trial
from tinynn.typing import Array, ArrayLike

__all__ = ["another", "findings_of_several_calls", "one_more"]

CLOSE = 1e-9


def findings_of_several_calls(trial: Trial) -> Iterator[Finding]:
    """Yield what two calls bring to light, whether or not a single one is right."""
    yield from _assigned(trial)
    yield from _stale(trial)


def _assigned(trial: Trial) -> Iterator[Finding]:
    """A second backward adds to the gradient of a parameter: twice the same makes 2 of it, not 1."""
    subject = Subject(trial.layer, trial.inputs, np.float64)
    subject.layer.zero_grad()
    subject.forward()
    once = subject.gradients(trial.grads)
    subject.forward()
    twice = subject.gradients(trial.grads)
    for where, parameter in subject.parameters.items():
        fits = once[where].shape == parameter.shape and np.isfinite(once[where]).all()
        if not fits or _same(twice[where], 2 * once[where]):
            continue
        if _same(twice[where], once[where]):
            sentence = "a second backward replaces the gradient: assigned, .grad = ..., where add_grad(...) or += adds"
        else:
            sentence = "a second backward does not add the same to the gradient once more: add_grad(...) or += does"
        yield Finding(where, "assigned-not-added", sentence)


def _stale(trial: Trial) -> Iterator[Finding]:
    """The gradients of the first of two calls in one pass do not depend on what the second was called with."""
    subject = Subject(trial.layer, trial.inputs, np.float64)
    first = subject.inputs
    for second in _others(first, np.random.default_rng(trial.seed)):
        findings = list(_left_over(subject, trial.grads, first, second))
        yield from findings
        if findings:
            return


def _others(inputs: list[Any], rng: np.random.Generator) -> Iterator[list[Any]]:
    """Yield inputs for a second call: other numbers, then of the other sign, then longer ones, axis by axis."""
    second = [another(x, rng) for x in inputs]
    yield second
    yield [-x if x is not None and x.dtype.kind == "f" else x for x in second]
    for axis in range(max((x.ndim for x in second if x is not None), default=0)):
        grown = one_more(second, axis)
        if grown:
            yield list(grown[1])


def _left_over(subject: Subject, grads: list[Array], first: list[Any], second: list[Any]) -> Iterator[Finding]:
    """Yield where the second of two calls has left something that the backward of the first takes for its own."""
    try:
        subject.inputs = second
        subject.gradients([np.ones_like(y) for y in subject.forward()])
        later = subject.moving.state()
        single = _first_of(subject, grads, first, None, None)
    except Exception:  # the other inputs may not be allowed
        return
    try:
        same = _first_of(subject, grads, first, first, None)
        other = _first_of(subject, grads, first, second, later)
    except Exception as error:
        sentence = f"two calls in one pass cannot both be undone: {type(error).__name__}: {error}; state kept on self?"
        yield Finding("input", "stale-state", sentence)
        return
    for where in subject.variables:
        if _same(same[where], single[where]) and not _same(other[where], single[where]):
            sentence = (
                "right for one call, but of two calls in one pass the first gets the state of the last one: "
                "kept on self? self.saved.push(...) keeps it for each call"
            )
            yield Finding(where, "stale-state", sentence)


def _first_of(
    subject: Subject, grads: list[Array], first: list[Any], second: list[Any] | None, later: State | None
) -> Given:
    """Return the gradients of a call that is followed by another one, or by none, in the same pass."""
    subject.layer.zero_grad()
    with one_pass():
        subject.inputs = first
        subject.forward()
        if second is not None:
            subject.inputs = second
            subject.gradients([np.ones_like(y) for y in subject.forward(later)])
        subject.layer.zero_grad()
        subject.inputs = first
        return subject.gradients(grads)


def another(x: Any, rng: np.random.Generator) -> Any:
    """Return an input like ``x``: its numbers in another order and, but for integers, somewhat smaller."""
    if x is None:
        return None
    mixed = rng.permutation(x.reshape(-1)).reshape(x.shape)
    return mixed * rng.uniform(0.5, 1.0, x.shape) if x.dtype.kind == "f" else mixed


def one_more(inputs: Sequence[ArrayLike | None], axis: int = 0) -> tuple[int, tuple[Any, ...]] | None:
    """Return the length of an axis, and the inputs with what is first along it appended once more."""
    arrays = [None if x is None else np.asarray(x) for x in inputs]
    if not arrays or arrays[0] is None or arrays[0].ndim <= axis or not arrays[0].shape[axis]:
        return None
    count = arrays[0].shape[axis]
    fits = [x is not None and x.ndim > axis and x.shape[axis] == count for x in arrays]
    return count, tuple(
        np.concatenate([x, x.take([0], axis)], axis) if fit and x is not None else x
        for x, fit in zip(arrays, fits, strict=True)
    )


def _same(a: Any, b: Any) -> bool:
    if a is None or b is None or a.shape != b.shape:
        return a is b
    return bool(np.all(np.abs(a - b) <= CLOSE * np.abs(b).max(initial=0.0)))
