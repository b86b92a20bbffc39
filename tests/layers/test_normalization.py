"""LayerNorm, RMSNorm and GroupNorm: what is promised of them beyond the laws and PyTorch's numbers."""

import numpy as np
import pytest

import tinynn as nn
from tinynn.testing import check_layer

X = np.random.default_rng(0).normal(3, 2, size=(5, 6, 4))
GRAD = np.random.default_rng(1).normal(size=(5, 6, 4))


def run(layer, x=X, grad=GRAD):
    return layer(x), layer.backward(grad)


def test_what_comes_out_has_mean_0_and_variance_1():
    for layer, rows in (
        (nn.LayerNorm(4, eps=0), X.reshape(30, 4)),
        (nn.LayerNorm((6, 4), eps=0), X.reshape(5, 24)),
        (nn.GroupNorm(3, 6, eps=0), X.reshape(15, 8)),
    ):
        y = layer(X).reshape(rows.shape)
        np.testing.assert_allclose(y, (rows - rows.mean(1, keepdims=True)) / rows.std(1, keepdims=True), rtol=1e-12)


def test_one_group_is_all_channels_and_as_many_groups_as_channels_are_one_each():
    for group, axes in ((nn.GroupNorm(1, 6, affine=False), (6, 4)), (nn.GroupNorm(6, 6, affine=False), 4)):
        layer = nn.LayerNorm(axes, elementwise_affine=False)
        for ours, expected in zip(run(group), run(layer), strict=True):
            np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-13)


def test_rms_norm_is_layer_norm_where_the_mean_is_0():
    centred = X - X.mean(axis=-1, keepdims=True)
    np.testing.assert_allclose(nn.RMSNorm(4, eps=1e-5)(centred), nn.LayerNorm(4)(centred), rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_eps_of_rms_norm_is_that_of_the_dtype(dtype):
    eps = np.finfo(dtype).eps
    x = np.full(4, np.sqrt(3 * eps), dtype)
    layer = nn.RMSNorm(4, dtype=dtype)
    np.testing.assert_allclose(layer(x), np.sqrt(3 / 4), rtol=1e-6)
    np.testing.assert_allclose(nn.RMSNorm(4, elementwise_affine=False)(x), np.sqrt(3 / 4), rtol=1e-6)


@pytest.mark.parametrize(
    "layer", [nn.LayerNorm(4), nn.RMSNorm(4), nn.GroupNorm(1, 4), nn.LayerNorm(4, bias=False)], ids=repr
)
@pytest.mark.parametrize("factor", [1e-3, 1e4, 1e15])
def test_scale_makes_no_difference_where_eps_does_not_count(layer, factor):
    x = np.random.default_rng(2).normal(size=(5, 4))
    (y, at_x), (scaled, at_scaled) = run(layer, 1e6 * x, x), run(layer, 1e6 * factor * x, x)
    np.testing.assert_allclose(scaled, y, rtol=1e-9)
    np.testing.assert_allclose(factor * at_scaled, at_x, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("kind", [nn.LayerNorm, nn.RMSNorm])
def test_equal_zero_and_subnormal_numbers_give_finite_ones(kind):
    for x in (np.zeros((5, 4)), np.full((5, 4), 5e-324), np.array([[5e-324, 0, 1e-310, -1e-310]])):
        for dtype in (np.float64, np.float32):
            for number in run(kind(4, dtype=dtype), x.astype(dtype), np.ones(x.shape)):
                assert np.isfinite(number).all()
    assert not nn.LayerNorm(4)(np.full((5, 4), 7.0)).any()


def test_far_from_zero_float32_loses_no_digits():
    x = (1000 + 0.1 * np.random.default_rng(3).normal(size=(50, 8))).astype(np.float32)
    for narrow, exact in (
        (nn.LayerNorm(8, dtype=np.float32), nn.LayerNorm(8)),
        (nn.GroupNorm(2, 8, dtype=np.float32), nn.GroupNorm(2, 8)),
    ):
        np.testing.assert_allclose(narrow(x), exact(x), atol=3e-6)


@pytest.mark.parametrize(
    ("layer", "names"),
    [
        (nn.LayerNorm(4), ["weight", "bias"]),
        (nn.LayerNorm(4, bias=False), ["weight"]),
        (nn.LayerNorm(4, elementwise_affine=False), []),
        (nn.RMSNorm(4), ["weight"]),
        (nn.RMSNorm(4, elementwise_affine=False), []),
        (nn.GroupNorm(2, 4), ["weight", "bias"]),
        (nn.GroupNorm(2, 4, bias=False), ["weight"]),
        (nn.GroupNorm(2, 4, affine=False), []),
    ],
    ids=repr,
)
def test_parameters_are_there_where_they_are_wanted_and_start_as_ones_and_zeros(layer, names):
    start = {"weight": [1.0] * 4, "bias": [0.0] * 4}
    assert {name: value.tolist() for name, value in layer.state_dict().items()} == {n: start[n] for n in names}
    for parameter in layer.parameters():
        parameter.data += 3
    layer.reset_parameters()
    assert {name: value.tolist() for name, value in layer.state_dict().items()} == {n: start[n] for n in names}


class Gained(nn.LayerNorm):
    """A LayerNorm with a gain for everything."""

    def __init__(self, normalized_shape):
        super().__init__(normalized_shape)
        self.gain = nn.Parameter(np.ones(1))

    def draw_parameters(self, rng):
        super().draw_parameters(rng)
        nn.init.normal_(self.gain, rng=rng)

    def forward(self, x):
        y = super().forward(x)
        self.saved.push(y)
        return self.gain.data * y

    def backward(self, grad):
        y = self.saved.pop()
        self.gain.add_grad(np.sum(grad * y).reshape(1))
        return super().backward(self.gain.data * grad)


def test_a_subclass_may_add_parameters():
    assert not check_layer(lambda: Gained(4).reset_parameters(rng=0), (5, 4), verbose=False).failures
    assert repr(Gained(4)) == "Gained(4)"
    layer = Gained(4)
    layer.weight.data += 1
    layer.reset_parameters(rng=0)
    assert layer.weight.data.tolist() == [1] * 4
    assert layer.gain.data == np.random.default_rng(0).normal(size=1)


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: nn.LayerNorm((200, 20), elementwise_affine=False), (3, 200, 20)),
        (lambda: nn.RMSNorm((200, 20), elementwise_affine=False), (3, 200, 20)),
        (lambda: nn.GroupNorm(1, 200, affine=False), (3, 200, 20)),
        (lambda: nn.BatchNorm1d(2, affine=False, track_running_stats=False), (5000, 2)),
        (lambda: nn.Softmax(dim=0), (5000, 2)),
        (lambda: nn.Softmin(dim=0), (5000, 2)),
        (lambda: nn.LogSoftmax(dim=0), (5000, 2)),
    ],
)
def test_float16_is_squared_and_added_up_in_float32(make, shape):
    rng, layer = np.random.default_rng(0), make()
    x = (10 + (1 if len(shape) == 2 else 100) * rng.normal(size=shape)).astype(np.float16)
    grad = rng.uniform(1, 2, size=shape).astype(np.float16)
    y, at_x = run(layer, x, grad)
    assert y.dtype == at_x.dtype == np.float16
    for ours, exact in zip((y, at_x), run(layer, x.astype(float), grad.astype(float)), strict=True):
        np.testing.assert_allclose(ours, exact, rtol=2e-2, atol=2e-3 * np.abs(exact).max())


def test_the_eps_of_rms_norm_is_that_of_float32_where_it_computes_in_float32():
    x = np.full(4, 2e-3, np.float16)
    np.testing.assert_allclose(
        nn.RMSNorm(4, elementwise_affine=False)(x), nn.RMSNorm(4, dtype=np.float32)(x), rtol=1e-3
    )
