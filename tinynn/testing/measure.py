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
from typing import NamedTuple

import numpy as np

from tinynn.core.arrays import complex_path
from tinynn.core.passes import no_grad
from tinynn.testing.filters import filtering
from tinynn.testing.subject import Subject
from tinynn.typing import Array

__all__ = [
    "Kink",
    "central_differences",
    "complex_steps",
    "is_analytic",
    "measuring",
    "one_sided",
    "quiet",
    "sizes_of",
]

COMPLEX_STEP = 1e-30
FIRST_STEP, SHRINK, STEPS = 1e-2, 4.0, 5
CLOSER = (1e-3, 1e-6)
"""How much smaller to make the steps where large ones tell nothing: across a kink, out of forward's domain."""
CLEAR = 1e-8
"""How exact a difference has to be, beside the largest, for no smaller steps to be tried."""
ANALYTIC_STEPS = (0.1, 0.1 / SHRINK, 0.1 / SHRINK**2)
KINK_STEPS = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4)
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
            step = COMPLEX_STEP * (min(abs(before), 1.0) or 1.0)
            variable[element] = before + 1j * step
            slopes[:, place] = rows.dot(subject.outputs().imag) / step
            variable[element] = before
    return slopes


def central_differences(subject: Subject, where: str, rows: Array, elements: Array) -> tuple[Array, Array]:
    """Return slopes as `complex_steps` does, by differences of several steps, and estimates of their errors.

    Steps are natural to the element first. Smaller ones follow where these tell little, and are believed if these leave
    forward's domain, or reach across a kink, or if they agree with one another. A slope that none of them tells is NaN.
    """
    variable = subject.variables[where].reshape(-1)
    slopes = np.full((len(rows), len(elements)), np.nan)
    errors, noise = np.full(slopes.shape, np.inf), np.zeros(slopes.shape)
    natural, own = _scales(variable)[elements], sizes_of(variable)[elements]
    natural_fails = np.ones(len(elements), bool)
    for scales in (natural, own, *(factor * own for factor in CLOSER), np.maximum(natural, 1.0)):
        largest = np.abs(slopes[np.isfinite(slopes)]).max(initial=0.0)
        vague = np.flatnonzero(~np.all(errors <= CLEAR * largest, axis=0))
        if not len(vague):
            break
        table, rounding, jumps = _differences(subject, variable, rows, elements[vague], scales[vague])
        noise[:, vague] = np.fmax(noise[:, vague], rounding)
        with quiet():
            values, doubts = _extrapolated(table, noise[:, vague] / scales[vague])
        doubts = np.fmax(doubts, jumps)
        better = (doubts < errors[:, vague]) & (natural_fails[vague] | (doubts < 1e-3 * np.abs(values)))
        natural_fails[vague] &= np.any((jumps > 0) | ~np.isfinite(table[1:]).all(axis=0), axis=0)
        slopes[:, vague] = np.where(better, values, slopes[:, vague])
        errors[:, vague] = np.where(better, doubts, errors[:, vague])
    return slopes, errors


def _differences(
    subject: Subject, variable: Array, rows: Array, elements: Array, scales: Array
) -> tuple[Array, Array, Array]:
    """Return the slopes that steps in proportion to ``scales`` show, and what else they show.

    Returns:
        (steps, k, n) slopes; (k, n) the rounding of those outputs that the element can move; (k, n) by how much the
        slope changes at a kink within reach.
    """
    table = np.zeros((STEPS, len(rows), len(elements)))
    jumps, noise = np.zeros_like(table), np.zeros(table.shape[1:])
    with measuring():
        middle = subject.outputs()
        for place, (element, scale) in enumerate(zip(elements, scales, strict=True)):
            steps = [FIRST_STEP / SHRINK**number * scale for number in range(STEPS)]
            far = max(1.0, abs(variable[element]))
            moves = np.zeros(rows.shape[1], bool)
            for number, step in enumerate([*steps, far]):
                above, below, width = _beside(subject, variable, element, step, rows.shape[1])
                moves |= (above != middle) | (below != middle)
                if number < STEPS:
                    table[number, :, place] = rows.dot(above - below) / width
                    jumps[number, :, place] = rows.dot(above - 2 * middle + below) / step
            noise[:, place] = EPS * np.abs(rows).dot(np.abs(middle) * moves)
        ratios = jumps[1:] / jumps[:-1]  # 1 at a kink, ¼ where forward is smooth, 4 for rounding
        same = (ratios > 0.7) & (ratios < 1.4) & (np.abs(jumps[1:]) > 1e-3 * np.abs(table[1:]))
        kinks = same[1:] & same[:-1]
    return table, noise, np.max(np.abs(jumps[2:]) * kinks, axis=0, initial=0.0, where=kinks)


def _beside(subject: Subject, variable: Array, element: int, step: float, count: int) -> tuple[Array, Array, float]:
    """Return the outputs with one element a step larger, and a step smaller, and how far these are apart."""
    before = variable[element]
    upper, lower = before + step, before - step
    variable[element] = upper
    above = _outputs(subject, count)
    variable[element] = lower
    below = _outputs(subject, count)
    variable[element] = before
    return above, below, upper - lower


def _extrapolated(table: Array, noise: Array) -> tuple[Array, Array]:
    """Return the best slopes that differences of several steps tell, and how far they can be trusted.

    Each step is a quarter of the one before. In the table of Richardson's extrapolation, column m has the first m terms
    of the error removed; the entry is chosen that is closest to those it was made of. Closeness may be luck: the error
    is taken to be no smaller than the rounding that the smallest steps show, which falls as steps grow.

    Args:
        table: (steps, ..., n): the differences of each step.
        noise: (..., n): by how much rounding moves the outputs, over the scale of the steps.
    """
    best, errors = np.full(table.shape[1:], np.nan), np.full(table.shape[1:], np.inf)
    rounding = np.abs(_richardson(table[-1], table[-2]) - _richardson(table[-2], table[-3]))
    if rounding.size:
        rounding = np.fmax(rounding, np.nanmedian(rounding, axis=-1, keepdims=True))
    rounding = np.fmax(rounding, noise * SHRINK ** (len(table) - 1) / FIRST_STEP)
    previous: list[Array] = []
    for number, differences in enumerate(table):
        current = [differences]
        for order, coarse in enumerate(previous, start=1):
            fine = current[-1]
            current.append(_richardson(fine, coarse, order))
            error = np.maximum(np.abs(current[-1] - fine), np.abs(current[-1] - coarse))
            error = np.maximum(error, rounding * SHRINK ** (number + 1 - len(table)))
            better = error < errors
            best, errors = np.where(better, current[-1], best), np.where(better, error, errors)
        previous = current
    return best, errors


def _richardson(fine: Array, coarse: Array, order: int = 1) -> Array:
    """Return the slope with one more term of the error removed, from those of a step and of the step before."""
    return fine + (fine - coarse) / (SHRINK ** (2 * order) - 1)


class Kink(NamedTuple):
    """The slopes on either side of a kink, and the least and the most that those of single outputs add up to."""

    left: float
    right: float
    least: float
    most: float


def one_sided(subject: Subject, where: str, row: Array, direction: Array) -> Kink | None:
    """Return the slopes on the left and on the right in one direction if they differ: at a kink.

    The slopes of a smooth function approach each other with the step, rounding drives them apart. At a kink their
    difference stays the same, down to the smallest step that rounding leaves clear.
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
            rights = row * (_outputs(subject, len(row)) - middle) / step
            variable[...] = place - step * direction
            lefts = row * (middle - _outputs(subject, len(row))) / step
            variable[...] = place
            left, right = float(lefts.sum()), float(rights.sum())
            jump, visible = right - left, 1e-3 * max(abs(left), abs(right))
            if not 30 * noise / step <= visible:
                continue
            if abs(jump) <= 2 * visible:
                return None
            if abs(jump - last) <= 0.1 * abs(jump):
                least, most = np.minimum(lefts, rights).sum(), np.maximum(lefts, rights).sum()
                return Kink(left, right, float(least), float(most))
            if abs(jump) > abs(last):  # it grows with the step: forward bends
                return None
            last = jump
    return None


def is_analytic(analytic: Subject, real: Subject, where: str, row: Array, rng: np.random.Generator) -> bool:
    """Whether complex steps and differences see the same slope of every output, in a random direction, nearby.

    Nearby, because at a kink they differ although forward is analytic on either side; but not so far that an element
    changes its sign, and as near as forward needs it to have a value.
    """
    z, x = analytic.variables[where], real.variables[where]
    before = x.copy()
    sizes = sizes_of(before.reshape(-1)).reshape(x.shape)
    away, along = (np.clip(rng.standard_normal(x.shape), -3, 3) for _ in range(2))
    reaches = [near * sizes for near in (1e-3, *CLOSER)] + [1e-3 * np.maximum(sizes, 1.0)]
    try:
        for reach in reaches:
            nearby = before + reach * away
            with measuring():
                pairs = [_on_both_sides(real, x, nearby, step * reach * along) for step in ANALYTIC_STEPS]
                table = [
                    (above - below) / (2 * step) for step, (above, below) in zip(ANALYTIC_STEPS, pairs, strict=True)
                ]
                slopes, errors = _extrapolated(
                    np.array(table), EPS * np.abs(pairs[-1][0]) * FIRST_STEP / ANALYTIC_STEPS[0]
                )
            largest = np.abs(slopes).max(initial=0)
            if np.isfinite(slopes).all() and 10 * np.median(errors) <= 0.5 * largest:
                break
        else:
            return False
        with measuring():
            z[...] = nearby + 1j * COMPLEX_STEP * reach * along
            complex_slopes = analytic.outputs().imag / COMPLEX_STEP
    except Exception:  # whatever a function of real numbers may raise for complex ones
        return False
    finally:
        z[...] = x[...] = before
    room = 1e-6 * np.abs(slopes) + 30 * errors + 1e-9 * largest
    return bool(np.all(np.abs(complex_slopes - slopes) * (row != 0) <= room))


def _on_both_sides(subject: Subject, variable: Array, place: Array, by: Array) -> tuple[Array, Array]:
    """Return the outputs at ``place + by`` and at ``place - by``."""
    variable[...] = place + by
    above = _outputs(subject)
    variable[...] = place - by
    return above, _outputs(subject)


def _outputs(subject: Subject, count: int = 1) -> Array:
    """Return the outputs in a row, or as many NaN where forward will not have what it is given."""
    try:
        return subject.outputs()
    except Exception:  # out of its domain, which a user may refuse in any way
        return np.full(count, np.nan)


def sizes_of(variable: Array) -> Array:
    """Return the size of each element, and where it is 0 by how much it is natural to move it."""
    sizes = np.abs(variable)
    return np.where(sizes > 0, sizes, _scales(variable))


def _scales(variable: Array) -> Array:
    """Return for each element by how much it is natural to move it, unless forward's domain ends before."""
    sizes = np.abs(variable)
    typical = float(np.sqrt(np.mean(sizes**2))) if sizes.size else 0.0
    return np.maximum(sizes, min(typical, 1.0)) if typical else np.ones_like(sizes)
