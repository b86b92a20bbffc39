"""The proof of a hand-written ``backward``: every element of every gradient against a measurement.

What is wrong is then looked at closely; see `tinynn.testing.diagnosis`.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import numpy as np

from tinynn.core.arguments import choice, generator, size
from tinynn.core.layer import Layer
from tinynn.core.passes import no_pass
from tinynn.errors import ArgumentTypeError, expects
from tinynn.testing.calls import findings_of_several_calls
from tinynn.testing.diagnosis import diagnose
from tinynn.testing.inside import trials_inside
from tinynn.testing.measure import Kink, one_sided, quiet
from tinynn.testing.premises import cannot_be_checked, left_alone
from tinynn.testing.report import Finding, GradientReport, Measurement, gradient_error
from tinynn.testing.subject import Count, counting
from tinynn.testing.trial import TOLERANCES, Trial
from tinynn.typing import Array, ArrayLike, Seed

__all__ = ["check_gradients"]

SLOPES_AGREE = 1e-4
"""The relative accuracy of one-sided slopes."""


def check_gradients(
    layer: Layer,
    *inputs: ArrayLike,
    method: Literal["auto", "complex", "central"] = "auto",
    max_elements: int | None = None,
    rng: Seed = 0,
) -> GradientReport:
    """Measure every element of every gradient of a layer or a loss, and compare it with what ``backward`` gives.

    All is done in float64 on a copy: the layer is left as it was. A random layer is held fixed: its generators are put
    back before every forward. Parameters that hold 0, 1 or -1 are moved a little in the copy: at a weight of 1 nobody
    could see that backward forgets it.

    Args:
        layer: a layer, or a loss, whose inputs are prediction and target; a target has no gradient.
        inputs: what forward takes. Gradients at floating inputs are checked; integers are taken for indices.
        method: ``"complex"``, ``"central"``, or ``"auto"``: complex steps wherever forward proves to be analytic.
        max_elements: how many randomly chosen elements of each array are measured; None for all of them.
        rng: where the gradient that comes in is drawn from.

    Returns:
        What was measured, with remarks, for example on kinks.

    Raises:
        GradientError: if any element is wrong, or if several calls get into each other's way; it says where, by how
            much, and what the mistake looks like.

    Example:
        >>> from tinynn.testing import check_gradients
        >>> check_gradients(nn.Linear(3, 2), np.ones((5, 3))).largest.error < 1e-12
        True
    """
    if not isinstance(layer, Layer):
        remedy = f"write {layer.__name__}(...)" if isinstance(layer, type) else ""
        raise ArgumentTypeError(expects("check_gradients", "a layer or a loss", repr(layer), remedy))
    method_name = choice("check_gradients", "method", method, ("auto", *TOLERANCES))
    if max_elements is not None:
        max_elements = size("check_gradients", "max_elements", max_elements)
    seed = int(generator("check_gradients", rng).integers(2**32))
    with quiet(), left_alone(layer), no_pass(), counting() as count:
        trial = _trial(layer, inputs, method_name, seed, max_elements)
        if not trial.real.variables:
            what, actual = "a floating input or a parameter, which have gradients", "neither"
            raise ArgumentTypeError(expects("check_gradients", what, actual))
        return _checked(trial, count)


def _trial(layer: Layer, inputs: tuple[ArrayLike, ...], method: str, seed: int, max_elements: int | None) -> Trial:
    """Return the trial of a layer whose parameters were moved off 0, 1 and -1, or of the layer itself.

    That is where its forward has no finite answer for others.
    """
    with contextlib.suppress(Exception):  # to be raised again, if the layer itself is no better
        moved = Trial(_moved(layer), inputs, method, seed, max_elements)
        if all(np.isfinite(y).all() for y in moved.outputs):
            return moved
    return Trial(layer, inputs, method, seed, max_elements)


def _moved(layer: Layer) -> Layer:
    """Return a copy whose parameters hold no 0, 1 or -1, where missing factors and terms cannot be seen."""
    layer = copy.deepcopy(layer)
    rng = np.random.default_rng(0)
    for parameter in layer.parameters():
        data = parameter.data
        data += np.isin(data, (-1, 0, 1)) * rng.uniform(0.1, 0.3, data.shape)
    return layer


def _checked(trial: Trial, count: Count) -> GradientReport:
    problem, cause = cannot_be_checked(trial)
    if problem is not None:
        traced = (*_named(list(_culprits(trial))), problem) if cause else (problem,)
        raise gradient_error(trial.layer, GradientReport((), traced, count.forwards), traced) from cause

    measurements, wrong, remarks = [], [], []
    for where in trial.real.variables:
        measurement, finding, remark = _check(trial, where)
        measurements.append(measurement)
        wrong += [finding] if finding else []
        remarks += [remark] if remark else []
    if wrong:
        wrong = _with_culprits(wrong, list(_culprits(trial)))
    of_several_calls = list(findings_of_several_calls(trial))
    stale = {finding.where for finding in of_several_calls if finding.diagnosis == "stale-state"}
    wrong = [finding for finding in wrong if finding.diagnosis != "unexplained" or finding.where not in stale]
    wrong += of_several_calls
    report = GradientReport(tuple(measurements), (*wrong, *remarks), count.forwards)
    if wrong:
        raise gradient_error(trial.layer, report, tuple(wrong))
    return report


def _culprits(trial: Trial, prefix: str = "") -> Iterator[tuple[str, Layer, Finding]]:
    """Yield what is wrong with the layers inside that are wrong by themselves, the innermost ones, with their paths."""
    for name, inside in trials_inside(trial):
        wrong = _wrong_by_itself(inside)
        if wrong:
            path = prefix + name
            deeper = list(_culprits(inside, f"{path}."))
            yield from deeper or ((path, inside.layer, finding) for finding in wrong)


def _wrong_by_itself(trial: Trial) -> list[Finding]:
    """Return what is wrong with a layer inside; nothing where that cannot be told."""
    try:
        problem, cause = cannot_be_checked(trial)
        if problem is not None:
            return [problem] if cause else []
        return [finding for where in trial.real.variables if (finding := _check(trial, where)[1])]
    except Exception:  # inputs that suit the container need not suit the measurement of what is inside
        return []


def _named(culprits: list[tuple[str, Layer, Finding]]) -> list[Finding]:
    """Return findings that say which layer inside is wrong, and where."""
    found = []
    for path, layer, finding in culprits:
        place = "the input" if finding.where == "input" else finding.where
        sentence = f"layer {path}, {type(layer).__name__}: its gradient at {place} is wrong: {finding.sentence}"
        found.append(Finding(f"{path}.{finding.where}", finding.diagnosis, sentence))
    return found


def _with_culprits(wrong: list[Finding], culprits: list[tuple[str, Layer, Finding]]) -> list[Finding]:
    """Return findings with those of the layers inside first: by the chain rule they are to blame for the others."""
    named = _named(culprits)
    others = [finding for finding in wrong if finding.where not in {culprit.where for culprit in named}]
    layers = {path: layer for path, layer, _ in culprits}
    if not layers:
        return others
    *before, last = layers
    first = culprits[0][2]

    def blaming(finding: Finding) -> Finding:
        if finding.diagnosis != "unexplained":
            return finding
        if before:
            several = f"layers {', '.join(before)} and {last} are to blame"
            return replace(finding, sentence=f"{finding.sentence}; {several}")
        sentence = f"layer {last}, {type(layers[last]).__name__}, is to blame: {first.sentence}"
        return Finding(finding.where, first.diagnosis, sentence)

    return [*named, *map(blaming, others)]


def _check(trial: Trial, where: str) -> tuple[Measurement, Finding | None, Finding | None]:
    """Return what was measured at one variable, what is wrong with it, and what else is to be said of it."""
    given, measured = trial.given[where], trial.measured(where)
    if given is None or given.shape != measured.values.shape:
        nothing = np.full(measured.values.shape, np.nan)
        return (
            _measurement(trial, where, nothing, measured.values, False),
            diagnose(trial, where, measured.values),
            None,
        )

    nowhere = trial.unmeasured(where)
    if nowhere.any():
        index = tuple(map(int, np.argwhere(nowhere)[0]))
        sentence = f"forward has no finite values around element {index}, whose slope nobody can measure"
        problem = Finding(where, "not-finite", f"{sentence}: choose other inputs")
        return _measurement(trial, where, given, measured.values, False), problem, None

    kinks = _kinks(trial, where, trial.wrong(where))
    smooth = np.ones(given.shape, bool)
    for index in kinks:
        smooth[index] = False
    if np.any(trial.wrong(where) & smooth) and measured.method == "complex" and trial.method == "auto":
        trial.distrust(where, smooth)
    if np.any(trial.wrong(where) & smooth):
        trial.doubt(where, trial.wrong(where) & smooth)
    wrong = trial.wrong(where) & smooth
    known = np.where(smooth, trial.measured(where).values, np.nan)
    right = [index for index, kink in kinks.items() if _between(given[index], kink)]
    remark = _remark(trial, where, kinks, known)
    finding = None
    if wrong.any():
        finding = diagnose(trial, where, known)
    elif len(right) < len(kinks):
        index = next(index for index in kinks if index not in right)
        left_slope, right_slope, *_ = kinks[index]
        sentence = (
            f"forward has a kink at {index}, where the gradient is {given[index]:.6g}: neither of the one-sided slopes "
            f"{left_slope:.6g} and {right_slope:.6g}, nor between them"
        )
        finding = Finding(where, "kink", sentence)
    return _measurement(trial, where, given, known, finding is None), finding, remark


def _kinks(trial: Trial, where: str, wrong: Array) -> dict[tuple[int, ...], Kink]:
    """Return the elements at which the slopes on the left and on the right differ, with these slopes.

    One random direction tells whether there are any. Where there seem to be none, the elements that are wrong are
    looked at more closely.
    """
    sampled = np.isfinite(trial.measured(where).values)
    for chosen in (sampled, wrong):
        direction = chosen * trial.rng.standard_normal(chosen.shape)
        if chosen.any() and one_sided(trial.real, where, trial.row, direction):
            break
    else:
        return {}
    found = {}
    for place in np.argwhere(chosen):
        direction = np.zeros(chosen.shape)
        index = tuple(map(int, place))
        direction[index] = 1.0
        slopes = one_sided(trial.real, where, trial.row, direction)
        if slopes:
            found[index] = slopes
    return found


def _between(value: float, kink: Kink) -> bool:
    room = SLOPES_AGREE * max(abs(kink.left), abs(kink.right), abs(kink.least), abs(kink.most))
    return kink.least - room <= value <= kink.most + room


def _remark(trial: Trial, where: str, kinks: dict[tuple[int, ...], Kink], known: Array) -> Finding | None:
    if kinks:
        index, (left, right, *_) = next(iter(kinks.items()))
        sentence = (
            f"forward has a kink at {len(kinks)} of {known.size} elements, first at {index}: the slope is {left:.6g} "
            f"on the left and {right:.6g} on the right, and either is right"
        )
        return Finding(where, "kink", sentence)
    measured = trial.measured(where)
    vague = 1e-5 if measured.method == "central" else 1e-9
    error = np.abs(trial.given[where] - known) > vague * measured.scale
    doubtful = measured.doubt > 1e-4 * measured.scale
    hidden = (error | doubtful) & np.isfinite(known) & ~trial.wrong(where)
    if not hidden.any():
        return None
    index = tuple(map(int, np.argwhere(hidden)[0]))
    sentence = (
        f"{hidden.sum()} elements cannot be told apart from rounding, first {index}: {trial.given[where][index]:.6g} "
        f"was given, {known[index]:.6g} measured, give or take {trial.room(where)[index]:.1g}; large numbers, "
        f"cancellation?"
    )
    return Finding(where, "ill-conditioned", sentence)


def _measurement(trial: Trial, where: str, given: Array, known: Array, passed: bool) -> Measurement:
    """Return the summary of one variable."""
    measured = trial.measured(where)
    shared = (where, measured.method)
    counts = (len(trial.elements[where]), known.size)
    compared = np.isfinite(known)
    if not compared.any():
        return Measurement(*shared, 0.0, (), 0.0, 0.0, passed, *counts)
    errors = np.where(compared, np.nan_to_num(np.abs(given - known) / (measured.scale or 1.0), nan=np.inf), -1.0)
    index = tuple(int(i) for i in np.unravel_index(errors.argmax(), errors.shape))
    return Measurement(*shared, float(errors[index]), index, float(given[index]), float(known[index]), passed, *counts)
