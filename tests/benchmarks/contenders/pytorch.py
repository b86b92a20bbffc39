"""PyTorch: eager with the optimizer's defaults, eager with the fused optimizer, and compiled."""

from __future__ import annotations

import math
import os
import shutil
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from tests.benchmarks.cases import BETA1, BETA2, EPS, LR, MOMENTUM, Case
from tests.benchmarks.contenders import Run


class ArctanSigmoid(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.atan(x) * (1 / math.pi) + 0.5


def eager(case: Case) -> Run:
    """Adam with ``foreach=True``, SGD as PyTorch chooses."""
    return _run(case, compiled=False, **({"foreach": True} if case.optimizer == "Adam" else {}))


def fused(case: Case) -> Run:
    return _run(case, compiled=False, fused=True)


def compiled(case: Case) -> Run:
    """``torch.compile`` of model and loss, whose backward is compiled with it; the optimizer is as in eager."""
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise NotImplementedError(f"no C++ compiler {compiler}")
    return _run(case, compiled=True, **({"foreach": True} if case.optimizer == "Adam" else {}))


def _run(case: Case, *, compiled: bool, **implementation: bool) -> Run:
    torch.set_num_threads(case.threads)
    model = _model_of(case)
    x, target = torch.from_numpy(case.x), torch.from_numpy(case.target)
    batch = case.batch

    def loss_of(x: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return functional.mse_loss(model(x), target, reduction="sum") * (0.5 / batch)

    if case.task == "inference":
        forward = torch.compile(model, dynamic=False) if compiled else model

        def infer(n: int) -> np.ndarray:
            with torch.inference_mode():
                for _ in range(n):
                    y = forward(x)
            return y.numpy()

        return infer

    if compiled:
        loss_of = torch.compile(loss_of, dynamic=False)
    optimizer = _optimizer_of(case, model, **implementation)

    def train(n: int) -> float:
        for _ in range(n):
            loss = loss_of(x, target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return loss.item()

    return train


def _model_of(case: Case) -> torch.nn.Sequential:
    arctan = case.nonlinearity == "arctan sigmoid"
    layers: list[Any] = []
    for weight, bias in case.layers:
        linear = torch.nn.Linear(weight.shape[1], weight.shape[0], dtype=getattr(torch, case.dtype))
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weight))
            linear.bias.copy_(torch.from_numpy(bias))
        layers += [linear, ArctanSigmoid() if arctan else torch.nn.Sigmoid()]
    return torch.nn.Sequential(*(layers if arctan else layers[:-1]))


def _optimizer_of(case: Case, model: torch.nn.Module, **implementation: bool) -> torch.optim.Optimizer:
    if case.optimizer == "Adam":
        return torch.optim.Adam(model.parameters(), lr=LR, betas=(BETA1, BETA2), eps=EPS, **implementation)
    momentum = 0.0 if case.optimizer == "SGD" else MOMENTUM
    return torch.optim.SGD(model.parameters(), lr=LR, momentum=momentum, **implementation)
