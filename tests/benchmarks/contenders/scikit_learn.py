"""scikit-learn's ``MLPRegressor``: a step is a ``partial_fit`` on one batch, its only public way to do one."""

from __future__ import annotations

import math

import numpy as np
from sklearn.neural_network import MLPRegressor

from tests.benchmarks.cases import BETA1, BETA2, EPS, LR, MOMENTUM, Case
from tests.benchmarks.contenders import Run


def partial_fit(case: Case) -> Run:
    """It has no arctan sigmoid, so this is for networks of logistic sigmoids with a linear last layer.

    Its gradient is that of half the squared error of each sample, as here; the loss that it reports is that divided by
    the number of outputs.
    """
    model = MLPRegressor(
        hidden_layer_sizes=case.sizes[1:-1],
        activation="logistic",
        solver="adam" if case.optimizer == "Adam" else "sgd",
        alpha=0.0,
        batch_size=case.batch,
        learning_rate_init=LR,
        momentum=0.0 if case.optimizer == "SGD" else MOMENTUM,
        nesterovs_momentum=False,
        beta_1=BETA1,
        beta_2=BETA2,
        epsilon=EPS * math.sqrt(1 - BETA2),  # it is added before the correction of the bias, here after it
        shuffle=False,
        random_state=0,
    )
    x, target, outputs = case.x, case.target, case.sizes[-1]
    model.partial_fit(x, target)  # creates the parameters, which are then overwritten, and the optimizer forgotten
    for (weight, bias), coef, intercept in zip(case.layers, model.coefs_, model.intercepts_, strict=True):
        np.copyto(coef, weight.T)
        np.copyto(intercept, bias)
    del model._optimizer

    def run(n: int) -> float:
        for _ in range(n):
            model.partial_fit(x, target)
        return model.loss_ * outputs

    return run
