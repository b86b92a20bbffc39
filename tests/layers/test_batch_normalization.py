"""BatchNorm1d and BatchNorm2d: what they remember, when it moves, and what a backward relies on."""

import copy

import numpy as np
import pytest

import tinynn as nn
from tinynn.testing import check_gradients

BATCHES = np.random.default_rng(0).normal(2, 3, size=(4, 6, 3))
GRAD = np.random.default_rng(1).normal(size=(6, 3))


def state(layer):
    return {name: value.data.copy() for name, value in layer.named_buffers()}


def unmoved(layer, before):
    return all(np.array_equal(value, before[name]) for name, value in state(layer).items())


def test_running_statistics_follow_the_batches():
    layer = nn.BatchNorm1d(3, momentum=0.2)
    mean, var = np.zeros(3), np.ones(3)
    for count, batch in enumerate(BATCHES, start=1):
        y = layer(batch)
        mean = 0.8 * mean + 0.2 * batch.mean(axis=0)
        var = 0.8 * var + 0.2 * batch.var(axis=0, ddof=1)
        np.testing.assert_allclose(layer.running_mean.data, mean, rtol=1e-14)
        np.testing.assert_allclose(layer.running_var.data, var, rtol=1e-14)
        assert layer.num_batches_tracked.data == count
        np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-14)
        np.testing.assert_allclose(y.var(axis=0), 1, rtol=1e-5)
    layer.eval()
    np.testing.assert_allclose(layer(BATCHES[0]), (BATCHES[0] - mean) / np.sqrt(var + 1e-5), rtol=1e-13)


def test_without_momentum_they_are_the_average_of_all_batches():
    layer = nn.BatchNorm1d(3, momentum=None)
    for batch in BATCHES:
        layer(batch)
    np.testing.assert_allclose(layer.running_mean.data, BATCHES.mean(axis=(0, 1)), rtol=1e-13)
    np.testing.assert_allclose(layer.running_var.data, BATCHES.var(axis=1, ddof=1).mean(axis=0), rtol=1e-13)


def test_those_of_images_are_over_samples_rows_and_columns():
    images = np.random.default_rng(2).normal(size=(5, 3, 4, 2))
    layer = nn.BatchNorm2d(3, momentum=1)
    layer(images)
    np.testing.assert_allclose(layer.running_mean.data, images.mean(axis=(0, 2, 3)), rtol=1e-13)
    np.testing.assert_allclose(layer.running_var.data, images.var(axis=(0, 2, 3), ddof=1), rtol=1e-13)


def test_they_move_once_in_each_forward_in_training_and_at_no_other_time():
    layer = nn.BatchNorm1d(3)
    live = layer.running_mean.data, layer.running_var.data, layer.num_batches_tracked.data
    before = state(layer)
    layer.eval()(BATCHES[0])
    layer.backward(GRAD)
    assert unmoved(layer, before)
    layer.train()(BATCHES[0])
    before = state(layer)
    assert before["num_batches_tracked"] == 1
    layer.backward(GRAD)
    assert unmoved(layer, before)
    with nn.no_grad():
        layer(BATCHES[1])
    assert layer.num_batches_tracked.data == 2
    assert all(now is then for now, then in zip([b.data for b in layer.buffers()], live, strict=True))


def test_a_gradient_check_and_a_summary_put_them_back():
    layer = nn.BatchNorm1d(3)
    layer(BATCHES[0])
    before = state(layer)
    assert check_gradients(layer, BATCHES[1]).largest.error < 1e-12
    layer.summary((6, 3))
    assert unmoved(layer, before)


def test_a_backward_in_evaluation_has_the_statistics_of_its_own_forward():
    layer = nn.BatchNorm1d(3)
    layer(BATCHES[0])
    expected = GRAD / np.sqrt(layer.running_var.data + layer.eps)
    with nn.one_pass():
        layer.eval()(BATCHES[1])
        layer.train()(BATCHES[2])
    layer.backward(GRAD)
    np.testing.assert_allclose(layer.backward(GRAD), expected, rtol=1e-14)


def test_a_backward_undoes_the_forward_of_the_mode_that_it_was_made_in():
    layer, twin = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    layer(BATCHES[0])
    twin(BATCHES[0])
    np.testing.assert_array_equal(layer.eval().backward(GRAD), twin.backward(GRAD))


def test_a_layer_that_is_called_twice_in_a_pass_is_no_anomaly():
    layer = nn.BatchNorm1d(3)
    model = nn.Sequential(layer, nn.Tanh(), layer)
    with nn.detect_anomaly():
        model(BATCHES[0])
        model.backward(GRAD)
    assert layer.num_batches_tracked.data == 2


def test_a_batch_without_samples_counts_but_says_nothing():
    for layer, shape in (
        (nn.BatchNorm1d(3), (0, 3)),
        (nn.BatchNorm1d(3), (2, 3, 0)),
        (nn.BatchNorm2d(3), (0, 3, 2, 2)),
    ):
        assert layer(np.ones(shape)).shape == shape
        assert layer.backward(np.ones(shape)).shape == shape
        assert not layer.running_mean.data.any()
        assert layer.running_var.data.tolist() == [1, 1, 1]
        assert layer.num_batches_tracked.data == 1
        assert not layer.weight.grad.any()


def test_one_number_for_a_feature_is_an_error_where_the_batch_is_looked_at_and_only_there():
    layer, one = nn.BatchNorm1d(3), np.ones((1, 3))
    before = state(layer)
    with pytest.raises(ValueError, match="more than one number for each feature in training"):
        layer(one)
    assert unmoved(layer, before)
    assert layer.eval()(one).shape == (1, 3)
    assert layer.train()(np.ones((1, 3, 2))).shape == (1, 3, 2)
    with pytest.raises(ValueError, match="more than one number"):
        nn.BatchNorm1d(3, track_running_stats=False).eval()(one)


def test_without_running_statistics_there_are_none_and_evaluation_is_training():
    layer = nn.BatchNorm1d(3, track_running_stats=False)
    assert list(layer.state_dict()) == ["weight", "bias"]
    assert layer.running_mean is layer.running_var is layer.num_batches_tracked is None
    y = layer(BATCHES[0])
    at_x = layer.backward(GRAD)
    layer.eval()
    np.testing.assert_array_equal(layer(BATCHES[0]), y)
    np.testing.assert_array_equal(layer.backward(GRAD), at_x)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ["weight", "bias"]),
        ({"bias": False}, ["weight"]),
        ({"affine": False}, []),
        ({"affine": False, "bias": False}, []),
    ],
)
def test_parameters_are_there_where_they_are_wanted(options, names):
    layer = nn.BatchNorm1d(3, **options)
    assert list(layer.state_dict()) == [*names, "running_mean", "running_var", "num_batches_tracked"]


def test_it_computes_in_the_dtype_of_its_state():
    for options in ({}, {"affine": False}):
        layer = nn.BatchNorm1d(3, dtype=np.float32, **options)
        assert layer(BATCHES[0]).dtype == np.float32
        assert layer.backward(GRAD).dtype == np.float32
        layer.astype(np.float64)
        assert layer(BATCHES[0].astype(np.float32)).dtype == np.float64
        assert layer.num_batches_tracked.dtype == np.int64
    untracked = nn.BatchNorm1d(3, affine=False, track_running_stats=False)
    assert untracked(BATCHES[0].astype(np.float32)).dtype == np.float32


def test_redrawing_forgets_the_batches():
    layer = nn.BatchNorm1d(3)
    fresh = layer.state_dict()
    layer(BATCHES[0])
    layer.weight.data = [1, 2, 3]
    layer.bias.data = [1, 2, 3]
    layer.reset_running_stats()
    assert layer.running_var.data.tolist() == [1, 1, 1]
    assert layer.weight.data.tolist() == [1, 2, 3]
    layer(BATCHES[0])
    layer.reset_parameters()
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(value, fresh[name])


def test_what_it_remembers_is_saved_and_continues_elsewhere():
    layer, other = nn.BatchNorm1d(3, momentum=None), nn.BatchNorm1d(3, momentum=None)
    layer(BATCHES[0])
    other.load_state_dict(layer.state_dict())
    twin = copy.deepcopy(layer)
    for one in (layer, other, twin):
        one(BATCHES[1])
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(value, other.state_dict()[name])
        np.testing.assert_array_equal(value, twin.state_dict()[name])


def test_far_from_zero_float32_loses_no_digits():
    x = (1000 + 0.1 * np.random.default_rng(3).normal(size=(50, 3))).astype(np.float32)
    exact, narrow = nn.BatchNorm1d(3, momentum=1), nn.BatchNorm1d(3, momentum=1, dtype=np.float32)
    np.testing.assert_allclose(narrow(x), exact(x), atol=2e-6)
    np.testing.assert_allclose(narrow.running_mean.data, exact.running_mean.data, rtol=1e-7)
    np.testing.assert_allclose(narrow.running_var.data, exact.running_var.data, rtol=1e-5)
