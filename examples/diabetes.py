"""The progress of diabetes in 442 patients: a network in a pipeline of scikit-learn, beside scikit-learn's own network.

Ten measurements of each patient are to tell how far the disease will have come in a year. Inputs and targets are scaled
by scikit-learn, and a grid search finds the number of hidden units and the penalty on the weights. A score is R², of
patients that neither the network nor the search has seen: the patients are dealt into five folds, each is held out
once, and the search divides the other four once more. Another seed deals them anew, and starts from other weights.

Everybody gets the same folds, the same grid and the same solver. A linear model is there, too, since on so few patients
there is hardly anything to gain over it.

    python examples/diabetes.py              prints the scores, mean and spread over five seeds
"""

from __future__ import annotations

import argparse
import statistics

import tinynn as nn

try:
    from sklearn.base import BaseEstimator
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.datasets import load_diabetes
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
    from sklearn.neural_network import MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits
except ImportError as error:
    message = 'this example needs optional packages: python -m pip install -e ".[examples]"'
    raise nn.errors.MissingExtraError(message) from error

from tinynn.sklearn import TinyRegressor

FOLDS = 5
INNER_FOLDS = 3
WIDTHS = [5, 20]
PENALTIES = [3.0, 30.0]


def networks(seed: int) -> dict[str, BaseEstimator]:
    """Return the networks that are compared, by name."""
    options = {"solver": "lbfgs", "tol": 1e-3, "max_iter": 1000, "random_state": seed}
    return {
        "TinyRegressor, arctan sigmoid": TinyRegressor(activation="arctan_sigmoid", **options),
        "TinyRegressor, tanh": TinyRegressor(activation="tanh", **options),
        "MLPRegressor, tanh": MLPRegressor(activation="tanh", **options),
    }


def searched(regressor: BaseEstimator, grid: dict[str, list[float]], seed: int) -> GridSearchCV:
    """Return a regressor that scales inputs and targets, and finds its own arguments."""
    scaled = TransformedTargetRegressor(regressor, transformer=StandardScaler())
    pipeline = make_pipeline(StandardScaler(), scaled)
    steps = {f"transformedtargetregressor__regressor__{name}": values for name, values in grid.items()}
    return GridSearchCV(pipeline, steps, cv=KFold(INNER_FOLDS, shuffle=True, random_state=seed))


def scores_of(seed: int) -> dict[str, float]:
    """Return the mean R² over the folds of a seed, for each competitor."""
    x, y = load_diabetes(return_X_y=True)
    competitors = {
        name: searched(network, {"hidden_layer_sizes": WIDTHS, "alpha": PENALTIES}, seed)
        for name, network in networks(seed).items()
    }
    competitors["Ridge, linear"] = searched(Ridge(), {"alpha": PENALTIES}, seed)
    folds = KFold(FOLDS, shuffle=True, random_state=seed)
    return {name: float(cross_val_score(search, x, y, cv=folds).mean()) for name, search in competitors.items()}


def main(arguments: list[str] | None = None) -> dict[str, list[float]]:
    """Return the score of each competitor for each seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds, two at least")
    options = parser.parse_args(arguments)
    if options.seeds < 2:
        parser.error("--seeds is at least 2, for there to be a spread")

    with threadpool_limits(1):  # matrices this small gain nothing from several threads
        by_seed = [scores_of(seed) for seed in range(options.seeds)]
    scores = {name: [one[name] for one in by_seed] for name in by_seed[0]}

    print(f"R² of patients held out, {options.seeds} seeds with {FOLDS} folds each")
    for name, values in scores.items():
        spread = statistics.stdev(values)
        print(f"{name:30} mean {statistics.mean(values):.3f}, spread {spread:.3f}, worst seed {min(values):.3f}")
    ours, theirs = scores["TinyRegressor, tanh"], scores["MLPRegressor, tanh"]
    gains = [a - b for a, b in zip(ours, theirs, strict=True)]
    print(f"TinyRegressor minus MLPRegressor, tanh, seed by seed: {' '.join(f'{gain:+.3f}' for gain in gains)}")
    return scores


if __name__ == "__main__":
    main()
