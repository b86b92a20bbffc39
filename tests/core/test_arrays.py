"""What is taken as an array, which dtype comes out, and that nobody's array is written to."""

import numpy as np
import pytest
from hypothesis import given as for_any
from hypothesis import strategies as st

import tinynn as nn
from tests.core.handmade import Scale, Square

FLOATS = [np.float16, np.float32, np.float64, np.longdouble]
X = np.array([[0.5, -1.5, 2.0], [3.0, 0.25, -4.0]])


def linear(dtype=np.float64):
    return nn.Linear(3, 2, rng=np.random.default_rng(0), dtype=dtype)


def expected(layer, x):
    return x.astype(np.float64) @ layer.weight.data.astype(np.float64).T + layer.bias.data


class Frame:
    """Something with ``__array__``, as a data frame has it."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.array, dtype)


VIEWS = {
    "contiguous": lambda x: x.copy(),
    "Fortran order": np.asfortranarray,
    "negative strides": lambda x: x[::-1, ::-1].copy()[::-1, ::-1],
    "strided": lambda x: np.repeat(np.repeat(x, 2, 0), 3, 1)[::2, ::3],
    "transposed": lambda x: x.T.copy().T,
    "broadcast rows": lambda x: np.broadcast_to(x[0], x.shape),
    "unaligned": lambda x: _unaligned(x),
    "big-endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
    "list": lambda x: x.tolist(),
    "tuple of arrays": tuple,
    "memoryview": lambda x: memoryview(np.ascontiguousarray(x)),
    "array-like": Frame,
}


def _unaligned(x):
    buffer = bytearray(x.nbytes + 1)
    view = np.frombuffer(buffer, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    view[...] = x
    assert not view.flags.aligned
    return view


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
@pytest.mark.parametrize("build", [linear, nn.ArctanSigmoid, lambda: nn.Sequential(linear(), nn.Tanh()), Square])
def test_any_layout_gives_what_a_contiguous_array_gives_and_is_not_written_to(view, build):
    layer = build()
    given = view(X)
    x = np.array(given if isinstance(given, np.ndarray) else X, np.float64)
    y = layer(x)
    grad = np.arange(1.0, y.size + 1).reshape(y.shape)
    at_input = layer.backward(grad)
    if isinstance(given, np.ndarray):
        given.flags.writeable = False
    given_grad = view(grad)
    if isinstance(given_grad, np.ndarray):
        grad = np.array(given_grad, np.float64)
        layer(x)
        at_input = layer.backward(grad)
        given_grad.flags.writeable = False
    np.testing.assert_allclose(layer(given), y, rtol=1e-14)
    np.testing.assert_allclose(layer.backward(given_grad), at_input, rtol=1e-14)


def test_a_matrix_is_an_array(recwarn):
    y = linear()(np.asmatrix(X))
    assert type(y) is np.ndarray
    np.testing.assert_allclose(y, expected(linear(), X), rtol=1e-14)
    square = Square()
    assert type(square(np.asmatrix(X))) is np.ndarray
    np.testing.assert_array_equal(square.backward(np.asmatrix(X)), 2 * X * X)
    recwarn.clear()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("given", [*FLOATS, np.int8, np.uint8, np.int64, np.uint64, bool, ">f4", ">f8", ">i2"])
def test_a_layer_with_parameters_casts_its_input_to_its_own_dtype(dtype, given):
    layer = linear(dtype)
    x = np.abs(X).astype(given)
    y = layer(x)
    assert y.dtype == dtype
    np.testing.assert_allclose(y, expected(layer, x), rtol=1e-6)
    at_input = layer.backward(np.ones((2, 2), np.longdouble))
    assert at_input.dtype == dtype
    assert layer.weight.grad.dtype == dtype


@pytest.mark.parametrize("build", [nn.ArctanSigmoid, nn.ReLU, nn.Tanh, nn.Sigmoid, nn.Identity, Square, nn.Sequential])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble, ">f4", ">f8"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 0), (2, 1, 3)])
def test_a_layer_without_parameters_keeps_the_dtype_of_a_floating_input(build, dtype, shape):
    layer = build()
    x = np.full(shape, 0.5, dtype)
    y = layer(x)
    assert y.dtype.newbyteorder("=") == np.dtype(dtype).newbyteorder("=")
    assert np.shape(y) == shape
    at_input = layer.backward(np.ones(shape))
    assert at_input.dtype.newbyteorder("=") == np.dtype(dtype).newbyteorder("=")
    assert np.shape(at_input) == shape


def test_a_float32_model_stays_float32_through_every_layer():
    rng = np.random.default_rng(0)
    for x in (X, X.astype(np.float32), X.tolist(), X.astype(int)):
        for model in (
            nn.Sequential(nn.Linear(3, 3, rng=rng), nn.ArctanSigmoid(), nn.Linear(3, 3), nn.ReLU()).astype(np.float32),
            nn.Sequential(nn.Linear(3, 3), nn.Residual(nn.Linear(3, 3)), nn.Sigmoid()).astype("float32"),
            nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.Residual(nn.Tanh()))).astype(np.float32),
        ):
            loss_fn = nn.MSELoss()
            y = model(x)
            loss = loss_fn(y, np.zeros((2, 3)))
            at_output = loss_fn.backward()
            assert y.dtype == loss.dtype == at_output.dtype == np.float32
            model.backward(at_output)
            assert all(p.grad.dtype == np.float32 for p in model.parameters())


def test_targets_take_the_dtype_of_the_prediction():
    for dtype in (np.float32, np.float64):
        for loss_fn in (nn.MSELoss(), nn.MSELoss(reduction="none"), nn.CrossEntropyLoss()):
            target = np.full((2, 3), 1 / 3)
            for given in (target, target.astype(np.float16), target.astype(np.float32)):
                loss = loss_fn(X.astype(dtype), given)
                at_prediction = loss_fn.backward(*([np.ones((2, 3))] if np.ndim(loss) else []))
                assert loss.dtype == at_prediction.dtype == dtype


@pytest.mark.parametrize("reduction", ["half", "mean", "sum"])
def test_a_loss_is_a_numpy_scalar(reduction):
    loss = nn.MSELoss(reduction=reduction)(X, X + 1)
    assert isinstance(loss, np.float64)
    assert type(loss.item()) is float


def test_extra_leading_axes_and_single_samples_work():
    layer = linear()
    many = np.random.default_rng(0).normal(size=(4, 5, 6, 3))
    y = layer(many)
    np.testing.assert_allclose(y, expected(layer, many), rtol=1e-12)
    grad = np.random.default_rng(1).normal(size=(4, 5, 6, 2))
    np.testing.assert_allclose(layer.backward(grad), grad @ layer.weight.data, rtol=1e-12)
    flat = grad.reshape(-1, 2), many.reshape(-1, 3)
    np.testing.assert_allclose(layer.weight.grad, flat[0].T @ flat[1], rtol=1e-12)
    np.testing.assert_allclose(layer.bias.grad, flat[0].sum(axis=0), rtol=1e-12)
    layer.zero_grad()
    np.testing.assert_allclose(layer(X[0]), expected(layer, X[0]), rtol=1e-12)
    np.testing.assert_allclose(layer.backward([1.0, 2.0]), [1.0, 2.0] @ layer.weight.data, rtol=1e-12)
    np.testing.assert_allclose(layer.weight.grad, np.outer([1.0, 2.0], X[0]), rtol=1e-12)


@pytest.mark.parametrize("shape", [(0, 3), (0, 5, 3), (5, 0, 3)])
def test_an_empty_batch_goes_forward_and_backward(shape):
    model = nn.Sequential(linear(), nn.ArctanSigmoid(), nn.Residual(nn.Linear(2, 2)), nn.ReLU())
    y = model(np.empty(shape))
    assert y.shape == (*shape[:-1], 2)
    assert model.backward(np.empty(y.shape)).shape == shape
    assert not any(p.grad.any() for p in model.parameters())
    assert nn.MSELoss(reduction="sum")(y, y) == 0


def test_not_a_number_and_infinities_pass_through():
    layer = linear()
    x = np.array([[np.nan, 0, 0], [np.inf, 0, 0], [1, 2, 3]])
    y = layer(x)
    assert np.isnan(y[0]).all()
    assert np.isinf(y[1]).all()
    assert np.isfinite(y[2]).all()
    np.testing.assert_array_equal(nn.ArctanSigmoid()([-np.inf, np.inf, np.nan]), [0, 1, np.nan])
    np.testing.assert_array_equal(nn.ReLU()([-np.inf, np.inf, np.nan]), [0, np.inf, np.nan])
    np.testing.assert_array_equal(nn.Sigmoid()([-np.inf, np.inf, np.nan]), [0, 1, np.nan])


@for_any(
    st.sampled_from(FLOATS),
    st.lists(st.integers(0, 3), max_size=3),
    st.booleans(),
    st.lists(st.sampled_from(["s", "a", "i", "r"]), max_size=4),
)
def test_shapes_and_dtypes_survive_any_chain_of_elementwise_layers(dtype, shape, reverse, names):
    kinds = {"s": Square, "a": nn.ArctanSigmoid, "i": nn.Identity, "r": lambda: nn.Residual(nn.Identity())}
    model = nn.Sequential(*(kinds[name]() for name in names))
    x = np.full(shape, 0.5, dtype)
    x = x[::-1] if reverse and x.ndim else x
    x.flags.writeable = False
    y = model(x)
    at_input = model.backward(y)
    assert y.dtype == at_input.dtype == dtype
    assert np.shape(y) == np.shape(at_input) == tuple(shape)


def test_what_is_handed_out_is_not_written_to_later():
    model = nn.Sequential(linear(), nn.ArctanSigmoid(), Scale(2.0))
    loss_fn = nn.MSELoss()
    kept = []
    for step in range(3):
        y = model(X + step)
        loss_fn(y, y + 1)
        at_output = loss_fn.backward()
        at_input = model.backward(at_output)
        kept += [(array, array.copy()) for array in (y, at_output, at_input)]
        nn.SGD(model.parameters(), lr=0.1).step()
    for array, copy in kept:
        np.testing.assert_array_equal(array, copy)
