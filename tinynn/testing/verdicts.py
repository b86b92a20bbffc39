"""What the laws say of a layer, a loss or an optimizer: a table, and the error where any is broken."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from tinynn.errors import TinynnError
from tinynn.testing.laws.law import Law, Verdict

__all__ = ["LawError", "LawReport", "judged"]

WIDTH = 110


@dataclass(frozen=True)
class LawReport:
    """What became of every law.

    Attributes:
        name: what was tried.
        verdicts: one for each law.
    """

    name: str
    verdicts: tuple[Verdict, ...]

    @property
    def failures(self) -> tuple[Verdict, ...]:
        """The laws that are broken."""
        return tuple(verdict for verdict in self.verdicts if verdict.result == "FAILS")

    @override
    def __str__(self) -> str:
        rows = [("law", "result", "hint"), *map(_cells, self.verdicts)]
        first, second = (2 + max(len(row[column]) for row in rows) for column in (0, 1))
        lines = [f"{self.name}: {_count(self)}", ""]
        for name, result, hint in rows:
            wrapped = textwrap.wrap(hint, WIDTH - first - second) or [""]
            lines.append(f"{name:{first}}{result:{second}}{wrapped[0]}".rstrip())
            lines += [" " * (first + second) + more for more in wrapped[1:]]
        return "\n".join(lines)


class LawError(TinynnError, AssertionError):
    """Laws that a layer, a loss or an optimizer breaks.

    Attributes:
        report: what became of every law.
    """

    def __init__(self, report: LawReport) -> None:
        count = f"{len(report.failures)} of {len(report.verdicts)} laws" if len(report.verdicts) > 1 else "a law"
        lines = [f"{report.name} breaks {count}:"]
        for verdict in report.failures:
            lines += ["", f"{verdict.law}: {verdict.sentence}"]
            lines += [textwrap.indent(verdict.message, "  "), f"  hint: {verdict.hint}"]
        super().__init__("\n".join(lines))
        self.report = report

    @override
    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.report,)


def judged(laws: Iterable[Law], case: Any) -> LawReport:
    """Try all laws on a case; the others are not tried where the first one, that it works at all, is broken."""
    verdicts: dict[Law, Verdict] = {}
    for law in laws:
        hopeless = verdicts and next(iter(verdicts.values())).result == "FAILS"
        verdict = law.verdict("not tried") if hopeless else law.judge(case)
        verdicts[law] = law.deferring(verdict, lambda other: other in verdicts and verdicts[other].result == "FAILS")
    return LawReport(case.name, tuple(verdicts.values()))


def _cells(verdict: Verdict) -> tuple[str, str, str]:
    hint = verdict.hint if verdict.result == "FAILS" else verdict.message
    return verdict.law, verdict.result, hint


def _count(report: LawReport) -> str:
    results = [verdict.result for verdict in report.verdicts]
    said = {"holds": "hold", "FAILS": "FAIL", "not applicable": "do not apply", "not tried": "were not tried"}
    counts = [f"{results.count(result)} {word}" for result, word in said.items() if result in results]
    return f"of {len(results)} laws " + ", ".join(counts)
