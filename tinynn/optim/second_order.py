"""Training on all samples at once, by the second-order methods of SciPy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinynn.core.extras import import_extra
from tinynn.core.layer import Layer
from tinynn.core.loss import Loss
from tinynn.errors import ArgumentError, ArgumentTypeError, NonFiniteError, ShapeError, expects
from tinynn.typing import Array, ArrayLike

__all__ = ["minimize"]

OPTIONS = ("bounds", "callback", "constraints", "hess", "hessp", "options", "tol")
"""What `scipy.optimize.minimize` takes beside what is given to it here."""


def minimize(
    model: Layer,
    loss_fn: Loss,
    x: ArrayLike | tuple[ArrayLike, ...],
    target: ArrayLike,
    method: str = "L-BFGS-B",
    **options: Any,
) -> Any:
    """Make a loss over all samples as small as it gets, by `scipy.optimize.minimize`.

    It is for small models whose data fit into one batch. Such a method learns the curvature from the gradients that it
    has seen, and reaches a minimum to many digits, where a descent only comes near it. The loss has to be the same in
    every call: no dropout. `BatchNorm1d` in training would move its running statistics with every point that is tried;
    put it into ``eval()``, or leave it out.

    The parameters that require a gradient are one vector for SciPy, in float64. In the end they are at the point that
    it returns; where the loss there is not finite, or more than at the start, or an error or an interrupt comes up,
    they are as they were. Gradients are zero in the end.

    Args:
        model: what is trained.
        loss_fn: a loss with one number for all samples.
        x: the input of all samples; a tuple, if the model takes several.
        target: the targets of all samples.
        method: any of SciPy's that needs no more than gradients: ``"L-BFGS-B"``, ``"BFGS"``, ``"CG"``, ``"TNC"``,
            ``"SLSQP"``, ``"Newton-CG"``, ``"trust-constr"``. ``"trust-exact"`` and its like need a Hessian.
        **options: what else `scipy.optimize.minimize` takes: ``tol=1e-12``, ``options={"maxiter": 1000}``,
            ``callback=``.

    Returns:
        SciPy's result: ``result.fun`` is the loss, ``result.nit`` counts iterations, ``result.message`` says why it
        stopped. ``ABNORMAL`` mostly means that gradients are wrong: see `testing.check_gradients`.

    Raises:
        ArgumentError: if no parameter requires a gradient, or the loss is another in every call.
        ArgumentTypeError: for options that are not handed on to SciPy.
        NonFiniteError: if the loss at the start is not finite.
        MissingExtraError: if SciPy is not installed.

    References:
        Byrd, Lu, Nocedal and Zhu, "A limited memory algorithm for bound constrained optimization", 1995, for L-BFGS-B.

    Example:
        >>> x = np.linspace(0, 1, 20)[:, np.newaxis]
        >>> model = nn.Linear(1, 1, rng=np.random.default_rng(0))
        >>> result = nn.minimize(model, nn.MSELoss(), x, 3 * x - 1)
        >>> result.fun < 1e-10, model.bias.data.round(4)
        (True, array([-1.]))
    """
    if not isinstance(model, Layer):
        raise ArgumentTypeError(expects("minimize", "a layer to train", f"a {type(model).__name__}"))
    if not isinstance(loss_fn, Loss):
        raise ArgumentTypeError(expects("minimize", "a loss", f"a {type(loss_fn).__name__}"))
    if unknown := [name for name in options if name not in OPTIONS]:
        remedy = 'those of a method go into options={"maxiter": 5}'
        raise ArgumentTypeError(expects("minimize", f"the options {', '.join(OPTIONS)}", ", ".join(unknown), remedy))
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not parameters:
        raise ArgumentError(expects("minimize", "a model with parameters that require a gradient", "none"))
    optimize = import_extra("minimize", "SciPy", "scipy.optimize", "scipy")
    inputs: Sequence[ArrayLike] = x if isinstance(x, tuple) else (x,)
    stops = np.cumsum([parameter.size for parameter in parameters])[:-1]

    def put(point: Array) -> None:
        for parameter, part in zip(parameters, np.split(point, stops), strict=True):
            parameter.data = part.reshape(parameter.shape)

    def loss_and_gradient(point: Array) -> tuple[float, Array]:
        put(point)
        loss = loss_fn.judge(model(*inputs), target)
        if np.ndim(loss):
            raise ShapeError(expects("minimize", "one loss for all samples", f"an array of shape {np.shape(loss)}"))
        model.zero_grad()
        model.backward_parameters(*loss_fn.gradients())
        return float(loss), np.concatenate([parameter.read_grad().reshape(-1) for parameter in parameters], dtype=float)

    start = np.concatenate([parameter.data.reshape(-1) for parameter in parameters], dtype=float)
    best = start
    try:
        first, again = (loss_and_gradient(start)[0] for _ in range(2))
        if not math.isfinite(first):
            raise NonFiniteError(expects("minimize", "a finite loss at the start", first))
        if not math.isclose(first, again, rel_tol=1e-6):
            what = "the same loss in every call"
            raise ArgumentError(
                expects("minimize", what, f"{first} and then {again}", "dropout is off after model.eval()")
            )
        result = optimize.minimize(loss_and_gradient, start, method=method, jac=True, **options)
        if result.fun <= first:
            best = result.x
        return result
    finally:
        put(best)
        model.zero_grad()
