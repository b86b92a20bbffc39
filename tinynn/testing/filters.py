"""Filters of warnings. They belong to the whole process, so what all threads want of them is kept in one place."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections import Counter
from collections.abc import Generator
from typing import Any, Literal, cast

__all__ = ["filtering"]

Wanted = tuple[Literal["ignore", "error"], type[Warning]]

_lock = threading.Lock()
_wanted: Counter[Wanted] = Counter()
_outside = contextlib.ExitStack()
_filters: list[Any] = []  # those from outside


@contextlib.contextmanager
def filtering(action: Literal["ignore", "error"], category: type[Warning] = Warning) -> Generator[None]:
    """A context in which warnings of a category are ignored, or are errors where nobody ignores them.

    When the last thread has left the last context, the filters are what they were before the first.
    """
    _want((action, category), 1)
    try:
        yield
    finally:
        _want((action, category), -1)


def _want(filter_: Wanted, change: int) -> None:
    with _lock:
        if not _wanted.total():
            _outside.enter_context(warnings.catch_warnings())
            _filters[:] = warnings.filters
        _wanted[filter_] += change
        if not _wanted.total():
            _outside.close()
            return
        wanted = sorted(+_wanted, key=lambda pair: pair[0] != "ignore")
        ours = [(action, None, category, None, 0) for action, category in wanted]
        cast("list[Any]", warnings.filters)[:] = [*ours, *_filters]  # at once, with no moment in between
