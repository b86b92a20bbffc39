"""Checkpoints: files from which a run that was stopped, by whatever, goes on as if it had not been."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from tinynn.core.arguments import size
from tinynn.errors import ArgumentError, ArgumentTypeError, CheckpointError, CheckpointWarning, expects
from tinynn.state import checked, load, save
from tinynn.training.callbacks import Callback

if TYPE_CHECKING:
    from os import PathLike
    from pathlib import Path

__all__ = ["Checkpoint", "latest_checkpoint", "load_checkpoint", "save_checkpoint"]

DIGITS = 8
"""How many digits of a number of updates are in a name, at least."""


class Checkpoint(Callback):
    """Saves all that a run needs to go on: every so many updates, after epochs, and when training ends.

    What is saved is ``trainer.state_dict()``, by `save`: whenever the program is stopped, by Ctrl-C, by an error, by a
    power failure, there is a whole file, and ``fit(..., resume=path)`` goes on from it, to the same result to the last
    bit. One path belongs to one run: files of an earlier run give way when a new one first saves.

    Args:
        path: the file, which ends in ``.npz``; its folder has to be there.
        every_steps: after how many updates of the parameters it is saved; None for not at all.
        every_epochs: after how many epochs it is saved; None for not at all.
        keep: how many checkpoints there are to be. 1 is the file ``path`` itself. With more, each has the number of
            updates in its name, ``run-00000120.npz`` for the path ``run.npz``, and those that are too many are removed
            when a new one is safe on the disk.

    Raises:
        ArgumentError: if it would never be saved.
        CheckpointError: in training, if it could not be saved. The one before is still there.

    Example:
        >>> model = nn.Linear(3, 1)
        >>> trainer = nn.Trainer(model, nn.MSELoss(), nn.SGD(model.parameters()))
        >>> x, y = np.eye(3), np.ones((3, 1))
        >>> options = {"epochs": 2, "callbacks": [nn.Checkpoint("run.npz")], "progress": False}
        >>> trainer.fit((x, y), **options, resume="run.npz")
        There is no checkpoint run.npz yet: training begins
        <2 epochs of loss, lr>
        >>> trainer.fit((x, y), **options, resume="run.npz")  # it is done
        Training goes on from run.npz: 2 epochs and 0 batches are done
        <2 epochs of loss, lr>
    """

    runs_last = True

    def __init__(
        self,
        path: str | PathLike[str],
        every_steps: int | None = None,
        every_epochs: int | None = 1,
        keep: int = 1,
    ) -> None:
        name = "Checkpoint"
        self.path = checked(name, path, (".npz",))
        self.every_steps = None if every_steps is None else size(name, "every_steps", every_steps)
        self.every_epochs = None if every_epochs is None else size(name, "every_epochs", every_epochs)
        if every_steps is None and every_epochs is None:
            raise ArgumentError(expects(name, "every_steps or every_epochs", "None for both"))
        self.keep = size(name, "keep", keep)
        self._due = False
        self._saved: tuple[int, ...] | None = None  # where training was

    @override
    def on_fit_start(self, trainer: Any) -> None:
        if not self.path.parent.is_dir():
            raise CheckpointError(expects(self, "a folder for its file", f"no {str(self.path.parent)!r}", "make it"))
        self._due = False
        self._saved = _position(trainer) if trainer.resumed else None

    @override
    def on_step_end(self, trainer: Any) -> None:
        self._due = self.every_steps is not None and trainer.global_step % self.every_steps == 0

    @override
    def on_batch_end(self, trainer: Any) -> None:
        if self._due:  # not sooner, or what others do at the end of this batch would be lost
            self.save(trainer)

    @override
    def on_epoch_end(self, trainer: Any) -> None:
        if self._due or (self.every_epochs is not None and trainer.epoch % self.every_epochs == 0):
            self.save(trainer)

    @override
    def on_fit_end(self, trainer: Any) -> None:
        if self._saved != _position(trainer):
            self.save(trainer)

    def save(self, trainer: Any) -> None:
        """Save a checkpoint now."""
        if self.keep == 1:
            save_checkpoint(trainer, self.path)
        else:
            name = f"{self.path.stem}-{trainer.global_step:0{DIGITS}}{self.path.suffix}"
            save_checkpoint(trainer, self.path.with_name(name))
            self._remove_others(trainer.global_step)
        self._due = False
        self._saved = _position(trainer)

    def _remove_others(self, step: int) -> None:
        """Remove checkpoints beyond the number to keep, and those ahead of this run, which are of another.

        A file that merely has such a name, ``run-20261231.npz``, stays.
        """
        numbered = _numbered(self.path)
        ahead = [path for number, path in numbered.items() if number > step and _step_in(path) == number]
        older = [path for number, path in numbered.items() if number <= step]
        for path in [*ahead, *older[self.keep :]]:
            with contextlib.suppress(OSError):  # somebody reads it: the next one may remove it
                path.unlink()

    @override
    def __repr__(self) -> str:
        when = f"every_steps={self.every_steps}, every_epochs={self.every_epochs}"
        return f"Checkpoint({str(self.path)!r}, {when}, keep={self.keep})"


def save_checkpoint(trainer: Any, path: str | PathLike[str]) -> None:
    """Save all that a run needs to go on.

    Args:
        trainer: the trainer, in any hook of a callback or outside `Trainer.fit`.
        path: where to; it ends in ``.npz``.

    Raises:
        CheckpointError: if the file could not be written; an old one is as it was then.
    """
    place = checked("save_checkpoint", path, (".npz",))
    save(_trainer("save_checkpoint", trainer), place)


def load_checkpoint(trainer: Any, path: str | PathLike[str]) -> Path:
    """Take over what the latest checkpoint holds, and return its path; the next `Trainer.fit` goes on from there.

    Args:
        trainer: a trainer built as the one that was saved.
        path: what `Checkpoint` was given: see `latest_checkpoint`.

    Raises:
        FileNotFoundError: if there is none.
        CheckpointError: if there are only damaged ones.
        StateError: if it does not fit the trainer. Nothing has changed then.

    Warns:
        CheckpointWarning: for each damaged one that is newer.
    """
    found, state = _latest("load_checkpoint", path)
    _trainer("load_checkpoint", trainer).load_state_dict(state)
    return found


def latest_checkpoint(path: str | PathLike[str]) -> Path:
    """Return the path of the latest checkpoint that is not damaged.

    Args:
        path: what `Checkpoint` was given: ``run.npz`` stands for the file of that name, and for ``run-00000120.npz``
            and its like, of which the one with the highest number is the latest.

    Raises:
        FileNotFoundError: if there is none.
        CheckpointError: if there are only damaged ones.

    Warns:
        CheckpointWarning: for each damaged one that is newer.
    """
    return _latest("latest_checkpoint", path)[0]


def _latest(owner: str, path: str | PathLike[str]) -> tuple[Path, Mapping[str, Any]]:
    """Return the latest checkpoint that is not damaged, and what it holds."""
    import warnings

    place = checked(owner, path, (".npz",))
    damaged = []
    for candidate in _candidates(place):
        try:
            state = _read(owner, candidate)
        except FileNotFoundError:
            continue
        except CheckpointError as error:
            damaged.append(str(error))
            continue
        for sentence in damaged:
            warnings.warn(f"{sentence}; {str(candidate)!r} takes its place", CheckpointWarning, stacklevel=3)
        return candidate, state
    if damaged:
        remedy = "to begin anew, remove what is there"
        what = f"a checkpoint {str(place)!r} that can be read"
        raise CheckpointError(expects(owner, what, f"{len(damaged)} that cannot ({'; '.join(damaged)})", remedy))
    raise FileNotFoundError(f"No checkpoint {str(place)!r}")


def _read(owner: str, path: Path) -> Mapping[str, Any]:
    """Return what a checkpoint holds."""
    state = load(path)
    if not isinstance(state, Mapping) or "global_step" not in state:
        raise CheckpointError(expects(owner, f"{str(path)!r} to be a checkpoint", "another state"))
    return state


def _step_in(path: Path) -> int | None:
    """Return after how many updates a checkpoint was saved; None if it is damaged, or something else."""
    try:
        return int(_read("Checkpoint", path)["global_step"])
    except (OSError, TypeError, ValueError):
        return None


def _candidates(place: Path) -> list[Path]:
    """Return all files that may be checkpoints, the latest first."""
    numbered = list(_numbered(place).values())
    if numbered and _written(place) < _written(numbered[0]):
        return [*numbered, place]
    return [place, *numbered]


def _written(path: Path) -> int:
    """Return when a file was written, in nanoseconds; 0 if it is not there."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _numbered(place: Path) -> dict[int, Path]:
    """Return the checkpoints with a number in their name, the highest first."""
    pattern = re.compile(rf"{re.escape(place.stem)}-(\d{{{DIGITS},}}){re.escape(place.suffix)}")
    found = {}
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for path in place.parent.iterdir():
            if match := pattern.fullmatch(path.name):
                found[int(match[1])] = path
    return dict(sorted(found.items(), reverse=True))


def _trainer(owner: str, trainer: Any) -> Any:
    """Return a trainer, which is known by what it counts."""
    if not hasattr(trainer, "global_step"):
        raise ArgumentTypeError(expects(owner, "a trainer", f"a {type(trainer).__name__}"))
    return trainer


def _position(trainer: Any) -> tuple[int, ...]:
    """Return where training is."""
    return trainer.epoch, trainer.batch, trainer.global_step
