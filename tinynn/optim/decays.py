"""Schedules that are one formula: in steps, along a curve, or any function of the epoch."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable

from typing_extensions import override

from tinynn.core.arguments import number, size
from tinynn.core.optimizer import Optimizer
from tinynn.errors import ArgumentError, ArgumentTypeError, expects
from tinynn.optim.schedule import LRScheduler, epochs, for_each_group, its_optimizer

__all__ = [
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "ExponentialLR",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "PolynomialLR",
    "StepLR",
]


class LambdaLR(LRScheduler):
    """γ(t) = γ₀ λ(t): any function of the epoch.

    Args:
        optimizer: whose rates are set.
        lr_lambda: λ, a function of the epoch, from 0; or a list of one for each group. The state dict
            leaves it out.
        last_epoch: -1 for a new start, or the epoch to go on from.
    """

    functions = ("lr_lambdas",)

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | list[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        self.lr_lambdas = for_each_group(self, "lr_lambda", lr_lambda, its_optimizer(self, optimizer))
        for function in self.lr_lambdas:
            if not callable(function):
                raise ArgumentTypeError(expects("LambdaLR", "functions of the epoch", repr(function)))
        super().__init__(optimizer, last_epoch)

    @override
    def next_lr(self, lr: float, index: int) -> float:
        if index >= len(self.lr_lambdas):
            what = f"as many groups as there are functions, {len(self.lr_lambdas)}"
            raise ArgumentError(expects("LambdaLR", what, len(self.optimizer.param_groups), "make a new schedule"))
        factor = self.lr_lambdas[index](self.last_epoch)
        try:
            rate: float = self.base_lrs[index] * factor
        except TypeError:
            raise ArgumentTypeError(expects("LambdaLR", "a number from its function", repr(factor))) from None
        return rate


class StepLR(LRScheduler):
    """γ ↦ gamma · γ every ``step_size`` epochs.

    Args:
        optimizer: whose rates are set.
        step_size: how many epochs the rate stays, at least 1.
        gamma: the factor.
        last_epoch: -1 for a new start, or the epoch to go on from.
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.step_size = size("StepLR", "step_size", step_size)
        self.gamma = number("StepLR", "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    @override
    def next_lr(self, lr: float, index: int) -> float:
        if self.last_epoch == 0 or self.last_epoch % self.step_size:
            return lr
        return lr * self.gamma


class MultiStepLR(LRScheduler):
    """γ ↦ gamma · γ at each milestone.

    Args:
        optimizer: whose rates are set.
        milestones: epochs; one that is given twice counts twice.
        gamma: the factor.
        last_epoch: -1 for a new start, or the epoch to go on from.
    """

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones = Counter(epochs(self, milestones))
        self.gamma = number("MultiStepLR", "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    @override
    def next_lr(self, lr: float, index: int) -> float:
        return lr * self.gamma ** self.milestones.get(self.last_epoch, 0)


class ExponentialLR(LRScheduler):
    """γ ↦ gamma · γ, or γ(t) = γ₀ gammaᵗ.

    Args:
        optimizer: whose rates are set.
        gamma: the factor.
        last_epoch: -1 for a new start, or the epoch to go on from.
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = number("ExponentialLR", "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    @override
    def first_lr(self, lr: float, index: int) -> float:
        return lr

    @override
    def next_lr(self, lr: float, index: int) -> float:
        return lr * self.gamma


class LinearLR(LRScheduler):
    """γ(t) = γ₀ (a + (b - a) t / T) up to epoch T, and γ₀ b from there: a straight line, to warm up for instance.

    Args:
        optimizer: whose rates are set.
        start_factor: a, greater than 0 and at most 1.
        end_factor: b, from 0 to 1.
        total_iters: T, at least 1.
        last_epoch: -1 for a new start, or the epoch to go on from.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        self.start_factor = number("LinearLR", "start_factor", start_factor, above=0, high=1)
        self.end_factor = number("LinearLR", "end_factor", end_factor, low=0, high=1)
        self.total_iters = size("LinearLR", "total_iters", total_iters)
        super().__init__(optimizer, last_epoch)

    @override
    def first_lr(self, lr: float, index: int) -> float:
        return lr * self.start_factor if self.last_epoch == 0 else lr

    @override
    def next_lr(self, lr: float, index: int) -> float:
        if self.last_epoch > self.total_iters:
            return lr
        now, before = (
            self.start_factor * (self.total_iters - epoch) + self.end_factor * epoch
            for epoch in (self.last_epoch, self.last_epoch - 1)
        )
        return lr * now / before


class PolynomialLR(LRScheduler):
    """γ(t) = γ₀ (1 - t / T)ᵖ up to epoch T, and 0 from there.

    Args:
        optimizer: whose rates are set.
        total_iters: T, at least 1.
        power: p.
        last_epoch: -1 for a new start, or the epoch to go on from.
    """

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        self.total_iters = size("PolynomialLR", "total_iters", total_iters)
        self.power = number("PolynomialLR", "power", power, low=0)
        super().__init__(optimizer, last_epoch)

    @override
    def first_lr(self, lr: float, index: int) -> float:
        return lr

    @override
    def next_lr(self, lr: float, index: int) -> float:
        if self.last_epoch > self.total_iters:
            return lr
        now, before = (1 - epoch / self.total_iters for epoch in (self.last_epoch, self.last_epoch - 1))
        factor: float = (now / before) ** self.power
        return lr * factor


class CosineAnnealingLR(LRScheduler):
    """γ(t) = η + (γ₀ - η) (1 + cos(π t / T)) / 2: half a wave down to η in T epochs, and up again after them.

    Args:
        optimizer: whose rates are set.
        T_max: T, at least 1.
        eta_min: η, at least 0.
        last_epoch: -1 for a new start, or the epoch to go on from.

    References:
        Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017, (5), without the restarts.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:  # noqa: N803
        self.T_max = size("CosineAnnealingLR", "T_max", T_max)
        self.eta_min = number("CosineAnnealingLR", "eta_min", eta_min, low=0)
        super().__init__(optimizer, last_epoch)

    @override
    def first_lr(self, lr: float, index: int) -> float:
        return lr

    @override
    def next_lr(self, lr: float, index: int) -> float:
        if (self.last_epoch - 1 - self.T_max) % (2 * self.T_max) == 0:  # up from the lowest point
            return lr + (self.base_lrs[index] - self.eta_min) * (1 - math.cos(math.pi / self.T_max)) / 2
        now, before = (1 + math.cos(math.pi * epoch / self.T_max) for epoch in (self.last_epoch, self.last_epoch - 1))
        return self.eta_min + now / before * (lr - self.eta_min)


class CosineAnnealingWarmRestarts(LRScheduler):
    """γ(t) = η + (γ₀ - η) (1 + cos(π t' / T)) / 2, t' epochs after the last restart: half a wave, again and again.

    Args:
        optimizer: whose rates are set.
        T_0: T up to the first restart, at least 1.
        T_mult: what T is multiplied by at a restart, at least 1.
        eta_min: η, at least 0.
        last_epoch: -1 for a new start, or the epoch to go on from.

    References:
        Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017, (5).
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,  # noqa: N803
        T_mult: int = 1,  # noqa: N803
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        self.T_0 = self.T_i = size("CosineAnnealingWarmRestarts", "T_0", T_0)
        self.T_mult = size("CosineAnnealingWarmRestarts", "T_mult", T_mult)
        self.eta_min = number("CosineAnnealingWarmRestarts", "eta_min", eta_min, low=0)
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    @override
    def next_lr(self, lr: float, index: int) -> float:
        height = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return self.eta_min + (self.base_lrs[index] - self.eta_min) * height

    @override
    def _begin(self) -> None:
        self.step()

    @override
    def step(self, epoch: float | None = None) -> None:
        """Go to the next epoch, or to any: ``step(epoch + batch / batches)`` after each batch."""
        if epoch is not None:
            self._go_to(number("CosineAnnealingWarmRestarts", "epoch", epoch, low=0))
            return
        if self.last_epoch < 0:
            self._go_to(0)
            return
        self.T_cur += 1
        if self.T_cur >= self.T_i:
            self.T_cur %= self.T_i
            self.T_i *= self.T_mult
        super().step()

    def _go_to(self, epoch: float) -> None:
        self.T_i, self.T_cur = self.T_0, epoch
        while self.T_cur >= self.T_i and self.T_mult > 1:
            self.T_cur -= self.T_i
            self.T_i *= self.T_mult
        self.T_cur %= self.T_i
        self.last_epoch = math.floor(epoch)
        self._set(first=False)
