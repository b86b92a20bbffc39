"""The peak of memory in training, against the sum of what must be kept."""

from __future__ import annotations

import tracemalloc

from tests.benchmarks.cases import Case
from tests.benchmarks.contenders import build

STATES = {"SGD": 0, "SGD with momentum": 1, "Adam": 2}
"""Arrays like the parameters that an optimizer remembers."""


def must_be_kept(case: Case) -> int:
    """Return the bytes of parameters, gradients, optimizer state and saved activations.

    A linear layer saves its input, unless that is the data; a sigmoid saves its input; the loss saves the error.
    """
    parameters = sum(weight.nbytes + bias.nbytes for weight, bias in case.layers)
    widths = [*case.sizes[1:], *case.sizes[1:-1], case.sizes[-1]]  # of what sigmoids, linear layers and the loss save
    return (2 + STATES[case.optimizer]) * parameters + case.batch * sum(widths) * case.x.itemsize


def peak(contender: str, case: Case, steps: int = 3) -> int:
    """Return the peak of traced memory in bytes while a contender is built and trains, the data not counted."""
    build(contender, case)(1)  # what is computed once, imports and the data among them, is not counted
    tracemalloc.start()
    try:
        build(contender, case)(steps)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
