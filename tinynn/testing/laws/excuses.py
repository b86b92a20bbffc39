"""Why a law does not apply to a layer: each function returns the reason, or an empty text where it applies."""

from __future__ import annotations

import numpy as np

from tinynn.core import discovery
from tinynn.core.layer import Layer
from tinynn.core.passes import no_grad
from tinynn.testing.laws.layer_case import LayerCase

__all__ = [
    "can_be_redrawn",
    "mean_is_plain",
    "not_random",
    "returns_one_number",
    "rows_in_evaluation",
    "rows_in_training",
    "takes_its_own_output",
    "takes_reduction",
    "target_is_floating",
    "with_parameters",
]


def with_parameters(case: LayerCase) -> str:
    """Only layers that are trained."""
    return "" if discovery.trainable(case.specimen) else "it has no parameters"


def not_random(case: LayerCase) -> str:
    """Only layers that give the same again."""
    return "it draws random numbers" if case.is_random else ""


def takes_its_own_output(case: LayerCase) -> str:
    """Only layers that can be called with what they return."""
    inputs = case.inputs()
    if len(inputs) != 1 or inputs[0].dtype.kind != "f":
        return "it does not take one array of numbers"
    if case.shapes != [inputs[0].shape]:
        return "its output has another shape than its input"
    layer = case.layer()
    try:
        with no_grad(), np.errstate(all="ignore"):
            fits = np.isfinite(layer(layer(*inputs))).all()
    except Exception:  # it may have a range of its own
        fits = False
    return "" if fits else "it cannot be called with what it returns"


def rows_in_evaluation(case: LayerCase) -> str:
    """Only layers that treat each sample on its own in evaluation mode."""
    if case.mixes_samples is True:
        return "it mixes samples"
    whole = any(shape[:1] != (case.samples,) for shape in case.shapes)
    return "it returns one number for all samples" if whole else ""


def rows_in_training(case: LayerCase) -> str:
    """Only layers that treat each sample on its own, and draw nothing."""
    if case.mixes_samples:
        return "it mixes samples"
    return rows_in_evaluation(case) or not_random(case)


def can_be_redrawn(case: LayerCase) -> str:
    """Only layers all of whose parameters can be drawn anew."""
    lacking = (
        layer
        for _, layer in case.specimen.named_layers()
        if discovery.own(layer) and type(layer).draw_parameters is Layer.draw_parameters
    )
    return with_parameters(case) or next((f"{type(layer).__name__} has no draw_parameters" for layer in lacking), "")


def returns_one_number(case: LayerCase) -> str:
    """Only losses that are one number."""
    return "" if case.shapes == [()] else "it returns an array"


def takes_reduction(case: LayerCase) -> str:
    """Only losses with reductions."""
    return "" if case.takes("reduction") else "its factory takes no reduction"


def mean_is_plain(case: LayerCase) -> str:
    """Only losses whose mean is that of their numbers."""
    return takes_reduction(case) or ("its mean is a weighted one" if case.weighted else "")


def target_is_floating(case: LayerCase) -> str:
    """Only losses with numbers for targets."""
    floating = [x.dtype.kind == "f" for x in case.inputs()[1:]]
    return "" if np.any(floating) else "its target is integers"
