"""Laws of dtypes: nothing is promoted in silence."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from tinynn.testing.laws.bench import Bench
from tinynn.testing.laws.comparison import close
from tinynn.testing.laws.excuses import not_random
from tinynn.testing.laws.law import demand, law
from tinynn.testing.laws.layer_case import LayerCase

ROUNDING = 1e-4


@law("Python's numbers keep float32, NumPy's do not: `math.sqrt(2)`, not `np.sqrt(2)`; `np.zeros_like(x)`")
def float32_is_kept(case: LayerCase) -> None:
    """From float32 come outputs and gradients in float32."""
    _kept(case, np.float32)


@law("make no array of a fixed dtype: `np.zeros_like(x)`, or `np.zeros(shape, x.dtype)`")
def float64_is_kept(case: LayerCase) -> None:
    """From float64 come outputs and gradients in float64."""
    _kept(case, np.float64)


def _kept(case: LayerCase, dtype: Any) -> None:
    bench = case.bench(dtype)
    results = bench.run()
    wide = tuple(None if grad is None else grad.astype(np.float64) for grad in bench.grads)
    results |= {f"{name}, with grad in float64,": value for name, value in bench.run(grads=wide).items()}
    for name, value in results.items():
        if value.dtype.kind == "f":
            demand(value.dtype == dtype, f"from {np.dtype(dtype)}, {name} comes in {value.dtype}")


@law("look for numbers that are large beside their differences, and for an eps that float32 does not see", not_random)
def float32_is_float64_but_for_rounding(case: LayerCase) -> None:
    """In float32 all results are those of float64, up to 1e-4."""
    narrow = case.bench(np.float32)
    inputs = tuple(x.astype(np.float64) if x.dtype.kind == "f" else x for x in narrow.inputs)
    grads = tuple(None if grad is None else grad.astype(np.float64) for grad in narrow.grads)
    wide = Bench(copy.deepcopy(narrow.layer).astype(np.float64), inputs, grads)
    close(narrow.run(), wide.run(), "in float32", ROUNDING)
