"""What may look on while training goes on, and take part."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from typing_extensions import override

from tinynn.core.arguments import boolean, choice, integer, number
from tinynn.core.extras import import_extra
from tinynn.errors import ArgumentError, ArgumentTypeError, StateError, expects
from tinynn.training.progress import say

__all__ = ["HOOKS", "Callback", "EarlyStopping", "LambdaCallback", "TensorBoard", "hooks_in_order"]

HOOKS = ("on_fit_start", "on_epoch_start", "on_batch_end", "on_step_end", "on_epoch_end", "on_fit_end")


class Callback:
    """Something that a trainer calls at certain moments; the base class, which does nothing.

    Each hook is given the trainer, with all that it knows: ``trainer.epoch``, ``trainer.global_step``,
    ``trainer.history``, ``trainer.model``; ``trainer.stop()`` ends training after the current step. A callback that
    has to remember something, so that a stopped run goes on as if it had not been stopped, returns it from
    `state_dict`: numbers, text, lists, dicts and arrays. Its `on_fit_start` has to forget it, unless
    ``trainer.resumed``.

    Example:
        >>> class Count(nn.Callback):
        ...     steps = 0
        ...
        ...     def on_step_end(self, trainer):
        ...         self.steps += 1
    """

    runs_last: ClassVar[bool] = False
    """Whether it is called after all others, and before them in `on_fit_end`.

    So a callback that saves the state of all sees them in their new state, and the model as training has left it, which
    others may change in the end: `EarlyStopping` puts the best weights back, with which training could not go on.
    """

    def on_fit_start(self, trainer: Any) -> None:
        """Called once before training, when the state of a stopped run is loaded."""

    def on_epoch_start(self, trainer: Any) -> None:
        """Called before the first batch of an epoch; not where a run goes on in the middle of one."""

    def on_batch_end(self, trainer: Any) -> None:
        """Called after each batch, and after the step if there was one; ``trainer.loss`` is that of the batch."""

    def on_step_end(self, trainer: Any) -> None:
        """Called after each update of the parameters."""

    def on_epoch_end(self, trainer: Any) -> None:
        """Called after validation, with the epoch counted and its numbers in the history."""

    def on_fit_end(self, trainer: Any) -> None:
        """Called once after training, stopped or not; not where an error ends it."""

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of what the callback has to remember."""
        return {}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned."""


def hooks_in_order(callbacks: list[Callback], name: str) -> list[Callable[[Any], object]]:
    """Return one hook of all callbacks in the order in which it is called."""
    if name == "on_fit_end":
        callbacks = sorted(callbacks, key=lambda callback: not callback.runs_last)
    return [hook for callback in callbacks if (hook := _hook(callback, name))]


def _hook(callback: Callback, name: str) -> Callable[[Any], object] | None:
    """Return a method of a callback, or a function in its place; None if it is the one that does nothing."""
    inherited = getattr(type(callback), name) is getattr(Callback, name) and name not in vars(callback)
    return None if inherited else getattr(callback, name)


class LambdaCallback(Callback):
    """A callback made of functions: ``LambdaCallback(on_epoch_end=lambda trainer: print(trainer.history["loss"]))``.

    Args:
        hooks: functions of the trainer, by the names of the hooks of `Callback`.

    Raises:
        ArgumentTypeError: for a name that is no hook, and for what is no function.
    """

    def __init__(self, **hooks: Callable[[Any], object]) -> None:
        for name, function in hooks.items():
            if name not in HOOKS:
                raise ArgumentTypeError(expects("LambdaCallback", f"the hooks {', '.join(HOOKS)}", name))
            if not callable(function):
                raise ArgumentTypeError(expects("LambdaCallback", f"{name} to be a function", repr(function)))
        vars(self).update(hooks)


class EarlyStopping(Callback):
    """Ends training when a number has not become better for ``patience`` epochs, and puts the best weights back.

    Arguments, defaults and rules are Keras's, but for ``restore_best_weights``, which is True here. The best weights
    are put back when training ends, be it early or not; a run that Ctrl-C has ended is left where it was.

    Attributes:
        best: the best number so far.
        best_epoch: the epoch in which it was reached, counted from 0.
        stopped_epoch: the epoch after which training was ended; 0 if it was not.
        wait: for how many epochs there was nothing better.

    Args:
        monitor: the name in the history that is watched.
        min_delta: how much better than the best a number has to be, at least.
        patience: how many epochs without anything better end the training.
        verbose: 1 to say so in a line, 0 not to.
        mode: ``"min"`` if the number is to become smaller, ``"max"`` if larger; ``"auto"`` to take it from the name,
            for a loss, an error, an accuracy.
        baseline: what has to be reached for ``wait`` to begin anew.
        restore_best_weights: whether the model gets the state back that it had in the best epoch.
        start_from_epoch: how many epochs do not count.

    Raises:
        ArgumentError: in training, if there is no such name in the history.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = True,
        start_from_epoch: int = 0,
    ) -> None:
        name = "EarlyStopping"
        if not isinstance(monitor, str):
            raise ArgumentTypeError(expects(name, "monitor to be a name in the history", repr(monitor)))
        self.monitor = monitor
        self.min_delta = abs(number(name, "min_delta", min_delta))
        self.patience = integer(name, "patience", patience, low=0)
        self.verbose = integer(name, "verbose", verbose, low=0, high=1)
        self.mode = choice(name, "mode", mode, ("auto", "min", "max"))
        if self.mode == "auto":
            self.mode = _mode_of(monitor)
        self.baseline = None if baseline is None else number(name, "baseline", baseline)
        self.restore_best_weights = boolean(name, "restore_best_weights", restore_best_weights)
        self.start_from_epoch = integer(name, "start_from_epoch", start_from_epoch, low=0)
        self._forget()

    def _forget(self) -> None:
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best: float | None = None
        self.best_weights: dict[str, Any] | None = None

    @override
    def on_fit_start(self, trainer: Any) -> None:
        if not trainer.resumed:
            self._forget()
        elif self.stopped_epoch:
            trainer.stop()

    @override
    def on_epoch_end(self, trainer: Any) -> None:
        if self.monitor not in trainer.history:
            names = ", ".join(trainer.history.history)
            validated = any(name.startswith("val_") for name in trainer.history)
            remedy = "give fit a validation" if self.monitor.startswith("val_") and not validated else ""
            raise ArgumentError(expects("EarlyStopping", f"{self.monitor!r} in the history", names, remedy))
        current, epoch = trainer.history[self.monitor][-1], trainer.epoch - 1
        if epoch < self.start_from_epoch:
            return
        self.wait += 1
        better = self._is_better(current, self.best)
        if self.restore_best_weights and (better or self.best_weights is None):
            self.best_weights, self.best_epoch = trainer.model.state_dict(), epoch
        if better:
            self.best, self.best_epoch = current, epoch
            if self._is_better(current, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            trainer.stop()
            if self.verbose:
                say(f"Epoch {epoch + 1}: {self.monitor} was best in epoch {self.best_epoch + 1}; training ends")

    @override
    def on_fit_end(self, trainer: Any) -> None:
        if self.best_weights is not None and not trainer.history.interrupted:
            trainer.model.load_state_dict(self.best_weights)

    def _is_better(self, current: float, reference: float | None) -> bool:
        if math.isnan(current):
            return False
        if reference is None:
            return True
        if self.mode == "min":
            return current + self.min_delta < reference
        return current - self.min_delta > reference

    @override
    def state_dict(self) -> dict[str, Any]:
        return {
            "wait": self.wait,
            "stopped_epoch": self.stopped_epoch,
            "best": self.best,
            "best_epoch": self.best_epoch,
            "best_weights": copy.deepcopy(self.best_weights),
        }

    @override
    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        own = self.state_dict()
        if set(state_dict) != set(own):
            raise StateError(expects("EarlyStopping", f"a state with {', '.join(own)}", ", ".join(state_dict)))
        vars(self).update(copy.deepcopy(dict(state_dict)))

    @override
    def __repr__(self) -> str:
        return f"EarlyStopping({self.monitor!r}, patience={self.patience}, mode={self.mode!r})"


def _mode_of(monitor: str) -> str:
    """Return what is better under a name, a small number or a large one."""
    if monitor.endswith(("loss", "error", "mse", "mae")):
        return "min"
    if monitor.endswith(("acc", "accuracy", "auc")):
        return "max"
    what = "a monitor of which is known whether it is to become smaller or larger"
    raise ArgumentError(expects("EarlyStopping", what, repr(monitor), "give mode='min' or mode='max'"))


class TensorBoard(Callback):
    """Writes the history for TensorBoard, a number under each name for every epoch; by tensorboardX.

    On the horizontal axis is the number of updates. Where a stopped run goes on, what was written beyond the point from
    which it goes on counts no more.

    Args:
        log_dir: the folder that TensorBoard is pointed at.
        every_steps: after how many updates the loss of the batch is written as well, as ``batch_loss``; None for never.

    Raises:
        MissingExtraError: if tensorboardX is not installed.
    """

    def __init__(self, log_dir: str = "logs", every_steps: int | None = None) -> None:
        self.log_dir = log_dir
        self.every_steps = None if every_steps is None else integer("TensorBoard", "every_steps", every_steps, low=1)
        self.writer_class = import_extra("TensorBoard", "tensorboardX", "tensorboardX", "tensorboard").SummaryWriter
        self.writer: Any = None

    @override
    def on_fit_start(self, trainer: Any) -> None:
        purge_step = trainer.global_step + 1 if trainer.resumed else None
        suffix = f".{trainer.global_step}"  # or runs that begin in the same second would share a file
        self.writer = self.writer_class(str(self.log_dir), purge_step=purge_step, filename_suffix=suffix)

    @override
    def on_step_end(self, trainer: Any) -> None:
        if self.every_steps and trainer.global_step % self.every_steps == 0:
            self.writer.add_scalar("batch_loss", trainer.loss, trainer.global_step)

    @override
    def on_epoch_end(self, trainer: Any) -> None:
        for name, values in trainer.history.history.items():
            self.writer.add_scalar(name, values[-1], trainer.global_step)
        self.writer.flush()

    @override
    def on_fit_end(self, trainer: Any) -> None:
        self.writer.close()
