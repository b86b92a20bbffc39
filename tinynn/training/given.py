"""What a user gives a trainer, taken in: metrics, data, batches, callbacks; and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tinynn.data import ArrayDataset, DataLoader
from tinynn.errors import ArgumentError, ArgumentTypeError, ShapeError, expects
from tinynn.training.callbacks import Callback
from tinynn.typing import Seed

__all__ = ["BATCH_SIZE", "Metric", "a_kind", "as_batch", "as_callbacks", "as_loader", "as_metrics", "as_validation"]

Metric = Callable[[Any, Any], Any]
BATCH_SIZE = 32


def as_metrics(metrics: Mapping[str, Metric] | Iterable[Metric] | None) -> dict[str, Metric]:
    """Return metrics by name."""
    if metrics is None:
        return {}
    if isinstance(metrics, Mapping):
        pairs = list(metrics.items())
    elif isinstance(metrics, Iterable):
        pairs = [(getattr(metric, "__name__", ""), metric) for metric in metrics]
    else:
        raise ArgumentTypeError(
            expects("Trainer", "metrics to be functions by name, or a list of them", a_kind(metrics))
        )
    for name, metric in pairs:
        if not callable(metric):
            what = "metrics to be functions of prediction and target"
            raise ArgumentTypeError(expects("Trainer", what, repr(metric)))
        if not isinstance(name, str) or name in {"", "<lambda>", "loss", "lr"} or name.startswith("val_"):
            remedy = "write metrics={'name': function}"
            raise ArgumentError(expects("Trainer", "metrics with names of their own", repr(name), remedy))
    if len({name for name, _ in pairs}) < len(pairs):
        raise ArgumentError(expects("Trainer", "metrics with different names", ", ".join(name for name, _ in pairs)))
    return dict(pairs)


def as_loader(owner: str, data: Any, batch_size: int | None, shuffle: bool = False, rng: Seed = None) -> DataLoader:
    """Return the batches of what a user gave as data."""
    if isinstance(data, DataLoader):
        for name, value in (("batch_size", batch_size), ("rng", rng)):
            if value is not None:
                raise ArgumentTypeError(expects(owner, f"no {name} beside a DataLoader", f"{name}={value!r}"))
        return data
    if isinstance(data, tuple):
        if len(data) != 2:
            remedy = "for several inputs write ((x1, x2), y)"
            raise ArgumentTypeError(expects(owner, "data to be (x, y)", f"a tuple of {len(data)}", remedy))
        x, y = data
        data = ArrayDataset(*(x if isinstance(x, tuple) else (x,)), y)
    return DataLoader(data, BATCH_SIZE if batch_size is None else batch_size, shuffle, rng=rng)


def as_validation(validation: Any, batch_size: int) -> DataLoader:
    """Return the batches of what a user gave for validation."""
    if isinstance(validation, DataLoader):
        return validation
    if isinstance(validation, (bool, int, float)):
        what = "validation to be (x, y), a data set or a DataLoader"
        raise ArgumentTypeError(expects("Trainer.fit", what, validation, "split the data before, at random"))
    return as_loader("Trainer.fit", validation, batch_size)


def as_batch(batch: Any) -> tuple[tuple[Any, ...], Any]:
    """Return the inputs and the target of a batch."""
    if not isinstance(batch, tuple) or len(batch) < 2:
        actual = f"a tuple of {len(batch)}" if isinstance(batch, tuple) else a_kind(batch)
        raise ShapeError(expects("Trainer", "batches that are tuples, (x, target)", actual))
    return batch[:-1], batch[-1]


def as_callbacks(callbacks: Iterable[Callback]) -> list[Callback]:
    """Return callbacks in the order in which they are called."""
    own = list(callbacks) if isinstance(callbacks, Iterable) else [callbacks]
    for callback in own:
        if not isinstance(callback, Callback):
            raise ArgumentTypeError(expects("Trainer.fit", "callbacks to be Callback objects", a_kind(callback)))
    return sorted(own, key=lambda callback: callback.runs_last)


def a_kind(value: Any) -> str:
    """Return what ``value`` is, for an error."""
    return f"a {type(value).__name__}"
