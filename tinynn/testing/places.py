"""Where in a user's own code an error was raised."""

from __future__ import annotations

import traceback
from pathlib import Path

import numpy as np

__all__ = ["place_of"]

NOT_THEIRS = (Path(__file__).parents[1], Path(np.__file__).parent)


def place_of(error: BaseException) -> str:
    """Return, in brackets, the file and the line of the innermost frame that is neither tinynn's nor NumPy's."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if not any(path.is_relative_to(folder) for folder in NOT_THEIRS):
            return f" ({path.name}:{frame.lineno})"
    return ""
