"""Training on all samples at once, by the second-order methods of SciPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinynn.core.extras import extra
from tinynn.core.layer import Layer
from tinynn.core.loss import Loss
from tinynn.errors import ArgumentError, ArgumentTypeError, ShapeError, expects
from tinynn.typing import Array, ArrayLike

__all__ = ["minimize"]


def minimize(
    model: Layer,
    loss_fn: Loss,
    x: ArrayLike | tuple[ArrayLike, ...],
    target: ArrayLike,
    *,
    method: str = "L-BFGS-B",
    **options: Any,
) -> Any:
    """Make a loss over all samples as small as it gets, by `scipy.optimize.minimize`.

    It is for small models whose data fit into one batch. Such a method learns the curvature from the gradients that it
    has seen, and reaches a minimum to many digits, where a descent only comes near it. The loss has to be the same in
    every call: no dropout.

    The parameters that require a gradient are one vector for SciPy, in float64. They are at the best point in the end;
    where that is not a finite loss of at most what it was at the start, or an error or an interrupt comes up, they are
    as they were. Gradients are zero in the end.

    Args:
        model: what is trained.
        loss_fn: a loss with one number for all samples.
        x: the input of all samples; a tuple, if the model takes several.
        target: the targets of all samples.
        method: any of SciPy's that uses gradients.
        **options: what else `scipy.optimize.minimize` takes: ``tol=1e-12``, ``options={"maxiter": 1000}``,
            ``callback=``.

    Returns:
        SciPy's result: ``result.fun`` is the loss, ``result.nit`` counts iterations, ``result.message`` says why it
        stopped.

    Raises:
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
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not parameters:
        raise ArgumentError(expects("minimize", "a model with parameters that require a gradient", "none"))
    optimize = extra("minimize", "scipy", "scipy.optimize", "SciPy")
    inputs: Sequence[ArrayLike] = x if isinstance(x, tuple) else (x,)
    stops = np.cumsum([parameter.size for parameter in parameters])[:-1]

    def put(point: Array) -> None:
        for parameter, part in zip(parameters, np.split(point, stops), strict=True):
            parameter.data = part.reshape(parameter.shape)

    def loss_and_gradient(point: Array) -> tuple[float, Array]:
        put(point)
        loss = loss_fn(model(*inputs), target)
        if np.ndim(loss):
            raise ShapeError(expects("minimize", "one loss for all samples", f"an array of shape {np.shape(loss)}"))
        model.zero_grad()
        model.backward_parameters(loss_fn.backward())
        return float(loss), np.concatenate([parameter.read_grad().reshape(-1) for parameter in parameters], dtype=float)

    start = np.concatenate([parameter.data.reshape(-1) for parameter in parameters], dtype=float)
    best = start
    try:
        first, _ = loss_and_gradient(start)
        result = optimize.minimize(loss_and_gradient, start, method=method, jac=True, **options)
        if result.fun <= first:
            best = result.x
        return result
    finally:
        put(best)
        model.zero_grad()
