"""Measures tinynn beside others, prints tables of ratios, and writes ``docs/performance.md``.

    python tests/benchmarks/run.py                   everything: an hour or two
    python tests/benchmarks/run.py --rows            only the rows that are held or missed: some minutes
    python tests/benchmarks/run.py --only 3-2-3-4    only what this regular expression finds
    python tests/benchmarks/run.py --list            what there is, and what it is called
    python tests/benchmarks/run.py --write           what was measured also as docs/performance.md, with pictures

Needs the extra: python -m pip install -e ".[bench]". What is not installed is left out, and said so.
"""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # the checkout

from tests.benchmarks import report, rows
from tests.benchmarks.cases import GROWTH, INFERENCE, LOGISTIC, OPTIMIZERS, TRAINING, Case
from tests.benchmarks.contenders import BARE, EAGER, GEMMS, JAX, TINYNN
from tests.benchmarks.hotspots import hotspots
from tests.benchmarks.imports import import_times
from tests.benchmarks.memory import must_be_kept, peak
from tests.benchmarks.report import Measured
from tests.benchmarks.runner import DisagreementError, Ratio, Result, measure

ROW_ROUNDS, ROUNDS = 40, 20
GROWING = [TINYNN, BARE, GEMMS, EAGER, JAX]
PROFILED = {rows.TRAIN_SMALL: 5000, rows.TRAIN_MEDIUM: 500, rows.TRAIN_LARGE: 20, rows.INFER_SMALL: 20_000}
"""The cases that are profiled, and for how many steps."""

Part = Callable[[Measured, int | None], str]
"""Measures something, in so many rounds if that is given, adds it to what was measured, and returns it as text."""


def parts(*, rows_only: bool) -> dict[str, Part]:
    """Return everything that can be measured, by the text that ``--only`` looks at."""
    judged = dict.fromkeys(row.what for row in rows.TIMED)
    plan: dict[str, Part] = {str(case): partial(time_case, case, None, ROW_ROUNDS) for case in judged}
    if not rows_only:
        for case in (*TRAINING, *LOGISTIC, *INFERENCE):
            plan.setdefault(str(case), partial(time_case, case, None, ROUNDS))
        for case in (case for cases in GROWTH.values() for case in cases):
            plan.setdefault(str(case), partial(time_case, case, GROWING, ROUNDS))
    plan["import"] = time_imports
    remembered = OPTIMIZERS if not rows_only else [rows.TRAIN_ADAM.optimizer]
    for case in (Case(rows.TRAIN_ADAM.sizes, rows.TRAIN_ADAM.batch, optimizer=name) for name in remembered):
        plan[f"memory of {case}"] = partial(trace_memory, case)
    if not rows_only:
        for case, steps in PROFILED.items():
            plan[f"profile of {case}"] = partial(profile, case, steps)
    return plan


def time_case(case: Case, contenders: list[str] | None, usual: int, measured: Measured, rounds: int | None) -> str:
    try:
        result = measure(case, rounds or usual, contenders)
    except DisagreementError as error:
        measured.refused.append(str(error))
        result = Result(case, {}, {TINYNN: f"refused, {error}"})
    measured.results[case] = result
    measured.judged += [rows.judge(row, result) for row in rows.TIMED if row.what == case]
    return report.one_case(result)


def time_imports(measured: Measured, rounds: int | None) -> str:
    times = measured.imports = import_times(rounds or ROUNDS)
    measured.judged.append(rows.judge(rows.IMPORT, Ratio.of(times["tinynn"], times["numpy"])))
    return report.imports(times)


def trace_memory(case: Case, measured: Measured, _rounds: int | None) -> str:
    kept = must_be_kept(case)
    found: Ratio | str = "not measured"
    for contender in (BARE, TINYNN):
        try:
            measured.memory[case, contender] = (peak(contender, case), kept)
            found = Ratio.exactly(measured.memory[case, contender][0] / kept)
        except NotImplementedError as error:
            found = str(error)
    if case == rows.TRAIN_ADAM:
        measured.judged.append(rows.judge(rows.MEMORY, found))
    return report.memory({key: value for key, value in measured.memory.items() if key[0] == case})


def profile(case: Case, steps: int, measured: Measured, _rounds: int | None) -> str:
    measured.profiles[case] = hotspots(case, steps)
    return f"{case}\n\n{report.profile(measured.profiles[case])}"


def write(measured: Measured, command: str) -> None:
    """Write the page and its pictures."""
    from tests.benchmarks import figures

    figures.draw(measured, report.PAGE.parent / "images")
    report.PAGE.write_text(report.page(measured, command), encoding="utf-8")
    print(f"wrote {report.PAGE.name}")


def main(arguments: list[str] | None = None) -> int:
    """Measure, print and write; return 1 if a row is missed, 2 if the contenders do not compute the same.

    After Ctrl-C what was measured until then is printed and written as well; 130 is returned.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", action="store_true", help="only the rows that are held or missed")
    parser.add_argument("--only", metavar="PATTERN", default="", help="only what this regular expression finds")
    parser.add_argument("--rounds", metavar="N", type=int, help=f"instead of {ROW_ROUNDS} (rows) and {ROUNDS}")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md and its pictures")
    parser.add_argument("--list", action="store_true", help="print what would be measured, and measure nothing")
    options = parser.parse_args(arguments)
    plan = {text: part for text, part in parts(rows_only=options.rows).items() if re.search(options.only, text)}
    if options.list:
        print(*plan, sep="\n")
        return 0
    measured = Measured()
    print(end=report.disturbance(measured))
    for text, part in plan.items():
        try:
            print(part(measured, options.rounds), flush=True)
        except KeyboardInterrupt:
            measured.stopped = text
            break
    print(report.verdicts(measured.judged))
    print(end=report.interruption(measured))
    for line in report.left_out(measured):
        print(line)
    if options.write:
        given = sys.argv[1:] if arguments is None else arguments
        write(measured, shlex.join(["python", "tests/benchmarks/run.py", *given]))
    if measured.refused:
        print("The contenders do not compute the same, so these were not measured:", *measured.refused, sep="\n")
        return 2
    if measured.stopped:
        return 130
    return int(any(one.verdict == "missed" for one in measured.judged))


if __name__ == "__main__":
    sys.exit(main())
