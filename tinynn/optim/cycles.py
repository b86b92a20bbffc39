"""Schedules that move the rate up and down, and the momentum against it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from typing_extensions import override

from tinynn.core.arguments import boolean, choice, number, size
from tinynn.core.optimizer import Optimizer
from tinynn.errors import ArgumentError, expects
from tinynn.optim.schedule import LRScheduler, for_each_group, its_optimizer

__all__ = ["CyclicLR", "OneCycleLR"]


class Cycle(LRScheduler):
    """What cycles rate and momentum, or β₁ where an optimizer has ``betas``."""

    each_update = True
    cycle_momentum: bool
    use_beta1: bool

    def next_momentum(self, index: int) -> float:
        """Return the momentum of a group in ``last_epoch``."""
        raise NotImplementedError

    def _numbers(self, name: str, value: Any, low: float = 0) -> list[float]:
        """Return an argument as a number for each group."""
        values = for_each_group(self, name, value, self.optimizer)
        return [number(type(self).__name__, name, value, low=low) for value in values]

    def _take_momentum(self, cycle_momentum: bool, base_momentum: Any, max_momentum: Any, last_epoch: int) -> None:
        """Set the momentum that a cycle begins with, and keep the range in the groups."""
        name = type(self).__name__
        self.cycle_momentum = boolean(name, "cycle_momentum", cycle_momentum)
        if not self.cycle_momentum:
            return
        if not {"momentum", "betas"} & set(self.optimizer.defaults):
            what = "an optimizer with momentum or betas to cycle"
            raise ArgumentError(expects(name, what, type(self.optimizer).__name__, "give cycle_momentum=False"))
        self.use_beta1 = "betas" in self.optimizer.defaults
        lows, highs = self._numbers("base_momentum", base_momentum), self._numbers("max_momentum", max_momentum)
        for index, group in enumerate(self.optimizer.param_groups if last_epoch == -1 else ()):
            self._put_momentum(index, highs[index])
            group["max_momentum"], group["base_momentum"] = highs[index], lows[index]

    def _put_momentum(self, index: int, momentum: float) -> None:
        group = self.optimizer.param_groups[index]
        if self.use_beta1:
            group["betas"] = (momentum, *group["betas"][1:])
        else:
            group["momentum"] = momentum

    @override
    def _set(self, first: bool) -> None:
        groups, known = len(self.optimizer.param_groups), len(self.base_lrs)
        if groups != known:
            what = f"the {known} groups that it began with"
            raise ArgumentError(expects(type(self).__name__, what, groups, "make a new schedule"))
        super()._set(first)
        if self.cycle_momentum:
            for index in range(len(self.optimizer.param_groups)):
                self._put_momentum(index, self.next_momentum(index))


class OneCycleLR(Cycle):
    """One wave: from max_lr / div_factor up to max_lr, and down to 1 / final_div_factor of where it began.

    The momentum goes from its maximum down to its base and up again meanwhile. `step` is called after each update. The
    last call, after the last update, goes beyond the end of the curve, as in PyTorch, but never below 0: there is no
    update for it.

    Args:
        optimizer: whose rates are set.
        max_lr: the highest rate; a number, or one for each group.
        total_steps: the length of the cycle; or
        epochs: how many epochs it has, and
        steps_per_epoch: how many updates an epoch has.
        pct_start: the share of the cycle in which the rate rises, from 0 to 1.
        anneal_strategy: ``"cos"``, along half a wave, or ``"linear"``.
        cycle_momentum: whether momentum, or β₁, goes against the rate.
        base_momentum: where it is lowest; a number, or one for each group.
        max_momentum: where it is highest; likewise.
        div_factor: what the first rate is smaller by.
        final_div_factor: what the last rate is smaller by than the first.
        three_phase: down to the first rate in as many steps as up, and only then to the last one.
        last_epoch: -1 for a new start, or the step to go on from.

    References:
        Smith and Topin, "Super-convergence: very fast training of neural networks using large learning rates", 2018,
        which is the form of three phases; two are fastai's, and PyTorch's default.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        self.optimizer = its_optimizer(self, optimizer)
        if total_steps is not None:
            self.total_steps = size("OneCycleLR", "total_steps", total_steps)
        elif epochs is None or steps_per_epoch is None:
            actual = f"epochs={epochs}, steps_per_epoch={steps_per_epoch}"
            raise ArgumentError(expects("OneCycleLR", "total_steps, or epochs and steps_per_epoch", actual))
        else:
            epochs = size("OneCycleLR", "epochs", epochs)
            self.total_steps = epochs * size("OneCycleLR", "steps_per_epoch", steps_per_epoch)
        rise = number("OneCycleLR", "pct_start", pct_start, low=0, high=1) * self.total_steps
        self._anneal_func_type = choice("OneCycleLR", "anneal_strategy", anneal_strategy, ("cos", "linear"))
        div_factor = number("OneCycleLR", "div_factor", div_factor, above=0)
        final_div_factor = number("OneCycleLR", "final_div_factor", final_div_factor, above=0)
        ways = [("initial", "max"), ("max", "min")]
        ends = [rise - 1, self.total_steps - 1]
        if boolean("OneCycleLR", "three_phase", three_phase):
            ways = [("initial", "max"), ("max", "initial"), ("initial", "min")]
            ends = [rise - 1, 2 * rise - 2, self.total_steps - 1]
        self._schedule_phases = [
            {
                "end_step": end,
                "start_lr": f"{start}_lr",
                "end_lr": f"{stop}_lr",
                "start_momentum": "base_momentum" if start == "max" else "max_momentum",
                "end_momentum": "base_momentum" if stop == "max" else "max_momentum",
            }
            for end, (start, stop) in zip(ends, ways, strict=True)
        ]
        max_lrs = self._numbers("max_lr", max_lr)
        self._take_momentum(cycle_momentum, base_momentum, max_momentum, last_epoch)
        if last_epoch == -1:
            for group, lr in zip(optimizer.param_groups, max_lrs, strict=True):
                group["initial_lr"], group["max_lr"] = lr / div_factor, lr
                group["min_lr"] = group["initial_lr"] / final_div_factor
        super().__init__(optimizer, last_epoch)

    @override
    def next_lr(self, lr: float, index: int) -> float:
        if self.last_epoch > self.total_steps:
            remedy = "total_steps counts updates: epochs * batches"
            raise ArgumentError(expects("OneCycleLR", f"at most {self.total_steps} steps", "one more", remedy))
        return max(self._between(index, "start_lr", "end_lr"), 0.0)

    @override
    def next_momentum(self, index: int) -> float:
        return self._between(index, "start_momentum", "end_momentum")

    def _between(self, index: int, start: str, end: str) -> float:
        """Return the value in this step, on the way of its phase."""
        group, begin = self.optimizer.param_groups[index], 0.0
        phases: list[dict[str, Any]] = self._schedule_phases
        for phase in phases[:-1]:
            if self.last_epoch <= phase["end_step"]:
                break
            begin = phase["end_step"]
        else:
            phase = phases[-1]
        length = phase["end_step"] - begin
        share = (self.last_epoch - begin) / length if length else 1.0
        first, last = group[phase[start]], group[phase[end]]
        if self._anneal_func_type == "cos":
            return float(last + (first - last) / 2 * (1 + math.cos(math.pi * share)))
        return float(first + (last - first) * share)


class CyclicLR(Cycle):
    """Up and down between base_lr and max_lr in straight lines, with a height that changes from cycle to cycle.

    With ``mode`` ``"triangular"`` all cycles are alike; with ``"triangular2"`` each is half as high as the one before;
    with ``"exp_range"`` the height is multiplied by ``gamma`` in each step. `step` is called after each update.

    Args:
        optimizer: whose rates are set.
        base_lr: the lowest rate; a number, or one for each group.
        max_lr: the highest rate of the first cycle; likewise.
        step_size_up: steps on the way up.
        step_size_down: steps on the way down; as many if None.
        mode: ``"triangular"``, ``"triangular2"`` or ``"exp_range"``.
        gamma: the factor of ``"exp_range"``.
        scale_fn: a function for the height instead, of the cycle, from 1, or of the step. It is not part of the state
            dict.
        scale_mode: ``"cycle"`` or ``"iterations"``: what ``scale_fn`` is given.
        cycle_momentum: whether momentum, or β₁, goes against the rate.
        base_momentum: where it is lowest; a number, or one for each group.
        max_momentum: where it is highest; likewise.
        last_epoch: -1 for a new start, or the step to go on from.

    References:
        Smith, "Cyclical learning rates for training neural networks", 2017.
    """

    functions = ("_scale_fn_custom",)

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        self.optimizer = its_optimizer(self, optimizer)
        up = size("CyclicLR", "step_size_up", step_size_up)
        down = up if step_size_down is None else size("CyclicLR", "step_size_down", step_size_down)
        self.total_size: float = float(up + down)
        self.step_ratio = up / self.total_size
        self.mode = choice("CyclicLR", "mode", mode, ("triangular", "triangular2", "exp_range"))
        self.gamma = number("CyclicLR", "gamma", gamma)
        self._scale_fn_custom = scale_fn
        self.scale_mode = choice("CyclicLR", "scale_mode", scale_mode, ("cycle", "iterations"))
        if scale_fn is None:
            self.scale_mode = "iterations" if mode == "exp_range" else "cycle"
        base_lrs, self.max_lrs = self._numbers("base_lr", base_lr), self._numbers("max_lr", max_lr)
        if cycle_momentum:
            self.base_momentums = self._numbers("base_momentum", base_momentum)
            self.max_momentums = self._numbers("max_momentum", max_momentum)
        self._take_momentum(cycle_momentum, base_momentum, max_momentum, last_epoch)
        if last_epoch == -1:
            for group, lr in zip(optimizer.param_groups, base_lrs, strict=True):
                group["lr"] = lr
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    @override
    def next_lr(self, lr: float, index: int) -> float:
        return self.base_lrs[index] + (self.max_lrs[index] - self.base_lrs[index]) * self._height()

    @override
    def next_momentum(self, index: int) -> float:
        high = self.max_momentums[index]
        return high - (high - self.base_momentums[index]) * self._height()

    def _height(self) -> float:
        """Return how far up it is, 1 being the highest point of the first cycle."""
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        share = 1 + self.last_epoch / self.total_size - cycle
        height = share / self.step_ratio if share <= self.step_ratio else (share - 1) / (self.step_ratio - 1)
        return height * self._scale(cycle if self.scale_mode == "cycle" else self.last_epoch)

    def _scale(self, count: int) -> float:
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(count)
        if self.mode == "triangular2":
            return 1 / 2.0 ** (count - 1)
        return float(self.gamma**count) if self.mode == "exp_range" else 1.0
