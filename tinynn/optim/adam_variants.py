"""NAdam, which is Adam with Nesterov's momentum, and RAdam, which is Adam with a careful start."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from typing_extensions import override

from tinynn.core.groups import flags, fractions, nonnegative
from tinynn.core.optimizer import Optimizer
from tinynn.optim.averages import follow, follow_square
from tinynn.typing import Array

__all__ = ["NAdam", "RAdam"]


class NAdam(Optimizer):
    """W ↦ W - γ m̂ / (√v̂ + ε) with m̂ = μₜ₊₁ m / (1 - μ₁ … μₜ₊₁) + (1 - μₜ) g / (1 - μ₁ … μₜ): Adam that looks ahead.

    With g = ∇W + weight_decay · W (∇W negated for ``maximize``), m, v and v̂ are those of `Adam`. The momentum grows
    from β₁ / 2 to β₁ with the steps: μₜ = β₁ (1 - ½ · 0.96^(t · momentum_decay)).

    Args:
        params: ``model.parameters()``, or dicts with ``"params"`` and options of their own.
        lr: γ, at least 0.
        betas: β₁ and β₂, at least 0 and below 1.
        eps: ε, at least 0.
        weight_decay: factor of the penalty ½ ‖W‖², at least 0.
        momentum_decay: how fast the momentum grows, at least 0.
        decoupled_weight_decay: leave the penalty out of g; W ↦ (1 - γ weight_decay) W before the update instead.
        maximize: go uphill.

    References:
        Dozat, "Incorporating Nesterov momentum into Adam", 2016, algorithm 2. As in PyTorch, m has the constant β₁ for
        a factor, and not μₜ.
    """

    state_numbers = ("step", "mu_product")
    state_arrays = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            momentum_decay=momentum_decay,
            decoupled_weight_decay=decoupled_weight_decay,
            maximize=maximize,
        )

    @override
    def check(self, options: Mapping[str, Any]) -> dict[str, Any]:
        return {
            **nonnegative(self, options, "lr"),
            **fractions(self, options, "betas"),
            **nonnegative(self, options, "eps", "weight_decay", "momentum_decay"),
            **flags(self, options, "decoupled_weight_decay", "maximize"),
        }

    @override
    def update(self, grad: Array, state: dict[str, Any], step: Array, options: Any) -> None:
        if not state:
            state.update(step=0.0, mu_product=1.0, exp_avg=np.zeros_like(grad), exp_avg_sq=np.zeros_like(grad))
        state["step"] += 1
        beta1, beta2 = options.betas
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        momentum, ahead = (
            beta1 * (1 - 0.5 * 0.96 ** (t * options.momentum_decay)) for t in (state["step"], state["step"] + 1)
        )
        state["mu_product"] *= momentum

        follow(mean, grad, beta1, step)
        follow_square(square, grad, beta2, step)

        np.multiply(mean, options.lr * ahead / (1 - state["mu_product"] * ahead), step)
        step += grad * (options.lr * (1 - momentum) / (1 - state["mu_product"]))
        root = square / (1 - beta2 ** state["step"])
        np.sqrt(root, root)
        root += options.eps
        step /= root


class RAdam(Optimizer):
    """W ↦ W - γ r m̂ / (√v̂ + ε), or W ↦ W - γ m̂ as long as v̂ cannot be relied on: Adam with a careful start.

    With g = ∇W + weight_decay · W (∇W negated for ``maximize``), m, v, m̂ and v̂ are those of `Adam`. In step t
    v is worth ρₜ = ρ - 2 t β₂ᵗ / (1 - β₂ᵗ) gradients, of ρ = 2 / (1 - β₂) - 1 in the end. For ρₜ > 5
    r = √((ρₜ - 4) (ρₜ - 2) ρ / ((ρ - 4) (ρ - 2) ρₜ)) makes up for the spread of v̂; up to there v̂ is left out.

    Args:
        params: ``model.parameters()``, or dicts with ``"params"`` and options of their own.
        lr: γ, at least 0.
        betas: β₁ and β₂, at least 0 and below 1.
        eps: ε, at least 0.
        weight_decay: factor of the penalty ½ ‖W‖², at least 0.
        decoupled_weight_decay: leave the penalty out of g; W ↦ (1 - γ weight_decay) W before the update instead.
        maximize: go uphill.

    References:
        Liu et al., "On the variance of the adaptive learning rate and beyond", 2020, algorithm 2, which trusts v̂ from
        ρₜ > 4 on, and has no ε. As in PyTorch, the bound is 5, and ε is added to √v, not to √v̂: it counts less in the
        first steps.
    """

    state_numbers = ("step",)
    state_arrays = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            decoupled_weight_decay=decoupled_weight_decay,
            maximize=maximize,
        )

    @override
    def check(self, options: Mapping[str, Any]) -> dict[str, Any]:
        return {
            **nonnegative(self, options, "lr"),
            **fractions(self, options, "betas"),
            **nonnegative(self, options, "eps", "weight_decay"),
            **flags(self, options, "decoupled_weight_decay", "maximize"),
        }

    @override
    def update(self, grad: Array, state: dict[str, Any], step: Array, options: Any) -> None:
        if not state:
            state.update(step=0.0, exp_avg=np.zeros_like(grad), exp_avg_sq=np.zeros_like(grad))
        state["step"] += 1
        beta1, beta2 = options.betas
        mean, square = state["exp_avg"], state["exp_avg_sq"]

        follow(mean, grad, beta1, step)
        follow_square(square, grad, beta2, step)

        scale = options.lr / (1 - beta1 ** state["step"])
        missing = 1 - beta2 ** state["step"]
        most = 2 / (1 - beta2) - 1
        worth = most - 2 * state["step"] * (1 - missing) / missing
        if worth > 5:
            spread = (worth - 4) * (worth - 2) * most / ((most - 4) * (most - 2) * worth)
            np.sqrt(square, step)
            step += options.eps
            np.divide(mean, step, step)
            step *= scale * math.sqrt(spread * missing)
        else:
            np.multiply(mean, scale, step)
