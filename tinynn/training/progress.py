"""What is shown while training goes on: a bar, a line for each epoch, or nothing."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from typing_extensions import override

from tinynn.core.arguments import boolean
from tinynn.core.extras import import_extra
from tinynn.errors import MissingExtraError

__all__ = ["Bar", "Lines", "Progress", "progress_for", "say"]


class Progress:
    """Nothing is shown; and what the others share."""

    def begin(self, title: str, batches: int | None, done: int) -> None:
        """Begin an epoch, of which ``done`` batches were done before."""

    def advance(self, loss: float) -> None:
        """Go on by one batch."""

    def end(self, title: str, results: Mapping[str, float]) -> None:
        """End an epoch."""

    def close(self) -> None:
        """Leave the screen in order, whatever has happened."""


class Lines(Progress):
    """A line for each epoch."""

    @override
    def end(self, title: str, results: Mapping[str, float]) -> None:
        say(f"{title}: {_written(results)}")


class Bar(Progress):
    """A bar of tqdm's for each epoch."""

    def __init__(self, tqdm: Any) -> None:
        self.tqdm = tqdm
        self.bar: Any = None

    @override
    def begin(self, title: str, batches: int | None, done: int) -> None:
        self.bar = self.tqdm(total=batches, initial=done, desc=title, unit="batch", dynamic_ncols=True)

    @override
    def advance(self, loss: float) -> None:
        if self.bar.update():  # it was drawn anew, which it is a few times in a second
            self.bar.set_postfix_str(f"loss {loss:.4g}", refresh=False)

    @override
    def end(self, title: str, results: Mapping[str, float]) -> None:
        self.bar.set_postfix_str(_written(results))
        self.close()

    @override
    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None


def progress_for(owner: str, progress: bool | None) -> Progress:
    """Return what shows the progress.

    Args:
        owner: who shows it, named in errors.
        progress: True for a bar, False for nothing; None for a bar where tqdm is installed and somebody looks, in a
            terminal or a notebook, and for lines elsewhere.
    """
    if progress is not None and not boolean(owner, "progress", progress):
        return Progress()
    if progress or sys.stderr.isatty() or "ipykernel" in sys.modules:
        try:
            return Bar(import_extra(owner, "tqdm", "tqdm.auto", "progress").tqdm)
        except MissingExtraError:
            if progress:
                raise
    return Lines()


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _written(results: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in results.items())
