"""Where the time goes: a profile by function."""

from __future__ import annotations

import cProfile
import pstats
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.cases import Case
from tests.benchmarks.contenders import TINYNN, build


@dataclass(frozen=True)
class Hotspot:
    """A function, and its share of the profiled time, without the time of the functions that it calls."""

    function: str
    calls: float
    share: float


def hotspots(case: Case, steps: int, contender: str = TINYNN) -> list[Hotspot]:
    """Return where a contender spends its time, most first. ``calls`` are for one step."""
    run = build(contender, case)
    run(1 + steps // 10)
    profile = cProfile.Profile()
    profile.runcall(run, steps)
    spent: dict[str, list[tuple[int, float]]] = {}
    for place, (_, calls, own, _, _) in pstats.Stats(profile).stats.items():
        spent.setdefault(_named(place), []).append((calls, own))  # functions of equal name in a file are one
    total = sum(own for entries in spent.values() for _, own in entries)
    spots = [
        Hotspot(name, sum(calls for calls, _ in entries) / steps, sum(own for _, own in entries) / total)
        for name, entries in spent.items()
    ]
    return sorted(spots, key=lambda spot: -spot.share)


def _named(place: tuple[str, int, str]) -> str:
    path, _, function = place
    if path == "~":
        return function.strip("<>")
    return f"{Path(path).parent.name}/{Path(path).name}: {function}"
