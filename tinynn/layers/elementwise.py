"""A nonlinearity from a function and its derivative."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from tinynn.core.arrays import cast, floating
from tinynn.core.layer import Layer
from tinynn.errors import ArgumentTypeError, ShapeError, expects
from tinynn.typing import Array

__all__ = ["Elementwise"]


class Elementwise(Layer):
    """y = σ(x) for each element, from the pair that the note writes: σ and its derivative σ'.

    Used directly, ``nn.Elementwise(np.sin, np.cos)``, or subclassed::

        class Sine(nn.Elementwise):
            function = staticmethod(np.sin)
            derivative = staticmethod(np.cos)

    Where the pair has constants, ``constants`` names them. They are attributes of the layer, and both functions take
    them after x, in this order::

        class Wave(nn.Elementwise):
            function = staticmethod(wave)  # wave(x, frequency, phase)
            derivative = staticmethod(wave_derivative)
            constants = ("frequency", "phase")

            def __init__(self, frequency=1.0, phase=0.0):
                self.frequency, self.phase = frequency, phase

    Backward:
        ∂L/∂x = σ'(x) ∂L/∂y.

    Shapes:
        x of any shape, y the same, in the dtype of x.

    Args:
        function: σ, a function of arrays, pure, and defined at module level if the layer is to be pickled.
        derivative: σ', likewise, as a function of x (not of y).

    References:
        The note, (2) and (10).
    """

    function: Callable[..., Array]
    derivative: Callable[..., Array]
    constants: ClassVar[tuple[str, ...]] = ()

    @override
    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        pair = [name for name in ("function", "derivative") if name in vars(cls)]
        if pair and cls.__init__ is Elementwise.__init__:
            cls.__init__ = Layer.__init__  # type: ignore[method-assign, assignment]
        for name in pair if cls.constants else ():
            setattr(cls, name, _with_constants(getattr(cls, name), cls.constants))

    def __init__(
        self, function: Callable[[Any], Any] | None = None, derivative: Callable[[Any], Any] | None = None
    ) -> None:
        if function is None and derivative is None and hasattr(type(self), "function"):
            return  # a subclass has its own
        name = type(self).__name__
        if not callable(function) or not callable(derivative):
            what = "a function and its derivative, as in Elementwise(np.sin, np.cos)"
            raise ArgumentTypeError(expects(name, what, f"{function!r} and {derivative!r}"))
        self.function = function
        self.derivative = derivative
        self.foreign = True

    @override
    def forward(self, x: Array) -> Array:
        y = self.function(x)
        if self.foreign or y.dtype is not x.dtype:
            if x.dtype.kind in "iub":
                x = floating(x)
                y = self.function(x)
            y = self._kept("function", y, x)
        self.saved.push(x)
        return y

    @override
    def backward(self, grad: Array) -> Array:
        x = self.saved.pop()
        slope = self.derivative(x)
        if self.foreign or slope.dtype is not grad.dtype:
            return self._kept("derivative", slope, grad) * grad
        slope *= grad
        return slope

    def _kept(self, name: str, y: Any, x: Array) -> Array:
        """Return what a function made of ``x`` in the dtype of x; one number stands for all elements."""
        y = np.asarray(y)
        if y.shape not in (x.shape, ()):
            raise ShapeError(expects(self, f"{name} to keep the shape {x.shape}", y.shape))
        return cast(y, x.dtype) if y.shape == x.shape else np.full_like(x, y)

    @override
    def extra_repr(self) -> str:
        given = [vars(self)[name] for name in ("function", "derivative") if name in vars(self)]
        functions = [getattr(function, "__name__", repr(function)) for function in given]
        return ", ".join([*functions, *(f"{name}={getattr(self, name)!r}" for name in self.constants)])


def _with_constants(function: Callable[..., Any], names: tuple[str, ...]) -> Callable[..., Any]:
    """Return a method that calls ``function`` with attributes of the layer."""

    @functools.wraps(function)
    def method(self: Elementwise, x: Array) -> Any:
        return function(x, *[getattr(self, name) for name in names])

    return method
