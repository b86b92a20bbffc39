"""Losses of numbers: dtypes that are not usual, and what one is a limit of."""

import numpy as np
import pytest

import tinynn as nn

RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(2, 4, 3))
KINDS = [nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss, nn.HuberLoss]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_integers_count_as_the_floating_point_numbers_that_they_are(kind, reduction):
    prediction, target = RNG.integers(-3, 4, size=(2, 4, 3))
    loss_fn = kind(reduction=reduction)
    grad = () if reduction != "none" else (np.ones((4, 3)),)
    expected = loss_fn(prediction.astype(float), target.astype(float)), loss_fn.backward(*grad)
    for given in ((prediction, target), (prediction, target.astype(float)), (prediction.tolist(), target > 9)):
        loss = loss_fn(*given)
        assert loss.dtype == np.float64
        if given[1].dtype != bool:
            np.testing.assert_array_equal(loss, expected[0])
            np.testing.assert_array_equal(loss_fn.backward(*grad), expected[1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float16, np.longdouble, ">f4"])
def test_the_dtype_of_the_prediction_is_kept(kind, dtype):
    loss_fn = kind(reduction="mean")
    loss = loss_fn(A.astype(dtype), B)
    assert loss.dtype == np.dtype(dtype).newbyteorder("=")
    exact = loss_fn(A.astype(dtype).astype(float), B.astype(dtype).astype(float))
    assert abs(loss - exact) <= 4 * max(float(np.finfo(dtype).eps), 1e-16) * exact


def test_losses_that_are_limits_of_others():
    np.testing.assert_array_equal(nn.SmoothL1Loss(beta=0)(A, B), nn.L1Loss()(A, B))
    np.testing.assert_allclose(nn.HuberLoss(delta=1e3)(A, B), nn.MSELoss(reduction="mean")(A, B) / 2, rtol=1e-14)
    np.testing.assert_allclose(nn.HuberLoss(delta=0.7)(A, B), 0.7 * nn.SmoothL1Loss(beta=0.7)(A, B), rtol=1e-14)


def test_half_is_the_notes_and_mean_is_pytorchs():
    square = (A - B) ** 2
    for reduction, expected in (("half", square.sum() / 8), ("mean", square.mean()), ("sum", square.sum())):
        loss_fn = nn.MSELoss(reduction=reduction)
        assert loss_fn(A, B) == pytest.approx(expected, rel=1e-14)
        factor = {"half": 1 / 4, "mean": 1 / 6, "sum": 2}[reduction]
        np.testing.assert_allclose(loss_fn.backward(), factor * (A - B), rtol=1e-14)
    assert nn.MSELoss()(A[0], B[0]) == pytest.approx(square[0].sum() / 2, rel=1e-14)
    assert nn.MSELoss()(3.0, 1.0) == 2


def test_a_mean_over_the_batch_of_divergences():
    chances, target = np.exp(A), np.exp(B)
    losses = nn.KLDivLoss(reduction="none")(np.log(chances), target)
    assert nn.KLDivLoss(reduction="batchmean")(np.log(chances), target) == pytest.approx(losses.sum() / 4, rel=1e-14)
    assert nn.KLDivLoss(reduction="batchmean")(-1.0, 1.0) == 1


def test_samples_without_elements_are_samples():
    empty = np.zeros((3, 0, 2))
    for loss_fn in (nn.MSELoss(), nn.KLDivLoss(reduction="batchmean")):
        assert loss_fn(empty, empty) == 0
        assert loss_fn.backward().shape == (3, 0, 2)
