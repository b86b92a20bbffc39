"""Every public layer, loss and optimizer, with ways to build it and something to feed it.

The laws of `tinynn.testing` run over these rows. A public class without a row fails the suite. A row is ::

    Row(nn.Linear, "3-2", lambda rng, dtype, n, m=2: nn.Linear(n, m, rng=rng, dtype=dtype), normal(..., n=3)),
    Row(nn.Tanh, "2-D", nn.Tanh, normal(..., n=3)),
    Row(nn.MSELoss, "2-D", nn.MSELoss, numbers(..., n=4)),

that is: the class, a name, a factory as `check_layer` takes it (a class, or a function of those of ``rng`` and
``dtype`` that it needs), and what draws the inputs. Sizes that are named, ``n`` and ``m`` here, are what the laws use,
and may be replaced by any others: `tests/testing/false_alarms.py` does so. The factory is given those that it names.
``...`` stands for any number of axes, none in the laws. Sizes that are not free are plain numbers, and stand before the
others: ``normal(2, 4, n=3)``. An optimizer has a plain function beside it that does the same, as for `check_optimizer`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from types import EllipsisType, FunctionType, SimpleNamespace
from typing import Any, Literal

import numpy as np

import tinynn as nn
from tinynn.testing.laws.layer_case import LayerCase
from tinynn.testing.laws.optimizer_case import OptimizerCase

SAMPLES = 5

Sizes = Mapping[str, int]


@dataclass(frozen=True)
class Inputs:
    """What draws the inputs of a layer.

    Attributes:
        draw: a function of a generator and a shape, samples first, that returns the inputs in float64 or as integers.
        axes: the axes after that of the samples: a number, the name of a size, or ``...`` for any number of axes.
        sizes: the sizes by their names.
        scaled: which inputs may be multiplied by any number.
    """

    draw: Callable[[np.random.Generator, tuple[int, ...]], tuple[np.ndarray, ...]]
    axes: tuple[int | str | EllipsisType, ...]
    sizes: Sizes
    scaled: tuple[int, ...] = (0,)

    def __call__(
        self, rng: np.random.Generator, dtype: Any, samples: int, extra: tuple[int, ...] = (), **sizes: int
    ) -> tuple[np.ndarray, ...]:
        """Draw inputs of a dtype for a number of samples; ``extra`` are the axes that ``...`` stands for."""
        sizes = {**self.sizes, **sizes}
        shape = [samples]
        for axis in self.axes:
            shape += extra if axis is ... else [axis if isinstance(axis, int) else sizes[axis]]
        arrays = self.draw(rng, tuple(shape))
        return tuple(x.astype(dtype) if x.dtype.kind == "f" else x for x in arrays)


def inputs_of(draw: Callable[..., tuple[np.ndarray, ...]], scaled: tuple[int, ...] = (0,)) -> Callable[..., Inputs]:
    """Make what a row needs out of a function that draws inputs of a shape."""
    return lambda *axes, **sizes: Inputs(draw, (*axes, *sizes), sizes, scaled)


@inputs_of
def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Numbers from the normal distribution, none of them near 0, where kinks are."""
    x = rng.normal(size=shape)
    return (x + np.copysign(0.1, x),)


@inputs_of
def one_sample(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """One sample alone, without an axis of samples."""
    return (rng.normal(size=shape[1:]),)


@inputs_of
def batch(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Numbers from the normal distribution for more samples than one, which has no variance."""
    samples, *axes = shape
    return (rng.normal(size=(2 if samples == 1 else samples, *axes)),)


@partial(inputs_of, scaled=(0, 1))
def pair(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Two inputs; the second one has one number more in its last axis."""
    *axes, last = shape
    return rng.normal(size=shape), rng.normal(size=(*axes, last + 1))


@partial(inputs_of, scaled=(0, 1))
def one_pair(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """The same for one sample alone, without an axis of samples."""
    return rng.normal(size=shape[1:]), rng.normal(size=(*shape[1:-1], shape[-1] + 1))


@partial(inputs_of, scaled=())
def indices(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Integers from 0 to 4."""
    return (rng.integers(5, size=shape),)


@partial(inputs_of, scaled=(0, 1))
def numbers(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """A prediction and a target of numbers."""
    prediction, target = rng.normal(size=(2, *shape))
    return prediction, target


@inputs_of
def labels(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Logits (samples, classes, ...) and integer labels."""
    return rng.normal(size=shape), rng.integers(shape[1], size=shape[:1] + shape[2:])


@inputs_of
def probabilities(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Logits (samples, classes, ...) and positive numbers of the same shape that add up to 1 over the classes."""
    logits, weights = rng.normal(size=(2, *shape))
    weights = np.exp(weights)
    return logits, weights / weights.sum(axis=1, keepdims=True)


@inputs_of
def labels_but_one(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Logits (samples, classes, ...) and integer labels other than 1, and one label in five which is 1."""
    drawn = rng.choice([0, 2, 3], size=shape[:1] + shape[2:])
    drawn.reshape(-1)[2::5] = 1
    return rng.normal(size=shape), drawn


@inputs_of
def logits(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Logits, and numbers between 0 and 1."""
    return rng.normal(size=shape), rng.uniform(size=shape)


@inputs_of
def logarithms(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """A prediction and a target of logarithms."""
    prediction, target = rng.normal(size=(2, *shape))
    return prediction, target


@partial(inputs_of, scaled=())
def chances(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """A prediction and a target of numbers between 0 and 1."""
    return rng.uniform(0.05, 0.95, size=shape), rng.uniform(size=shape)


@partial(inputs_of, scaled=())
def counts(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Logarithms of rates, and integers."""
    return rng.normal(size=shape), rng.poisson(2.0, size=shape)


@inputs_of
def rates(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Rates, and numbers of events."""
    return np.exp(rng.normal(size=shape)), rng.poisson(2.0, size=shape).astype(float)


@partial(inputs_of, scaled=(0, 1))
def variances(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """A prediction and a target of numbers, and variances."""
    return (*rng.normal(size=(2, *shape)), np.exp(rng.normal(size=shape)))


@partial(inputs_of, scaled=(0, 1))
def variance_of_each(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """A prediction and a target of numbers, and a variance for each sample."""
    return (*rng.normal(size=(2, *shape)), np.exp(rng.normal(size=shape[:1])))


@partial(inputs_of, scaled=(0, 1))
def pairs_with_signs(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Two embeddings, and 1 or -1 for each sample."""
    return (*rng.normal(size=(2, *shape)), rng.choice([-1.0, 1.0], size=shape[:1]))


@partial(inputs_of, scaled=(0, 1, 2))
def triplets(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Three embeddings."""
    return tuple(rng.normal(size=(3, *shape)))


@inputs_of
def distances(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Distances, none of them near 1, where the kink is, and integers that are 1 or -1."""
    x = rng.normal(size=shape)
    return 1 + x + np.copysign(0.1, x), rng.choice([-1, 1], size=shape)


@dataclass(frozen=True)
class Row:
    """A layer or a loss in one configuration.

    Attributes:
        covers: the public class that this row is about.
        name: what the configuration is, unique together with the class.
        make: builds it: a class or a function of those of ``rng``, ``dtype`` and the sizes that it names.
        inputs: draws inputs.
        mixes_samples: whether samples are not treated each on its own along the first axis: never (True), or not in
            training mode (``"training"``).
        weighted: whether the mean of a loss is a weighted one.
        broadcasts: whether what a loss takes after its target may be broadcast.
        evaluates: whether the repr is an expression that builds the like of it.
    """

    covers: type[nn.Layer]
    name: str
    make: Callable[..., nn.Layer]
    inputs: Inputs
    mixes_samples: bool | Literal["training"] = False
    weighted: bool = False
    broadcasts: bool = False
    evaluates: bool = True

    @property
    def is_loss(self) -> bool:
        return issubclass(self.covers, nn.Loss)

    @property
    def takes(self) -> Mapping[str, inspect.Parameter]:
        return inspect.signature(self.make).parameters

    @property
    def sizes(self) -> Sizes:
        """The sizes that may be replaced."""
        defaults = {name: parameter.default for name, parameter in self.takes.items()}
        free = isinstance(self.make, FunctionType)  # not the ones of a class
        return {**{name: size for name, size in defaults.items() if free and type(size) is int}, **self.inputs.sizes}

    def factory(self, **sizes: int) -> Callable[..., nn.Layer]:
        """Return what builds the layer, with the sizes of the row or with others."""
        sizes = {**self.sizes, **sizes}
        return partial(self.make, **{name: size for name, size in sizes.items() if name in self.takes})

    def build(self, rng: np.random.Generator, dtype: Any = np.float64, **sizes: int) -> nn.Layer:
        """Build the layer."""
        given = {"rng": rng, "dtype": dtype}
        return self.factory(**sizes)(**{name: value for name, value in given.items() if name in self.takes})

    @property
    def case(self) -> LayerCase:
        """What the laws are tried on."""
        return LayerCase(
            str(self), self.factory(), self.inputs, SAMPLES, self.mixes_samples, self.weighted, self.broadcasts
        )

    def __str__(self) -> str:
        return f"{self.covers.__name__}-{self.name}"


@dataclass(frozen=True)
class OptimizerRow:
    """An optimizer in one configuration: ``make`` builds it for parameters, ``reference`` says what it should do."""

    covers: type[nn.Optimizer]
    name: str
    make: Callable[[Iterable[Any]], nn.Optimizer]
    reference: Callable[[np.ndarray, list[np.ndarray]], Iterable[np.ndarray]] | None = None

    @property
    def case(self) -> OptimizerCase:
        """What the laws are tried on."""
        return OptimizerCase(str(self), self.make, self.reference)

    def __str__(self) -> str:
        return f"{self.covers.__name__}-{self.name}"


def linear(rng: np.random.Generator, dtype: Any, n: int, m: int = 2) -> nn.Linear:
    return nn.Linear(n, m, rng=rng, dtype=dtype)


def square(rng: np.random.Generator, dtype: Any, n: int) -> nn.Linear:
    return nn.Linear(n, n, rng=rng, dtype=dtype)


def sine() -> nn.Elementwise:
    return nn.Elementwise(np.sin, np.cos)


def note_network(rng: np.random.Generator, dtype: Any) -> nn.Sequential:
    """The 3-2-3-4 network of the note."""
    layers: list[nn.Layer] = []
    for before, after in ((3, 2), (2, 3), (3, 4)):
        layers += [nn.Linear(before, after, rng=rng, dtype=dtype), nn.ArctanSigmoid()]
    return nn.Sequential(*layers)


def block(rng: np.random.Generator, dtype: Any, n: int, m: int = 4) -> nn.Sequential:
    """Layers inside a residual connection: they keep the shape (samples, n)."""
    hidden, out = nn.Linear(n, m, rng=rng, dtype=dtype), nn.Linear(m, n, rng=rng, dtype=dtype)
    return nn.Sequential({"hidden": hidden, "tanh": nn.Tanh(), "out": out})


def residual(rng: np.random.Generator, dtype: Any, n: int, m: int = 4) -> nn.Residual:
    return nn.Residual(block(rng, dtype, n, m))


def residual_of_residual(rng: np.random.Generator, dtype: Any, n: int) -> nn.Residual:
    return nn.Residual(nn.Residual(nn.Linear(n, n, rng=rng, dtype=dtype)))


def nested(rng: np.random.Generator, dtype: Any, n: int, m: int = 2) -> nn.Sequential:
    """Containers in containers, one of them empty."""
    return nn.Sequential(
        nn.Residual(block(rng, dtype, n)),
        nn.Sequential(),
        nn.Sequential(nn.Linear(n, m, rng=rng, dtype=dtype), nn.Sigmoid()),
    )


def bilinear(rng: np.random.Generator, dtype: Any, n: int, m: int = 2) -> nn.Bilinear:
    return nn.Bilinear(n, n + 1, m, rng=rng, dtype=dtype)


def embedding(rng: np.random.Generator, dtype: Any, m: int = 3) -> nn.Embedding:
    return nn.Embedding(5, m, rng=rng, dtype=dtype)


def trained(build: Callable[..., nn.Layer], *arguments: Any, **options: Any) -> Callable[..., nn.Layer]:
    """Return a function that builds a layer with random parameters and buffers: ones and zeros would hide mistakes.

    Args:
        build: the class.
        arguments: its arguments; functions of a size n where they depend on it.
        options: its options.
    """

    def make(rng: np.random.Generator, dtype: Any, n: int) -> nn.Layer:
        layer = build(*(value(n) if callable(value) else value for value in arguments), dtype=dtype, **options)
        for parameter in layer.parameters():
            parameter.data = 1 + 0.5 * rng.normal(size=parameter.shape)
        for buffer in layer.buffers():
            floating = buffer.dtype.kind == "f"
            buffer.data = np.exp(rng.normal(size=buffer.shape)) if floating else rng.integers(1, 1000, buffer.shape)
        return layer

    return make


def its_size(n: int) -> int:
    return n


def gate(rng: np.random.Generator, dtype: Any, n: int, m: int = 2) -> nn.Multiply:
    """A gated linear unit."""
    value, control = (nn.Linear(n, m, rng=rng, dtype=dtype) for _ in range(2))
    return nn.Multiply({"value": value, "gate": nn.Sequential(control, nn.Sigmoid())})


def branches(kind: Callable[..., nn.Layer], *more: nn.Layer) -> Callable[..., nn.Layer]:
    """Return a function that builds branches that keep the shape (samples, ..., n), one of them twice."""

    def make(rng: np.random.Generator, dtype: Any, n: int) -> nn.Layer:
        shared = nn.Linear(n, n, rng=rng, dtype=dtype)
        return kind(shared, nn.Identity(), nn.Sequential(shared, nn.Tanh()), shared, *more)

    return make


def towers(kind: Callable[..., nn.Layer]) -> Callable[..., nn.Layer]:
    """Return a function that builds a branch for each of two inputs."""

    def make(rng: np.random.Generator, dtype: Any, n: int, m: int = 2) -> nn.Layer:
        left, right = (nn.Linear(size, m, rng=rng, dtype=dtype) for size in (n, n + 1))
        return kind({"left": left, "right": nn.Sequential(right, nn.Tanh())})

    return make


LAYERS = [
    Row(nn.Linear, "3-2", linear, normal(..., n=3)),
    Row(nn.Linear, "square", square, normal(..., n=3)),
    Row(nn.Linear, "no-bias", lambda rng, dtype, n, m=2: nn.Linear(n, m, False, rng=rng, dtype=dtype), normal(n=3)),
    Row(nn.Linear, "one-by-one", lambda rng, dtype: nn.Linear(1, 1, rng=rng, dtype=dtype), normal(1)),
    Row(nn.Linear, "extra-axes", linear, normal(2, 4, n=3)),
    Row(nn.Linear, "1-D", linear, one_sample(n=3), mixes_samples=True),
    Row(nn.ArctanSigmoid, "2-D", nn.ArctanSigmoid, normal(..., n=3)),
    Row(nn.CELU, "2-D", nn.CELU, normal(..., n=3)),
    Row(nn.CELU, "alpha", partial(nn.CELU, 0.3), normal(..., n=3)),
    Row(nn.ELU, "2-D", nn.ELU, normal(..., n=3)),
    Row(nn.ELU, "alpha", partial(nn.ELU, 0.3), normal(..., n=3)),
    Row(nn.GELU, "2-D", nn.GELU, normal(..., n=3)),
    Row(nn.GELU, "tanh", partial(nn.GELU, "tanh"), normal(..., n=3)),
    Row(nn.Hardsigmoid, "2-D", nn.Hardsigmoid, normal(..., n=3)),
    Row(nn.Hardswish, "2-D", nn.Hardswish, normal(..., n=3)),
    Row(nn.Hardtanh, "2-D", nn.Hardtanh, normal(..., n=3)),
    Row(nn.Hardtanh, "bounds", partial(nn.Hardtanh, -0.5, 2.0), normal(..., n=3)),
    Row(nn.LeakyReLU, "2-D", nn.LeakyReLU, normal(..., n=3)),
    Row(nn.LeakyReLU, "slope", partial(nn.LeakyReLU, 0.3), normal(..., n=3)),
    Row(nn.LogSigmoid, "2-D", nn.LogSigmoid, normal(..., n=3)),
    Row(nn.LogSoftmax, "last-axis", partial(nn.LogSoftmax, dim=-1), normal(..., n=3)),
    Row(nn.LogSoftmax, "samples", partial(nn.LogSoftmax, dim=0), normal(n=3), mixes_samples=True),
    Row(nn.Mish, "2-D", nn.Mish, normal(..., n=3)),
    Row(nn.PReLU, "one-slope", lambda dtype: nn.PReLU(dtype=dtype), normal(..., n=3)),
    Row(nn.PReLU, "channels", lambda dtype, n: nn.PReLU(n, 0.1, dtype=dtype), normal(n=3)),
    Row(nn.PReLU, "extra-axes", lambda dtype: nn.PReLU(2, dtype=dtype), normal(2, n=3)),
    Row(nn.ReLU, "2-D", nn.ReLU, normal(..., n=3)),
    Row(nn.ReLU6, "2-D", nn.ReLU6, normal(..., n=3)),
    Row(nn.SELU, "2-D", nn.SELU, normal(..., n=3)),
    Row(nn.SiLU, "2-D", nn.SiLU, normal(..., n=3)),
    Row(nn.Sigmoid, "2-D", nn.Sigmoid, normal(..., n=3)),
    Row(nn.Softmax, "last-axis", partial(nn.Softmax, dim=-1), normal(..., n=3)),
    Row(nn.Softmax, "channels", partial(nn.Softmax, dim=1), normal(4, n=3)),
    Row(nn.Softmax, "1-D", partial(nn.Softmax, dim=0), one_sample(n=3), mixes_samples=True),
    Row(nn.Softmin, "last-axis", partial(nn.Softmin, dim=-1), normal(..., n=3)),
    Row(nn.Softplus, "2-D", nn.Softplus, normal(..., n=3)),
    Row(nn.Softplus, "threshold", partial(nn.Softplus, 2.0, 1.0), normal(..., n=3)),
    Row(nn.Softsign, "2-D", nn.Softsign, normal(..., n=3)),
    Row(nn.Tanh, "2-D", nn.Tanh, normal(..., n=3)),
    Row(nn.Tanhshrink, "2-D", nn.Tanhshrink, normal(..., n=3)),
    Row(nn.Tanh, "4-D", nn.Tanh, normal(2, 1, n=3)),
    Row(nn.Elementwise, "sine", sine, normal(..., n=3), evaluates=False),
    Row(nn.Identity, "2-D", nn.Identity, normal(..., n=3)),
    Row(nn.Bilinear, "pair", bilinear, pair(..., n=3)),
    Row(nn.Bilinear, "extra-axes", bilinear, pair(2, n=3)),
    Row(nn.Bilinear, "no-bias", lambda rng, dtype: nn.Bilinear(3, 4, 2, False, rng=rng, dtype=dtype), pair(3)),
    Row(nn.Bilinear, "1-D", bilinear, one_pair(n=3), mixes_samples=True),
    Row(nn.Embedding, "2-D", embedding, indices(n=3)),
    Row(nn.Embedding, "1-D", embedding, indices()),
    Row(nn.Embedding, "padding", lambda rng, dtype: nn.Embedding(6, 2, -1, rng=rng, dtype=dtype), indices(n=4)),
    Row(nn.Dropout, "half", lambda rng: nn.Dropout(rng=rng), normal(..., n=3)),
    Row(nn.Dropout, "some", lambda rng: nn.Dropout(0.2, rng=rng), normal(..., n=3)),
    Row(nn.Dropout, "none", lambda: nn.Dropout(0), normal(..., n=3)),
    Row(nn.AlphaDropout, "half", lambda rng: nn.AlphaDropout(rng=rng), normal(..., n=3)),
    Row(nn.AlphaDropout, "some", lambda rng: nn.AlphaDropout(0.2, rng=rng), normal(..., n=3)),
    Row(nn.BatchNorm1d, "2-D", trained(nn.BatchNorm1d, its_size), batch(n=3), "training"),
    Row(nn.BatchNorm1d, "3-D", trained(nn.BatchNorm1d, 3, 0.01, 0.7), batch(3, n=4), "training"),
    Row(nn.BatchNorm1d, "cumulative", trained(nn.BatchNorm1d, its_size, momentum=None), batch(n=3), "training"),
    Row(nn.BatchNorm1d, "no-affine", trained(nn.BatchNorm1d, its_size, affine=False), batch(n=3), "training"),
    Row(nn.BatchNorm1d, "no-bias", trained(nn.BatchNorm1d, its_size, bias=False), batch(n=3), "training"),
    Row(nn.BatchNorm1d, "untracked", trained(nn.BatchNorm1d, its_size, track_running_stats=False), batch(n=3), True),
    Row(nn.BatchNorm2d, "4-D", trained(nn.BatchNorm2d, 3), batch(3, n=2, m=2), "training"),
    Row(nn.LayerNorm, "last-axis", trained(nn.LayerNorm, its_size), normal(..., n=3)),
    Row(nn.LayerNorm, "two-axes", trained(nn.LayerNorm, lambda n: (2, n), 0.01), normal(..., 2, n=3)),
    Row(nn.LayerNorm, "no-affine", trained(nn.LayerNorm, its_size, elementwise_affine=False), normal(..., n=3)),
    Row(nn.LayerNorm, "no-bias", trained(nn.LayerNorm, its_size, bias=False), normal(..., n=3)),
    Row(nn.LayerNorm, "1-D", trained(nn.LayerNorm, its_size), one_sample(n=3), mixes_samples=True),
    Row(nn.RMSNorm, "last-axis", trained(nn.RMSNorm, its_size), normal(..., n=3)),
    Row(nn.RMSNorm, "two-axes", trained(nn.RMSNorm, lambda n: (2, n), 0.01), normal(..., 2, n=3)),
    Row(nn.RMSNorm, "no-affine", trained(nn.RMSNorm, its_size, elementwise_affine=False), normal(..., n=3)),
    Row(nn.GroupNorm, "two-groups", trained(nn.GroupNorm, 2, 4), normal(4, n=3)),
    Row(nn.GroupNorm, "one-group", trained(nn.GroupNorm, 1, its_size, 0.01), normal(n=3)),
    Row(nn.GroupNorm, "no-affine", trained(nn.GroupNorm, 2, 4, affine=False), normal(4, 2, n=2)),
    Row(nn.GroupNorm, "no-bias", trained(nn.GroupNorm, 2, 4, bias=False), normal(4, n=3)),
    Row(nn.Flatten, "4-D", nn.Flatten, normal(2, 1, n=3)),
    Row(nn.Flatten, "some-axes", lambda: nn.Flatten(1, 2), normal(2, 2, n=3)),
    Row(nn.Unflatten, "2-D", lambda: nn.Unflatten(1, (2, 3)), normal(6)),
    Row(nn.Unflatten, "last-axis", lambda: nn.Unflatten(-1, (-1, 2)), normal(2, 4)),
    Row(nn.Sequential, "note", note_network, normal(..., 3), evaluates=False),
    Row(nn.Sequential, "nested", nested, normal(..., n=3), evaluates=False),
    Row(nn.Sequential, "empty", lambda: nn.Sequential(), normal(..., n=3)),
    Row(nn.Residual, "block", residual, normal(..., n=3), evaluates=False),
    Row(nn.Residual, "twice", residual_of_residual, normal(..., n=3), evaluates=False),
    Row(nn.Add, "branches", branches(nn.Add), normal(..., n=3), evaluates=False),
    Row(nn.Add, "towers", towers(nn.Add), pair(..., n=3), evaluates=False),
    Row(nn.Multiply, "branches", branches(nn.Multiply), normal(..., n=3), evaluates=False),
    Row(nn.Multiply, "towers", towers(nn.Multiply), pair(..., n=3), evaluates=False),
    Row(nn.Multiply, "gate", gate, normal(..., n=3), evaluates=False),
    Row(nn.Concatenate, "branches", branches(nn.Concatenate), normal(..., n=3), evaluates=False),
    Row(nn.Concatenate, "axis", branches(partial(nn.Concatenate, dim=1)), normal(2, n=3), evaluates=False),
    Row(nn.Concatenate, "towers", towers(nn.Concatenate), pair(..., n=3), evaluates=False),
]


def _losses(
    covers: type[nn.Loss],
    weighted: bool = False,
    broadcasts: bool = False,
    evaluates: bool = True,
    options: Mapping[str, Any] | None = None,
    **inputs: Inputs,
) -> list[Row]:
    """Return a row for each reduction and each kind of inputs."""
    return [
        Row(
            covers,
            f"{name.replace('_', '-')}-{reduction}",
            partial(covers, reduction=reduction, **(options or {})),
            draw,
            weighted=weighted,
            broadcasts=broadcasts,
            evaluates=evaluates,
        )
        for reduction in covers.reductions
        for name, draw in inputs.items()
    ]


CLASS_WEIGHTS = [0.5, 2.0, 0.75, 1.25]

LOSSES = [
    *_losses(nn.MSELoss, vectors=numbers(..., n=4), matrices=numbers(n=2, m=3)),
    *_losses(nn.L1Loss, vectors=numbers(..., n=4)),
    *_losses(nn.SmoothL1Loss, vectors=numbers(..., n=4)),
    *_losses(nn.SmoothL1Loss, options={"beta": 0.25}, sharp=numbers(..., n=4)),
    *_losses(nn.HuberLoss, options={"delta": 0.5}, vectors=numbers(..., n=4)),
    *_losses(
        nn.CrossEntropyLoss,
        labels=labels(classes=4),
        probabilities=probabilities(classes=4),
        labels_extra_axes=labels(classes=3, n=2, m=2),
        probabilities_extra_axes=probabilities(classes=3, n=2),
    ),
    *_losses(
        nn.CrossEntropyLoss,
        options={"weight": CLASS_WEIGHTS, "label_smoothing": 0.2, "ignore_index": 1},
        weighted=True,
        evaluates=False,
        labels_weighted=labels_but_one(4, n=2),
    ),
    *_losses(
        nn.CrossEntropyLoss,
        options={"weight": CLASS_WEIGHTS, "label_smoothing": 0.2},
        evaluates=False,
        probabilities_weighted=probabilities(4),
    ),
    *_losses(nn.NLLLoss, labels=labels(classes=4), labels_extra_axes=labels(classes=3, n=2, m=2)),
    *_losses(
        nn.NLLLoss,
        options={"weight": CLASS_WEIGHTS, "ignore_index": 1},
        weighted=True,
        evaluates=False,
        labels_weighted=labels_but_one(4, n=2),
    ),
    *_losses(nn.BCELoss, chances=chances(..., n=4)),
    *_losses(nn.BCELoss, options={"weight": CLASS_WEIGHTS}, evaluates=False, chances_weighted=chances(4)),
    *_losses(nn.BCEWithLogitsLoss, logits=logits(..., n=4)),
    *_losses(
        nn.BCEWithLogitsLoss,
        options={"weight": [0.5], "pos_weight": CLASS_WEIGHTS},
        evaluates=False,
        logits_weighted=logits(4),
    ),
    *_losses(nn.KLDivLoss, probabilities=probabilities(classes=4)),
    *_losses(nn.KLDivLoss, options={"log_target": True}, logarithms=logarithms(n=4)),
    *_losses(nn.PoissonNLLLoss, counts=counts(..., n=4)),
    *_losses(nn.PoissonNLLLoss, options={"log_input": False, "full": True}, rates=rates(..., n=4)),
    *_losses(nn.GaussianNLLLoss, broadcasts=True, variances=variances(..., n=4)),
    *_losses(nn.GaussianNLLLoss, options={"full": True}, broadcasts=True, one_variance_each=variance_of_each(n=3)),
    *_losses(nn.CosineEmbeddingLoss, pairs=pairs_with_signs(n=4)),
    *_losses(nn.CosineEmbeddingLoss, options={"margin": -0.5}, margin=pairs_with_signs(n=4)),
    *_losses(nn.TripletMarginLoss, triplets=triplets(..., n=4)),
    *_losses(nn.TripletMarginLoss, options={"p": 3.0, "margin": 5.0, "swap": True}, swapped=triplets(..., n=4)),
    *_losses(nn.HingeEmbeddingLoss, distances=distances(..., n=4)),
]


Rule = Callable[..., Any]


def reference(
    rule: Rule,
    lr: float,
    weight_decay: float = 0.0,
    maximize: bool = False,
    decoupled_weight_decay: bool = False,
    **options: Any,
) -> Callable[[np.ndarray, list[np.ndarray]], Iterable[np.ndarray]]:
    """Return what an optimizer should do, as its docstring says it: W ↦ W - γ rule(t, g, what it remembers)."""

    def trajectory(data: np.ndarray, grads: list[np.ndarray]) -> Iterable[np.ndarray]:
        memory = SimpleNamespace()
        for t, grad in enumerate(grads, start=1):
            g = -grad if maximize else grad
            if decoupled_weight_decay:
                data = (1 - lr * weight_decay) * data
            else:
                g = g + weight_decay * data
            data = data - lr * rule(t, g, memory, **options)
            yield data

    return trajectory


def descent(
    t: int, g: np.ndarray, memory: Any, momentum: float = 0.0, dampening: float = 0.0, nesterov: bool = False
) -> Any:
    memory.v = g if t == 1 else momentum * memory.v + (1 - dampening) * g
    return g + momentum * memory.v if nesterov else memory.v


def moments(t: int, g: np.ndarray, memory: Any, betas: tuple[float, float]) -> tuple[Any, Any, Any]:
    """Return m, m̂ and v̂ of Adam's relatives."""
    if t == 1:
        memory.m, memory.v = 0 * g, 0 * g
    memory.m = betas[0] * memory.m + (1 - betas[0]) * g
    memory.v = betas[1] * memory.v + (1 - betas[1]) * g**2
    return memory.m, memory.m / (1 - betas[0] ** t), memory.v / (1 - betas[1] ** t)


def adam(
    t: int,
    g: np.ndarray,
    memory: Any,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    amsgrad: bool = False,
) -> Any:
    _, mean, square = moments(t, g, memory, betas)
    if amsgrad:
        memory.largest = memory.v if t == 1 else np.maximum(memory.largest, memory.v)
        square = memory.largest / (1 - betas[1] ** t)
    return mean / (np.sqrt(square) + eps)


def nadam(
    t: int,
    g: np.ndarray,
    memory: Any,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    momentum_decay: float = 4e-3,
) -> Any:
    m, _, square = moments(t, g, memory, betas)
    momenta = [betas[0] * (1 - 0.5 * 0.96 ** (step * momentum_decay)) for step in range(1, t + 2)]
    mean = momenta[t] * m / (1 - np.prod(momenta)) + (1 - momenta[t - 1]) * g / (1 - np.prod(momenta[:t]))
    return mean / (np.sqrt(square) + eps)


def radam(t: int, g: np.ndarray, memory: Any, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8) -> Any:
    _, mean, _ = moments(t, g, memory, betas)
    most = 2 / (1 - betas[1]) - 1
    worth = most - 2 * t * betas[1] ** t / (1 - betas[1] ** t)
    if worth <= 5:
        return mean
    r = np.sqrt((worth - 4) * (worth - 2) * most / ((most - 4) * (most - 2) * worth))
    return r * mean * np.sqrt(1 - betas[1] ** t) / (np.sqrt(memory.v) + eps)


def rmsprop(
    t: int,
    g: np.ndarray,
    memory: Any,
    alpha: float = 0.99,
    eps: float = 1e-8,
    momentum: float = 0.0,
    centered: bool = False,
) -> Any:
    if t == 1:
        memory.v, memory.m, memory.b = 0 * g, 0 * g, 0 * g
    memory.v = alpha * memory.v + (1 - alpha) * g**2
    memory.m = alpha * memory.m + (1 - alpha) * g
    memory.b = momentum * memory.b + g / (np.sqrt(memory.v - centered * memory.m**2) + eps)
    return memory.b


def adagrad(
    t: int,
    g: np.ndarray,
    memory: Any,
    lr_decay: float = 0.0,
    initial_accumulator_value: float = 0.0,
    eps: float = 1e-10,
) -> Any:
    memory.s = g**2 + (initial_accumulator_value if t == 1 else memory.s)
    return g / (np.sqrt(memory.s) + eps) / (1 + (t - 1) * lr_decay)


def adadelta(t: int, g: np.ndarray, memory: Any, rho: float = 0.9, eps: float = 1e-6) -> Any:
    if t == 1:
        memory.u, memory.v = 0 * g, 0 * g
    memory.v = rho * memory.v + (1 - rho) * g**2
    step = g * np.sqrt(memory.u + eps) / np.sqrt(memory.v + eps)
    memory.u = rho * memory.u + (1 - rho) * step**2
    return step


def _optimizer(covers: type[nn.Optimizer], rule: Rule, name: str, /, **options: Any) -> OptimizerRow:
    own = {"weight_decay": 1e-2, "decoupled_weight_decay": True} if covers is nn.AdamW else {}
    return OptimizerRow(covers, name, partial(covers, **options), reference(rule, **{**own, **options}))


OPTIMIZERS = [
    _optimizer(nn.Adadelta, adadelta, "plain", lr=1.0),
    _optimizer(nn.Adadelta, adadelta, "decay-uphill", lr=0.5, rho=0.5, eps=0.01, weight_decay=0.1, maximize=True),
    _optimizer(nn.Adagrad, adagrad, "plain", lr=0.1),
    _optimizer(nn.Adagrad, adagrad, "slowing", lr=0.5, lr_decay=0.1, initial_accumulator_value=0.3, eps=0.01),
    _optimizer(nn.Adagrad, adagrad, "decay-uphill", lr=0.1, weight_decay=0.1, maximize=True),
    _optimizer(nn.Adam, adam, "plain", lr=0.1),
    _optimizer(nn.Adam, adam, "quick", lr=0.1, betas=(0.5, 0.6), eps=0.1),
    _optimizer(nn.Adam, adam, "amsgrad", lr=0.1, betas=(0.9, 0.5), amsgrad=True),
    _optimizer(nn.Adam, adam, "decay-uphill", lr=0.1, weight_decay=0.1, maximize=True),
    _optimizer(nn.Adam, adam, "decoupled", lr=0.1, weight_decay=0.1, decoupled_weight_decay=True),
    _optimizer(nn.AdamW, adam, "plain", lr=0.1),
    _optimizer(nn.AdamW, adam, "decay-uphill", lr=0.1, betas=(0.8, 0.9), weight_decay=0.5, amsgrad=True, maximize=True),
    _optimizer(nn.NAdam, nadam, "plain", lr=0.1),
    _optimizer(nn.NAdam, nadam, "quick", lr=0.1, betas=(0.5, 0.6), eps=0.1, momentum_decay=0.2),
    _optimizer(nn.NAdam, nadam, "decay-uphill", lr=0.1, weight_decay=0.1, maximize=True),
    _optimizer(nn.NAdam, nadam, "decoupled", lr=0.1, weight_decay=0.1, decoupled_weight_decay=True),
    _optimizer(nn.RAdam, radam, "plain", lr=0.1),
    _optimizer(nn.RAdam, radam, "quick", lr=0.1, betas=(0.5, 0.6), eps=0.1),
    _optimizer(nn.RAdam, radam, "decay-uphill", lr=0.1, weight_decay=0.1, maximize=True),
    _optimizer(nn.RAdam, radam, "decoupled", lr=0.1, weight_decay=0.1, decoupled_weight_decay=True),
    _optimizer(nn.RMSprop, rmsprop, "plain", lr=0.1),
    _optimizer(nn.RMSprop, rmsprop, "momentum", lr=0.1, alpha=0.9, momentum=0.5, eps=0.01),
    _optimizer(nn.RMSprop, rmsprop, "centered", lr=0.1, alpha=0.5, momentum=0.9, eps=0.1, centered=True),
    _optimizer(nn.RMSprop, rmsprop, "decay-uphill", lr=0.1, weight_decay=0.1, maximize=True),
    _optimizer(nn.SGD, descent, "plain", lr=0.1),
    _optimizer(nn.SGD, descent, "momentum", lr=0.1, momentum=0.9),
    _optimizer(nn.SGD, descent, "damped", lr=0.1, momentum=0.9, dampening=0.3),
    _optimizer(nn.SGD, descent, "nesterov", lr=0.1, momentum=0.9, nesterov=True),
    _optimizer(nn.SGD, descent, "decay-uphill", lr=0.1, momentum=0.5, weight_decay=0.01, maximize=True),
]

COMPUTING = [*LAYERS, *LOSSES]
ABSTRACT = {nn.Layer, nn.Loss, nn.ElementwiseLoss, nn.Optimizer}


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
