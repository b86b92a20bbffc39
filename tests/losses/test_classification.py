"""Losses of classes: what weights, ignored labels and smoothing mean, in terms of simpler losses."""

import numpy as np
import pytest

import tinynn as nn
from tinynn.errors import ArgumentError

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(6, 4, 2))
LABELS = RNG.integers(4, size=(6, 2))
WEIGHT = np.array([0.5, 2.0, 0.75, 1.25])
CHANCES = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
LOG_P = np.log(CHANCES)
GRAD = RNG.normal(size=(6, 2))


def both(loss_fn, prediction, target, *grad):
    return loss_fn(prediction, target), loss_fn.backward(*grad)


def assert_same(results, expected):
    for result, truth in zip(results, expected, strict=True):
        np.testing.assert_allclose(result, truth, rtol=1e-13, atol=1e-15)


def test_the_cross_entropy_is_that_of_a_log_softmax():
    for options in ({}, {"weight": WEIGHT}, {"ignore_index": 2}):
        loss, gradient = both(nn.CrossEntropyLoss(**options), LOGITS, LABELS)
        model = nn.LogSoftmax(dim=1)
        composed, at_log_p = both(nn.NLLLoss(**options), model(LOGITS), LABELS)
        assert_same((loss, gradient), (composed, model.backward(at_log_p)))


@pytest.mark.parametrize("kind", [nn.CrossEntropyLoss, nn.NLLLoss])
def test_a_weighted_mean_is_over_the_weights_of_the_labels(kind):
    losses, gradient = both(kind(weight=WEIGHT, reduction="none"), LOG_P, LABELS, np.ones((6, 2)))
    total = WEIGHT[LABELS].sum()
    assert_same(both(kind(weight=WEIGHT), LOG_P, LABELS), (losses.sum() / total, gradient / total))
    plain = kind(reduction="none")(LOG_P, LABELS)
    np.testing.assert_allclose(losses, WEIGHT[LABELS] * plain, rtol=1e-14)


def test_the_mean_of_probabilities_is_over_the_samples_whatever_they_weigh():
    losses = nn.CrossEntropyLoss(WEIGHT, reduction="none")(LOGITS, CHANCES)
    np.testing.assert_allclose(nn.CrossEntropyLoss(WEIGHT)(LOGITS, CHANCES), losses.sum() / 12, rtol=1e-14)


@pytest.mark.parametrize("kind", [nn.CrossEntropyLoss, nn.NLLLoss])
@pytest.mark.parametrize("ignored", [-100, 1, 3, 255])
@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_an_ignored_label_counts_as_if_its_sample_were_left_out(kind, ignored, weight):
    labels = LABELS[:, 0].copy()
    labels[[1, 4]] = ignored
    kept = labels != ignored
    for reduction in ("mean", "sum"):
        options = {"weight": weight, "reduction": reduction}
        loss, gradient = both(kind(ignore_index=ignored, **options), LOG_P[:, :, 0], labels)
        expected_loss, expected = both(kind(**options), LOG_P[kept, :, 0], labels[kept])
        assert_same((loss, gradient[kept]), (expected_loss, expected))
        assert not gradient[~kept].any()
    losses = kind(ignore_index=ignored, weight=weight, reduction="none")(LOG_P[:, :, 0], labels)
    assert not losses[~kept].any()
    assert losses[kept].all()


@pytest.mark.parametrize("kind", [nn.CrossEntropyLoss, nn.NLLLoss])
def test_where_no_label_counts_a_mean_is_an_error_and_a_sum_is_nothing(kind):
    nobody = np.full(6, -100)
    loss, gradient = both(kind(reduction="sum"), LOG_P[:, :, 0], nobody)
    assert loss == 0
    assert not gradient.any()
    for loss_fn, labels in ((kind(), nobody), (kind(weight=[0.0, 1, 1, 1]), np.zeros(6, int))):
        with pytest.raises(ArgumentError, match="labels that weigh something to average over"):
            loss_fn(LOG_P[:, :, 0], labels)


def test_the_infinite_loss_of_an_ignored_label_is_nothing():
    loss_fn = nn.NLLLoss(ignore_index=0)
    assert loss_fn([[-np.inf, -1.0], [-2.0, -3.0]], [0, 1]) == 3
    np.testing.assert_array_equal(loss_fn.backward(), [[0, 0], [0, -1]])


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_labels_are_probabilities_that_are_certain(weight):
    certain = np.zeros((6, 4, 2))
    np.put_along_axis(certain, LABELS[:, np.newaxis], 1, axis=1)
    for smoothing in (0.0, 0.3):
        loss_fn = nn.CrossEntropyLoss(weight, reduction="none", label_smoothing=smoothing)
        assert_same(both(loss_fn, LOGITS, LABELS, GRAD), both(loss_fn, LOGITS, certain, GRAD))


def test_smoothing_mixes_a_label_with_all_classes_alike():
    def of(target):
        return both(nn.CrossEntropyLoss(WEIGHT, reduction="none"), LOGITS, target, GRAD)

    label, alike = of(LABELS), of(np.full((6, 4, 2), 0.25))
    expected = [0.7 * a + 0.3 * b for a, b in zip(label, alike, strict=True)]
    loss_fn = nn.CrossEntropyLoss(WEIGHT, reduction="none", label_smoothing=0.3)
    assert_same(both(loss_fn, LOGITS, LABELS, GRAD), expected)


def test_smoothing_leaves_ignored_labels_alone():
    labels = np.where(LABELS == 1, -100, LABELS)
    losses, gradient = both(nn.CrossEntropyLoss(reduction="none", label_smoothing=0.3), LOGITS, labels, GRAD)
    assert not losses[LABELS == 1].any()
    assert not gradient.transpose(0, 2, 1)[LABELS == 1].any()


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.uint64, np.int32, ">i4"])
def test_labels_may_be_any_integers(dtype):
    loss_fn = nn.CrossEntropyLoss(weight=WEIGHT)
    assert_same(both(loss_fn, LOGITS, LABELS.astype(dtype)), both(loss_fn, LOGITS, LABELS))


def test_one_class_is_certain():
    loss_fn = nn.CrossEntropyLoss()
    assert loss_fn([[3.0], [4.0]], [0, 0]) == 0
    assert not loss_fn.backward().any()


@pytest.mark.parametrize("ignored", [0, 3])
def test_probabilities_have_no_label_to_ignore(ignored):
    with pytest.raises(ArgumentError, match="only a label can be ignored"):
        nn.CrossEntropyLoss(ignore_index=ignored)(LOGITS, CHANCES)


def test_a_wrong_label_of_one_sample_alone_is_named_without_a_place():
    with pytest.raises(ArgumentError, match=r"expects labels from 0 to 3, got 4$"):
        nn.CrossEntropyLoss()(LOGITS[0, :, 0], 4)


def test_labels_as_integer_ones_and_zeros_are_told_to_be_floating():
    with pytest.raises(ValueError, match=r"got int64 of shape \(2, 3\); .*write target.astype\(float\)$"):
        nn.CrossEntropyLoss()(np.zeros((2, 3)), np.eye(2, 3, dtype=np.int64))
