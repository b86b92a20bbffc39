"""Slopes of a function, measured: by complex steps, by central differences, and from either side.

A complex step measures a derivative without taking a difference, and so to the last digit: f(x + ih) = f(x) + ih f'(x)
up to h², with h so small that h² is nothing. It asks of ``forward`` that it stays analytic, which ``np.abs`` or a cast
to real numbers does not. Central differences measure the rest. Their error is a series in h², so that the differences
of several steps tell both a better value, with the leading terms removed, and how far it can be trusted.

References:
    Squire and Trapp, Using complex variables to estimate derivatives of real functions (1998).
    Ridders, Accurate computation of F'(x) and F'(x) F''(x) (1982).
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator

import numpy as np

from tinynn.core.arrays import complex_path
from tinynn.core.passes import no_grad
from tinynn.testing.filters import filtering
from tinynn.testing.subject import Subject
from tinynn.typing import Array

__all__ = ["central_differences", "complex_steps", "is_analytic", "measuring", "one_sided", "quiet"]

COMPLEX_STEP = 1e-30
FIRST_STEP, SHRINK, STEPS = 1e-2, 4.0, 5
KINK_STEPS = (1e-4, 1e-5, 1e-6, 1e-7)
EPS = float(np.finfo(np.float64).eps)


@contextlib.contextmanager
def quiet() -> Generator[None]:
    """A context in which nothing is said about odd numbers."""
    with np.errstate(all="ignore"), filtering("ignore"):
        yield


@contextlib.contextmanager
def measuring() -> Generator[None]:
    """The context of all measurements: nothing is kept for backward, and complex numbers are let through."""
    with complex_path(), no_grad(), quiet():
        yield


def complex_steps(subject: Subject, where: str, rows: Array, elements: Array) -> Array:
    """Return the slopes of ``rows @ outputs`` along single elements of a variable, one forward each.

    Args:
        subject: a subject of complex numbers.
        where: the variable.
        rows: (k, outputs): gradients at the outputs, any number of them.
        elements: the positions of n elements, counted in C order.

    Returns:
        (k, n).
    """
    variable = subject.variables[where].reshape(-1)
    slopes = np.zeros((len(rows), len(elements)))
    with measuring():
        for place, element in enumerate(elements):
            before = variable[element]
            variable[element] = before + 1j * COMPLEX_STEP
            slopes[:, place] = rows.dot(subject.outputs().imag) / COMPLEX_STEP
            variable[element] = before
    return slopes


def central_differences(subject: Subject, where: str, rows: Array, elements: Array) -> tuple[Array, Array]:
    """Return slopes as `complex_steps` does, by differences of several steps, and estimates of their errors.

    Each step is a quarter of the one before. In the table of Richardson's extrapolation, column m has the first m terms
    of the error removed; the entry is chosen that is closest to those it was made of. Closeness may be luck: the error
    is taken to be no smaller than the rounding that the smallest steps show, which falls as steps grow.
    """
    variable = subject.variables[where].reshape(-1)
    scales = _scales(variable)
    table = np.zeros((STEPS, len(rows), len(elements)))
    best, errors = np.zeros(table.shape[1:]), np.full(table.shape[1:], np.inf)
    with measuring():
        for number in range(STEPS):
            for place, element in enumerate(elements):
                before, step = variable[element], FIRST_STEP / SHRINK**number * scales[element]
                upper, lower = before + step, before - step
                variable[element] = upper
                above = subject.outputs()
                variable[element] = lower
                difference = above - subject.outputs()
                variable[element] = before
                table[number, :, place] = rows.dot(difference) / (upper - lower)
        rounding = np.abs(_richardson(table[-1], table[-2]) - _richardson(table[-2], table[-3]))
        rounding = np.maximum(rounding, np.median(rounding, axis=1, keepdims=True) if rounding.size else 0)
        previous: list[Array] = []
        for number in range(STEPS):
            current = [table[number]]
            for order, coarse in enumerate(previous, start=1):
                fine = current[-1]
                current.append(_richardson(fine, coarse, order))
                error = np.maximum(np.abs(current[-1] - fine), np.abs(current[-1] - coarse))
                error = np.maximum(error, rounding * SHRINK ** (number + 1 - STEPS))
                better = error < errors
                best, errors = np.where(better, current[-1], best), np.where(better, error, errors)
            previous = current
    return best, errors


def _richardson(fine: Array, coarse: Array, order: int = 1) -> Array:
    """Return the slope with one more term of the error removed, from those of a step and of the step before."""
    return fine + (fine - coarse) / (SHRINK ** (2 * order) - 1)


def one_sided(subject: Subject, where: str, row: Array, direction: Array) -> tuple[float, float] | None:
    """Return the slopes on the left and on the right in one direction if they differ: at a kink.

    The slopes of a smooth function approach each other with the step, rounding drives them apart. At a kink their
    difference stays the same.
    """
    variable = subject.variables[where]
    place = variable.copy()
    scale = float(_scales(variable.reshape(-1))[direction.reshape(-1) != 0].min(initial=np.inf))
    last = np.nan
    with measuring():
        middle = subject.outputs()
        noise = EPS * float(np.abs(row).dot(np.abs(middle)))
        for relative in KINK_STEPS:
            step = relative * scale
            variable += step * direction
            right = float(row.dot(subject.outputs() - middle)) / step
            variable[...] = place - step * direction
            left = float(row.dot(middle - subject.outputs())) / step
            variable[...] = place
            jump = right - left
            visible = abs(jump) > 1e-3 * max(abs(left), abs(right)) + 30 * noise / step
            if visible and abs(jump - last) <= 0.1 * abs(jump):
                return left, right
            last = jump
    return None


def is_analytic(analytic: Subject, real: Subject, where: str, row: Array, rng: np.random.Generator) -> bool:
    """Whether complex steps and differences see the same slope, in a random direction from a place nearby.

    Nearby, because at a kink they differ although forward is analytic on either side.
    """
    z, x = analytic.variables[where], real.variables[where]
    before = x.copy()
    direction = rng.standard_normal(x.shape)
    nearby = before + 1e-3 * _scales(before.reshape(-1)).reshape(x.shape) * rng.standard_normal(x.shape)
    step = 1e-6 * float(_scales(before.reshape(-1)).min(initial=np.inf))
    try:
        with measuring():
            z[...] = nearby + 1j * COMPLEX_STEP * direction
            slopes = analytic.outputs().imag / COMPLEX_STEP
            differences = [_difference(real, x, nearby, factor * step * direction) / factor / step for factor in (1, 4)]
    except Exception:  # whatever a function of real numbers may raise for complex ones
        return False
    finally:
        z[...] = x[...] = before
    rounding = 10 * np.abs(differences[0] - differences[1]).max(initial=0)
    largest = np.abs(differences[1]).max(initial=0)
    agree = np.abs(slopes - differences[1]) * (row != 0) <= 1e-4 * largest + rounding
    return bool(np.all(agree) and rounding <= 0.5 * largest)


def _difference(subject: Subject, variable: Array, place: Array, by: Array) -> Array:
    """Return half of what the outputs change by from ``place - by`` to ``place + by``."""
    variable[...] = place + by
    above = subject.outputs()
    variable[...] = place - by
    return (above - subject.outputs()) / 2


def _scales(variable: Array) -> Array:
    """Return for each element by how much it is natural to move it."""
    sizes = np.abs(variable)
    typical = float(np.sqrt(np.mean(sizes**2))) if sizes.size else 0.0
    return np.maximum(sizes, typical) if typical else np.ones_like(sizes)
