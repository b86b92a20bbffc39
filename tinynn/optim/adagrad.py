"""Adagrad and Adadelta: rates that follow from all gradients so far, and from the updates of late."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from typing_extensions import override

from tinynn.core.groups import flags, nonnegative
from tinynn.core.optimizer import Optimizer
from tinynn.optim.averages import follow_square
from tinynn.typing import Array

__all__ = ["Adadelta", "Adagrad"]


class Adagrad(Optimizer):
    """W ↦ W - γₜ g / (√s + ε): descent, measured by the root of the sum of all squares so far.

    With g = ∇W + weight_decay · W (∇W negated for ``maximize``), in step t s ↦ s + g², and
    γₜ = γ / (1 + (t - 1) lr_decay). What hardly ever had a gradient, the row of a rare word, takes large steps.

    Args:
        params: ``model.parameters()``, or dicts with ``"params"`` and options of their own.
        lr: γ, at least 0.
        lr_decay: at least 0.
        weight_decay: factor of the penalty ½ ‖W‖², at least 0.
        initial_accumulator_value: s at the start, at least 0.
        eps: ε, at least 0.
        maximize: go uphill.

    References:
        Duchi, Hazan and Singer, "Adaptive subgradient methods for online learning and stochastic optimization", 2011,
        the rule with a diagonal matrix, without a projection. ``lr_decay`` is PyTorch's addition.
    """

    state_numbers = ("step",)
    state_arrays = ("sum",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
            maximize=maximize,
        )

    @override
    def check(self, options: Mapping[str, Any]) -> dict[str, Any]:
        names = ("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps")
        return {**nonnegative(self, options, *names), **flags(self, options, "maximize")}

    @override
    def update(self, grad: Array, state: dict[str, Any], step: Array, options: Any) -> None:
        if not state:
            state.update(step=0.0, sum=np.full_like(grad, options.initial_accumulator_value))
        state["step"] += 1

        total = state["sum"]
        np.multiply(grad, grad, step)
        total += step

        np.sqrt(total, step)
        step += options.eps
        np.divide(grad, step, step)
        step *= options.lr / (1 + (state["step"] - 1) * options.lr_decay)


class Adadelta(Optimizer):
    """W ↦ W - γ Δ with Δ = g √(u + ε) / √(v + ε): steps as large as those of late, so that units agree.

    With g = ∇W + weight_decay · W (∇W negated for ``maximize``), v ↦ ρ v + (1 - ρ) g² before Δ is computed, and
    u ↦ ρ u + (1 - ρ) Δ² after it; both start at 0.

    Args:
        params: ``model.parameters()``, or dicts with ``"params"`` and options of their own.
        lr: γ, at least 0.
        rho: ρ, from 0 to 1.
        eps: ε, at least 0; what the first steps are made of. With 0 there are none.
        weight_decay: factor of the penalty ½ ‖W‖², at least 0.
        maximize: go uphill.

    References:
        Zeiler, "ADADELTA: an adaptive learning rate method", 2012, algorithm 1, which has no rate: γ is PyTorch's
        addition, 1 by default.
    """

    state_numbers = ("step",)
    state_arrays = ("square_avg", "acc_delta")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr=lr, rho=rho, eps=eps, weight_decay=weight_decay, maximize=maximize)

    @override
    def check(self, options: Mapping[str, Any]) -> dict[str, Any]:
        return {
            **nonnegative(self, options, "lr"),
            **nonnegative(self, options, "rho", high=1),
            **nonnegative(self, options, "eps", "weight_decay"),
            **flags(self, options, "maximize"),
        }

    @override
    def update(self, grad: Array, state: dict[str, Any], step: Array, options: Any) -> None:
        if not state:
            state.update(step=0.0, square_avg=np.zeros_like(grad), acc_delta=np.zeros_like(grad))
        state["step"] += 1

        square, deltas = state["square_avg"], state["acc_delta"]
        follow_square(square, grad, options.rho, step)
        np.add(square, options.eps, step)
        delta = deltas + options.eps
        delta /= step
        np.sqrt(delta, delta)
        delta *= grad
        follow_square(deltas, delta, options.rho, step)
        np.multiply(delta, options.lr, step)
