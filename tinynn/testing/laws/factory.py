"""Factories: what builds the layers that laws are tried on."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from tinynn.core.layer import Layer
from tinynn.errors import ArgumentError, ArgumentTypeError, expects

__all__ = ["arguments_of", "build", "check_factory"]

OFFERED = ("rng", "dtype", "reduction")
"""What a factory may take by name."""


def arguments_of(factory: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """Return the arguments that a factory takes by name."""
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {name: argument for name, argument in _signature(factory).items() if argument.kind in named}


def _signature(factory: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(factory).parameters
    except ValueError:  # a class that is written in C
        return {}


def _needed(factory: Callable[..., Any]) -> list[str]:
    """Return the arguments that a factory needs, and that it is not offered by name."""
    return [
        name
        for name, argument in _signature(factory).items()
        if argument.default is argument.empty
        and argument.kind not in {argument.VAR_POSITIONAL, argument.VAR_KEYWORD}
        and (argument.kind is argument.POSITIONAL_ONLY or name not in OFFERED)
    ]


def build(factory: Callable[..., Any], **offered: Any) -> Any:
    """Call a factory with those arguments that it names."""
    names = arguments_of(factory)
    return factory(**{name: value for name, value in offered.items() if name in names})


def check_factory(owner: str, factory: Any, **offered: Any) -> Any:
    """Return what a factory builds, after it was seen to be one.

    Raises:
        ArgumentTypeError: if it is no function, needs more than it is offered, or builds something else than a layer.
        ArgumentError: if it builds the same object again and again.
    """
    what = "a factory: a class, or a function that builds a new layer"
    if isinstance(factory, Layer):
        raise ArgumentTypeError(expects(owner, what, repr(factory), f"write {_lambda(type(factory))}"))
    if not callable(factory):
        raise ArgumentTypeError(expects(owner, what, repr(factory)))
    name = getattr(factory, "__name__", repr(factory))
    by_name = "a factory that takes nothing but rng, dtype and reduction, by name"
    remedy = f"write functools.partial({name}, ...)"
    needed = _needed(factory)
    if needed:
        raise ArgumentTypeError(expects(owner, by_name, f"{name}({', '.join(needed)})", remedy))
    try:
        layer = build(factory, **offered)
    except Exception as error:
        arguments = _signature(factory).values()
        stars = [f"*{argument.name}" for argument in arguments if argument.kind is argument.VAR_POSITIONAL]
        if not stars:
            raise
        actual = f"{name}({stars[0]}), which raises {type(error).__name__}: {error}"
        raise ArgumentTypeError(expects(owner, by_name, actual, remedy)) from error
    if not isinstance(layer, Layer):
        raise ArgumentTypeError(expects(owner, what, f"one that builds {layer!r}"))
    if build(factory, **offered) is layer:
        raise ArgumentError(expects(owner, what, f"one that returns the same {layer!r} again"))
    return layer


def _lambda(kind: type[Layer]) -> str:
    """Return how to write a function that builds a layer of a class."""
    takes_nothing = kind.__init__ is object.__init__
    names = {} if takes_nothing else dict(inspect.signature(kind).parameters)
    arguments = ["..."] if names.keys() - OFFERED else []
    if "rng" not in names:
        return f"lambda: {kind.__name__}({', '.join(arguments)})"
    return f"lambda rng: {kind.__name__}({', '.join([*arguments, 'rng=rng'])})"
