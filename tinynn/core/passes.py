"""Passes: where the things live that ``forward`` leaves for ``backward``.

A pass is one call by the user, the root of a tree: a `Call` for each call of a layer, with what that call saved and
with the calls that were made inside it. ``backward`` walks the tree from its end, so a layer may be called any number
of times, and what was called last is undone first. State that belongs to a call cannot be mixed up with that of
another call, which state that belongs to a layer is bound to be.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Generator, Iterator
from contextvars import ContextVar
from threading import get_ident
from typing import Any

import numpy as np
from numpy import ndarray
from typing_extensions import override

from tinynn.core.arrays import any_gradient_shape_allowed, as_array, cast, floating
from tinynn.errors import ArgumentTypeError, DTypeError, PassError, ShapeError, expects
from tinynn.typing import Array

NONE: frozenset[int] = frozenset()

__all__ = [
    "NONE",
    "Call",
    "Pass",
    "Saved",
    "current_pass",
    "enter_pass",
    "grad_enabled",
    "leave_pass",
    "no_grad",
    "no_pass",
    "nothing_to_undo",
    "one_pass",
    "open_pass",
]


class Call:
    """One call of one layer.

    Attributes:
        layer: the layer that was called; None for the user's script, the root of a pass.
        saved: what its forward pushed and its backward has not popped yet, as (latest, (the one before, ...)).
        last: the latest call made inside it that is not undone yet.
        before: the call that was made before this one, inside the same call.
        shape: that of its output; None where it returned a tuple.
        dtype: that of its output.
        output: (shape, dtype) for each of several outputs.
        inputs: the shapes of its floating inputs, None for others; only for layers that are not tinynn's own.
        prints: fingerprints of what its backward relies on, taken by `detect_anomaly` alone.
        judged: the fingerprints of its inputs, likewise, where the layer is a loss.
        result: the fingerprint of the output, likewise.
        repeated: the ids of the layers that were called in it more than once; unset where there are none.
    """

    __slots__ = (
        "before",
        "dtype",
        "inputs",
        "judged",
        "last",
        "layer",
        "output",
        "prints",
        "repeated",
        "result",
        "saved",
        "shape",
    )

    layer: Any
    saved: tuple[Any, Any] | None
    last: Call | None
    before: Call | None
    shape: tuple[int, ...] | None
    dtype: np.dtype[Any] | None
    output: tuple[tuple[tuple[int, ...] | None, np.dtype[Any] | None], ...]
    inputs: tuple[tuple[int, ...] | None, ...]
    judged: tuple[int, ...]
    prints: list[tuple[str, Array, int]]
    result: int | None
    repeated: frozenset[int]

    def inside(self) -> Iterator[Call]:
        """Yield the calls inside that are not undone yet, the latest first."""
        call = self.last
        while call is not None:
            yield call
            call = call.before

    def own_arrays(self) -> Iterator[Array]:
        """Yield the arrays that were saved in this call itself."""
        saved = self.saved
        while saved is not None:
            item, saved = saved
            yield from _arrays_in(item)

    def arrays(self) -> Iterator[Array]:
        """Yield the arrays that were saved in this call and inside it."""
        yield from self.own_arrays()
        for call in self.inside():
            yield from call.arrays()

    def took(self, inputs: tuple[Any, ...]) -> None:
        """Remember the shapes of the inputs, to hold the gradients against that backward returns."""
        self.inputs = tuple(x.shape if isinstance(x, ndarray) and x.dtype.kind == "f" else None for x in inputs)

    def gave(self, result: Any) -> None:
        """Refuse what a backward has returned if it cannot be the gradients at the inputs."""
        results = result if isinstance(result, tuple) else (result,)
        shapes = getattr(self, "inputs", None)
        if shapes is None or any_gradient_shape_allowed():  # an inherited forward; tests that look for mistakes
            return
        count = len(shapes)
        if len(results) > count or (len(results) < count and not self.layer.is_loss):
            what = f"backward to return {count} gradients, one for each input"
            raise ShapeError(expects(self.layer, what, len(results)))
        for shape, grad in zip(shapes, results, strict=False):
            if shape is None or (grad is None and count > 1):
                continue
            if np.shape(grad) != shape or grad is None:
                what = f"backward to return a gradient of shape {shape}, that of its input"
                raise ShapeError(expects(self.layer, what, "None" if grad is None else np.shape(grad)))

    def returned(self, y: Any) -> None:
        """Remember the form of ``y``, what the call has returned."""
        try:
            self.shape, self.dtype = y.shape, y.dtype
        except AttributeError:
            try:
                arrays = [as_array(self.layer, "y", part) for part in (y if isinstance(y, tuple) else (y,))]
            except (DTypeError, ShapeError):
                what = "forward to return an array, or a tuple of arrays"
                raise DTypeError(expects(self.layer, what, f"a {type(y).__name__}")) from None
            self.output = tuple((array.shape, array.dtype) for array in arrays)
            self.shape, self.dtype = (None, None) if isinstance(y, tuple) else self.output[0]

    def take(self, layer: Any) -> Call:
        """Remove and return the latest call of ``layer`` inside this one.

        Raises:
            PassError: if there is none, or if there were several and something that was called later is not undone yet:
                which one is meant cannot be told then.
        """
        call = self.last
        if call is not None and call.layer is layer:
            self.last = call.before
            return call
        for later in self.inside():
            call = later.before
            if call is not None and call.layer is layer:
                break
        else:
            raise PassError(nothing_to_undo(layer))
        if id(layer) in getattr(self, "repeated", NONE):
            what = f"the {type(later.layer).__name__} called after it to be undone first (it was called more than once)"
            remedy = "call backward in the reverse order of forward"
            raise PassError(expects(layer, what, "its own backward", remedy))
        later.before = call.before
        return call

    def called_again(self, layer: Any) -> None:
        """Take down a layer that has taken part in the pass before, if that was inside this very call."""
        known = getattr(self, "repeated", NONE)
        if id(layer) not in known and any(call.layer is layer for call in self.inside()):
            self.repeated = known | {id(layer)}

    def holder(self, layer: Any) -> Call | None:
        """Return the call, this one or one inside it, in which ``layer`` was called last."""
        for call in self.inside():
            found = self if call.layer is layer else call.holder(layer)
            if found is not None:
                return found
        return None

    def latest(self, layer: Any) -> Call:
        """Return the latest call of ``layer`` inside this one, leaving it there."""
        return next(call for call in self.inside() if call.layer is layer)

    def accept(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the gradients at the outputs as arrays of the outputs' dtypes, their shapes checked.

        None, which is what there is at integers, stays None.
        """
        if not grads:
            return grads
        grad = grads[0]
        if len(grads) == 1 and type(grad) is ndarray and grad.dtype is self.dtype and grad.shape == self.shape:
            return grads
        output = ((self.shape, self.dtype),) if self.shape is not None else self.output
        if len(grads) != len(output):
            what = "one gradient" if len(output) == 1 else f"{len(output)} gradients, one for each output"
            of_a_loss = isinstance(grad, tuple) or len(grads) > len(output) > 1
            remedy = "write model.backward(*loss_fn.gradients())" if of_a_loss else ""
            raise ShapeError(expects(self.layer, what, len(grads), remedy))
        return tuple(
            grad if grad is None else _accept(self.layer, grad, *form) for grad, form in zip(grads, output, strict=True)
        )


def _arrays_in(item: Any) -> Iterator[Array]:
    if isinstance(item, ndarray):
        yield item
    elif isinstance(item, (tuple, list, dict)):
        for part in item.values() if isinstance(item, dict) else item:
            yield from _arrays_in(part)


def _accept(layer: Any, grad: Any, shape: Any, dtype: Any) -> Array:
    array = as_array(layer, "grad", grad)
    if array.shape != shape:
        remedy = "write model.backward(loss_fn.backward())" if array.shape == () and not layer.is_loss else ""
        raise ShapeError(expects(layer, f"grad of shape {shape}, that of its output", array.shape, remedy))
    return cast(array, dtype) if dtype.kind == "f" else floating(array)


class Pass(Call):
    """The outermost call, by the user, with everything that it left for its backward.

    Under `one_pass` it stands for the user's script: its layer is None, and the outermost calls are those inside it.

    Attributes:
        active: the call that is running now; None while none is. Under `one_pass` the script runs meanwhile.
        integers: whether integers came in, which some layer may have to convert.
        joined: whether it stands for a script, in which several outermost calls may be made.
        recording: whether calls are kept; false under `no_grad`.
        thread: the thread that it belongs to.
        unusual: whether there is more to do at a call inside than to record it.
        waiting: whether it can be undone.
        watch: what looks at every call under `detect_anomaly`.
    """

    __slots__ = ("active", "integers", "joined", "recording", "thread", "unusual", "waiting", "watch")

    active: Any
    integers: bool
    joined: bool
    recording: bool
    thread: int
    unusual: bool
    waiting: bool
    watch: Any

    def empty(self) -> None:
        """Let go of everything that was saved, and of the layer, which holds the pass."""
        self.saved = self.last = self.layer = None
        self.waiting = False

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        return type(None), ()  # a pass is never copied or pickled: the copy of a layer has nothing to undo


def open_pass(layer: Any, recording: bool, integers: bool = False, watch: Any = None) -> Pass:
    """Return a new pass; a function, not a constructor, which takes twice the time."""
    new = Pass()
    new.active = new
    new.layer = layer
    new.saved = new.last = None
    new.integers = integers
    new.joined = joined = layer is None
    new.recording = recording
    new.thread = get_ident()
    new.unusual = integers or joined or watch is not None
    new.waiting = False
    new.watch = watch
    return new


_current: ContextVar[Pass | None] = ContextVar("current_pass", default=None)
_grad_enabled: ContextVar[bool] = ContextVar("grad_enabled", default=True)

current_pass: Callable[[], Any] = _current.get
enter_pass = _current.set
leave_pass = _current.reset
grad_enabled = _grad_enabled.get


class Saved:
    """The hand-over from ``forward`` to ``backward``: ``self.saved.push(x)`` here, ``x = self.saved.pop()`` there."""

    __slots__ = ()

    def push(self, item: Any) -> None:
        """Keep one item (a tuple for several) for the backward of this very call."""
        try:
            call = current_pass().active
        except AttributeError:
            what = "to be called in the forward of a layer"
            raise PassError(expects("saved.push", what, "a call outside of any")) from None
        call.saved = (item, call.saved)

    def pop(self) -> Any:
        """Return the latest item that the forward of the call that is being undone has pushed."""
        try:
            call = current_pass().active
        except AttributeError:
            what = "to be called in the backward of a layer"
            raise PassError(expects("saved.pop", what, "a call outside of any")) from None
        if call.saved is None:
            raise PassError(expects(call.layer, "its backward to pop what its forward pushed", "one pop more"))
        item, call.saved = call.saved
        return item


_suspended: ContextVar[Any] = ContextVar("suspended", default=None)  # what each no_grad inside another one puts back
_RUN_LATER = (inspect.isgeneratorfunction, inspect.iscoroutinefunction, inspect.isasyncgenfunction)


class no_grad(contextlib.ContextDecorator):
    """A context, or a decorator, in which forward keeps nothing for backward.

    What waits for its backward is left alone. Layers in eval mode may be called from several threads at once.

    Example:
        >>> model = nn.Linear(3, 2)
        >>> with nn.no_grad():
        ...     prediction = model(np.ones((5, 3)))
    """

    def __new__(cls, function: Any = None) -> Any:
        context = super().__new__(cls)
        return context if function is None else context(function)  # @no_grad, without parentheses

    @override
    def __call__(self, function: Any) -> Any:
        if not callable(function) or isinstance(function, type) or any(kind(function) for kind in _RUN_LATER):
            what = "a function to decorate that runs when it is called"
            raise ArgumentTypeError(expects("no_grad", what, repr(function), "write `with nn.no_grad():` inside it"))
        return super().__call__(function)

    def __enter__(self) -> None:
        current = current_pass()
        recording = current is not None and current.recording
        _suspended.set((grad_enabled(), current, recording, _suspended.get()))
        _grad_enabled.set(False)
        if current is not None:
            current.recording = False

    def __exit__(self, *exception: object) -> None:
        enabled, current, recording, outside = _suspended.get()
        _suspended.set(outside)
        _grad_enabled.set(enabled)
        if current is not None:
            current.recording = recording


@contextlib.contextmanager
def one_pass() -> Generator[None]:
    """A context that joins the calls made in it into one pass, as if one layer had made them.

    For a model written as a plain script: two towers of one encoder, a recurrence. Their backwards, inside the context
    or after it, undo the calls one by one, the last one first.

    Example:
        >>> tower = nn.Linear(3, 2)
        >>> with nn.one_pass():
        ...     left, right = tower(np.ones((5, 3))), tower(np.zeros((5, 3)))
        >>> at_right = tower.backward(right)
        >>> at_left = tower.backward(left)
    """
    if current_pass() is not None:
        yield
        return
    joined = open_pass(None, grad_enabled())
    token = enter_pass(joined)
    try:
        yield
    except BaseException:
        joined.empty()
        raise
    finally:
        joined.active = None
        leave_pass(token)


@contextlib.contextmanager
def no_pass() -> Generator[None]:
    """A context that is outside of any pass, and of `no_grad`, wherever it stands."""
    pass_token, grad_token = enter_pass(None), _grad_enabled.set(True)
    try:
        yield
    finally:
        leave_pass(pass_token)
        _grad_enabled.reset(grad_token)


def nothing_to_undo(layer: Any) -> str:
    """Return the sentence for a backward without a forward."""
    remedy = "call backward once after each forward, in the same thread, and not under no_grad"
    return expects(layer, "a forward to undo", "a backward without one", remedy)
