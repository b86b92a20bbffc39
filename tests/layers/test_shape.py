"""Flatten and Unflatten: they move numbers and change none."""

import numpy as np
import pytest

import tinynn as nn

DTYPES = [np.float64, np.float32, np.float16, np.int64, np.uint8, np.bool_, ">f4"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_is_kept(dtype):
    x = np.arange(24).reshape(2, 3, 4).astype(dtype)
    y = nn.Flatten()(x)
    assert y.dtype == x.dtype
    np.testing.assert_array_equal(y, x.reshape(2, 12))
    z = nn.Unflatten(1, (3, 4))(y)
    assert z.dtype == x.dtype
    np.testing.assert_array_equal(z, x)


def test_the_one_undoes_the_other_backward_as_well():
    x, grad = np.random.default_rng(0).normal(size=(2, 4, 3, 5)).swapaxes(1, 2)
    model = nn.Sequential(nn.Flatten(), nn.Unflatten(1, (4, -1)))
    np.testing.assert_array_equal(model(x), x)
    np.testing.assert_array_equal(model.backward(grad), grad)


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (nn.Flatten(), (0, 3, 4), (0, 12)),
        (nn.Flatten(), (3, 0, 4), (3, 0)),
        (nn.Flatten(0), (2, 3), (6,)),
        (nn.Flatten(0), (), (1,)),
        (nn.Flatten(-2), (2, 3, 4), (2, 12)),
        (nn.Flatten(1, 1), (2, 3, 4), (2, 3, 4)),
        (nn.Unflatten(0, (2, -1)), (0, 3), (2, 0, 3)),
        (nn.Unflatten(-1, [-1]), (3, 4), (3, 4)),
        (nn.Unflatten(1, (0, 5)), (3, 0), (3, 0, 5)),
        (nn.Unflatten(1, (1, 4, 1)), (3, 4), (3, 1, 4, 1)),
    ],
    ids=repr,
)
def test_shapes_and_back(layer, shape, expected):
    x = np.ones(shape)
    assert layer(x).shape == expected
    assert layer.backward(np.ones(expected)).shape == shape
