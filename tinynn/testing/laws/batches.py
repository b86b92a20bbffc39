"""Laws of batches: a batch is its samples, however many there are."""

from __future__ import annotations

import numpy as np

from tinynn.testing.laws.comparison import close
from tinynn.testing.laws.excuses import rows_in_evaluation, rows_in_training
from tinynn.testing.laws.law import demand, law
from tinynn.testing.laws.layer_case import LayerCase

ALONE = "work along the last axes only; if samples are meant to be mixed, say so: `mixes_samples=True`"


@law(ALONE, rows_in_training)
def a_batch_is_its_rows_in_training(case: LayerCase) -> None:
    """In training mode, samples one by one give what they give in a batch, along the first axis."""
    _rows(case, training=True)


@law(f'{ALONE}, or "training" if only there', rows_in_evaluation)
def a_batch_is_its_rows_in_evaluation(case: LayerCase) -> None:
    """In evaluation mode, samples one by one give what they give in a batch, along the first axis."""
    _rows(case, training=False)


def _rows(case: LayerCase, training: bool) -> None:
    bench = case.bench(training=training)
    expected = bench.run()
    rows = []
    for number in range(case.samples):
        inputs = tuple(x[number : number + 1] if x.shape[:1] == (case.samples,) else x for x in bench.inputs)
        grads = tuple(None if grad is None else grad[number : number + 1] for grad in bench.grads)
        rows.append(bench.run(inputs, grads))
    joined = {}
    for name, whole in expected.items():
        parts = [row[name] for row in rows]
        one_each = name not in bench.at_parameters() and whole.shape[:1] == (case.samples,)
        joined[name] = np.concatenate(parts) if one_each else np.sum(parts, axis=0)
    close(joined, expected, "one sample after the other")


@law(
    "let shapes come from `x.shape`: `x.reshape(-1, n)` and `x.max(axis=0)` fail where there is no sample",
    rows_in_evaluation,
)
def an_empty_batch_works(case: LayerCase) -> None:
    """No samples give no outputs, a gradient of the input's shape, and no gradients at parameters."""
    for training in (False,) if case.mixes_samples else (False, True):
        bench = case.bench(samples=0, training=training)
        results = bench.run()
        for name, value in results.items():
            if name not in bench.at_parameters():
                demand(value.shape[:1] == (0,), f"without samples, {name} has shape {value.shape}")
            demand(not value.any(), f"without samples, {name} is not zero")
