"""Adam, which gives every parameter a rate of its own, and AdamW."""

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

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """W ↦ W - γ m̂ / (√v̂ + ε): descent along a mean of gradients, measured by the root of a mean of their squares.

    With g = ∇W + weight_decay · W (∇W negated for ``maximize``), in step t m ↦ β₁ m + (1 - β₁) g and
    v ↦ β₂ v + (1 - β₂) g², which start at 0; m̂ = m / (1 - β₁ᵗ) and v̂ = v / (1 - β₂ᵗ) make up for that start.

    Args:
        params: ``model.parameters()``, or dicts with ``"params"`` and options of their own.
        lr: γ, at least 0.
        betas: β₁ and β₂, at least 0 and below 1.
        eps: ε, at least 0.
        weight_decay: factor of the penalty ½ ‖W‖², at least 0.
        amsgrad: divide by the root of the largest v so far.
        maximize: go uphill.
        decoupled_weight_decay: leave the penalty out of g; W ↦ (1 - γ weight_decay) W before the update instead.

    References:
        Kingma and Ba, "Adam: a method for stochastic optimization", 2015. Reddi et al., "On the convergence of Adam and
        beyond", 2018, for ``amsgrad``; PyTorch's form takes the largest v, not the largest v̂.
    """

    state_numbers = ("step",)
    state_arrays = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            amsgrad=amsgrad,
            maximize=maximize,
            decoupled_weight_decay=decoupled_weight_decay,
        )

    @override
    def check(self, options: Mapping[str, Any]) -> dict[str, Any]:
        return {
            **nonnegative(self, options, "lr"),
            **fractions(self, options, "betas"),
            **nonnegative(self, options, "eps", "weight_decay"),
            **flags(self, options, "amsgrad", "maximize", "decoupled_weight_decay"),
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
        if options.amsgrad:
            if "max_exp_avg_sq" not in state:
                state["max_exp_avg_sq"] = np.zeros_like(grad)
            square = np.maximum(state["max_exp_avg_sq"], square, out=state["max_exp_avg_sq"])

        # γ m̂ / (√v̂ + ε) = (γ c / (1 - β₁ᵗ)) m / (√v + c ε) with c = √(1 - β₂ᵗ)
        scale = math.sqrt(1 - beta2 ** state["step"])
        np.sqrt(square, step)
        step += scale * options.eps
        np.divide(mean, step, step)
        step *= options.lr * scale / (1 - beta1 ** state["step"])


class AdamW(Adam):
    """W ↦ (1 - γ weight_decay) W - γ m̂ / (√v̂ + ε): `Adam` with decoupled weight decay.

    Adam divides the gradient of a penalty by √v̂ as well, so that it hardly tells where gradients are large. Here the
    weights shrink alike.

    Args:
        params: ``model.parameters()``, or dicts with ``"params"`` and options of their own.
        lr: γ, at least 0.
        betas: β₁ and β₂, at least 0 and below 1.
        eps: ε, at least 0.
        weight_decay: how fast the weights shrink, at least 0.
        amsgrad: divide by the root of the largest v so far.
        maximize: go uphill.

    References:
        Loshchilov and Hutter, "Decoupled weight decay regularization", 2019, algorithm 2, where the decay has a rate of
        its own; in PyTorch's form it is multiplied by γ as well.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True)

    @override
    def check(self, options: Mapping[str, Any]) -> dict[str, Any]:
        return {**super().check(options), "decoupled_weight_decay": True}
