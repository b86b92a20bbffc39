"""Groups of parameters with options: what a user gives, checked, and what a rule gets to read."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from tinynn.core.arguments import boolean, number
from tinynn.core.parameter import Parameter
from tinynn.errors import ArgumentError, ArgumentTypeError, expects

__all__ = ["SCHEDULED", "as_attributes", "check_groups", "flags", "fractions", "listed", "nonnegative"]


SCHEDULED = ("initial_lr", "max_lr", "min_lr", "max_momentum", "base_momentum")
"""What a schedule may keep in a group, where other schedules and a state dict find it, as in PyTorch."""


def listed(owner: str, params: Any) -> list[Any]:
    """Return what was given for parameters, or for groups of them, as a list."""
    if isinstance(params, Parameter):
        return [params]
    if not isinstance(params, Iterable) or isinstance(params, (Mapping, np.ndarray, str)):
        raise ArgumentTypeError(expects(owner, "parameters, as in model.parameters()", f"a {type(params).__name__}"))
    return list(params)


def check_groups(
    owner: str, groups: Iterable[Any], defaults: Mapping[str, Any], check: Callable[[Mapping[str, Any]], dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return groups in their clean form: parameters in a list, each of them once in all groups, and every option."""
    clean: list[dict[str, Any]] = []
    placed: set[Parameter] = set()
    for group in groups:
        if not isinstance(group, Mapping) or "params" not in group:
            raise ArgumentTypeError(expects(owner, "every group to be a dict with 'params'", repr(group)))
        parameters = listed(owner, group["params"])
        for parameter in parameters:
            if not isinstance(parameter, Parameter):
                remedy = "pass model.parameters(), or [*a.parameters(), *b.parameters()]"
                raise ArgumentTypeError(expects(owner, "Parameter objects", f"a {type(parameter).__name__}", remedy))
            if parameter in placed:
                raise ArgumentError(expects(owner, "each parameter in one group only", f"{parameter!r} in two"))
        if not parameters:
            raise ArgumentError(expects(owner, "at least one parameter in each group", "none"))
        placed.update(parameters)
        options = {name: value for name, value in group.items() if name != "params"}
        kept = {name: number(owner, name, options.pop(name)) for name in SCHEDULED if name in options}
        unknown = sorted(set(options) - set(defaults))
        if unknown:
            raise ArgumentTypeError(expects(owner, f"the options {', '.join(defaults)}", ", ".join(unknown)))
        clean.append({"params": list(dict.fromkeys(parameters)), **check({**defaults, **options}), **kept})
    return clean


def as_attributes(group: Mapping[str, Any], dtype: np.dtype[Any]) -> SimpleNamespace:
    """Return options as attributes, ``options.lr``, and numbers as arrays without axes, too: ``options.arrays.lr``."""
    options = {name: value for name, value in group.items() if name != "params"}
    arrays = {name: np.array(value, dtype) for name, value in options.items() if type(value) is float}
    return SimpleNamespace(**options, arrays=SimpleNamespace(**arrays))


def nonnegative(owner: object, options: Mapping[str, Any], *names: str, high: float = math.inf) -> dict[str, float]:
    """Return the named options as finite numbers from 0 to ``high``."""
    return {name: number(type(owner).__name__, name, options[name], low=0, high=high) for name in names}


def fractions(owner: object, options: Mapping[str, Any], name: str) -> dict[str, tuple[float, ...]]:
    """Return the named option, a pair of numbers of at least 0 and below 1, as a tuple."""
    pair = options[name]
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise ArgumentTypeError(expects(type(owner).__name__, f"{name} to be two numbers", repr(pair)))
    places = (f"{name}[0]", f"{name}[1]")
    values = zip(places, pair, strict=True)
    return {name: tuple(number(type(owner).__name__, place, value, low=0, below=1) for place, value in values)}


def flags(owner: object, options: Mapping[str, Any], *names: str) -> dict[str, bool]:
    """Return the named options as booleans."""
    return {name: boolean(type(owner).__name__, name, options[name]) for name in names}
