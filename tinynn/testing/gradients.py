"""Gradients, measured, to hold a hand-written ``backward`` against.

A complex step measures a derivative without taking a difference, and so to the last digit: f(x + ih) = f(x) + ih f'(x)
up to h², with h so small that h² is nothing. It asks of ``forward`` that it stays analytic, which ``np.abs`` or a cast
to real numbers does not; central differences, good to about eight digits, measure the rest.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from typing_extensions import override

from tinynn.core.arguments import choice, generator
from tinynn.core.arrays import as_array, complex_path
from tinynn.core.layer import Layer
from tinynn.core.loss import Loss
from tinynn.core.passes import no_grad
from tinynn.errors import TinynnError, expects
from tinynn.typing import Array, ArrayLike, Seed

__all__ = ["GradientError", "GradientReport", "Measurement", "check_gradients"]

COMPLEX_STEP = 1e-30
REAL_STEP = 1e-5
TOLERANCES = {"complex": 1e-12, "central": 1e-7}


@dataclass(frozen=True)
class Measurement:
    """One gradient: how far what ``backward`` gives is from what was measured, at the element where it is furthest.

    Attributes:
        where: ``"input"`` (``"input 1"``, ... for later ones) or the path of a parameter.
        method: ``"complex"`` for complex steps, ``"central"`` for central differences.
        error: |given - measured| / max(1, largest |measured|).
        index: the place of the element.
        given: what ``backward`` gives there.
        measured: what it should give.
    """

    where: str
    method: str
    error: float
    index: tuple[int, ...]
    given: float
    measured: float

    @property
    def passed(self) -> bool:
        """Whether the error is as small as the method can tell."""
        return self.error <= TOLERANCES[self.method]

    @override
    def __str__(self) -> str:
        element = f"element {self.index} is {self.given!r}, measured {self.measured!r}"
        return f"{self.where}: {element} ({self.method}, error {self.error:.1e} against {TOLERANCES[self.method]:.0e})"


@dataclass(frozen=True)
class GradientReport:
    """All gradients of a layer, measured: one `Measurement` for each input and for each parameter."""

    measurements: tuple[Measurement, ...]

    @property
    def largest(self) -> Measurement:
        """The measurement with the largest error."""
        return max(self.measurements, key=lambda measurement: np.nan_to_num(measurement.error, nan=np.inf))

    @override
    def __str__(self) -> str:
        return "\n".join(map(str, self.measurements))


class GradientError(TinynnError, AssertionError):
    """A ``backward`` that does not give the gradient of its ``forward``.

    Attributes:
        report: everything that was measured; None where what ``backward`` returned could not be compared at all.
    """

    def __init__(self, message: str, report: GradientReport | None = None) -> None:
        super().__init__(message)
        self.report = report


def check_gradients(
    layer: Layer, *inputs: ArrayLike, method: Literal["auto", "complex", "central"] = "auto", rng: Seed = 0
) -> GradientReport:
    """Measure every element of every gradient of a layer or a loss, and compare it with what ``backward`` gives.

    All is done in float64 on a copy: the layer is left as it was.

    Args:
        layer: a layer, or a loss, whose inputs are prediction and target; a target has no gradient.
        inputs: what forward takes. Gradients at floating inputs are checked; integers are taken for indices.
        method: ``"complex"``, ``"central"``, or ``"auto"``: complex steps wherever forward proves to be analytic.
        rng: where the gradient that comes in is drawn from.

    Returns:
        What was measured, the largest errors included.

    Raises:
        GradientError: if any element is wrong; it says which and by how much.

    Example:
        >>> from tinynn.testing.gradients import check_gradients
        >>> check_gradients(nn.Linear(3, 2), np.ones((5, 3))).largest.error < 1e-12
        True
    """
    method_name = choice("check_gradients", "method", method, ("auto", *TOLERANCES))
    rng = generator("check_gradients", rng)
    real = _Subject(layer, inputs, np.dtype(np.float64))
    grads = [rng.standard_normal(np.shape(y)) for y in _as_tuple(real.forward())]
    grad = np.concatenate([part.reshape(-1) for part in grads])
    given = real.gradients(grads)

    analytic = _Subject(layer, inputs, np.dtype(np.complex128))
    measurements = []
    for where, x in real.variables.items():

        def central(direction: Array, x: Array = x) -> float:
            step = REAL_STEP * max(1.0, float(np.abs(x * direction).max(initial=0)))
            upper, lower = real.moved(x, step * direction), real.moved(x, -step * direction)
            return float(grad.dot(upper - lower)) / (2 * step)

        def complex_step(direction: Array, z: Array = analytic.variables[where]) -> float:
            return float(grad.dot(analytic.moved(z, 1j * COMPLEX_STEP * direction).imag)) / COMPLEX_STEP

        name = method_name
        if name == "auto":
            name = "complex" if _agree(complex_step, central, rng.standard_normal(x.shape)) else "central"
        measured = _by_element(complex_step if name == "complex" else central, x.shape)
        measurements.append(_compare(where, name, given[where], measured))

    report = GradientReport(tuple(measurements))
    wrong = [str(measurement) for measurement in measurements if not measurement.passed]
    if wrong:
        what = "backward to give the gradient of its forward"
        raise GradientError(expects(layer, what, "another one at\n  " + "\n  ".join(wrong)), report)
    return report


class _Subject:
    """A copy of the layer in one dtype, with all arrays that its output depends on.

    Attributes:
        variables: name to live array, inputs first: changing one changes what forward sees.
    """

    def __init__(self, layer: Layer, inputs: tuple[ArrayLike, ...], dtype: np.dtype[Any]) -> None:
        self.layer = copy.deepcopy(layer).astype(np.float64)
        self.inputs = [as_array(layer, "x", x) for x in inputs]
        self.variables: dict[str, Array] = {}
        for position, x in enumerate(self.inputs):
            if isinstance(layer, Loss) and position > 0:
                break
            if x.dtype.kind == "f":
                self.inputs[position] = self.variables[_input_name(position)] = np.array(x, dtype, order="C")
        for path, parameter in self.layer.named_parameters():
            parameter._data = parameter.data.astype(dtype)  # below the dtype check: complex, if that is asked for
            if parameter.requires_grad:
                self.variables[path] = parameter.data

    def forward(self) -> Any:
        """Return what the layer makes of the inputs."""
        return self.layer(*self.inputs)

    def moved(self, variable: Array, by: Array) -> Array:
        """Return all outputs in a row, for one variable moved out of its place for as long as this takes."""
        place = variable.copy()
        variable += by
        try:
            with complex_path(), no_grad():
                return np.concatenate([np.reshape(y, -1) for y in _as_tuple(self.forward())])
        finally:
            variable[...] = place

    def gradients(self, grads: list[Array]) -> dict[str, Array]:
        """Return the gradient at each variable as ``backward`` gives it, for the latest forward."""
        self.layer.zero_grad()
        at_inputs = _as_tuple(self.layer.backward(*grads))
        count = 1 if isinstance(self.layer, Loss) else len(self.inputs)
        if len(at_inputs) != count:
            raise GradientError(expects(self.layer, f"backward to return {count} gradients", len(at_inputs)))
        given = {_input_name(position): at_input for position, at_input in enumerate(at_inputs)}
        given |= {path: parameter.grad for path, parameter in self.layer.named_parameters()}
        for where, variable in self.variables.items():
            if np.shape(given[where]) != variable.shape:
                what = f"backward to give a gradient of shape {variable.shape} at {where}"
                raise GradientError(expects(self.layer, what, np.shape(given[where])))
        return given


def _as_tuple(arrays: Any) -> tuple[Any, ...]:
    return arrays if isinstance(arrays, tuple) else (arrays,)


def _input_name(position: int) -> str:
    return f"input {position}" if position else "input"


def _agree(complex_step: Callable[[Array], float], central: Callable[[Array], float], direction: Array) -> bool:
    """Whether both methods see the same slope in one direction: if not, forward is not analytic."""
    expected = central(direction)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", np.exceptions.ComplexWarning)
        try:
            return abs(complex_step(direction) - expected) <= 1e-5 * max(1.0, abs(expected))
        except Exception:  # whatever a function of real numbers may raise for complex ones
            return False


def _by_element(slope: Callable[[Array], float], shape: tuple[int, ...]) -> Array:
    """Return the slopes along all axes: the gradient."""
    return np.array([slope(direction) for direction in _unit_vectors(shape)], float).reshape(shape)


def _unit_vectors(shape: tuple[int, ...]) -> Iterator[Array]:
    for index in np.ndindex(shape):
        direction = np.zeros(shape)
        direction[index] = 1
        yield direction


def _compare(where: str, method: str, given: Array, measured: Array) -> Measurement:
    if measured.size == 0:
        return Measurement(where, method, 0.0, (), 0.0, 0.0)
    errors = np.abs(given - measured) / max(1.0, float(np.abs(measured).max()))
    index = tuple(int(i) for i in np.unravel_index(errors.argmax(), errors.shape))
    return Measurement(where, method, float(errors[index]), index, float(given[index]), float(measured[index]))
