"""tinynn through its public interface, as the README writes it."""

from __future__ import annotations

import numpy as np

import tinynn as nn
from tests.benchmarks.cases import BETA1, BETA2, EPS, LR, MOMENTUM, Case
from tests.benchmarks.contenders import Run


def parameters_only(case: Case) -> Run:
    """With `backward_parameters`: no gradient for x, which is data."""
    return _inference(case) if case.task == "inference" else _training(case, input_gradient=False)


def with_input_gradient(case: Case) -> Run:
    return _training(case, input_gradient=True)


def one_sample(case: Case) -> Run:
    """The sample as the note has it: not a batch of one, but a vector."""
    return _training(case, input_gradient=False, x=case.x[0], target=case.target[0])


def model_of(case: Case) -> nn.Sequential:
    model = nn.Sequential()
    for weight, bias in case.layers:
        linear = nn.Linear(weight.shape[1], weight.shape[0], dtype=case.dtype)
        linear.weight.data, linear.bias.data = weight, bias
        model.append(linear)
        model.append(nn.ArctanSigmoid() if case.nonlinearity == "arctan sigmoid" else nn.Sigmoid())
    return model if case.nonlinearity == "arctan sigmoid" else model[:-1]


def optimizer_of(case: Case, model: nn.Layer) -> nn.Optimizer:
    if case.optimizer == "Adam":
        if not hasattr(nn, "Adam"):
            raise NotImplementedError("tinynn has no Adam yet")
        return nn.Adam(model.parameters(), lr=LR, betas=(BETA1, BETA2), eps=EPS)
    return nn.SGD(model.parameters(), lr=LR, momentum=0.0 if case.optimizer == "SGD" else MOMENTUM)


def _training(case: Case, *, input_gradient: bool, x=None, target=None) -> Run:
    x = case.x if x is None else x
    target = case.target if target is None else target
    model, loss_fn = model_of(case), nn.MSELoss()
    optimizer = optimizer_of(case, model)
    backward = model.backward if input_gradient else model.backward_parameters

    def run(n: int) -> float:
        for _ in range(n):
            loss = loss_fn(model(x), target)
            optimizer.zero_grad()
            backward(loss_fn.backward())
            optimizer.step()
        return loss

    return run


def _inference(case: Case) -> Run:
    model, x = model_of(case), case.x

    def run(n: int) -> np.ndarray:
        with nn.no_grad():
            for _ in range(n):
                y = model(x)
        return y

    return run
