"""One contender in a process of its own: it gets ready for a case, waits, and does as many steps as it is asked for.

It talks in lines of JSON. In comes a case; out goes ``{"ready": ...}``, or ``{"missing": why}``. Then in comes
``{"steps": n}`` and out goes ``{"seconds": ...}``, or in comes ``{"look": n}`` and out go the losses of n steps.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests.benchmarks.cases import Case
from tests.benchmarks.contenders import Run, build

LOOKED_AT = 100  # numbers of an output


def seconds(run: Run, steps: int, clock: Callable[[], float] = time.perf_counter) -> float:
    """Return how long some steps take, after a few that bring caches and threads back."""
    run(1 + steps // 10)
    start = clock()
    run(steps)
    return clock() - start


def look(run: Run, steps: int) -> list[float] | None:
    """Return the losses of some steps, or the start of some outputs; None if there is nothing to look at."""
    results = [run(1) for _ in range(steps)]
    if results[0] is None:
        return None
    return [float(value) for result in results for value in np.ravel(result)[:LOOKED_AT]]


def answers(questions: Iterator[Any]) -> Iterator[Any]:
    """Answer each question."""
    first = next(questions)
    try:
        run = build(first["contender"], Case(**{**first["case"], "sizes": tuple(first["case"]["sizes"])}))
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith(("tests", "tinynn")):
            raise
        yield {"missing": f"{error.name} is not installed"}
        return
    except NotImplementedError as error:
        yield {"missing": str(error)}
        return
    yield {"ready": True}
    for question in questions:
        yield {"look": look(run, question["look"])} if "look" in question else {"seconds": seconds(run, **question)}


def main() -> None:
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints is no answer
    for answer in answers(json.loads(line) for line in sys.stdin):
        print(json.dumps(answer), file=channel, flush=True)


if __name__ == "__main__":
    main()
