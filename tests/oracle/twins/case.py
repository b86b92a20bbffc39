"""How a class is described that has a twin in PyTorch, and the cases that follow from it: every pair of values once.

A description is ::

    Twin(
        "CrossEntropyLoss",
        {"2-D": (normal(5, 3), labels(5, classes=3)), "one sample": (normal(3), labels(classes=3))},
        arguments={"label_smoothing": (0.0, 0.3), "reduction": ("mean", "sum", "none")},
        at=(0,),
    )

It names the class, kinds of inputs and the values of its arguments, two or more of each. From these come cases such
that any two values of two arguments occur together in some case; kinds of inputs and modes count as arguments here.
What cannot be combined is told by ``allowed``, which is given a case as a dict, with ``inputs`` and ``mode`` in it.

All numbers are float32, and so exact in float64. Nothing here knows tinynn or PyTorch.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Draw = Callable[[np.random.Generator], np.ndarray]
Values = Mapping[str, Sequence[Any]]


# What draws arrays


def normal(*shape: int, scale: float = 1.0, offset: float = 0.0) -> Draw:
    """Numbers from the normal distribution."""
    return lambda rng: np.asarray(scale * rng.normal(size=shape) + offset, np.float32)


def positive(*shape: int) -> Draw:
    """Numbers above 0.1."""
    return lambda rng: np.asarray(0.1 + np.exp(rng.normal(size=shape)), np.float32)


def uniform(*shape: int, low: float = 0.0, high: float = 1.0) -> Draw:
    """Numbers between ``low`` and ``high``."""
    return lambda rng: np.asarray(rng.uniform(low, high, size=shape), np.float32)


def signs(*shape: int) -> Draw:
    """Numbers that are -1 or 1."""
    return lambda rng: np.asarray(rng.choice([-1, 1], size=shape), np.float32)


def labels(*shape: int, classes: int) -> Draw:
    """Integers from 0 to ``classes`` - 1."""
    return lambda rng: np.asarray(rng.integers(classes, size=shape))


def probabilities(*shape: int, axis: int = 1) -> Draw:
    """Positive numbers that add up to 1 along an axis."""

    def draw(rng: np.random.Generator) -> np.ndarray:
        weights = np.exp(rng.normal(size=shape))
        return (weights / weights.sum(axis=axis, keepdims=True)).astype(np.float32)

    return draw


def these(*numbers: float, dtype: Any = np.float32) -> Draw:
    """The numbers given, one after the other."""
    return lambda rng: np.array(numbers, dtype)


def array(*numbers: float) -> np.ndarray:
    """Return an argument that is an array, such as the weights of classes."""
    return np.array(numbers, np.float32)


# Descriptions and cases


@dataclass(frozen=True)
class Case:
    """A class with one choice of arguments, inputs and mode."""

    kind: str
    leading: tuple[Any, ...]
    arguments: Mapping[str, Any]
    inputs: tuple[Draw, ...]
    mode: str
    steps: int
    at: tuple[int, ...] | None
    state: Mapping[str, Draw]
    tolerance: float
    label: str

    @property
    def name(self) -> str:
        given = [*map(repr, self.leading), *(f"{name}={_text(value)}" for name, value in self.arguments.items())]
        return f"{self.kind}({', '.join(given)}): {self.label}, {self.mode}"

    def rng(self) -> np.random.Generator:
        """Return the generator of this case, which depends on its name alone."""
        return np.random.default_rng(zlib.crc32(self.name.encode()))


@dataclass(frozen=True)
class Twin:
    """A class of the same name here and in PyTorch, and what to try it with.

    Attributes:
        kind: the name of the class.
        inputs: what draws the inputs, in several kinds, each with a name.
        leading: arguments that are the same in all cases, given by position.
        arguments: the values of each argument that is given by name.
        modes: ``"train"``, ``"eval"`` or both.
        steps: how many forwards and backwards are made, one after the other, each with inputs of its own.
        at: which inputs have a gradient; None for all that are no integers.
        state: what draws parameters and buffers, by their names in the state dict, that shall not be normal numbers
            (or 3, where they are integers).
        tolerance: how far float64 results may be apart. It is larger only where PyTorch itself is not exact.
        allowed: whether values can be combined.
    """

    kind: str
    inputs: Mapping[str, tuple[Draw, ...]]
    leading: tuple[Any, ...] = ()
    arguments: Values = field(default_factory=dict)
    modes: tuple[str, ...] = ("train",)
    steps: int = 1
    at: tuple[int, ...] | None = None
    state: Mapping[str, Draw] = field(default_factory=dict)
    tolerance: float = 1e-10
    allowed: Callable[[Mapping[str, Any]], bool] = lambda choice: True

    @property
    def values(self) -> Values:
        """The values of everything that is varied."""
        return {**self.arguments, "inputs": tuple(self.inputs), "mode": self.modes}

    def cases(self) -> Iterator[Case]:
        """Yield cases in which every pair of values occurs that can be combined."""
        for choice in all_pairs(self.values, self.allowed):
            label, mode = choice.pop("inputs"), choice.pop("mode")
            rest = (self.inputs[label], mode, self.steps, self.at, self.state, self.tolerance, label)
            yield Case(self.kind, self.leading, choice, *rest)


def pairs(values: Values, allowed: Callable[[Mapping[str, Any]], bool]) -> dict[tuple[int, ...], set[Any]]:
    """Return every combination that is allowed, as indices of its values, with the pairs that occur in it."""
    result = {}
    for row in itertools.product(*(range(len(options)) for options in values.values())):
        if allowed({name: options[index] for (name, options), index in zip(values.items(), row, strict=True)}):
            result[row] = set(itertools.combinations(enumerate(row), 2)) or set(enumerate(row))
    return result


def all_pairs(values: Values, allowed: Callable[[Mapping[str, Any]], bool] = lambda choice: True) -> list[Any]:
    """Return combinations of values such that every pair occurs that is allowed: always the one with most new pairs."""
    combinations = pairs(values, allowed)
    missing = set().union(*combinations.values())
    chosen = []
    while missing:
        best = max(combinations, key=lambda row: len(combinations[row] & missing))
        missing -= combinations.pop(best)
        chosen.append({name: options[i] for (name, options), i in zip(values.items(), best, strict=True)})
    return chosen


def each_once(twins: Iterable[Twin]) -> list[Case]:
    """Return the cases of several twins; what two of them have in common comes once."""
    return list({case.name: case for twin in twins for case in twin.cases()}.values())


def distance(a: Any, b: Any) -> float:
    """Return the largest |a - b| / max(1, |b|): 0 where both are the same infinity, or both no number."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape:
        raise ValueError(f"shapes {a.shape} and {b.shape}")
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore", over="ignore"):
        return float(np.max(np.where(same, 0, np.abs(a - b) / np.maximum(1, np.abs(b))), initial=0))


def _text(value: Any) -> str:
    return repr(value.tolist()) if isinstance(value, np.ndarray) else repr(value)
