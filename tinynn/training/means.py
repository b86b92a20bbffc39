"""Means over samples of numbers that come batch by batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["Means"]


class Means:
    """Sums over samples, by name, and how many samples there were."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.samples = 0

    def add(self, name: str, total: float) -> None:
        """Add what a batch sums up to."""
        self.sums[name] = self.sums.get(name, 0.0) + total

    def means(self) -> dict[str, float]:
        """Return the mean over all samples under each name."""
        return {name: total / self.samples for name, total in self.sums.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of sums and samples."""
        return {"sums": dict(self.sums), "samples": self.samples}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from other sums."""
        self.sums, self.samples = dict(state_dict["sums"]), state_dict["samples"]
