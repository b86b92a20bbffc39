"""Laws of losses: a loss is one number, with the gradient of that number."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from tinynn.errors import ShapeError
from tinynn.testing.gradients import check_gradients
from tinynn.testing.laws import gradients
from tinynn.testing.laws.comparison import close, equal
from tinynn.testing.laws.excuses import mean_is_plain, returns_one_number, takes_reduction, target_is_floating
from tinynn.testing.laws.law import demand, law, raises
from tinynn.testing.laws.layer_case import LayerCase


def _reductions(case: LayerCase) -> tuple[str, ...]:
    return getattr(case.specimen, "reductions", ("mean", "sum", "none"))


@law("return a NumPy scalar of the prediction's dtype: `np.mean(losses)`, without float(...)", returns_one_number)
def it_is_a_number(case: LayerCase) -> None:
    """A loss is a NumPy scalar of the dtype of the prediction, which `.item()` makes a Python float of."""
    for dtype in (np.float32, np.float64):
        loss = case.layer(dtype)(*case.inputs(dtype))
        demand(isinstance(loss, (np.generic, np.ndarray)), f"it is a {type(loss).__name__}, which has no dtype")
        demand(loss.dtype == dtype, f"with a prediction in {np.dtype(dtype)} it is a number in {loss.dtype}")
        demand(isinstance(loss.item(), float), f"its item() is a {type(loss.item()).__name__}")


@law("let it be `backward(self, grad=None)`, and call `super().__init__(reduction=...)`", returns_one_number)
def one_number_needs_no_grad(case: LayerCase) -> None:
    """`backward()` is `backward(1)` for a loss that is one number, and grad is a factor."""
    bench = case.bench()
    expected = bench.run(grads=())
    close(bench.run(grads=(1.0,)), expected, "with a gradient of 1 at the loss")


@law("call `super().__init__(reduction=reduction)`: it says that an array of losses needs a gradient", takes_reduction)
def an_array_of_losses_needs_a_grad(case: LayerCase) -> None:
    """With `reduction="none"` it is an array, and a backward without grad is an error."""
    loss_fn, inputs = case.layer(reduction="none"), case.inputs()
    losses = loss_fn(*inputs)
    demand(np.ndim(losses) > 0, f"without reduction it is {losses!r}, no array")
    raises(TypeError, loss_fn.backward, "backward() with reduction='none'")


@law("a mean has its factor 1/n in backward as well", takes_reduction, after=(gradients.gradients_in_training,))
def every_reduction_has_its_gradient(case: LayerCase) -> None:
    """With every reduction, backward gives the gradient of the very number that was returned."""
    for reduction in _reductions(case):
        loss_fn = case.layer(reduction=reduction)
        try:
            check_gradients(loss_fn, *case.inputs(), max_elements=case.max_elements)
        except AssertionError as error:
            error.add_note(f"with reduction={reduction!r}")
            raise


@law('`np.sum` of what `reduction="none"` returns', takes_reduction)
def a_sum_is_the_sum_of_all(case: LayerCase) -> None:
    """`reduction="sum"` gives the sum of the losses that `reduction="none"` gives."""
    losses, whole = (case.layer(reduction=reduction)(*case.inputs()) for reduction in ("none", "sum"))
    close({"the loss": np.asarray(whole)}, {"the loss": np.sum(losses)}, 'with reduction="sum"')


@law('`np.mean` of what `reduction="none"` returns; if the mean is weighted, say so: `weighted=True`', mean_is_plain)
def a_mean_is_the_mean_of_all(case: LayerCase) -> None:
    """`reduction="mean"` gives the mean of the losses that `reduction="none"` gives."""
    losses, whole = (case.layer(reduction=reduction)(*case.inputs()) for reduction in ("none", "mean"))
    close({"the loss": np.asarray(whole)}, {"the loss": np.mean(losses)}, 'with reduction="mean"')


@law("`Loss.share` refuses a mean over nothing, and `Loss.reduce` calls it", returns_one_number)
def a_mean_over_nothing_is_an_error(case: LayerCase) -> None:
    """Without samples a sum is 0, and a mean a `ShapeError`, not NaN."""
    inputs = case.inputs(samples=0)
    reduction = getattr(case.specimen, "reduction", "mean")
    for name in ("sum", reduction if reduction != "sum" else "mean") if case.takes("reduction") else (reduction,):
        loss_fn = case.layer(reduction=name)
        if name == "sum":
            demand(loss_fn(*inputs) == 0, "without samples, the sum of the losses is not 0")
        else:
            raises(ShapeError, partial(loss_fn, *inputs), f"the {name} over no samples")


@law("compare the shapes in forward: `if prediction.shape != target.shape: raise self.wrong_shape(prediction, target)`")
def shapes_are_not_broadcast(case: LayerCase) -> None:
    """A target of another shape is a `ShapeError`, also where NumPy would broadcast it."""
    inputs = case.inputs()
    for position, x in enumerate(inputs[1 : 2 if case.broadcasts else None], start=1):
        if x.ndim == 0:
            continue
        for wrong in (x[:1], x[np.newaxis], x[..., np.newaxis]):
            changed = (*inputs[:position], wrong, *inputs[position + 1 :])
            shapes = " and ".join(str(array.shape) for array in changed)
            raises(ShapeError, partial(case.layer(), *changed), f"inputs of {shapes}")


@law("cast the target: `target.astype(prediction.dtype)`", target_is_floating)
def a_target_takes_the_dtype_of_the_prediction(case: LayerCase) -> None:
    """A prediction in float32 and a target in float64 give the loss and the gradients that two in float32 give."""
    bench = case.bench(np.float32)
    wide: list[Any] = [x.astype(np.float64) if x.dtype.kind == "f" else x for x in bench.inputs[1:]]
    equal(bench.run((bench.inputs[0], *wide)), bench.run(), "with a target in float64")
