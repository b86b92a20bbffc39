"""Losses at the ends of the float line: the limit where there is one, and never a warning."""

import math

import numpy as np
import pytest

import tinynn as nn

INF = math.inf
HUGE = {"float32": 3e38, "float64": 1.7e308}
TINY = {"float32": 1e-45, "float64": 5e-324}

# a loss, its inputs, the losses of single elements, the gradients at the inputs; texts stand for numbers above
CASES = {
    "absolute": (
        nn.L1Loss,
        [["huge", -INF, "tiny", "huge"], [0, 0, 0, "-huge"]],
        ["huge", INF, "tiny", INF],
        [[1, -1, 1, 1]],
    ),
    "smooth": (nn.SmoothL1Loss, [["huge", -INF, "tiny"], [0, 0, 0]], ["huge", INF, 0], [[1, -1, "tiny"]]),
    "smooth and sharp": (
        lambda **options: nn.SmoothL1Loss(beta=1e-30, **options),
        [["huge", -1e30, 1e-30, 0], [0, 0, 0, 0]],
        ["huge", 1e30, 5e-31, 0],
        [[1, -1, 1, 0]],
    ),
    "Huber": (nn.HuberLoss, [["huge", -INF, "tiny"], [0, 0, 0]], ["huge", INF, 0], [[1, -1, "tiny"]]),
    "logits": (
        nn.BCEWithLogitsLoss,
        [[INF, INF, -INF, -INF, "huge", "-huge", "-huge", 50, -50], [1, 0, 0, 1, 1, 0, 1, 1, 0]],
        [0, INF, 0, INF, 0, 0, "huge", "e^-50", "e^-50"],
        [[0, 1, 0, -1, 0, 0, -1, "-e^-50", "e^-50"]],
    ),
    "probabilities": (nn.BCELoss, [[0, 0, 1, 1], [0, 1, 0, 1]], [0, 100, 100, 0], None),
    "divergence": (
        nn.KLDivLoss,
        [[-INF, -INF, 0, "-huge"], [0, 1, 0, 0]],
        [0, INF, 0, 0],
        [[0, -1, 0, 0]],
    ),
    "divergence of logarithms": (
        lambda **options: nn.KLDivLoss(log_target=True, **options),
        [[-INF, -INF, 0, "huge"], [-INF, 0, -INF, "-huge"]],
        [0, INF, 0, 0],
        [[0, -1, 0, 0]],
    ),
    "rate": (
        nn.PoissonNLLLoss,
        [[-INF, -INF, 1e4, "-huge", 1e30], [0, 2, 3, 0, 1]],
        [0, INF, INF, 0, INF],
        [[0, -2, INF, 0, INF]],
    ),
    "hinge": (
        nn.HingeEmbeddingLoss,
        [[INF, -INF, INF, "-huge", "huge"], [-1, -1, 1, -1, 1]],
        [0, INF, INF, "huge", "huge"],
        [[0, -1, 1, -1, 1]],
    ),
    "cosine": (
        nn.CosineEmbeddingLoss,
        [[["huge", 0], ["huge", "huge"]], [["huge", 0], ["-huge", "-huge"]], [1, -1]],
        [0, 0],
        [[[0, 0], [0, 0]], [[0, 0], [0, 0]]],
    ),
    "triplet": (
        nn.TripletMarginLoss,
        [[["huge", 0], [1e30, 0]], [[0, 0], [0, 0]], [["huge", 0], [0, 1e30]]],
        ["huge", 0],
        None,
    ),
    "labels": (
        nn.NLLLoss,
        [[[-INF, 0], [-INF, 0], ["-huge", "huge"]], [1, 0, 0]],
        [0, INF, "huge"],
        [[[0, -1], [-1, 0], [-1, 0]]],
    ),
}


def number(value, dtype):
    size = {
        "huge": HUGE[dtype],
        "tiny": TINY[dtype],
        "e^-50": math.exp(-50),
    }
    return math.copysign(1, -value.startswith("-")) * size[value.lstrip("-")] if isinstance(value, str) else value


def array(values, dtype):
    if isinstance(values, list) and values and isinstance(values[0], list):
        return np.stack([array(row, dtype) for row in values])
    return np.array([number(value, dtype) for value in values]).astype(dtype)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_loss_reaches_its_limits_without_a_warning(name, dtype):
    make, inputs, losses, gradients = CASES[name]
    arrays = [array(values, dtype) for values in inputs]
    if name == "labels":
        arrays[1] = arrays[1].astype(int)
    loss_fn = make(reduction="none")
    with np.errstate(over="ignore"):  # while the expected numbers are made
        losses = array(losses, dtype)
        gradients = None if gradients is None else [array(values, dtype) for values in gradients]
    tolerance = {"float64": 1e-12, "float32": 1e-5}[dtype]
    np.testing.assert_allclose(loss_fn(*arrays), losses, rtol=tolerance, atol=TINY[dtype])
    given = loss_fn.backward(np.ones(losses.shape, dtype))
    given = given if isinstance(given, tuple) else (given,)
    assert all(np.isfinite(grad).all() or name == "rate" for grad in given)
    for grad, expected in zip(given, gradients or [], strict=gradients is not None):
        np.testing.assert_allclose(grad, expected, rtol=tolerance, atol=1e-30)


@pytest.mark.parametrize("name", CASES)
def test_a_sum_at_the_ends_of_the_float_line_gives_no_warning_either(name):
    make, inputs, *_ = CASES[name]
    arrays = [array(values, "float32") for values in inputs]
    if name == "labels":
        arrays[1] = arrays[1].astype(int)
    for reduction in ("sum", "mean"):
        loss_fn = make(reduction=reduction)
        assert loss_fn(*arrays) >= 0
        loss_fn.backward()


@pytest.mark.parametrize("make", [nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss, nn.HuberLoss, nn.GaussianNLLLoss])
def test_a_mean_in_float16_is_right_where_the_sum_is_beyond_its_range(make):
    prediction = np.full(2000, 100, np.float16)  # the sum of the errors is 200,000, the largest number is 65,504
    others = [np.zeros_like(prediction), np.ones_like(prediction)][: 2 if make is nn.GaussianNLLLoss else 1]
    loss_fn = make(reduction="mean")
    loss = loss_fn(prediction, *others)
    exact = make(reduction="mean")(*(x.astype(float) for x in (prediction, *others)))
    assert loss.dtype == np.float16
    assert abs(loss - exact) <= 1e-3 * exact
    gradient = loss_fn.backward()
    gradient = gradient[0] if isinstance(gradient, tuple) else gradient
    assert gradient.dtype == np.float16


def test_cross_entropy_in_float16_averages_many_samples():
    logits, labels = np.zeros((70_000, 16), np.float16), np.zeros(70_000, int)
    loss = nn.CrossEntropyLoss()(logits, labels)
    assert loss.dtype == np.float16
    assert abs(loss - math.log(16)) <= 2e-3


@pytest.mark.parametrize("z", [1e4, -1e4, 1e3, -745.0])
def test_logits_far_out_lose_no_digits(z):
    loss_fn = nn.BCEWithLogitsLoss(pos_weight=[3.0])
    assert loss_fn([z], [1.0]) == (0 if z > 800 else 3 * max(-z, 0))
    assert loss_fn.backward() == (0 if z > 0 else -3)
    assert loss_fn([z], [0.0]) == max(z, 0) + (math.exp(z) if -800 < z < 0 else 0)
    loss_fn = nn.CrossEntropyLoss(label_smoothing=0.5)
    assert loss_fn([z, 0.0], 0) == pytest.approx(0.25 * z if z > 0 else -0.75 * z, rel=1e-15)


def test_distances_that_are_tiny_or_infinite_are_what_they_are():
    loss_fn = nn.TripletMarginLoss(margin=1e-30, eps=0.0)
    nothing, tiny = np.zeros(2, np.float32), np.array([3e-30, 4e-30], np.float32)
    np.testing.assert_allclose(loss_fn(nothing, tiny, nothing), 6e-30, rtol=1e-6)  # 5e-30 + the margin
    np.testing.assert_allclose(loss_fn.backward()[1], [0.6, 0.8], rtol=1e-6)
    assert loss_fn([0.0, 0.0], [INF, 0.0], [1.0, 0.0]) == INF


@pytest.mark.parametrize("smoothing", [0.0, 0.5])
def test_cross_entropy_in_float16_adds_up_many_classes(smoothing):
    logits, labels = np.zeros((1, 5_000, 3), np.float16), np.zeros((1, 3), int)
    loss_fn = nn.CrossEntropyLoss(label_smoothing=smoothing)
    loss = loss_fn(logits, labels)
    assert loss.dtype == loss_fn.backward().dtype == np.float16
    assert abs(loss - math.log(5_000)) <= 4e-3


def test_what_is_exactly_the_margin_farther_away_is_on_pytorchs_side_of_the_kink():
    loss_fn = nn.TripletMarginLoss(p=1)
    assert loss_fn([[0.0]], [[1.0]], [[2.0]]) == 0
    assert not any(grad.any() for grad in loss_fn.backward())  # 1 + d(a, p) - d(a, n) is just below 0


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_smooth_loss_that_is_sharp_in_its_dtype_has_a_kink(dtype):
    loss_fn = nn.SmoothL1Loss(beta=1e-50, reduction="none")
    np.testing.assert_array_equal(loss_fn(np.array([0.5, 0, -2], dtype), np.zeros(3, dtype)), [0.5, 0, 2])
    np.testing.assert_array_equal(loss_fn.backward(np.ones(3, dtype)), [1, 0, -1])
