"""Nonlinearities from pairs of functions, with constants and without."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import tinynn as nn
from tests.catalogue import LAYERS
from tinynn.layers.elementwise import Elementwise
from tinynn.testing import check_layer

X = np.random.default_rng(0).normal(size=(4, 3))
ROWS = [row for row in LAYERS if issubclass(row.covers, Elementwise)]


def wave(x, frequency, phase):
    return np.sin(frequency * x + phase)


def wave_derivative(x, frequency, phase):
    return frequency * np.cos(frequency * x + phase)


class Wave(nn.Elementwise):
    """y = sin(frequency · x + phase)."""

    function = staticmethod(wave)
    derivative = staticmethod(wave_derivative)
    constants = ("frequency", "phase")

    def __init__(self, frequency=1.0, phase=0.0):
        super().__init__()
        self.frequency, self.phase = frequency, phase


class Tone(Wave):
    """A wave that starts at its top."""

    def __init__(self):
        super().__init__(2.0, np.pi / 2)


class SawToothLike(Wave):
    """The same constants, other functions."""

    function = staticmethod(lambda x, frequency, phase: 2 * frequency * x + phase)
    derivative = staticmethod(lambda x, frequency, phase: 2 * frequency)


def test_constants_are_given_to_both_functions_in_their_order():
    layer = Wave(3.0, 0.5)
    np.testing.assert_array_equal(layer(X), wave(X, 3.0, 0.5))
    np.testing.assert_array_equal(layer.backward(np.ones_like(X)), wave_derivative(X, 3.0, 0.5))


def test_a_layer_with_constants_keeps_every_law():
    assert check_layer(Wave, (5, 3), verbose=False).failures == ()
    assert check_layer(Tone, (5, 3), verbose=False).failures == ()


def test_constants_are_attributes_and_may_be_changed():
    layer = Wave()
    layer.frequency = 2.0
    np.testing.assert_array_equal(layer(X), wave(X, 2.0, 0.0))
    np.testing.assert_array_equal(layer.backward(np.ones_like(X)), wave_derivative(X, 2.0, 0.0))


def test_constants_are_shown_and_copied():
    layer = Wave(3.0)
    assert repr(layer) == "Wave(frequency=3.0, phase=0.0)"
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert repr(twin) == repr(layer)
        np.testing.assert_array_equal(twin(X), layer(X))


def test_a_subclass_may_have_other_functions_of_the_same_constants():
    layer = SawToothLike(3.0, 1.0)
    np.testing.assert_array_equal(layer(X), 6 * X + 1)
    np.testing.assert_array_equal(layer.backward(np.ones_like(X)), np.full_like(X, 6.0))


def test_two_layers_of_a_class_have_constants_of_their_own():
    one, two = nn.LeakyReLU(0.5), nn.LeakyReLU(0.25)
    assert (one(-1.0), two(-1.0), one(-1.0)) == (-0.5, -0.25, -0.5)


@pytest.mark.parametrize("row", ROWS, ids=str)
@pytest.mark.parametrize("dtype", ["<f2", "<f4", ">f4", "<f8", ">f8", "g"])
def test_every_floating_dtype_is_kept(row, dtype):
    layer, x = row.case.layer(np.float64), X.astype(dtype)
    y = layer(x)
    slope = layer.backward(np.ones_like(x))
    assert y.dtype.newbyteorder("=") == slope.dtype.newbyteorder("=") == np.dtype(dtype).newbyteorder("=")
    expected = layer(x.astype(np.float64))
    eps = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(y.astype(np.float64), expected, rtol=32 * max(eps, 1e-16), atol=4 * eps)
    expected = layer.backward(np.ones_like(expected))
    np.testing.assert_allclose(slope.astype(np.float64), expected, rtol=32 * max(eps, 1e-16), atol=4 * eps)


@pytest.mark.parametrize("row", ROWS, ids=str)
@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (2, 1, 3)])
def test_any_shape_is_kept(row, shape):
    layer, x = row.case.layer(np.float64), np.random.default_rng(1).normal(size=shape)
    assert layer(x).shape == shape
    assert layer.backward(np.ones(shape)).shape == shape


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_the_pair_itself_is_what_forward_and_backward_compute(row):
    layer, x = row.case.layer(np.float64), np.array([-3.0, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 3.0, 6.0])
    np.testing.assert_array_equal(layer(x), layer.function(x))
    np.testing.assert_array_equal(layer.backward(np.ones_like(x)), layer.derivative(x))


def test_one_number_stands_for_all_elements():
    layer = nn.Elementwise(lambda x: 0.5, lambda x: 0)
    np.testing.assert_array_equal(layer(X), np.full_like(X, 0.5))
    np.testing.assert_array_equal(layer.backward(np.ones_like(X)), np.zeros_like(X))


class Rounded(nn.Layer):
    """Integers out of numbers, and no gradient."""

    def forward(self, x):
        return np.rint(x).astype(int)

    def backward(self, grad):
        return 0.0 * grad


def test_integers_from_a_layer_before_are_turned_into_numbers():
    y = nn.Sequential(Rounded(), nn.Tanh())(4 * X)
    np.testing.assert_array_equal(y, np.tanh(np.rint(4 * X)))


def test_the_tail_of_celu_keeps_its_digits():
    x = np.array([-1400.0, -1200.0, -2.0])
    layer = nn.CELU(alpha=2.0)
    layer(x)
    np.testing.assert_allclose(layer.backward(np.ones(3)), np.exp(x / 2), rtol=1e-14)
