"""The search for factors: one for each feature, that a gradient is multiplied by and should not be."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinynn.core.layer import Layer
from tinynn.testing.calls import another
from tinynn.testing.case import Case
from tinynn.typing import Array

__all__ = ["feature_factor", "fit_elsewhere"]

MOST_PRINTED = 6


def feature_factor(case: Case) -> str | None:
    """Return what to say of a gradient that is right but for a factor at each index of one axis.

    The same factors have to explain the gradient at other inputs and for another gradient that comes in: a single
    outer product has factors for whatever is wrong with it. A gradient of one axis has them in any case, so there they
    have to be known from elsewhere.
    """
    for axis in reversed(range(case.measured.ndim)):
        factors = _factors(case, axis)
        if factors is None:
            continue
        source = next(_sources(case.trial.layer, factors), "")
        single = (case.known.sum(axis=_others(case, axis)) < 2).any()
        if (source or not single) and fit_elsewhere(case, np.expand_dims(factors, _others(case, axis))):
            numbers = [f"{factor:.6g}" for factor in factors[:MOST_PRINTED]]
            more = f", ... ({len(factors)} in all)" if len(factors) > MOST_PRINTED else ""
            origin = f"; these are {source}" if source else ""
            said = f"the gradient is multiplied by a factor of its own at each index of axis {axis}"
            return f"{said}: {', '.join(numbers)}{more}{origin}: forgotten, or once too often?"
    return None


def _others(case: Case, axis: int) -> tuple[int, ...]:
    return tuple(other for other in range(case.measured.ndim) if other != axis)


def _factors(case: Case, axis: int) -> Array | None:
    """Return the factor at each index of an axis, if there is one everywhere and that is all that is wrong."""
    others = _others(case, axis)
    measured, given = (np.where(case.known, values, 0.0) for values in (case.measured, case.given))
    squares = (measured**2).sum(axis=others)
    if len(squares) < 2 or not squares.all():
        return None
    factors: Array = (given * measured).sum(axis=others) / squares
    return factors if case.explained_by(case.measured * np.expand_dims(factors, others)) else None


def fit_elsewhere(case: Case, factors: Array | float) -> bool | None:
    """Whether factors explain what is given at other inputs as well; None where that cannot be told."""
    rng = np.random.default_rng(case.trial.seed)
    try:
        inputs = tuple(another(x, rng) for x in case.trial.real.inputs)
        trial = case.trial.like(inputs=inputs, seed=case.trial.seed + 1)
        given, measured = trial.given[case.where], trial.measured(case.where).values
        elsewhere = Case(trial, case.where, given, measured, trial.room(case.where))
        explained = elsewhere.explained_by(measured * factors)
        return explained and bool(elsewhere.wrong.any())  # a gradient that vanishes there would confirm anything
    except Exception:  # the other inputs may not be allowed
        return None


def _sources(layer: Layer, factors: Array) -> Iterator[str]:
    """Yield the arrays of a layer that the factors are, with what was made of them."""
    attributes = {name: value for name, value in vars(layer).items() if isinstance(value, np.ndarray)}
    entries = {path: entry.data for path, entry in (*layer.named_parameters(), *layer.named_buffers())}
    for name, array in {**attributes, **entries}.items():
        if array.size != len(factors) or array.dtype.kind not in "fiu":
            continue
        values = array.reshape(-1).astype(np.float64)
        with np.errstate(all="ignore"):
            powers = {
                f"`{name}`": values,
                f"1 / `{name}`": 1 / values,
                f"`{name}` squared": values**2,
                f"1 / `{name}` squared": 1 / values**2,
            }
        for said, power in powers.items():
            for sign, text in ((1, said), (-1, f"-{said}")):
                if np.allclose(factors, sign * power, rtol=1e-6, atol=0.0):
                    yield text
