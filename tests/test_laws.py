"""The laws of `tinynn.testing` over the whole catalogue, and what is promised of tinynn's own layers beyond them."""

from __future__ import annotations

import numpy as np
import pytest

import tinynn as nn
from tests.catalogue import COMPUTING, LAYERS, LOSSES, OPTIMIZERS, SAMPLES, missing, note_network
from tinynn.errors import ShapeError
from tinynn.testing import parametrize_with_laws
from tinynn.testing.conformance import laws_for
from tinynn.testing.laws.bench import Bench
from tinynn.testing.laws.comparison import close, equal
from tinynn.testing.laws.threads import wrong_answers

ALIKE_AT_FIRST = {nn.PReLU}
"""Layers whose parameters start at fixed numbers."""

WITH_PARAMETERS = [row for row in LAYERS if list(row.case.specimen.parameters())]

over_all = pytest.mark.parametrize("row", COMPUTING, ids=str)
over_layers = pytest.mark.parametrize("row", LAYERS, ids=str)
over_layers_with_parameters = pytest.mark.parametrize("row", WITH_PARAMETERS, ids=str)
over_losses = pytest.mark.parametrize("row", LOSSES, ids=str)
in_both_dtypes = pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])


@parametrize_with_laws([row.case for row in (*COMPUTING, *OPTIMIZERS)])
def test_the_law_holds(law):
    law()


# The catalogue


def test_every_public_layer_loss_and_optimizer_is_in_the_catalogue():
    assert missing(nn.__all__) == set()


def test_a_public_class_without_a_row_is_noticed(monkeypatch):
    monkeypatch.setattr(nn, "Cube", type("Cube", (nn.Layer,), {}), raising=False)
    monkeypatch.setattr(nn, "Adamant", type("Adamant", (nn.Optimizer,), {}), raising=False)
    assert {"Cube", "Adamant"} <= missing([*nn.__all__, "Cube", "Adamant"])


def test_the_names_of_the_rows_are_unique():
    names = [str(row) for row in (*COMPUTING, *OPTIMIZERS)]
    assert len(set(names)) == len(names)


def test_every_law_is_tried_on_some_row_and_left_out_for_a_reason_that_is_known():
    tried, reasons = set(), set()
    for row in (*COMPUTING, *OPTIMIZERS):
        for law in laws_for(row.case):
            reason = law.excuse(row.case)
            reasons.add(reason)
            tried |= set() if reason else {law}
    assert tried == {law for row in (LAYERS[0], LOSSES[0], OPTIMIZERS[0]) for law in laws_for(row.case)}
    assert {reason for reason in reasons if not reason.endswith("has no draw_parameters")} <= {
        "",
        "it cannot be called with what it returns",
        "it draws random numbers",
        "it does not take one array of numbers",
        "it has no parameters",
        "it mixes samples",
        "it remembers no array",
        "it returns an array",
        "it returns one number for all samples",
        "its mean is a weighted one",
        "its output has another shape than its input",
        "its target is integers",
    }


# Beyond the laws: what tinynn's own layers promise


@over_layers_with_parameters
@in_both_dtypes
def test_a_layer_with_parameters_casts_what_comes_in_to_its_own_dtype(row, dtype):
    bench = row.case.bench(np.float32)
    bench.layer.astype(dtype)

    def run(other):  # the numbers are exact in both dtypes
        arrays = [
            [x.astype(other) if x.dtype.kind == "f" else x for x in given] for given in (bench.inputs, bench.grads)
        ]
        return bench.run(*map(tuple, arrays))

    expected = run(dtype)
    for other in (np.float32, np.float64):
        results = run(other)
        close(results, expected, f"with arrays in {np.dtype(other)}", 1e-5)  # parts without parameters need not cast
        assert all(value.dtype == dtype for value in results.values())


@over_layers_with_parameters
def test_frozen_parameters_get_no_gradient(row):
    bench = row.case.bench()
    for parameter in list(bench.layer.parameters())[::2]:
        parameter.requires_grad = False
    for backward in (bench.layer.backward, bench.layer.backward_parameters):
        bench.layer.zero_grad()
        bench.forward()
        backward(*bench.grads)
        for parameter in bench.layer.parameters():
            assert parameter.grad.any() == parameter.requires_grad


@pytest.mark.parametrize("row", [row for row in LAYERS if row.case.inputs()[0].dtype.kind == "f"], ids=str)
def test_not_a_number_comes_out_where_it_came_in(row):
    layer, (x, *more) = row.case.layer(), row.case.inputs()
    x.reshape(-1)[0] = np.nan
    y = layer(x, *more)
    assert np.isnan(y).any()
    if not row.mixes_samples:
        assert not np.isnan(y[1:]).any()


@over_losses
def test_a_loss_of_a_batch_is_the_mean_or_the_sum_of_the_losses_of_its_rows(row):
    bench = row.case.bench()
    reduction = bench.layer.reduction
    if row.weighted and reduction == "mean":  # see tests/losses/test_classification.py
        return
    expected = bench.run()
    rows = []
    for index in range(SAMPLES):
        grads = tuple(grad[index : index + 1] for grad in bench.grads)
        rows.append(bench.run(tuple(x[index : index + 1] for x in bench.inputs), grads))
    share = 1 if reduction in {"sum", "none"} else 1 / SAMPLES
    outputs = [row["the output"] for row in rows]
    joined = np.concatenate(outputs) if reduction == "none" else np.array(share * np.sum(outputs))
    at_inputs = {name: np.concatenate([share * row[name] for row in rows]) for name in expected if name != "the output"}
    close({"the output": joined, **at_inputs}, expected, "one by one")


@over_losses
def test_a_mean_over_nothing_is_an_error_that_says_so(row):
    loss_fn = row.case.layer()
    if loss_fn.reduction in {"sum", "none"}:
        assert not np.any(loss_fn(*row.case.inputs(samples=0)))
        return
    with pytest.raises(ShapeError, match="at least one element to average over"):
        loss_fn(*row.case.inputs(samples=0))


@over_all
def test_the_repr_builds_its_like(row):
    layer, inputs = row.case.layer(), row.case.inputs()
    text = repr(layer)
    if row.is_loss:
        assert f"reduction={layer.reduction!r}" in text
    if row.evaluates:
        like = eval(text, vars(nn).copy())  # noqa: S307
        assert repr(like) == text
        like.load_state_dict(layer.state_dict())
        np.testing.assert_array_equal(like.eval()(*inputs), layer.eval()(*inputs))


@over_layers_with_parameters
def test_parameters_are_drawn_from_the_generator_alone(row):
    def differ():
        return [(value != other.state_dict()[name]).any() for name, value in first.state_dict().items()]

    first, other = row.case.layer(seed=1), row.case.layer(seed=2)
    assert all(differ()) if row.covers not in ALIKE_AT_FIRST else not any(differ())
    for parameter in first.parameters():
        parameter.data += 1
    assert all(differ())
    first.reset_parameters(rng=5)
    assert all(differ()) if row.covers not in ALIKE_AT_FIRST else not any(differ())
    other.reset_parameters(rng=np.random.default_rng(5))
    equal(first.state_dict(), other.state_dict(), "from a generator")


@over_layers_with_parameters
def test_float32_parameters_are_the_float64_ones_rounded(row):
    narrow, wide = row.case.layer(np.float32), row.case.layer(np.float64)
    state = wide.state_dict()
    rounded = {name: value.astype(np.float32) if value.dtype.kind == "f" else value for name, value in state.items()}
    equal(narrow.state_dict(), rounded, "built in float32")
    equal(wide.astype(np.float32).state_dict(), rounded, "converted to float32")


@over_layers
def test_all_modes_of_these_layers_are_alike(row):
    case = row.case
    if case.is_random or case.mixes_samples == "training":
        return
    bench = case.bench()
    expected = bench.run()
    equal(Bench(bench.layer.eval(), bench.inputs, bench.grads).run(), expected, "in evaluation mode")


def test_a_new_layer_never_reads_memory_that_nobody_has_written():
    for _ in range(50):
        for size in (2, 3, 6):
            np.full(size, 1e300)  # NumPy hands freed memory of this size out again, and 1e300 overflows float32
        nn.Linear(3, 2, dtype=np.float32)


def test_eight_threads_with_a_thousand_calls_each_get_what_one_thread_gets():
    rng = np.random.default_rng(0)
    model = note_network(rng, np.float64)
    model(rng.normal(size=(2, 3)))  # a pass that waits meanwhile
    assert wrong_answers(model, [(rng.normal(size=(samples, 3)),) for samples in (1, 2, 5)], calls=1_000) == 0
    model.backward(np.ones((2, 4)))
