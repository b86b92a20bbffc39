"""The copy of a layer on which everything is tried out: always the same state, and every array in reach."""

from __future__ import annotations

import copy
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
from typing_extensions import override

from tinynn.core.arrays import any_gradient_shape, as_array, floating
from tinynn.core.layer import Layer
from tinynn.core.loss import Loss
from tinynn.core.parameter import Parameter
from tinynn.errors import ArgumentTypeError, expects
from tinynn.testing.moving import Moving, State
from tinynn.typing import Array, ArrayLike

__all__ = ["Count", "Given", "Subject", "as_tuple", "counting", "input_name", "is_input"]

Given = dict[str, Any]
"""Where to gradient: what a ``backward`` gave, of whatever shape; None where it gave nothing."""


class Subject:
    """A copy of a layer in one dtype, held fixed: before every forward, generators and buffers are put back.

    Args:
        layer: the layer, or the loss.
        inputs: what it is called with; copied.
        dtype: float64 to compute, complex128 to take complex steps.

    Attributes:
        variables: name to live array, inputs first: changing one changes what forward sees.
        parameters: those among them.
        returned: what ``backward`` has returned last.
    """

    def __init__(self, layer: Layer, inputs: tuple[ArrayLike, ...], dtype: type[np.inexact[Any]]) -> None:
        self.layer = _copy(layer).astype(np.float64)
        arrays = _taken_in(layer, inputs)
        self.inputs: list[Any] = copy.deepcopy(arrays)
        self.moving = Moving(self.layer)
        self.start = self.moving.state()
        self.variables: dict[str, Array] = {}
        varying = self._varying()
        self.inputs = copy.deepcopy(arrays)
        for position, x in enumerate(arrays):
            if x is not None and x.dtype.kind == "f":
                self.inputs[position] = np.array(x, dtype if position in varying else np.float64, order="C")
                if position in varying:
                    self.variables[input_name(position)] = self.inputs[position]
        names_of_inputs = {input_name(position) for position in range(len(inputs))}
        self.parameters: dict[str, Parameter] = {}
        for path, parameter in self.layer.named_parameters():
            kind: Any = type(parameter)
            parameter.__class__ = type(kind.__name__, (_Lenient, kind), {"__slots__": ()})
            parameter._data = parameter.data.astype(dtype)  # below the dtype check: complex, if that is asked for
            if parameter.requires_grad:
                where = f"parameter {path}" if path in names_of_inputs else path
                self.parameters[where], self.variables[where] = parameter, parameter.data
        for buffer in self.moving.buffers:
            if buffer.dtype.kind == "f":
                buffer._data = buffer.data.astype(dtype)
        self.start = self.moving.state()

    def _varying(self) -> set[int]:
        """Return the positions of the inputs that have gradients: of a loss, those where its backward returns one."""
        if not isinstance(self.layer, Loss):
            return set(range(len(self.inputs)))
        try:
            outputs = self.forward()
            given = self._backward([np.ones_like(y) for y in outputs])
        except Exception:  # to be raised again when it is looked at
            given = ()
        self.layer.zero_grad()
        self.moving.put_back(self.start)
        return {0, *(position for position, grad in enumerate(given) if grad is not None)}

    def forward(self, state: State | None = None) -> tuple[Any, ...]:
        """Return the outputs of the layer, called in its first state or in another one."""
        if self.start:
            self.moving.put_back(self.start if state is None else state)
        self.count()
        return as_tuple(self.layer(*self.inputs))

    def count(self) -> None:
        """Count one forward."""
        count = _count.get()
        if count is not None:
            count.forwards += 1

    def outputs(self) -> Array:
        """Return a copy of all outputs in a row."""
        return np.concatenate([np.reshape(y, -1) for y in self.forward()])

    def gradients(self, grads: list[Array]) -> Given:
        """Return what ``backward`` gives at each variable for the latest forward; gradients are not zeroed before.

        Args:
            grads: the gradients at the outputs; not handed to a loss that needs none.
        """
        at_inputs = self._backward(grads)
        given: Given = dict.fromkeys(self.variables)
        given |= {input_name(position): at_input for position, at_input in enumerate(at_inputs)}
        given |= {where: parameter.read_grad().copy() for where, parameter in self.parameters.items()}
        return {where: None if given[where] is None else np.array(given[where], np.float64) for where in self.variables}

    def _backward(self, grads: list[Array]) -> tuple[Any, ...]:
        """Return what ``backward`` returns, of whatever shape, to be looked at."""
        with any_gradient_shape():
            self.returned = self.layer.backward(*(grad.copy() for grad in grads if self.layer.needs_grad))
        return as_tuple(self.returned)

    def expected(self) -> int:
        """Return how many gradients ``backward`` has to return."""
        return 1 if isinstance(self.layer, Loss) else len(self.inputs)


class _Lenient:
    """What makes a kind of parameter take in a gradient of any shape, so that it can be looked at."""

    __slots__ = ()

    @override
    def __init_subclass__(cls) -> None:
        pass  # none is made known to the kind of parameter

    def add_grad(self: Any, grad: Array) -> None:
        if np.shape(grad) == self.shape == self.read_grad().shape:
            super().add_grad(grad)  # type: ignore[misc]
        else:
            self.grad = grad

    @property
    def grad(self: Any) -> Array:
        """The gradient, for reading and for ``+=``."""
        return self.read_grad().view(_Augmented)  # type: ignore[no-any-return]

    @grad.setter
    def grad(self: Any, value: Any) -> None:
        self._grad = np.zeros(self.shape) if value is None else np.array(value)
        self._grad_is_zero = False

    def zero_grad(self: Any) -> None:
        self._grad, self._grad_is_zero = None, True


class _Augmented(np.ndarray):
    """A gradient to which ``+=`` adds what fits; what does not fit takes its place."""

    @override
    def __iadd__(self, other: Any) -> Any:
        try:
            return super().__iadd__(other)
        except ValueError:
            return np.asarray(other)


def _copy(layer: Layer) -> Layer:
    """Return a copy of the layer.

    Raises:
        ArgumentTypeError: if it cannot be copied; it names the attribute.
    """
    try:
        return copy.deepcopy(layer)
    except Exception as error:
        for _, inside in reversed(list(layer.named_layers())):  # the innermost first
            for name, value in vars(inside).items():
                try:
                    copy.deepcopy(value)
                except Exception as cause:
                    what, remedy = "attributes that can be copied", "leave it out in __getstate__"
                    raise ArgumentTypeError(expects(inside, what, f"{name}: {cause}", remedy)) from error
        raise


class Count:
    """How often forward was called on all copies together."""

    forwards = 0


_count: ContextVar[Count | None] = ContextVar("count", default=None)


@contextmanager
def counting() -> Generator[Count]:
    """A context that counts all forwards in it."""
    count = Count()
    token = _count.set(count)
    try:
        yield count
    finally:
        _count.reset(token)


def _taken_in(layer: Layer, inputs: tuple[ArrayLike, ...]) -> list[Any]:
    """Return the inputs as they reach forward: as numbers, unless a layer takes integers; a prediction in any case."""
    arrays = [None if x is None else as_array(layer, "x", x) for x in inputs]
    takes_integers = any(inside.takes_integers for _, inside in layer.named_layers())
    numbers = {0} if isinstance(layer, Loss) else set() if takes_integers else set(range(len(arrays)))
    return [floating(x) if x is not None and position in numbers else x for position, x in enumerate(arrays)]


def as_tuple(arrays: Any) -> tuple[Any, ...]:
    """Return several arrays as they are, one array as a tuple of one."""
    return tuple(arrays) if isinstance(arrays, (tuple, list)) else (arrays,)


def input_name(position: int) -> str:
    """Return what the input at a position is called in findings."""
    return f"input {position}" if position else "input"


def is_input(where: str) -> bool:
    """Whether a gradient is that at an input."""
    return where.partition(" ")[0] == "input"
