"""One wrong gradient, with what it may be compared with, and what is wrong with it if it is its shape."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from tinynn.testing.subject import is_input
from tinynn.testing.trial import Trial
from tinynn.typing import Array

__all__ = ["MOST_MASKS", "Case", "single_samples", "subsets", "wrong_shape"]

MOST_MASKS = 64
"""Single samples are measured only where there are no more than these."""


@dataclass(frozen=True)
class Case:
    """A wrong gradient, and what it may be compared with.

    Attributes:
        trial: the trial in which it was given.
        where: the input or the parameter.
        given: what ``backward`` gave, of whatever shape.
        measured: what it should have given; NaN where that is not known.
        room: by how much elements may differ.
    """

    trial: Trial
    where: str
    given: Array
    measured: Array
    room: Array

    @property
    def axes_of_samples(self) -> range:
        """The axes over which a sum may have been taken too often: those of samples at an input, all of a parameter."""
        return range(max(1, self.measured.ndim - 1) if is_input(self.where) else self.measured.ndim)

    @property
    def known(self) -> Array:
        """Where the measured gradient is known."""
        return np.isfinite(self.measured)

    @property
    def wrong(self) -> Array:
        """Where the given gradient is wrong."""
        wrong: Array = self.known & ~(np.abs(self.given - self.measured) <= self.room)
        return wrong

    def explained_by(self, candidate: Array) -> bool:
        """Whether the given gradient is ``candidate``, as far as can be told, and the measured one is not."""
        if candidate.shape != self.given.shape:
            return False
        if candidate.shape == self.measured.shape:
            apart = ~(np.abs(candidate - self.measured) <= self.room)
            if not np.any(apart & self.wrong):
                return False
        known = np.isfinite(candidate)
        if known.sum() < min(2, candidate.size):
            return False
        room = np.full(candidate.shape, np.median(self.room[self.known]) if self.known.any() else 0.0)
        if candidate.shape == self.room.shape:
            room = np.maximum(room, self.room)
        if not np.abs(candidate[known]).max(initial=0.0) > 10 * np.median(room[known]):
            return False  # it drowns in rounding, and so would any other
        scale = float(np.abs(candidate[known]).max(initial=0.0)) / self.trial.measured(self.where).scale
        return bool(np.all(np.abs(self.given - candidate)[known] <= (4 * max(1.0, scale) * room)[known]))


def single_samples(case: Case) -> Iterator[tuple[str, Array]]:
    """Yield the gradients that single samples contribute, measured with the incoming gradient masked to them."""
    grads = case.trial.grads
    if not case.trial.real.layer.needs_grad:
        return
    names, rows = [], []
    for axis in range(max(1, grads[0].ndim - 1)) if grads[0].ndim else ():
        length = grads[0].shape[axis]
        for number in range(length) if 1 < length <= MOST_MASKS else ():
            masked = []
            for grad in grads:
                mask = np.zeros(grad.shape)
                if grad.ndim > axis and grad.shape[axis] == length:
                    mask[(slice(None),) * axis + (number,)] = 1
                masked.append((grad * mask).reshape(-1))
            names.append(f"sample {number}" if axis == 0 else f"position {number} of axis {axis}")
            rows.append(np.concatenate(masked))
    if rows:
        yield from zip(names, case.trial.full(case.where, np.array(rows)), strict=True)


def wrong_shape(case: Case) -> tuple[str, str]:
    """Return the diagnosis of a gradient that has not the shape of its array, and the sentence."""
    given, measured = case.given, case.measured
    shapes = f"the gradient has shape {given.shape} where its array has {measured.shape}"
    if measured.ndim >= 2 and given.shape == measured.shape[::-1]:
        return "transposed", f"{shapes}: transposed, as by x.T @ grad for grad.T @ x?"
    if given.size == measured.size and case.explained_by(measured.reshape(given.shape)):
        return "shape", f"{shapes}; its numbers are right, so a reshape is missing"
    for axes in subsets(range(given.ndim)):
        total = given.sum(axis=axes)
        if total.shape == measured.shape and np.all(np.abs(total - measured)[case.known] <= 4 * case.room.max()):
            return "batch-sum", f"{shapes}: the sum over its axes {axes}, the samples, is missing"
    for axes in subsets(case.axes_of_samples):
        for keep in (False, True):
            sums = {
                "summed": measured.sum(axis=axes, keepdims=keep),
                "averaged": measured.mean(axis=axes, keepdims=keep),
            }
            for taken, total in sums.items():
                if case.explained_by(total):
                    return "batch-sum", f"{shapes}: {taken} over axes {axes}, which is too much"
    for name, part in single_samples(case):
        for total in (part, *(part.sum(axis=axes) for axes in subsets(range(part.ndim)))):
            if case.explained_by(total):
                return "batch-sum", f"{shapes}: it is that of {name} only"
    return "shape", shapes


def subsets(axes: Iterable[int]) -> Iterator[tuple[int, ...]]:
    """Yield the subsets of some axes that are not empty, small ones first."""
    axes = list(axes)
    for count in range(1, len(axes) + 1):
        yield from itertools.combinations(axes, count)
