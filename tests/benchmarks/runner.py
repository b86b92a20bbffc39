"""Contenders side by side: each in a process of its own, taking turns in short slices, with a pause between.

Libraries in one process share its thread pools and caches and disturb each other; a machine has good seconds and bad
ones. So every round gives each contender a slice, and the spread is that of ratios within a round, where both had the
same weather.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from tests.benchmarks.cases import Case
from tests.benchmarks.contenders import TINYNN, for_case

ROOT = Path(__file__).parents[2]
SLICE, PAUSE = 0.03, 0.04  # seconds; threads of a pool spin for a while after work, and must have stopped
BUDGET, FEWEST = 60.0, 7  # a slow case gets fewer rounds: as many as fit into these seconds, but at least these
STEPS_LOOKED_AT = 5
TOLERANCES = {"float32": 2e-5, "float64": 1e-9}
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC")  # the last is JAX's


class DisagreementError(Exception):
    """Contenders compute different losses: what they take is then not worth comparing."""


class MissingError(Exception):
    """A contender cannot take part: its library is not installed, or cannot express the case."""


class Turns(Protocol):
    """Somebody who does steps on request."""

    def look(self, steps: int) -> list[float] | None:
        """Return the losses of some steps."""

    def seconds(self, steps: int) -> float:
        """Return how long some steps take."""


class Worker:
    """A contender in a process of its own.

    Raises:
        MissingError: if it cannot take part.
    """

    def __init__(self, contender: str, case: Case) -> None:
        environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(case.threads))}
        command = [sys.executable, "-m", "tests.benchmarks.worker"]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        answer = self._ask({"contender": contender, "case": asdict(case)})
        if "missing" in answer:
            self.close()
            raise MissingError(answer["missing"])

    def _ask(self, question: Any) -> Any:
        print(json.dumps(question), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            self.close()
            raise RuntimeError(f"a contender ended with exit code {self.process.returncode}, see above")
        return json.loads(answer)

    def look(self, steps: int) -> list[float] | None:
        return self._ask({"look": steps})["look"]

    def seconds(self, steps: int) -> float:
        return self._ask({"steps": steps})["seconds"]

    def close(self) -> None:
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


@dataclass
class Result:
    """What was measured of a case.

    Attributes:
        times: seconds for a step, a number for each round, of each contender.
        missing: those that could not take part, and why.
    """

    case: Case
    times: dict[str, list[float]]
    missing: dict[str, str] = field(default_factory=dict)

    def median(self, contender: str) -> float:
        """The median of the seconds for a step."""
        return statistics.median(self.times[contender])

    def ratio(self, contender: str, against: str) -> Ratio:
        """How long one takes, in units of what another one takes."""
        return Ratio.of(self.times[contender], self.times[against])


@dataclass(frozen=True)
class Ratio:
    """A ratio of medians, with the spread of the ratios within single rounds: 10 % to 90 % of them lie between."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, mine: list[float], theirs: list[float]) -> Self:
        low, high = np.quantile(np.divide(mine, theirs), [0.1, 0.9])
        return cls(statistics.median(mine) / statistics.median(theirs), float(low), float(high))

    @classmethod
    def exactly(cls, value: float) -> Self:
        """A ratio of things that were counted."""
        return cls(value, value, value)

    def __str__(self) -> str:
        if self.low == self.high:
            return f"{self.value:.2f}"
        digits = 2 if self.value < 10 else 0
        return f"{self.value:.{digits}f} ({self.low:.{digits}f} to {self.high:.{digits}f})"


def agree(case: Case, losses: Mapping[str, list[float] | None]) -> None:
    """Check that all contenders compute the same.

    Raises:
        DisagreementError: if one differs, naming it.
    """
    reference = losses[TINYNN]
    for name, values in losses.items():
        if values is not None and not np.allclose(values, reference, rtol=TOLERANCES[case.dtype], atol=0):
            raise DisagreementError(f"{case}: {name} computes {values[:5]}, {TINYNN} {reference[:5]}")


def steps_for(worker: Turns) -> int:
    """Return how many steps fill a slice."""
    steps = 1
    while (taken := worker.seconds(steps)) < SLICE / 4:
        steps *= 4
    return max(1, round(SLICE * steps / taken))


def take_turns(
    workers: Mapping[str, Turns], rounds: int, pause: Callable[[float], object] = time.sleep
) -> dict[str, list[float]]:
    """Let everybody have a slice in each round, and return the seconds for a step."""
    steps = {name: steps_for(worker) for name, worker in workers.items()}
    times: dict[str, list[float]] = {name: [] for name in workers}
    order, spent = list(workers), 0.0
    for number in range(rounds):
        for name in order:
            pause(PAUSE)
            taken = workers[name].seconds(steps[name])
            times[name].append(taken / steps[name])
            spent += PAUSE + taken
        order.append(order.pop(0))  # nobody always follows the same
        if number + 1 >= FEWEST and spent > BUDGET:
            break
    return times


def measure(case: Case, rounds: int, contenders: list[str] | None = None) -> Result:
    """Measure a case.

    Raises:
        DisagreementError: if the contenders do not compute the same.
    """
    workers: dict[str, Worker] = {}
    missing: dict[str, str] = {}
    try:
        for name in contenders or for_case(case):
            try:
                workers[name] = Worker(name, case)
            except MissingError as error:
                missing[name] = str(error)
                if name == TINYNN:  # nothing to compare with
                    return Result(case, {}, missing)
        agree(case, {name: worker.look(STEPS_LOOKED_AT) for name, worker in workers.items()})
        return Result(case, take_turns(workers, rounds), missing)
    finally:
        for worker in workers.values():
            worker.close()
