"""What has to hold before a gradient can be measured: forward is a function, and backward gets through."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from functools import partial

import numpy as np

from tinynn.core.discovery import attributes
from tinynn.core.layer import Layer
from tinynn.core.parameter import Parameter
from tinynn.testing.places import place_of
from tinynn.testing.report import Finding, GradientReport, gradient_error
from tinynn.testing.subject import input_name
from tinynn.testing.trial import Trial
from tinynn.typing import Array

__all__ = ["cannot_be_checked", "left_alone"]

OF_SHAPES = "shape|broadcast|dimension|align"
"""What a ValueError speaks of where arrays do not fit."""


@contextlib.contextmanager
def left_alone(layer: Layer) -> Iterator[None]:
    """A context in which the parameters of the layer itself may not change; those that do are put back.

    Raises:
        GradientError: if any has changed: a function in an attribute is not copied with what it holds.
    """
    before = {path: (parameter, *_held(parameter)) for path, parameter in layer.named_parameters()}
    try:
        yield
    finally:
        findings = []
        for path, (parameter, *then) in before.items():
            if not all(map(partial(np.array_equal, equal_nan=True), _held(parameter), then)):
                parameter.data, parameter.grad = then
                sentence = (
                    "a copy of the layer changes this parameter of the layer itself: "
                    "does a function that __init__ makes use self? Write a method"
                )
                findings.append(Finding(path, "unexplained", sentence))
        if findings:
            raise gradient_error(layer, GradientReport((), tuple(findings)), tuple(findings))


def _held(parameter: Parameter) -> tuple[Array, Array]:
    """Return copies of the data and of the gradient."""
    state = parameter.__getstate__()
    data, grad = state["data"], state["grad"]
    return data.copy(), np.zeros_like(data) if grad is None else grad.copy()


def cannot_be_checked(trial: Trial) -> tuple[Finding | None, Exception | None]:
    """Return why there is nothing to compare, and what was raised.

    That is where forward or backward is not a function, or where backward does not get through.
    """
    before = _arrays(trial)
    again = trial.real.forward()
    if not all(np.array_equal(y, z, equal_nan=True) for y, z in zip(trial.outputs, again, strict=True)):
        old = "np.random.RandomState cannot be put back: use np.random.Generator"
        remedy = old if _has_old_generator(trial.layer) else "keep its np.random.Generator in an attribute"
        sentence = f"forward returns something else each time: {remedy}"
        return _written(trial, before, "forward") or Finding("input", "unexplained", sentence), None
    for number, y in enumerate(trial.outputs):
        if not np.isfinite(y).all():
            place = tuple(np.argwhere(~np.isfinite(y))[0].tolist())
            of = f" of output {number}" if len(trial.outputs) > 1 else ""
            sentence = f"forward returns {y.item(place)} at {place}{of}, whose slope nobody can measure"
            return Finding("input", "not-finite", f"{sentence}: choose other inputs"), None
    try:
        twice = trial.given, trial.given_again()
    except (ValueError, TypeError, IndexError) as error:
        diagnosis = "shape" if isinstance(error, ValueError) and re.search(OF_SHAPES, str(error)) else "unexplained"
        return Finding("input", diagnosis, f"backward raises {type(error).__name__}: {error}{place_of(error)}"), error
    returned, most = trial.real.returned, len(trial.real.inputs)
    if isinstance(returned, list):
        return Finding("input", "shape", "backward returns a list: several gradients are a tuple, (at_a, at_b)"), None
    if isinstance(returned, tuple) and len(returned) > most:
        sentence = f"backward returns {len(returned)} gradients, where there are {most} inputs"
        return Finding("input", "shape", sentence), None
    for where, grad in twice[0].items():
        if grad is not None and not np.array_equal(grad, twice[1][where], equal_nan=True):
            sentence = "backward returns something else each time: save what forward drew, and draw nothing there"
            return _written(trial, before, "backward") or Finding(where, "unexplained", sentence), None
    return None, None


def _arrays(trial: Trial) -> dict[str, Array]:
    """Return copies of the inputs and the parameters."""
    inputs = {input_name(position): x for position, x in enumerate(trial.real.inputs) if x is not None}
    return {where: x.copy() for where, x in {**inputs, **trial.real.variables}.items()}


def _written(trial: Trial, before: dict[str, Array], method: str) -> Finding | None:
    """Return a finding if a method has written to an input or to a parameter."""
    for where, x in _arrays(trial).items():
        if not np.array_equal(x, before[where], equal_nan=True):
            sentence = f"{method} writes to this array: make a new one, `y = x * 2`, not `x *= 2`"
            return Finding(where, "unexplained", sentence)
    return None


def _has_old_generator(layer: Layer) -> bool:
    """Whether there is a generator of the old kind in the attributes of a layer, or of one inside."""
    return any(True for _, inside in layer.named_layers() for _ in attributes(inside, np.random.RandomState))
