"""Weights of losses: a part of the state, in the dtype of the prediction, and broadcast no further than to it."""

import copy

import numpy as np
import pytest

import tinynn as nn
from tinynn.errors import ArgumentError, DTypeError, ShapeError, StateError

RNG = np.random.default_rng(0)
X = RNG.uniform(0.1, 0.9, size=(5, 3))
T = RNG.uniform(size=(5, 3))
LABELS = np.array([0, 1, 2, 1, 0])
W = np.array([0.5, 2.0, 1.25])
WEIGHTED = {
    "CrossEntropyLoss": (nn.CrossEntropyLoss, {"weight": W}, LABELS),
    "NLLLoss": (nn.NLLLoss, {"weight": W}, LABELS),
    "BCELoss": (nn.BCELoss, {"weight": W}, T),
    "BCEWithLogitsLoss": (nn.BCEWithLogitsLoss, {"weight": W, "pos_weight": 2 * W}, T),
}
over_weighted = pytest.mark.parametrize(("kind", "weights", "target"), WEIGHTED.values(), ids=WEIGHTED)


@over_weighted
def test_weights_are_a_part_of_the_state(kind, weights, target):
    loss_fn, other = kind(**weights), kind(**{name: np.ones(3) for name in weights})
    assert {name: value.tolist() for name, value in loss_fn.state_dict().items()} == {
        name: value.tolist() for name, value in weights.items()
    }
    assert other(X, target) != loss_fn(X, target)
    other.load_state_dict(loss_fn.state_dict())
    assert other(X, target) == loss_fn(X, target) == copy.deepcopy(loss_fn)(X, target)
    assert list(loss_fn.parameters()) == []
    with pytest.raises(StateError, match="unexpected: weight"):
        kind().load_state_dict(loss_fn.state_dict())


@over_weighted
def test_weights_are_copied(kind, weights, target):
    given = {name: value.copy() for name, value in weights.items()}
    loss_fn = kind(**given)
    expected = loss_fn(X, target)
    for value in given.values():
        value[...] = 7
    assert loss_fn(X, target) == expected


@over_weighted
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_weights_take_the_dtype_of_the_prediction(kind, weights, target, dtype):
    expected = kind(**weights)(X.astype(dtype).astype(float), target)
    for given in (np.float32, np.float64, ">f8"):
        loss_fn = kind(**{name: value.astype(given) for name, value in weights.items()})
        loss = loss_fn(X.astype(dtype), target)
        assert loss.dtype == loss_fn.backward().dtype == dtype
        assert abs(loss - expected) <= 4 * np.finfo(dtype).eps * max(1, abs(expected))
        assert {value.dtype for value in loss_fn.state_dict().values()} == {np.dtype(given).newbyteorder("=")}


@over_weighted
def test_weights_may_be_integers(kind, weights, target):
    whole = {name: [1, 2, 3] for name in weights}
    floating = {name: [1.0, 2.0, 3.0] for name in weights}
    assert kind(**whole)(X, target) == kind(**floating)(X, target)


@over_weighted
def test_a_weight_that_is_not_finite_is_refused(kind, weights, target):
    for name in weights:
        for bad in (np.nan, np.inf, -np.inf):
            message = f"^{kind.__name__} expects {name} to be finite numbers, got {bad} among them$"
            with pytest.raises(ArgumentError, match=message):
                kind(**{name: [1.0, bad, 1.0]})
        with pytest.raises(DTypeError, match=f"^{kind.__name__} expects {name} to be an array of real numbers, got "):
            kind(**{name: ["a"]})


@pytest.mark.parametrize("kind", [nn.BCELoss, nn.BCEWithLogitsLoss])
@pytest.mark.parametrize("shape", [(), (1,), (3,), (5, 1), (1, 3), (5, 3)])
def test_weights_of_elements_are_broadcast_to_the_prediction(kind, shape):
    weight = RNG.uniform(size=shape)
    losses = kind(weight, reduction="none")(X, T)
    np.testing.assert_allclose(losses, weight * kind(reduction="none")(X, T), rtol=1e-14)
    assert kind(weight)(X, T) == pytest.approx(losses.mean(), rel=1e-14)


@pytest.mark.parametrize("kind", [nn.BCELoss, nn.BCEWithLogitsLoss])
@pytest.mark.parametrize("shape", [(2,), (5,), (3, 1), (1, 5, 3), (2, 5, 3), (0,)])
def test_weights_that_do_not_fit_are_refused(kind, shape):
    message = "expects prediction whose last axes fit weight of shape .*, got "
    with pytest.raises(ShapeError, match=message):
        kind(np.ones(shape))(X, T)


def test_a_positive_weight_weighs_what_is_positive():
    losses = nn.BCEWithLogitsLoss(reduction="none", pos_weight=W)(X, np.ones((5, 3)))
    np.testing.assert_allclose(losses, W * nn.BCEWithLogitsLoss(reduction="none")(X, np.ones((5, 3))), rtol=1e-14)
    losses = nn.BCEWithLogitsLoss(reduction="none", pos_weight=W)(X, np.zeros((5, 3)))
    np.testing.assert_array_equal(losses, nn.BCEWithLogitsLoss(reduction="none")(X, np.zeros((5, 3))))


def test_a_repr_shows_that_there_are_weights():
    assert repr(nn.BCEWithLogitsLoss()) == "BCEWithLogitsLoss(reduction='mean')"
    assert repr(nn.BCEWithLogitsLoss(W)) == "BCEWithLogitsLoss(weight=..., reduction='mean')"
    shown = "CrossEntropyLoss(weight=..., ignore_index=0, reduction='sum', label_smoothing=0.1)"
    assert repr(nn.CrossEntropyLoss(W, ignore_index=0, reduction="sum", label_smoothing=0.1)) == shown


NAN, INF = np.nan, np.inf


@pytest.mark.parametrize(
    ("loss_fn", "prediction", "target"),
    [
        (nn.KLDivLoss(), [NAN, -1.0], [0.0, 1.0]),
        (nn.BCEWithLogitsLoss(weight=[0.0, 1.0]), [NAN, 0.5], [0.0, 1.0]),
        (nn.NLLLoss(weight=[0.0, 1.0]), [[NAN, -1.0], [-1.0, -2.0]], [0, 1]),
        (nn.CrossEntropyLoss(weight=[0.0, 1.0]), [[NAN, -1.0], [-1.0, -2.0]], [0, 1]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_weight_of_zero_hides_infinity_but_not_what_is_no_number(loss_fn, prediction, target):
    assert np.isnan(loss_fn(prediction, target))


def test_a_weight_of_zero_hides_infinity():
    assert nn.BCEWithLogitsLoss(weight=[0.0, 1.0])([INF, INF], [0.0, 1.0]) == 0
    assert nn.NLLLoss(weight=[0.0, 1.0])([[-INF, -1.0], [-INF, -2.0]], [0, 1]) == 2


def test_other_classes_and_ignored_labels_do_not_count_even_if_they_are_no_numbers():
    assert nn.NLLLoss(ignore_index=0)([[NAN, NAN], [NAN, -2.0]], [0, 1]) == 2
    assert nn.CrossEntropyLoss(ignore_index=0)([[NAN, NAN], [-INF, 0.0]], [0, 1]) == 0
