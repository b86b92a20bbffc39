"""Schedules made of schedules: one after the other, and all at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import Any

from typing_extensions import override

from tinynn.core.arguments import integer
from tinynn.core.optimizer import Optimizer
from tinynn.errors import ArgumentError, ArgumentTypeError, StateError, expects
from tinynn.optim.plateau import ReduceLROnPlateau
from tinynn.optim.schedule import LRScheduler, epochs, its_optimizer

__all__ = ["ChainedScheduler", "SequentialLR"]


class Combined(LRScheduler):
    """Schedules of one optimizer, with a state that is all of theirs."""

    functions = ("_schedulers",)
    _schedulers: list[LRScheduler]

    def _checked(self, schedulers: Iterable[LRScheduler], optimizer: Optimizer | None) -> list[LRScheduler]:
        name = type(self).__name__
        own = list(schedulers) if isinstance(schedulers, Iterable) else [schedulers]
        if not own:
            raise ArgumentError(expects(name, "at least one schedule", "none"))
        for scheduler in own:
            if not isinstance(scheduler, LRScheduler) or isinstance(scheduler, ReduceLROnPlateau):
                what = "schedules whose step takes no number"
                raise ArgumentTypeError(expects(name, what, f"a {type(scheduler).__name__}"))
            if scheduler.optimizer is not (own[0].optimizer if optimizer is None else optimizer):
                actual = f"a {type(scheduler).__name__} of another"
                raise ArgumentError(expects(name, "schedules of one optimizer", actual))
        self.each_update = any(scheduler.each_update for scheduler in own)
        return own

    @override
    def _undo(self) -> None:
        for scheduler in self._schedulers:
            scheduler._undo()

    @override
    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "_schedulers": [scheduler.state_dict() for scheduler in self._schedulers]}

    @override
    def _fitted(self, state_dict: Mapping[str, Any]) -> dict[str, Any]:
        fitted, states = super()._fitted(state_dict), state_dict.get("_schedulers")
        if not isinstance(states, list) or len(states) != len(self._schedulers):
            what = f"the states of {len(self._schedulers)} schedules"
            actual = len(states) if isinstance(states, list) else repr(states)
            raise StateError(expects(type(self).__name__, what, actual))
        pairs = zip(self._schedulers, states, strict=True)
        return {**fitted, "_schedulers": [scheduler._fitted(state) for scheduler, state in pairs]}

    @override
    def _take(self, state: dict[str, Any]) -> None:
        for scheduler, inner in zip(self._schedulers, state.pop("_schedulers"), strict=True):
            scheduler._take(inner)
        super()._take(state)


class SequentialLR(Combined):
    """One schedule after the other: each begins at a milestone, from the rate of the beginning.

    Args:
        optimizer: whose rates are set.
        schedulers: schedules of that optimizer.
        milestones: the epochs at which the second and those after it begin.
        last_epoch: -1.
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: list[LRScheduler], milestones: list[int], last_epoch: int = -1
    ) -> None:
        self.optimizer = its_optimizer(self, optimizer)
        self._schedulers = self._checked(schedulers, optimizer)
        self._milestones = epochs(self, milestones)
        if len(self._milestones) != len(self._schedulers) - 1:
            what = f"{len(self._schedulers) - 1} milestones for {len(self._schedulers)} schedules"
            raise ArgumentError(expects("SequentialLR", what, len(self._milestones)))
        if self._milestones != sorted(self._milestones):
            raise ArgumentError(expects("SequentialLR", "milestones in ascending order", self._milestones))
        last_epoch = integer("SequentialLR", "last_epoch", last_epoch, low=-1)
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        self.last_epoch = 0
        self._undo()
        self._begin()
        self.last_epoch += last_epoch + 1

    def _present(self) -> LRScheduler:
        return self._schedulers[bisect_right(self._milestones, self.last_epoch)]

    @override
    def _undo(self) -> None:
        super()._undo()
        self.last_epoch -= 1

    @override
    def _begin_late(self) -> None:
        self.last_epoch = 0
        self._present()._begin_late()
        self._last_lr = self._present().get_last_lr()

    @override
    def _set(self, first: bool) -> None:
        present = self._present()
        if first:
            present._begin()
        elif self.last_epoch in self._milestones:
            present._begin_late()
        else:
            present.step()
        self._last_lr = present.get_last_lr()

    @override
    def _fitted(self, state_dict: Mapping[str, Any]) -> dict[str, Any]:
        fitted = super()._fitted(state_dict)
        expected, actual = len(self._milestones), len(fitted["_milestones"])
        if actual != expected:
            raise StateError(expects("SequentialLR", f"{expected} milestones", actual))
        return fitted


class ChainedScheduler(Combined):
    """Several schedules at once: each changes the rate that the one before it has left.

    Args:
        schedulers: schedules of one optimizer.
        optimizer: that optimizer; by default that of the first schedule.
    """

    def __init__(self, schedulers: list[LRScheduler], optimizer: Optimizer | None = None) -> None:
        self._schedulers = self._checked(schedulers, optimizer)
        self.optimizer = self._schedulers[0].optimizer
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    @override
    def _begin(self) -> None:
        for scheduler in self._schedulers:
            scheduler._begin()
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    @override
    def step(self) -> None:
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]
