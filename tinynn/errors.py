"""What is raised when something is wrong.

Every class here derives from the built-in exception that one would catch anyway, and every message has the form
``<object> expects <what>, got <actual>[; <remedy>]``. They are raised before the object that raises has changed.
"""

from __future__ import annotations

__all__ = [
    "AnomalyError",
    "ArgumentError",
    "ArgumentTypeError",
    "CheckpointError",
    "CheckpointWarning",
    "DTypeError",
    "DiscoveryError",
    "MissingExtraError",
    "NonFiniteError",
    "PassError",
    "ShapeError",
    "StateError",
    "TinynnError",
    "expects",
]


class TinynnError(Exception):
    """Anything that tinynn itself raises."""


class ShapeError(TinynnError, ValueError):
    """An array has the wrong shape."""


class DTypeError(TinynnError, TypeError):
    """An array holds the wrong kind of thing: complex numbers, objects, text, floats for labels."""


class ArgumentError(TinynnError, ValueError):
    """An argument has a value outside its range."""


class ArgumentTypeError(TinynnError, TypeError):
    """An argument is of the wrong type."""


class PassError(TinynnError, RuntimeError):
    """A backward without the forward that it would undo, or in an order that cannot be right."""


class AnomalyError(TinynnError, RuntimeError):
    """Something that ``detect_anomaly`` was asked to look for: NaN, infinity, or an array that was changed."""


class NonFiniteError(AnomalyError):
    """A number is NaN or infinite: in a layer that `detect_anomaly` watches, or in a loss or a gradient in training."""


class StateError(TinynnError, ValueError):
    """A state dict does not fit the object that it is loaded into."""


class DiscoveryError(TinynnError, TypeError):
    """A layer or a parameter sits where reflection cannot find it."""


class CheckpointError(TinynnError, OSError):
    """A file could not be written, or is damaged, or is not what it should be."""


class CheckpointWarning(UserWarning):
    """A damaged checkpoint was passed over for an older one."""


class MissingExtraError(TinynnError, ImportError):
    """An optional package is not installed."""


def expects(owner: object, what: str, actual: object, remedy: str = "") -> str:
    """Return the sentence of an error: who expects what, what came, and what to do.

    Args:
        owner: the object that complains, or the name of its class where it is not complete yet.
        what: what it expects, for example ``"x of shape (..., 2)"``.
        actual: what it got; text is used as it is.
        remedy: what to write instead, if that is known.
    """
    name = owner if isinstance(owner, str) else repr(owner)
    if "\n" in name:
        name = type(owner).__name__
    sentence = f"{name} expects {what}, got {actual}"
    return f"{sentence}; {remedy}" if remedy else sentence
