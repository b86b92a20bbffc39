"""An optimizer that laws are tried on, with parameters and recorded gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinynn.core.optimizer import Optimizer
from tinynn.core.parameter import Parameter
from tinynn.errors import ArgumentTypeError, expects
from tinynn.testing.laws.comparison import Results
from tinynn.typing import Array

__all__ = ["OptimizerCase", "Reference", "Run"]

Reference = Callable[[Array, list[Array]], Iterable[Array]]
"""What an optimizer should do: from an array and the gradients of all steps to the array after each step."""

SHAPES = ((3, 2), (4,), ())


@dataclass(frozen=True)
class OptimizerCase:
    """A way to build an optimizer, and what to feed it.

    Attributes:
        name: what it is called.
        factory: builds the optimizer for parameters, or groups of them.
        reference: a plain function that does the same; None where there is none.
        steps: how many steps are compared with the reference.
        seed: where all randomness comes from.
    """

    name: str
    factory: Callable[[Any], Optimizer]
    reference: Reference | None = None
    steps: int = 100
    seed: int = 0

    def optimizer(self, params: Any) -> Optimizer:
        """Return a new optimizer.

        Raises:
            ArgumentTypeError: if the factory builds something else.
        """
        optimizer = self.factory(params)
        if not isinstance(optimizer, Optimizer):
            what = "a factory that builds a subclass of nn.Optimizer"
            raise ArgumentTypeError(expects("check_optimizer", what, repr(optimizer)))
        return optimizer

    def parameter(self, number: int, dtype: Any = np.float64) -> Parameter:
        """Return a new parameter, one of three, the same for every call."""
        rng = np.random.default_rng([self.seed, number])
        return Parameter(rng.normal(size=SHAPES[number]), dtype=dtype)

    def grad(self, number: int, step: int) -> Array:
        """Return the gradient of a parameter in a step."""
        return np.asarray(np.random.default_rng([self.seed, number, step]).normal(size=SHAPES[number]))

    def run(self, numbers: Iterable[int] = range(len(SHAPES)), dtype: Any = np.float64) -> Run:
        """Return an optimizer with some of the parameters, in some order."""
        parameters = {number: self.parameter(number, dtype) for number in numbers}
        return Run(self, parameters, self.optimizer(list(parameters.values())))


@dataclass
class Run:
    """An optimizer with its parameters, somewhere on its way.

    Attributes:
        case: where the gradients come from.
        parameters: number to parameter.
        optimizer: what updates them.
        done: how many steps were made.
    """

    case: OptimizerCase
    parameters: dict[int, Parameter]
    optimizer: Any
    done: int = 0

    def feed(self) -> None:
        """Give every parameter its gradient of the next step."""
        self.optimizer.zero_grad()
        for number, parameter in self.parameters.items():
            parameter.zero_grad()
            parameter.add_grad(self.case.grad(number, self.done).astype(parameter.dtype))
        self.done += 1

    def go(self, steps: int) -> Run:
        """Make some steps."""
        for _ in range(steps):
            self.feed()
            self.optimizer.step()
        return self

    def data(self) -> Results:
        """Return copies of the parameters, by names."""
        return {f"parameter {number}": parameter.data.copy() for number, parameter in sorted(self.parameters.items())}

    def grads(self) -> Results:
        """Return copies of the gradients, by names."""
        pairs = sorted(self.parameters.items())
        return {f"the gradient of parameter {number}": parameter.read_grad().copy() for number, parameter in pairs}
