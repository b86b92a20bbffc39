"""Initialisers: the distribution that each promises, drawn from the given generator, in place."""

import functools
import math

import numpy as np
import pytest

import tinynn as nn
from tinynn import init

SHAPE = (300, 200)  # out, in


def drawn(initialiser, shape=SHAPE, dtype=np.float64, **options):
    parameter = nn.Parameter(np.full(shape, np.inf), dtype=dtype)
    held = parameter.data
    result = initialiser(parameter, rng=np.random.default_rng(0), **options)
    assert parameter.data is held
    assert held.dtype == dtype
    return parameter.data, result


UNIFORM = {
    "uniform": (init.uniform_, {}, 0.0, 1.0),
    "uniform a b": (init.uniform_, {"a": -3, "b": 5}, -3, 5),
    "xavier": (init.xavier_uniform_, {}, -math.sqrt(6 / 500), math.sqrt(6 / 500)),
    "xavier gain": (init.xavier_uniform_, {"gain": 2}, -2 * math.sqrt(6 / 500), 2 * math.sqrt(6 / 500)),
    "kaiming": (init.kaiming_uniform_, {}, -math.sqrt(6 / 200), math.sqrt(6 / 200)),
    "kaiming slope": (init.kaiming_uniform_, {"a": math.sqrt(5)}, -1 / math.sqrt(200), 1 / math.sqrt(200)),
    "kaiming fan_out": (init.kaiming_uniform_, {"mode": "fan_out"}, -math.sqrt(6 / 300), math.sqrt(6 / 300)),
    "kaiming linear": (init.kaiming_uniform_, {"nonlinearity": "linear"}, -math.sqrt(3 / 200), math.sqrt(3 / 200)),
    "fan_in": (init.fan_in_uniform_, {}, -1 / math.sqrt(200), 1 / math.sqrt(200)),
    "fan_in given": (init.fan_in_uniform_, {"fan_in": 50}, -1 / math.sqrt(50), 1 / math.sqrt(50)),
}


@pytest.mark.parametrize(("initialiser", "options", "low", "high"), UNIFORM.values(), ids=UNIFORM)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_uniform_initialisers_fill_their_interval(initialiser, options, low, high, dtype):
    data, result = drawn(initialiser, dtype=dtype, **options)
    assert result is None
    width = high - low
    assert low - 1e-6 * width <= data.min() < low + width / 1000
    assert high - width / 1000 < data.max() <= high + 1e-6 * width
    quantiles = np.quantile(data, [0.25, 0.5, 0.75])
    np.testing.assert_allclose(quantiles, low + width * np.array([0.25, 0.5, 0.75]), atol=0.02 * width)


NORMAL = {
    "normal": (init.normal_, {}, 0, 1),
    "normal mean std": (init.normal_, {"mean": 3, "std": 0.5}, 3, 0.5),
    "xavier": (init.xavier_normal_, {"gain": 2}, 0, 2 * math.sqrt(2 / 500)),
    "kaiming": (init.kaiming_normal_, {}, 0, math.sqrt(2 / 200)),
    "kaiming fan_out tanh": (
        init.kaiming_normal_,
        {"mode": "fan_out", "nonlinearity": "tanh"},
        0,
        5 / 3 / math.sqrt(300),
    ),
    "arctan sigmoid": (init.arctan_sigmoid_, {}, 0, 4 / math.sqrt(200)),
    "arctan sigmoid gain": (init.arctan_sigmoid_, {"gain": math.pi}, 0, math.pi / math.sqrt(200)),
}


@pytest.mark.parametrize(("initialiser", "options", "mean", "std"), NORMAL.values(), ids=NORMAL)
def test_normal_initialisers_have_their_mean_and_deviation(initialiser, options, mean, std):
    data, _ = drawn(initialiser, **options)
    np.testing.assert_allclose(data.mean(), mean, atol=0.02 * std)
    np.testing.assert_allclose(data.std(), std, rtol=0.02)
    within = [np.mean(np.abs(data - mean) < k * std) for k in (1, 2, 3)]
    np.testing.assert_allclose(within, [0.6827, 0.9545, 0.9973], atol=0.01)


def test_constants():
    assert (drawn(init.zeros_)[0] == 0).all()
    assert (drawn(init.ones_)[0] == 1).all()
    assert (drawn(init.constant_, val=-2)[0] == -2).all()


def test_the_fans_of_a_kernel_count_its_field():
    data, _ = drawn(init.xavier_uniform_, shape=(8, 4, 3, 3))
    bound = math.sqrt(6 / ((8 + 4) * 9))
    assert 0.98 * bound < np.abs(data).max() <= bound


@pytest.mark.parametrize("name", sorted(set(init.__all__) - {"Initializer", "calculate_gain", "constant_"}))
def test_the_same_generator_gives_the_same_numbers(name):
    initialiser = getattr(init, name)
    parameters = [nn.Parameter(np.zeros((4, 3))) for _ in range(3)]
    for parameter, rng in zip(parameters, (7, np.random.default_rng(7), 8), strict=True):
        initialiser(parameter, rng=rng)
    np.testing.assert_array_equal(parameters[0].data, parameters[1].data)
    if name not in {"zeros_", "ones_"}:
        assert not np.array_equal(parameters[0].data, parameters[2].data)


@pytest.mark.parametrize(
    ("name", "param", "gain"),
    [
        ("linear", None, 1),
        ("sigmoid", None, 1),
        ("tanh", None, 5 / 3),
        ("relu", None, math.sqrt(2)),
        ("selu", None, 3 / 4),
        ("leaky_relu", None, math.sqrt(2 / 1.0001)),
        ("leaky_relu", 0.5, math.sqrt(1.6)),
        ("arctan_sigmoid", None, math.pi),
    ],
)
def test_gains(name, param, gain):
    assert init.calculate_gain(name, param) == pytest.approx(gain, rel=1e-15)


def test_the_default_of_linear_is_that_of_pytorch():
    layer = nn.Linear(50, 4000, rng=np.random.default_rng(0))
    for data in (layer.weight.data, layer.bias.data):
        assert 0.99 / math.sqrt(50) < np.abs(data).max() <= 1 / math.sqrt(50)


def test_layers_are_initialised_as_asked():
    layer = nn.Linear(3, 2, weight_init=init.zeros_, bias_init=functools.partial(init.constant_, val=2.0))
    np.testing.assert_array_equal(layer.weight.data, np.zeros((2, 3)))
    np.testing.assert_array_equal(layer.bias.data, [2, 2])
    layer.weight.data += 1
    layer.reset_parameters(0)
    np.testing.assert_array_equal(layer.weight.data, np.zeros((2, 3)))


def test_the_arctan_sigmoid_initialiser_sets_weight_and_bias_together():
    layer = nn.Linear(6, 4, rng=np.random.default_rng(0), weight_init=init.arctan_sigmoid_)
    np.testing.assert_allclose(layer.bias.data, -0.5 * layer.weight.data.sum(axis=1), rtol=1e-14)
    np.testing.assert_allclose(layer(np.full(6, 0.5)), np.zeros(4), atol=1e-14)
    given = nn.Linear(6, 4, weight_init=init.arctan_sigmoid_, bias_init=init.ones_)
    np.testing.assert_array_equal(given.bias.data, np.ones(4))
    assert nn.Linear(6, 4, bias=False, weight_init=init.arctan_sigmoid_).bias is None


@pytest.mark.parametrize("seed", range(5))
def test_with_it_the_gradient_of_layer_1_of_20_is_within_a_factor_of_5_of_that_of_layer_20(seed):
    rng = np.random.default_rng(seed)
    layers = []
    for _ in range(20):
        layers += [nn.Linear(64, 64, rng=rng, weight_init=init.arctan_sigmoid_), nn.ArctanSigmoid()]
    model = nn.Sequential(*layers)
    y = model(rng.normal(size=(128, 64)))
    model.backward(rng.normal(size=y.shape))
    norms = [np.linalg.norm(layer.weight.grad) for layer in layers[::2]]
    assert 1 / 5 < norms[0] / norms[-1] < 5
