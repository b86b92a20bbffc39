"""The rows that are held or missed: ratios of medians in one run, below 1 where tinynn is faster."""

from __future__ import annotations

from dataclasses import dataclass

from tests.benchmarks.cases import LARGE, MEDIUM, NOTE, SMALL, Case
from tests.benchmarks.contenders import COMPILED, EAGER, GEMMS, JAX, TINYNN
from tests.benchmarks.contenders import NOTE as LISTING
from tests.benchmarks.runner import Ratio, Result


@dataclass(frozen=True)
class Row:
    """A ratio that must not be larger than the bar, and would rather be as small as the aim."""

    what: Case | str
    against: str
    bar: float
    aim: float

    def verdict(self, ratio: Ratio) -> str:
        if ratio.value <= self.aim:
            return "held, aim reached"
        return "held" if ratio.value <= self.bar else "missed"


TRAIN_NOTE = Case(NOTE, 1, "float64")
TRAIN_NOTE_32 = Case(NOTE, 1)
TRAIN_SMALL = Case(SMALL, 32)
TRAIN_MEDIUM = Case(MEDIUM, 128)
TRAIN_LARGE = Case(LARGE, 512)
TRAIN_ADAM = Case(MEDIUM, 128, optimizer="Adam")
INFER_SMALL = Case(SMALL, 1, task="inference")

TIMED = [
    Row(TRAIN_NOTE, LISTING, 0.90, 0.70),
    Row(TRAIN_NOTE_32, EAGER, 0.13, 0.10),
    Row(TRAIN_SMALL, EAGER, 0.20, 0.10),
    Row(TRAIN_SMALL, JAX, 0.60, 0.45),
    Row(TRAIN_MEDIUM, EAGER, 0.70, 0.50),
    Row(TRAIN_MEDIUM, COMPILED, 0.85, 0.65),
    Row(TRAIN_MEDIUM, JAX, 0.60, 0.45),
    Row(TRAIN_MEDIUM, GEMMS, 1.50, 1.20),
    Row(TRAIN_LARGE, EAGER, 1.00, 0.85),
    Row(TRAIN_LARGE, COMPILED, 1.00, 0.85),
    Row(TRAIN_LARGE, JAX, 1.00, 0.85),
    Row(TRAIN_LARGE, GEMMS, 1.15, 1.05),
    Row(TRAIN_ADAM, EAGER, 0.70, 0.40),
    Row(INFER_SMALL, EAGER, 0.35, 0.20),
]
IMPORT = Row("import tinynn", "import numpy", 1.6, 1.4)
MEMORY = Row(f"peak traced memory, {TRAIN_ADAM}", "what must be kept", 1.25, 1.1)


@dataclass(frozen=True)
class Judged:
    """A row and what was measured, or why nothing was."""

    row: Row
    ratio: Ratio | None
    verdict: str


def judge(row: Row, measured: Result | Ratio | str) -> Judged:
    """Hold a row against what was measured; text says why it was not."""
    if isinstance(measured, Result):
        absent = [measured.missing[name] for name in (TINYNN, row.against) if name in measured.missing]
        measured = absent[0] if absent else measured.ratio(TINYNN, row.against)
    if isinstance(measured, str):
        return Judged(row, None, f"left out: {measured}")
    return Judged(row, measured, row.verdict(measured))
