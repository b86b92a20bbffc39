"""Gradients made smaller before a step."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np

from tinynn.core.arguments import boolean, number
from tinynn.core.groups import listed
from tinynn.core.parameter import Parameter
from tinynn.errors import AnomalyError, ArgumentTypeError, expects

__all__ = ["clip_grad_norm_", "clip_grad_value_"]


def clip_grad_norm_(
    parameters: Iterable[Parameter] | Parameter,
    max_norm: float,
    norm_type: float | Literal["inf"] = 2.0,
    error_if_nonfinite: bool = False,
) -> float:
    """Multiply all gradients by min(1, max_norm / (n + 10⁻⁶)), where n is their norm, all elements in one vector.

    Args:
        parameters: those whose gradients are changed, in place.
        max_norm: the largest norm, at least 0; with ``math.inf`` nothing is changed.
        norm_type: p of the norm (∑ |g|ᵖ)^(1/p), greater than 0; ``math.inf`` or ``"inf"`` for the largest |g|.
        error_if_nonfinite: raise an error, and change nothing, where n is infinite or no number.

    Returns:
        The norm n before anything was changed.

    Raises:
        AnomalyError: if asked for.

    References:
        Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks", 2013, algorithm 1;
        PyTorch adds 10⁻⁶.

    Example:
        >>> weight = nn.Parameter([0.0, 0.0])
        >>> weight.grad = [3.0, 4.0]
        >>> nn.clip_grad_norm_([weight], 1.0)
        5.0
        >>> weight.grad.round(3)
        array([0.6, 0.8])
    """
    own = _parameters("clip_grad_norm_", parameters)
    if max_norm != math.inf:
        max_norm = number("clip_grad_norm_", "max_norm", max_norm, low=0)
    if norm_type == "inf":
        norm_type = math.inf
    if norm_type != math.inf:
        norm_type = number("clip_grad_norm_", "norm_type", norm_type, above=0)
    boolean("clip_grad_norm_", "error_if_nonfinite", error_if_nonfinite)
    grads = [parameter.read_grad() for parameter in own]
    with np.errstate(over="ignore", invalid="ignore"):
        norms = [float(np.linalg.norm(grad.reshape(-1), norm_type)) if grad.size else 0.0 for grad in grads]
        norm = float(np.linalg.norm(norms, norm_type)) if norms else 0.0
        if error_if_nonfinite and not math.isfinite(norm):
            raise AnomalyError(expects("clip_grad_norm_", "gradients with a finite norm", norm))
        factor = max_norm / (norm + 1e-6)
        if not factor >= 1:
            for grad in grads:
                grad *= factor
    return norm


def clip_grad_value_(parameters: Iterable[Parameter] | Parameter, clip_value: float) -> None:
    """Bring every element of all gradients into the range from -clip_value to clip_value.

    Args:
        parameters: those whose gradients are changed, in place.
        clip_value: the largest size of an element, at least 0.

    Example:
        >>> weight = nn.Parameter([0.0, 0.0])
        >>> weight.grad = [3.0, -0.5]
        >>> nn.clip_grad_value_([weight], 1.0)
        >>> weight.grad
        array([ 1. , -0.5])
    """
    own = _parameters("clip_grad_value_", parameters)
    if clip_value != math.inf:
        clip_value = number("clip_grad_value_", "clip_value", clip_value, low=0)
    for parameter in own:
        grad = parameter.read_grad()
        np.clip(grad, -clip_value, clip_value, out=grad)


def _parameters(owner: str, parameters: object) -> list[Parameter]:
    """Return each of the parameters once, and warn of a generator with none left."""
    own = listed(owner, parameters)
    for parameter in own:
        if not isinstance(parameter, Parameter):
            remedy = "pass model.parameters()"
            raise ArgumentTypeError(expects(owner, "Parameter objects", f"a {type(parameter).__name__}", remedy))
    if not own and isinstance(parameters, Iterator):
        remedy = "a generator can be gone through only once: pass list(model.parameters())"
        warnings.warn(expects(owner, "at least one parameter", "none", remedy), stacklevel=3)
    return list(dict.fromkeys(own))
