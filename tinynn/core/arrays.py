"""How arrays come in, and which dtype they take."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from contextvars import ContextVar
from typing import Any

import numpy as np

from tinynn.errors import ArgumentTypeError, DTypeError, ShapeError, expects
from tinynn.typing import Array, ArrayLike, DTypeLike

__all__ = [
    "any_gradient_shape",
    "any_gradient_shape_allowed",
    "as_array",
    "as_dtype",
    "cast",
    "complex_path",
    "floating",
    "get_default_dtype",
    "set_default_dtype",
]

# Where the C library is glibc, idle memory goes back to the system once it is more than twice the largest block that
# was ever freed, and every step fetches it again, page by page: a fifth of the time of a step of large layers. To free
# one large block, which nobody touches, puts that bound at its highest, 64 MB.
_large = np.empty(2**25 - 2**13, np.uint8)
del _large

_default_dtype: np.dtype[np.floating] = np.dtype(np.float64)
_complex_allowed: ContextVar[bool] = ContextVar("complex_allowed", default=False)
_any_gradient_shape: ContextVar[bool] = ContextVar("any_gradient_shape", default=False)
any_gradient_shape_allowed = _any_gradient_shape.get


def set_default_dtype(dtype: DTypeLike) -> None:
    """Set the dtype of parameters created from now on: float64 (the default) or float32.

    Raises:
        ArgumentTypeError: for any other dtype.
    """
    global _default_dtype
    _default_dtype = as_dtype("set_default_dtype", dtype)


def get_default_dtype() -> np.dtype[np.floating]:
    """Return the dtype that parameters are created with where none is given."""
    return _default_dtype


def as_dtype(owner: str, dtype: DTypeLike | None) -> np.dtype[np.floating]:
    """Return ``dtype`` as a NumPy dtype; parameters are float32 or float64 and nothing else."""
    with contextlib.suppress(TypeError):
        result: np.dtype[Any] = np.dtype(dtype)
        if dtype is not None and result in (np.float32, np.float64) and result.isnative:
            return result
    raise ArgumentTypeError(expects(owner, "dtype to be float32 or float64", repr(dtype)))


def as_array(owner: object, name: str, x: ArrayLike) -> Array:
    """Take in what a user gave as an array: anything that ``np.asarray`` takes and that holds real numbers.

    Args:
        owner: the object that the array was given to, named in errors.
        name: the name of the argument.
        x: an array, a number, nested lists, a data frame, ...

    Raises:
        DTypeError: for complex numbers, objects, text, dates, structured, masked and sparse arrays.
        ShapeError: for ragged lists.
    """
    if type(x) is np.ndarray and x.dtype.kind == "f":
        return x
    what = f"{name} to be an array of real numbers"
    if isinstance(x, np.ma.MaskedArray):
        raise DTypeError(expects(owner, what, "a masked array", "fill it first: x.filled(value)"))
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise ShapeError(expects(owner, what, f"a {type(x).__name__} that is ragged ({error})")) from None
    if array.dtype.kind in "fiub" or (array.dtype.kind == "c" and _complex_allowed.get()):
        return array
    if array is x and array.dtype == object:
        raise DTypeError(expects(owner, what, "an array of dtype object", "write x.astype(float)"))
    kind = type(x).__name__
    actual = "None" if x is None else f"a {kind}" if array.dtype == object else f"{kind} of dtype {array.dtype}"
    raise DTypeError(expects(owner, what, actual))


def cast(x: Array, dtype: np.dtype[Any]) -> Array:
    """Return ``x`` in ``dtype``: itself where it has it already, a copy otherwise."""
    if x.dtype is dtype or x.dtype == dtype or (x.dtype.kind == "c" and _complex_allowed.get()):
        return x
    with np.errstate(over="ignore"):  # what is too large for float32 is inf there
        return x.astype(dtype)


def floating(x: Array) -> Array:
    """Return ``x`` as floating-point numbers: itself if it is, integers and booleans in the default dtype."""
    return x if x.dtype.kind in "fc" else x.astype(_default_dtype)


@contextlib.contextmanager
def complex_path() -> Generator[None]:
    """Let complex numbers through the checks above, so that a gradient can be measured by a complex step."""
    token = _complex_allowed.set(True)
    try:
        yield
    finally:
        _complex_allowed.reset(token)


@contextlib.contextmanager
def any_gradient_shape() -> Generator[None]:
    """Let a ``backward`` return gradients of any shape, so that they can be looked at."""
    token = _any_gradient_shape.set(True)
    try:
        yield
    finally:
        _any_gradient_shape.reset(token)
