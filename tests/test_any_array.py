"""Layers and losses are their equations, for arrays of any shape, dtype and layout in memory, drawn at random."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinynn as nn
from tinynn.errors import ShapeError

DTYPES = [np.float64, np.float32]
fixed = settings(derandomize=True, database=None, deadline=None, max_examples=40)


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
