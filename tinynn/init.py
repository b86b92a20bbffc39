"""Initialisers: functions that fill a parameter in place, with PyTorch's names.

Each takes the parameter first and the generator as ``rng``, so each can be handed to a layer::

    nn.Linear(64, 64, weight_init=init.xavier_uniform_, bias_init=init.zeros_)
    nn.Linear(64, 64, weight_init=functools.partial(init.normal_, std=0.1))

A ``weight_init`` may return an array: it becomes the bias that belongs to the weight, as `arctan_sigmoid_` does it.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np

from tinynn.core.arguments import choice, generator, number, size
from tinynn.core.parameter import Parameter
from tinynn.errors import ArgumentTypeError, ShapeError, expects
from tinynn.typing import Array, Seed

__all__ = [
    "Initializer",
    "arctan_sigmoid_",
    "calculate_gain",
    "constant_",
    "fan_in_uniform_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]


class Initializer(Protocol):
    """A function that fills a parameter in place, drawing from ``rng``."""

    def __call__(self, parameter: Parameter, /, *, rng: np.random.Generator) -> Any:
        """Fill ``parameter``; return None, or the bias that belongs to it."""


def zeros_(parameter: Parameter, *, rng: Seed = None) -> None:
    """Fill with zeros, as the note's listing does; ``rng`` is not used."""
    _parameter("zeros_", parameter).data.fill(0.0)


def ones_(parameter: Parameter, *, rng: Seed = None) -> None:
    """Fill with ones; ``rng`` is not used."""
    _parameter("ones_", parameter).data.fill(1.0)


def constant_(parameter: Parameter, val: float, *, rng: Seed = None) -> None:
    """Fill with the number ``val``; ``rng`` is not used."""
    _parameter("constant_", parameter).data.fill(number("constant_", "val", val))


def uniform_(parameter: Parameter, a: float = 0.0, b: float = 1.0, *, rng: Seed = None) -> None:
    """Draw from the uniform distribution on [``a``, ``b``)."""
    a, b = number("uniform_", "a", a), number("uniform_", "b", b, low=a)
    _parameter("uniform_", parameter).data = generator("uniform_", rng).uniform(a, b, parameter.shape)


def normal_(parameter: Parameter, mean: float = 0.0, std: float = 1.0, *, rng: Seed = None) -> None:
    """Draw from the normal distribution with the given mean and standard deviation."""
    mean, std = number("normal_", "mean", mean), number("normal_", "std", std, low=0)
    _parameter("normal_", parameter).data = generator("normal_", rng).normal(mean, std, parameter.shape)


def xavier_uniform_(parameter: Parameter, gain: float = 1.0, *, rng: Seed = None) -> None:
    """Draw from U(-b, b), b = gain · √(6 / (fan_in + fan_out)).

    References:
        Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.
    """
    fan_in, fan_out = _fans("xavier_uniform_", parameter)
    bound = number("xavier_uniform_", "gain", gain, low=0) * math.sqrt(6 / (fan_in + fan_out))
    uniform_(parameter, -bound, bound, rng=rng)


def xavier_normal_(parameter: Parameter, gain: float = 1.0, *, rng: Seed = None) -> None:
    """Draw from N(0, s²), s = gain · √(2 / (fan_in + fan_out)).

    References:
        Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.
    """
    fan_in, fan_out = _fans("xavier_normal_", parameter)
    std = number("xavier_normal_", "gain", gain, low=0) * math.sqrt(2 / (fan_in + fan_out))
    normal_(parameter, 0.0, std, rng=rng)


def kaiming_uniform_(
    parameter: Parameter, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", *, rng: Seed = None
) -> None:
    """Draw from U(-b, b), b = gain · √(3 / fan), the gain being that of the nonlinearity that follows.

    Args:
        parameter: the weight, of shape (out, in, ...).
        a: the negative slope, for ``"leaky_relu"``.
        mode: ``"fan_in"`` keeps the variance in the forward direction, ``"fan_out"`` in the backward direction.
        nonlinearity: a name that `calculate_gain` knows.
        rng: a generator, a seed or None.

    References:
        He et al., "Delving deep into rectifiers", 2015.
    """
    bound = math.sqrt(3) * _kaiming_std("kaiming_uniform_", parameter, a, mode, nonlinearity)
    uniform_(parameter, -bound, bound, rng=rng)


def kaiming_normal_(
    parameter: Parameter, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", *, rng: Seed = None
) -> None:
    """Draw from N(0, s²), s = gain / √fan; see `kaiming_uniform_`.

    References:
        He et al., "Delving deep into rectifiers", 2015.
    """
    normal_(parameter, 0.0, _kaiming_std("kaiming_normal_", parameter, a, mode, nonlinearity), rng=rng)


def fan_in_uniform_(parameter: Parameter, *, fan_in: int | None = None, rng: Seed = None) -> None:
    """Draw from U(-b, b), b = 1 / √fan_in: what PyTorch does for the weight and the bias of a linear layer.

    Args:
        parameter: the array to fill.
        fan_in: the number of inputs; by default read off the shape (out, in, ...).
        rng: a generator, a seed or None.
    """
    fan_in = _fans("fan_in_uniform_", parameter)[0] if fan_in is None else size("fan_in_uniform_", "fan_in", fan_in)
    bound = 1 / math.sqrt(fan_in)
    uniform_(parameter, -bound, bound, rng=rng)


def arctan_sigmoid_(parameter: Parameter, gain: float = 4.0, *, rng: Seed = None) -> Array:
    """Draw a weight for a layer that arctan sigmoids precede and follow, and return the bias that belongs to it.

    W ~ N(0, gain² / fan_in) and B = -½ Σⱼ w, since the activations that come in have mean ½: then
    Z = W (A - ½) has mean zero. A gain of π makes up for the slope 1/π; a little more keeps activations from dying
    out. The documentation derives this.

    Args:
        parameter: the weight, of shape (out, in).
        gain: at least π for signals that neither die out nor saturate.
        rng: a generator, a seed or None.

    Returns:
        The bias, of shape (out,).
    """
    fan_in, _ = _fans("arctan_sigmoid_", parameter)
    normal_(parameter, 0.0, number("arctan_sigmoid_", "gain", gain, above=0) / math.sqrt(fan_in), rng=rng)
    bias: Array = -0.5 * parameter.data.sum(axis=1)
    return bias


GAINS = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4, "arctan_sigmoid": math.pi}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Return the gain that makes up for a nonlinearity: PyTorch's table, and π for ``"arctan_sigmoid"``.

    Args:
        nonlinearity: ``"linear"``, ``"sigmoid"``, ``"tanh"``, ``"relu"``, ``"leaky_relu"``, ``"selu"`` or
            ``"arctan_sigmoid"``.
        param: the negative slope of ``"leaky_relu"``, 0.01 by default.
    """
    choice("calculate_gain", "nonlinearity", nonlinearity, (*GAINS, "leaky_relu"))
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else number("calculate_gain", "param", param)
        return math.sqrt(2 / (1 + slope**2))
    return GAINS[nonlinearity]


def _kaiming_std(owner: str, parameter: Parameter, a: float, mode: str, nonlinearity: str) -> float:
    fans = dict(zip(("fan_in", "fan_out"), _fans(owner, parameter), strict=True))
    return calculate_gain(nonlinearity, a) / math.sqrt(fans[choice(owner, "mode", mode, ("fan_in", "fan_out"))])


def _fans(owner: str, parameter: Parameter) -> tuple[int, int]:
    shape = _parameter(owner, parameter).shape
    if len(shape) < 2:
        raise ShapeError(expects(owner, "a weight of shape (out, in, ...)", shape))
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def _parameter(owner: str, parameter: object) -> Parameter:
    if not isinstance(parameter, Parameter):
        raise ArgumentTypeError(expects(owner, "a Parameter", f"a {type(parameter).__name__}"))
    return parameter
