"""Losses of several predictions: a gradient for each, in its place, and models that end in them."""

import re

import numpy as np
import pytest

import tinynn as nn
from tinynn.errors import AnomalyError, ShapeError
from tinynn.testing import check_gradients

RNG = np.random.default_rng(0)
A, B, C = RNG.normal(size=(3, 5, 4))
SIGNS = np.array([1, -1, 1, 1, -1])


def encoder():
    rng = np.random.default_rng(1)
    return nn.Sequential(nn.Linear(4, 3, rng=rng), nn.Tanh(), nn.Linear(3, 3, rng=rng))


def test_a_gradient_stands_in_the_place_of_its_input():
    gaussian = nn.GaussianNLLLoss()
    gaussian(A, B, C**2)
    at_prediction, at_target, at_var = gaussian.backward()
    assert at_target is None
    assert at_prediction.shape == at_var.shape == A.shape
    cosine = nn.CosineEmbeddingLoss()
    cosine(A, B, SIGNS)
    assert len(cosine.backward()) == 2  # the target stands at the end
    triplet = nn.TripletMarginLoss()
    triplet(A, B, C)
    assert len(triplet.backward()) == 3


@pytest.mark.parametrize("shape", [(5, 4), (5, 1), (1, 4), (1, 1), (5,), ()])
def test_a_variance_has_a_gradient_of_its_own_shape(shape):
    loss_fn = nn.GaussianNLLLoss(full=True)
    var = RNG.uniform(0.5, 2, size=shape)
    check_gradients(loss_fn, A, B, var)
    loss_fn(A, B, var)
    *_, at_var = loss_fn.backward()
    assert at_var.shape == shape
    wide = np.broadcast_to(var[:, np.newaxis] if shape == (5,) else var, A.shape)
    assert loss_fn(A, B, wide.copy()) == loss_fn(A, B, var)


@pytest.mark.parametrize("shape", [(2, 5, 3), (5, 4), (4,), (2,), (2, 5, 4, 1), (2, 1, 1, 1), (1, 2, 5, 4), (0,)])
def test_variances_that_do_not_fit_are_refused(shape):
    message = "expects var of shape (2, 5, 4), that of prediction, or (2, 5), or with axes of length 1, got "
    with pytest.raises(ShapeError, match=re.escape(message)):
        nn.GaussianNLLLoss()(np.ones((2, 5, 4)), np.ones((2, 5, 4)), np.ones(shape))


def test_a_variance_below_eps_counts_as_eps_and_is_pushed_up():
    loss_fn = nn.GaussianNLLLoss(eps=0.25, reduction="none")
    assert loss_fn([3.0], [0.0], [0.125]) == loss_fn([3.0], [0.0], [0.25])
    assert loss_fn.backward([1.0])[2] < 0


class Towers(nn.Layer):
    """One encoder for several inputs."""

    def __init__(self):
        self.encoder = encoder()

    def forward(self, *inputs):
        return tuple(self.encoder(x) for x in inputs)

    def backward(self, *grads):
        return tuple(self.encoder.backward(grad) for grad in reversed(grads))[::-1]


@pytest.mark.parametrize(
    ("loss_fn", "inputs", "rest"),
    [
        (nn.TripletMarginLoss(margin=3.0), (A, B, C), ()),
        (nn.CosineEmbeddingLoss(margin=-0.5), (A, B), (SIGNS,)),
    ],
    ids=["triplet", "cosine"],
)
def test_towers_learn_as_a_layer_and_as_a_script_and_no_anomaly_is_seen(loss_fn, inputs, rest):
    model, shared = Towers(), encoder()
    with nn.detect_anomaly():
        loss = loss_fn(*model(*inputs), *rest)
        at_inputs = model.backward(*loss_fn.backward())
        with nn.one_pass():
            outputs = [shared(x) for x in inputs]
        assert loss_fn(*outputs, *rest) == loss
        grads = loss_fn.backward()
        for grad, expected in zip(reversed(grads), reversed(at_inputs), strict=True):
            np.testing.assert_allclose(shared.backward(grad), expected, rtol=1e-12, atol=1e-15)
    for ours, theirs in zip(model.parameters(), shared.parameters(), strict=True):
        np.testing.assert_allclose(ours.grad, theirs.grad, rtol=1e-12, atol=1e-15)


def test_the_output_of_another_call_is_an_anomaly_and_the_second_prediction_is_none():
    first, second, loss_fn = encoder(), encoder(), nn.CosineEmbeddingLoss()
    with nn.detect_anomaly():
        for validated in (False, True):
            loss_fn(first(A), second(B), SIGNS)
            if validated:
                second(B + 1)
            _, at_second = loss_fn.backward()
            if validated:
                with pytest.raises(AnomalyError, match="to undo the call whose output the loss saw"):
                    second.backward(at_second)
            else:
                second.backward(at_second)


@pytest.mark.parametrize("make", [nn.TripletMarginLoss, nn.CosineEmbeddingLoss, nn.GaussianNLLLoss])
def test_a_gradient_of_each_loss_is_a_factor(make):
    inputs = {nn.TripletMarginLoss: (A, B, C), nn.CosineEmbeddingLoss: (A, B, SIGNS)}.get(make, (A, B, C**2))
    loss_fn = make(reduction="none")
    losses = loss_fn(*inputs)
    grads = RNG.normal(size=losses.shape)
    given = loss_fn.backward(grads)
    summed = make(reduction="sum")
    for index in range(len(losses)):
        summed(*(x[index : index + 1] for x in inputs))
        for all_at, at in zip(given, summed.backward(), strict=True):
            factor = grads[index] if make is nn.GaussianNLLLoss else grads[index, np.newaxis]
            assert (all_at is None) == (at is None)
            if at is not None:
                np.testing.assert_allclose(all_at[index], factor * at[0], rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("p", [0.5, 1.0, 1.5, 2.0, 3.0, np.inf])
@pytest.mark.parametrize("swap", [False, True])
def test_every_norm_has_its_gradient(p, swap):
    check_gradients(nn.TripletMarginLoss(margin=10.0, p=p, swap=swap), A, B, C)


def test_a_cosine_does_not_depend_on_the_lengths():
    loss_fn = nn.CosineEmbeddingLoss(reduction="none")
    expected = loss_fn(A, B, SIGNS)
    for scale in (1e3, 1e200):
        np.testing.assert_allclose(loss_fn(scale * A, B, SIGNS), expected, rtol=1e-9)
