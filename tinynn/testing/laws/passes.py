"""Laws of passes: a backward undoes one forward, the latest, and nothing is kept longer than for that."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from functools import partial

import numpy as np

from tinynn.core.passes import no_grad
from tinynn.errors import PassError, ShapeError
from tinynn.testing.laws.comparison import equal
from tinynn.testing.laws.law import demand, law, raises
from tinynn.testing.laws.layer_case import LayerCase
from tinynn.typing import Array

FORWARDS, SAMPLES, ROOM = 30, 1000, 100_000


@law("keep what backward needs with `self.saved.push(...)`, not on self; do not assign forward or backward by hand")
def backward_needs_a_forward(case: LayerCase) -> None:
    """A backward without a forward is a `PassError`, before the first one and after the last, and changes nothing."""
    bench = case.bench()
    raises(PassError, partial(bench.layer.backward, *bench.grads), "a backward before any forward")
    bench.run()
    before = bench.at_parameters()
    raises(PassError, partial(bench.layer.backward, *bench.grads), "a second backward after one forward")
    equal(bench.at_parameters(), before, "after a backward that was refused")


@law("do not assign forward or backward by hand: what a class defines is checked by tinynn")
def a_wrong_grad_is_refused(case: LayerCase) -> None:
    """A gradient of another shape than the output is a `ShapeError`, and the right one still works after it."""
    bench = case.bench()
    expected = bench.run()
    bench.layer.zero_grad()
    bench.forward()
    shape = case.shapes[0]
    longer = (*shape[:-1], shape[-1] + 1) if shape else (1, 1)
    for wrong in ((*shape, 1), (1, *shape), longer):
        grads = (np.ones(wrong), *bench.grads[1:])
        what = f"a grad of shape {wrong}, where the output has {shape},"
        raises(ShapeError, partial(bench.layer.backward, *grads), what)
    given = bench.backward()
    equal(given, {name: expected[name] for name in given}, "after a wrong grad")


@law("keep what backward needs with `self.saved.push(...)`, not on self")
def no_grad_leaves_what_waits_alone(case: LayerCase) -> None:
    """A forward under `no_grad` does not change what a waiting backward gives."""
    bench = case.bench()
    expected = bench.run()
    bench.layer.zero_grad()
    bench.forward()
    with no_grad():
        bench.forward(case.inputs(seed=9, samples=case.samples + 1))
    given = bench.backward()
    equal(given, {name: expected[name] for name in given}, "after a forward under no_grad")


@law("keep nothing on self in forward, no list and no cache: `self.saved.push(...)` lets go by itself")
def one_pass_is_kept(case: LayerCase) -> None:
    """Forwards that no backward follows leave one pass behind them, not all of them."""
    layer = case.layer()
    references: list[list[weakref.ref[Array]]] = []

    def memory_after(forwards: int) -> int:
        for _ in range(forwards):
            inputs = case.inputs(seed=len(references), samples=SAMPLES)
            references.append([weakref.ref(x) for x in inputs])
            layer(*inputs)
        del inputs
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before

    gc.collect()
    tracing = tracemalloc.is_tracing()  # by the caller, who goes on with it
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        one, many = memory_after(1), memory_after(FORWARDS)
    finally:
        if not tracing:
            tracemalloc.stop()
    alive = sum(any(reference() is not None for reference in one_call) for one_call in references[:-1])
    demand(alive == 0, f"after {FORWARDS + 1} forwards, the inputs of {alive} earlier ones are still held")
    grown = f"{FORWARDS} more forwards hold {(many - one) / 1e6:.1f} MB more, where one holds {one / 1e6:.1f} MB"
    demand(many <= 1.5 * one + ROOM, grown)


@law("keep what backward needs with `self.saved.push(...)`, not on self: it is let go after backward")
def nothing_is_kept_after_backward(case: LayerCase) -> None:
    """After backward, and after a forward under `no_grad`, the layer holds on to nothing that it was called with."""
    for when in ("backward", "a forward under no_grad"):
        bench = case.bench()
        references = [weakref.ref(x) for x in bench.inputs]
        if when == "backward":
            bench.run(bench.inputs)
        else:
            with no_grad():
                bench.forward(bench.inputs)
        bench.inputs = ()
        gc.collect()
        held = sum(reference() is not None for reference in references)
        demand(held == 0, f"after {when}, {held} of {len(references)} inputs are still held")
