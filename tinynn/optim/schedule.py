"""The base class of schedules: what changes the rates of an optimizer from epoch to epoch."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterable, Mapping
from copy import deepcopy
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from tinynn.core.arguments import contents, integer, number
from tinynn.core.groups import SCHEDULED
from tinynn.core.optimizer import Optimizer
from tinynn.errors import ArgumentError, ArgumentTypeError, StateError, expects

__all__ = ["LRScheduler", "epochs", "for_each_group", "its_optimizer"]

PER_GROUP = ("base_lrs", "_last_lr", "max_lrs", "min_lrs", "base_momentums", "max_momentums")
"""What a state has a number of for each group."""


class LRScheduler:
    """Sets the rates of an optimizer, each time that `step` is called: after every epoch, or after every update.

    A subclass is a formula, `next_lr`. Most of them give the next rate from the present one, as PyTorch's do. So
    several schedules may act on one optimizer, and ``optimizer.param_groups[0]["lr"] = 0.1`` between two epochs holds
    from there on. The rate of the beginning is kept in each group, as ``"initial_lr"``; all schedules of an optimizer
    agree on it.

    Attributes:
        optimizer: whose rates are set.
        base_lrs: the rate of each group at the beginning.
        last_epoch: how often `step` was called.

    Args:
        optimizer: an `Optimizer`.
        last_epoch: -1 for a new start; or the epoch to go on from, for groups that have an ``"initial_lr"``.
    """

    functions: ClassVar[tuple[str, ...]] = ()
    """The attributes that are functions, and are no part of the state."""

    each_update: bool = False
    """Whether `step` is meant to be called after each update of the optimizer, as for cycles, and not after each epoch.
    It may be set on an object, and is no part of the state."""

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        name = type(self).__name__
        self.optimizer = its_optimizer(self, optimizer)
        self.last_epoch = integer(name, "last_epoch", last_epoch, low=-1)
        for index, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                what = f"an 'initial_lr' in param_groups[{index}] to go on from epoch {last_epoch}"
                raise ArgumentError(expects(name, what, "none", "load the optimizer's state first"))
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self._begin()

    def next_lr(self, lr: float, index: int) -> float:
        """Return the rate in ``last_epoch``.

        Args:
            lr: the rate so far.
            index: which group it is, for ``base_lrs[index]``.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no next_lr")

    def first_lr(self, lr: float, index: int) -> float:
        """Return the rate that a schedule begins with, where ``next_lr`` needs one before it."""
        return self.next_lr(lr, index)

    def step(self) -> None:
        """Go to the next epoch.

        Raises:
            ArgumentError: if a rate there would not be a finite number of at least 0; nothing has changed then.
        """
        self.last_epoch += 1
        try:
            self._set(first=False)
        except BaseException:
            self.last_epoch -= 1
            raise

    def get_last_lr(self) -> list[float]:
        """Return the rate of each group that was set last."""
        return list(self._last_lr)

    def _begin(self) -> None:
        """Set the first rates."""
        self.last_epoch += 1
        self._set(first=True)

    def _begin_late(self) -> None:
        """Set the first rates, at a milestone, whatever the rates are there."""
        self.last_epoch = 0
        for group, base_lr in zip(self.optimizer.param_groups, self.base_lrs, strict=False):
            group["lr"] = base_lr
        self._set(first=True)

    def _undo(self) -> None:
        """Go back before the first epoch."""
        self.last_epoch -= 1

    def _set(self, first: bool) -> None:
        name, rule = type(self).__name__, self.first_lr if first else self.next_lr
        groups = self.optimizer.param_groups
        for group in groups[len(self.base_lrs) :]:  # added since
            self.base_lrs.append(group.setdefault("initial_lr", group["lr"]))
        rates = [number(name, "rate", rule(group["lr"], index), low=0) for index, group in enumerate(groups)]
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = rate
        self._last_lr = rates

    @override
    def __repr__(self) -> str:
        """Return the arguments as they hold now, in attributes or in groups; what is kept in neither is left out."""
        groups = self.optimizer.param_groups
        kept = {f"{name}s": [group.get(name) for group in groups] for name in SCHEDULED if name in groups[0]}
        values = {**kept, **{name.lstrip("_"): value for name, value in vars(self).items()}}
        texts = [
            f"{argument}={values[name]!r}"
            for argument in inspect.signature(type(self)).parameters
            for name in (argument, f"{argument}s")
            if argument not in {"optimizer", "last_epoch"} and name in values
        ]
        return f"{type(self).__name__}({', '.join(texts)})"

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of what the schedule goes on from: all but the optimizer and functions."""
        return deepcopy(self._state())

    def _state(self) -> dict[str, Any]:
        left_out = {"optimizer", "each_update", *self.functions}
        return {name: value for name, value in vars(self).items() if name not in left_out}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned, or PyTorch's; the optimizer's state has to be loaded as well.

        Raises:
            StateError: if something is missing, not known, or of another kind; nothing has changed then.
        """
        self._take(self._fitted(state_dict))

    def _fitted(self, state_dict: Mapping[str, Any]) -> dict[str, Any]:
        """Return a copy of what a state dict has for this schedule; what PyTorch's has beyond it starts with _."""
        name, own = type(self).__name__, self._state()
        if not isinstance(state_dict, Mapping):
            raise StateError(expects(name, "a state dict", contents(state_dict)))
        unknown = [
            key for key in state_dict if key not in own and key not in self.functions and not key.startswith("_")
        ]
        if missing := [key for key in own if key not in state_dict]:
            raise StateError(expects(name, f"a state with {', '.join(own)}", f"none of {', '.join(missing)}"))
        if unknown:
            raise StateError(expects(name, f"a state with {', '.join(own)}", ", ".join(unknown)))
        groups = len(self.optimizer.param_groups)
        for key, value in own.items():
            if not alike(value, state_dict[key]):
                raise StateError(expects(name, f"{key} like {value!r}", repr(state_dict[key])))
            if key in PER_GROUP and len(state_dict[key]) != groups:
                raise StateError(expects(name, f"{key} of {groups} groups", f"of {len(state_dict[key])}"))
        return {key: deepcopy(state_dict[key]) for key in own}

    def _take(self, state: dict[str, Any]) -> None:
        """Go on from a state that fits."""
        vars(self).update(state)


def alike(own: Any, value: Any) -> bool:
    """Return whether a value of a state dict is of the kind of the one that is there now."""
    if isinstance(own, Counter):
        return isinstance(value, Mapping) and all(alike(0, number) for pair in value.items() for number in pair)
    if isinstance(own, dict):
        return isinstance(value, Mapping) and own.keys() == value.keys() and all(alike(own[k], value[k]) for k in own)
    if isinstance(own, list):
        return isinstance(value, (list, tuple)) and all(alike(first, item) for first in own[:1] for item in value)
    if isinstance(own, (bool, str)):
        return type(value) is type(own)
    return not isinstance(own, Real) or (isinstance(value, Real) and not isinstance(value, bool))


def its_optimizer(schedule: LRScheduler, optimizer: Any) -> Optimizer:
    """Return the optimizer that a schedule was given."""
    if not isinstance(optimizer, Optimizer):
        raise ArgumentTypeError(expects(type(schedule).__name__, "an Optimizer", f"a {type(optimizer).__name__}"))
    return optimizer


def for_each_group(schedule: LRScheduler, name: str, value: Any, optimizer: Optimizer) -> list[Any]:
    """Return an argument as a list: one for all groups, or one for each."""
    count = len(optimizer.param_groups)
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, (list, tuple)):
        return [value] * count
    if len(value) != count:
        what = f"{name} to be one for all groups, or {count}, one for each"
        raise ArgumentError(expects(type(schedule).__name__, what, f"{len(value)} of them"))
    return list(value)


def epochs(schedule: LRScheduler, milestones: Any) -> list[int]:
    """Return milestones as integers."""
    name = type(schedule).__name__
    if not isinstance(milestones, Iterable):
        raise ArgumentTypeError(expects(name, "milestones to be several epochs", repr(milestones)))
    return [integer(name, "each milestone", epoch, low=0) for epoch in milestones]
