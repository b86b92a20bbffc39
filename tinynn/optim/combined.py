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
from tinynn.optim.schedule import LRScheduler, its_optimizer

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
    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        own = self._fitted(state_dict)
        if len(own["_schedulers"]) != len(self._schedulers):
            what = f"the state of {len(self._schedulers)} schedules"
            raise StateError(expects(type(self).__name__, what, f"of {len(own['_schedulers'])}"))
        pairs = list(zip(self._schedulers, own.pop("_schedulers"), strict=True))
        for scheduler, state in pairs:
            scheduler._fitted(state)
        for scheduler, state in pairs:
            scheduler.load_state_dict(state)
        vars(self).update(own)


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
        self._milestones = [integer("SequentialLR", "each milestone", epoch, low=0) for epoch in milestones]
        if len(self._milestones) != len(self._schedulers) - 1:
            what = f"{len(self._schedulers) - 1} milestones for {len(self._schedulers)} schedules"
            raise ArgumentError(expects("SequentialLR", what, len(self._milestones)))
        self.last_epoch = integer("SequentialLR", "last_epoch", last_epoch, low=-1) + 1
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        self._undo()
        self._present()._begin()
        self._last_lr = self._present().get_last_lr()

    def _present(self) -> LRScheduler:
        return self._schedulers[bisect_right(self._milestones, self.last_epoch)]

    @override
    def _begin(self) -> None:
        self.last_epoch = 0
        self._schedulers[0]._begin()
        self._last_lr = self._schedulers[0].get_last_lr()

    @override
    def _begin_late(self) -> None:
        self.last_epoch = 0
        self._schedulers[0]._begin_late()
        self._last_lr = self._schedulers[0].get_last_lr()

    @override
    def step(self) -> None:
        self.last_epoch += 1
        present = self._present()
        if self.last_epoch in self._milestones:
            present._begin_late()
        else:
            present.step()
        self._last_lr = present.get_last_lr()


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
