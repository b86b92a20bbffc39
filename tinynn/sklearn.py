"""Networks as scikit-learn's estimators: for its pipelines, grid searches and cross-validations.

It needs scikit-learn (extra ``sklearn``), and is imported by its name: ``from tinynn.sklearn import TinyClassifier``.
"""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import Any, ClassVar, Self

import numpy as np
from typing_extensions import override

import tinynn as nn
from tinynn.core.arguments import boolean, choice, number, size
from tinynn.errors import ArgumentError, ArgumentTypeError, MissingExtraError, NonFiniteError, ShapeError, expects
from tinynn.typing import Array

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, MultiOutputMixin, RegressorMixin, is_classifier
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import accuracy_score, r2_score
    from sklearn.model_selection import train_test_split
    from sklearn.utils import check_random_state, column_or_1d
    from sklearn.utils.metaestimators import available_if
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    remedy = 'python -m pip install "tinynn-layers[sklearn]"'
    raise MissingExtraError(expects("tinynn.sklearn", "scikit-learn 1.6 or newer", str(error), remedy)) from error

__all__ = ["TinyClassifier", "TinyRegressor"]

ACTIVATIONS: dict[str, type[nn.Layer]] = {
    "arctan_sigmoid": nn.ArctanSigmoid,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "identity": nn.Identity,
    "leaky_relu": nn.LeakyReLU,
    "logistic": nn.Sigmoid,
    "relu": nn.ReLU,
    "selu": nn.SELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
}

DTYPES = (np.float64, np.float32)
"""What a network can compute in; other inputs become the first of them."""


class TinyEstimator(BaseEstimator):
    """What `TinyRegressor` and `TinyClassifier` share: their arguments, the network, and how it is trained.

    Arguments have the names, defaults and meanings that they have for `MLPRegressor` and `MLPClassifier`. As for every
    estimator, they are checked by `fit`, not before, and all that ends in an underscore exists from then on.

    Args:
        hidden_layer_sizes: the number of units in each hidden layer; a single number for a single one.
        activation: the nonlinearity after each hidden layer: ``"arctan_sigmoid"``, ``"elu"``, ``"gelu"``,
            ``"identity"``, ``"leaky_relu"``, ``"logistic"``, ``"relu"``, ``"selu"``, ``"silu"``, ``"softplus"`` or
            ``"tanh"``.
        solver: ``"adam"``, ``"sgd"``, or ``"lbfgs"`` for all samples at once, which is best for few of them.
        alpha: α of the penalty α/2N Σ W², at least 0. N is the number of samples in a batch.
        batch_size: the number of samples in a batch; ``"auto"`` is 200, or all if there are fewer.
        learning_rate_init: the learning rate, above 0; it stays what it is.
        max_iter: the greatest number of epochs, or of iterations of L-BFGS.
        shuffle: whether each epoch has an order of its own.
        random_state: a seed, a ``RandomState``, or None for NumPy's global one: where the first weights, the orders and
            the samples to hold out come from.
        tol: what an epoch has to gain at least, in the loss, or in the score with ``early_stopping``; for L-BFGS how
            small the elements of the gradient have to become.
        warm_start: whether `fit` goes on from the present weights, whatever ``hidden_layer_sizes`` and ``activation``
            say by then.
        momentum: for ``"sgd"``, from 0 to 1.
        nesterovs_momentum: whether ``"sgd"`` looks ahead by one step.
        early_stopping: whether to hold samples out, to watch their score (R², or the accuracy) in place of the loss,
            and to end with the weights that had the best one. Without effect for ``"lbfgs"``.
        validation_fraction: how much of the samples is held out, between 0 and 1.
        beta_1: for ``"adam"``: how much the mean of gradients remembers.
        beta_2: for ``"adam"``: how much the mean of their squares remembers.
        epsilon: for ``"adam"``, above 0.
        n_iter_no_change: how many epochs in a row may gain less than ``tol``.

    Raises:
        ArgumentError: from `fit`, for arguments out of range.
        NonFiniteError: from `fit`, for a loss or a gradient that is not finite. The weights are those before that
            batch.

    Attributes:
        model_: the network, to be looked at, saved by its ``state_dict`` and changed.
        optimizer_: what updates it; None for L-BFGS.
        loss_curve_: the loss of each epoch with its penalty; ``loss_`` is the last one, ``best_loss_`` the smallest.
        n_iter_: the number of epochs.
        validation_scores_: the score of each epoch for ``early_stopping``; ``best_validation_score_`` is the highest.
        n_features_in_: the number of features; ``feature_names_in_`` are their names, if they had any.
        n_outputs_: the number of outputs of the network.
    """

    model_: nn.Sequential
    n_outputs_: int
    optimizer_: Any
    loss_: float
    best_loss_: float
    loss_curve_: list[float]
    n_iter_: int
    validation_scores_: list[float] | None
    best_validation_score_: float | None
    _rng: np.random.Generator

    loss_class: ClassVar[type[nn.Loss]]

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: str = "relu",
        *,
        solver: str = "adam",
        alpha: float = 1e-4,
        batch_size: int | str = "auto",
        learning_rate_init: float = 1e-3,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: int = 10,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change

    def fit(self, X: Any, y: Any) -> Self:
        """Train a fresh network; with ``warm_start``, train the present one further, with a fresh optimizer."""
        self._check_arguments()
        first = not (self.warm_start and hasattr(self, "model_"))
        x, target = self._read(X, y, first)
        if first:
            self._build(x)
        self._begin()
        if self.solver == "lbfgs":
            self._minimize(x, target)
        else:
            self._descend(x, target)
        return self

    # What the two estimators have to say

    def _read(self, X: Any, y: Any, first: bool, classes: Any = None) -> tuple[Array, Array]:
        """Return checked inputs and targets; at first note their sizes, later compare them."""
        raise NotImplementedError

    def _score(self, outputs: Array, target: Array) -> float:
        """Return how good outputs of the network are, the higher the better."""
        raise NotImplementedError

    # The network

    def _check_arguments(self) -> None:
        owner = type(self).__name__
        for width in self._widths():
            size(owner, "hidden_layer_sizes", width)
        choice(owner, "activation", self.activation, tuple(ACTIVATIONS))
        choice(owner, "solver", self.solver, ("adam", "lbfgs", "sgd"))
        if not (isinstance(self.batch_size, str) and self.batch_size == "auto"):
            size(owner, "batch_size", self.batch_size)
        for name in ("max_iter", "n_iter_no_change"):
            size(owner, name, getattr(self, name))
        for name in ("alpha", "tol"):
            number(owner, name, getattr(self, name), low=0)
        for name in ("learning_rate_init", "epsilon"):
            number(owner, name, getattr(self, name), above=0)
        for name in ("beta_1", "beta_2"):
            number(owner, name, getattr(self, name), low=0, below=1)
        number(owner, "momentum", self.momentum, low=0, high=1)
        number(owner, "validation_fraction", self.validation_fraction, above=0, below=1)
        for name in ("shuffle", "warm_start", "nesterovs_momentum", "early_stopping"):
            boolean(owner, name, getattr(self, name))

    def _widths(self) -> tuple[Any, ...]:
        sizes = self.hidden_layer_sizes
        if isinstance(sizes, numbers.Integral):
            return (sizes,)
        if isinstance(sizes, str) or not np.iterable(sizes):
            what = "hidden_layer_sizes to be integers in a row, or one"
            raise ArgumentTypeError(expects(type(self).__name__, what, repr(sizes)))
        return tuple(sizes)

    def _build(self, x: Array) -> None:
        """Draw a network."""
        seed = check_random_state(self.random_state).randint(2**32, size=4, dtype=np.uint32)
        self._rng = np.random.default_rng(seed)
        layers: list[nn.Layer] = []
        for sizes in pairwise((x.shape[1], *map(int, self._widths()), self.n_outputs_)):
            layers.append(nn.Linear(*sizes, rng=self._rng, dtype=x.dtype, weight_init=nn.init.xavier_uniform_))
            layers.append(ACTIVATIONS[self.activation]())
        self.model_ = nn.Sequential(*layers[:-1]).eval()

    def _outputs(self, X: Any) -> Array:
        """Return what the network makes of inputs from outside."""
        check_is_fitted(self, "model_")
        return self._forward(validate_data(self, X, reset=False, dtype=DTYPES))

    def _forward(self, x: Array) -> Array:
        with nn.no_grad():
            outputs: Array = self.model_(x)
        return outputs

    # Training

    def _begin(self) -> None:
        """Start a curve, with a fresh optimizer."""
        self.optimizer_ = None if self.solver == "lbfgs" else self._optimizer()
        self.loss_curve_, self.n_iter_, self.best_loss_ = [], 0, math.inf
        self.validation_scores_ = self.best_validation_score_ = None

    def _optimizer(self) -> nn.Optimizer:
        parameters, lr = self.model_.parameters(), self.learning_rate_init
        if self.solver == "sgd":
            nesterov = bool(self.nesterovs_momentum and self.momentum > 0)
            return nn.SGD(parameters, lr=lr, momentum=self.momentum, nesterov=nesterov)
        return nn.Adam(parameters, lr=lr, betas=(self.beta_1, self.beta_2), eps=self.epsilon)

    def _note(self, loss: float) -> float:
        """Add the loss of an epoch to the curve, and return it."""
        self.loss_ = loss
        self.best_loss_ = min(self.best_loss_, loss)
        self.loss_curve_.append(loss)
        self.n_iter_ = len(self.loss_curve_)
        return loss

    def _penalized(self) -> nn.Loss:
        """Return the loss that is minimised."""
        weights = [layer.weight for layer in self.model_ if isinstance(layer, nn.Linear)]
        return _Penalized(self.loss_class(), weights, float(self.alpha))

    def _minimize(self, x: Array, target: Array) -> None:
        """Train on all samples at once."""

        def record(intermediate_result: Any) -> None:
            self._note(float(intermediate_result.fun))

        options = {"maxiter": self.max_iter, "gtol": self.tol}
        try:
            result = nn.minimize(self.model_, self._penalized(), x, target, callback=record, options=options)
        except NonFiniteError as error:
            raise self._not_finite(math.inf) from error
        if not math.isfinite(result.fun):
            raise self._not_finite(float(result.fun))
        self.loss_ = self.best_loss_ = float(result.fun)  # which was never noted if the start was a minimum
        if not result.success:
            self._warn(f"L-BFGS stopped after {result.nit} iterations: {result.message}")

    def _descend(self, x: Array, target: Array) -> None:
        """Train in mini-batches until the loss, or the score of what was held out, gets no better."""
        if self.early_stopping:
            x, held_out, target, held_out_target = self._split(x, target)
            self.validation_scores_ = []
        best, idle, weights = math.inf, 0, self.model_.state_dict()

        def watch(trainer: nn.Trainer) -> None:
            nonlocal best, idle, weights
            value = self.loss_
            if self.validation_scores_ is not None:
                score = self._score(trainer.predict(held_out, len(held_out)), held_out_target)
                self.validation_scores_.append(score)
                value = -score
            idle = 0 if value <= best - self.tol else idle + 1
            if value < best:
                best = value
                weights = self.model_.state_dict() if self.early_stopping else {}
            if idle > self.n_iter_no_change:
                trainer.stop()

        self._train(x, target, self.max_iter, watch)
        if idle <= self.n_iter_no_change:
            self._warn(f"{self.max_iter} epochs are over before it has settled; raise max_iter")
        if self.early_stopping:
            self.model_.load_state_dict(weights)
            self.best_validation_score_ = -best

    def _split(self, x: Array, target: Array) -> list[Array]:
        """Return inputs to learn from and to hold out, then targets likewise."""
        parts: list[Array] = train_test_split(
            x,
            target,
            test_size=self.validation_fraction,
            random_state=int(self._rng.integers(2**32)),
            stratify=target if is_classifier(self) else None,
        )
        if len(parts[1]) < 2:
            what, remedy = "at least 2 samples to hold out", "raise validation_fraction"
            raise ArgumentError(expects(type(self).__name__, what, len(parts[1]), remedy))
        return parts

    def _train(
        self, x: Array, target: Array, epochs: int = 1, watch: Callable[[nn.Trainer], None] | None = None
    ) -> None:
        """Go over the samples some times, note the mean of the losses of each, and let ``watch`` end it."""

        def note(trainer: nn.Trainer) -> None:
            self._note(trainer.history["loss"][-1])
            if watch is not None:
                watch(trainer)

        batch_size = min(200, len(x)) if self.batch_size == "auto" else int(self.batch_size)
        rng = self._rng if self.shuffle else None
        batches = nn.DataLoader((x, target), batch_size, self.shuffle, rng=rng)
        trainer = nn.Trainer(self.model_, self._penalized(), self.optimizer_)
        try:
            trainer.fit(batches, epochs, callbacks=[nn.LambdaCallback(on_epoch_end=note)], progress=False)
        except NonFiniteError as error:
            raise self._not_finite(trainer.loss) from error
        if trainer.history.interrupted:
            raise KeyboardInterrupt

    def _not_finite(self, loss: float) -> NonFiniteError:
        """Return the error of a loss, or of the gradient of a finite one."""
        what = "a finite gradient of the loss" if math.isfinite(loss) else "a finite loss"
        actual, remedy = f"{loss} in epoch {self.n_iter_ + 1}", "scale the data, or lower learning_rate_init"
        return NonFiniteError(expects(type(self).__name__, what, actual, remedy))

    def _train_further(self, X: Any, y: Any, classes: Any = None) -> Self:
        """Train for one epoch: what is behind ``partial_fit``."""
        self._check_arguments()
        if self.early_stopping:
            what = "early_stopping=False for partial_fit, which holds nothing out"
            raise ArgumentError(expects(type(self).__name__, what, True))
        first = not hasattr(self, "model_")
        x, target = self._read(X, y, first, classes)
        if first:
            self._build(x)
            self._begin()
        if self.optimizer_ is None:  # lbfgs went before
            self.optimizer_ = self._optimizer()
        self._train(x, target)
        return self

    def _warn(self, message: str) -> None:
        warnings.warn(f"{type(self).__name__}: {message}", ConvergenceWarning, stacklevel=4)


def _has_epochs(estimator: TinyEstimator) -> bool:
    """Whether there is a ``partial_fit``: L-BFGS needs all samples at once."""
    return estimator.solver != "lbfgs"


class TinyRegressor(MultiOutputMixin, RegressorMixin, TinyEstimator):
    """A network for one number or several, as an estimator of scikit-learn.

    Its arguments are those of `TinyEstimator`. With a for outputs, a* for targets and N samples, it minimises `MSELoss`
    with a penalty on the weights::

        L = 1/2N Σ (a - a*)² + α/2N Σ W²

    where the first sum is over samples and outputs: the loss that ``loss_curve_`` shows is the one whose gradient is
    followed. (For several outputs, `MLPRegressor` follows this gradient, too, but shows the mean over the outputs.)
    Inputs and targets should be scaled.

    Example:
        >>> from tinynn.sklearn import TinyRegressor
        >>> x = np.linspace(-1, 1, 50)[:, np.newaxis]
        >>> regressor = TinyRegressor(20, "arctan_sigmoid", solver="lbfgs", alpha=0, random_state=0)
        >>> regressor.fit(x, np.sin(3 * x[:, 0])).score(x, np.sin(3 * x[:, 0])) > 0.99
        True
    """

    loss_class = nn.MSELoss

    @override
    def _read(self, X: Any, y: Any, first: bool, classes: Any = None) -> tuple[Array, Array]:
        x, y = validate_data(self, X, y, reset=first, dtype=DTYPES, multi_output=True, y_numeric=True)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        target = y.reshape(len(y), -1).astype(x.dtype)  # (N, outputs)
        outputs = target.shape[1]
        if first:
            self.n_outputs_ = outputs
        elif outputs != self.n_outputs_:
            raise ShapeError(expects("TinyRegressor", f"{self.n_outputs_} targets a sample, as before", outputs))
        return x, target

    @override
    def _score(self, outputs: Array, target: Array) -> float:
        return float(r2_score(target, outputs))

    @available_if(_has_epochs)
    def partial_fit(self, X: Any, y: Any) -> Self:
        """Train for one epoch over these samples, and let ``loss_curve_`` and the optimizer go on."""
        return self._train_further(X, y)

    def predict(self, X: Any) -> Array:
        """Return the outputs, of shape (N,), or (N, outputs) for several."""
        outputs = self._outputs(X)
        return outputs[:, 0] if self.n_outputs_ == 1 else outputs


class TinyClassifier(ClassifierMixin, TinyEstimator):
    """A network for one class of several, as an estimator of scikit-learn.

    Its arguments are those of `TinyEstimator`. The network has a logit for each class, also where there are two. With p
    for the probability of the right class and N samples, it minimises `CrossEntropyLoss` with a penalty on the
    weights::

        L = -1/N Σ log p + α/2N Σ W²

    Labels are numbers or text. Inputs should be scaled.

    Attributes:
        classes_: the labels, sorted: the order of the probabilities.

    Example:
        >>> from tinynn.sklearn import TinyClassifier
        >>> x = np.linspace(-1, 1, 50)[:, np.newaxis]
        >>> labels = np.where(abs(x[:, 0]) < 0.5, "near", "far")
        >>> classifier = TinyClassifier(20, solver="lbfgs", random_state=0).fit(x, labels)
        >>> classifier.predict([[0.0], [1.0]]), classifier.classes_
        (array(['near', 'far'], dtype='<U4'), array(['far', 'near'], dtype='<U4'))
    """

    classes_: Array

    loss_class = nn.CrossEntropyLoss

    @override
    def _read(self, X: Any, y: Any, first: bool, classes: Any = None) -> tuple[Array, Array]:
        x, y = validate_data(self, X, y, reset=first, dtype=DTYPES)
        check_classification_targets(y)
        known = (np.unique(y) if classes is None else np.unique(classes)) if first else self.classes_
        unseen = np.setdiff1d(y, known)
        if unseen.size:
            what, remedy = f"labels among the classes {known.tolist()}", "name all classes in the first partial_fit"
            raise ArgumentError(expects("TinyClassifier", what, unseen.tolist(), remedy))
        self.classes_, self.n_outputs_ = known, len(known)
        return x, np.searchsorted(known, y)

    @override
    def _score(self, outputs: Array, target: Array) -> float:
        return float(accuracy_score(target, outputs.argmax(axis=1)))

    @available_if(_has_epochs)
    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> Self:
        """Train for one epoch over these samples, and let ``loss_curve_`` and the optimizer go on.

        Args:
            X: the inputs.
            y: their labels, which need not be of all classes.
            classes: all labels that there will ever be; needed in the first call.
        """
        first = not hasattr(self, "model_")
        if first and classes is None:
            raise ArgumentError(expects("TinyClassifier", "classes in the first call of partial_fit", None))
        if not first and classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            what = f"classes {self.classes_.tolist()}, those of the first call of partial_fit"
            raise ArgumentError(expects("TinyClassifier", what, np.unique(classes).tolist()))
        return self._train_further(X, y, classes)

    def predict(self, X: Any) -> Array:
        """Return the most probable label of each sample, of shape (N,)."""
        outputs = self._outputs(X)
        labels: Array = self.classes_[outputs.argmax(axis=1)]
        return labels

    def predict_proba(self, X: Any) -> Array:
        """Return the probabilities of the classes, of shape (N, classes), in the order of ``classes_``."""
        probabilities: Array = nn.Softmax(1)(self._outputs(X))
        return probabilities

    def predict_log_proba(self, X: Any) -> Array:
        """Return the logarithms of the probabilities, exact where those are too small for a number."""
        logarithms: Array = nn.LogSoftmax(1)(self._outputs(X))
        return logarithms


class _Penalized(nn.Loss):
    """L = loss + α/2N Σ W² for N samples and all weights W: a loss with a price for large weights.

    Backward:
        ∂L/∂prediction is that of the loss; α/N W is added to the gradient of each weight.
    """

    def __init__(self, loss_fn: nn.Loss, weights: list[nn.Parameter], alpha: float) -> None:
        super().__init__()
        self.loss_fn = loss_fn
        self.weights = weights
        self.alpha = alpha

    @override
    def forward(self, prediction: Array, target: Array) -> Any:
        price = self.alpha / len(prediction)
        self.saved.push(price)
        loss = self.loss_fn(prediction, target)
        for weight in self.weights:
            loss += 0.5 * price * np.vdot(weight.data, weight.data)
        return loss

    @override
    def backward(self, grad: Any = None) -> Any:
        price = self.saved.pop()
        if grad is not None:
            price = price * grad
        for weight in self.weights:
            weight.add_grad(price * weight.data)
        return self.loss_fn.backward(grad)
