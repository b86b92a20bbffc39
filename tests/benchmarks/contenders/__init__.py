"""Who takes part: each contender is a function that takes a `Case` and returns its ``run``.

``run(n)`` does n steps in the way that the library's own users write them, and returns the last loss (in inference: the
last output) as something that NumPy takes, so that all can be held against each other. A contender that computes none,
because it is a limit and no network, returns None.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from tests.benchmarks.cases import Case

Run = Callable[[int], Any]

TINYNN, BACKWARD, ONE_SAMPLE = "tinynn", "tinynn, `backward`", "tinynn, a 1-D sample"
NOTE, BARE, GEMMS = "the note's listing", "bare NumPy", "GEMMs alone"
EAGER, FUSED, COMPILED = "PyTorch eager", "PyTorch eager, fused", "torch.compile"
JAX, SKLEARN = "JAX jit", "scikit-learn"

PLACES = {
    TINYNN: "framework.parameters_only",
    BACKWARD: "framework.with_input_gradient",
    ONE_SAMPLE: "framework.one_sample",
    NOTE: "plain.note",
    BARE: "plain.bare",
    GEMMS: "plain.gemms",
    EAGER: "pytorch.eager",
    FUSED: "pytorch.fused",
    COMPILED: "pytorch.compiled",
    JAX: "jax_jit.jit",
    SKLEARN: "scikit_learn.partial_fit",
}
"""The file and the function of each; a file is imported, and its library with it, only by the process that runs it."""


def for_case(case: Case) -> list[str]:
    """Return those that can do a case, the reference first."""
    if case.nonlinearity == "logistic":
        return [TINYNN, BACKWARD, SKLEARN, EAGER, JAX]
    libraries = [EAGER, COMPILED, JAX]
    if case.task == "inference":
        return [TINYNN, BARE, GEMMS, *libraries]
    single = [ONE_SAMPLE, NOTE] if case.batch == 1 and case.optimizer == "SGD" else []
    return [TINYNN, BACKWARD, *single, BARE, GEMMS, *libraries, *([FUSED] if case.optimizer == "Adam" else [])]


def build(name: str, case: Case) -> Run:
    """Import a contender and let it get ready."""
    file, _, function = PLACES[name].partition(".")
    return getattr(importlib.import_module(f"{__name__}.{file}"), function)(case)
