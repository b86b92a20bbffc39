"""The estimators: what scikit-learn asks of every one, what it promises of its own networks, and what is ours."""

import importlib
import inspect
import pickle
import signal
import sys

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_iris, make_classification, make_regression
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_limits

import tinynn as nn
import tinynn.sklearn
from tinynn.errors import AnomalyError, ArgumentError, ArgumentTypeError, MissingExtraError, NonFiniteError, ShapeError
from tinynn.sklearn import TinyClassifier, TinyRegressor

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
Y = np.sin(X[:, 0]) + X[:, 1] ** 2
Y3 = np.stack([Y, X[:, 2], -Y * X[:, 0]], axis=1)
LABELS = np.array(["low", "middle", "high"])[np.digitize(Y, [0, 1])]
TWO = Y > 0.5

short = pytest.mark.filterwarnings("ignore:.*epochs are over:sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Keep BLAS from dividing matrices this small among threads, which on a busy machine takes ten times as long."""
    with threadpool_limits(1):
        yield


def weights(estimator):
    return np.concatenate([parameter.data.ravel() for parameter in estimator.model_.parameters()])


# What scikit-learn asks of every estimator

CHECKED = [
    TinyRegressor(),
    TinyClassifier(),
    TinyRegressor(10, "arctan_sigmoid", solver="lbfgs", max_iter=50),
    TinyClassifier(10, "arctan_sigmoid", solver="lbfgs", max_iter=50),
    TinyRegressor(20, "tanh", solver="sgd", learning_rate_init=0.05),
    TinyClassifier(20, "tanh", solver="sgd", learning_rate_init=0.05),
]
checks = parametrize_with_checks(CHECKED)


# scikit-learn trains on a few samples only, and does not wait until nothing gets better; 1.6 hands out a generator,
# which pytest no longer takes.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(checks.args[0], list(checks.args[1]), **checks.kwargs)
def test_it_is_an_estimator(estimator, check, monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")  # without it the check of array namespaces would be skipped
    check(estimator)


# What scikit-learn promises of its own networks


@pytest.mark.parametrize(("ours", "theirs"), [(TinyRegressor, MLPRegressor), (TinyClassifier, MLPClassifier)])
def test_arguments_have_the_names_and_defaults_of_its_networks(ours, theirs):
    defaults = theirs().get_params()
    assert ours().get_params().items() <= defaults.items()


OPTIONS = {
    "sgd": {"solver": "sgd", "learning_rate_init": 0.05},
    "sgd without momentum": {"solver": "sgd", "momentum": 0, "learning_rate_init": 0.05},
    "sgd with plain momentum": {"solver": "sgd", "nesterovs_momentum": False, "learning_rate_init": 0.05},
    "adam": {"solver": "adam", "beta_1": 0.8, "beta_2": 0.9, "learning_rate_init": 0.01, "epsilon": 1e-12},
    "mini-batches": {"solver": "sgd", "batch_size": 12, "alpha": 2.0},
    "lbfgs": {"solver": "lbfgs", "alpha": 0.1},
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # ten epochs do not suffice
@pytest.mark.filterwarnings("ignore:.*`disp` and `iprint`:DeprecationWarning")  # what scikit-learn 1.6 asks of SciPy
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize(
    ("ours", "theirs", "y"),
    [(TinyRegressor, MLPRegressor, Y), (TinyClassifier, MLPClassifier, LABELS)],
    ids=["regressor", "classifier"],
)
@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
def test_from_the_same_start_it_learns_what_its_networks_learn(ours, theirs, y, options, activation):
    options = {"hidden_layer_sizes": (5, 4), "activation": activation, "shuffle": False, **options}
    options |= {"warm_start": True, "random_state": 0, "max_iter": 1}
    ours, theirs = ours(**options).fit(X, y), theirs(**options).fit(X, y)
    state = {}
    for index, (coef, intercept) in enumerate(zip(theirs.coefs_, theirs.intercepts_, strict=True)):
        state |= {f"{2 * index}.weight": coef.T, f"{2 * index}.bias": intercept}
    ours.model_.load_state_dict(state)
    for estimator in (ours, theirs):
        estimator.set_params(max_iter=10).fit(X, y)
    predict = "predict_proba" if hasattr(ours, "predict_proba") else "predict"
    np.testing.assert_allclose(getattr(ours, predict)(X), getattr(theirs, predict)(X), rtol=1e-6)
    np.testing.assert_allclose(ours.loss_, theirs.loss_, rtol=1e-6)
    if options["solver"] != "lbfgs":
        np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_[-10:], rtol=1e-6)


# The loss that is shown is the one whose gradient is followed


def written_out(point, y, alpha, activation=np.tanh):
    """Return the loss of a network with three inputs and four hidden units, as the docstrings write it."""
    outputs = len(np.unique(y)) if y.ndim == 1 else y.shape[1]
    parts = np.split(point, np.cumsum([12, 4, 4 * outputs]))
    hidden, head = parts[0].reshape(4, 3), parts[2].reshape(outputs, 4)
    a = activation(X @ hidden.T + parts[1]) @ head.T + parts[3]
    if y.ndim == 1:
        p = np.exp(a) / np.exp(a).sum(axis=1, keepdims=True)
        loss = -np.log(p[np.arange(len(X)), np.unique(y, return_inverse=True)[1]]).mean()
    else:
        loss = ((a - y) ** 2).sum() / (2 * len(X))
    return loss + alpha / (2 * len(X)) * ((hidden**2).sum() + (head**2).sum())


def slope(function, point, step=1e-6):
    steps = step * np.eye(len(point))
    return np.array([(function(point + d) - function(point - d)) / (2 * step) for d in steps])


TARGETS = {"one output": Y[:, np.newaxis], "three outputs": Y3, "three classes": LABELS, "two classes": TWO}


def estimator_for(y, **options):
    return (TinyClassifier if y.ndim == 1 else TinyRegressor)(4, "tanh", alpha=3.0, random_state=0, **options)


def raveled(y):
    return y[:, 0] if y.shape[1:] == (1,) else y


@short
@pytest.mark.parametrize("y", TARGETS.values(), ids=TARGETS)
def test_a_step_goes_down_the_gradient_of_the_loss_that_is_shown(y):
    options = {"solver": "sgd", "momentum": 0, "max_iter": 1}
    one, two = (estimator_for(y, learning_rate_init=lr, **options).fit(X, raveled(y)) for lr in (0.1, 0.2))
    start, gradient = 2 * weights(one) - weights(two), (weights(one) - weights(two)) / 0.1
    assert one.loss_ == pytest.approx(written_out(start, y, 3.0), rel=1e-12)
    np.testing.assert_allclose(gradient, slope(lambda point: written_out(point, y, 3.0), start), atol=1e-8)


@pytest.mark.parametrize("y", TARGETS.values(), ids=TARGETS)
def test_lbfgs_ends_where_the_loss_that_is_shown_is_flat(y):
    estimator = estimator_for(y, solver="lbfgs", tol=1e-5, max_iter=1000).fit(X, raveled(y))
    assert estimator.loss_ == pytest.approx(written_out(weights(estimator), y, 3.0), rel=1e-12)
    assert estimator.loss_ == estimator.best_loss_ == estimator.loss_curve_[-1]
    assert len(estimator.loss_curve_) == estimator.n_iter_ > 5
    np.testing.assert_allclose(slope(lambda point: written_out(point, y, 3.0), weights(estimator)), 0, atol=2e-5)


@short
def test_a_smaller_last_batch_weighs_less_in_the_loss_of_an_epoch():
    regressor = TinyRegressor(4, "tanh", alpha=3.0, batch_size=15, learning_rate_init=1e-300, max_iter=1).fit(X, Y)
    batches = 3  # of 15, 15 and 10 samples, each with its own α/2N Σ W²
    assert regressor.loss_ == pytest.approx(written_out(weights(regressor), Y[:, np.newaxis], 3.0 * batches), rel=1e-12)


# Regressor


@pytest.mark.parametrize("y", [Y, Y3], ids=["one output", "three outputs"])
def test_a_regressor_learns_and_predicts_in_the_shape_of_its_targets(y):
    regressor = TinyRegressor(30, "arctan_sigmoid", solver="lbfgs", max_iter=1000, tol=1e-3, random_state=0).fit(X, y)
    assert regressor.predict(X).shape == y.shape
    assert regressor.score(X, y) > 0.99
    assert regressor.n_outputs_ == y.size // len(y)


@short
def test_a_column_of_targets_is_one_output():
    column, flat = TinyRegressor(max_iter=2, random_state=0), TinyRegressor(max_iter=2, random_state=0)
    with pytest.warns(DataConversionWarning):
        column.fit(X, Y[:, np.newaxis])
    np.testing.assert_array_equal(column.predict(X), flat.fit(X, Y).predict(X))


# Classifier


@pytest.mark.parametrize("y", [LABELS, LABELS.astype(object), TWO, TWO.astype(int), np.where(TWO, -3.0, 7.0)])
def test_a_classifier_learns_labels_of_any_kind(y):
    classifier = TinyClassifier(20, solver="lbfgs", random_state=0).fit(X, y)
    np.testing.assert_array_equal(classifier.classes_, np.unique(y))
    assert classifier.predict(X).dtype == classifier.classes_.dtype
    assert classifier.score(X, y) > 0.95
    p = classifier.predict_proba(X)
    assert p.shape == (40, len(np.unique(y)))
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_array_equal(classifier.classes_[p.argmax(axis=1)], classifier.predict(X))


def test_logarithms_of_tiny_probabilities_are_exact():
    classifier = TinyClassifier((), solver="lbfgs", alpha=1.0, random_state=0).fit(X[:, :1], X[:, 0] > 0)
    logits = classifier.model_(np.array([[1e4]]))
    logarithms = classifier.predict_log_proba([[1e4]])
    np.testing.assert_allclose(logarithms, [[logits[0, 0] - logits[0, 1], 0]], rtol=1e-12)
    assert classifier.predict_proba([[1e4]])[0, 0] == 0


def test_a_single_class_is_all_that_is_predicted():
    classifier = TinyClassifier(solver="lbfgs", random_state=0).fit(X, ["only"] * 40)
    assert set(classifier.predict(X)) == {"only"}
    np.testing.assert_array_equal(classifier.predict_proba(X), np.ones((40, 1)))


# Training


@short
@pytest.mark.parametrize("options", [{}, {"solver": "sgd", "batch_size": 7}])
def test_epochs_one_by_one_are_the_epochs_of_a_fit(options):
    one, other = (TinyClassifier(random_state=3, max_iter=6, tol=0, **options) for _ in range(2))
    one.fit(X, LABELS)
    for _ in range(6):
        other.partial_fit(X, LABELS, classes=np.unique(LABELS))
    np.testing.assert_array_equal(weights(one), weights(other))
    assert one.loss_curve_ == other.loss_curve_
    assert one.n_iter_ == other.n_iter_ == 6
    assert one.best_loss_ == min(one.loss_curve_)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_a_pickle_goes_on_where_the_estimator_was(solver):
    one = TinyRegressor(solver=solver, batch_size=8, random_state=0)
    for _ in range(3):
        one.partial_fit(X, Y3)
    other = pickle.loads(pickle.dumps(one))
    for _ in range(3):
        one.partial_fit(X, Y3)
        other.partial_fit(X, Y3)
    np.testing.assert_array_equal(weights(one), weights(other))
    assert one.loss_curve_ == other.loss_curve_


def test_partial_fit_goes_on_after_lbfgs():
    regressor = TinyRegressor(5, solver="lbfgs", tol=1e-2, random_state=0).fit(X, Y)
    before = regressor.loss_
    assert not hasattr(regressor, "partial_fit")
    regressor.set_params(solver="adam").partial_fit(X, Y)
    assert regressor.loss_ == pytest.approx(before, rel=1e-12)  # the loss on the way, in the first batch


@short
def test_a_saved_model_goes_on_in_another_estimator():
    first = TinyRegressor(max_iter=5, random_state=0).fit(X, Y)
    second = TinyRegressor(max_iter=5, random_state=1, warm_start=True).fit(X, Y)
    second.model_.load_state_dict(first.model_.state_dict())
    np.testing.assert_array_equal(first.predict(X), second.predict(X))
    assert second.fit(X, Y).loss_curve_[0] < first.loss_


@short
def test_a_warm_start_keeps_the_model_and_a_cold_one_does_not():
    warm = TinyRegressor(max_iter=20, random_state=0, warm_start=True).fit(X, Y)
    model, loss = warm.model_, warm.loss_
    warm.fit(X, Y)
    assert warm.model_ is model
    assert warm.loss_curve_[0] < loss
    assert warm.n_iter_ == 20
    cold = TinyRegressor(max_iter=20, random_state=0).fit(X, Y)
    first = weights(cold)
    np.testing.assert_array_equal(weights(cold.fit(X, Y)), first)


def test_training_ends_when_nothing_gets_better_by_tol():
    regressor = TinyRegressor(tol=1e9, n_iter_no_change=4, random_state=0).fit(X, Y)
    assert regressor.n_iter_ == 6  # the first gains on nothing at all, and four may gain too little
    assert TinyRegressor(learning_rate_init=0.1, max_iter=10_000, random_state=0).fit(X, Y).n_iter_ < 10_000


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_the_end_of_max_iter_is_told(solver):
    with pytest.warns(ConvergenceWarning, match=r"TinyRegressor: (2 epochs are over|L-BFGS stopped after 2)") as caught:
        TinyRegressor(solver=solver, max_iter=2).fit(X, Y)
    assert [warning.filename for warning in caught] == [__file__]


class Watched(TinyClassifier):
    def _split(self, x, target):
        self.parts = super()._split(x, target)
        return self.parts


def test_early_stopping_ends_with_the_weights_of_the_best_score():
    x, y = make_classification(200, flip_y=0.3, random_state=0)
    options = {"learning_rate_init": 0.05, "validation_fraction": 0.2, "n_iter_no_change": 5}
    classifier = Watched(early_stopping=True, random_state=0, **options).fit(x, y)
    learned, held_out, _, labels = classifier.parts
    assert (len(learned), len(held_out)) == (160, 40)
    scores = classifier.validation_scores_
    assert np.mean(classifier.predict(held_out) == labels) == classifier.best_validation_score_ == max(scores)
    assert scores[-1] < max(scores)
    assert len(scores) == classifier.n_iter_ == scores.index(max(scores)) + 7 < 200


@short
def test_early_stopping_holds_out_some_of_each_class_and_others_for_each_seed():
    y = np.arange(40) % 10 == 0
    runs = [Watched(early_stopping=True, validation_fraction=0.5, max_iter=1, random_state=seed) for seed in range(5)]
    held_out = [run.fit(X, y).parts[1] for run in runs]
    assert [run.parts[3].sum() for run in runs] == [2] * 5
    assert len({rows.tobytes() for rows in held_out}) == 5


def test_early_stopping_of_a_regressor_watches_the_score():
    regressor = TinyRegressor(early_stopping=True, random_state=0, learning_rate_init=0.01).fit(X, Y3)
    assert regressor.best_validation_score_ == max(regressor.validation_scores_)
    assert TinyRegressor(tol=1, random_state=0).fit(X, Y).validation_scores_ is None


def test_a_loss_that_is_not_finite_stops_it_before_the_weights_are_touched():
    regressor = TinyRegressor(random_state=0)
    regressor.partial_fit(X, Y)
    before = weights(regressor)
    with (
        np.errstate(all="ignore"),
        pytest.raises(AnomalyError, match=r"^TinyRegressor expects a finite loss, got inf in epoch 2; scale the data"),
    ):
        regressor.partial_fit(X * 1e200, Y)
    np.testing.assert_array_equal(weights(regressor), before)
    assert regressor.n_iter_ == 1
    with np.errstate(all="ignore"), pytest.raises(AnomalyError, match=r"^TinyRegressor expects a finite loss, got inf"):
        TinyRegressor(solver="lbfgs", random_state=0).fit(X * 1e200, Y)


def test_a_gradient_that_is_not_finite_stops_it_before_the_weights_are_touched():
    regressor = TinyRegressor((), solver="sgd", alpha=0, random_state=0).partial_fit(X, Y)
    regressor.model_[0].weight.data[:] = 1e-60  # whose prediction of inputs of 1e200 has a finite square
    regressor.model_[0].bias.data[:] = 0
    before = weights(regressor)
    message = r"^TinyRegressor expects a finite gradient of the loss, got .* in epoch 2"
    with np.errstate(all="ignore"), pytest.raises(NonFiniteError, match=message):
        regressor.partial_fit(X * 1e200, np.zeros_like(Y))
    np.testing.assert_array_equal(weights(regressor), before)


def test_the_network_predicts_as_in_evaluation_after_an_error():
    regressor = TinyRegressor(random_state=0).partial_fit(X, Y)
    with np.errstate(all="ignore"), pytest.raises(AnomalyError):
        regressor.partial_fit(X * 1e200, Y)
    assert not any(layer.training for _, layer in regressor.model_.named_layers())


def test_an_interrupt_ends_it_after_the_step_with_what_it_has_learned():
    class Interrupted(TinyRegressor):
        def _note(self, loss):
            if len(self.loss_curve_) == 2:
                signal.raise_signal(signal.SIGINT)
            return super()._note(loss)

    regressor = Interrupted(random_state=0)
    with pytest.raises(KeyboardInterrupt):
        regressor.fit(X, Y)
    assert regressor.n_iter_ == 3
    twin = TinyRegressor(random_state=0)
    for _ in range(3):
        twin.partial_fit(X, Y)
    np.testing.assert_array_equal(regressor.predict(X), twin.predict(X))


# Randomness


@short
def test_a_seed_says_it_all_and_a_random_state_moves_on():
    fit = lambda state: weights(TinyRegressor(random_state=state, max_iter=2).fit(X, Y))  # noqa: E731
    np.testing.assert_array_equal(fit(5), fit(5))
    np.testing.assert_array_equal(fit(np.random.RandomState(5)), fit(5))
    state = np.random.RandomState(5)
    first, second = fit(state), fit(state)
    assert (first != second).any()
    assert (fit(None) != fit(None)).any()
    assert (fit(5) != fit(6)).any()


@short
def test_without_shuffling_the_order_stays():
    fit = lambda shuffle, x, y: weights(  # noqa: E731
        TinyRegressor(random_state=0, shuffle=shuffle, batch_size=10, max_iter=1).fit(x, y)
    )
    assert (fit(False, X, Y) != fit(True, X, Y)).any()
    assert (fit(False, X, Y) != fit(False, X[::-1], Y[::-1])).any()


# In the company of scikit-learn


def test_grid_search_turns_its_arguments_in_a_pipeline():
    x, y = load_iris(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), TinyClassifier(solver="lbfgs", tol=1e-2, random_state=0))
    grid = {
        "tinyclassifier__hidden_layer_sizes": [(), 5, (5, 5)],
        "tinyclassifier__activation": ["arctan_sigmoid", "relu"],
        "tinyclassifier__alpha": [0.1, 1.0],
    }
    search = GridSearchCV(pipeline, grid, cv=3, error_score="raise").fit(x, y)
    assert search.best_score_ > 0.95
    assert len(set(search.cv_results_["mean_test_score"])) > 1


@pytest.mark.parametrize("activation", tinynn.sklearn.ACTIVATIONS)
def test_each_activation_learns(activation):
    x, y = load_iris(return_X_y=True)
    classifier = TinyClassifier(10, activation, solver="lbfgs", alpha=1, tol=1e-2, random_state=0)
    pipeline = make_pipeline(StandardScaler(), classifier)
    assert cross_val_score(pipeline, x, y, cv=3).min() > 0.9
    layers = [type(layer).__name__ for layer in pipeline.fit(x, y)[-1].model_]
    assert layers == ["Linear", tinynn.sklearn.ACTIVATIONS[activation].__name__, "Linear"]


def test_a_clone_has_the_arguments_and_no_model():
    regressor = TinyRegressor([7, 5], solver="sgd", tol=1, random_state=0).fit(X, Y)
    twin = clone(regressor)
    assert twin.get_params() == regressor.get_params()
    with pytest.raises(NotFittedError):
        twin.predict(X)


@short
def test_columns_of_a_frame_are_remembered_by_name():
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    classifier = TinyClassifier(max_iter=2, early_stopping=True).fit(frame, pd.Series(LABELS, dtype="string"))
    assert classifier.feature_names_in_.tolist() == ["a", "b", "c"]
    assert classifier.n_features_in_ == 3
    assert set(classifier.predict(frame)) <= set(LABELS)
    with pytest.raises(ValueError, match="feature names should match"):
        classifier.predict(frame[["b", "a", "c"]])


@short
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_network_computes_in_the_dtype_of_its_inputs(dtype, solver):
    regressor = TinyRegressor(5, solver=solver, max_iter=20, tol=0.1, random_state=0).fit(X.astype(dtype), Y3)
    assert {parameter.dtype for parameter in regressor.model_.parameters()} == {np.dtype(dtype)}
    assert regressor.predict(X.astype(dtype)).dtype == dtype
    classifier = TinyClassifier(5, solver=solver, max_iter=20, tol=0.1, random_state=0).fit(X.astype(dtype), LABELS)
    assert classifier.predict_proba(X).dtype == dtype


def test_integers_become_floats():
    assert TinyRegressor(tol=1, random_state=0).fit(X.astype(int), Y).model_[0].weight.dtype == np.float64


@short
def test_data_are_left_alone_and_the_model_is_a_sequential():
    x, y = X.copy(), Y3.copy()
    regressor = TinyRegressor((4, 6), "arctan_sigmoid", max_iter=2).fit(x, y)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, Y3)
    assert repr(regressor.model_).replace("\n ", "") == (
        "Sequential( (0): Linear(3, 4) (1): ArctanSigmoid() (2): Linear(4, 6) (3): ArctanSigmoid() (4): Linear(6, 3)\n)"
    )
    assert not regressor.model_.training


# What goes wrong


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"hidden_layer_sizes": "5"}, ArgumentTypeError, "hidden_layer_sizes to be integers in a row, or one, got '5'"),
        ({"hidden_layer_sizes": 2.0}, ArgumentTypeError, "hidden_layer_sizes to be integers in a row, or one, got 2.0"),
        ({"hidden_layer_sizes": 0}, ArgumentError, "hidden_layer_sizes to be a positive integer, got 0"),
        ({"hidden_layer_sizes": (5, -1)}, ArgumentError, "hidden_layer_sizes to be a positive integer, got -1"),
        ({"hidden_layer_sizes": (5.0,)}, ArgumentTypeError, "hidden_layer_sizes to be a positive integer, got 5.0"),
        ({"solver": "newton"}, ArgumentError, "solver to be one of 'adam', 'lbfgs', 'sgd', got 'newton'"),
        ({"solver": None}, ArgumentTypeError, "solver to be one of 'adam', 'lbfgs', 'sgd', got None"),
        ({"alpha": -1}, ArgumentError, "a finite alpha >= 0, got -1.0"),
        ({"alpha": "0"}, ArgumentTypeError, "a finite alpha >= 0, got '0'"),
        ({"batch_size": 0}, ArgumentError, "batch_size to be a positive integer, got 0"),
        ({"batch_size": "all"}, ArgumentTypeError, "batch_size to be a positive integer, got 'all'"),
        ({"learning_rate_init": 0}, ArgumentError, "a finite learning_rate_init > 0, got 0.0"),
        ({"learning_rate_init": np.nan}, ArgumentError, "a finite learning_rate_init > 0, got nan"),
        ({"max_iter": 0}, ArgumentError, "max_iter to be a positive integer, got 0"),
        ({"max_iter": 1.5}, ArgumentTypeError, "max_iter to be a positive integer, got 1.5"),
        ({"n_iter_no_change": 0}, ArgumentError, "n_iter_no_change to be a positive integer, got 0"),
        ({"tol": -1e-3}, ArgumentError, "a finite tol >= 0, got -0.001"),
        ({"momentum": 1.5}, ArgumentError, "a finite momentum >= 0 and <= 1, got 1.5"),
        ({"validation_fraction": 1}, ArgumentError, "a finite validation_fraction > 0 and < 1, got 1.0"),
        ({"beta_1": 1}, ArgumentError, "a finite beta_1 >= 0 and < 1, got 1.0"),
        ({"beta_2": -0.1}, ArgumentError, "a finite beta_2 >= 0 and < 1, got -0.1"),
        ({"epsilon": 0}, ArgumentError, "a finite epsilon > 0, got 0.0"),
        ({"shuffle": 1}, ArgumentTypeError, "shuffle to be True or False, got 1"),
        ({"warm_start": None}, ArgumentTypeError, "warm_start to be True or False, got None"),
        ({"early_stopping": "yes"}, ArgumentTypeError, "early_stopping to be True or False, got 'yes'"),
        ({"nesterovs_momentum": 0}, ArgumentTypeError, "nesterovs_momentum to be True or False, got 0"),
    ],
)
def test_wrong_arguments_are_refused_by_fit(options, error, message):
    for estimator in (TinyRegressor(**options), TinyClassifier(**options)):
        with pytest.raises(error) as caught:
            estimator.fit(X, TWO.astype(int))
        assert str(caught.value) == f"{type(estimator).__name__} expects {message}"
        assert not hasattr(estimator, "n_features_in_")


def test_an_unknown_activation_is_refused_with_those_that_are_known():
    with pytest.raises(ArgumentError) as caught:
        TinyRegressor(activation="sigmoid").fit(X, Y)
    known = ", ".join(map(repr, tinynn.sklearn.ACTIVATIONS))
    assert str(caught.value) == f"TinyRegressor expects activation to be one of {known}, got 'sigmoid'"
    documented = inspect.getdoc(tinynn.sklearn.TinyEstimator)
    assert all(f'``"{name}"``' in documented for name in tinynn.sklearn.ACTIVATIONS)


def fitted(estimator, y):
    estimator.partial_fit(X, y, **({"classes": np.unique(y)} if y.dtype.kind == "U" else {}))
    return estimator


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: TinyClassifier().partial_fit(X, LABELS),
            ArgumentError,
            "TinyClassifier expects classes in the first call of partial_fit, got None",
        ),
        (
            lambda: TinyClassifier().partial_fit(X, LABELS, classes=["low", "high"]),
            ArgumentError,
            "TinyClassifier expects labels among the classes ['high', 'low'], got ['middle']; "
            "name all classes in the first partial_fit",
        ),
        (
            lambda: fitted(TinyClassifier(), LABELS).partial_fit(X, LABELS, classes=["low", "high"]),
            ArgumentError,
            "TinyClassifier expects classes ['high', 'low', 'middle'], those of the first call of partial_fit, "
            "got ['high', 'low']",
        ),
        (
            lambda: TinyRegressor(early_stopping=True).partial_fit(X, Y),
            ArgumentError,
            "TinyRegressor expects early_stopping=False for partial_fit, which holds nothing out, got True",
        ),
        (
            lambda: fitted(TinyRegressor(), Y3).partial_fit(X, Y),
            ShapeError,
            "TinyRegressor expects 3 targets a sample, as before, got 1",
        ),
        (
            lambda: fitted(TinyRegressor(warm_start=True), Y).fit(X, Y3),
            ShapeError,
            "TinyRegressor expects 1 targets a sample, as before, got 3",
        ),
        (
            lambda: TinyRegressor(early_stopping=True, validation_fraction=0.01).fit(X, Y),
            ArgumentError,
            "TinyRegressor expects at least 2 samples to hold out, got 1; raise validation_fraction",
        ),
        (
            lambda: fitted(TinyRegressor(warm_start=True), Y).fit(X[:, :2], Y),
            ValueError,
            "X has 2 features, but TinyRegressor is expecting 3 features as input.",
        ),
        (
            lambda: TinyClassifier().fit(X, np.eye(4)[np.arange(40) % 4]),
            ValueError,
            "y should be a 1d array, got an array of shape (40, 4) instead.",
        ),
    ],
)
def test_wrong_calls(call, error, message):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message


def test_sparse_inputs_are_refused_in_the_words_of_scikit_learn():
    for do in (TinyRegressor().fit, TinyRegressor().partial_fit):
        with pytest.raises(TypeError, match=r"^Sparse data was passed( for X)?, but dense data is required\."):
            do(sparse.csr_array(X), Y)


def test_a_missing_scikit_learn_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    monkeypatch.delitem(sys.modules, "tinynn.sklearn")
    with pytest.raises(MissingExtraError) as caught:
        importlib.import_module("tinynn.sklearn")
    assert str(caught.value) == (
        "tinynn.sklearn expects scikit-learn 1.6 or newer, got import of sklearn.base halted; None in sys.modules; "
        'python -m pip install "tinynn-layers[sklearn]"'
    )


def test_make_regression_is_fitted_with_mini_batches():
    x, y = make_regression(300, 5, noise=5, random_state=0)
    regressor = TinyRegressor(50, learning_rate_init=0.02, batch_size=32, max_iter=500, tol=1e-3, random_state=0)
    assert regressor.fit(x, y / y.std()).score(x, y / y.std()) > 0.95
    assert isinstance(regressor.model_, nn.Sequential)
