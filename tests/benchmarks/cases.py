"""What is measured: a network, a batch, a dtype, an optimizer, a number of threads; and the arrays to start from."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

SEED = 0
LR, MOMENTUM = 0.001, 0.9
BETA1, BETA2, EPS = 0.9, 0.999, 1e-8
OPTIMIZERS = ("SGD", "SGD with momentum", "Adam")


@dataclass(frozen=True)
class Case:
    """One comparison: what every contender does, and the arrays that it starts from, which are the same for all.

    Attributes:
        sizes: of the input, and of each layer's output.
        batch: samples at once.
        task: ``"training"`` (forward, loss, zero_grad, backward, step) or ``"inference"`` (forward alone).
        nonlinearity: ``"arctan sigmoid"`` after every layer, or ``"logistic"`` after every layer but the last, which is
            what scikit-learn can express.
    """

    sizes: tuple[int, ...]
    batch: int
    dtype: str = "float32"
    optimizer: str = "SGD"
    threads: int = 2
    task: str = "training"
    nonlinearity: str = "arctan sigmoid"

    @property
    def network(self) -> str:
        """The sizes as text: 64-64-10, or 1024×4 for four layers of equal width."""
        width, layers = self.sizes[0], len(self.sizes) - 1
        return f"{width}×{layers}" if set(self.sizes) == {width} else "-".join(map(str, self.sizes))

    @property
    def setting(self) -> str:
        """All but the network and the batch."""
        parts = [self.task, self.dtype, *([self.optimizer] if self.task == "training" else [])]
        parts += [f"{self.threads} thread{'s' if self.threads > 1 else ''}"]
        return ", ".join(parts + ([self.nonlinearity] if self.nonlinearity == "logistic" else []))

    def __str__(self) -> str:
        return f"{self.network}, batch {self.batch}, {self.setting}"

    @cached_property
    def layers(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """The weight (out, in) and the bias (out,) of each layer, U(±1/√in)."""
        rng, layers = np.random.default_rng(SEED), []
        for before, after in itertools.pairwise(self.sizes):
            arrays = (rng.uniform(-1, 1, shape) / math.sqrt(before) for shape in ((after, before), after))
            layers.append(tuple(array.astype(self.dtype) for array in arrays))
        return layers

    @cached_property
    def x(self) -> np.ndarray:
        return np.random.default_rng(SEED + 1).normal(size=(self.batch, self.sizes[0])).astype(self.dtype)

    @cached_property
    def target(self) -> np.ndarray:
        return np.random.default_rng(SEED + 2).uniform(size=(self.batch, self.sizes[-1])).astype(self.dtype)


NOTE = (3, 2, 3, 4)
SMALL = (64, 64, 10)
MEDIUM = (784, 256, 128, 10)
LARGE = (1024,) * 5
HUGE = (4096,) * 3
SHAPES = [
    *((NOTE, 1), (SMALL, 1), (SMALL, 32)),
    *((MEDIUM, 32), (MEDIUM, 128), (MEDIUM, 512)),
    *((LARGE, 64), (LARGE, 512), (HUGE, 256)),
]

TRAINING = [
    Case(sizes, batch, dtype, optimizer, threads)
    for optimizer in OPTIMIZERS
    for dtype in ("float32", "float64")
    for threads in (2, 1)
    for sizes, batch in SHAPES
]
LOGISTIC = [
    Case(sizes, batch, "float32", optimizer, nonlinearity="logistic")
    for optimizer in OPTIMIZERS
    for sizes, batch in ((SMALL, 32), (MEDIUM, 128))
]
INFERENCE = [
    Case(sizes, batch, dtype, task="inference")
    for dtype in ("float32", "float64")
    for sizes in (NOTE, SMALL, MEDIUM)
    for batch in (1, 512)
]
GROWTH = {
    "batch": [Case(SMALL, batch) for batch in (1, 4, 16, 64, 256, 1024, 4096)],
    "width": [Case((width, width, 10), 32) for width in (8, 32, 128, 512, 2048)],
    "depth": [Case((64,) * (depth + 1), 32) for depth in (1, 2, 4, 8, 16, 32)],
}
"""What grows, and the cases: from small to large."""
