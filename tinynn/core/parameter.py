"""Arrays that belong to a layer: parameters, which are trained, and buffers, which are not."""

from __future__ import annotations

from collections.abc import Iterable
from sys import getrefcount
from typing import Any, NoReturn
from weakref import ref

import numpy as np
from typing_extensions import override

from tinynn.core.arguments import boolean
from tinynn.core.arrays import as_array, as_dtype, cast, get_default_dtype
from tinynn.errors import ArgumentTypeError, DTypeError, ShapeError, expects
from tinynn.typing import Array, ArrayLike, DTypeLike, Shape

__all__ = ["Buffer", "Parameter", "StateArray", "zero_grads"]


def _no_arithmetic(self: StateArray, other: object) -> NoReturn:
    """Refuse arithmetic with the parameter itself, which would lose it: ``self.weight *= 2`` would leave an array."""
    raise ArgumentTypeError(expects(self, "arithmetic with its array", "arithmetic with itself", "write .data"))


class StateArray:
    """An array with a fixed place: assigning to ``data`` copies into it, so whoever holds it stays up to date."""

    __slots__ = ("__weakref__", "_data", "shape")

    __add__ = __radd__ = __iadd__ = __sub__ = __rsub__ = __isub__ = _no_arithmetic
    __mul__ = __rmul__ = __imul__ = __truediv__ = __rtruediv__ = __itruediv__ = _no_arithmetic
    __matmul__ = __rmatmul__ = __imatmul__ = __pow__ = __rpow__ = __ipow__ = _no_arithmetic

    __array_ufunc__ = None  # or NumPy would turn `self.weight -= x` into an array, and the parameter would be lost

    def __init__(self, data: Array) -> None:
        self._data = data
        self.shape: Shape = data.shape

    @property
    def data(self) -> Array:
        """The live array. What is assigned is copied in and must have the same shape."""
        return self._data

    @data.setter
    def data(self, value: ArrayLike) -> None:
        if value is not self._data:
            np.copyto(self._data, self.fit("data", value))

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The dtype of ``data``."""
        return self._data.dtype

    @property
    def size(self) -> int:
        """The number of elements of ``data``."""
        return self._data.size

    @property
    def ndim(self) -> int:
        """The number of axes of ``data``."""
        return self._data.ndim

    def fit(self, name: str, value: ArrayLike) -> Array:
        """Return ``value`` as an array that can be copied into one like ``data``, changing nothing.

        Raises:
            ShapeError: if the shape differs.
            DTypeError: for anything but real numbers, and for floating-point numbers where ``data`` holds integers.
        """
        array = as_array(self, name, value.data if isinstance(value, StateArray) else value)
        if array.shape != self.shape:
            raise ShapeError(expects(self, f"{name} of shape {self.shape}", array.shape))
        if array.dtype.kind == "f" and self._data.dtype.kind != "f":
            raise DTypeError(expects(self, f"{name} of dtype {self._data.dtype}", array.dtype))
        return cast(array, self._data.dtype)

    @override
    def __getstate__(self) -> dict[str, Any]:
        return {"data": self._data}

    def __setstate__(self, state: dict[str, Any]) -> None:
        StateArray.__init__(self, np.array(state["data"]))

    def astype(self, dtype: DTypeLike) -> None:
        """Replace ``data`` by an array of another floating dtype; integers stay as they are."""
        new = as_dtype(type(self).__name__, dtype)
        if self._data.dtype.kind == "f":
            self._data = cast(self._data, new)

    @override
    def __repr__(self) -> str:
        return f"{type(self).__name__}(shape={self._data.shape}, dtype={self._data.dtype})"


class Buffer(StateArray):
    """An array that belongs to the state of a layer but is not trained: a running mean, a count.

    Args:
        data: the start; copied, its dtype kept where it is float32, float64, an integer or a boolean.
    """

    __slots__ = ()

    def __init__(self, data: ArrayLike) -> None:
        array = as_array("Buffer", "data", data)
        native = array.dtype.newbyteorder("=")
        keep = native.kind in "iub" or native in (np.float32, np.float64)
        super().__init__(np.array(array, dtype=native if keep else get_default_dtype(), order="C"))


class Parameter(StateArray):
    """An array that is trained, with the gradient of the loss beside it.

    A fresh gradient counts as zero without being written: the first `add_grad` overwrites it, later ones add. Who
    reads ``grad`` gets a real array of zeros, and from then on it is cleared by filling it.

    Args:
        data: the start; copied. Integers take the default dtype.
        requires_grad: whether layers add to its gradient and optimizers update it.
        dtype: float32 or float64; by default that of ``data``, or the default dtype where it has neither.
    """

    __slots__ = ("_grad", "_grad_home", "_grad_is_zero", "_grad_seen", "requires_grad")

    def __init__(self, data: ArrayLike, requires_grad: bool = True, *, dtype: DTypeLike | None = None) -> None:
        array = as_array("Parameter", "data", data.data if isinstance(data, StateArray) else data)
        native = array.dtype.newbyteorder("=")
        if dtype is None:
            dtype = native if native in (np.float32, np.float64) else get_default_dtype()
        super().__init__(np.array(array, dtype=as_dtype("Parameter", dtype), order="C"))
        self.requires_grad = boolean("Parameter", "requires_grad", requires_grad)
        self._drop_grad()

    def _drop_grad(self) -> None:
        self._grad: Array | None = None
        self._grad_is_zero = True  # whatever _grad holds
        self._grad_seen = False  # whether a user may hold _grad
        self._grad_home: ref[object] | None = None  # who put _grad where it is, next to others

    @override
    def __getstate__(self) -> dict[str, Any]:
        grad = None if self._grad_is_zero else self._grad
        return {"data": self._data, "grad": grad, "requires_grad": self.requires_grad}

    @override
    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.requires_grad = state["requires_grad"]
        self._drop_grad()
        self._grad = None if state["grad"] is None else np.array(state["grad"])
        self._grad_is_zero = self._grad is None

    @property
    def grad(self) -> Array:
        """The live gradient, of the shape and dtype of ``data``. Assigning copies in; None makes it zero."""
        self._grad_seen = True
        return self.read_grad()

    @grad.setter
    def grad(self, value: ArrayLike | None) -> None:
        if value is None:
            self.zero_grad()
        elif value is not self._grad:
            new = self.fit("grad", value)
            np.copyto(self._room(), new)
            self._grad_is_zero = False

    def _room(self) -> Array:
        """Return the array that holds the gradient, whatever is in it."""
        if self._grad is None:
            self._grad = np.empty_like(self._data)
        return self._grad

    def read_grad(self) -> Array:
        """Return the gradient for reading at once: unlike ``grad`` it may be overwritten after the next `zero_grad`."""
        grad = self._room()
        if self._grad_is_zero:
            grad.fill(0)
            self._grad_is_zero = False
        return grad

    def add_grad(self, grad: Array) -> None:
        """Add ``grad``, of the shape of ``data``, to the gradient: what a layer's ``backward`` does.

        Raises:
            ShapeError: if the shapes differ; nothing is broadcast.
        """
        if grad.shape != self.shape:
            raise ShapeError(expects(self, f"a gradient of shape {self._data.shape}", grad.shape))
        if not self._grad_is_zero:
            self._grad += grad
            return
        if self._grad is None:
            self._grad = np.empty_like(self._data)
        self._grad[...] = grad
        self._grad_is_zero = False

    def add_product(self, left: Array, right: Array) -> None:
        """Add ``left @ right``, of the shape of ``data``, to the gradient: ``add_grad(left @ right)`` without a copy.

        Raises:
            ShapeError: if the shapes do not fit.
        """
        if self._grad_is_zero:
            if self._grad is None:
                self._grad = np.empty_like(self._data)
            try:
                left.dot(right, self._grad)
                self._grad_is_zero = False
                return
            except ValueError:  # of another dtype, or of a wrong shape
                pass
        self.add_grad(left.dot(right))

    def add_rows(self, rows: Array, grad: Array) -> None:
        """Add ``grad[i]`` to row ``rows[i]`` of the gradient for every i, and leave the other rows alone.

        Args:
            rows: indices from 0, (n,); what comes more than once is added up.
            grad: a row for each of them, (n, ...).

        Raises:
            ShapeError: if the shapes do not fit.
        """
        shape = (*rows.shape, *self.shape[1:])
        if rows.ndim != 1 or grad.shape != shape:
            raise ShapeError(expects(self, f"gradients of shape {shape}, one for each row", grad.shape))
        length = self.size // len(self._data)
        elements = rows.astype(np.intp)[:, np.newaxis] * length + np.arange(length)
        np.add.at(self.read_grad().reshape(-1), elements.reshape(-1), grad.reshape(-1))  # faster than row by row

    def zero_grad(self) -> None:
        """Make the gradient zero."""
        self._grad_is_zero = True
        if self._grad_seen:
            self.read_grad()  # whoever holds it sees zeros, and may write to it

    def grad_can_move(self) -> bool:
        """Whether nobody relies on where the gradient is: no user, and no optimizer that has it in a row of its own."""
        return not self._grad_seen and (self._grad_home is None or self._grad_home() is None)

    def move_grad(self, place: Array, home: object) -> None:
        """Make ``place`` the array of the gradient, with the values that it has, for as long as ``home`` lives."""
        if self._grad is not None and not self._grad_is_zero:
            np.copyto(place, self._grad)
        self._grad = place
        self._grad_home = ref(home)

    def data_can_move(self) -> bool:
        """Whether nobody but the parameter holds the array of the data, or a view of it."""
        return self._data.base is None and getrefcount(self._data) == _ALONE

    def move_data(self, place: Array) -> None:
        """Make ``place`` the array of the data, with the values that it has. Done once at most."""
        np.copyto(place, self._data)
        self._data = place

    @override
    def astype(self, dtype: DTypeLike) -> None:
        old = self._data
        super().astype(dtype)
        if self._data is not old:
            grad = None if self._grad_is_zero else self._grad
            self._drop_grad()
            self.grad = grad


_lonely = Parameter(np.zeros(()))
_ALONE = getrefcount(_lonely._data)  # references to an array that nobody but a parameter holds, as seen from here


def zero_grads(parameters: Iterable[Parameter]) -> None:
    """Make the gradients of all of them zero: `Parameter.zero_grad` for each, without the calls."""
    for parameter in parameters:
        parameter._grad_is_zero = True
        if parameter._grad_seen:
            parameter.read_grad()
