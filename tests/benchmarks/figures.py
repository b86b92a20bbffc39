"""The pictures of ``docs/performance.md``; needs matplotlib."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tests.benchmarks.cases import GROWTH, TRAINING, Case
from tests.benchmarks.contenders import BARE, COMPILED, EAGER, GEMMS, JAX, NOTE, TINYNN
from tests.benchmarks.report import Measured
from tests.benchmarks.runner import Result

COLORS = {TINYNN: "C0", BARE: "C7", GEMMS: "black", EAGER: "C1", COMPILED: "C3", JAX: "C2", NOTE: "C4"}


def draw(measured: Measured, folder: Path) -> None:
    """Draw what was measured into a folder; what was not, has no picture."""
    if training := measured.of(TRAINING):
        ratios(training, folder / "performance_ratios.png")
    groups = {what: measured.of(cases) for what, cases in GROWTH.items()}
    if all(len(groups[what]) == len(cases) for what, cases in GROWTH.items()):
        growth(groups, folder / "performance_growth.png")


def growth(groups: Mapping[str, Sequence[Result]], path: Path) -> None:
    """Draw the time of a step as batch, width and depth grow."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(groups), figsize=(11, 4), dpi=110, layout="constrained", sharey=True)
    for axis, (what, results) in zip(axes, groups.items(), strict=True):
        sizes = [size(result.case, what) for result in results]
        for name, color in COLORS.items():
            if all(name in result.times for result in results):
                medians = [result.median(name) * 1e6 for result in results]
                axis.loglog(sizes, medians, ".-", color=color, label=name, linewidth=2 if name == TINYNN else 1)
        first = results[0].case
        fixed = {"batch": first.network, "width": f"width-width-10, batch {first.batch}", "depth": "layers of 64"}[what]
        axis.set(xlabel=what, title=fixed)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("µs a training step, float32, SGD")
    axes[0].legend(fontsize=8)
    figure.savefig(path, metadata={"Software": None})
    plt.close(figure)


def size(case: Case, what: str) -> int:
    """Return what grows in a case."""
    return {"batch": case.batch, "width": case.sizes[0], "depth": len(case.sizes) - 1}[what]


def ratios(results: Iterable[Result], path: Path) -> None:
    """Draw tinynn's time in units of the others', a line for each case with SGD, with the spread over the rounds."""
    from matplotlib import pyplot as plt

    shown = [one for one in results if one.case.optimizer == "SGD" and one.case.threads == 2]
    figure, axis = plt.subplots(figsize=(9, 1 + 0.32 * len(shown)), dpi=110, layout="constrained")
    for name, color in list(COLORS.items())[1:]:
        places = [place for place, one in enumerate(shown) if name in one.times]
        found = [shown[place].ratio(TINYNN, name) for place in places]
        axis.hlines(places, [one.low for one in found], [one.high for one in found], color=color, alpha=0.3)
        axis.plot([one.value for one in found], places, "o", color=color, label=f"against {name}", markersize=5)
    labels = [f"{one.case.network}, batch {one.case.batch}, {one.case.dtype}" for one in shown]
    axis.set_yticks(range(len(shown)), labels, fontsize=8)
    axis.invert_yaxis()
    axis.axvline(1, color="0.5", linewidth=0.8)
    axis.set(xscale="log", xlabel="time of tinynn over time of the other: left of the line, tinynn is faster")
    axis.grid(alpha=0.3, axis="x")
    figure.legend(fontsize=8, loc="outside right upper")
    figure.savefig(path, metadata={"Software": None})
    plt.close(figure)
