"""Results, named arrays, held against one another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinynn.testing.laws.law import demand
from tinynn.typing import Array

__all__ = ["Results", "close", "equal", "scaled", "total"]

Results = dict[str, Array]
"""What it is, in words, to array."""


def equal(actual: Mapping[str, Any], expected: Mapping[str, Any], when: str) -> None:
    """Demand that results are the same to the last bit, and of the same dtypes.

    Args:
        actual: what came.
        expected: what should have come.
        when: in which circumstances it came, for the message.
    """
    close(actual, expected, when, tolerance=0.0)
    for name, value in expected.items():
        demand(actual[name].dtype == value.dtype, f"{when}, {name} is {actual[name].dtype} where it was {value.dtype}")


def close(actual: Mapping[str, Any], expected: Mapping[str, Any], when: str, tolerance: float = 1e-10) -> None:
    """Demand that results are the same but for rounding, relative to the largest number of each if that exceeds 1."""
    missing, more = sorted(expected.keys() - actual.keys()), sorted(actual.keys() - expected.keys())
    demand(not missing and not more, f"{when}, {' and '.join(missing + more)} came in one case only")
    for name, value in expected.items():
        given = actual[name]
        demand(given.shape == value.shape, f"{when}, {name} has shape {given.shape} where it had {value.shape}")
        with np.errstate(invalid="ignore"):
            error = np.abs(np.subtract(given, value, dtype=np.float64))
        error = np.where((given == value) | (np.isnan(given) & np.isnan(value)), 0.0, error)
        room = tolerance * max(1.0, float(np.abs(value).max(initial=0.0)))
        wrong = ~(error <= room)
        if wrong.any():
            index = tuple(int(i) for i in np.argwhere(wrong)[0])
            place = f" at {index}" if index else ""
            seen = f"{given[index]:.6g}{place} where it was {value[index]:.6g}"
            demand(False, f"{when}, {name} is {seen}; {wrong.sum()} of {wrong.size} elements differ")


def scaled(results: Results, factor: float) -> Results:
    """Return results times a factor."""
    return {name: factor * value for name, value in results.items()}


def total(first: Results, second: Results) -> Results:
    """Return the sum of results."""
    return {name: value + second[name] for name, value in first.items()}
