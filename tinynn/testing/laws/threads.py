"""The law of threads: without gradients, in evaluation mode, a layer serves several at once."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import starmap
from typing import Any

import numpy as np

from tinynn.core.layer import Layer
from tinynn.core.passes import no_grad
from tinynn.testing.laws.law import demand, law
from tinynn.testing.laws.layer_case import LayerCase
from tinynn.testing.subject import as_tuple

__all__ = ["wrong_answers"]

THREADS, CALLS = 8, 40


@law("keep nothing on self in forward: in evaluation mode a forward is a function of its inputs alone")
def threads_do_not_meet(case: LayerCase) -> None:
    """Under `no_grad`, in evaluation mode, several threads get what one thread gets."""
    batches = [case.inputs(seed=samples, samples=samples) for samples in (1, 2, 5)]
    wrong = wrong_answers(case.layer(training=False), batches, CALLS)
    demand(not wrong, f"{wrong} of {THREADS * CALLS} calls from {THREADS} threads got another answer")


def wrong_answers(layer: Layer, batches: list[Any], calls: int) -> int:
    """Return how many answers differ where several threads call a layer at once, each so many times."""
    with no_grad():
        expected = list(starmap(layer, batches))
    start = threading.Barrier(THREADS)

    def work(thread: int) -> int:
        start.wait()
        wrong = 0
        with no_grad():
            for call in range(calls):
                which = (thread + call) % len(batches)
                try:
                    answer = as_tuple(layer(*batches[which]))
                except Exception:  # the arrays of two threads met, and do not fit
                    answer = ()
                pairs = zip(answer, as_tuple(expected[which]), strict=False)
                wrong += not answer or not all(np.array_equal(*pair) for pair in pairs)
        return wrong

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            return sum(pool.map(work, range(THREADS)))
    finally:
        sys.setswitchinterval(interval)
