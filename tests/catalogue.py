"""Every public layer, loss and optimizer, with ways to build it and something to feed it.

The laws that hold for all of them run over these rows. A public class without a row fails the suite.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

import tinynn as nn

SAMPLES = 5


@dataclass(frozen=True)
class Row:
    """A layer or a loss in one configuration.

    Attributes:
        covers: the public class that this row is about.
        name: what the configuration is, unique together with the class.
        make: builds it from a generator and a dtype.
        inputs: draws inputs from a generator, of a dtype, for a number of samples.
        keeps_shape: whether the output has the shape of the input.
        rowwise: whether every sample is treated on its own, along the first axis.
        averages: whether it averages over the samples, so that a batch of none has no answer.
        evaluates: whether the repr is an expression that builds the like of it.
    """

    covers: type[nn.Layer]
    name: str
    make: Callable[[np.random.Generator, Any], nn.Layer]
    inputs: Callable[[np.random.Generator, Any, int], tuple[np.ndarray, ...]]
    keeps_shape: bool = False
    rowwise: bool = True
    averages: bool = False
    evaluates: bool = True

    @property
    def is_loss(self) -> bool:
        return issubclass(self.covers, nn.Loss)

    def __str__(self) -> str:
        return f"{self.covers.__name__}-{self.name}"


@dataclass(frozen=True)
class OptimizerRow:
    """An optimizer in one configuration: ``make`` builds it for parameters."""

    covers: type[nn.Optimizer]
    name: str
    make: Callable[[Iterable[Any]], nn.Optimizer]

    def __str__(self) -> str:
        return f"{self.covers.__name__}-{self.name}"


def normal(*shape: int) -> Callable[..., tuple[np.ndarray, ...]]:
    """Inputs from the normal distribution, samples along the first axis, none of them near 0, where kinks are."""

    def draw(rng: np.random.Generator, dtype: Any, samples: int) -> tuple[np.ndarray, ...]:
        x = rng.normal(size=(samples, *shape))
        return ((x + np.copysign(0.1, x)).astype(dtype),)

    return draw


def one_sample(size: int) -> Callable[..., tuple[np.ndarray, ...]]:
    """A 1-D input, whatever the number of samples."""
    return lambda rng, dtype, samples: (rng.normal(size=size).astype(dtype),)


def numbers(*shape: int) -> Callable[..., tuple[np.ndarray, ...]]:
    """A prediction and a target of numbers."""

    def draw(rng: np.random.Generator, dtype: Any, samples: int) -> tuple[np.ndarray, ...]:
        prediction, target = rng.normal(size=(2, samples, *shape)).astype(dtype)
        return prediction, target

    return draw


def labels(classes: int, *shape: int) -> Callable[..., tuple[np.ndarray, ...]]:
    """Logits (samples, classes, *shape) and integer labels."""

    def draw(rng: np.random.Generator, dtype: Any, samples: int) -> tuple[np.ndarray, ...]:
        logits = rng.normal(size=(samples, classes, *shape)).astype(dtype)
        return logits, rng.integers(classes, size=(samples, *shape))

    return draw


def probabilities(classes: int, *shape: int) -> Callable[..., tuple[np.ndarray, ...]]:
    """Logits (samples, classes, *shape) and positive numbers of the same shape that add up to 1 over the classes."""

    def draw(rng: np.random.Generator, dtype: Any, samples: int) -> tuple[np.ndarray, ...]:
        logits, weights = rng.normal(size=(2, samples, classes, *shape))
        weights = np.exp(weights)
        return logits.astype(dtype), (weights / weights.sum(axis=1, keepdims=True)).astype(dtype)

    return draw


def note_network(rng: np.random.Generator, dtype: Any) -> nn.Sequential:
    """The 3-2-3-4 network of the note."""
    layers: list[nn.Layer] = []
    for before, after in ((3, 2), (2, 3), (3, 4)):
        layers += [nn.Linear(before, after, rng=rng, dtype=dtype), nn.ArctanSigmoid()]
    return nn.Sequential(*layers)


def block(rng: np.random.Generator, dtype: Any) -> nn.Sequential:
    """Layers inside a residual connection: they keep the shape (samples, 3)."""
    return nn.Sequential(
        {
            "hidden": nn.Linear(3, 4, rng=rng, dtype=dtype),
            "tanh": nn.Tanh(),
            "out": nn.Linear(4, 3, rng=rng, dtype=dtype),
        }
    )


def nested(rng: np.random.Generator, dtype: Any) -> nn.Sequential:
    """Containers in containers, one of them empty."""
    return nn.Sequential(
        nn.Residual(block(rng, dtype)),
        nn.Sequential(),
        nn.Sequential(nn.Linear(3, 2, rng=rng, dtype=dtype), nn.Sigmoid()),
    )


LAYERS = [
    Row(nn.Linear, "3-2", lambda rng, dtype: nn.Linear(3, 2, rng=rng, dtype=dtype), normal(3)),
    Row(nn.Linear, "square", lambda rng, dtype: nn.Linear(3, 3, rng=rng, dtype=dtype), normal(3), keeps_shape=True),
    Row(nn.Linear, "no-bias", lambda rng, dtype: nn.Linear(3, 2, False, rng=rng, dtype=dtype), normal(3)),
    Row(nn.Linear, "one-by-one", lambda rng, dtype: nn.Linear(1, 1, rng=rng, dtype=dtype), normal(1), keeps_shape=True),
    Row(nn.Linear, "extra-axes", lambda rng, dtype: nn.Linear(3, 2, rng=rng, dtype=dtype), normal(2, 4, 3)),
    Row(nn.Linear, "1-D", lambda rng, dtype: nn.Linear(3, 2, rng=rng, dtype=dtype), one_sample(3), rowwise=False),
    Row(nn.ArctanSigmoid, "2-D", lambda rng, dtype: nn.ArctanSigmoid(), normal(3), keeps_shape=True),
    Row(nn.ReLU, "2-D", lambda rng, dtype: nn.ReLU(), normal(3), keeps_shape=True),
    Row(nn.Sigmoid, "2-D", lambda rng, dtype: nn.Sigmoid(), normal(3), keeps_shape=True),
    Row(nn.Tanh, "2-D", lambda rng, dtype: nn.Tanh(), normal(3), keeps_shape=True),
    Row(nn.Tanh, "4-D", lambda rng, dtype: nn.Tanh(), normal(2, 1, 3), keeps_shape=True),
    Row(
        nn.Elementwise,
        "sine",
        lambda rng, dtype: nn.Elementwise(np.sin, np.cos),
        normal(3),
        keeps_shape=True,
        evaluates=False,
    ),
    Row(nn.Identity, "2-D", lambda rng, dtype: nn.Identity(), normal(3), keeps_shape=True),
    Row(nn.Sequential, "note", note_network, normal(3), evaluates=False),
    Row(nn.Sequential, "nested", nested, normal(3), evaluates=False),
    Row(nn.Sequential, "empty", lambda rng, dtype: nn.Sequential(), normal(3), keeps_shape=True),
    Row(
        nn.Residual,
        "block",
        lambda rng, dtype: nn.Residual(block(rng, dtype)),
        normal(3),
        keeps_shape=True,
        evaluates=False,
    ),
    Row(
        nn.Residual,
        "twice",
        lambda rng, dtype: nn.Residual(nn.Residual(nn.Linear(3, 3, rng=rng, dtype=dtype))),
        normal(3),
        keeps_shape=True,
        evaluates=False,
    ),
]


def _loss(covers: type[nn.Loss], reduction: str, name: str, inputs: Any, averages: bool) -> Row:
    return Row(
        covers,
        f"{name}-{reduction}",
        lambda rng, dtype: covers(reduction=reduction),
        inputs,
        rowwise=reduction == "none",
        averages=averages,
    )


LOSSES = [
    *(
        _loss(nn.MSELoss, reduction, name, inputs, averages=reduction in {"half", "mean"})
        for reduction in ("half", "mean", "sum", "none")
        for name, inputs in (("2-D", numbers(4)), ("3-D", numbers(2, 3)))
    ),
    *(
        _loss(nn.CrossEntropyLoss, reduction, name, inputs, averages=reduction == "mean")
        for reduction in ("mean", "sum", "none")
        for name, inputs in (
            ("labels", labels(4)),
            ("probabilities", probabilities(4)),
            ("labels-extra-axes", labels(3, 2, 2)),
            ("probabilities-extra-axes", probabilities(3, 2)),
        )
    ),
]

OPTIMIZERS = [
    OptimizerRow(nn.SGD, "plain", lambda params: nn.SGD(params, lr=0.1)),
    OptimizerRow(nn.SGD, "momentum", lambda params: nn.SGD(params, lr=0.1, momentum=0.9)),
    OptimizerRow(nn.SGD, "damped", lambda params: nn.SGD(params, lr=0.1, momentum=0.9, dampening=0.3)),
    OptimizerRow(nn.SGD, "nesterov", lambda params: nn.SGD(params, lr=0.1, momentum=0.9, nesterov=True)),
    OptimizerRow(
        nn.SGD, "decay-uphill", lambda params: nn.SGD(params, lr=0.1, momentum=0.5, weight_decay=0.01, maximize=True)
    ),
]

COMPUTING = [*LAYERS, *LOSSES]
ABSTRACT = {nn.Layer, nn.Loss, nn.Optimizer}


def missing(names: Iterable[str]) -> set[str]:
    """Return those of the names in ``tinynn`` that are layers, losses or optimizers without a row."""
    covered = {row.covers for row in (*COMPUTING, *OPTIMIZERS)} | ABSTRACT
    public = {name: getattr(nn, name) for name in names}
    kinds = (nn.Layer, nn.Optimizer)
    return {
        name
        for name, value in public.items()
        if isinstance(value, type) and issubclass(value, kinds) and value not in covered
    }
