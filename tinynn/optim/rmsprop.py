"""RMSprop: steps measured by the gradients of late."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from typing_extensions import override

from tinynn.core.groups import flags, nonnegative
from tinynn.core.optimizer import Optimizer
from tinynn.optim.averages import follow, follow_square
from tinynn.typing import Array

__all__ = ["RMSprop"]


class RMSprop(Optimizer):
    """W ↦ W - γ g / (√v + ε): descent, measured by the root of a mean of squares that forgets.

    With g = ∇W + weight_decay · W (∇W negated for ``maximize``), v ↦ α v + (1 - α) g², which starts at 0. If
    ``centered``, a mean of gradients is taken off it, m ↦ α m + (1 - α) g, and v - m² is divided by. With ``momentum``
    the quotients g / (√v + ε) are added up, b ↦ momentum · b + g / (√v + ε), and W ↦ W - γ b.

    Args:
        params: ``model.parameters()``, or dicts with ``"params"`` and options of their own.
        lr: γ, at least 0.
        alpha: α, from 0 to 1.
        eps: ε, at least 0.
        weight_decay: factor of the penalty ½ ‖W‖², at least 0.
        momentum: at least 0.
        centered: divide by an estimate of the deviation of the gradients, not of their size.
        maximize: go uphill.

    References:
        Hinton, "Neural networks for machine learning", lecture 6e, 2012; Graves, "Generating sequences with recurrent
        neural networks", 2013, (38) to (45), for ``centered`` and ``momentum``. There ε is under the root, and γ inside
        the momentum; in PyTorch's form it is outside of both, so that a change of γ acts on all of the next step.
    """

    state_numbers = ("step",)
    state_arrays = ("square_avg", "grad_avg", "momentum_buffer")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            alpha=alpha,
            eps=eps,
            weight_decay=weight_decay,
            momentum=momentum,
            centered=centered,
            maximize=maximize,
        )

    @override
    def check(self, options: Mapping[str, Any]) -> dict[str, Any]:
        return {
            **nonnegative(self, options, "lr"),
            **nonnegative(self, options, "alpha", high=1),
            **nonnegative(self, options, "eps", "weight_decay", "momentum"),
            **flags(self, options, "centered", "maximize"),
        }

    @override
    def update(self, grad: Array, state: dict[str, Any], step: Array, options: Any) -> None:
        if not state:
            state.update(step=0.0, square_avg=np.zeros_like(grad))
        state["step"] += 1

        square = state["square_avg"]
        follow_square(square, grad, options.alpha, step)
        if options.centered:
            if "grad_avg" not in state:
                state["grad_avg"] = np.zeros_like(grad)
            mean = state["grad_avg"]
            follow(mean, grad, options.alpha, step)
            np.multiply(mean, mean, step)
            np.subtract(square, step, step)
            square = np.maximum(step, 0, out=step)  # rounding can make it negative

        np.sqrt(square, step)
        step += options.eps
        np.divide(grad, step, step)
        if options.momentum:
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = np.zeros_like(grad)
            buffer = state["momentum_buffer"]
            buffer *= options.momentum
            buffer += step
            np.multiply(buffer, options.lr, step)
        else:
            step *= options.lr
