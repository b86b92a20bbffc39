"""A schedule that looks at how training goes."""

from __future__ import annotations

import math
from typing import Any

from typing_extensions import override

from tinynn.core.arguments import choice, integer, number
from tinynn.core.optimizer import Optimizer
from tinynn.errors import ArgumentError, ArgumentTypeError, expects
from tinynn.optim.schedule import LRScheduler, for_each_group, its_optimizer

__all__ = ["ReduceLROnPlateau"]


class ReduceLROnPlateau(LRScheduler):
    """γ ↦ factor · γ when a number has not become better for more than ``patience`` epochs.

    `step` takes that number, a loss for instance: ``scheduler.step(loss)``.

    Args:
        optimizer: whose rates are set.
        mode: ``"min"`` if the number is to become smaller, ``"max"`` if larger.
        factor: at least 0 and below 1.
        patience: how many epochs are waited for something better.
        threshold: how much better than the best it has to be,
        threshold_mode: as a share of the best, ``"rel"``, or by itself, ``"abs"``.
        cooldown: how many epochs after a reduction do not count.
        min_lr: the lowest rate; a number, or one for each group.
        eps: the rate stays where it would change by no more than this.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        name = "ReduceLROnPlateau"
        self.optimizer = its_optimizer(self, optimizer)
        self.mode = choice(name, "mode", mode, ("min", "max"))
        self.factor = number(name, "factor", factor, low=0, below=1)
        self.patience = integer(name, "patience", patience, low=0)
        self.threshold = number(name, "threshold", threshold, low=0)
        self.threshold_mode = choice(name, "threshold_mode", threshold_mode, ("rel", "abs"))
        self.cooldown = integer(name, "cooldown", cooldown, low=0)
        lowest = for_each_group(self, "min_lr", min_lr, optimizer)
        self.min_lrs = [number(name, "min_lr", lr, low=0) for lr in lowest]
        self.default_min_lr = None if isinstance(min_lr, (list, tuple)) else self.min_lrs[0]
        self.eps = number(name, "eps", eps, low=0)
        self.best = self.mode_worse = math.inf if mode == "min" else -math.inf
        self.cooldown_counter = self.num_bad_epochs = self.last_epoch = 0
        self._last_lr = [group["lr"] for group in optimizer.param_groups]

    @override
    def step(self, metrics: Any) -> None:  # type: ignore[override]
        """Go to the next epoch, with the number that was reached in this one."""
        try:
            current = float(metrics)
        except (TypeError, ValueError):
            what = "the number that is watched, as in step(loss)"
            raise ArgumentTypeError(expects("ReduceLROnPlateau", what, repr(metrics))) from None
        groups = self.optimizer.param_groups
        if len(self.min_lrs) < len(groups):
            if self.default_min_lr is None:
                what = f"{len(self.min_lrs)} groups, one for each min_lr"
                raise ArgumentError(expects("ReduceLROnPlateau", what, len(groups), "make a new schedule"))
            self.min_lrs = [self.default_min_lr] * len(groups)
        self.last_epoch += 1
        self.num_bad_epochs += 1
        if self._is_better(current):
            self.best, self.num_bad_epochs = current, 0
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
            for group, lowest in zip(groups, self.min_lrs, strict=True):
                lr = max(group["lr"] * self.factor, lowest)
                if group["lr"] - lr > self.eps:
                    group["lr"] = lr
        self._last_lr = [group["lr"] for group in groups]

    def _is_better(self, current: float) -> bool:
        sign = -1 if self.mode == "min" else 1
        margin = sign * self.threshold
        bound = self.best * (1 + margin) if self.threshold_mode == "rel" else self.best + margin
        return sign * current > sign * bound
