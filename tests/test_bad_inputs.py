"""Wrong inputs beside right ones: what is raised, with which words, and that nothing has changed in what raised."""

import datetime
import pickle

import numpy as np
import pytest
from scipy import sparse

import tinynn as nn
from tinynn import errors

RNG = np.random.default_rng(0)
X = np.arange(6.0).reshape(2, 3)


def linear():
    return nn.Linear(3, 2, rng=np.random.default_rng(0))


def net():
    return nn.Sequential(linear(), nn.ArctanSigmoid())


def waiting(build=net):
    model = build()
    model(X)
    return model


def undone():
    model = waiting()
    model.backward(np.ones((2, 2)))
    return model


def sgd(**options):
    return nn.SGD(linear().parameters(), **options)


def mse():
    return nn.MSELoss()


def cross_entropy():
    return nn.CrossEntropyLoss()


def nll():
    return nn.NLLLoss()


def nothing():
    return None


def one_pass(layer, *inputs):
    with nn.one_pass():
        return layer(*inputs)


def both_ways(layer, x):
    return layer.backward(np.ones_like(layer(x)))


class Pair(nn.Layer):
    """(x, x)."""

    def forward(self, x):
        return x, x


STRUCTURED = np.zeros(2, [("a", float), ("b", int)])
WHAT = "expects x to be an array of real numbers, got "

# what to make, what to do with it, the exception, the whole message
ROWS = [
    # What is no array of real numbers
    (linear, lambda m: m(X * 1j), TypeError, f"Linear(3, 2) {WHAT}ndarray of dtype complex128"),
    (linear, lambda m: m(X.astype(object)), TypeError,
     f"Linear(3, 2) {WHAT}an array of dtype object; write x.astype(float)"),
    (linear, lambda m: m("abc"), TypeError, f"Linear(3, 2) {WHAT}str of dtype <U3"),
    (linear, lambda m: m([["1", "2", "3"]]), TypeError, f"Linear(3, 2) {WHAT}list of dtype <U1"),
    (linear, lambda m: m(np.array(["2020-01-01"] * 3, "M8[D]")), TypeError,
     f"Linear(3, 2) {WHAT}ndarray of dtype datetime64[D]"),
    (linear, lambda m: m(np.ones(3, "m8[s]")), TypeError, f"Linear(3, 2) {WHAT}ndarray of dtype timedelta64[s]"),
    (linear, lambda m: m([datetime.date(2020, 1, 1)] * 3), TypeError, f"Linear(3, 2) {WHAT}a list"),
    (linear, lambda m: m(STRUCTURED), TypeError, f"Linear(3, 2) {WHAT}ndarray of dtype [('a', '<f8'), ('b', '<i8')]"),
    (linear, lambda m: m(np.ma.array(X, mask=X > 1)), TypeError,
     f"Linear(3, 2) {WHAT}a masked array; fill it first: x.filled(value)"),
    (linear, lambda m: m(sparse.csr_array(X)), TypeError, f"Linear(3, 2) {WHAT}a csr_array"),
    (linear, lambda m: m(nn.Parameter(X)), TypeError, f"Linear(3, 2) {WHAT}a Parameter"),
    (linear, lambda m: m({"x": X}), TypeError, f"Linear(3, 2) {WHAT}a dict"),
    (linear, lambda m: m([[1, None, 3]]), TypeError, f"Linear(3, 2) {WHAT}a list"),
    (nn.ReLU, lambda m: m(X * 1j), TypeError, f"ReLU() {WHAT}ndarray of dtype complex128"),
    (nn.Identity, lambda m: m("abc"), TypeError, f"Identity() {WHAT}str of dtype <U3"),
    (net, lambda m: m(X * 1j), TypeError, f"Sequential {WHAT}ndarray of dtype complex128"),
    (mse, lambda m: m(X, X * 1j), TypeError,
     "MSELoss(reduction='half') expects target to be an array of real numbers, got ndarray of dtype "
     "complex128"),
    (mse, lambda m: m("abc", X), TypeError,
     "MSELoss(reduction='half') expects prediction to be an array of real numbers, got str of dtype <U3"),
    (linear, lambda m: m(None), TypeError, f"Linear(3, 2) {WHAT}None"),
    (mse, lambda m: m(None, X), TypeError,
     "MSELoss(reduction='half') expects prediction to be an array of real numbers, got None"),
    (mse, lambda m: m(X, None), TypeError, "MSELoss(reduction='half') expects target to be an array of real numbers, got None"),
    (cross_entropy, lambda m: m(X, target=None), TypeError,
     "CrossEntropyLoss(reduction='mean') expects target to be an array of real numbers, got None"),
    (nothing, lambda _: nn.GaussianNLLLoss()(X, X, None), TypeError,
     "GaussianNLLLoss(reduction='mean') expects var to be an array of real numbers, got None"),
    (mse, lambda m: m(X), TypeError, "MSELoss(reduction='half') expects prediction and target, got 1 array"),
    (nothing, lambda _: nn.L1Loss()(), TypeError, "L1Loss(reduction='mean') expects prediction and target, got 0 arrays"),
    (nothing, lambda _: nn.GaussianNLLLoss()(X, X), TypeError,
     "GaussianNLLLoss(reduction='mean') expects prediction, target and var, got 2 arrays"),
    (cross_entropy, lambda m: m(X, [0, 1], [1, 1, 1]), TypeError,
     "CrossEntropyLoss(reduction='mean') expects prediction and target, got 3 arrays"),
    (nothing, lambda _: one_pass(nn.L1Loss(), X), TypeError,
     "L1Loss(reduction='mean') expects prediction and target, got 1 array"),
    (nothing, lambda _: one_pass(nn.L1Loss(), X, None), TypeError,
     "L1Loss(reduction='mean') expects target to be an array of real numbers, got None"),
    (mse, lambda m: m(X, X.astype(object)), TypeError,
     "MSELoss(reduction='half') expects target to be an array of real numbers, got an array of dtype object; write "
     "x.astype(float)"),
    # Shapes
    (linear, lambda m: m(np.ones((5, 4))), ValueError, "Linear(3, 2) expects x of shape (..., 3), got (5, 4)"),
    (linear, lambda m: m(np.ones((5, 0))), ValueError, "Linear(3, 2) expects x of shape (..., 3), got (5, 0)"),
    (linear, lambda m: m(np.ones((3, 1))), ValueError, "Linear(3, 2) expects x of shape (..., 3), got (3, 1)"),
    (linear, lambda m: m(np.ones(2)), ValueError, "Linear(3, 2) expects x of shape (..., 3), got (2,)"),
    (linear, lambda m: m(5.0), ValueError, "Linear(3, 2) expects x of shape (..., 3), got ()"),
    (linear, lambda m: m([]), ValueError, "Linear(3, 2) expects x of shape (..., 3), got (0,)"),
    (linear, lambda m: m([[1, 2, 3], [4, 5]]), ValueError,
     "Linear(3, 2) expects x to be an array of real numbers, got a list that is ragged (…"),
    (net, lambda m: m(np.ones((5, 4))), ValueError,
     "Linear(3, 2) expects x of shape (..., 3), got (5, 4)\nin layer 0 of Sequential"),
    (lambda: nn.Residual(linear()), lambda m: m(X), ValueError,
     "Residual expects its layer to keep the shape (2, 3), got (2, 2)"),
    # Losses
    (mse, lambda m: m(np.ones((4, 1)), np.ones(4)), ValueError,
     "MSELoss(reduction='half') expects target of shape (4, 1), that of prediction, got (4,); "
     "write target.reshape(prediction.shape)"),
    (mse, lambda m: m(np.ones(4), np.ones((4, 1))), ValueError,
     "MSELoss(reduction='half') expects target of shape (4,), that of prediction, got (4, 1); "
     "write target.reshape(prediction.shape)"),
    (mse, lambda m: m(X, X.T), ValueError,
     "MSELoss(reduction='half') expects target of shape (2, 3), that of prediction, got (3, 2)"),
    (mse, lambda m: m(X, 0.0), ValueError,
     "MSELoss(reduction='half') expects target of shape (2, 3), that of prediction, got ()"),
    (mse, lambda m: m(X, X[:1]), ValueError,
     "MSELoss(reduction='half') expects target of shape (2, 3), that of prediction, got (1, 3)"),
    (mse, lambda m: m(np.ones((0, 3)), np.ones((0, 3))), ValueError,
     "MSELoss(reduction='half') expects at least one element to average over, got shape (0, 3); leave "
     "empty batches out or use reduction='sum'"),
    (lambda: nn.MSELoss(reduction="mean"), lambda m: m(np.ones((3, 0)), np.ones((3, 0))), ValueError,
     "MSELoss(reduction='mean') expects at least one element to average over, got shape (3, 0); leave "
     "empty batches out or use reduction='sum'"),
    (cross_entropy, lambda m: m(np.ones((0, 3)), np.ones(0, int)), ValueError,
     "CrossEntropyLoss(reduction='mean') expects at least one element to average over, got shape (0,); "
     "leave empty batches out or use reduction='sum'"),
    (cross_entropy, lambda m: m(X, [0, 3]), ValueError,
     "CrossEntropyLoss(reduction='mean') expects labels from 0 to 2, got 3 for sample 1"),
    (cross_entropy, lambda m: m(X, [-1, 0]), ValueError,
     "CrossEntropyLoss(reduction='mean') expects labels from 0 to 2, got -1 for sample 0; ignore_index=-1 leaves them out"),
    (cross_entropy, lambda m: m(X, [-1, 3]), ValueError,
     "CrossEntropyLoss(reduction='mean') expects labels from 0 to 2, got -1 for sample 0"),
    (nothing, lambda _: nn.CrossEntropyLoss()(np.zeros((2, 3)), [[0, 1, 0], [0, 0, 1]]), ValueError,
     "CrossEntropyLoss(reduction='mean') expects target as labels of shape (2,) or as probabilities of shape (2, 3), got "
     "int64 of shape (2, 3); probabilities are floating: write target.astype(float)"),
    (cross_entropy, lambda m: m(X[:, :1], [0, 1]), ValueError,
     "CrossEntropyLoss(reduction='mean') expects labels from 0 to 0, got 1 for sample 1; "
     "for one logit per sample take BCEWithLogitsLoss"),
    (cross_entropy, lambda m: m(X[:, 0], [0, 1]), ValueError,
     "CrossEntropyLoss(reduction='mean') expects target as labels of shape () or as probabilities of shape (2,), got int64 of "
     "shape (2,); for one logit per sample take BCEWithLogitsLoss"),
    (cross_entropy, lambda m: m(X[:, :1], [[0], [1]]), ValueError,
     "CrossEntropyLoss(reduction='mean') expects target as labels of shape (2,) or as probabilities of shape (2, 1), got int64 "
     "of shape (2, 1); for one logit per sample take BCEWithLogitsLoss"),
    (cross_entropy, lambda m: m(np.ones((2, 4, 3)), np.ones((2, 4), int)), ValueError,
     "CrossEntropyLoss(reduction='mean') expects target as labels of shape (2, 3) or as probabilities of shape (2, 4, 3), got "
     "int64 of shape (2, 4); classes are axis 1: write np.moveaxis(prediction, -1, 1)"),
    (cross_entropy, lambda m: m(np.ones((2, 3, 2)), [[0, 1], [2, 7]]), ValueError,
     "CrossEntropyLoss(reduction='mean') expects labels from 0 to 2, got 7 for sample (1, 1)"),
    (cross_entropy, lambda m: m(X, [0.0, 1.0]), TypeError,
     "CrossEntropyLoss(reduction='mean') expects labels as integers, got labels of dtype float64; write labels.astype(int)"),
    (cross_entropy, lambda m: m(X, [True, False]), TypeError,
     "CrossEntropyLoss(reduction='mean') expects labels as integers, got labels of dtype bool; write labels.astype(int)"),
    (cross_entropy, lambda m: m(X, [0, 1, 2]), ValueError,
     "CrossEntropyLoss(reduction='mean') expects target as labels of shape (2,) or as probabilities of "
     "shape (2, 3), got int64 of shape (3,)"),
    (cross_entropy, lambda m: m(X, [[0], [1]]), ValueError,
     "CrossEntropyLoss(reduction='mean') expects target as labels of shape (2,) or as probabilities of "
     "shape (2, 3), got int64 of shape (2, 1); write target[..., 0]"),
    (cross_entropy, lambda m: m(X, np.eye(3)), ValueError,
     "CrossEntropyLoss(reduction='mean') expects target as labels of shape (2,) or as probabilities of "
     "shape (2, 3), got float64 of shape (3, 3)"),
    (cross_entropy, lambda m: m(1.0, 0), ValueError,
     "CrossEntropyLoss(reduction='mean') expects prediction with an axis of classes, (N, C) or (C,), got "
     "()"),
    (cross_entropy, lambda m: m(np.ones((2, 0)), [0, 0]), ValueError,
     "CrossEntropyLoss(reduction='mean') expects prediction with at least one class, got (2, 0)"),
    (nothing, lambda _: nn.CrossEntropyLoss(ignore_index=2)(X, [0, 3]), ValueError,
     "CrossEntropyLoss(ignore_index=2, reduction='mean') expects labels from 0 to 2, got 3 for sample 1"),
    (nothing, lambda _: nn.CrossEntropyLoss(ignore_index=2)(X, X), ValueError,
     "CrossEntropyLoss(ignore_index=2, reduction='mean') expects labels, since it has an ignore_index, got probabilities; "
     "only a label can be ignored"),
    (cross_entropy, lambda m: m(X, [-100, -100]), ValueError,
     "CrossEntropyLoss(reduction='mean') expects labels that weigh something to average over, got none; leave such batches "
     "out or use reduction='sum'"),
    (nothing, lambda _: nn.CrossEntropyLoss([1, 2])(X, [0, 1]), ValueError,
     "CrossEntropyLoss(weight=..., reduction='mean') expects prediction of 2 classes, as many as there are weights, got (2, 3)"),
    (nothing, lambda _: nn.CrossEntropyLoss([[1, 2, 3]]), ValueError,
     "CrossEntropyLoss expects weight of shape (C,), a number for each class, got (1, 3)"),
    (nothing, lambda _: nn.CrossEntropyLoss([1, np.nan, 3]), ValueError,
     "CrossEntropyLoss expects weight to be finite numbers, got nan among them"),
    (nothing, lambda _: nn.CrossEntropyLoss("balanced"), TypeError,
     "CrossEntropyLoss expects weight to be an array of real numbers, got str of dtype <U8"),
    (nothing, lambda _: nn.CrossEntropyLoss(ignore_index=1.0), TypeError,
     "CrossEntropyLoss expects ignore_index to be an integer, got 1.0"),
    (nothing, lambda _: nn.CrossEntropyLoss(label_smoothing=1.5), ValueError,
     "CrossEntropyLoss expects a finite label_smoothing >= 0 and <= 1, got 1.5"),
    (nothing, lambda _: nn.CrossEntropyLoss(size_average=True), TypeError,
     "CrossEntropyLoss expects no argument 'size_average', got size_average=True; drop it: reduction says it"),
    (nothing, lambda _: nn.L1Loss(reduce=False), TypeError,
     "L1Loss expects no argument 'reduce', got reduce=False; drop it: reduction says it"),
    (nll, lambda m: m(X, [0, 3]), ValueError, "NLLLoss(reduction='mean') expects labels from 0 to 2, got 3 for sample 1"),
    (nll, lambda m: m(X, [0, -1]), ValueError,
     "NLLLoss(reduction='mean') expects labels from 0 to 2, got -1 for sample 1; ignore_index=-1 leaves them out"),
    (nll, lambda m: m(X, [0.0, 1.0]), TypeError,
     "NLLLoss(reduction='mean') expects labels as integers, got labels of dtype float64; write labels.astype(int)"),
    (nll, lambda m: m(X, X), ValueError,
     "NLLLoss(reduction='mean') expects target as labels of shape (2,), got (2, 3); write target.argmax(axis=1)"),
    (nll, lambda m: m(X, np.eye(3, dtype=int)[:2]), ValueError,
     "NLLLoss(reduction='mean') expects target as labels of shape (2,), got (2, 3); write target.argmax(axis=1)"),
    (nll, lambda m: m(np.ones((2, 4, 5, 3)), np.ones((2, 4, 5), int)), ValueError,
     "NLLLoss(reduction='mean') expects target as labels of shape (2, 5, 3), got (2, 4, 5); classes are axis 1: "
     "write np.moveaxis(prediction, -1, 1)"),
    (nll, lambda m: m(np.ones((0, 3)), np.ones(0, int)), ValueError,
     "NLLLoss(reduction='mean') expects at least one element to average over, got shape (0,); leave empty batches out or "
     "use reduction='sum'"),
    (nothing, lambda _: nn.L1Loss()(X, X[0]), ValueError,
     "L1Loss(reduction='mean') expects target of shape (2, 3), that of prediction, got (3,)"),
    (nothing, lambda _: nn.L1Loss()(X[:, :1], X[:, 0]), ValueError,
     "L1Loss(reduction='mean') expects target of shape (2, 1), that of prediction, got (2,); "
     "write target.reshape(prediction.shape)"),
    (nothing, lambda _: nn.CosineEmbeddingLoss()(X, X[:, None], [1, 1]), ValueError,
     "CosineEmbeddingLoss(reduction='mean') expects x2 of shape (2, 3), that of x1, got (2, 1, 3); write x2.reshape(x1.shape)"),
    (nothing, lambda _: nn.SmoothL1Loss(beta=-1), ValueError, "SmoothL1Loss expects a finite beta >= 0, got -1.0"),
    (nothing, lambda _: nn.HuberLoss(delta=0), ValueError, "HuberLoss expects a finite delta > 0, got 0.0"),
    (nothing, lambda _: nn.HuberLoss(0.5), TypeError,
     "HuberLoss expects reduction to be one of 'mean', 'sum', 'none', got 0.5"),
    (nothing, lambda _: nn.BCELoss()([[0.5, 1.0], [0.0, 1.25]], [[0, 1], [0, 1]]), ValueError,
     "BCELoss(reduction='mean') expects predictions from 0 to 1, got 1.25 for sample (1, 1); put a Sigmoid before it, or take "
     "BCEWithLogitsLoss"),
    (nothing, lambda _: nn.BCELoss()([0.5, -0.25], [0, 1]), ValueError,
     "BCELoss(reduction='mean') expects predictions from 0 to 1, got -0.25 for sample 1; put a Sigmoid before it, or take "
     "BCEWithLogitsLoss"),
    (nothing, lambda _: nn.BCELoss()([0.5, np.nan], [0, 1]), ValueError,
     "BCELoss(reduction='mean') expects predictions from 0 to 1, got nan for sample 1; put a Sigmoid before it, or take "
     "BCEWithLogitsLoss"),
    (nothing, lambda _: nn.BCELoss()([0.5, 0.25], [-1, 1]), ValueError,
     "BCELoss(reduction='mean') expects targets from 0 to 1, got -1.0 for sample 0; write (target + 1) / 2"),
    (nothing, lambda _: nn.BCELoss()([0.5, 0.25], [1, 2]), ValueError,
     "BCELoss(reduction='mean') expects targets from 0 to 1, got 2.0 for sample 1; "
     "for labels of several classes take CrossEntropyLoss"),
    (nothing, lambda _: nn.BCELoss()([0.5, 0.25], [1, np.nan]), ValueError,
     "BCELoss(reduction='mean') expects targets from 0 to 1, got nan for sample 1"),
    (nothing, lambda _: nn.BCEWithLogitsLoss()([5.0, -3.0], [1, -1]), ValueError,
     "BCEWithLogitsLoss(reduction='mean') expects targets from 0 to 1, got -1.0 for sample 1; write (target + 1) / 2"),
    (nothing, lambda _: nn.BCEWithLogitsLoss()(X, [[0, 1, 2], [3, 0, 1]]), ValueError,
     "BCEWithLogitsLoss(reduction='mean') expects targets from 0 to 1, got 2.0 for sample (0, 2); "
     "for labels of several classes take CrossEntropyLoss"),
    (nothing, lambda _: nn.BCEWithLogitsLoss()([5.0, -3.0], [0.5, 1.5]), ValueError,
     "BCEWithLogitsLoss(reduction='mean') expects targets from 0 to 1, got 1.5 for sample 1"),
    (nothing, lambda _: nn.BCEWithLogitsLoss()([5.0, -3.0], [np.nan, 1]), ValueError,
     "BCEWithLogitsLoss(reduction='mean') expects targets from 0 to 1, got nan for sample 0"),
    (nothing, lambda _: nn.BCELoss(weight=[1, 2])(X / 5, X / 5), ValueError,
     "BCELoss(weight=..., reduction='mean') expects prediction whose last axes fit weight of shape (2,), got (2, 3)"),
    (nothing, lambda _: nn.BCEWithLogitsLoss(pos_weight=[1, 2])(X, X / 5), ValueError,
     "BCEWithLogitsLoss(reduction='mean', pos_weight=...) expects prediction whose last axes fit pos_weight of shape (2,), got "
     "(2, 3)"),
    (nothing, lambda _: nn.BCEWithLogitsLoss(pos_weight=np.inf), ValueError,
     "BCEWithLogitsLoss expects pos_weight to be finite numbers, got inf among them"),
    (nothing, lambda _: nn.KLDivLoss(log_target=1), TypeError, "KLDivLoss expects log_target to be True or False, got 1"),
    (nothing, lambda _: nn.KLDivLoss(reduction="avg"), ValueError,
     "KLDivLoss expects reduction to be one of 'mean', 'batchmean', 'sum', 'none', got 'avg'"),
    (nothing, lambda _: nn.KLDivLoss(reduction="batchmean")(X[:0], X[:0]), ValueError,
     "KLDivLoss(reduction='batchmean') expects at least one element to average over, got shape (0, 3); leave empty batches out "
     "or use reduction='sum'"),
    (nothing, lambda _: nn.PoissonNLLLoss(1), TypeError, "PoissonNLLLoss expects log_input to be True or False, got 1"),
    (nothing, lambda _: nn.PoissonNLLLoss(eps=-1), ValueError, "PoissonNLLLoss expects a finite eps >= 0, got -1.0"),
    (nothing, lambda _: nn.GaussianNLLLoss(eps=0), ValueError, "GaussianNLLLoss expects a finite eps > 0, got 0.0"),
    (nothing, lambda _: nn.GaussianNLLLoss()(X, X, [[1, 1, 1], [1, -2, 1]]), ValueError,
     "GaussianNLLLoss(reduction='mean') expects var to be at least 0, got -2.0 for sample (1, 1)"),
    (nothing, lambda _: nn.GaussianNLLLoss()(X, X, np.ones(3)), ValueError,
     "GaussianNLLLoss(reduction='mean') expects var of shape (2, 3), that of prediction, or (2,), or with axes of length 1, got (3,)"),
    (nothing, lambda _: nn.GaussianNLLLoss()(X, X[0], X), ValueError,
     "GaussianNLLLoss(reduction='mean') expects target of shape (2, 3), that of prediction, got (3,)"),
    (nothing, lambda _: nn.CosineEmbeddingLoss()(X, X, [1, 0]), ValueError,
     "CosineEmbeddingLoss(reduction='mean') expects targets of 1 and -1, got 0 for sample 1; write 2.0 * target - 1"),
    (nothing, lambda _: nn.CosineEmbeddingLoss(margin=2), ValueError,
     "CosineEmbeddingLoss expects a finite margin >= -1 and <= 1, got 2.0"),
    (nothing, lambda _: nn.HingeEmbeddingLoss()([0.5, 0.25], [True, False]), ValueError,
     "HingeEmbeddingLoss(reduction='mean') expects targets of 1 and -1, got 0.0 for sample 1; write 2.0 * target - 1"),
    (nothing, lambda _: nn.CosineEmbeddingLoss()(X, X[:1], [1, 1]), ValueError,
     "CosineEmbeddingLoss(reduction='mean') expects x2 of shape (2, 3), that of x1, got (1, 3)"),
    (nothing, lambda _: nn.CosineEmbeddingLoss()(X, X, 1), ValueError,
     "CosineEmbeddingLoss(reduction='mean') expects target of shape (2,), a number for each pair, got ()"),
    (nothing, lambda _: nn.CosineEmbeddingLoss()(X[None], X[None], [[1, 1]]), ValueError,
     "CosineEmbeddingLoss(reduction='mean') expects x1 of shape (N, D) or (D,), got (1, 2, 3)"),
    (nothing, lambda _: nn.CosineEmbeddingLoss(float("nan")), ValueError,
     "CosineEmbeddingLoss expects a finite margin >= -1 and <= 1, got nan"),
    (nothing, lambda _: nn.TripletMarginLoss(0), ValueError, "TripletMarginLoss expects a finite margin > 0, got 0.0"),
    (nothing, lambda _: nn.TripletMarginLoss(p=0), ValueError, "TripletMarginLoss expects a finite p > 0, got 0.0"),
    (nothing, lambda _: nn.TripletMarginLoss(swap=1), TypeError, "TripletMarginLoss expects swap to be True or False, got 1"),
    (nothing, lambda _: nn.TripletMarginLoss(eps=-1), ValueError, "TripletMarginLoss expects a finite eps >= 0, got -1.0"),
    (nothing, lambda _: nn.TripletMarginLoss()(X, X, X[:1]), ValueError,
     "TripletMarginLoss(reduction='mean') expects negative of shape (2, 3), that of anchor, got (1, 3)"),
    (nothing, lambda _: nn.TripletMarginLoss()(1.0, 2.0, 3.0), ValueError,
     "TripletMarginLoss(reduction='mean') expects anchor of shape (..., D), got ()"),
    (nothing, lambda _: nn.HingeEmbeddingLoss()(X, [[1, -1, 1], [1, 1, 0]]), ValueError,
     "HingeEmbeddingLoss(reduction='mean') expects targets of 1 and -1, got 0.0 for sample (1, 2)"),
    (nothing, lambda _: nn.HingeEmbeddingLoss(margin="1"), TypeError, "HingeEmbeddingLoss expects a finite margin, got '1'"),
    (nothing, lambda _: nn.MSELoss(reduction="avg"), ValueError,
     "MSELoss expects reduction to be one of 'half', 'mean', 'sum', 'none', got 'avg'"),
    (nothing, lambda _: nn.CrossEntropyLoss(reduction="half"), ValueError,
     "CrossEntropyLoss expects reduction to be one of 'mean', 'sum', 'none', got 'half'"),
    (nothing, lambda _: nn.MSELoss(reduction=None), TypeError,
     "MSELoss expects reduction to be one of 'half', 'mean', 'sum', 'none', got None"),
    # Backward
    (net, lambda m: m.backward(np.ones((2, 2))), RuntimeError,
     "Sequential expects a forward to undo, got a backward without one; call backward once after each "
     "forward, in the same thread, and not under no_grad"),
    (linear, lambda m: m.backward(np.ones((2, 2))), RuntimeError,
     "Linear(3, 2) expects a forward to undo, got a backward without one; call backward once after each "
     "forward, in the same thread, and not under no_grad"),
    (mse, lambda m: m.backward(), RuntimeError,
     "MSELoss(reduction='half') expects a forward to undo, got a backward without one; call backward once "
     "after each forward, in the same thread, and not under no_grad"),
    (undone, lambda m: m.backward(np.ones((2, 2))), RuntimeError,
     "Sequential expects a forward to undo, got a backward without one; call backward once after each "
     "forward, in the same thread, and not under no_grad"),
    (waiting, lambda m: m.backward(np.ones((2, 3))), ValueError,
     "Sequential expects grad of shape (2, 2), that of its output, got (2, 3)"),
    (waiting, lambda m: m.backward(np.ones(2)), ValueError,
     "Sequential expects grad of shape (2, 2), that of its output, got (2,)"),
    (waiting, lambda m: m.backward(1.0), ValueError,
     "Sequential expects grad of shape (2, 2), that of its output, got (); write model.backward(loss_fn.backward())"),
    (lambda: waiting(linear), lambda m: m.backward(np.ones((2, 1))), ValueError,
     "Linear(3, 2) expects grad of shape (2, 2), that of its output, got (2, 1)"),
    (lambda: waiting(linear), lambda m: m.backward(np.ones((2, 2)) * 1j), TypeError,
     "Linear(3, 2) expects grad to be an array of real numbers, got ndarray of dtype complex128"),
    (waiting, lambda m: m.backward(np.ones((2, 2)), 1), ValueError,
     "Sequential expects one gradient, got 2"),
    (lambda: waiting(linear), lambda m: m.backward_parameters(np.ones(3)), ValueError,
     "Linear(3, 2) expects grad of shape (2, 2), that of its output, got (3,)"),
    # Sizes and other arguments of layers
    *(
        (nothing, lambda _, args=args: nn.Linear(*args), error,
         f"Linear expects {name} to be a positive integer, got {got}")
        for args, error, name, got in [
            ((-1, 2), ValueError, "in_features", "-1"),
            ((0, 2), ValueError, "in_features", "0"),
            ((3, 0), ValueError, "out_features", "0"),
            ((3.0, 2), TypeError, "in_features", "3.0"),
            ((3, 2.0), TypeError, "out_features", "2.0"),
            (("3", 2), TypeError, "in_features", "'3'"),
            ((True, 2), TypeError, "in_features", "True"),
            ((3, None), TypeError, "out_features", "None"),
            ((3, (2,)), TypeError, "out_features", "(2,)"),
        ]
    ),
    (nothing, lambda _: nn.Linear(3, 2, 1), TypeError, "Linear expects bias to be True or False, got 1"),
    (nothing, lambda _: nn.Linear(3, 2, "yes"), TypeError, "Linear expects bias to be True or False, got 'yes'"),
    (nothing, lambda _: nn.Linear(3, 2, dtype=int), TypeError,
     "Linear expects dtype to be float32 or float64, got <class 'int'>"),
    (nothing, lambda _: nn.Linear(3, 2, dtype="f2"), TypeError,
     "Linear expects dtype to be float32 or float64, got 'f2'"),
    (nothing, lambda _: nn.Linear(3, 2, rng=0), TypeError,
     "Linear expects rng to be a numpy.random.Generator or None, got 0; write rng = "
     "np.random.default_rng(0) once and pass it to every layer"),
    (nothing, lambda _: nn.Linear(3, 2, weight_init=3), TypeError,
     "Linear expects weight_init to be a function, got 3; as in tinynn.init.zeros_"),
    (nothing, lambda _: nn.Linear(3, 2, bias_init="zeros"), TypeError,
     "Linear expects bias_init to be a function, got 'zeros'; as in tinynn.init.zeros_"),
    (nothing, lambda _: nn.Linear(3, 2, device="cpu"), TypeError,
     "Linear expects no argument 'device', got device='cpu'; drop it: arrays live in main memory"),
    (nothing, lambda _: nn.ReLU(inplace=True), TypeError,
     "ReLU expects no argument 'inplace', got inplace=True; drop it: no layer works in place on what it "
     "is given"),
    (nothing, lambda _: nn.Elementwise(np.sin), TypeError,
     "Elementwise expects a function and its derivative, as in Elementwise(np.sin, np.cos), got <ufunc "
     "'sin'> and None"),
    (nothing, lambda _: nn.Elementwise(), TypeError,
     "Elementwise expects a function and its derivative, as in Elementwise(np.sin, np.cos), got None and "
     "None"),
    (nothing, lambda _: nn.Elementwise(np.sin, 3), TypeError,
     "Elementwise expects a function and its derivative, as in Elementwise(np.sin, np.cos), got <ufunc "
     "'sin'> and 3"),
    # Activations
    (nothing, lambda _: nn.Elementwise(np.ravel, np.cos)(X), ValueError,
     "Elementwise(ravel, cos) expects function to keep the shape (2, 3), got (6,)"),
    (nothing, lambda _: both_ways(nn.Elementwise(np.sin, np.ravel), X), ValueError,
     "Elementwise(sin, ravel) expects derivative to keep the shape (2, 3), got (6,)"),
    (nothing, lambda _: nn.Tanh(np.tanh), TypeError, "Tanh expects no arguments, got <ufunc 'tanh'>"),
    (nothing, lambda _: nn.SiLU(1.0), TypeError, "SiLU expects no arguments, got 1.0"),
    (nothing, lambda _: nn.LeakyReLU("0.1"), TypeError, "LeakyReLU expects a finite negative_slope, got '0.1'"),
    (nothing, lambda _: nn.LeakyReLU(float("nan")), ValueError, "LeakyReLU expects a finite negative_slope, got nan"),
    (nothing, lambda _: nn.ELU(alpha=None), TypeError, "ELU expects a finite alpha, got None"),
    (nothing, lambda _: nn.CELU(alpha=0), ValueError, "CELU expects a finite alpha > 0, got 0.0"),
    (nothing, lambda _: nn.CELU(alpha=-1), ValueError, "CELU expects a finite alpha > 0, got -1.0"),
    (nothing, lambda _: nn.Softplus(beta=0), ValueError, "Softplus expects a finite beta > 0, got 0.0"),
    (nothing, lambda _: nn.Softplus(threshold=np.inf), ValueError, "Softplus expects a finite threshold, got inf"),
    (nothing, lambda _: nn.Hardtanh(1.0, 1.0), ValueError, "Hardtanh expects a finite max_val > 1, got 1.0"),
    (nothing, lambda _: nn.Hardtanh("a"), TypeError, "Hardtanh expects a finite min_val, got 'a'"),
    (nothing, lambda _: nn.GELU("erf"), ValueError, "GELU expects approximate to be one of 'none', 'tanh', got 'erf'"),
    (nothing, lambda _: nn.GELU(True), TypeError, "GELU expects approximate to be one of 'none', 'tanh', got True"),
    (nothing, lambda _: nn.PReLU(0), ValueError, "PReLU expects num_parameters to be a positive integer, got 0"),
    (nothing, lambda _: nn.PReLU(init=[0.1]), TypeError, "PReLU expects a finite init, got [0.1]"),
    (nothing, lambda _: nn.PReLU(dtype=int), TypeError,
     "PReLU expects dtype to be float32 or float64, got <class 'int'>"),
    (nothing, lambda _: nn.PReLU(device="cpu"), TypeError,
     "PReLU expects no argument 'device', got device='cpu'; drop it: arrays live in main memory"),
    (lambda: nn.PReLU(3), lambda m: m(X[0]), ValueError, "PReLU(3) expects x of shape (samples, 3, ...), got (3,)"),
    (lambda: nn.PReLU(3), lambda m: m(X.T), ValueError, "PReLU(3) expects x of shape (samples, 3, ...), got (3, 2)"),
    (nothing, lambda _: nn.PReLU(2)(X), ValueError, "PReLU(2) expects x of shape (samples, 2, ...), got (2, 3)"),
    *(
        (nothing, lambda _, cls=cls: cls(), TypeError,
         f"{cls.__name__} expects dim to be the number of an axis, got None; write dim=1 for scores of shape "
         "(samples, classes, ...), dim=-1 for the last axis")
        for cls in (nn.Softmax, nn.Softmin, nn.LogSoftmax)
    ),
    (nothing, lambda _: nn.Softmax(1.0), TypeError, "Softmax expects dim to be an integer, got 1.0"),
    (nothing, lambda _: nn.LogSoftmax(dim=True), TypeError, "LogSoftmax expects dim to be an integer, got True"),
    (lambda: nn.Softmax(dim=1), lambda m: m(X[0]), ValueError,
     "Softmax(dim=1) expects an array with an axis 1, got one of shape (3,)"),
    (lambda: nn.LogSoftmax(dim=-2), lambda m: m(X[0]), ValueError,
     "LogSoftmax(dim=-2) expects an array with an axis -2, got one of shape (3,)"),
    (lambda: nn.Softmin(dim=1), lambda m: m([]), ValueError,
     "Softmin(dim=1) expects an array with an axis 1, got one of shape (0,)"),
    # Containers
    (nothing, lambda _: nn.Sequential(3), TypeError, "Sequential expects layers, got 3; pass layers one by one"),
    (nothing, lambda _: nn.Sequential(nn.ReLU), TypeError,
     "Sequential expects layers, got the class ReLU; write ReLU()"),
    (nothing, lambda _: nn.Sequential(np.tanh), TypeError,
     "Sequential expects layers, got <ufunc 'tanh'>; wrap it: nn.Elementwise(function, derivative)"),
    (nothing, lambda _: nn.Sequential([nn.ReLU()]), TypeError,
     "Sequential expects layers, got [ReLU()]; pass layers one by one"),
    (nothing, lambda _: nn.Sequential(nn.ReLU(), None), TypeError,
     "Sequential expects layers, got None; pass layers one by one"),
    (nothing, lambda _: nn.Sequential({"a": nn.ReLU}), TypeError,
     "Sequential expects layers, got the class ReLU; write ReLU()"),
    (nothing, lambda _: nn.Sequential({"a.b": nn.ReLU()}), TypeError,
     "Sequential expects names that are text without dots, got 'a.b'"),
    (nothing, lambda _: nn.Residual(nn.ReLU), TypeError, "Residual expects layers, got the class ReLU; write ReLU()"),
    (nothing, lambda _: nn.Residual(np.sin), TypeError,
     "Residual expects layers, got <ufunc 'sin'>; wrap it: nn.Elementwise(function, derivative)"),
    (net, lambda m: m.append(nn.ReLU), TypeError, "Sequential expects layers, got the class ReLU; write ReLU()"),
    (net, lambda m: m.__setitem__(0, 3), TypeError, "Sequential expects layers, got 3; pass layers one by one"),
    (net, lambda m: m.train("yes"), TypeError, "Sequential expects mode to be True or False, got 'yes'"),
    (net, lambda m: m.requires_grad_(1), TypeError, "Sequential expects requires_grad to be True or False, got 1"),
    (net, lambda m: m.astype("int"), TypeError, "Sequential expects dtype to be float32 or float64, got 'int'"),
    # Branches
    (nothing, lambda _: nn.Add(), ValueError, "Add expects at least one branch, got none"),
    (nothing, lambda _: nn.Multiply(nn.Tanh), TypeError, "Multiply expects layers, got the class Tanh; write Tanh()"),
    (nothing, lambda _: nn.Concatenate(nn.Tanh(), -1), TypeError,
     "Concatenate expects layers, got -1; pass layers one by one"),
    (nothing, lambda _: nn.Concatenate(nn.Tanh(), dim=1.0), TypeError,
     "Concatenate expects dim to be an integer, got 1.0"),
    (nothing, lambda _: nn.Add({"a.b": nn.Tanh()}), TypeError, "Add expects names that are text without dots, got 'a.b'"),
    (lambda: nn.Add(nn.Tanh(), nn.Tanh()), lambda m: m(X, X, X), ValueError,
     "Add expects 1 input for all branches, or 2, one for each, got 3"),
    (lambda: nn.Add(nn.Tanh(), nn.Tanh()), lambda m: m(), ValueError,
     "Add expects 1 input for all branches, or 2, one for each, got 0"),
    (lambda: nn.Add(nn.Tanh(), nn.Tanh()), lambda m: m(X, X[:1]), ValueError,
     "Add expects branch 1 to return the shape (2, 3), that of the first branch, got (1, 3)"),
    (lambda: nn.Multiply({"a": nn.Tanh(), "b": nn.Tanh()}), lambda m: m(X, X.T), ValueError,
     "Multiply expects branch b to return the shape (2, 3), that of the first branch, got (3, 2)"),
    (lambda: nn.Concatenate(nn.Tanh(), nn.Tanh()), lambda m: m(X, X.T), ValueError,
     "Concatenate expects branch 1 to return the shape (2, 3), that of the first branch, but for axis 1, got (3, 2)"),
    (lambda: nn.Concatenate(nn.Tanh(), nn.Tanh()), lambda m: m(X, X[0]), ValueError,
     "Concatenate expects branch 1 to return the shape (2, 3), that of the first branch, but for axis 1, got (3,)"),
    (lambda: nn.Concatenate(nn.Tanh(), dim=1), lambda m: m(X[0]), ValueError,
     "Concatenate expects an array with an axis 1, got one of shape (3,)"),
    (lambda: nn.Concatenate(nn.Tanh(), dim=-2), lambda m: m(X[0]), ValueError,
     "Concatenate expects an array with an axis -2, got one of shape (3,)"),
    (lambda: nn.Add(linear(), linear()), lambda m: m(np.ones((5, 4))), ValueError,
     "Linear(3, 2) expects x of shape (..., 3), got (5, 4)\nin layer 0 of Add"),
    (lambda: nn.Multiply({"value": linear(), "gate": linear()}), lambda m: m(X, np.ones((2, 4))), ValueError,
     "Linear(3, 2) expects x of shape (..., 3), got (2, 4)\nin layer gate of Multiply"),
    (lambda: waiting(lambda: nn.Add(linear(), linear())), lambda m: m.backward(np.ones((2, 3))), ValueError,
     "Add expects grad of shape (2, 2), that of its output, got (2, 3)"),
    (nothing, lambda _: nn.Add(nn.Identity(), Pair())(X), ValueError,
     "Add expects one array from branch 1, got a tuple of 2"),
    # Dropout
    *(
        (nothing, lambda _, kind=kind, p=p: kind(p), error, f"{kind.__name__} expects a finite p >= 0 and <= 1, got {got}")
        for kind in (nn.Dropout, nn.AlphaDropout)
        for p, error, got in [
            (-0.1, ValueError, "-0.1"),
            (1.1, ValueError, "1.1"),
            (float("nan"), ValueError, "nan"),
            (True, TypeError, "True"),
            (None, TypeError, "None"),
        ]
    ),
    (nothing, lambda _: nn.Dropout(rng=0), TypeError,
     "Dropout expects rng to be a numpy.random.Generator or None, got 0; write rng = "
     "np.random.default_rng(0) once and pass it to every layer"),
    (nothing, lambda _: nn.Dropout(inplace=True), TypeError,
     "Dropout expects no argument 'inplace', got inplace=True; drop it: no layer works in place on what it is given"),
    # Normalization
    (lambda: nn.BatchNorm1d(3), lambda m: m(X[:1]), ValueError,
     "BatchNorm1d(3) expects more than one number for each feature in training, got (1, 3); call eval() to "
     "use the running statistics"),
    (nothing, lambda _: nn.BatchNorm1d(3, track_running_stats=False).eval()(X[:1]), ValueError,
     "BatchNorm1d(3, track_running_stats=False) expects more than one number for each feature in training, got (1, 3)"),
    (lambda: nn.BatchNorm1d(3), lambda m: m(X[0]), ValueError,
     "BatchNorm1d(3) expects x of shape (N, 3) or (N, 3, L), got (3,)"),
    (lambda: nn.BatchNorm1d(3), lambda m: m(X.T), ValueError,
     "BatchNorm1d(3) expects x of shape (N, 3) or (N, 3, L), got (3, 2)"),
    (lambda: nn.BatchNorm1d(3, momentum=None), lambda m: m(np.ones((2, 3, 4, 5))), ValueError,
     "BatchNorm1d(3, momentum=None) expects x of shape (N, 3) or (N, 3, L), got (2, 3, 4, 5)"),
    (nothing, lambda _: nn.BatchNorm2d(3)(X), ValueError,
     "BatchNorm2d(3) expects x of shape (N, 3, H, W), got (2, 3)"),
    (nothing, lambda _: nn.BatchNorm1d(0), ValueError, "BatchNorm1d expects num_features to be a positive integer, got 0"),
    (nothing, lambda _: nn.BatchNorm1d(3, -1e-5), ValueError, "BatchNorm1d expects a finite eps >= 0, got -1e-05"),
    (nothing, lambda _: nn.BatchNorm1d(3, momentum=1.5), ValueError,
     "BatchNorm1d expects a finite momentum >= 0 and <= 1, got 1.5"),
    (nothing, lambda _: nn.BatchNorm1d(3, momentum="0.1"), TypeError,
     "BatchNorm1d expects a finite momentum >= 0 and <= 1, got '0.1'"),
    (nothing, lambda _: nn.BatchNorm2d(3, affine=1), TypeError, "BatchNorm2d expects affine to be True or False, got 1"),
    (nothing, lambda _: nn.BatchNorm2d(3, track_running_stats=None), TypeError,
     "BatchNorm2d expects track_running_stats to be True or False, got None"),
    (nothing, lambda _: nn.BatchNorm2d(3, bias=0), TypeError, "BatchNorm2d expects bias to be True or False, got 0"),
    (nothing, lambda _: nn.BatchNorm2d(3, dtype=int), TypeError,
     "BatchNorm2d expects dtype to be float32 or float64, got <class 'int'>"),
    (lambda: nn.LayerNorm(3), lambda m: m(X.T), ValueError, "LayerNorm(3) expects x of shape (..., 3), got (3, 2)"),
    (lambda: nn.LayerNorm(3), lambda m: m(1.0), ValueError, "LayerNorm(3) expects x of shape (..., 3), got ()"),
    (lambda: nn.LayerNorm((2, 3), bias=False), lambda m: m(X[0]), ValueError,
     "LayerNorm((2, 3), bias=False) expects x of shape (..., 2, 3), got (3,)"),
    (lambda: nn.RMSNorm(3), lambda m: m(X.T), ValueError, "RMSNorm(3) expects x of shape (..., 3), got (3, 2)"),
    (lambda: nn.GroupNorm(3, 3), lambda m: m(X.T), ValueError, "GroupNorm(3, 3) expects x of shape (N, 3, ...), got (3, 2)"),
    (lambda: nn.GroupNorm(1, 3), lambda m: m(X[0]), ValueError, "GroupNorm(1, 3) expects x of shape (N, 3, ...), got (3,)"),
    (nothing, lambda _: nn.LayerNorm(()), ValueError, "LayerNorm expects normalized_shape to have an axis, got ()"),
    (nothing, lambda _: nn.LayerNorm((3, 0)), ValueError,
     "LayerNorm expects each length in normalized_shape to be a positive integer, got 0"),
    (nothing, lambda _: nn.LayerNorm(3.0), TypeError, "LayerNorm expects normalized_shape to be a positive integer, got 3.0"),
    (nothing, lambda _: nn.LayerNorm(3, eps=None), TypeError, "LayerNorm expects a finite eps >= 0, got None"),
    (nothing, lambda _: nn.LayerNorm(3, elementwise_affine="no"), TypeError,
     "LayerNorm expects elementwise_affine to be True or False, got 'no'"),
    (nothing, lambda _: nn.LayerNorm(3, bias=None), TypeError, "LayerNorm expects bias to be True or False, got None"),
    (nothing, lambda _: nn.RMSNorm(3, eps=-1.0), ValueError, "RMSNorm expects a finite eps >= 0, got -1.0"),
    (nothing, lambda _: nn.RMSNorm(3, elementwise_affine=1), TypeError,
     "RMSNorm expects elementwise_affine to be True or False, got 1"),
    (nothing, lambda _: nn.GroupNorm(2, 3), ValueError,
     "GroupNorm expects num_channels to be a multiple of num_groups, got 3 channels in 2 groups"),
    (nothing, lambda _: nn.GroupNorm(0, 3), ValueError, "GroupNorm expects num_groups to be a positive integer, got 0"),
    (nothing, lambda _: nn.GroupNorm(1, 3, eps="0"), TypeError, "GroupNorm expects a finite eps >= 0, got '0'"),
    (nothing, lambda _: nn.GroupNorm(1, 3, affine=None), TypeError, "GroupNorm expects affine to be True or False, got None"),
    (nothing, lambda _: nn.GroupNorm(1, 3, bias=1), TypeError, "GroupNorm expects bias to be True or False, got 1"),
    # Shapes of layers that move numbers
    (nn.Flatten, lambda m: m(X[0]), ValueError,
     "Flatten(start_dim=1, end_dim=-1) expects an array with an axis 1, got one of shape (3,)"),
    (nn.Flatten, lambda m: m(1.0), ValueError,
     "Flatten(start_dim=1, end_dim=-1) expects an array with an axis 1, got one of shape (1,)"),
    (lambda: nn.Flatten(0, 1), lambda m: m(X[0]), ValueError,
     "Flatten(start_dim=0, end_dim=1) expects an array with an axis 1, got one of shape (3,)"),
    (nothing, lambda _: nn.Flatten(-1, -2)(X[None]), ValueError,
     "Flatten(start_dim=-1, end_dim=-2) expects start_dim not to come after end_dim, got an array of shape (1, 2, 3)"),
    (nothing, lambda _: nn.Flatten(1.0), TypeError, "Flatten expects start_dim to be an integer, got 1.0"),
    (nothing, lambda _: nn.Flatten(1, None), TypeError, "Flatten expects end_dim to be an integer, got None"),
    (lambda: nn.Unflatten(1, (3, 1)), lambda m: m(X.T), ValueError,
     "Unflatten(1, (3, 1)) expects x with an axis 1 that can be split into (3, 1), got shape (3, 2)"),
    (lambda: nn.Unflatten(1, (3, -1)), lambda m: m(X.T), ValueError,
     "Unflatten(1, (3, -1)) expects x with an axis 1 that can be split into (3, -1), got shape (3, 2)"),
    (lambda: nn.Unflatten(1, (3, 1)), lambda m: m(X[0]), ValueError,
     "Unflatten(1, (3, 1)) expects an array with an axis 1, got one of shape (3,)"),
    (nothing, lambda _: nn.Unflatten(1, (0, -1)), ValueError,
     "Unflatten expects unflattened_size to be sizes, one of them -1 at most, and none 0 then, got (0, -1)"),
    (nothing, lambda _: nn.Unflatten(1, 3), TypeError,
     "Unflatten expects unflattened_size to be a tuple or a list of integers, got 3"),
    (nothing, lambda _: nn.Unflatten(1, (-1, -1)), ValueError,
     "Unflatten expects unflattened_size to be sizes, one of them -1 at most, and none 0 then, got (-1, -1)"),
    (nothing, lambda _: nn.Unflatten(1, []), ValueError,
     "Unflatten expects unflattened_size to be sizes, one of them -1 at most, and none 0 then, got []"),
    (nothing, lambda _: nn.Unflatten(1, (3, -2)), ValueError, "Unflatten expects each size to be an integer >= -1, got -2"),
    (nothing, lambda _: nn.Unflatten(1, (3, 1.0)), TypeError, "Unflatten expects each size to be an integer >= -1, got 1.0"),
    (nothing, lambda _: nn.Unflatten("features", (3, 1)), TypeError, "Unflatten expects dim to be an integer, got 'features'"),
    # Indices
    (nothing, lambda _: nn.Embedding(5, 2)([[0, 1], [5, 7]]), ValueError,
     "Embedding(5, 2) expects indices from 0 to 4, got 5 at (1, 0)"),
    (nothing, lambda _: nn.Embedding(5, 2)([0, 5]), ValueError,
     "Embedding(5, 2) expects indices from 0 to 4, got 5 at 1"),
    (nothing, lambda _: nn.Embedding(5, 2)([0, -1]), ValueError,
     "Embedding(5, 2) expects indices from 0 to 4, got -1 at 1"),
    (nothing, lambda _: nn.Embedding(5, 2)(7), ValueError, "Embedding(5, 2) expects indices from 0 to 4, got 7"),
    (nothing, lambda _: nn.Embedding(5, 2, 0)(X), TypeError,
     "Embedding(5, 2, padding_idx=0) expects x as integers, got x of dtype float64; write x.astype(int)"),
    (nothing, lambda _: nn.Embedding(5, 2)(X > 1), TypeError,
     "Embedding(5, 2) expects x as integers, got x of dtype bool; write x.astype(int)"),
    (nothing, lambda _: nn.Embedding(5, 0), ValueError, "Embedding expects embedding_dim to be a positive integer, got 0"),
    (nothing, lambda _: nn.Embedding(5.0, 2), TypeError, "Embedding expects num_embeddings to be a positive integer, got 5.0"),
    (nothing, lambda _: nn.Embedding(5, 2, 5), ValueError,
     "Embedding expects padding_idx to be an integer >= -5 and <= 4, got 5"),
    (nothing, lambda _: nn.Embedding(5, 2, -6), ValueError,
     "Embedding expects padding_idx to be an integer >= -5 and <= 4, got -6"),
    (nothing, lambda _: nn.Embedding(5, 2, 0.0), TypeError,
     "Embedding expects padding_idx to be an integer >= -5 and <= 4, got 0.0"),
    (nothing, lambda _: nn.Embedding(5, 2, rng=0), TypeError,
     "Embedding expects rng to be a numpy.random.Generator or None, got 0; write rng = "
     "np.random.default_rng(0) once and pass it to every layer"),
    (nothing, lambda _: nn.Embedding(5, 2, dtype=int), TypeError,
     "Embedding expects dtype to be float32 or float64, got <class 'int'>"),
    (nothing, lambda _: nn.Embedding(5, 2, sparse=True), TypeError,
     "Embedding expects no argument 'sparse', got sparse=True; drop it: gradients are dense arrays, and backward "
     "touches only the rows that were looked up"),
    (nothing, lambda _: nn.Embedding(5, 2, max_norm=1.0), TypeError,
     "Embedding expects no argument 'max_norm', got max_norm=1.0; drop it: a forward does not change parameters"),
    (nothing, lambda _: nn.Embedding(5, 2, scale_grad_by_freq=True), TypeError,
     "Embedding expects no argument 'scale_grad_by_freq', got scale_grad_by_freq=True; drop it: backward gives the "
     "gradient of the loss, and nothing else"),
    (nothing, lambda _: nn.Embedding(5, 2, norm_type=1.0), TypeError,
     "Embedding expects no argument 'norm_type', got norm_type=1.0; drop it: there is no max_norm"),
    (nothing, lambda _: nn.Embedding.from_pretrained(X[0]), ValueError,
     "Embedding.from_pretrained expects embeddings of shape (num_embeddings, embedding_dim), got (3,)"),
    (nothing, lambda _: nn.Embedding.from_pretrained("abc"), TypeError,
     "Embedding.from_pretrained expects embeddings to be an array of real numbers, got str of dtype <U3"),
    (nothing, lambda _: nn.Embedding.from_pretrained(X, freeze=0), TypeError,
     "Embedding.from_pretrained expects freeze to be True or False, got 0"),
    # Two inputs
    (nothing, lambda _: nn.Bilinear(3, 4, 2)(X, X), ValueError,
     "Bilinear(3, 4, 2) expects input2 of shape (2, 4), got (2, 3)"),
    (nothing, lambda _: nn.Bilinear(3, 4, 2)(X.T, X), ValueError,
     "Bilinear(3, 4, 2) expects input1 of shape (..., 3), got (3, 2)"),
    (nothing, lambda _: nn.Bilinear(3, 3, 2)(X, X[:1]), ValueError,
     "Bilinear(3, 3, 2) expects input2 of shape (2, 3), got (1, 3)"),
    (nothing, lambda _: nn.Bilinear(3, 3, 2, False)(X[0], X), ValueError,
     "Bilinear(3, 3, 2, bias=False) expects input2 of shape (3,), got (2, 3)"),
    (nothing, lambda _: nn.Bilinear(3, 3, 2)(1.0, X), ValueError,
     "Bilinear(3, 3, 2) expects input1 of shape (..., 3), got ()"),
    (nothing, lambda _: nn.Bilinear(3, 3, 2)(X, "abc"), TypeError,
     "Bilinear(3, 3, 2) expects input2 to be an array of real numbers, got str of dtype <U3"),
    (nothing, lambda _: nn.Bilinear(3, 0, 2), ValueError, "Bilinear expects in2_features to be a positive integer, got 0"),
    (nothing, lambda _: nn.Bilinear(0, 3, 2), ValueError, "Bilinear expects in1_features to be a positive integer, got 0"),
    (nothing, lambda _: nn.Bilinear(3, 3, 0), ValueError, "Bilinear expects out_features to be a positive integer, got 0"),
    (nothing, lambda _: nn.Bilinear(3, 3, 2, 1), TypeError, "Bilinear expects bias to be True or False, got 1"),
    (nothing, lambda _: nn.Bilinear(3, 3, 2, rng=0), TypeError,
     "Bilinear expects rng to be a numpy.random.Generator or None, got 0; write rng = "
     "np.random.default_rng(0) once and pass it to every layer"),
    (nothing, lambda _: nn.Bilinear(3, 3, 2, dtype="f2"), TypeError,
     "Bilinear expects dtype to be float32 or float64, got 'f2'"),
    # Optimizers
    (nothing, lambda _: nn.SGD([]), ValueError, "SGD expects at least one parameter, got none; is an array in a layer meant to be a Parameter?"),
    (nothing, lambda _: nn.SGD(nn.ReLU().parameters()), ValueError, "SGD expects at least one parameter, got none; is an array in a layer meant to be a Parameter?"),
    (nothing, lambda _: nn.SGD(linear()), TypeError, "SGD expects parameters, as in model.parameters(), got a Linear"),
    (nothing, lambda _: nn.SGD(X), TypeError, "SGD expects parameters, as in model.parameters(), got a ndarray"),
    (nothing, lambda _: nn.SGD([X]), TypeError, "SGD expects Parameter objects, got a ndarray; pass model.parameters(), or [*a.parameters(), *b.parameters()]"),
    (nothing, lambda _: nn.SGD([linear()]), TypeError, "SGD expects Parameter objects, got a Linear; pass model.parameters(), or [*a.parameters(), *b.parameters()]"),
    (nothing, lambda _: nn.SGD(linear().named_parameters()), TypeError, "SGD expects Parameter objects, got a tuple; pass model.parameters(), or [*a.parameters(), *b.parameters()]"),
    *(
        (linear, lambda m, options=options: nn.SGD(m.parameters(), **options), error, "SGD expects " + message)
        for options, error, message in [
            ({"lr": -1}, ValueError, "a finite lr >= 0, got -1.0"),
            ({"lr": float("nan")}, ValueError, "a finite lr >= 0, got nan"),
            ({"lr": float("inf")}, ValueError, "a finite lr >= 0, got inf"),
            ({"lr": "0.1"}, TypeError, "a finite lr >= 0, got '0.1'"),
            ({"lr": None}, TypeError, "a finite lr >= 0, got None"),
            ({"lr": True}, TypeError, "a finite lr >= 0, got True"),
            ({"lr": 1j}, TypeError, "a finite lr >= 0, got 1j"),
            ({"lr": [0.1]}, TypeError, "a finite lr >= 0, got [0.1]"),
            ({"momentum": -0.1}, ValueError, "a finite momentum >= 0, got -0.1"),
            ({"momentum": float("nan")}, ValueError, "a finite momentum >= 0, got nan"),
            ({"momentum": "0.9"}, TypeError, "a finite momentum >= 0, got '0.9'"),
            ({"dampening": float("inf")}, ValueError, "a finite dampening, got inf"),
            ({"weight_decay": -1}, ValueError, "a finite weight_decay >= 0, got -1.0"),
            ({"weight_decay": float("inf")}, ValueError, "a finite weight_decay >= 0, got inf"),
            ({"nesterov": True}, ValueError,
             "momentum > 0 and dampening = 0 for nesterov, got momentum=0.0, dampening=0.0"),
            ({"nesterov": True, "momentum": 0.9, "dampening": 0.1}, ValueError,
             "momentum > 0 and dampening = 0 for nesterov, got momentum=0.9, dampening=0.1"),
            ({"nesterov": 1, "momentum": 0.9}, TypeError, "nesterov to be True or False, got 1"),
            ({"maximize": "no"}, TypeError, "maximize to be True or False, got 'no'"),
            ({"foreach": True}, TypeError,
             "no argument 'foreach', got foreach=True; drop it: there is one implementation, and it is "
             "the fast one"),
            ({"fused": True}, TypeError,
             "no argument 'fused', got fused=True; drop it: there is one implementation, and it is the "
             "fast one"),
        ]
    ),
    *(
        (linear, lambda m, options=options: nn.AdamW(m.parameters(), **options), error, "AdamW expects " + message)
        for options, error, message in [
            ({"lr": float("nan")}, ValueError, "a finite lr >= 0, got nan"),
            ({"lr": "0.1"}, TypeError, "a finite lr >= 0, got '0.1'"),
            ({"betas": 0.9}, TypeError, "betas to be two numbers, got 0.9"),
            ({"betas": (0.9,)}, TypeError, "betas to be two numbers, got (0.9,)"),
            ({"betas": (0.9, 0.99, 0.999)}, TypeError, "betas to be two numbers, got (0.9, 0.99, 0.999)"),
            ({"betas": "ab"}, TypeError, "betas to be two numbers, got 'ab'"),
            ({"betas": (1.0, 0.999)}, ValueError, "a finite betas[0] >= 0 and < 1, got 1.0"),
            ({"betas": [0.9, -0.1]}, ValueError, "a finite betas[1] >= 0 and < 1, got -0.1"),
            ({"betas": (0.9, float("nan"))}, ValueError, "a finite betas[1] >= 0 and < 1, got nan"),
            ({"betas": (None, 0.9)}, TypeError, "a finite betas[0] >= 0 and < 1, got None"),
            ({"eps": -1e-8}, ValueError, "a finite eps >= 0, got -1e-08"),
            ({"eps": "0"}, TypeError, "a finite eps >= 0, got '0'"),
            ({"weight_decay": -1}, ValueError, "a finite weight_decay >= 0, got -1.0"),
            ({"weight_decay": float("inf")}, ValueError, "a finite weight_decay >= 0, got inf"),
            ({"amsgrad": 1}, TypeError, "amsgrad to be True or False, got 1"),
            ({"maximize": None}, TypeError, "maximize to be True or False, got None"),
            ({"capturable": True}, TypeError,
             "no argument 'capturable', got capturable=True; drop it: there are no graphs to capture"),
            ({"differentiable": True}, TypeError,
             "no argument 'differentiable', got differentiable=True; drop it: an optimizer step has no gradient here"),
        ]
    ),
    (linear, lambda m: nn.Adam(m.parameters(), betas=(2, 0.9)), ValueError,
     "Adam expects a finite betas[0] >= 0 and < 1, got 2.0"),
    (linear, lambda m: nn.Adam(m.parameters(), decoupled_weight_decay="yes"), TypeError,
     "Adam expects decoupled_weight_decay to be True or False, got 'yes'"),
    (linear, lambda m: nn.Adam([{"params": m.parameters(), "momentum": 0.9}]), TypeError,
     "Adam expects the options lr, betas, eps, weight_decay, amsgrad, maximize, decoupled_weight_decay, got momentum"),
    *(
        (linear, lambda m, kind=kind, options=options: kind(m.parameters(), **options), error,
         f"{kind.__name__} expects {message}")
        for kind, own in {
            nn.RMSprop: [
                ({"alpha": 1.5}, ValueError, "a finite alpha >= 0 and <= 1, got 1.5"),
                ({"momentum": -1}, ValueError, "a finite momentum >= 0, got -1.0"),
                ({"centered": 1}, TypeError, "centered to be True or False, got 1"),
            ],
            nn.Adagrad: [
                ({"lr_decay": -1}, ValueError, "a finite lr_decay >= 0, got -1.0"),
                ({"initial_accumulator_value": -1}, ValueError,
                 "a finite initial_accumulator_value >= 0, got -1.0"),
            ],
            nn.Adadelta: [({"rho": -0.1}, ValueError, "a finite rho >= 0 and <= 1, got -0.1")],
            nn.NAdam: [
                ({"betas": (0.9, 1)}, ValueError, "a finite betas[1] >= 0 and < 1, got 1.0"),
                ({"momentum_decay": -1}, ValueError, "a finite momentum_decay >= 0, got -1.0"),
                ({"decoupled_weight_decay": 1}, TypeError, "decoupled_weight_decay to be True or False, got 1"),
            ],
            nn.RAdam: [
                ({"betas": 0.9}, TypeError, "betas to be two numbers, got 0.9"),
                ({"decoupled_weight_decay": 1}, TypeError, "decoupled_weight_decay to be True or False, got 1"),
            ],
        }.items()
        for options, error, message in [
            *own,
            ({"lr": -1}, ValueError, "a finite lr >= 0, got -1.0"),
            ({"eps": -1}, ValueError, "a finite eps >= 0, got -1.0"),
            ({"weight_decay": -1}, ValueError, "a finite weight_decay >= 0, got -1.0"),
            ({"maximize": 1}, TypeError, "maximize to be True or False, got 1"),
            ({"foreach": True}, TypeError,
             "no argument 'foreach', got foreach=True; drop it: there is one implementation, and it is "
             "the fast one"),
        ]
    ),
    # State of another architecture
    (linear, lambda m: m.load_state_dict(nn.Linear(3, 4, bias=False).state_dict()), ValueError,
     "Linear expects the state of the same architecture, got\n  missing: bias\n  weight: "
     "Parameter(shape=(2, 3), dtype=float64) expects data of shape (2, 3), got (4, 3)"),
    (net, lambda m: m.load_state_dict(linear().state_dict()), ValueError,
     "Sequential expects the state of the same architecture, got\n  missing: 0.weight\n  missing: "
     "0.bias\n  unexpected: weight\n  unexpected: bias"),
    (net, lambda m: m.load_state_dict("model.npz"), ValueError,
     "Sequential expects a state dict, got a str; nn.load(path) reads a file"),
    (net, lambda m: m.load_state_dict(3), ValueError, "Sequential expects a state dict, got a int"),
    # Batches
    (nothing, lambda _: nn.data.batches(X, X[:1]), ValueError,
     "batches expects x and y of the same length, got 2 and 1"),
    (nothing, lambda _: nn.data.batches(5.0), ValueError, "batches expects x of shape (N, ...), got ()"),
    (nothing, lambda _: nn.data.batches(X, 1.0), ValueError, "batches expects y of shape (N, ...), got ()"),
    (nothing, lambda _: nn.data.batches(X, batch_size=0), ValueError,
     "batches expects batch_size to be a positive integer, got 0"),
    (nothing, lambda _: nn.data.batches(X, batch_size=2.0), TypeError,
     "batches expects batch_size to be a positive integer, got 2.0"),
    (nothing, lambda _: nn.data.batches(X, batch_size=True), TypeError,
     "batches expects batch_size to be a positive integer, got True"),
    (nothing, lambda _: nn.data.batches(X, shuffle=1), TypeError, "batches expects shuffle to be True or False, got 1"),
    (nothing, lambda _: nn.data.batches(X, drop_last="no"), TypeError,
     "batches expects drop_last to be True or False, got 'no'"),
    (nothing, lambda _: nn.data.batches(X, rng=0), TypeError,
     "batches expects rng together with shuffle=True, got shuffle=False, rng=0"),
    (nothing, lambda _: nn.data.batches(X, shuffle=True, rng="0"), TypeError,
     "batches expects rng to be a numpy.random.Generator, a seed >= 0 or None, got '0'"),
    # Initialisers
    (nothing, lambda _: nn.init.zeros_(X), TypeError, "zeros_ expects a Parameter, got a ndarray"),
    (lambda: nn.Parameter(X), lambda p: nn.init.constant_(p, float("nan")), ValueError,
     "constant_ expects a finite val, got nan"),
    (lambda: nn.Parameter(X), lambda p: nn.init.constant_(p, "1"), TypeError,
     "constant_ expects a finite val, got '1'"),
    (lambda: nn.Parameter(X), lambda p: nn.init.uniform_(p, 2, 1), ValueError,
     "uniform_ expects a finite b >= 2, got 1.0"),
    (lambda: nn.Parameter(X), lambda p: nn.init.normal_(p, 0, -1), ValueError,
     "normal_ expects a finite std >= 0, got -1.0"),
    (lambda: nn.Parameter(X), lambda p: nn.init.normal_(p, rng="0"), TypeError,
     "normal_ expects rng to be a numpy.random.Generator, a seed >= 0 or None, got '0'"),
    (lambda: nn.Parameter(X), lambda p: nn.init.arctan_sigmoid_(p, gain=0), ValueError,
     "arctan_sigmoid_ expects a finite gain > 0, got 0.0"),
    (lambda: nn.Parameter(X), lambda p: nn.init.kaiming_normal_(p, mode="fan"), ValueError,
     "kaiming_normal_ expects mode to be one of 'fan_in', 'fan_out', got 'fan'"),
    (lambda: nn.Parameter([1.0]), nn.init.xavier_normal_, ValueError,
     "xavier_normal_ expects a weight of shape (out, in, ...), got (1,)"),
    (nothing, lambda _: nn.init.calculate_gain("swish"), ValueError,
     "calculate_gain expects nonlinearity to be one of 'linear', 'sigmoid', 'tanh', 'relu', 'selu', "
     "'arctan_sigmoid', 'leaky_relu', got 'swish'"),
    # Files
    (net, lambda m: nn.save(m, "model.pt"), ValueError,
     "save expects a path that ends in .npz or .safetensors, got 'model.pt'; in PyTorch, save it with safetensors"),
    (net, lambda m: nn.save(m, "npz"), ValueError, "save expects a path that ends in .npz or .safetensors, got 'npz'"),
    (net, lambda m: nn.save("model.npz", m), TypeError, "save expects a path, got a Sequential"),
    (net, lambda m: nn.save([m], "model.npz"), TypeError,
     "save expects a state of dicts, lists, tuples, arrays of real numbers, numbers, text and None, "
     "got a Sequential at '0'"),
    (nothing, lambda _: nn.load("model.pt"), ValueError,
     "load expects a path that ends in .npz or .safetensors, got 'model.pt'; in PyTorch, save it with safetensors"),
    (nothing, lambda _: nn.load(3), TypeError, "load expects a path, got a int"),
    # Checkpoints
    (nothing, lambda _: nn.Checkpoint("run"), ValueError, "Checkpoint expects a path that ends in .npz, got 'run'"),
    (nothing, lambda _: nn.Checkpoint("run.safetensors"), ValueError,
     "Checkpoint expects a path that ends in .npz, got 'run.safetensors'"),
    (nothing, lambda _: nn.Checkpoint(5), TypeError, "Checkpoint expects a path, got a int"),
    (nothing, lambda _: nn.Checkpoint("run.npz", 0), ValueError,
     "Checkpoint expects every_steps to be a positive integer, got 0"),
    (nothing, lambda _: nn.Checkpoint("run.npz", 2.0), TypeError,
     "Checkpoint expects every_steps to be a positive integer, got 2.0"),
    (nothing, lambda _: nn.Checkpoint("run.npz", every_epochs=True), TypeError,
     "Checkpoint expects every_epochs to be a positive integer, got True"),
    (nothing, lambda _: nn.Checkpoint("run.npz", every_epochs=-1), ValueError,
     "Checkpoint expects every_epochs to be a positive integer, got -1"),
    (nothing, lambda _: nn.Checkpoint("run.npz", every_epochs=None), ValueError,
     "Checkpoint expects every_steps or every_epochs, got None for both"),
    (nothing, lambda _: nn.Checkpoint("run.npz", keep=0), ValueError,
     "Checkpoint expects keep to be a positive integer, got 0"),
    (nothing, lambda _: nn.Checkpoint("run.npz", keep=None), TypeError,
     "Checkpoint expects keep to be a positive integer, got None"),
    (nothing, lambda _: nn.latest_checkpoint("run.pt"), ValueError,
     "latest_checkpoint expects a path that ends in .npz, got 'run.pt'; in PyTorch, save it with safetensors"),
    (nothing, lambda _: nn.load_checkpoint(None, "run.safetensors"), ValueError,
     "load_checkpoint expects a path that ends in .npz, got 'run.safetensors'"),
    (nothing, lambda _: nn.save_checkpoint(None, True), TypeError, "save_checkpoint expects a path, got a bool"),
    (net, lambda m: nn.save_checkpoint(m, "run.npz"), TypeError, "save_checkpoint expects a trainer, got a Sequential"),
]  # fmt: skip


def state_of(thing):
    """Return everything about an object that could have changed, as bytes."""
    if isinstance(thing, nn.Layer):
        gradients = {name: parameter.read_grad() for name, parameter in thing.named_parameters()}
        return pickle.dumps((thing.state_dict(), gradients, repr(thing), [p.requires_grad for p in thing.parameters()]))
    if isinstance(thing, nn.Parameter):
        return pickle.dumps((thing.data, thing.read_grad()))
    return pickle.dumps(thing)


@pytest.mark.parametrize(("make", "do", "error", "message"), ROWS, ids=[row[3].split("\n")[0] for row in ROWS])
def test_a_wrong_input_is_refused_in_a_sentence_and_nothing_has_changed(make, do, error, message):
    thing = make()
    before = state_of(thing)
    with pytest.raises(error) as caught:
        do(thing)
    assert isinstance(caught.value, errors.TinynnError)
    sentence = "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
    start, ellipsis, _ = message.partition("…")
    assert sentence.startswith(start) if ellipsis else sentence == message
    assert state_of(thing) == before


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row[0] is not nothing and row[0] is not undone], ids=lambda row: row[3][:60]
)
def test_what_raised_works_afterwards_as_if_nothing_had_happened(row):
    make, do, error, _ = row
    thing, fresh = make(), make()
    with pytest.raises(error):
        do(thing)
    if isinstance(thing, nn.Loss):
        target = [0, 1] if isinstance(thing, (nn.CrossEntropyLoss, nn.NLLLoss)) else X + 1
        assert thing(X, target) == fresh(X, target)
        np.testing.assert_array_equal(thing.backward(), fresh.backward())
    elif isinstance(thing, nn.Layer) and not isinstance(thing, nn.Residual):
        y = thing(X)
        np.testing.assert_array_equal(y, fresh(X))
        np.testing.assert_array_equal(thing.backward(np.ones_like(y)), fresh.backward(np.ones_like(y)))
        assert state_of(thing) == state_of(fresh)


@pytest.mark.parametrize(
    "bad", [np.ones((2, 3)), np.ones(2), 1.0, np.ones((2, 2)) * 1j, "abc", [[1, 2], [3]]], ids=lambda bad: str(bad)[:20]
)
def test_after_a_wrong_gradient_the_pass_can_still_be_undone(bad):
    model, fresh = waiting(), waiting()
    with pytest.raises((ValueError, TypeError)):
        model.backward(bad)
    np.testing.assert_array_equal(model.backward(np.ones((2, 2))), fresh.backward(np.ones((2, 2))))
    assert state_of(model) == state_of(fresh)


RIGHT = {
    "float64": X,
    "float32": X.astype(np.float32),
    "float16": X.astype(np.float16),
    "long double": X.astype(np.longdouble),
    "int": X.astype(int),
    "uint8": X.astype(np.uint8),
    "big-endian": X.astype(">f8"),
    "list of lists": X.tolist(),
    "negative stride": X[::-1, ::-1].copy()[::-1, ::-1],
    "Fortran order": np.asfortranarray(X),
    "extra axes": X[None, None],
    "one sample": X[0],
    "empty batch": X[:0],
}


@pytest.mark.parametrize("x", RIGHT.values(), ids=RIGHT)
def test_right_inputs_beside_the_wrong_ones(x):
    layer = linear()
    y = layer(x)
    array = np.asarray(x, float)
    np.testing.assert_allclose(y, array @ layer.weight.data.T + layer.bias.data, rtol=1e-12)
    assert layer.backward(np.ones(y.shape)).shape == array.shape


def test_right_arguments_beside_the_wrong_ones():
    assert nn.Linear(np.int64(3), np.uint8(2), np.False_).bias is None
    assert nn.SGD(linear().parameters(), lr=np.float32(2), momentum=1).param_groups[0]["lr"] == 2
    assert nn.SGD([linear().weight] * 2).param_groups[0]["params"][1:] == []
    assert nn.Adam(linear().parameters(), betas=[0, 0.5], eps=0).param_groups[0]["betas"] == (0.0, 0.5)
    assert len(nn.data.batches(X, X, batch_size=np.int64(2), shuffle=True, rng=0)) == 1
    assert len(nn.Sequential()) == 0
    assert nn.CrossEntropyLoss()(X, np.array([0, 2], np.uint8)) > 0
    assert nn.MSELoss()(X, X.tolist()) == 0


class Weighed(nn.L1Loss):
    """w |a - a*|, and a weight of None is 1."""

    def forward(self, prediction, target, weight=None, *, twice):
        return super().forward(prediction, target) * (1 if weight is None else weight) * (twice + 1)


class Constant(nn.Layer):
    """y = 1."""

    def forward(self):
        return np.ones(())


def test_an_input_of_a_loss_may_be_none_where_that_is_its_default():
    assert Weighed()(X, X + 1, None, twice=True) == Weighed()(X, X + 1, twice=True) == 2


def test_a_type_error_that_is_not_about_the_number_of_inputs_stays_what_it_is():
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'twice'"):
        Weighed()(X, X)
    with pytest.raises(TypeError, match="can only concatenate str"):
        Weighed()(X, X, twice="yes")
    with pytest.raises(TypeError, match=r"expects prediction, target and weight, got 4 arrays$"):
        Weighed()(X, X, X, X)
    with pytest.raises(TypeError, match=r"^Constant\(\) expects no input, got 1 array$"):
        Constant()(X)
