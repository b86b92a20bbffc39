"""What a check of gradients hands back: measurements, findings, and the error that is made of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from typing_extensions import override

from tinynn.core.layer import Layer
from tinynn.errors import TinynnError, expects

__all__ = ["Finding", "GradientError", "GradientReport", "Measurement", "gradient_error"]


@dataclass(frozen=True)
class Finding:
    """One thing to be said about one gradient.

    Attributes:
        where: ``"input"`` (``"input 1"``, ... for later ones) or the path of a parameter; ``"2.input"`` for the input
            of layer 2 inside, where that layer is wrong by itself.
        diagnosis: one of the words of the guide: ``"sign"``, ``"factor"``, ``"transposed"``, ...
        sentence: what is wrong, by how much, and the likely slip.
    """

    where: str
    diagnosis: str
    sentence: str

    @override
    def __str__(self) -> str:
        return f"{self.where}: {self.sentence}  [{self.diagnosis}]"


@dataclass(frozen=True)
class Measurement:
    """One gradient: how far what ``backward`` gives is from what was measured, at the element where it is furthest.

    Attributes:
        where: ``"input"`` (``"input 1"``, ... for later ones) or the path of a parameter.
        method: ``"complex"`` for complex steps, ``"central"`` for central differences.
        error: |given - measured| / largest |measured|, where that is not tiny. Kinks do not count.
        index: the place of the element.
        given: what ``backward`` gives there.
        measured: what it should give.
        passed: whether every error is as small as the method can tell.
        elements: how many elements were measured.
        size: how many there are.
    """

    where: str
    method: str
    error: float
    index: tuple[int, ...]
    given: float
    measured: float
    passed: bool
    elements: int
    size: int

    @override
    def __str__(self) -> str:
        if self.elements == 0:
            return f"{self.where}: nothing to measure"
        sampled = "" if self.elements == self.size else f", {self.elements} of {self.size} elements sampled"
        element = f"element {self.index} is {self.given!r}, measured {self.measured!r}"
        return f"{self.where}: {element} ({self.method}, error {self.error:.1e}{sampled})"


@dataclass(frozen=True)
class GradientReport:
    """All gradients of a layer, measured.

    Attributes:
        measurements: one for each input and for each parameter.
        findings: remarks such as kinks; and, in the report of an error, everything that is wrong.
        forwards: the number of forward calls that it took.
    """

    measurements: tuple[Measurement, ...]
    findings: tuple[Finding, ...] = ()
    forwards: int = 0

    @property
    def largest(self) -> Measurement:
        """The measurement with the largest error.

        Raises:
            ValueError: if there was no gradient to measure.
        """
        return max(self.measurements, key=lambda measurement: _rank(measurement.error))

    @property
    def sampled(self) -> bool:
        """Whether some elements were left out."""
        return any(measurement.elements < measurement.size for measurement in self.measurements)

    @override
    def __str__(self) -> str:
        table = [("where", "method", "error", "elements", "furthest at")]
        table += [
            (row.where, row.method, f"{row.error:.1e}", f"{row.elements} of {row.size}", str(row.index))
            for row in self.measurements
        ]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table]
        lines += map(str, self.findings)
        sampled = "; only a sample of the elements was measured" if self.sampled else ""
        return "\n".join([*map(str.rstrip, lines), f"{self.forwards} forwards{sampled}"])


class GradientError(TinynnError, AssertionError):
    """A ``backward`` that does not give the gradient of its ``forward``.

    Attributes:
        report: everything that was measured.
        findings: what is wrong: one finding for each wrong place, and those that only several calls bring to light.
    """

    def __init__(self, message: str, report: GradientReport, findings: tuple[Finding, ...]) -> None:
        super().__init__(message)
        self.report = report
        self.findings = findings

    @override
    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (str(self), self.report, self.findings)


def _rank(error: float) -> float:
    return math.inf if math.isnan(error) else error


def gradient_error(layer: Layer, report: GradientReport, findings: tuple[Finding, ...]) -> GradientError:
    """Return the error that says what is wrong with a layer."""
    lines = [*findings, *(row for row in report.measurements if not row.passed)]
    what = "backward to give the gradient of its forward"
    message = expects(layer, what, "another one:\n  " + "\n  ".join(map(str, lines)))
    if report.sampled:
        message += "\n  (only a sample of the elements was measured)"
    return GradientError(message, report, findings)
