"""Gradient descent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from typing_extensions import override

from tinynn.core.arguments import number
from tinynn.core.groups import flags, nonnegative
from tinynn.core.optimizer import Optimizer
from tinynn.errors import ArgumentError, expects
from tinynn.typing import Array

__all__ = ["SGD"]


class SGD(Optimizer):
    """W ↦ W - γ ∇W: gradient descent, with momentum if wanted.

    With g = ∇W + weight_decay · W (∇W negated for ``maximize``), the buffer is v = g in the first step and
    v ↦ momentum · v + (1 - dampening) · g after it; the step is γ v, or γ (g + momentum · v) for ``nesterov``.

    Args:
        params: ``model.parameters()``, or dicts with ``"params"`` and options of their own.
        lr: the note's γ, at least 0.
        momentum: at least 0.
        dampening: how much of the gradient the buffer leaves out.
        weight_decay: factor of the penalty ½ ‖W‖², at least 0.
        nesterov: look ahead by one step; needs momentum and no dampening.
        maximize: go uphill.

    References:
        The note, (26) and (27), γ = 0.001. Sutskever et al., "On the importance of initialization and momentum in deep
        learning", 2013; PyTorch's form differs from it: the rate multiplies the buffer, not the gradient.
    """

    state_arrays = ("momentum_buffer",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            momentum=momentum,
            dampening=dampening,
            weight_decay=weight_decay,
            nesterov=nesterov,
            maximize=maximize,
        )

    @override
    def check(self, options: Mapping[str, Any]) -> dict[str, Any]:
        checked = {
            **nonnegative(self, options, "lr", "momentum"),
            "dampening": number("SGD", "dampening", options["dampening"]),
            **nonnegative(self, options, "weight_decay"),
            **flags(self, options, "nesterov", "maximize"),
        }
        if checked["nesterov"] and (checked["momentum"] == 0 or checked["dampening"] != 0):
            actual = f"momentum={checked['momentum']}, dampening={checked['dampening']}"
            raise ArgumentError(expects("SGD", "momentum > 0 and dampening = 0 for nesterov", actual))
        return checked

    @override
    def update(self, grad: Array, state: dict[str, Any], step: Array, options: Any) -> None:
        if options.momentum:
            buffer = state.get("momentum_buffer")
            if buffer is None:
                buffer = state["momentum_buffer"] = grad.copy()
            else:
                np.multiply(grad, 1 - options.dampening, step)
                buffer *= options.momentum
                buffer += step
            if options.nesterov:
                np.multiply(buffer, options.momentum, step)
                step += grad
                grad = step
            else:
                grad = buffer
        np.multiply(grad, options.arrays.lr, step)
