"""Dropout and AlphaDropout: what is dropped, what is kept, and that each call keeps what it drew."""

import math

import numpy as np
import pytest

import tinynn as nn

X = np.random.default_rng(1).normal(size=(400, 500))
BOTH = pytest.mark.parametrize("kind", [nn.Dropout, nn.AlphaDropout])
FLOOR = -1.0507009873554805 * 1.6732632423543772  # SELU at -∞


def generator():
    return np.random.default_rng(0)


def test_what_is_kept_is_scaled_and_the_rest_is_zero():
    for p in (0.1, 0.5, 0.9):
        layer = nn.Dropout(p, rng=generator())
        y = layer(X)
        kept = y != 0
        np.testing.assert_allclose(y[kept], X[kept] / (1 - p), rtol=1e-15)
        assert abs(kept.mean() - (1 - p)) < 5 * math.sqrt(p * (1 - p) / X.size)
        np.testing.assert_array_equal(layer.backward(np.ones_like(X)) != 0, kept)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_alpha_dropout_puts_all_that_is_dropped_on_one_floor_and_keeps_mean_and_variance(p):
    layer = nn.AlphaDropout(p, rng=generator())
    y = layer(X)
    kept = layer.backward(np.ones_like(X)) != 0
    a = 1 / math.sqrt((1 - p) * (1 + p * FLOOR**2))
    b = -a * p * FLOOR
    np.testing.assert_allclose(y[kept], a * X[kept] + b, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(y[~kept], a * FLOOR + b, rtol=1e-12)
    assert abs(kept.mean() - (1 - p)) < 5 * math.sqrt(p * (1 - p) / X.size)
    assert abs(y.mean()) < 0.02
    assert abs(y.var() - 1) < 0.02


@BOTH
def test_everything_is_dropped_with_a_probability_of_1(kind):
    layer = kind(1, rng=generator())
    assert not layer(X).any()
    assert not layer.backward(X).any()


@BOTH
def test_nothing_is_drawn_where_nothing_can_be_dropped(kind):
    for layer in (kind(0, rng=generator()), kind(0.5, rng=generator()).eval()):
        before = layer.rng.bit_generator.state
        np.testing.assert_array_equal(layer(X), X)
        np.testing.assert_array_equal(layer.backward(X), X)
        assert layer.rng.bit_generator.state == before


@BOTH
def test_the_same_numbers_are_dropped_in_every_dtype_and_the_dtype_is_kept(kind):
    expected = kind(0.5, rng=generator())(X)
    for dtype in (np.float32, np.float16, ">f8"):
        layer = kind(0.5, rng=generator())
        y = layer(X.astype(dtype))
        assert y.dtype.newbyteorder("=") == np.dtype(dtype).newbyteorder("=")
        np.testing.assert_allclose(y, expected, rtol=0.01, atol=0.01)
        assert layer.backward(X).dtype.newbyteorder("=") == np.dtype(dtype).newbyteorder("=")


@BOTH
def test_layers_that_share_a_generator_drop_other_numbers(kind):
    rng = generator()
    first, second = kind(0.5, rng=rng), kind(0.5, rng=rng)
    assert (first(X) != second(X)).any()
    assert (first(X) != first(X)).any()


@BOTH
def test_a_call_is_undone_with_what_it_drew_although_the_mode_has_changed_since(kind):
    layer = kind(0.5, rng=generator())
    with nn.one_pass():
        layer(X)
        layer.eval()(X)
    layer.train()
    np.testing.assert_array_equal(layer.backward(X), X)
    assert (layer.backward(X) == 0).any()


@BOTH
def test_integers_become_numbers(kind):
    assert kind(0.5, rng=generator())([1, 2, 3]).dtype == np.float64


@pytest.mark.parametrize("kind", [nn.Dropout, nn.AlphaDropout, nn.Flatten])
def test_one_in_front_is_not_walked_by_backward_parameters(kind, monkeypatch):
    def fail(self, grad):
        raise AssertionError("it was walked")

    model = nn.Sequential(kind(), nn.Linear(3, 2))
    for walked, backward in ((True, model.backward), (False, model.backward_parameters)):
        model(np.ones((5, 3)))
        with monkeypatch.context() as patch:
            patch.setattr(kind, "backward", fail)
            if walked:
                with pytest.raises(AssertionError, match="it was walked"):
                    backward(np.ones((5, 2)))
            else:
                backward(np.ones((5, 2)))
    assert model[1].bias.grad.tolist() == [10, 10]


def test_a_model_draws_its_masks_from_the_generators_of_its_layers_alone():
    def outputs():
        rng = generator()
        model = nn.Sequential(nn.Linear(3, 4, rng=rng), nn.Dropout(rng=rng), nn.AlphaDropout(rng=rng))
        return [model(np.ones((5, 3))) for _ in range(3)]

    first = outputs()
    np.random.default_rng().normal()
    np.testing.assert_array_equal(first, outputs())
