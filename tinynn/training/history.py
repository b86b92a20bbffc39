"""What training has reached, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator, KeysView, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from typing_extensions import override

from tinynn.core.extras import import_extra
from tinynn.errors import StateError, expects

__all__ = ["History"]


class History:
    """Numbers of each epoch under Keras's names: ``loss``, ``val_loss``, metrics, ``val_`` metrics and ``lr``.

    Every name has one number for each epoch: NaN for epochs in which it was not measured.

    Attributes:
        history: lists of numbers by name; ``history["loss"]`` is the same as ``history.history["loss"]``.
        interrupted: whether training was ended by Ctrl-C.

    Example:
        >>> history = nn.History()
        >>> history.append({"loss": 0.5, "lr": 0.1})
        >>> history.append({"loss": 0.25, "lr": 0.1})
        >>> history["loss"], len(history)
        ([0.5, 0.25], 2)
    """

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {}
        self.interrupted = False

    def __len__(self) -> int:
        """The number of epochs."""
        return max(map(len, self.history.values()), default=0)

    def __getitem__(self, name: str) -> list[float]:
        if name not in self.history:
            raise KeyError(f"{name!r}: there are {', '.join(self.history) or 'no epochs'}")
        return self.history[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.history)

    def keys(self) -> KeysView[str]:
        """The names."""
        return self.history.keys()

    def __contains__(self, name: object) -> bool:
        return name in self.history

    def append(self, results: Mapping[str, float]) -> None:
        """Add the numbers of an epoch."""
        epochs = len(self)
        for name in {**self.history, **results}:
            values = self.history.setdefault(name, [math.nan] * epochs)
            values.append(float(results.get(name, math.nan)))

    # As a state, and as files

    def state_dict(self) -> dict[str, list[float]]:
        """Return a copy of the numbers by name."""
        return {name: list(values) for name, values in self.history.items()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned.

        Raises:
            StateError: if it is something else; nothing has changed then.
        """
        try:
            history = {name: [float(value) for value in values] for name, values in state_dict.items()}
        except (AttributeError, TypeError, ValueError):
            raise StateError(expects("History", "lists of numbers by name", repr(state_dict))) from None
        if len({len(values) for values in history.values()}) > 1:
            lengths = ", ".join(f"{name}: {len(values)}" for name, values in history.items())
            raise StateError(expects("History", "one number for each epoch under every name", lengths))
        self.history = history

    def to_json(self, path: str | PathLike[str]) -> None:
        """Write the numbers by name as JSON; NaN and infinities as Python's json does."""
        import json

        with Path(path).open("w", encoding="utf-8") as file:
            json.dump(self.history, file, indent=1)

    @classmethod
    def from_json(cls, path: str | PathLike[str]) -> History:
        """Return the history that `to_json` has written.

        Raises:
            StateError: if the file holds something else.
        """
        import json

        history = cls()
        with Path(path).open(encoding="utf-8") as file:
            try:
                history.load_state_dict(json.load(file))
            except ValueError as error:
                raise StateError(expects("History", f"a history in {path}", str(error))) from None
        return history

    def to_csv(self, path: str | PathLike[str]) -> None:
        """Write a table with a row for each epoch, counted from 1, and a column for each name."""
        import csv

        with Path(path).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["epoch", *self.history])
            writer.writerows([epoch, *row] for epoch, row in enumerate(zip(*self.history.values(), strict=True), 1))

    def plot(self) -> Any:
        """Return a figure of matplotlib's with a curve for each name, that of validation beside that of training.

        Raises:
            MissingExtraError: if matplotlib is not installed.
        """
        pyplot = import_extra("History.plot", "matplotlib", "matplotlib.pyplot", "plot")
        names = list(dict.fromkeys(name.removeprefix("val_") for name in self.history))
        figure, axes = pyplot.subplots(1, max(len(names), 1), figsize=(4 * max(len(names), 1), 3), squeeze=False)
        for name, axis in zip(names, axes[0], strict=False):
            for key, label in ((name, "training"), (f"val_{name}", "validation")):
                if key in self.history:
                    axis.plot(range(1, len(self) + 1), self.history[key], label=label)
            axis.set(title=name, xlabel="epoch")
            if f"val_{name}" in self.history:
                axis.legend()
        figure.tight_layout()
        return figure

    @override
    def __repr__(self) -> str:
        return f"<{len(self)} epochs of {', '.join(self.history) or 'nothing'}>"
