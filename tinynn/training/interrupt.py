"""Ctrl-C as a request to come to an end, and not as a blow in the middle of a step."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

__all__ = ["first_interrupt"]


@contextmanager
def first_interrupt(stop: Callable[[], object]) -> Generator[None]:
    """A context in which the first Ctrl-C calls ``stop``, and any other is a `KeyboardInterrupt` at once.

    Outside the main thread, and where interrupts are ignored, nothing changes.
    """
    import signal

    previous = signal.getsignal(signal.SIGINT)
    main = threading.current_thread() is threading.main_thread()
    if not main or previous is None or previous == signal.SIG_IGN:
        yield
        return
    pressed = False

    def handle(*_: Any) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True
        stop()

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
