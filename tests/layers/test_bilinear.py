"""Bilinear: its equation, and a subclass of it."""

import numpy as np
import pytest

import tinynn as nn
from tinynn.testing import check_layer

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("samples", [(), (1,), (5,), (2, 3), (0,), (2, 0)])
@pytest.mark.parametrize("bias", [True, False])
def test_it_is_its_equation_for_any_axes(samples, bias):
    layer = nn.Bilinear(3, 4, 2, bias, rng=RNG)
    u, v = RNG.normal(size=(*samples, 3)), RNG.normal(size=(*samples, 4))
    expected = np.einsum("kij,...i,...j->...k", layer.weight.data, u, v) + (layer.bias.data if bias else 0)
    y = layer(u, v)
    np.testing.assert_allclose(y, expected, rtol=1e-13, atol=1e-14)
    at_u, at_v = layer.backward(y)
    np.testing.assert_allclose(at_u, np.einsum("kij,...k,...j->...i", layer.weight.data, y, v), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(at_v, np.einsum("kij,...k,...i->...j", layer.weight.data, y, u), rtol=1e-12, atol=1e-14)


def test_integers_and_other_dtypes_become_its_own():
    layer = nn.Bilinear(3, 4, 2, rng=RNG, dtype=np.float32)
    y = layer(np.ones((5, 3), int), np.ones((5, 4)))
    assert y.dtype == np.float32
    assert [grad.dtype for grad in layer.backward(y)] == [np.float32, np.float32]


class Towers(nn.Layer):
    """(f(x), g(x))."""

    def __init__(self):
        self.f, self.g = nn.Linear(3, 3, rng=RNG), nn.Linear(3, 4, rng=RNG)

    def forward(self, x):
        return self.f(x), self.g(x)

    def backward(self, at_f, at_g):
        at_x = self.g.backward(at_g)
        return at_x + self.f.backward(at_f)


def test_it_follows_two_branches_that_a_layer_of_ones_own_returns():
    assert not check_layer(
        lambda: nn.Sequential(Towers(), nn.Bilinear(3, 4, 2, rng=RNG)).reset_parameters(0), (5, 3), verbose=False
    ).failures


def test_a_subclass_may_add_parameters_and_redraw_them():
    class Scaled(nn.Bilinear):
        def __init__(self, *sizes, rng=None):
            self.scale = nn.Parameter(np.zeros(sizes[2]))
            super().__init__(*sizes, rng=rng)

        def draw_parameters(self, rng):
            super().draw_parameters(rng)
            nn.init.normal_(self.scale, rng=rng)

    layer, other = Scaled(3, 4, 2), Scaled(3, 4, 2)
    for name, value in layer.reset_parameters(rng=1).state_dict().items():
        np.testing.assert_array_equal(value, other.reset_parameters(rng=1).state_dict()[name])


def test_parameters_start_within_pytorchs_bounds():
    layer = nn.Bilinear(16, 50, 20, rng=np.random.default_rng(1))
    for parameter in layer.parameters():
        assert 0.2 < np.abs(parameter.data).max() <= 0.25
