"""The loop over epochs and batches, with what belongs to it: validation, schedules, progress, stopping, going on."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from os import PathLike
from typing import Any, SupportsFloat

import numpy as np
from typing_extensions import override

from tinynn.core.arguments import integer, number, size
from tinynn.core.discovery import generators
from tinynn.core.layer import Layer
from tinynn.core.loss import Loss
from tinynn.core.optimizer import Optimizer
from tinynn.core.parameter import Buffer, Parameter
from tinynn.core.passes import no_grad
from tinynn.data import ArrayDataset, DataLoader
from tinynn.errors import ArgumentError, ArgumentTypeError, NonFiniteError, ShapeError, StateError, TinynnError, expects
from tinynn.optim.clipping import clip_grad_norm_
from tinynn.optim.plateau import ReduceLROnPlateau
from tinynn.optim.schedule import LRScheduler
from tinynn.training.callbacks import HOOKS, Callback, hooks_in_order
from tinynn.training.checkpoint import load_checkpoint
from tinynn.training.given import (
    BATCH_SIZE,
    Metric,
    a_kind,
    as_batch,
    as_callbacks,
    as_loader,
    as_metrics,
    as_validation,
)
from tinynn.training.going_on import check_generators, matched, put_generators
from tinynn.training.history import History
from tinynn.training.interrupt import first_interrupt
from tinynn.training.means import Means
from tinynn.training.progress import Progress, progress_for, say
from tinynn.typing import Array, ArrayLike, Seed

__all__ = ["Trainer"]

COUNTERS = ("epoch", "batch", "global_step", "_first_epoch", "_gathered", "_gathered_samples")


class Trainer:
    """Trains a model: the plain loop, with what one would have to write around it.

    All that happens to the parameters in a step is::

        loss = loss_fn(model(x), target)
        optimizer.zero_grad()
        model.backward_parameters(loss_fn.backward())
        optimizer.step()

    Data are ``(x, y)``, a data set or a `DataLoader`, whose batches are tuples: the inputs of the model, and the target
    at the end. For a model with several inputs write ``((x1, x2), y)``. Of a model with several outputs each is a
    prediction for the loss, in the order of its arguments.

    Losses and metrics are averages over samples. That of the loss is exact for a loss whose reduction is ``"mean"`` or
    ``"half"`` over the samples of a batch; with ``"sum"`` it is the sum over all samples by their number.

    Attributes:
        epoch: how many epochs are done.
        batch: how many batches of the running epoch are done; 0 between epochs.
        global_step: how many updates of the parameters were made.
        loss: the loss of the latest batch.
        history: the numbers of all epochs.
        loader: the batches of the present `fit`, or of the latest.
        callbacks: likewise.
        resumed: whether the present `fit` goes on with a run that was stopped.

    Args:
        model: what is trained.
        loss_fn: a loss that is one number for a batch.
        optimizer: what updates the parameters of the model.
        metrics: functions of prediction and target that return the mean of something over a batch, by name; or a list
            of functions, which have names.
        scheduler: changes the rates after each epoch, or after each update where its `LRScheduler.each_update` is true,
            as for `OneCycleLR` and `CyclicLR`. `ReduceLROnPlateau` is given ``val_loss``, or ``loss`` without
            validation.
        clip_norm: the largest norm of all gradients together; larger ones are made smaller, by `clip_grad_norm_`.
        accumulate: how many batches make up one update, which is that of one batch as large as all of them. What is
            left at the end of an epoch makes up one, too.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(100, 3))
        >>> model = nn.Linear(3, 1, rng=rng)
        >>> trainer = nn.Trainer(model, nn.MSELoss(), nn.SGD(model.parameters(), lr=0.1))
        >>> history = trainer.fit((x, x @ [[1.0], [2.0], [3.0]]), epochs=20, rng=rng, progress=False)
        >>> model.weight.data.round(2)
        array([[1., 2., 3.]])
    """

    def __init__(
        self,
        model: Layer,
        loss_fn: Loss,
        optimizer: Optimizer,
        *,
        metrics: Mapping[str, Metric] | Iterable[Metric] | None = None,
        scheduler: LRScheduler | None = None,
        clip_norm: float | None = None,
        accumulate: int = 1,
    ) -> None:
        for argument, value, kind in (("model", model, Layer), ("loss_fn", loss_fn, Loss)):
            if not isinstance(value, kind):
                raise ArgumentTypeError(expects("Trainer", f"{argument} to be a {kind.__name__}", a_kind(value)))
        if not isinstance(optimizer, Optimizer):
            raise ArgumentTypeError(expects("Trainer", "optimizer to be an Optimizer", a_kind(optimizer)))
        if loss_fn.reduction == "none":
            raise ArgumentError(expects("Trainer", "a loss that is one number for a batch", "reduction='none'"))
        if scheduler is not None and not isinstance(scheduler, LRScheduler):
            raise ArgumentTypeError(expects("Trainer", "scheduler to be a schedule or None", a_kind(scheduler)))
        if scheduler is not None and scheduler.optimizer is not optimizer:
            raise ArgumentError(expects("Trainer", "a scheduler of its optimizer", "one of another"))
        trained = {parameter for group in optimizer.param_groups for parameter in group["params"]}
        if trained.isdisjoint([*model.parameters(), *loss_fn.parameters()]):
            what, remedy = "an optimizer of the model's parameters", "give it model.parameters()"
            raise ArgumentError(expects("Trainer", what, "one of others only", remedy))
        self.model = model
        self.loss_fn = loss_fn
        self.optimizer = optimizer
        self.metrics = as_metrics(metrics)
        self.scheduler = scheduler
        self.clip_norm = None if clip_norm is None else number("Trainer", "clip_norm", clip_norm, above=0)
        self.accumulate = size("Trainer", "accumulate", accumulate)

        self.epoch = 0
        self.batch = 0
        self.global_step = 0
        self.loss = math.nan
        self.history = History()
        self.loader: DataLoader | None = None
        self.callbacks: list[Callback] = []
        self.resumed = False

        self._validate: DataLoader | None = None
        self._first_epoch = 0  # of the present fit
        self._means = Means()  # of the running epoch
        self._lr = math.nan  # of the latest update
        self._gathered = 0  # batches whose gradients wait for an update
        self._gathered_samples = 0
        self._stopping = False
        self._loaded: Mapping[str, Any] | None = None  # a state of which fit has to take up a part
        self._hooks: dict[str, list[Callable[[Any], object]]] = {name: [] for name in HOOKS}
        self._buffers: list[tuple[Buffer, Array]] = []  # with room for what was in them before a batch

    # Training

    def fit(
        self,
        data: Any,
        epochs: int = 1,
        batch_size: int | None = None,
        *,
        validation: Any = None,
        callbacks: Iterable[Callback] = (),
        progress: bool | None = None,
        rng: Seed = None,
        resume: str | PathLike[str] | None = None,
    ) -> History:
        """Train for some epochs, and return the history, which is that of all epochs so far.

        The first Ctrl-C ends training after the current step, with ``history.interrupted`` set and a line that says
        so; the second is a `KeyboardInterrupt` at once. After `load_state_dict`, or with ``resume``, a stopped run goes
        on where it was, in the middle of an epoch if it has to be; ``epochs`` then counts from the beginning of that
        run. Layers are in training mode meanwhile, and afterwards in the mode in which they were.

        Args:
            data: ``(x, y)`` or a data set, of which batches are drawn in a new order for each epoch; or a `DataLoader`.
            epochs: how many.
            batch_size: samples in a batch, 32 by default; not for a loader, which has its own.
            validation: ``(x, y)``, a data set or a `DataLoader` that is evaluated after each epoch.
            callbacks: called in this order.
            progress: True for a bar, by tqdm, and False for nothing. None, the default, is a bar in a terminal or a
                notebook, if tqdm is installed, and a line for each epoch elsewhere.
            rng: where the orders come from: a generator, a seed, or None for fresh randomness; not for a loader.
            resume: the checkpoint to go on from, see `Checkpoint`; where there is none yet, training begins, and a line
                says so. A run that was done returns its history at once.

        Raises:
            ShapeError: if x and y differ in length.
            CheckpointError: if there are only damaged checkpoints.
            StateError: if a checkpoint is that of another model, optimizer, data or callbacks; nothing has changed.
            NonFiniteError: if a loss or a gradient is not finite. Parameters and buffers are as they were before that
                batch.
        """
        if isinstance(epochs, (np.ndarray, list)):
            raise ArgumentTypeError(
                expects("Trainer.fit", "data to be (x, y)", "x and y", "write fit((x, y), epochs=10)")
            )
        epochs = size("Trainer.fit", "epochs", epochs)
        loader = as_loader("Trainer.fit", data, batch_size, shuffle=True, rng=rng)
        if loader.samples is not None and not len(loader):
            raise ArgumentError(expects("Trainer.fit", "at least one batch in an epoch", loader))
        validate = None if validation is None else as_validation(validation, batch_size or loader.batch_size)
        callbacks = as_callbacks(callbacks)
        shown = progress_for("Trainer.fit", progress)
        if resume is None:
            self._begin(loader, validate, callbacks)
        else:
            with self._all_or_nothing():
                self._resume(resume)
                self._begin(loader, validate, callbacks)
        last = self._first_epoch + epochs
        with first_interrupt(self._interrupt), self._all_layers(training=True):
            try:
                self._call("on_fit_start")
                self._go_on()
                while self.epoch < last and not self._stopping:
                    self._run_epoch(loader, validate, shown, last)
                self._call("on_fit_end")
            finally:
                shown.close()
        if self.history.interrupted:
            say(f"Ctrl-C has ended training: {self.epoch} epochs and {self.batch} batches are done")
        return self.history

    def stop(self) -> None:
        """Ask `fit` to end after the current step."""
        self._stopping = True

    def step(self, x: Any, target: Any) -> float:
        """Make one update from one batch, in training mode, and return its loss.

        Args:
            x: the input; a tuple for a model that takes several.
            target: the target.

        Raises:
            NonFiniteError: if the loss or a gradient is not finite; parameters and buffers are as they were.
        """
        inputs = x if isinstance(x, tuple) else (x,)
        self._gathered = self._gathered_samples = 0
        self._watch_buffers()
        with self._all_layers(training=True):
            self._gather(inputs, target, 1)
        self._update()
        return self.loss

    def _interrupt(self) -> None:
        self.history.interrupted = True
        self.stop()

    def _resume(self, path: str | PathLike[str]) -> None:
        """Take over the state in a checkpoint, if there is one."""
        try:
            found = load_checkpoint(self, path)
        except FileNotFoundError:
            say(f"There is no checkpoint {path} yet: training begins")
        else:
            say(f"Training goes on from {found}: {self.epoch} epochs and {self.batch} batches are done")

    def _begin(self, loader: DataLoader, validate: DataLoader | None, callbacks: list[Callback]) -> None:
        """Get ready for a new run, or for the rest of one that was loaded."""
        if self._loaded is None:
            self._first_epoch = self.epoch
            self.batch = self._gathered = self._gathered_samples = 0
            self._means = Means()
        elif self._loaded["loader"] is not None:
            with _state_errors():
                self._take_up(self._loaded, loader, validate, callbacks)
        self.resumed = self._loaded is not None
        self.loader, self._validate, self.callbacks = loader, validate, callbacks
        self._hooks = {name: hooks_in_order(callbacks, name) for name in HOOKS}
        self._watch_buffers()
        self.history.interrupted = self._stopping = False

    def _take_up(
        self, loaded: Mapping[str, Any], loader: DataLoader, validate: DataLoader | None, callbacks: list[Callback]
    ) -> None:
        """Give loader and callbacks their part of a state, or change none of them."""
        states = matched(callbacks, loaded["callbacks"])
        check_generators(self._generators(loader, validate), loaded["generators"])
        own = [(callback, callback.state_dict()) for callback, _ in states]
        try:
            for callback, state in states:
                callback.load_state_dict(state)
            loader.load_state_dict(loaded["loader"])
        except BaseException:
            for callback, state in own:
                callback.load_state_dict(state)
            raise

    def _go_on(self) -> None:
        """Put all generators where they were when the run was stopped, whatever was drawn since."""
        if self._loaded is not None:
            put_generators(self._generators(self.loader, self._validate), self._loaded["generators"])
            self._loaded = None

    def _run_epoch(self, loader: DataLoader, validate: DataLoader | None, shown: Progress, last: int) -> None:
        """Train for an epoch, or the rest of one, unless it is stopped on the way."""
        title = f"Epoch {self.epoch + 1}/{last}"
        if self.batch == 0:
            self._call("on_epoch_start")
        if self._stopping:
            return
        shown.begin(title, None if loader.samples is None else len(loader), self.batch)
        for batch in loader if loader.batch or not self.batch else ():  # or it was stopped after the last one
            self._run_batch(batch)
            shown.advance(self.loss)
            if self._stopping and not self._gathered:
                return
        if self._gathered:
            self._update()
            self._call("on_step_end")
        self._end_epoch(validate)
        shown.end(title, {name: values[-1] for name, values in self.history.history.items()})
        self._call("on_epoch_end")

    def _run_batch(self, batch: Any) -> None:
        """Train on a batch, and make an update if enough of them have come together."""
        inputs, target = as_batch(batch)
        samples = len(inputs[0])
        prediction = self._gather(inputs, target, samples)
        self._measure(self._means, prediction, target, self.loss, samples)
        self.batch += 1
        if self._gathered == self.accumulate:
            self._update()
            self._call("on_step_end")
        self._call("on_batch_end")

    def _end_epoch(self, validate: DataLoader | None) -> None:
        """Count the epoch, write down what it has reached, and change the rates."""
        if self.batch == 0:
            remedy = "a generator can be gone through only once: make it a list"
            raise ArgumentError(expects("Trainer.fit", "at least one batch in an epoch", "none", remedy))
        results = self._means.means()
        if validate is not None:
            results.update((f"val_{name}", value) for name, value in self._evaluate(validate).items())
        self.history.append({**results, "lr": self._lr})
        if self.scheduler is not None and not self.scheduler.each_update:
            if isinstance(self.scheduler, ReduceLROnPlateau):
                self.scheduler.step(results.get("val_loss", results["loss"]))
            else:
                self.scheduler.step()
        self.epoch += 1
        self.batch = 0
        self._means = Means()

    def _gather(self, inputs: tuple[Any, ...], target: Any, samples: int) -> Any:
        """Add the gradients of a batch to those that wait, and return the prediction."""
        for buffer, room in self._buffers:
            np.copyto(room, buffer.data)
        try:
            prediction = self._there_and_back(inputs, target, samples)
        except BaseException as error:
            for buffer, room in self._buffers:
                buffer.data = room
            self._gathered = self._gathered_samples = 0
            if isinstance(error, NonFiniteError):
                place = f"in epoch {self.epoch + 1}, batch {self.batch + 1}, step {self.global_step + 1}"
                raise NonFiniteError(f"{error}, {place}; parameters are as they were before") from error
            raise
        self._gathered += 1
        self._gathered_samples += samples
        return prediction

    def _there_and_back(self, inputs: tuple[Any, ...], target: Any, samples: int) -> Any:
        """Go through the model and the loss and back, and return the prediction."""
        prediction = self.model(*inputs)
        self.loss = float(self.loss_fn.judge(prediction, target))
        if not math.isfinite(self.loss):
            raise NonFiniteError(expects("Trainer", "a finite loss", self.loss))
        if not self._gathered:
            self.optimizer.zero_grad()
        grads = self.loss_fn.gradients(samples) if self._weighs_batches else self.loss_fn.gradients()
        self.model.backward_parameters(*grads)
        wrong = _first_not_finite(self._parameters())
        if wrong is not None:
            names = [name for name, parameter in self.model.named_parameters() if parameter is wrong]
            what = f"a finite gradient of {names[0] if names else wrong}"
            raise NonFiniteError(expects("Trainer", what, "NaN or infinity"))
        return prediction

    def _update(self) -> None:
        """Make an update from the gradients that wait."""
        if self._weighs_batches:
            for parameter in self._parameters():
                grad = parameter.read_grad()
                grad *= 1 / self._gathered_samples
        if self.clip_norm is not None:
            clip_grad_norm_(self._parameters(), self.clip_norm)
        self._lr = self.optimizer.param_groups[0]["lr"]
        self.optimizer.step()
        self.global_step += 1
        self._gathered = self._gathered_samples = 0
        if self.scheduler is not None and self.scheduler.each_update:
            self.scheduler.step()

    @property
    def _weighs_batches(self) -> bool:
        """Whether gradients are multiplied by the size of their batch, and their sum is divided by all samples."""
        return self.accumulate > 1 and self.loss_fn.reduction != "sum"

    def _parameters(self) -> list[Parameter]:
        """Return what an update changes."""
        groups = self.optimizer.param_groups
        return [parameter for group in groups for parameter in group["params"] if parameter.requires_grad]

    def _watch_buffers(self) -> None:
        """Make room for what is in the buffers before a batch."""
        buffers = [*self.model.buffers(), *self.loss_fn.buffers()]
        self._buffers = [(buffer, np.empty_like(buffer.data)) for buffer in buffers]

    def _call(self, name: str) -> None:
        for hook in self._hooks[name]:
            hook(self)

    @contextmanager
    def _all_layers(self, *, training: bool) -> Generator[None]:
        """A context in which all layers are in one mode; each is in its own again afterwards."""
        modes = [(layer, layer.training) for _, layer in self.model.named_layers()]
        try:
            self.model.train(training)
            yield
        finally:
            for layer, mode in modes:
                layer.training = mode

    # Using it

    def evaluate(self, data: Any, batch_size: int | None = None) -> dict[str, float]:
        """Return the loss and the metrics by name, averages over all samples, in evaluation mode.

        Args:
            data: ``(x, y)``, a data set or a `DataLoader`.
            batch_size: samples in a batch, 32 by default; not for a loader, which has its own.
        """
        return self._evaluate(as_loader("Trainer.evaluate", data, batch_size))

    def predict(self, x: ArrayLike | tuple[ArrayLike, ...], batch_size: int = BATCH_SIZE) -> Any:
        """Return the output of the model for all samples, in evaluation mode; a tuple where it returns several.

        Args:
            x: the inputs; a tuple for a model that takes several.
            batch_size: samples in a batch.
        """
        inputs = ArrayDataset(*(x if isinstance(x, tuple) else (x,)))
        with self._all_layers(training=False), no_grad():
            outputs = [self.model(*batch) for batch in DataLoader(inputs, batch_size)] or [self.model(*inputs[:0])]
        if isinstance(outputs[0], tuple):
            return tuple(np.concatenate(parts) for parts in zip(*outputs, strict=True))
        return np.concatenate(outputs)

    def _evaluate(self, loader: DataLoader) -> dict[str, float]:
        means = Means()
        with self._all_layers(training=False), no_grad():
            for batch in loader.apart():  # it may be the one that training is in the middle of
                inputs, target = as_batch(batch)
                prediction = self.model(*inputs)
                self._measure(means, prediction, target, float(self.loss_fn.judge(prediction, target)), len(inputs[0]))
        if not means.samples:
            raise ArgumentError(expects("Trainer.evaluate", "at least one sample", "none"))
        return means.means()

    def _measure(self, means: Means, prediction: Any, target: Any, loss: float, samples: int) -> None:
        """Add loss and metrics of a batch to the means."""
        means.samples += samples
        means.add("loss", loss if self.loss_fn.reduction == "sum" else loss * samples)
        if self.metrics:
            with no_grad():
                for name, metric in self.metrics.items():
                    value = metric(prediction, target)
                    what = f"metric {name!r} to return a number"
                    if np.ndim(value):
                        raise ShapeError(expects("Trainer", what, f"an array of shape {np.shape(value)}"))
                    if not isinstance(value, SupportsFloat):
                        raise ArgumentTypeError(expects("Trainer", what, a_kind(value)))
                    means.add(name, float(value) * samples)

    # Stopping and going on

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of everything that a stopped run needs to go on as if it had not been stopped.

        That is model, loss, optimizer, schedule, callbacks, history, counters, the sums of the running epoch, gradients
        that wait for an update, where the loader is, and the state of each random generator in layers and loaders.
        """
        loader, callbacks, states = self.loader, self.callbacks, self._generators(self.loader, self._validate)
        waiting = self._parameters() if self._gathered else []
        state = {
            "model": self.model.state_dict(),
            "loss_fn": self.loss_fn.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            **{name.removeprefix("_"): getattr(self, name) for name in COUNTERS},
            "lr": self._lr,
            "means": self._means.state_dict(),
            "history": self.history.state_dict(),
            "gradients": [parameter.read_grad().copy() for parameter in waiting],
            "loader": None if loader is None else loader.state_dict(),
            "callbacks": [[type(callback).__name__, callback.state_dict()] for callback in callbacks],
            "generators": [copy.deepcopy(generator.bit_generator.state) for generator in states],
        }
        if self._loaded is not None:
            state.update(copy.deepcopy(self._loaded))
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned, of a trainer built alike; the next `fit` goes on from there.

        Callbacks and the loader, which `fit` is given, take up their part then.

        Raises:
            StateError: if it does not fit; nothing has changed then.
        """
        with self._all_or_nothing() as own, _state_errors():
            if not isinstance(state_dict, Mapping) or set(state_dict) != set(own):
                given = ", ".join(map(str, state_dict)) if isinstance(state_dict, Mapping) else repr(state_dict)
                raise StateError(expects("Trainer", f"a state with {', '.join(own)}", given))
            self._load(state_dict)

    @contextmanager
    def _all_or_nothing(self) -> Generator[dict[str, Any]]:
        """A context after whose failure the trainer is as it was; it gives the state that it was in."""
        own, loaded = self.state_dict(), self._loaded
        try:
            yield own
        except BaseException:
            self._load(own)
            self._loaded = loaded
            raise

    def _load(self, state: Mapping[str, Any]) -> None:
        if (state["scheduler"] is None) != (self.scheduler is None):
            scheduler = "no scheduler" if self.scheduler is None else f"a {type(self.scheduler).__name__}"
            raise StateError(expects("Trainer", f"the state of a trainer with {scheduler}", "another"))
        own = self._generators()
        check_generators(own, state["generators"][: len(own)])
        self.model.load_state_dict(state["model"])
        self.loss_fn.load_state_dict(state["loss_fn"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        self.history.load_state_dict(state["history"])
        for name in COUNTERS:
            setattr(self, name, integer("Trainer", name, state[name.removeprefix("_")], low=0))
        self._lr = float(state["lr"])
        self._means.load_state_dict(state["means"])
        waiting = self._parameters() if self._gathered else []
        for parameter, gradient in zip(waiting, state["gradients"], strict=True):
            parameter.grad = gradient
        put_generators(own, state["generators"])
        self._loaded = copy.deepcopy({name: state[name] for name in ("loader", "callbacks", "generators")})

    def _generators(self, *loaders: DataLoader | None) -> list[np.random.Generator]:
        """Return each generator that training draws from once, those of layers first."""
        found = [*generators(self.model), *generators(self.loss_fn)]
        found += [generator for loader in loaders if loader is not None for generator in loader.generators()]
        return list({id(generator): generator for generator in found}.values())

    @override
    def __repr__(self) -> str:
        parts = (self.model, self.loss_fn, self.optimizer)
        return f"Trainer({', '.join(type(part).__name__ for part in parts)})"


@np.errstate(over="ignore", invalid="ignore")
def _first_not_finite(parameters: list[Parameter]) -> Parameter | None:
    """Return the first of the parameters whose gradient has a NaN or an infinity in it.

    A product with itself is a quick look. Where that is not finite, large numbers may have overflowed, and each is
    looked at.
    """
    for parameter in parameters:
        flat = parameter.read_grad().reshape(-1)
        if not math.isfinite(flat.dot(flat)) and not np.isfinite(flat).all():
            return parameter
    return None


@contextmanager
def _state_errors() -> Generator[None]:
    """A context in which a state is taken up: whatever is wrong with it is a StateError."""
    try:
        yield
    except TinynnError:
        raise
    except Exception as error:
        raise StateError(expects("Trainer", "a state that it can go on from", repr(error))) from error
