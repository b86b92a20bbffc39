"""What a wrong gradient looks like: each detector tries one explanation, and claims it only where it fits all numbers.

The detectors stand in the order in which they are asked. The first that explains a gradient has the word.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from tinynn.testing.branches import missing_branch
from tinynn.testing.calls import one_more
from tinynn.testing.case import MOST_MASKS, Case, single_samples, subsets, wrong_shape
from tinynn.testing.factors import feature_factor, fit_elsewhere
from tinynn.testing.order import call_order
from tinynn.testing.report import Finding
from tinynn.testing.subject import input_name, is_input
from tinynn.testing.trial import TOLERANCES, Trial
from tinynn.typing import Array

__all__ = ["diagnose"]


def diagnose(trial: Trial, where: str, measured: Array) -> Finding:
    """Return the best explanation of a wrong gradient.

    Args:
        trial: the trial in which it was given.
        where: the input or the parameter.
        measured: the gradient that it should be, NaN where that is not known: not sampled, or a kink.
    """
    given = trial.given[where]
    if given is None:
        count = trial.real.expected()
        returned = sum(trial.given.get(input_name(position)) is not None for position in range(count))
        sentence = f"expects backward to return {count} gradients, got {returned}; this one is missing"
        return Finding(where, "zero", sentence)
    if given.shape != measured.shape:
        return Finding(where, *wrong_shape(Case(trial, where, given, measured, trial.room(where))))
    case = Case(trial, where, given, measured, trial.room(where))
    for diagnosis, detector in DETECTORS.items():
        explanation = detector(case)
        if explanation:
            return Finding(where, diagnosis, explanation)
    largest = np.nanmax(np.abs(given - measured)) / trial.measured(where).scale
    many = f"{case.wrong.sum()} of {case.known.sum()} elements"
    sentence = f"the gradient is wrong at {many}, by up to {largest:.1e} of its size, and like none of the usual slips"
    return Finding(where, "unexplained", sentence)


def _not_finite(case: Case) -> str | None:
    odd = ~np.isfinite(case.given) & case.known
    if not odd.any():
        return None
    index = _first(odd)
    place = f"{odd.sum()} elements, first at {index}"
    return f"the gradient is {case.given[index]} at {place}, where {case.measured[index]:.6g} was measured"


def _zero(case: Case) -> str | None:
    if case.given[case.known].any():
        return None
    largest = np.nanmax(np.abs(case.measured))
    return f"the gradient is 0 at every element, where up to {largest:.3g} was measured: never computed?"


def _sign(case: Case) -> str | None:
    if not case.explained_by(-case.measured):
        return None
    return "the gradient has the opposite sign at every element: a minus forgotten, or one too many?"


def _factor_of(case: Case) -> float | None:
    """Return the constant that the measured gradient is multiplied by, if there is one."""
    given, measured = case.given[case.known], case.measured[case.known]
    square = measured.dot(measured)
    if square == 0 or measured.size < min(2, case.given.size):
        return None
    factor = float(given.dot(measured) / square)
    return factor if case.explained_by(factor * case.measured) else None


def _batch_factor(case: Case) -> str | None:
    factor = _factor_of(case)
    grown = one_more(case.trial.inputs)
    if factor is None or grown is None or grown[0] < 2:
        return None
    count, inputs = grown
    try:
        trial = case.trial.like(inputs=inputs, max_elements=64)
        measured = trial.measured(case.where).values
        other = _factor_of(Case(trial, case.where, trial.given[case.where], measured, trial.room(case.where)))
    except Exception:  # whatever a layer may say to another number of samples
        return None
    if other is None:
        return None
    for power, slip in ((1, "not averaged over the samples, where forward is"), (-1, "averaged once too often")):
        if np.isclose(other / factor, ((count + 1) / count) ** power, rtol=1e-6, atol=0.0):
            times = "times" if power == 1 else "divided by"
            rest = factor / count**power
            extra = "" if np.isclose(rest, 1) else f" (and multiplied by {_number(rest)})"
            return f"the gradient is {times} the batch size {count}{extra} at every element: {slip}?"
    return None


def _factor(case: Case) -> str | None:
    factor = _factor_of(case)
    if factor is None:
        return None
    elsewhere = fit_elsewhere(case, factor)
    if elsewhere is False or (elsewhere is None and case.known.sum() < 2):  # one number has a factor in any case
        return None
    hint = {2.0: " (a ½ forgotten?)", 0.5: " (2 forgotten?)"}.get(round(factor, 9), "")
    size = _number(factor)
    return f"the gradient is {size} of what it should be at every element: a constant factor {size}{hint}"


def _transposed(case: Case) -> str | None:
    measured = case.measured
    for axes in itertools.permutations(range(measured.ndim)) if measured.ndim <= 4 else ():
        if axes != tuple(range(measured.ndim)) and case.explained_by(measured.transpose(axes)):
            return "the gradient is transposed: x.T @ grad for grad.T @ x, or the like?"
    for path, parameter in case.trial.layer.named_parameters():
        if parameter.ndim == 2 and parameter.shape[0] == parameter.shape[1] and parameter.size > 1:
            twin = _with_transposed(case.trial, path)
            if twin is not None and case.explained_by(twin.measured(case.where).values):
                return f"the gradient is the one that belongs to the transposed {path}: grad @ W.T for grad @ W?"
    return None


def _with_transposed(trial: Trial, path: str) -> Trial | None:
    twin = trial.like()
    for subject in (twin.real, twin.analytic):
        data = dict(subject.layer.named_parameters())[path].data
        data[...] = data.T.copy()
    return twin


def _batch_sum(case: Case) -> str | None:
    measured = case.measured
    for axes in subsets(case.axes_of_samples):
        if all(measured.shape[axis] == 1 for axis in axes):
            continue
        total = measured.sum(axis=axes, keepdims=True)
        for name, row in (("the sum", total), ("the mean", measured.mean(axis=axes, keepdims=True))):
            if case.explained_by(np.broadcast_to(row, measured.shape)):
                along = " and ".join(map(str, axes))
                return f"every element is {name} over axis {along}, where each should have its own: grad.sum too often?"
    for name, part in single_samples(case):
        if case.explained_by(part):
            return f"the gradient is that of {name} only: the sum over the samples is missing"
    if is_input(case.where) and measured.ndim and 1 < len(measured) <= MOST_MASKS:
        for number, row in enumerate(measured):
            if case.explained_by(np.broadcast_to(row, measured.shape)):
                return f"every sample has the gradient of sample {number}: grad[{number}]?"
    return None


def _derivative_at_output(case: Case) -> str | None:
    trial, y = case.trial, case.trial.outputs
    position = int(case.where.partition(" ")[2] or 0) if is_input(case.where) else 0
    inputs = list(trial.inputs)
    if len(y) != 1 or position >= len(inputs) or np.shape(inputs[position]) != y[0].shape or not y[0].ndim:
        return None
    inputs[position] = y[0]
    try:
        other = trial.like(inputs=tuple(inputs))
        at_output = other.measured(case.where).values
    except Exception:  # y need not be something that the layer can be called with
        return None
    if not case.explained_by(at_output) or other.has_kinks(case.where):  # at a kink, any slope would do
        return None
    return "the derivative was taken at the output y where it belongs at the input x: y saved, and used as x?"


def _element(case: Case) -> str | None:
    wrong = case.wrong
    if not 0 < wrong.sum() <= max(1, int(case.known.sum()) // 3) or case.known.sum() < 2:
        return None
    places = [tuple(map(int, index)) for index in np.argwhere(wrong)[:3]]
    more = ", ..." if wrong.sum() > 3 else ""
    given, measured = _told_apart(case.given[places[0]], case.measured[places[0]])
    return (
        f"the gradient is right but at {wrong.sum()} of {int(case.known.sum())} elements, "
        f"{', '.join(map(str, places))}{more}: {given} where {measured} was measured; an index, an edge, a slice?"
    )


def _missing_branch(case: Case) -> str | None:
    lacking = case.measured - case.given
    for grad in case.trial.grads:
        if grad.shape == lacking.shape and case.explained_by(case.measured - grad):
            return "the gradient lacks the incoming gradient itself: the way past the layer, a skip connection?"
    name = missing_branch(case.trial, case.where, case.explained_by, TOLERANCES[case.trial.method_for(case.where)])
    return name and f"the gradient lacks one of several ways to the output: the one through {name}"


DETECTORS: dict[str, Callable[[Case], str | None]] = {
    "not-finite": _not_finite,
    "zero": _zero,
    "sign": _sign,
    "batch-factor": _batch_factor,
    "factor": _factor,
    "transposed": _transposed,
    "batch-sum": _batch_sum,
    "call-order": call_order,
    "derivative-at-output": _derivative_at_output,
    "element": _element,
    "missing-branch": _missing_branch,
    "feature-factor": feature_factor,
}


def _first(mask: Array) -> tuple[int, ...]:
    return tuple(map(int, np.argwhere(mask)[0]))


def _told_apart(a: float, b: float) -> tuple[str, str]:
    """Return two numbers with as many digits as it takes to tell them apart."""
    for digits in (6, 9, 12):
        if f"{a:.{digits}g}" != f"{b:.{digits}g}":
            break
    else:
        digits = 17
    return f"{a:.{digits}g}", f"{b:.{digits}g}"


def _number(value: float) -> str:
    """Return a number as people write it: ½, 1/3, 2, 1.000000001."""
    fraction = Fraction(value).limit_denominator(1000)
    if abs(float(fraction) - value) > 1e-11 * abs(value):
        return f"{value:.12g}"
    return {Fraction(1, 2): "½", Fraction(1, 4): "¼", Fraction(-1, 2): "-½"}.get(fraction, str(fraction))
