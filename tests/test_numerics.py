"""The pure functions of `tinynn.numerics`, to the last digits, against SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from tinynn import numerics

RNG = np.random.default_rng(0)
LINE = np.concatenate([np.linspace(-6, 6, 20_001), RNG.normal(size=20_000), np.geomspace(1e-300, 1, 1_001)])
LINE = np.concatenate([LINE, -LINE])


def test_the_normal_distribution_gives_the_error_function_to_1e_15():
    erf = 2 * numerics.normal_cdf(np.sqrt(2) * LINE) - 1
    assert np.max(np.abs(erf - special.erf(LINE))) <= 1e-15


def test_the_normal_distribution_has_all_its_digits_in_the_tail():
    right = numerics.normal_cdf(np.linspace(0, 40, 1_001))
    assert np.max(np.abs(right - special.ndtr(np.linspace(0, 40, 1_001)))) <= 2.3e-16
    left = np.linspace(-26, 0, 20_001) * np.sqrt(2)
    truth = special.erfcx(-left / np.sqrt(2)) / 2  # Φ(x) without its factor exp(-x²/2)
    ours = numerics.normal_cdf(left) / np.exp(-0.5 * left * left)
    assert np.max(np.abs(ours / truth - 1)) <= 2e-15


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
def test_the_normal_distribution_reaches_its_limits_in_every_dtype(dtype):
    largest = np.finfo(dtype).max
    x = np.array([-np.inf, -largest, -1.0, -0.0, 0.0, 1.0, largest, np.inf], dtype)
    ours = numerics.normal_cdf(x)
    exact = np.array([0, 0, special.ndtr(-1.0), 0.5, 0.5, special.ndtr(1.0), 1, 1])
    np.testing.assert_allclose(ours, exact, rtol=4 * max(np.finfo(ours.dtype).eps, 1e-16), atol=0)
    assert ours[3] == ours[4] == 0.5
    assert np.isnan(numerics.normal_cdf(np.array([np.nan], dtype))).all()


def test_float32_is_right_to_its_own_last_digits():
    x = LINE.astype(np.float32)
    ours, truth = numerics.normal_cdf(x), special.ndtr(x.astype(np.float64))
    assert ours.dtype == np.float32
    near = x > -5  # further out, exp(-x²/2) loses digits with x²
    assert np.max(np.abs(ours[near] / truth[near] - 1)) <= 1e-6


def test_a_complex_step_through_the_normal_distribution_gives_its_density():
    x = LINE[np.abs(LINE) > 1e-250]
    slope = numerics.normal_cdf(x + 1e-300j).imag / 1e-300
    np.testing.assert_allclose(slope, np.exp(-x * x / 2) / np.sqrt(2 * np.pi), rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (2, 3, 4)])
def test_the_normal_distribution_takes_any_shape_and_leaves_it_alone(shape):
    x = RNG.normal(size=shape)
    before = x.copy() if shape else x
    np.testing.assert_allclose(numerics.normal_cdf(np.asarray(x)), special.ndtr(x), rtol=4e-15)
    np.testing.assert_array_equal(x, before)


def test_the_logistic_function_and_its_integral_have_all_their_digits_in_the_tails():
    x = np.linspace(-700, 700, 20_001)
    np.testing.assert_allclose(numerics.sigmoid(x), special.expit(x), rtol=1e-15)
    np.testing.assert_allclose(-numerics.softplus(-x), special.log_expit(x), rtol=1e-15)
    np.testing.assert_allclose(
        numerics.sigmoid_derivative(x), special.expit(x) * special.expit(-x), rtol=2e-15, atol=5e-324
    )


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_shares_along_an_axis_are_scipys(axis):
    x = 300 * RNG.normal(size=(5, 6)) + 1e4
    np.testing.assert_allclose(numerics.softmax(x, axis), special.softmax(x, axis=axis), rtol=1e-13)
    np.testing.assert_allclose(numerics.log_softmax(x, axis), special.log_softmax(x, axis=axis), rtol=1e-13)


@pytest.mark.parametrize("function", [numerics.softmax, lambda x, axis: np.exp(numerics.log_softmax(x, axis))])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shares_of_infinite_and_of_huge_numbers(function, dtype):
    huge = float(np.finfo(dtype).max)
    for x, shares in (
        ([np.inf, 0, huge], [1, 0, 0]),
        ([np.inf, np.inf, 0], [0.5, 0.5, 0]),
        ([-np.inf, 0, 0], [0, 0.5, 0.5]),
        ([huge, -huge, 0], [1, 0, 0]),
        ([-huge, -huge, -np.inf], [0.5, 0.5, 0]),
        ([-np.inf, -np.inf], [0.5, 0.5]),
    ):
        np.testing.assert_allclose(function(np.array(x, dtype), 0), shares, rtol=1e-6)


@pytest.mark.parametrize("function", [numerics.softmax, numerics.log_softmax])
def test_many_float16_numbers_are_added_up_in_float32(function):
    for count in (5_000, 70_000):  # in float16, 1 + 1 + ... stops at 2048
        x = np.linspace(0, 1, 2 * count).reshape(count, 2).astype(np.float16)
        ours = function(x, 0)
        assert ours.dtype == np.float16
        np.testing.assert_allclose(ours, function(x.astype(float), 0), rtol=1e-3, atol=1e-7)


def test_there_is_nothing_to_say_of_no_classes():
    for function in (numerics.softmax, numerics.log_softmax):
        assert function(np.zeros((2, 0)), 1).shape == (2, 0)
