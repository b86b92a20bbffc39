"""Laws that hold for every public layer, loss and optimizer: each test runs over the whole catalogue."""

from __future__ import annotations

import copy
import gc
import pickle
import sys
import threading
import tracemalloc
import weakref
from concurrent.futures import ThreadPoolExecutor
from itertools import starmap

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinynn as nn
from tests.catalogue import COMPUTING, LAYERS, OPTIMIZERS, SAMPLES, missing, note_network
from tinynn.errors import PassError, ShapeError
from tinynn.testing import check_gradients

DTYPES = [np.float64, np.float32]
WITH_PARAMETERS = [row for row in LAYERS if list(row.make(np.random.default_rng(0), np.float64).parameters())]
fixed = settings(derandomize=True, database=None, deadline=None, max_examples=40)

over_all = pytest.mark.parametrize("row", COMPUTING, ids=str)
over_layers = pytest.mark.parametrize("row", LAYERS, ids=str)
over_layers_with_parameters = pytest.mark.parametrize("row", WITH_PARAMETERS, ids=str)
over_optimizers = pytest.mark.parametrize("row", OPTIMIZERS, ids=str)
in_both_dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=["float64", "float32"])


def built(row, dtype=np.float64, samples=SAMPLES, seed=0):
    """Return a layer of the row, inputs for it and a gradient at its output."""
    rng = np.random.default_rng(seed)
    layer, inputs = row.make(rng, dtype), row.inputs(rng, dtype, samples)
    with nn.no_grad():
        shape = np.shape(layer(*inputs))
    return layer, inputs, rng.normal(size=shape).astype(dtype)


def gradients(layer):
    return {name: parameter.grad.copy() for name, parameter in layer.named_parameters()}


def run(layer, inputs, grad):
    """Return output, gradient at the input, and the gradients of the parameters, of one forward and backward."""
    layer.zero_grad()
    y = np.array(layer(*inputs))
    at_input = layer.backward(grad).copy()
    return {"y": y, "at input": at_input, **gradients(layer)}


def assert_equal(actual, expected):
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        assert actual[name].dtype == value.dtype, name
        np.testing.assert_array_equal(actual[name], value, err_msg=name)


def assert_close(actual, expected, tolerance=1e-12):
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        assert actual[name].shape == value.shape, name
        difference = np.max(np.abs(actual[name] - value), initial=0)
        assert difference <= tolerance * max(1.0, np.max(np.abs(value), initial=0)), name


# The catalogue


def test_every_public_layer_loss_and_optimizer_is_in_the_catalogue():
    assert missing(nn.__all__) == set()


def test_a_public_class_without_a_row_is_noticed(monkeypatch):
    monkeypatch.setattr(nn, "Cube", type("Cube", (nn.Layer,), {}), raising=False)
    monkeypatch.setattr(nn, "Adamant", type("Adamant", (nn.Optimizer,), {}), raising=False)
    assert missing([*nn.__all__, "Cube", "Adamant"]) == {"Cube", "Adamant"}


def test_the_names_of_the_rows_are_unique():
    names = [str(row) for row in (*COMPUTING, *OPTIMIZERS)]
    assert len(set(names)) == len(names)


# Gradients


@over_all
def test_gradients_add_up_over_passes(row):
    layer, inputs, grad = built(row)
    once = run(layer, inputs, grad)
    layer(*inputs)
    layer.backward(grad)
    for name, value in gradients(layer).items():
        np.testing.assert_array_equal(value, 2 * once[name])
    layer.zero_grad()
    for value in gradients(layer).values():
        assert not value.any()


@over_all
def test_the_gradient_at_the_input_is_linear_in_the_gradient_at_the_output(row):
    layer, inputs, grad = built(row)
    once, thrice, nothing = (run(layer, inputs, grad.dtype.type(factor) * grad) for factor in (1, 3, 0))
    for name, value in once.items():
        if name != "y":
            assert_close({name: thrice[name]}, {name: 3 * value})
            assert not nothing[name].any()


class Twice(nn.Layer):
    """y = f(x) + f(x/2): f is called twice in one pass."""

    def __init__(self, layer):
        self.layer = layer

    def forward(self, x, *more):
        return self.layer(x, *more) + self.layer(0.5 * x, *more)

    def backward(self, grad=None):  # None is for losses
        at_half = self.layer.backward(grad)
        return self.layer.backward(grad) + 0.5 * at_half


class TwiceForLosses(nn.Loss, Twice):
    def __init__(self, layer):
        super().__init__(reduction="none" if layer.reduction == "none" else "sum")  # an array, or a number
        self.layer = layer

    forward = Twice.forward
    backward = Twice.backward


@over_all
def test_a_layer_called_twice_in_a_pass_has_the_gradients_of_both_calls(row):
    layer, inputs, _ = built(row)
    twice = TwiceForLosses(layer) if row.is_loss else Twice(layer)
    assert check_gradients(twice, *inputs, method="complex").largest.error <= 1e-12


@pytest.mark.parametrize("row", [row for row in LAYERS if row.keeps_shape], ids=str)
def test_a_layer_may_stand_in_a_sequence_more_than_once(row):
    layer, (x,), _ = built(row)
    for model in (nn.Sequential(layer, layer), nn.Sequential(layer, nn.Tanh(), layer, layer)):
        assert check_gradients(model, x + 3, method="complex").largest.error <= 1e-12  # away from kinks all the way
        assert len(list(model.parameters())) == len(list(layer.parameters()))


@over_layers
def test_a_layer_shared_by_two_models_undoes_the_pass_of_each(row):
    layer, (x,), grad = built(row)
    (other_x,) = row.inputs(np.random.default_rng(1), np.float64, SAMPLES)
    first, second = nn.Sequential(layer, nn.Tanh()), nn.Sequential(layer, nn.Sigmoid())
    alone = [run(first, (x,), grad), run(second, (other_x,), grad)]
    for order in ((0, 1), (1, 0)):
        layer.zero_grad()
        first(x)
        second(other_x)
        at_inputs = {}
        for index in order:
            at_inputs[index] = (first, second)[index].backward(grad)
        for index in (0, 1):
            np.testing.assert_array_equal(at_inputs[index], alone[index]["at input"])
        together = gradients(first)
        assert_close(together, {name: alone[0][name] + alone[1][name] for name in together})


@over_layers_with_parameters
def test_a_tied_parameter_has_the_gradients_of_all_its_places(row):
    layer, (x,), grad = built(row)
    other = copy.deepcopy(layer)
    apart = [run(part, (x,), grad) for part in (layer, other)]
    for (_, here), (_, there) in zip(layer.named_layers(), other.named_layers(), strict=True):
        for name, value in vars(here).items():
            if isinstance(value, nn.Parameter):
                setattr(there, name, value)

    class Pair(nn.Layer):
        def __init__(self):
            self.left, self.right = layer, other

        def forward(self, x):
            return self.left(x) + self.right(2 * x)

        def backward(self, grad):
            return 2 * self.right.backward(grad) + self.left.backward(grad)

    model = Pair()
    assert len(list(model.parameters())) == len(list(layer.parameters()))
    assert len(model.state_dict()) == 2 * len(layer.state_dict())
    assert check_gradients(model, x, method="complex").largest.error <= 1e-12
    of_double = run(other, (2 * x,), grad)
    together = run(model, (x,), grad)
    for name in gradients(layer):
        assert_close({name: together[f"left.{name}"]}, {name: apart[0][name] + of_double[name]})
    optimizer = nn.SGD(model.parameters(), lr=1.0)
    before = [parameter.data.copy() for parameter in layer.parameters()]
    optimizer.step()
    for parameter, start in zip(layer.parameters(), before, strict=True):
        np.testing.assert_array_equal(parameter.data, start - parameter.grad)  # once


@over_all
def test_backward_parameters_gives_the_parameters_the_same_gradients_and_returns_nothing(row):
    layer, inputs, grad = built(row)
    expected = run(layer, inputs, grad)
    layer.zero_grad()
    layer(*inputs)
    assert layer.backward_parameters(grad) is None
    for name, value in gradients(layer).items():
        np.testing.assert_array_equal(value, expected[name])
    with pytest.raises(PassError):
        layer.backward_parameters(grad)


@over_layers_with_parameters
def test_frozen_parameters_get_no_gradient_and_the_others_the_same(row):
    layer, inputs, grad = built(row)
    expected = run(layer, inputs, grad)
    for _, parameter in list(layer.named_parameters())[::2]:
        parameter.requires_grad = False
    for backward in ("backward", "backward_parameters"):
        layer.zero_grad()
        layer(*inputs)
        getattr(layer, backward)(grad)
        for name, parameter in layer.named_parameters():
            np.testing.assert_array_equal(parameter.grad, expected[name] if parameter.requires_grad else 0)


@pytest.mark.parametrize("row", [row for row in COMPUTING if row.is_loss], ids=str)
def test_a_loss_needs_no_gradient_unless_it_returns_an_array(row):
    loss_fn, inputs, grad = built(row)
    loss_fn(*inputs)
    if grad.ndim:
        with pytest.raises(TypeError, match=r"backward\(grad\) with the gradient .*, got no grad"):
            loss_fn.backward()
    else:
        assert_equal({"at input": loss_fn.backward()}, {"at input": run(loss_fn, inputs, np.ones(()))["at input"]})


# Passes


@over_all
def test_backward_without_a_forward_is_an_error(row):
    layer, inputs, grad = built(row)  # its only forward was under no_grad
    with pytest.raises(PassError, match="a forward to undo, got a backward without one"):
        layer.backward(grad)
    layer(*inputs)
    layer.backward(grad)
    before = gradients(layer)
    with pytest.raises(PassError, match="a forward to undo, got a backward without one"):
        layer.backward(grad)
    assert_equal(gradients(layer), before)


@over_all
def test_a_gradient_of_another_shape_is_refused_before_anything_has_changed(row):
    layer, inputs, grad = built(row)
    expected = run(layer, inputs, grad)
    layer.zero_grad()
    layer(*inputs)
    for wrong in (np.ones((*grad.shape, 1)), np.ones((1, *grad.shape)), np.ones((*grad.shape[:-1], 9))):
        with pytest.raises(ShapeError, match="grad of shape"):
            layer.backward(wrong)
    assert not any(value.any() for value in gradients(layer).values())
    assert_equal({"at input": layer.backward(grad)}, {"at input": expected["at input"]})


@over_all
def test_a_forward_under_no_grad_leaves_what_waits_alone(row):
    layer, inputs, grad = built(row)
    expected = run(layer, inputs, grad)
    layer.zero_grad()
    layer(*inputs)
    with nn.no_grad():
        layer(*row.inputs(np.random.default_rng(9), np.float64, SAMPLES + 1))
    assert_equal(
        {"at input": layer.backward(grad), **gradients(layer)}, {k: v for k, v in expected.items() if k != "y"}
    )


@over_all
def test_the_returned_array_may_be_changed_before_backward(row):
    layer, inputs, grad = built(row)
    expected = run(layer, tuple(x.copy() for x in inputs), grad)
    layer.zero_grad()
    y = layer(*inputs)
    if isinstance(y, np.ndarray) and not np.shares_memory(y, inputs[0]):  # an identity hands out its own input
        y[...] = 1e9
    assert_equal(
        {"at input": layer.backward(grad), **gradients(layer)}, {k: v for k, v in expected.items() if k != "y"}
    )


@over_all
def test_what_was_returned_is_not_written_to_later(row):
    layer, inputs, grad = built(row)
    y = layer(*inputs)
    at_input = layer.backward(grad)
    kept = np.array(y), at_input.copy()
    other = row.inputs(np.random.default_rng(9), np.float64, SAMPLES)
    for _ in range(3):
        layer(*other)
        layer.backward(2 * grad)
    np.testing.assert_array_equal(y, kept[0])
    np.testing.assert_array_equal(at_input, kept[1])


@over_all
def test_a_hundred_forwards_without_backward_retain_one_pass(row):
    rng = np.random.default_rng(0)
    layer = row.make(rng, np.float64)
    references = []

    def forward():
        inputs = row.inputs(rng, np.float64, 2_000)
        references.extend(weakref.ref(x) for x in inputs)
        layer(*inputs)

    gc.collect()
    tracemalloc.start()
    try:
        forward()
        gc.collect()
        one = tracemalloc.get_traced_memory()[0]
        for _ in range(99):
            forward()
        gc.collect()
        hundred = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert hundred <= 1.5 * one + 100_000
    alive = [reference for reference in references if reference() is not None]
    assert all(reference in references[-len(references) // 100 :] for reference in alive)


@over_all
@pytest.mark.parametrize("how", ["backward", "no_grad"])
def test_nothing_is_retained_after_backward_or_under_no_grad(row, how):
    layer, inputs, grad = built(row)
    references = [weakref.ref(x) for x in inputs]
    if how == "backward":
        layer(*inputs)
        layer.backward(grad)
    else:
        with nn.no_grad():
            layer(*inputs)
    del inputs
    gc.collect()
    assert not any(reference() is not None for reference in references)


def same_results_from_threads(layer, batches, calls):
    """Whether 8 threads, each with so many calls under no_grad, get what one thread gets."""
    layer.eval()
    with nn.no_grad():
        expected = list(starmap(layer, batches))
    start = threading.Barrier(8)

    def work(number):
        start.wait()
        with nn.no_grad():
            return all(
                np.array_equal(
                    layer(*batches[(number + call) % len(batches)]), expected[(number + call) % len(batches)]
                )
                for call in range(calls)
            )

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(8) as pool:
            return all(pool.map(work, range(8)))
    finally:
        sys.setswitchinterval(interval)


@over_all
def test_eight_threads_under_no_grad_get_what_one_thread_gets(row):
    rng = np.random.default_rng(0)
    layer = row.make(rng, np.float64)
    assert same_results_from_threads(layer, [row.inputs(rng, np.float64, samples) for samples in (1, 2, 5)], calls=60)


def test_eight_threads_with_a_thousand_calls_each_get_what_one_thread_gets():
    rng = np.random.default_rng(0)
    model = note_network(rng, np.float64)
    model(rng.normal(size=(2, 3)))  # a pass that waits meanwhile
    assert same_results_from_threads(model, [(rng.normal(size=(samples, 3)),) for samples in (1, 2, 5)], calls=1_000)
    model.backward(np.ones((2, 4)))


# Arrays and dtypes


@over_all
@in_both_dtypes
def test_the_dtype_is_kept(row, dtype):
    layer, inputs, grad = built(row, dtype)
    results = run(layer, inputs, grad)
    assert {name: value.dtype for name, value in results.items()} == dict.fromkeys(results, np.dtype(dtype))
    assert layer(*inputs).dtype == dtype
    assert layer.backward(grad.astype(np.float64)).dtype == dtype  # whatever the dtype of grad


@over_layers_with_parameters
@in_both_dtypes
def test_a_layer_with_parameters_casts_what_comes_in_to_its_own_dtype(row, dtype):
    layer, inputs, grad = built(row, np.float32)
    layer.astype(dtype)
    expected = run(layer, tuple(x.astype(dtype) for x in inputs), grad)
    for other in (np.float32, np.float64):  # the numbers are exact in both
        assert_equal(run(layer, tuple(x.astype(other) for x in inputs), grad.astype(other)), expected)


@over_all
def test_float32_is_float64_up_to_rounding(row):
    narrow, inputs, grad = built(row, np.float32)
    wide = copy.deepcopy(narrow).astype(np.float64)
    expected = run(wide, tuple(x.astype(np.float64) if x.dtype.kind == "f" else x for x in inputs), grad)
    assert_close(run(narrow, inputs, grad), expected, 1e-5)


@over_all
def test_arguments_are_never_written_to(row):
    layer, inputs, grad = built(row)
    copies = [x.copy() for x in (*inputs, grad)]
    expected = run(layer, inputs, grad)
    for x, before in zip((*inputs, grad), copies, strict=True):
        np.testing.assert_array_equal(x, before)
        x.flags.writeable = False
    assert_equal(run(layer, inputs, grad), expected)


def strided(x):
    wide = np.zeros(tuple(2 * length for length in x.shape), x.dtype)
    view = wide[tuple(slice(1, None, 2) for _ in x.shape)]
    view[...] = x
    return view


def unaligned(x):
    room = np.zeros(x.nbytes + 1, np.uint8)
    view = room[1:].view(x.dtype).reshape(x.shape)
    view[...] = x
    return view


LAYOUTS = {
    "Fortran order": np.asfortranarray,
    "negative strides": lambda x: x[tuple(slice(None, None, -1) for _ in x.shape)].copy()[
        tuple(slice(None, None, -1) for _ in x.shape)
    ],
    "strided": strided,
    "big-endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
    "unaligned": unaligned,
    "nested lists": lambda x: x.tolist(),
}


@over_all
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_layout_in_memory_makes_no_difference(row, layout):
    layer, inputs, grad = built(row)
    expected = run(layer, inputs, grad)
    change = LAYOUTS[layout]
    actual = run(layer, tuple(change(x) for x in inputs), change(grad) if grad.ndim else grad)
    assert_close(actual, expected)


@pytest.mark.parametrize("row", [row for row in COMPUTING if row.rowwise], ids=str)
def test_a_batch_is_its_rows_one_by_one(row):
    layer, inputs, grad = built(row)
    expected = run(layer, inputs, grad)
    rows = []
    for index in range(SAMPLES):
        rows.append(run(layer, tuple(x[index : index + 1] for x in inputs), grad[index : index + 1]))
    parameters = gradients(layer)
    joined = {name: np.concatenate([one[name] for one in rows]) for name in ("y", "at input")}
    joined |= {name: np.sum([one[name] for one in rows], axis=0) for name in parameters}
    assert_close(joined, expected)


@pytest.mark.parametrize("row", [row for row in COMPUTING if row.is_loss and not row.rowwise], ids=str)
def test_a_loss_of_a_batch_is_the_mean_or_the_sum_of_the_losses_of_its_rows(row):
    loss_fn, inputs, _ = built(row)
    whole = loss_fn(*inputs)
    at_prediction = loss_fn.backward()
    losses, gradients_of_rows = [], []
    for index in range(SAMPLES):
        losses.append(loss_fn(*(x[index : index + 1] for x in inputs)))
        gradients_of_rows.append(loss_fn.backward())
    share = 1 / SAMPLES if row.averages else 1
    assert_close({"loss": np.array(share * np.sum(losses))}, {"loss": np.array(whole)})
    assert_close({"grad": share * np.concatenate(gradients_of_rows)}, {"grad": at_prediction})


@over_all
@in_both_dtypes
def test_an_empty_batch_works_and_a_mean_over_nothing_is_an_error(row, dtype):
    rng = np.random.default_rng(0)
    layer, inputs = row.make(rng, dtype), row.inputs(rng, dtype, 0)
    if row.averages:
        with pytest.raises(ShapeError, match="at least one element to average over"):
            layer(*inputs)
        return
    y = layer(*inputs)
    assert y.dtype == dtype
    at_input = layer.backward(np.ones_like(y))
    assert at_input.shape == inputs[0].shape
    assert at_input.dtype == dtype
    if inputs[0].size == 0:
        assert not np.any(y)  # nothing, or a sum over nothing
        assert not any(value.any() for value in gradients(layer).values())


@over_layers
def test_not_a_number_comes_out_where_it_came_in(row):
    layer, (x,), _ = built(row)
    x = x.copy()
    x.reshape(-1)[0] = np.nan
    y = layer(x)
    assert np.isnan(y).any()
    if row.rowwise:
        assert not np.isnan(y[1:]).any()


# Showing, copying, saving


@over_all
def test_the_repr_names_the_class_and_builds_its_like(row):
    layer, inputs, _ = built(row)
    text = repr(layer)
    assert text.startswith(f"{row.covers.__name__}(")
    assert text.endswith(")")
    if not list(layer.children()):
        assert "\n" not in text
    if row.is_loss:
        assert f"reduction={layer.reduction!r}" in text
    if row.evaluates:
        like = eval(text, vars(nn).copy())  # noqa: S307
        assert repr(like) == text
        like.load_state_dict(layer.state_dict())
        np.testing.assert_array_equal(like(*inputs), layer(*inputs))


COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda layer: pickle.loads(pickle.dumps(layer))}


@over_all
@pytest.mark.parametrize("how", COPIES)
def test_a_copy_computes_the_same_owns_its_parameters_and_has_nothing_to_undo(row, how):
    layer, inputs, grad = built(row)
    expected = run(layer, inputs, grad)
    layer.eval()
    layer(*inputs)
    twin = COPIES[how](layer)
    assert repr(twin) == repr(layer)
    assert [inner.training for _, inner in twin.named_layers()] == [False] * len(list(twin.named_layers()))
    assert_equal(gradients(twin), gradients(layer))
    with pytest.raises(PassError):
        twin.backward(grad)
    assert_equal(run(twin, inputs, grad), expected)
    layer.backward(grad)  # the original's pass still waits
    for mine, its in zip(layer.parameters(), twin.parameters(), strict=True):
        assert not np.shares_memory(mine.data, its.data)
        assert not np.shares_memory(mine.grad, its.grad)
        its.data = its.data + 1
    assert_equal(run(layer, inputs, grad), expected)


@over_all
def test_the_state_makes_a_round_trip_and_shares_no_memory(row):
    layer, inputs, grad = built(row)
    expected = run(layer, inputs, grad)
    other = row.make(np.random.default_rng(99), np.float64)
    state = layer.state_dict()
    other.load_state_dict(state)
    assert_equal(run(other, inputs, grad), expected)
    for value in state.values():
        value.fill(0)
    assert_equal(run(layer, inputs, grad), expected)
    assert_equal(run(other, inputs, grad), expected)
    assert list(other.state_dict()) == list(state)


@over_all
def test_train_and_eval_switch_everything_inside_and_both_can_be_undone(row):
    layer, inputs, grad = built(row)
    assert all(inner.training for _, inner in layer.named_layers())
    expected = run(layer, inputs, grad)
    assert layer.eval() is layer
    assert not any(inner.training for _, inner in layer.named_layers())
    assert_equal(run(layer, inputs, grad), expected)  # none of these layers acts differently
    assert layer.train() is layer
    assert all(inner.training for _, inner in layer.named_layers())


@over_layers_with_parameters
def test_parameters_are_drawn_from_the_generator_alone(row):
    first, second, other = (row.make(np.random.default_rng(seed), np.float64) for seed in (1, 1, 2))
    assert_equal(first.state_dict(), second.state_dict())
    assert all((value != other.state_dict()[name]).any() for name, value in first.state_dict().items())
    first.reset_parameters(rng=5)
    second.reset_parameters(rng=np.random.default_rng(5))
    assert_equal(first.state_dict(), second.state_dict())
    assert all((value != other.state_dict()[name]).any() for name, value in first.state_dict().items())


def test_a_new_layer_never_reads_memory_that_nobody_has_written():
    for _ in range(50):
        for size in (2, 3, 6):
            np.full(size, 1e300)  # NumPy hands freed memory of this size out again, and 1e300 overflows float32
        nn.Linear(3, 2, dtype=np.float32)


@over_layers_with_parameters
def test_float32_parameters_are_the_float64_ones_rounded(row):
    narrow, wide = (row.make(np.random.default_rng(1), dtype) for dtype in (np.float32, np.float64))
    rounded = {name: value.astype(np.float32) for name, value in wide.state_dict().items()}
    assert_equal(narrow.state_dict(), rounded)
    assert_equal(wide.astype(np.float32).state_dict(), rounded)


# Optimizers


def learner(row, dtype=np.float64, order=1):
    """Return a model, an optimizer for it, and a function that makes a step."""
    rng = np.random.default_rng(3)
    model = note_network(rng, dtype)
    optimizer = row.make(list(model.parameters())[::order])
    x, target, loss_fn = rng.normal(size=(5, 3)), rng.uniform(size=(5, 4)), nn.MSELoss()

    def step(model=model, optimizer=optimizer):
        loss = loss_fn(model(x), target)
        optimizer.zero_grad()
        model.backward_parameters(loss_fn.backward())
        optimizer.step()
        return loss

    return model, optimizer, step


@over_optimizers
@in_both_dtypes
def test_a_step_changes_the_data_where_it_is_and_nothing_else(row, dtype):
    model, optimizer, step = learner(row, dtype)
    step()
    places = [parameter.data for parameter in model.parameters()]
    for _ in range(3):
        before = model.state_dict()
        grads = gradients(model)
        optimizer.step()
        assert_equal(gradients(model), grads)
        for (name, parameter), place in zip(model.named_parameters(), places, strict=True):
            assert parameter.data is place
            assert parameter.dtype == parameter.grad.dtype == dtype
            assert (parameter.data != before[name]).any()
        step()


@over_optimizers
def test_frozen_parameters_are_left_alone_and_thawed_ones_go_on(row):
    model, _, step = learner(row)
    model[0].requires_grad_(False)
    before = model.state_dict()
    step()
    changed = {name for name, value in model.state_dict().items() if (value != before[name]).any()}
    assert changed == {"2.weight", "2.bias", "4.weight", "4.bias"}
    model[0].requires_grad_()
    step()
    assert all((value != before[name]).any() for name, value in model.state_dict().items())


@over_optimizers
def test_the_order_of_the_parameters_and_who_updates_them_make_no_difference(row):
    results = []
    for order in (1, -1):
        model, _, step = learner(row, order=order)
        for _ in range(5):
            step()
        results.append(model.state_dict())
    model, _, step = learner(row)
    optimizers = [row.make([parameter]) for parameter in model.parameters()]

    class Together:
        def zero_grad(self):
            model.zero_grad()

        def step(self):
            for optimizer in optimizers:
                optimizer.step()

    for _ in range(5):
        step(optimizer=Together())
    results.append(model.state_dict())
    assert_equal(results[1], results[0])
    assert_equal(results[2], results[0])


@over_optimizers
@pytest.mark.parametrize("how", [*COPIES, "state dicts"])
def test_a_copy_of_model_and_optimizer_goes_on_along_the_same_way(row, how):
    model, optimizer, step = learner(row)
    for _ in range(3):
        step()
    if how == "state dicts":
        twin, twins_optimizer, _ = learner(row)
        twin.reset_parameters(rng=8)
        twin.load_state_dict(model.state_dict())
        twins_optimizer.load_state_dict(optimizer.state_dict())
    else:
        twin, twins_optimizer = COPIES[how]((model, optimizer))
    for _ in range(3):
        assert step() == step(twin, twins_optimizer)
    assert_equal(twin.state_dict(), model.state_dict())
    before = model.state_dict()
    step(twin, twins_optimizer)
    assert_equal(model.state_dict(), before)


@over_optimizers
def test_an_optimizer_in_float32_goes_the_way_of_float64_up_to_rounding(row):
    narrow, _, narrow_step = learner(row, np.float32)
    wide, _, wide_step = learner(row, np.float64)
    for _ in range(20):
        narrow_step()
        wide_step()
    assert_close(narrow.state_dict(), wide.state_dict(), 1e-5)


@over_optimizers
def test_the_repr_of_an_optimizer_is_one_line_with_its_options(row):
    _, optimizer, _ = learner(row)
    text = repr(optimizer)
    assert text.startswith(f"{row.covers.__name__}(lr=0.1, ")
    assert "\n" not in text
    assert all(f"{name}=" in text for name in optimizer.defaults)


# Shapes, dtypes and strides, at random


def arrays_of(dtypes, last=None):
    """Arrays of up to four axes, some of them without elements, in any dtype given and any layout in memory."""
    shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
    whole = shapes if last is None else shapes.map(lambda shape: (*shape, last))
    small = st.integers(-9, 9)

    def lay_out(x, reverse, transpose):
        x = x.transpose().copy().transpose() if transpose else x
        return x[tuple(slice(None, None, -1) for _ in x.shape)] if reverse else x

    arrays = st.tuples(st.sampled_from(dtypes), whole).flatmap(
        lambda pair: hnp.arrays(np.int8, pair[1], elements=small).map(lambda x: np.asarray(x / 4).astype(pair[0]))
    )
    return st.builds(lay_out, arrays, st.booleans(), st.booleans())


FLOATS = ["<f2", "<f4", "<f8", ">f4", ">f8", "g"]
INTEGERS = ["i1", "<i8", ">i4", "u1", "?"]


@fixed
@given(x=arrays_of([*FLOATS, *INTEGERS], last=3), bias=st.booleans(), dtype=st.sampled_from(DTYPES))
def test_linear_is_its_equation_for_any_shape_dtype_and_stride(x, bias, dtype):
    layer = nn.Linear(3, 2, bias, rng=np.random.default_rng(0), dtype=dtype)
    weight = layer.weight.data.astype(np.float64)
    offset = layer.bias.data.astype(np.float64) if bias else 0.0
    before = x.copy()
    y = layer(x)
    assert y.dtype == dtype
    tolerance = {np.float64: 1e-13, np.float32: 1e-5}[dtype]
    exact = x.astype(dtype).astype(np.float64)
    expected = np.einsum("...j,ij->...i", exact, weight) + offset
    np.testing.assert_allclose(y, expected, rtol=tolerance, atol=tolerance)
    grad = np.cos(np.arange(y.size)).reshape(y.shape)
    at_input = layer.backward(grad)
    assert at_input.dtype == dtype
    grad = grad.astype(dtype).astype(np.float64)
    np.testing.assert_allclose(at_input, np.einsum("...i,ij->...j", grad, weight), rtol=tolerance, atol=tolerance)
    expected = grad.reshape(-1, 2).T @ exact.reshape(-1, 3)
    np.testing.assert_allclose(layer.weight.grad, expected, rtol=10 * tolerance, atol=10 * tolerance)
    if bias:
        expected = grad.reshape(-1, 2).sum(axis=0)
        np.testing.assert_allclose(layer.bias.grad, expected, rtol=10 * tolerance, atol=10 * tolerance)
    np.testing.assert_array_equal(x, before)


SCALAR_FORMS = {
    nn.ArctanSigmoid: (lambda x: np.arctan2(1, -x) / np.pi, lambda x: 1 / np.pi / (1 + x * x)),
    nn.ReLU: (lambda x: (x + abs(x)) / 2, lambda x: np.where(x > 0, 1, 0)),
    nn.Sigmoid: (lambda x: (1 + np.tanh(x / 2)) / 2, lambda x: 1 / (4 * np.cosh(x / 2) ** 2)),
    nn.Tanh: (lambda x: np.sinh(x) / np.cosh(x), lambda x: 1 / np.cosh(x) ** 2),
    nn.Identity: (lambda x: x, np.ones_like),
}


@pytest.mark.parametrize("activation", SCALAR_FORMS, ids=lambda activation: activation.__name__)
@fixed
@given(x=arrays_of(FLOATS))
def test_activations_are_their_equations_for_any_shape_floating_dtype_and_stride(activation, x):
    function, derivative = SCALAR_FORMS[activation]
    layer = activation()
    before = x.copy()
    y = layer(x)
    native = x.dtype.newbyteorder("=")
    assert y.dtype.newbyteorder("=") == native
    assert y.shape == x.shape
    tolerance = 8 * max(float(np.finfo(x.dtype).eps), 1e-16)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(np.asarray(y, np.float64), function(exact), rtol=tolerance, atol=tolerance)
    at_input = layer.backward(np.ones(x.shape))
    assert at_input.dtype.newbyteorder("=") == native
    np.testing.assert_allclose(np.asarray(at_input, np.float64), derivative(exact), rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(x, before)


@fixed
@given(x=arrays_of(INTEGERS), dtype=st.sampled_from(DTYPES))
def test_layers_without_parameters_turn_integers_into_the_default_dtype(x, dtype):
    nn.set_default_dtype(dtype)
    try:
        for activation in (nn.ArctanSigmoid, nn.ReLU, nn.Sigmoid, nn.Tanh):
            y = activation()(x)
            assert y.dtype == dtype
            np.testing.assert_array_equal(y, activation()(x.astype(dtype)))
    finally:
        nn.set_default_dtype(np.float64)


@fixed
@given(
    pair=hnp.mutually_broadcastable_shapes(num_shapes=2, min_dims=0, max_dims=3, min_side=0, max_side=3),
    reduction=st.sampled_from(["half", "mean", "sum", "none"]),
)
def test_mse_takes_equal_shapes_and_no_others(pair, reduction):
    shape, other = pair.input_shapes
    loss_fn = nn.MSELoss(reduction=reduction)
    prediction, target = np.ones(shape), np.full(other, 3.0)
    size = prediction.size
    if shape != other or (size == 0 and reduction in {"half", "mean"}):
        with pytest.raises(ShapeError):
            loss_fn(prediction, target)
        return
    samples = shape[0] if len(shape) > 1 else 1
    expected = {"half": 2.0 * size / max(samples, 1), "mean": 4.0, "sum": 4.0 * size, "none": np.full(shape, 4.0)}
    np.testing.assert_allclose(loss_fn(prediction, target), expected[reduction], rtol=1e-14)
    grad = loss_fn.backward(np.ones(shape) if reduction == "none" else None)
    slope = {"half": -2.0 / max(samples, 1), "mean": -4.0 / max(size, 1), "sum": -4.0, "none": -4.0}[reduction]
    np.testing.assert_allclose(grad, np.full(shape, slope), rtol=1e-14)


@fixed
@given(
    shape=hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=4),
    reduction=st.sampled_from(["mean", "sum", "none"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_labels_are_probabilities_of_one(shape, reduction, seed):
    rng = np.random.default_rng(seed)
    axis = min(len(shape) - 1, 1)
    logits = rng.normal(size=shape)
    labels = rng.integers(shape[axis], size=shape[:axis] + shape[axis + 1 :])
    ones = np.moveaxis(np.eye(shape[axis])[labels], -1, axis)
    loss_fn = nn.CrossEntropyLoss(reduction=reduction)
    expected = -np.moveaxis(logits - np.log(np.exp(logits).sum(axis=axis, keepdims=True)), axis, -1)
    expected = np.take_along_axis(expected, np.asarray(labels)[..., None], -1)[..., 0]
    joined = {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](expected)
    grad = None if reduction != "none" else np.ones_like(expected)
    at_logits = []
    for target in (labels, ones):
        np.testing.assert_allclose(loss_fn(logits, target), joined, rtol=1e-12, atol=1e-12)
        at_logits.append(loss_fn.backward(grad))
    np.testing.assert_allclose(at_logits[0], at_logits[1], rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(at_logits[0].sum(axis=axis), np.zeros(labels.shape), atol=1e-12)
