"""All laws of a layer, a loss or an optimizer in one call."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from tinynn.core.arguments import boolean, generator, size
from tinynn.core.layer import Layer
from tinynn.core.loss import Loss
from tinynn.core.optimizer import Optimizer
from tinynn.errors import ArgumentError, ArgumentTypeError, expects
from tinynn.testing.laws import (
    arrays,
    batches,
    copies,
    dtypes,
    gradients,
    losses,
    optimizers,
    passes,
    start,
    stops,
    threads,
)
from tinynn.testing.laws.factory import check_factory
from tinynn.testing.laws.inputs import drawing
from tinynn.testing.laws.law import Law
from tinynn.testing.laws.layer_case import LayerCase
from tinynn.testing.laws.optimizer_case import OptimizerCase, Reference
from tinynn.testing.verdicts import LawError, LawReport, judged
from tinynn.typing import ArrayLike, Seed, Shape

__all__ = ["case_of_layer", "check_layer", "check_loss", "check_optimizer", "laws_for"]


def _laws_in(*modules: Any) -> tuple[Law, ...]:
    return tuple(value for module in modules for value in vars(module).values() if isinstance(value, Law))


LAYER_LAWS = _laws_in(start, gradients, passes, arrays, batches, dtypes, copies, threads)
LOSS_LAWS = (*LAYER_LAWS, *_laws_in(losses))
OPTIMIZER_LAWS = _laws_in(optimizers, stops)


def laws_for(case: LayerCase | OptimizerCase) -> tuple[Law, ...]:
    """Return the laws that are tried on a case."""
    if isinstance(case, OptimizerCase):
        return OPTIMIZER_LAWS
    return LOSS_LAWS if case.specimen.is_loss else LAYER_LAWS


def check_layer(
    factory: Callable[..., Layer],
    *inputs: Shape | ArrayLike,
    mixes_samples: bool | Literal["training"] = False,
    max_elements: int | None = None,
    verbose: bool = True,
    rng: Seed = 0,
) -> LawReport:
    """Try all laws of a layer: its gradients, passes, arrays, batches, dtypes, copies and threads.

    A table of the laws is printed: which of them hold, and for the others a hint.

    Args:
        factory: builds the layer: a class, or a function, that takes nothing, or ``rng`` or ``dtype`` by name.
        inputs: for each input its shape, samples along the first axis, or an example array: for indices, for
            probabilities, for anything else that normal numbers will not do for. Integers stay integers.
        mixes_samples: whether a sample's output depends on other samples: ``"training"`` for a layer that does so in
            training mode only; True for one that always does, or that has no axis of samples.
        max_elements: how many elements of each gradient are measured at most; None for all of them.
        verbose: whether the table is printed.
        rng: where all parameters and inputs are drawn from.

    Returns:
        What became of every law.

    Raises:
        LawError: if any law is broken; an ``AssertionError`` that tells all of them, and what was seen.

    Example:
        >>> from tinynn.testing import check_layer
        >>> report = check_layer(nn.Tanh, (5, 3), verbose=False)
        >>> report.failures
        ()
    """
    options: dict[str, Any] = {"mixes_samples": mixes_samples, "max_elements": max_elements}
    case = case_of_layer("check_layer", factory, inputs, rng=rng, **options)
    return _report(LAYER_LAWS, case, verbose)


def check_loss(
    factory: Callable[..., Loss],
    prediction: Shape | ArrayLike,
    target: Shape | ArrayLike,
    *more: Shape | ArrayLike,
    weighted: bool = False,
    broadcasts: bool = False,
    mixes_samples: bool | Literal["training"] = False,
    max_elements: int | None = None,
    verbose: bool = True,
    rng: Seed = 0,
) -> LawReport:
    """Try all laws of a loss: those of a layer, and those of a number that belongs to a prediction and a target.

    Args:
        factory: builds the loss: a class, or a function, that takes nothing, or ``rng``, ``dtype`` or ``reduction`` by
            name. Where it takes ``reduction``, all reductions are tried.
        prediction: its shape, samples along the first axis, or an example array.
        target: likewise; an array of integers for class indices.
        more: likewise, for a loss that takes more inputs.
        weighted: whether ``reduction="mean"`` is a weighted mean.
        broadcasts: whether ``more`` may have shapes that are broadcast; a target never is.
        mixes_samples: as in `check_layer`.
        max_elements: as in `check_layer`.
        verbose: whether the table is printed.
        rng: where all inputs are drawn from.

    Returns:
        What became of every law.

    Raises:
        LawError: if any law is broken.

    Example:
        >>> from tinynn.testing import check_loss
        >>> report = check_loss(nn.MSELoss, (5, 3), (5, 3), verbose=False)
        >>> report.failures
        ()
    """
    inputs = (prediction, target, *more)
    options: dict[str, Any] = {"weighted": weighted, "broadcasts": broadcasts, "max_elements": max_elements}
    case = case_of_layer("check_loss", factory, inputs, mixes_samples=mixes_samples, rng=rng, **options)
    if not case.specimen.is_loss:
        what = "a factory that builds a loss, a subclass of nn.Loss"
        raise ArgumentTypeError(expects("check_loss", what, repr(case.specimen), "or call check_layer"))
    return _report(LOSS_LAWS, case, verbose)


def check_optimizer(
    factory: Callable[[Any], Optimizer],
    reference: Reference,
    *,
    steps: int = 100,
    verbose: bool = True,
    rng: Seed = 0,
) -> LawReport:
    """Try all laws of an optimizer, and compare it with a plain function.

    Args:
        factory: builds the optimizer for parameters: ``lambda params: nn.SGD(params, lr=0.1)``.
        reference: what it should do: a function of one array and of the gradients of all steps, that yields, or returns
            as a list, the array after each step. It is written without a thought of speed, from the paper, or is a
            closed form.
        steps: how many steps are compared.
        verbose: whether the table is printed.
        rng: where parameters and gradients are drawn from.

    Returns:
        What became of every law.

    Raises:
        LawError: if any law is broken.

    Example:
        >>> from tinynn.testing import check_optimizer
        >>> def descent(data, grads):
        ...     for grad in grads:
        ...         data = data - 0.1 * grad
        ...         yield data
        >>> report = check_optimizer(lambda params: nn.SGD(params, lr=0.1), descent, verbose=False)
        >>> report.failures
        ()
    """
    if not callable(factory) or not callable(reference):
        what = "a function of parameters that builds an optimizer, and a reference"
        raise ArgumentTypeError(expects("check_optimizer", what, f"{factory!r} and {reference!r}"))
    seed = int(generator("check_optimizer", rng).integers(2**32))
    case = OptimizerCase("", factory, reference, size("check_optimizer", "steps", steps), seed)
    name = type(case.optimizer([case.parameter(0)])).__name__
    return _report(OPTIMIZER_LAWS, replace(case, name=name), verbose)


def case_of_layer(
    owner: str,
    factory: Any,
    inputs: Iterable[Shape | ArrayLike],
    *,
    mixes_samples: Any = False,
    weighted: bool = False,
    broadcasts: bool = False,
    max_elements: int | None = None,
    rng: Seed = 0,
) -> LayerCase:
    """Return the case that laws are tried on, after the arguments of ``owner`` were checked."""
    if mixes_samples != "training":
        if isinstance(mixes_samples, str):
            what = "mixes_samples to be True, False or 'training'"
            raise ArgumentError(expects(owner, what, repr(mixes_samples)))
        mixes_samples = boolean(owner, "mixes_samples", mixes_samples)
    if max_elements is not None:
        max_elements = size(owner, "max_elements", max_elements)
    seed = int(generator(owner, rng).integers(2**32))
    layer = check_factory(owner, factory, rng=np.random.default_rng(seed), dtype=np.float64)
    draw, samples = drawing(owner, tuple(inputs))
    name = type(layer).__name__ if "\n" in repr(layer) else repr(layer)
    weighted, broadcasts = boolean(owner, "weighted", weighted), boolean(owner, "broadcasts", broadcasts)
    return LayerCase(name, factory, draw, samples, mixes_samples, weighted, broadcasts, max_elements, seed)


def _report(laws: tuple[Law, ...], case: LayerCase | OptimizerCase, verbose: bool) -> LawReport:
    report = judged(laws, case)
    if verbose:
        sys.stdout.write(f"{report}\n")
    if report.failures:
        raise LawError(report)
    return report
