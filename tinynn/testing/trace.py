"""The ways through a forward: every operand of every NumPy function that depends on the inputs or the parameters.

To find out what a gradient lacks, forward is run again with one operand, or two, held at the values that they had:
the gradient that is measured then is the one that a ``backward`` gives which forgot this way.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from typing_extensions import override

from tinynn.core.layer import Layer
from tinynn.testing.subject import Subject, as_tuple
from tinynn.typing import Array

__all__ = ["Trace", "traced"]


class Trace:
    """The operands of one forward, counted in the order in which they are used.

    Attributes:
        values: what each operand was in the forward that is the measure.
        names: the function that it was handed to, and its position there: ``"multiply, operand 1"``.
        held: the numbers of the operands that are held at these values.
    """

    def __init__(self) -> None:
        self.values: list[Array] = []
        self.names: list[str] = []
        self.held: tuple[int, ...] = ()
        self.recording = True
        self._count = 0

    def restart(self) -> None:
        """Count from the beginning."""
        self._count = 0

    def start(self, array: Array) -> _Traced:
        """Return ``array`` as one whose uses are counted."""
        traced_array = array.view(_Traced)
        traced_array.trace = self
        return traced_array

    def operand(self, array: Array, name: str) -> Array:
        """Count one use of ``array``; return what takes its place: itself, or what it was if it is held."""
        plain = array.view(np.ndarray)
        number, self._count = self._count, self._count + 1
        if self.recording:
            self.values.append(plain.copy())
            self.names.append(name)
        held = number in self.held and self.values[number].shape == plain.shape
        return self.values[number] if held else plain

    def plain(self, item: Any, name: str) -> Any:
        """Return an argument of a function with every traced array in it counted and replaced."""
        if isinstance(item, _Traced):
            return self.operand(item, name)
        if isinstance(item, (tuple, list)):
            return type(item)(self.plain(part, name) for part in item)
        return item

    def result(self, y: Any) -> Any:
        """Return the result of a function as something that is traced on."""
        if isinstance(y, (tuple, list)):
            return type(y)(map(self.result, y))
        return self.start(np.asarray(y)) if isinstance(y, (np.ndarray, np.inexact)) else y


class _Traced(np.ndarray):
    """An array whose uses are counted, and those of all that is computed from it."""

    trace: Trace  # type: ignore[assignment]  # hides a method that nobody needs here

    @override
    def __array_finalize__(self, source: Any) -> None:
        if isinstance(source, _Traced):
            self.trace = source.trace

    @override
    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        trace = _trace_of((*inputs, *options.get("out", ())))
        given = [trace.plain(x, f"{ufunc.__name__}, operand {n}") for n, x in enumerate(inputs, start=1)]
        if "out" in options:
            options["out"] = tuple(y.view(np.ndarray) if isinstance(y, _Traced) else y for y in options["out"])
        return trace.result(getattr(ufunc, method)(*given, **options))

    @override
    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        trace = _trace_of((*args, *options.values()))
        given = [trace.plain(x, f"{function.__name__}, operand {n}") for n, x in enumerate(args, start=1)]
        out = {key: trace.plain(x, f"{function.__name__}, operand {key}") for key, x in options.items()}
        return trace.result(function(*given, **out))

    @override
    def dot(self, other: Any, out: Any = None) -> Any:  # the one method that asks neither of the above
        return np.dot(self, other)


def _trace_of(items: Any) -> Trace:
    for item in items:
        if isinstance(item, _Traced):
            return item.trace
        if isinstance(item, (tuple, list)):
            for part in item:
                if isinstance(part, _Traced):
                    return part.trace
    raise TypeError("no traced array")


class _Inside(Layer):
    """Calls a layer as another layer would: without taking its inputs in, which makes plain arrays of them."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject

    @override
    def forward(self) -> Any:
        return self.subject.layer(*self.subject.inputs)


class _TracedSubject:
    """A stand-in for a subject whose variables are traced: what the functions of `measure` need of one."""

    def __init__(self, subject: Subject, trace: Trace) -> None:
        self.subject, self.trace = subject, trace
        self.variables = subject.variables
        self._call = _Inside(subject)

    def outputs(self) -> Array:
        self.trace.restart()
        subject = self.subject
        if subject.start:
            subject.moving.put_back(subject.start)
        subject.count()
        return np.concatenate([np.asarray(part).reshape(-1) for part in as_tuple(self._call())])


@contextmanager
def traced(subject: Subject) -> Iterator[tuple[Any, Trace]]:
    """A context in which all variables of a subject are traced; yields a subject to measure, and its trace."""
    trace = Trace()
    inputs = list(subject.inputs)
    parameters = [parameter for parameter in subject.layer.parameters() if parameter.requires_grad]
    try:
        subject.inputs = [trace.start(x) if any(x is v for v in subject.variables.values()) else x for x in inputs]
        for parameter in parameters:
            parameter._data = trace.start(parameter.data)
        yield _TracedSubject(subject, trace), trace
    finally:
        subject.inputs = inputs
        for parameter in parameters:
            parameter._data = parameter.data.view(np.ndarray)
