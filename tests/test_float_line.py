"""Nonlinearities on the whole float line: no warning, no digit lost in a tail, the limits at infinity.

The references compute with 60 digits, in the plainest form of each equation.
"""

from __future__ import annotations

from decimal import Context, Decimal, localcontext
from functools import partial

import numpy as np
import pytest
from scipy import special

import tinynn as nn
from tests.catalogue import LAYERS
from tinynn.layers.elementwise import Elementwise

MAGNITUDES = (
    *(1e-45, 1e-40, 1e-30, 1e-12, 1e-8, 1e-4, 1e-3, 0.05, 0.3, 0.5, 0.75, 0.96875, 1.0, 1.03125, 1.5, 2.0, 2.5, 4.0),
    *(5.0, 8.0, 12.0, 17.0, 19.5, 21.0, 29.0, 37.0, 50.0, 88.0, 104.0, 1e4, 1e10, 1.8e19, 2e19, 1e30, 3e38),
)
WIDE = (*MAGNITUDES, 5e-324, 1e-310, 1e-100, 300.0, 700.0, 745.0, 1e100, 1.4e154, 1.7e308)
DTYPES = {"float32": MAGNITUDES, "float64": WIDE}
in_both_dtypes = pytest.mark.parametrize("dtype", DTYPES)

CONTEXT = Context(prec=400, Emin=-(10**15), Emax=10**15)
FAR = Decimal(3000)
"""Where every exponential has become 0 or is all there is, for any dtype."""


def line(dtype):
    """Return numbers all over the float line."""
    x = np.array(DTYPES[dtype], dtype)
    return np.concatenate([-x, np.zeros(1, dtype), x])


def exp(x):
    return min(max(x, -FAR), FAR).exp(CONTEXT)


def logistic(x):
    return 1 / (1 + exp(-x))


def tanh(x):
    return (exp(2 * x) - 1) / (exp(2 * x) + 1)


def soft(x):
    return x if x > FAR else (1 + exp(x)).ln(CONTEXT)


def number(x):
    return Decimal(repr(x))


def mish(x):
    return tanh(soft(x))


def gelu_argument(x):
    return (Decimal(8) / PI).sqrt(CONTEXT) * (x + number(0.044715) * x**3)


PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899")
SCALE, ALPHA = Decimal("1.0507009873554804934193349852946"), Decimal("1.6732632423543772848170429916717")

# layer, function, derivative; how much the relative error may grow with |x|, for arguments of exp that are rounded
SMOOTH = {
    "Sigmoid": (nn.Sigmoid, logistic, lambda x: logistic(x) * logistic(-x), 0),
    "LogSigmoid": (nn.LogSigmoid, lambda x: -soft(-x), lambda x: logistic(-x), 0),
    "Tanh": (nn.Tanh, tanh, lambda x: 1 - tanh(x) ** 2, 0),
    "Tanhshrink": (nn.Tanhshrink, lambda x: x - tanh(x), lambda x: tanh(x) ** 2, 0),
    "Softsign": (nn.Softsign, lambda x: x / (1 + abs(x)), lambda x: 1 / (1 + abs(x)) ** 2, 0),
    "ELU": (
        partial(nn.ELU, 0.5),
        lambda x: x if x > 0 else (exp(x) - 1) / 2,
        lambda x: 1 if x > 0 else exp(x) / 2,
        0,
    ),
    "CELU": (
        partial(nn.CELU, 0.5),
        lambda x: x if x > 0 else (exp(2 * x) - 1) / 2,
        lambda x: 1 if x > 0 else exp(2 * x),
        0,
    ),
    "CELU-wide": (
        partial(nn.CELU, 16.0),
        lambda x: x if x > 0 else 16 * (exp(x / 16) - 1),
        lambda x: 1 if x > 0 else exp(x / 16),
        0,
    ),
    "SELU": (
        nn.SELU,
        lambda x: SCALE * (x if x > 0 else ALPHA * (exp(x) - 1)),
        lambda x: SCALE * (1 if x > 0 else ALPHA * exp(x)),
        0,
    ),
    "Softplus": (
        partial(nn.Softplus, 2.0, 30.0),
        lambda x: x if 2 * x > 30 else soft(2 * x) / 2,
        lambda x: 1 if 2 * x > 30 else logistic(2 * x),
        0,
    ),
    "Softplus-wide": (
        partial(nn.Softplus, 2.0**-10, 1.0),
        lambda x: x if x > 1024 else soft(x / 1024) * 1024,
        lambda x: 1 if x > 1024 else logistic(x / 1024),
        0,
    ),
    "SiLU": (nn.SiLU, lambda x: x * logistic(x), lambda x: logistic(x) * (1 + x * logistic(-x)), 0),
    "Mish": (
        nn.Mish,
        lambda x: x * mish(x),
        lambda x: mish(x) + x * (1 - mish(x) ** 2) * logistic(x),
        0,
    ),
    "GELU-tanh": (
        partial(nn.GELU, "tanh"),
        lambda x: x * logistic(gelu_argument(x)),
        lambda x: (
            logistic(gelu_argument(x))
            + x
            * logistic(gelu_argument(x))
            * logistic(-gelu_argument(x))
            * (Decimal(8) / PI).sqrt(CONTEXT)
            * (1 + 3 * number(0.044715) * x * x)
        ),
        12,
    ),
}


@pytest.mark.parametrize("name", SMOOTH)
@in_both_dtypes
def test_every_digit_is_right_on_the_whole_float_line(name, dtype):
    make, function, derivative, growth = SMOOTH[name]
    layer, x = make(), line(dtype)
    y, slope = layer(x), layer.backward(np.ones_like(x))
    eps, smallest = (Decimal(float(getattr(np.finfo(dtype), limit))) for limit in ("eps", "smallest_subnormal"))
    with localcontext(CONTEXT):
        for at, *actual in zip(*(map(Decimal, array.tolist()) for array in (x, y, slope)), strict=True):
            exact = function(at), derivative(at)
            # where the two terms of a gate's slope cancel, it has the digits of the terms
            sizes = abs(exact[0]), abs(exact[1]) + (abs(exact[0] / at) if at else 0)
            near = min(abs(at), 1000)
            for ours, truth, size in zip(actual, exact, sizes, strict=True):
                allowed = eps * (8 + growth * min(near, 30) ** 2) * size + 16 * (1 + near) * smallest
                assert abs(ours - truth) <= allowed, f"{at}: {ours}, exactly {float(truth)}"


@in_both_dtypes
def test_gelu_has_its_digits_in_both_tails(dtype):
    layer, x = nn.GELU(), line(dtype)
    y, slope = layer(x), layer.backward(np.ones_like(x))
    wide = np.clip(x.astype(np.float64), -40, 40)
    phi = np.exp(-wide * wide / 2) / np.sqrt(2 * np.pi)
    eps, tiny = float(np.finfo(dtype).eps), float(np.finfo(dtype).smallest_subnormal)
    room = eps * (8 + wide * wide)
    truth = np.where(wide < 40, wide, x.astype(np.float64)) * special.ndtr(wide)
    assert (np.abs(y - truth) <= room * np.abs(truth) + 64 * tiny).all()
    truth = special.ndtr(wide) + wide * phi
    assert (np.abs(slope - truth) <= room * (np.abs(truth) + special.ndtr(wide)) + 64 * tiny).all()


# values and slopes at -∞ and at ∞
LIMITS = {
    "ArctanSigmoid-2-D": (0, 1, 0, 0),
    "CELU-2-D": (-1, np.inf, 0, 1),
    "CELU-alpha": (-0.3, np.inf, 0, 1),
    "ELU-2-D": (-1, np.inf, 0, 1),
    "ELU-alpha": (-0.3, np.inf, 0, 1),
    "GELU-2-D": (0, np.inf, 0, 1),
    "GELU-tanh": (0, np.inf, 0, 1),
    "Hardsigmoid-2-D": (0, 1, 0, 0),
    "Hardswish-2-D": (0, np.inf, 0, 1),
    "Hardtanh-2-D": (-1, 1, 0, 0),
    "Hardtanh-bounds": (-0.5, 2, 0, 0),
    "LeakyReLU-2-D": (-np.inf, np.inf, 0.01, 1),
    "LeakyReLU-slope": (-np.inf, np.inf, 0.3, 1),
    "LogSigmoid-2-D": (-np.inf, 0, 1, 0),
    "Mish-2-D": (0, np.inf, 0, 1),
    "PReLU-one-slope": (-np.inf, np.inf, 0.25, 1),
    "ReLU-2-D": (0, np.inf, 0, 1),
    "ReLU6-2-D": (0, 6, 0, 0),
    "SELU-2-D": (-1.0507009873554805 * 1.6732632423543772, np.inf, 0, 1.0507009873554805),
    "SiLU-2-D": (0, np.inf, 0, 1),
    "Sigmoid-2-D": (0, 1, 0, 0),
    "Softplus-2-D": (0, np.inf, 0, 1),
    "Softplus-threshold": (0, np.inf, 0, 1),
    "Softsign-2-D": (-1, 1, 0, 0),
    "Tanh-2-D": (-1, 1, 0, 0),
    "Tanhshrink-2-D": (-np.inf, np.inf, 1, 1),
}
ROWS = {str(row): row for row in LAYERS}


def test_every_nonlinearity_has_its_limits_here():
    elementwise = {str(row) for row in LAYERS if issubclass(row.covers, Elementwise) and row.covers is not Elementwise}
    assert elementwise - {"Tanh-4-D"} <= set(LIMITS)


@pytest.mark.parametrize("name", LIMITS)
@in_both_dtypes
def test_limits_are_reached_at_infinity(name, dtype):
    layer = ROWS[name].case.layer(np.dtype(dtype))
    x = np.array([-np.inf, np.inf], dtype)
    y = layer(x)
    slope = layer.backward(np.ones_like(x))
    np.testing.assert_allclose(np.concatenate([y, slope]), LIMITS[name], rtol=1e-6)
    assert y.dtype == slope.dtype == dtype


@pytest.mark.parametrize("name", LIMITS)
@in_both_dtypes
def test_nothing_overflows_or_warns_anywhere_on_the_float_line(name, dtype):
    layer = ROWS[name].case.layer(np.dtype(dtype))
    x = line(dtype)
    with np.errstate(all="raise", under="ignore"):
        y = layer(x)
    assert np.isfinite(y).all()
    assert np.isfinite(layer.backward(np.ones_like(x))).all()


def test_a_leaky_slope_of_zero_is_a_rectifier_at_infinity_too():
    layer = nn.LeakyReLU(0.0)
    np.testing.assert_array_equal(layer(np.array([-np.inf, -1.0, 1.0, np.inf])), [0, 0, 1, np.inf])


@pytest.mark.parametrize("layer", [nn.ReLU(), nn.ReLU6(), nn.Hardtanh(), nn.Hardsigmoid()], ids=repr)
def test_flat_pieces_let_no_gradient_through_however_large_it_is(layer):
    layer(np.array([-9.0, 9.0 if type(layer) is not nn.ReLU else -1.0]))
    np.testing.assert_array_equal(layer.backward([np.inf, -np.inf]), [0, 0])


def test_the_flat_piece_of_hardswish_lets_no_gradient_through_and_its_slope_all():
    layer = nn.Hardswish()
    layer(np.array([-9.0, 9.0]))
    np.testing.assert_array_equal(layer.backward([np.inf, np.inf]), [0, np.inf])


def test_a_learned_slope_of_zero_is_a_rectifier_at_infinity_too():
    layer = nn.PReLU(init=0.0)
    np.testing.assert_array_equal(layer(np.array([-np.inf, 1.0, -2.0])), [0, 1, 0])
    layer(np.array([1.0, -2.0]))
    np.testing.assert_array_equal(layer.backward([np.inf, np.inf]), [np.inf, 0])
    assert layer.weight.grad == -np.inf


@pytest.mark.parametrize(
    ("layer", "dtype", "x", "y", "slope"),
    [
        (nn.CELU(1e-8), np.float16, [-1, 0, 1], [0, 0, 1], [0, 1, 1]),
        (nn.CELU(1e-50), np.float32, [-1, 0, 1], [0, 0, 1], [0, 1, 1]),
        (nn.CELU(100.0), np.float16, [-65504, 0, 1], [-100, 0, 1], [0, 1, 1]),
        (nn.Hardtanh(-1e39, 1e39), np.float32, [-np.inf, 3e38], [-np.inf, 3e38], [0, 1]),
        (nn.Softplus(0.01), np.float16, [-65504, 65504], [0, 65504], [0, 1]),
    ],
    ids=str,
)
def test_constants_beyond_the_range_of_the_dtype_do_no_harm(layer, dtype, x, y, slope):
    x = np.array(x, dtype)
    np.testing.assert_allclose(layer(x), np.array(y, dtype), atol=1e-6)
    np.testing.assert_allclose(layer.backward(np.ones_like(x)), slope, atol=1e-6)
