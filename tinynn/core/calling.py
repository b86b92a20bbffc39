"""How ``forward`` and ``backward`` are called: what happens around every layer's mathematics, once for all layers.

A call by the user takes the inputs in and opens a pass; a call inside another layer is recorded there. A backward finds
the call that it undoes, and its gradient has the shape and the dtype of what that call returned.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import operator
from collections.abc import Callable
from sys import getrefcount
from threading import get_ident
from typing import Any

import numpy as np
from numpy import ndarray

from tinynn.core.anomaly import Watch, watching
from tinynn.core.arrays import as_array, floating
from tinynn.core.passes import (
    NONE,
    Call,
    Pass,
    current_pass,
    enter_pass,
    grad_enabled,
    leave_pass,
    nothing_to_undo,
    open_pass,
)
from tinynn.errors import ArgumentTypeError, DTypeError, PassError, ShapeError, expects

__all__ = ["wrap_backward", "wrap_forward"]


def wrap_forward(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a layer's ``forward`` so that each call of it becomes a `Call` in a pass."""

    @functools.wraps(function)
    def forward(self: Any, /, *inputs: Any, **options: Any) -> Any:
        run = function
        if options:
            run, inputs = _in_order(function, self, inputs, options)
        current = current_pass()
        if current is not None:
            return _inner_forward(current, run, self, inputs)
        integers = False
        for x in inputs:
            if type(x) is not ndarray or x.dtype.kind != "f":
                inputs, integers = _as_arrays(run, self, inputs)
                if integers:
                    inputs = _as_floats(self, inputs)
                break
        recording = grad_enabled()
        last = self._pass
        if last is not None and (last.waiting or last.joined) and recording:
            _empty_last(last, self)
        current = open_pass(self, recording, integers, watching())
        token = enter_pass(current)
        try:
            y = run(self, *inputs)
        except BaseException as error:
            current.empty()
            _refuse_number(error, run, self, inputs)
            raise
        finally:
            current.active = None
            leave_pass(token)
        if current.watch is not None:
            current.watch.called(current, current, inputs, y)
        if recording:
            if isinstance(y, tuple) or (type(y) is ndarray and (y.base is not None or getrefcount(y) > _ALONE)):
                y = _apart(current, inputs, y)
            try:
                current.shape, current.dtype = y.shape, y.dtype
            except AttributeError:
                current.returned(y)
            if self.foreign:
                current.took(inputs)
            current.waiting = True
            self._pass = current
        return y

    return _as_wrapper(_short_forward(function, forward) if _is_plain(function, "x") else forward)


def _short_forward(function: Callable[..., Any], forward: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``forward`` with a short cut: one array, through one of tinynn's own layers, inside a container."""

    @functools.wraps(function)
    def short(self: Any, x: Any) -> Any:
        current = current_pass()
        if current is None or current.unusual:
            return forward(self, x)
        outer = current.active
        if outer.layer is self:  # super().forward(x): the same call
            return function(self, x)
        current.active = call = Call()
        call.layer = self
        call.saved = call.last = None
        try:
            y = function(self, x)
        except BaseException as error:
            _locate(error, self, outer)
            raise
        finally:
            current.active = outer
        if current.recording:
            try:
                call.shape, call.dtype = y.shape, y.dtype
            except AttributeError:
                call.returned(y)
            if self._pass is current:
                outer.called_again(self)
            else:
                self._pass = current
            call.before = outer.last
            outer.last = call
        return y

    return short


def _inner_forward(current: Any, run: Callable[..., Any], layer: Any, inputs: tuple[Any, ...]) -> Any:
    outer = current.active
    if outer.layer is layer:  # super().forward(x): the same call
        return run(layer, *inputs)
    if outer.layer is None and current.thread != get_ident():  # a script's context, copied into another thread
        raise PassError(expects(layer, "the calls under one_pass to be made in one thread", "a call in another one"))
    if outer.layer is None:
        inputs, integers = _as_arrays(run, layer, inputs)
        current.integers = current.integers or integers
        current.watch = watching()
    if current.integers:
        inputs = _as_floats(layer, inputs)
    current.active = call = Call()
    call.layer = layer
    call.saved = call.last = None
    try:
        y = run(layer, *inputs)
    except BaseException as error:
        if outer.layer is None:
            current.empty()
            _refuse_number(error, run, layer, inputs)
        else:
            _locate(error, layer, outer)
        raise
    finally:
        current.active = outer
    if current.watch is not None:
        current.watch.called(current, call, inputs, y)
    if current.recording:
        if layer.foreign:
            call.took(inputs)
        if outer.layer is None:
            y = _apart(call, inputs, y)
        call.returned(y)
        if layer._pass is current:
            outer.called_again(layer)
        else:
            layer._pass = current
        call.before = outer.last
        outer.last = call
    return y


def wrap_backward(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a layer's ``backward`` so that it undoes the latest call of the layer in the pass that it belongs to."""
    whole = getattr(function, "__name__", "backward") == "backward"

    @functools.wraps(function)
    def backward(self: Any, /, *grads: Any, **options: Any) -> Any:
        run = function
        if options:
            run, grads = _in_order(function, self, grads, options)
        outer = current = current_pass()
        if current is not None:
            outer = current.active
            if outer.layer is self:  # super().backward(grad): the same call
                return run(self, *grads)
        if current is None or outer.layer is None:  # by the user, maybe in a script under one_pass
            return _outermost_backward(run, self, grads, whole)
        current.active = call = outer.take(self)
        try:
            grads = call.accept(grads)
            result = run(self, *grads) if current.watch is None else _watched(current, call, run, self, grads)
            if whole and self.foreign:
                call.gave(result)
            return result
        except BaseException as error:
            _locate(error, self, outer)
            raise
        finally:
            current.active = outer

    return _as_wrapper(_short_backward(function, backward) if _is_plain(function, "grad") else backward)


def _short_backward(function: Callable[..., Any], backward: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``backward`` with the same short cut as `_short_forward`."""

    @functools.wraps(function)
    def short(self: Any, grad: Any) -> Any:
        current = current_pass()
        if current is None or current.unusual:
            return backward(self, grad)
        outer = current.active
        if outer.layer is self:  # super().backward(grad): the same call
            return function(self, grad)
        call = outer.last
        if call is not None and call.layer is self:
            outer.last = call.before
        else:
            call = outer.take(self)
        current.active = call
        try:
            if type(grad) is not ndarray or grad.dtype is not call.dtype or grad.shape != call.shape:
                (grad,) = call.accept((grad,))
            return function(self, grad)
        except BaseException as error:
            _locate(error, self, outer)
            raise
        finally:
            current.active = outer

    return short


def _outermost_backward(run: Callable[..., Any], layer: Any, grads: tuple[Any, ...], whole: bool) -> Any:
    current = layer._pass
    if current is None or current.thread != get_ident():
        raise PassError(nothing_to_undo(layer))
    if layer.needs_grad and (not grads or (grads[0] is None and all(grad is None for grad in grads))):
        raise ArgumentTypeError(expects(layer, "backward(grad) with the gradient at its output", "no grad"))
    if current.waiting and current.layer is layer:
        call = current
        grads = call.accept(grads)
    else:
        holder = current.holder(layer)
        if holder is None:
            raise PassError(nothing_to_undo(layer))
        grads = holder.latest(layer).accept(grads)
        call = holder.take(layer)
    watch = watching()
    if watch is not current.watch:
        current.watch, current.unusual = watch, True
    token = enter_pass(current)
    outer, current.active = current.active, call
    try:
        if watch is not None:
            result = _watched(current, call, run, layer, grads)
        elif layer.may_overflow:
            result = _quietly(run, layer, grads)
        else:
            result = run(layer, *grads)
        if whole and layer.foreign:
            call.gave(result)
        return result
    except BaseException:
        current.empty()
        raise
    finally:
        current.active = outer
        leave_pass(token)
        if not current.joined:
            current.empty()
        elif current.last is None:
            current.repeated = NONE  # the script has gone all the way back


def _as_wrapper(wrapper: Any) -> Callable[..., Any]:
    """Mark a function as a wrapper, and give it code of its own: Python adapts code to the types that it sees."""
    wrapper.__code__ = wrapper.__code__.replace(co_name=wrapper.__name__, co_qualname=wrapper.__qualname__)
    wrapper.wrapper = wrapper
    return wrapper  # type: ignore[no-any-return]


def _is_plain(function: Callable[..., Any], name: str) -> bool:
    """Whether a method is tinynn's own, and takes one array and nothing else."""
    _, *parameters = inspect.signature(function).parameters.values()
    one = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation="Array")]
    return parameters == one and function.__module__.startswith("tinynn.")


@np.errstate(over="ignore")  # σ' of 1e20 is 0 in float32, and 1 + x² overflows on the way
def _quietly(run: Callable[..., Any], layer: Any, grads: tuple[Any, ...]) -> Any:
    return run(layer, *grads)


def _watched(current: Any, call: Call, run: Callable[..., Any], layer: Any, grads: tuple[Any, ...]) -> Any:
    """Undo a call under the eyes of `detect_anomaly`."""
    watch: Watch = current.watch
    watch.undoing(current, call)
    result = _quietly(run, layer, grads)
    watch.undone(current, call, grads, result)
    return result


def _in_order(
    function: Callable[..., Any], layer: Any, arrays: tuple[Any, ...], options: dict[str, Any]
) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Return the function with its options, which are keyword-only, bound, and the arrays in their places."""
    bound = inspect.signature(function).bind(layer, *arrays, **options)
    return functools.partial(function, **bound.kwargs) if bound.kwargs else function, bound.args[1:]


def _as_arrays(function: Callable[..., Any], layer: Any, inputs: tuple[Any, ...]) -> tuple[tuple[Any, ...], bool]:
    """Return what a user passed as arrays of real numbers, and whether there are integers or booleans among them."""
    arrays: list[Any] = []
    for position, x in enumerate(inputs):
        try:
            left_out = x is None and position and (not layer.is_loss or _parameter(function, position).default is None)
            arrays.append(x if left_out else as_array(layer, "x", x))
        except (DTypeError, ShapeError) as error:
            name = _parameter(function, position).name
            raise type(error)(str(error).replace("expects x ", f"expects {name} ", 1)) from None
    return tuple(arrays), any(x is not None and x.dtype.kind in "iub" for x in arrays)


def _parameter(function: Callable[..., Any], position: int) -> inspect.Parameter:
    """Return the parameter of ``forward`` for the input at a position."""
    _, *parameters = inspect.signature(function).parameters.values()
    return parameters[min(position, len(parameters) - 1)]


def _refuse_number(error: BaseException, function: Callable[..., Any], layer: Any, inputs: tuple[Any, ...]) -> None:
    """Raise an error that names the inputs, and the layer, if ``error`` is Python's about a wrong number of them."""
    if isinstance(error, TypeError):
        _, *parameters = inspect.signature(function).parameters.values()
        arrays = [parameter for parameter in parameters if parameter.kind is not parameter.KEYWORD_ONLY]
        try:
            inspect.Signature(arrays).bind(*inputs)
        except TypeError:
            what = " and ".join(", ".join(parameter.name for parameter in arrays).rsplit(", ", 1)) or "no input"
            actual = f"{len(inputs)} array{'s' * (len(inputs) != 1)}"
            raise ArgumentTypeError(expects(layer, what, actual)) from None


def _as_floats(layer: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the inputs with integers as floating-point numbers, unless the layer, or one inside, takes integers."""
    if layer.takes_integers or any(inside.takes_integers for _, inside in layer.named_layers()):
        return inputs
    return tuple(floating(x) if isinstance(x, ndarray) and x.dtype.kind in "iub" else x for x in inputs)


def _alone() -> int:
    y = np.empty(0)
    return getrefcount(y)


_ALONE = _alone()  # how many references there are to an array that nobody but its caller holds


def _apart(call: Call, inputs: tuple[Any, ...], y: Any) -> Any:
    """Return what a user gets for ``y``: a copy, if somebody else may hold its memory.

    That is a layer which has saved it in whatever form, or a parameter. An input that was handed through is the user's
    own already, and copied only if it was saved.
    """
    if isinstance(y, tuple):
        parts = [_apart(call, inputs, part) for part in y]
        return y if all(map(operator.is_, parts, y)) else tuple(parts)
    if not isinstance(y, ndarray):
        return y
    owner = y if y.base is None else y.base
    if any(owner is x or owner is getattr(x, "base", None) for x in inputs):
        return y.copy() if any(np.may_share_memory(y, array) for array in call.arrays()) else y
    return y.copy()


def _empty_last(last: Pass, layer: Any) -> None:
    """Empty the last pass if ``layer`` opened it: a loop that never calls backward keeps one pass, not all of them."""
    if last.layer is layer or (last.joined and any(call.layer is layer for call in last.inside())):
        last.empty()


def _locate(error: BaseException, layer: Any, outer: Call) -> None:
    """Add to an error in which layer of which container it happened."""
    with contextlib.suppress(Exception):
        before = sum(call.layer is layer for call in outer.inside())
        names = [name for name, child in outer.layer.named_children() if child is layer]
        error.add_note(f"in layer {names[min(before, len(names) - 1)]} of {type(outer.layer).__name__}")
