"""The schedules that are held against PyTorch's: the same lines build both.

Each runs for `STEPS` epochs over two groups with rates of their own. After `BY_HAND` of them a rate is changed by hand.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

STEPS, HALF, BY_HAND = 200, 90, 120


@dataclass(frozen=True)
class Case:
    """A schedule: ``build`` makes it from a namespace, tinynn or PyTorch's, and an optimizer."""

    build: Callable[[Any, Any], Any]
    rule: str = "SGD"
    watches: bool = False

    def optimizer(self, module: Any, parameters: list[Any]) -> Any:
        options = {"SGD": {"momentum": 0.9}, "Adam": {}, "Adagrad": {}}[self.rule]
        groups = [{"params": parameters[:1]}, {"params": parameters[1:], "lr": 0.3}]
        return getattr(module, self.rule)(groups, lr=0.5, **options)


def watched(epoch: int) -> float:
    """Return a number that goes down, stays for a while, and goes up."""
    return math.cos(epoch / 40) + 0.05 * math.sin(5 * epoch) - 0.3 * (80 < epoch < 120)


def follow(case: Case, optimizer: Any, scheduler: Any, epochs: Iterable[int]) -> dict[str, list[Any]]:
    """Go on through some epochs, and return rates and momenta of both groups in each."""
    rates, momenta = [], []
    for epoch in epochs:
        groups = optimizer.param_groups
        if epoch == BY_HAND:
            groups[0]["lr"] *= 0.5
        rates.append([float(group["lr"]) for group in groups])
        assert epoch % HALF == 0 or scheduler.get_last_lr() == rates[-1] or epoch == BY_HAND
        momenta.append([float(group["betas"][0] if "betas" in group else group.get("momentum", 0)) for group in groups])
        optimizer.step()
        scheduler.step(*([watched(epoch)] if case.watches else []))
    return {"lr": rates, "momentum": momenta}


def in_pairs(values: dict[str, tuple[Any, Any]]) -> Iterator[dict[str, Any]]:
    """Yield rows in which any two options meet in all four combinations."""
    bits = max(1, math.ceil(math.log2(len(values) + 1)))
    for row in itertools.product((0, 1), repeat=bits):
        masks = list(itertools.product((0, 1), repeat=bits))[1:]
        columns = [sum(a * b for a, b in zip(row, mask, strict=True)) % 2 for mask in masks]
        yield {name: both[column] for (name, both), column in zip(values.items(), columns, strict=False)}


ALONE: dict[str, dict[str, tuple[Any, Any]]] = {
    "StepLR": {"step_size": (7, 50), "gamma": (0.1, 0.9)},
    "MultiStepLR": {"milestones": ([10, 30, 30, 150], [100, 1, 5]), "gamma": (0.1, 0.5)},
    "ExponentialLR": {"gamma": (0.9, 1.01)},
    "LinearLR": {"start_factor": (1 / 3, 1.0), "end_factor": (1.0, 0.2), "total_iters": (5, 150)},
    "PolynomialLR": {"total_iters": (5, 150), "power": (1.0, 2.5)},
    "CosineAnnealingLR": {"T_max": (13, 200), "eta_min": (0.0, 0.01)},
    "CosineAnnealingWarmRestarts": {"T_0": (10, 37), "T_mult": (1, 2), "eta_min": (0.0, 0.01)},
    "OneCycleLR": {
        "max_lr": (0.1, [0.2, 0.3]),
        "length": ({"total_steps": 200}, {"epochs": 25, "steps_per_epoch": 8}),
        "pct_start": (0.3, 0.45),
        "anneal_strategy": ("cos", "linear"),
        "cycle_momentum": (True, False),
        "base_momentum": (0.85, [0.7, 0.5]),
        "max_momentum": (0.95, 0.9),
        "div_factor": (25.0, 10.0),
        "final_div_factor": (1e4, 100.0),
        "three_phase": (False, True),
    },
    "CyclicLR": {
        "base_lr": (0.01, [0.02, 0.03]),
        "max_lr": (0.1, [0.2, 0.3]),
        "step_size_up": (30, 11),
        "step_size_down": (None, 23),
        "mode": ("triangular2", "exp_range"),
        "gamma": (1.0, 0.99),
        "scale_fn": (None, lambda count: 0.9**count),
        "scale_mode": ("cycle", "iterations"),
        "cycle_momentum": (True, False),
        "base_momentum": (0.8, [0.6, 0.5]),
        "max_momentum": (0.9, 0.85),
    },
    "ReduceLROnPlateau": {
        "mode": ("min", "max"),
        "factor": (0.1, 0.7),
        "patience": (10, 2),
        "threshold": (1e-4, 0.3),
        "threshold_mode": ("rel", "abs"),
        "cooldown": (0, 5),
        "min_lr": (0, [0.1, 0.001]),
        "eps": (1e-8, 0.01),
    },
}


def build(kind: str, options: dict[str, Any]) -> Callable[[Any, Any], Any]:
    return lambda lr, optimizer: getattr(lr, kind)(optimizer, **options)


def again(kind: str, options: dict[str, Any]) -> Callable[[Any, Any], Any]:
    """Return what builds a schedule that goes on where one like it has stopped, by ``last_epoch``."""

    def build_twice(lr: Any, optimizer: Any) -> Any:
        first = build(kind, options)(lr, optimizer)
        for _ in range(16):
            optimizer.step()
            first.step()
        return build(kind, {**options, "last_epoch": first.last_epoch})(lr, optimizer)

    return build_twice


def alone() -> Iterator[tuple[str, Case]]:
    for kind, values in ALONE.items():
        for number, row in enumerate(in_pairs(values)):
            options = row.pop("length", {}) | row
            rule = ("SGD", "Adam")[number % 2]
            yield f"{kind} {number}", Case(build(kind, options), rule, watches=kind == "ReduceLROnPlateau")
        if kind not in {"ReduceLROnPlateau", "OneCycleLR", "LinearLR"}:
            yield f"{kind} again", Case(again(kind, options))
    yield "LinearLR again", Case(again("LinearLR", {"total_iters": 150}))
    yield "OneCycleLR again", Case(again("OneCycleLR", {"max_lr": 0.1, "total_steps": 220}))
    yield "LambdaLR again", Case(again("LambdaLR", {"lr_lambda": lambda epoch: 0.97**epoch}))
    yield "CyclicLR triangular", Case(build("CyclicLR", {"base_lr": 0.1, "max_lr": 0.4, "step_size_up": 15}))
    once = {"max_lr": 0.1, "total_steps": 220, "cycle_momentum": False}
    yield "OneCycleLR without momentum", Case(build("OneCycleLR", once), "Adagrad")
    yield "LambdaLR one", Case(build("LambdaLR", {"lr_lambda": lambda epoch: 1 / (1 + epoch)}))
    both = [lambda epoch: 0.97**epoch, lambda epoch: epoch % 5]
    yield "LambdaLR each", Case(build("LambdaLR", {"lr_lambda": both}))


TOGETHER: dict[str, Callable[[Any, Any], Any]] = {
    "warm-up, then cosine": lambda lr, o: lr.SequentialLR(
        o, [lr.LinearLR(o, total_iters=20), lr.CosineAnnealingLR(o, T_max=180)], milestones=[20]
    ),
    "three in a row": lambda lr, o: lr.SequentialLR(
        o,
        [lr.LambdaLR(o, lambda epoch: 0.99**epoch), lr.StepLR(o, 10, 0.7), lr.PolynomialLR(o, 50, 2.0)],
        milestones=[30, 140],
    ),
    "restarts, then decay": lambda lr, o: lr.SequentialLR(
        o, [lr.CosineAnnealingWarmRestarts(o, 10, 2), lr.ExponentialLR(o, 0.95)], milestones=[70]
    ),
    "decay, then restarts": lambda lr, o: lr.SequentialLR(
        o, [lr.MultiStepLR(o, [5, 20]), lr.CosineAnnealingWarmRestarts(o, 10, 2)], milestones=[40]
    ),
    "a cycle in the end": lambda lr, o: lr.SequentialLR(
        o, [lr.LinearLR(o, total_iters=20), lr.CyclicLR(o, 0.01, 0.2, 12, mode="triangular2")], milestones=[50]
    ),
    "chained": lambda lr, o: lr.ChainedScheduler([lr.LinearLR(o, 0.1, total_iters=20), lr.ExponentialLR(o, 0.98)]),
    "chained cosine": lambda lr, o: lr.ChainedScheduler(
        [lr.CosineAnnealingLR(o, 220, 0.001), lr.StepLR(o, 30, 0.5), lr.PolynomialLR(o, 150)], optimizer=o
    ),
    "chained with cycles": lambda lr, o: lr.ChainedScheduler(
        [lr.OneCycleLR(o, 0.4, 220), lr.ExponentialLR(o, 0.99), lr.MultiStepLR(o, [40, 90])]
    ),
    "chained from a sequence": lambda lr, o: lr.ChainedScheduler(
        [
            lr.SequentialLR(o, [lr.LinearLR(o, total_iters=9), lr.ExponentialLR(o, 0.99)], milestones=[9]),
            lr.StepLR(o, 60),
        ]
    ),
}
CASES = {**dict(alone()), **{name: Case(build) for name, build in TOGETHER.items()}}
