"""What was measured as Markdown: single tables for the terminal, and the page ``docs/performance.md``."""

from __future__ import annotations

import importlib.metadata
import itertools
import os
import platform
import shutil
import statistics
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.cases import GROWTH, INFERENCE, LOGISTIC, TRAINING, Case
from tests.benchmarks.contenders import BACKWARD, ONE_SAMPLE, TINYNN
from tests.benchmarks.hotspots import Hotspot
from tests.benchmarks.rows import Judged
from tests.benchmarks.runner import ROOT, Result

PAGE = ROOT / "docs" / "performance.md"
OURS = (TINYNN, BACKWARD, ONE_SAMPLE)
SPOTS_SHOWN = 12
BUSY = 0.5  # load


@dataclass
class Measured:
    """Everything that one run has measured; what was not asked for is empty.

    Attributes:
        memory: for each case and contender, the peak and what must be kept, in bytes.
        profiles: for each case, the functions that take the time.
        refused: the cases whose contenders do not compute the same, and how they differ.
        load: how many other processes wanted to run when this run began.
        stopped: what was being measured when somebody stopped the run.
    """

    judged: list[Judged] = field(default_factory=list)
    results: dict[Case, Result] = field(default_factory=dict)
    imports: dict[str, list[float]] = field(default_factory=dict)
    memory: dict[tuple[Case, str], tuple[int, int]] = field(default_factory=dict)
    profiles: dict[Case, list[Hotspot]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    load: float = field(default_factory=lambda: os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0)
    stopped: str = ""

    def of(self, cases: Iterable[Case]) -> list[Result]:
        """Return the results of those of the cases that were measured."""
        return [self.results[case] for case in cases if case in self.results and self.results[case].times]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table: the first column is text, the others are numbers."""
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def duration(seconds: float) -> str:
    """Return a time with three digits."""
    for factor, unit in ((1e6, "µs"), (1e3, "ms")):
        if seconds * factor < 1000:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.3g} s"


def one_case(result: Result) -> str:
    """Return what was measured of one case: each contender's time, and tinynn's in units of it."""
    rows = [(name, duration(result.median(name)), str(result.ratio(TINYNN, name))) for name in result.times]
    rows += [(name, "left out", why) for name, why in result.missing.items()]
    return table((str(result.case), "a step", "tinynn against it"), rows)


def verdicts(judged: Iterable[Judged]) -> str:
    """Return the rows that are held or missed."""
    rows = [
        (
            str(one.row.what),
            one.row.against,
            "" if one.ratio is None else str(one.ratio),
            f"≤ {one.row.bar:.2f}",
            f"{one.row.aim:.2f}",
            f"**{one.verdict}**" if one.verdict == "missed" else one.verdict,
        )
        for one in judged
    ]
    return table(("case", "against", "ratio", "bar", "aim", ""), rows)


def ratios(results: Sequence[Result]) -> str:
    """Return tinynn's times, and their ratios to those of all others, a line for each way to use tinynn."""
    others = list(dict.fromkeys(name for result in results for name in result.times if name not in OURS))
    rows = []
    for result in results:
        for mine in (name for name in OURS if name in result.times):
            cells = [str(result.ratio(mine, name)) if name in result.times else "" for name in others]
            label = f"{result.case.network}, batch {result.case.batch}" if mine == TINYNN else mine.partition(", ")[2]
            rows.append((label, duration(result.median(mine)), *cells))
    return table(("", "tinynn", *others), rows)


def times(results: Sequence[Result]) -> str:
    """Return the times of all contenders."""
    names = list(dict.fromkeys(name for result in results for name in result.times))
    rows = [
        (
            f"{result.case.network}, batch {result.case.batch}",
            *(duration(result.median(name)) if name in result.times else "" for name in names),
        )
        for result in results
    ]
    return table(("", *names), rows)


def imports(measured: dict[str, list[float]]) -> str:
    """Return how long imports take."""
    medians = {name: statistics.median(values) for name, values in measured.items()}
    rows = [(f"`import {name}`", duration(value), f"{value / medians['numpy']:.2f}") for name, value in medians.items()]
    return table(("", "time", "against numpy"), rows)


def memory(measured: dict[tuple[Case, str], tuple[int, int]]) -> str:
    """Return peaks of memory."""
    rows = [
        (str(case), contender, f"{peak / 1e6:.2f} MB", f"{kept / 1e6:.2f} MB", f"{peak / kept:.2f}")
        for (case, contender), (peak, kept) in measured.items()
    ]
    return table(("", "contender", "peak", "must be kept", "ratio"), rows)


def profile(spots: Sequence[Hotspot]) -> str:
    """Return the functions that take most of the time."""
    shown = spots[:SPOTS_SHOWN]
    rows = [(f"`{spot.function}`", f"{spot.calls:.3g}", f"{spot.share:.1%}") for spot in shown]
    rows.append(("all others", "", f"{1 - sum(spot.share for spot in shown):.1%}"))
    return table(("function", "calls a step", "share"), rows)


def left_out(measured: Measured) -> list[str]:
    """Return a line for each contender that could not take part, with its reason and the remedy."""
    reasons = {(name, why) for result in measured.results.values() for name, why in result.missing.items()}
    remedy = 'python -m pip install -e ".[bench]"'
    lines = [f"{name} is left out: {why}" for name, why in sorted(reasons)]
    return [f"{line}; {remedy}" if line.endswith("not installed") else line for line in lines]


def disturbance(measured: Measured) -> str:
    """Return a warning if the machine was busy with something else when the run began."""
    if measured.load < BUSY:
        return ""
    return f"The machine was busy with something else (load {measured.load:.1f}): ratios need a quiet one.\n"


def interruption(measured: Measured) -> str:
    """Return where the run was stopped, if it was."""
    return f"The run was stopped at {measured.stopped}: what follows it is not here.\n" if measured.stopped else ""


def machine() -> str:
    """Return what was measured with: processor, versions."""
    packages = ("numpy", "torch", "jax", "jaxlib", "scikit-learn")
    found = []
    for package in packages:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"no {package}")
    lines = [
        f"Processor: {processor()}, {os.cpu_count()} cores",
        f"System: {platform.system()}, {platform.machine()}, Python {platform.python_version()}",
        f"Packages: {', '.join(found)}",
        f"BLAS of NumPy: {blas()}",
        f"C++ compiler, for torch.compile: {compiler()}",
    ]
    return "\n".join(f"- {line}" for line in lines) + "\n"


def processor() -> str:
    """Return the name of the processor."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def blas() -> str:
    """Return the library that does NumPy's matrix products."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return "unknown, threadpoolctl is not installed"
    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas" and "numpy" in pool["filepath"]]
    return ", ".join(f"{pool['internal_api']} {pool['version']}, kernels for {pool['architecture']}" for pool in pools)


def compiler() -> str:
    """Return the C++ compiler that torch.compile would call."""
    command = os.environ.get("CXX", "g++")
    if shutil.which(command) is None:
        return "none, so torch.compile is left out"
    done = subprocess.run([command, "-dumpfullversion"], capture_output=True, text=True, check=False)
    return f"{command} {done.stdout.strip()}"


HEAD = """\
# Performance

How long a training step takes, in units of what others take: below 1, tinynn is faster. This page was written by

```console
python -m pip install -e ".[bench]"
{command}
```

{machine}
How it is measured:

- Everybody computes the same: linear layers, an arctan sigmoid after each, half the squared error, the same weights,
  data and optimizer. The losses of the first steps must agree, or the case is refused.
- A training step is forward, loss, `zero_grad`, backward and `step` through the public interface. tinynn uses
  `backward_parameters`, since PyTorch too computes no gradient for plain data; the lines with `backward` compute it.
- Each contender runs in a process of its own, and they take turns in slices of about 30 ms, with a pause between. A
  ratio is one of medians over all rounds; 10 % to 90 % of the ratios within single rounds lie between the numbers in
  brackets.
- *PyTorch eager* has the optimizer that PyTorch chooses on a CPU, and for Adam `foreach=True`; *fused* has
  `fused=True`. *torch.compile* compiles model and loss, forward and backward; its optimizer is that of eager. *JAX jit*
  compiles the whole step, optimizer included, and donates what it replaces. *Bare NumPy* is one function for this
  network and no other, without a check. *GEMMs alone* are the matrix products of the step and nothing else, by the same
  BLAS. *The note's listing* is that of the mathematical note with its errors corrected.
- 1024×4 is four layers from 1024 to 1024.
"""


def page(measured: Measured, command: str) -> str:
    """Return the whole page, which says by which command it was written."""
    warnings = [warning for warning in (disturbance(measured), interruption(measured)) if warning]
    parts = [HEAD.format(command=command, machine=machine()), *(f"**{warning.rstrip()}**\n" for warning in warnings)]

    def section(title: str, *paragraphs: str) -> None:
        parts.append("\n\n".join([f"## {title}", *(paragraph.rstrip() for paragraph in paragraphs)]) + "\n")

    if measured.judged:
        section("Bars", "What a change must not break, and aims beyond.", verdicts(measured.judged))
    if training := measured.of(TRAINING):
        blocks = []
        for setting, group in itertools.groupby(training, lambda result: result.case.setting):
            blocks += [f"### {setting.removeprefix('training, ')}", ratios(list(group))]
        picture = "![Ratio of every case with SGD and two threads](images/performance_ratios.png)"
        section("Training", "A step of tinynn, and its ratio to a step of the others.", picture, *blocks)
    if logistic := measured.of(LOGISTIC):
        text = (
            "scikit-learn's `MLPRegressor` has no arctan sigmoid, so this is a network of logistic sigmoids with a\n"
            "linear last layer. A step is a `partial_fit` of one batch."
        )
        section("Beside scikit-learn", text, *(f"{one.case.optimizer}:\n\n{ratios([one])}" for one in logistic))
    if inference := measured.of(INFERENCE):
        text = "Forward alone, with `no_grad` or `inference_mode`. Batch 1 is latency, batch 512 throughput."
        blocks = []
        for setting, group in itertools.groupby(inference, lambda result: result.case.setting):
            blocks += [f"### {setting}", ratios(list(group))]
        section("Inference", text, *blocks)
    growth = {what: measured.of(cases) for what, cases in GROWTH.items()}
    if all(len(growth[what]) == len(cases) for what, cases in GROWTH.items()):
        picture = "![Time of a step against batch, width and depth](images/performance_growth.png)"
        section("As networks grow", picture, *(times(group) for group in growth.values()))
    if measured.imports:
        section("Import", imports(measured.imports))
    if measured.memory:
        text = (
            "The peak of memory that Python traces while a model is built and trained, without the data. What must be\n"
            "kept are parameters, gradients, the optimizer's state and what forward saves for backward."
        )
        section("Memory", text, memory(measured.memory))
    if measured.profiles:
        text = (
            "Shares of the time by function, without the functions called from there. Ufuncs count as their callers;\n"
            "the profiler makes short Python functions look longer than they are."
        )
        blocks = [f"### Profile of {case}\n\n{profile(spots)}" for case, spots in measured.profiles.items()]
        section("Where the time goes", text, *blocks)
    return "\n".join(parts)
