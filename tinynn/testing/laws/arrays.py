"""Laws of arrays: what comes in is not written to, nor is what was handed out, and its layout makes no difference."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinynn.testing.laws.bench import Bench
from tinynn.testing.laws.comparison import Results, close, equal
from tinynn.testing.laws.law import law
from tinynn.testing.laws.layer_case import LayerCase
from tinynn.typing import Array


def _arrays(bench: Bench) -> Results:
    inputs = {f"input {position}": x for position, x in enumerate(bench.inputs)}
    grads = {f"grad {position}": grad for position, grad in enumerate(bench.grads) if grad is not None}
    return {**inputs, **grads}


@law("make a new array: `y = x * 2`, not `x *= 2`; `grad = grad * 2`, not `grad *= 2`")
def arguments_are_not_written_to(case: LayerCase) -> None:
    """Inputs and gradients are what they were after forward and backward."""
    bench = case.bench()
    before = {name: array.copy() for name, array in _arrays(bench).items()}
    bench.run(bench.inputs, bench.grads)
    equal(_arrays(bench), before, "after forward and backward")


@law("write to no array that forward or backward was given")
def arguments_may_be_read_only(case: LayerCase) -> None:
    """Arrays that cannot be written to give the same."""
    bench = case.bench()
    expected = bench.run()
    for array in _arrays(bench).values():
        array.flags.writeable = False
    equal(bench.run(bench.inputs, bench.grads), expected, "with read-only arrays")


@law("save a copy where backward needs an array that was handed out, and do not assign forward by hand")
def outputs_belong_to_the_caller(case: LayerCase) -> None:
    """Whoever gets an output may change it before backward."""
    bench = case.bench()
    expected = bench.run()
    bench.layer.zero_grad()
    inputs = tuple(x.copy() for x in bench.inputs)
    for y in bench.forward(inputs):
        changeable = isinstance(y, np.ndarray) and y.flags.writeable and y.dtype.kind == "f"
        if changeable and not any(np.shares_memory(y, x) for x in inputs):  # an identity hands out its input
            y[...] = 1e9
    given = bench.backward()
    equal(given, {name: expected[name] for name in given}, "where the output was changed before backward")


@law("return a new array from every forward and every backward, not a buffer that is used again")
def results_are_not_written_to_later(case: LayerCase) -> None:
    """Outputs and gradients that were handed out are the same after later calls."""
    bench = case.bench()
    outputs = bench.forward()
    at_inputs = bench.layer.backward(*bench.grads)
    results = at_inputs if isinstance(at_inputs, tuple) else (at_inputs,)
    held = {f"the output {position}": np.asarray(y) for position, y in enumerate(outputs)}
    held |= {f"the gradient at input {i}": grad for i, grad in enumerate(results) if isinstance(grad, np.ndarray)}
    before = {name: array.copy() for name, array in held.items()}
    for seed in (1, 2, 3):
        bench.run(case.inputs(seed=seed), tuple(None if grad is None else 2 * grad for grad in bench.grads))
    equal(held, before, "after later calls")


def _strided(x: Array) -> Array:
    wide = np.zeros(tuple(2 * length for length in x.shape), x.dtype)
    gaps = tuple(slice(1, None, 2) for _ in x.shape)
    wide[gaps] = x
    return wide[gaps]


def _backwards(x: Array) -> Array:
    turn = tuple(slice(None, None, -1) for _ in x.shape)
    return x[turn].copy()[turn]


def _unaligned(x: Array) -> Array:
    room = np.zeros(x.nbytes + 1, np.uint8)
    view = room[1:].view(x.dtype).reshape(x.shape)
    view[...] = x
    return view


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "in Fortran's order": lambda x: np.asarray(x, order="F"),
    "with negative strides": _backwards,
    "with gaps": _strided,
    "in big-endian order": lambda x: x.astype(x.dtype.newbyteorder(">")),
    "that are not aligned": _unaligned,
    "as nested lists": lambda x: x.tolist(),
}


@law("go through the array by its axes: `x.reshape(...)`, not `x.ravel(order='K')` or `x.strides`")
def memory_makes_no_difference(case: LayerCase) -> None:
    """Arrays of any layout in memory give the same: transposed, strided, reversed, big-endian, nested lists."""
    bench = case.bench()
    expected = bench.run()
    for what, change in LAYOUTS.items():
        inputs = tuple(change(x) for x in bench.inputs)
        grads = tuple(change(grad) if isinstance(grad, np.ndarray) else grad for grad in bench.grads)
        close(bench.run(inputs, grads), expected, f"with arrays {what}")
