"""A layer, or a loss, that laws are tried on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from tinynn.core.layer import Layer
from tinynn.core.passes import no_grad
from tinynn.testing.laws.bench import Bench, at_outputs
from tinynn.testing.laws.factory import arguments_of, build
from tinynn.testing.laws.inputs import Draw
from tinynn.testing.moving import Moving, State
from tinynn.testing.subject import as_tuple
from tinynn.typing import Array

__all__ = ["LayerCase"]


@dataclass(frozen=True)
class LayerCase:
    """A way to build a layer and to feed it.

    Attributes:
        name: what it is called.
        factory: builds the layer: takes those of ``rng``, ``dtype`` and, for a loss, ``reduction`` that it names.
        draw: draws inputs from a generator, of a dtype, for a number of samples.
        samples: the usual number of samples.
        mixes_samples: whether the samples are not treated each on its own: True, or in ``"training"`` only.
        weighted: whether the mean of a loss is a weighted one.
        broadcasts: whether what a loss takes after its target may have a shape that is broadcast.
        max_elements: how many elements of a gradient are measured at most.
        seed: where all randomness comes from.
    """

    name: str
    factory: Callable[..., Layer]
    draw: Draw
    samples: int = 5
    mixes_samples: bool | Literal["training"] = False
    weighted: bool = False
    broadcasts: bool = False
    max_elements: int | None = None
    seed: int = 0

    def layer(self, dtype: Any = np.float64, seed: int = 0, training: bool = True, **options: Any) -> Layer:
        """Return a new layer, the same for the same seed."""
        rng = np.random.default_rng([self.seed, seed])
        layer: Layer = build(self.factory, rng=rng, dtype=dtype, **options)
        if self._start is not None:
            layer.load_state_dict(self._start[0])
            Moving(layer).put_back(self._start[1])
        return (layer if self.takes("dtype") else layer.astype(dtype)).train(training)

    @cached_property
    def _start(self) -> tuple[dict[str, Array], State] | None:
        """How every layer starts, where the factory draws by itself and so never builds the same twice."""
        if self.takes("rng"):
            return None
        start, other = (
            (layer.state_dict(), Moving(layer).state())
            for layer in (build(self.factory, dtype=np.float64), build(self.factory, dtype=np.float64))
        )
        return start if repr(start) != repr(other) else None

    def inputs(self, dtype: Any = np.float64, seed: int = 0, samples: int | None = None) -> tuple[Array, ...]:
        """Return new inputs; their number of samples is another than the usual one only where that is free."""
        count = self.samples if samples is None or self.mixes_samples is True else samples
        return self.draw(np.random.default_rng([self.seed, 1, seed]), dtype, count)

    def grads(self, inputs: tuple[Array, ...], dtype: Any = np.float64, seed: int = 0, **options: Any) -> Any:
        """Return gradients for the outputs that these inputs give; none for a loss that is one number."""
        probe = self.layer(dtype, **options)
        if not probe.needs_grad:
            return ()
        with no_grad():
            return at_outputs(as_tuple(probe(*inputs)), np.random.default_rng([self.seed, 2, seed]))

    def bench(self, dtype: Any = np.float64, seed: int = 0, samples: int | None = None, **options: Any) -> Bench:
        """Return a new layer, which is the same for every seed, with inputs and gradients for it."""
        inputs = self.inputs(dtype, seed, samples)
        return Bench(self.layer(dtype, **options), inputs, self.grads(inputs, dtype, seed, **options))

    def takes(self, name: str) -> bool:
        """Whether the factory takes an argument of this name."""
        return name in arguments_of(self.factory)

    @cached_property
    def specimen(self) -> Layer:
        """A layer, to be looked at only."""
        return self.layer()

    @cached_property
    def is_random(self) -> bool:
        """Whether forward draws random numbers in training mode."""
        layer = self.layer()
        moving = Moving(layer)
        before = repr(moving.state()[: len(moving.generators)])
        with no_grad():
            layer(*self.inputs())
        return repr(moving.state()[: len(moving.generators)]) != before

    @cached_property
    def shapes(self) -> list[tuple[int, ...]]:
        """The shapes of the outputs."""
        with no_grad():
            return [np.shape(y) for y in as_tuple(self.layer()(*self.inputs()))]
