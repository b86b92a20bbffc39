"""The search for the way from a variable to the output that a gradient lacks."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinynn.testing.measure import COMPLEX_STEP, central_differences, complex_steps, measuring
from tinynn.testing.trace import traced
from tinynn.testing.trial import Trial
from tinynn.typing import Array

__all__ = ["missing_branch"]

MOST_WAYS, MOST_IN_PAIRS = 400, 40
DIFFERENCE = 1e-5


def missing_branch(trial: Trial, where: str, explains: Callable[[Array], bool], tolerance: float) -> str | None:
    """Return the operand of forward that the gradient takes for a constant, or the two of them.

    All operands, and all pairs, are tried out in one random direction, with one forward each. What fits there is
    measured in full.

    Args:
        trial: the trial in which the gradient was given.
        where: the input or the parameter.
        explains: whether a measured gradient is the given one.
        tolerance: that of the method.
    """
    analytic = trial.method_for(where) == "complex"
    direction = np.random.default_rng(trial.seed).standard_normal(trial.real.variables[where].shape)
    given = float(np.vdot(trial.given[where], direction))
    room = 1e4 * tolerance * max(float(np.abs(trial.given[where] * direction).sum()), 1e-3)
    try:
        with measuring(), traced(trial.analytic if analytic else trial.real) as (subject, trace):
            subject.outputs()
            trace.recording = False
            for held in _choices(len(trace.values)):
                trace.held = held
                left = _slope(subject, where, trial.row, direction, analytic)
                if abs(left - given) <= room and explains(_full(trial, subject, where, analytic)):
                    return " and ".join(trace.names[number] for number in held)
    except Exception:  # forward may do what only plain arrays allow
        return None
    return None


def _choices(count: int) -> Iterator[tuple[int, ...]]:
    if count <= MOST_WAYS:
        yield from itertools.combinations(range(count), 1)
    if count <= MOST_IN_PAIRS:
        yield from itertools.combinations(range(count), 2)


def _slope(subject: Any, where: str, row: Array, direction: Array, analytic: bool) -> float:
    """Return the slope of the loss in one direction."""
    variable = subject.variables[where]
    before = variable.copy()
    try:
        if analytic:
            variable += 1j * COMPLEX_STEP * direction
            return float(row.dot(subject.outputs().imag)) / COMPLEX_STEP
        variable += DIFFERENCE * direction
        above = subject.outputs()
        variable[...] = before - DIFFERENCE * direction
        return float(row.dot(above - subject.outputs())) / (2 * DIFFERENCE)
    finally:
        variable[...] = before


def _full(trial: Trial, subject: Any, where: str, analytic: bool) -> Array:
    rows, elements = trial.row[np.newaxis], trial.elements[where]
    if analytic:
        slopes = complex_steps(subject, where, rows, elements)
    else:
        slopes, _ = central_differences(subject, where, rows, elements)
    gradient: Array = trial.spread(where, slopes)[0]
    return gradient
