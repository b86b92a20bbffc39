"""Checks of constructor arguments: each returns the value in its clean form or raises, naming the owner."""

from __future__ import annotations

import inspect
import math
import numbers
import reprlib
from collections.abc import Mapping
from os import PathLike

import numpy as np

from tinynn.errors import ArgumentError, ArgumentTypeError, ShapeError, expects
from tinynn.typing import Seed, Shape

__all__ = [
    "axis_in",
    "boolean",
    "choice",
    "contents",
    "generator",
    "integer",
    "layer_generator",
    "number",
    "refuse_foreign",
    "size",
    "written",
]

FOREIGN = {
    "inplace": "no layer works in place on what it is given",
    "device": "arrays live in main memory",
    "foreach": "there is one implementation, and it is the fast one",
    "fused": "there is one implementation, and it is the fast one",
    "capturable": "there are no graphs to capture",
    "differentiable": "an optimizer step has no gradient here",
    "max_norm": "a forward does not change parameters",
    "norm_type": "there is no max_norm",
    "scale_grad_by_freq": "backward gives the gradient of the loss, and nothing else",
    "sparse": "gradients are dense arrays, and backward touches only the rows that were looked up",
    "size_average": "reduction says it",
    "reduce": "reduction says it",
}
"""Arguments of PyTorch that mean nothing here, each with the reason why."""


def refuse_foreign(owner: type, arguments: Mapping[str, object]) -> None:
    """Refuse arguments that only PyTorch has with a sentence that says to drop them.

    Raises:
        ArgumentTypeError: if one of them was given and ``owner`` does not define it itself.
    """
    for name in arguments:
        if name in FOREIGN and name not in inspect.signature(owner).parameters:
            raise ArgumentTypeError(
                expects(
                    owner.__name__, f"no argument {name!r}", f"{name}={arguments[name]!r}", f"drop it: {FOREIGN[name]}"
                )
            )


def size(owner: str, name: str, value: object) -> int:
    """Return ``value`` as an int of at least 1."""
    what = f"{name} to be a positive integer"
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Integral):
        raise ArgumentTypeError(expects(owner, what, repr(value)))
    if value < 1:
        raise ArgumentError(expects(owner, what, repr(value)))
    return int(value)


def integer(owner: str, name: str, value: object, *, low: int | None = None, high: int | None = None) -> int:
    """Return ``value`` as an int with ``low <= value <= high``."""
    limits = " and ".join(f"{sign} {bound}" for sign, bound in ((">=", low), ("<=", high)) if bound is not None)
    what = f"{name} to be an integer {limits}".rstrip()
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Integral):
        raise ArgumentTypeError(expects(owner, what, repr(value)))
    result = int(value)
    if (low is not None and result < low) or (high is not None and result > high):
        raise ArgumentError(expects(owner, what, repr(value)))
    return result


def axis_in(owner: object, dim: int, shape: Shape) -> int:
    """Return the axis that ``dim`` means in an array of a shape, counted from the front.

    Raises:
        ShapeError: if there is no such axis.
    """
    axis = dim + len(shape) if dim < 0 else dim
    if not 0 <= axis < len(shape):
        raise ShapeError(expects(owner, f"an array with an axis {dim}", f"one of shape {shape}"))
    return axis


def number(
    owner: str,
    name: str,
    value: object,
    *,
    above: float = -math.inf,
    low: float = -math.inf,
    high: float = math.inf,
    below: float = math.inf,
) -> float:
    """Return ``value`` as a finite float with ``above < value``, ``low <= value <= high`` and ``value < below``."""
    bounds = ((">", above), (">=", low), ("<=", high), ("<", below))
    limits = " and ".join(f"{sign} {bound:g}" for sign, bound in bounds if math.isfinite(bound))
    what = f"a finite {name} {limits}".rstrip()
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise ArgumentTypeError(expects(owner, what, repr(value)))
    result = float(value)
    if not (math.isfinite(result) and above < result < below and low <= result <= high):
        raise ArgumentError(expects(owner, what, repr(result)))
    return result


def boolean(owner: str, name: str, value: object) -> bool:
    """Return ``value`` as a bool; nothing but True and False will do."""
    if not isinstance(value, (bool, np.bool_)):
        raise ArgumentTypeError(expects(owner, f"{name} to be True or False", repr(value)))
    return bool(value)


def choice(owner: str, name: str, value: object, choices: tuple[str, ...]) -> str:
    """Return ``value``, which must be one of ``choices``."""
    if not isinstance(value, str):
        raise ArgumentTypeError(expects(owner, f"{name} to be one of {', '.join(map(repr, choices))}", repr(value)))
    if value not in choices:
        raise ArgumentError(expects(owner, f"{name} to be one of {', '.join(map(repr, choices))}", repr(value)))
    return value


def contents(state: object) -> str:
    """Return what came for a state dict, for an error: its keys, and none of its arrays."""
    if isinstance(state, Mapping):
        return f"the keys {reprlib.repr(list(state))}"
    remedy = "; nn.load(path) reads a file" if isinstance(state, (str, PathLike)) else ""
    return f"a {type(state).__name__}{remedy}"


def generator(owner: str, rng: Seed) -> np.random.Generator:
    """Return the generator for a whole model or run: the given one, one made from a seed, or a fresh one."""
    if isinstance(rng, np.random.Generator):
        return rng
    if rng is None:
        return np.random.default_rng()
    if isinstance(rng, numbers.Integral) and not isinstance(rng, (bool, np.bool_)) and rng >= 0:
        return np.random.default_rng(int(rng))
    raise ArgumentTypeError(expects(owner, "rng to be a numpy.random.Generator, a seed >= 0 or None", repr(rng)))


def layer_generator(owner: str, rng: np.random.Generator | None) -> np.random.Generator:
    """Return the generator for one layer, where a seed is refused.

    Layers of equal shape that are each given the same seed start with equal weights and stay alike.
    """
    if rng is not None and not isinstance(rng, np.random.Generator):
        remedy = "write rng = np.random.default_rng(0) once and pass it to every layer"
        raise ArgumentTypeError(expects(owner, "rng to be a numpy.random.Generator or None", repr(rng), remedy))
    return generator(owner, rng)


def written(layer: object, *given: object, **named: object) -> str:
    """Return arguments as one would write them: ``given`` in a row, ``named`` where they are not the default.

    A dtype is shown where it is not float64.
    """
    signatures = [inspect.signature(cls) for cls in reversed(type(layer).__mro__[:-1])]
    defaults = {name: parameter.default for signature in signatures for name, parameter in signature.parameters.items()}
    defaults["dtype"] = np.float64
    others = [(name, value) for name, value in named.items() if name not in defaults or value != defaults[name]]
    texts = [f"{name}={value if isinstance(value, np.dtype) else repr(value)}" for name, value in others]
    return ", ".join([*map(repr, given), *texts])
