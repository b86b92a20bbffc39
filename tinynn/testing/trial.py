"""One layer at one point: what its ``backward`` gives there, and the gradient that can be measured there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from tinynn.core.layer import Layer
from tinynn.testing.measure import central_differences, complex_steps, is_analytic, one_sided, sizes_of
from tinynn.testing.subject import Given, Subject
from tinynn.typing import Array, ArrayLike

__all__ = ["TOLERANCES", "Measured", "Trial"]

TOLERANCES = {"complex": 1e-12, "central": 1e-7}
"""The relative error that a method may have."""

TINY = 3e-8
"""How far to go to see the rounding of a gradient: its square is nothing."""

WIDE, MOST_ROUNDING = (3e-3, 3e-2), 1e-11
"""How far to go, relatively, to see rounding that a tiny way leaves as it is; and how much of it, beside the sums."""

TRIES, MOST_IN_DOUBT = 5, 64
"""How often to look for rounding, and for that of how many measured slopes at most."""

FLOOR = 1e-3
"""How small a gradient may be, beside the sum of |grad · y| that it changes, before it drowns in the rounding of that
sum: 1 - tanh²(x) far out is the difference of two ones, and no more exact than these."""


@dataclass(frozen=True)
class Measured:
    """A measured gradient.

    Attributes:
        values: in the shape of the variable; NaN at elements that were not measured.
        doubt: how far the values themselves may be off, beyond the tolerance of the method.
        method: how they were measured.
        scale: the size that errors are relative to.
    """

    values: Array
    doubt: Array
    method: str
    scale: float


def _reach(place: Array) -> Array:
    """Return by how much to move each element so that its rounding changes and nothing else."""
    sizes = np.minimum(np.abs(place), 1.0)
    return TINY * np.maximum(sizes, 1e-6 * sizes.max(initial=0.0) or 1.0)


def _usual(bend: Array, given: Any) -> Array | float:
    """Return the usual rounding of elements like each: half of them have less, beside their size or at all."""
    if not bend.size or given is None or given.shape != bend.shape:
        return 0.0
    sizes = np.abs(given)
    relative = np.median((bend / sizes)[sizes > 0]) if sizes.any() else np.inf
    usual: Array = np.fmin(np.median(bend), sizes * relative)
    return usual


class Trial:
    """A layer, called with inputs, and the gradient that comes in at its output.

    Args:
        layer: the layer or the loss.
        inputs: what it is called with.
        method: ``"complex"``, ``"central"``, or ``"auto"`` for complex steps wherever they are right.
        seed: where the incoming gradient and the sample of elements are drawn from.
        max_elements: how many elements to measure at most; None for all.

    Attributes:
        grads: the gradient that comes in at each output.
        real: the subject in float64.
        analytic: the subject in complex numbers.
    """

    def __init__(
        self, layer: Layer, inputs: tuple[ArrayLike, ...], method: str, seed: int, max_elements: int | None = None
    ) -> None:
        self.layer, self.inputs, self.method, self.seed, self.max_elements = layer, inputs, method, seed, max_elements
        self.real = Subject(layer, inputs, np.float64)
        self.rng = np.random.default_rng(seed)
        self.outputs = [np.array(y, np.float64) for y in self.real.forward()]
        free = self.real.layer.needs_grad
        self.grads = [self.rng.standard_normal(y.shape) if free else np.ones(y.shape) for y in self.outputs]
        self.row = np.concatenate([grad.reshape(-1) for grad in self.grads])
        self.elements = {where: self._sample(variable.size) for where, variable in self.real.variables.items()}
        self._methods: dict[str, str] = {}
        self._measured: dict[str, Measured] = {}

    def like(
        self,
        layer: Layer | None = None,
        inputs: tuple[ArrayLike, ...] | None = None,
        max_elements: int | None = None,
        seed: int | None = None,
    ) -> Trial:
        """Return a trial of another layer or with other inputs.

        Unless there is another seed as well, the gradient that comes in is the same if its shape fits.
        """
        return Trial(
            self.layer if layer is None else layer,
            self.inputs if inputs is None else inputs,
            self.method,
            self.seed if seed is None else seed,
            max_elements or self.max_elements,
        )

    @cached_property
    def analytic(self) -> Subject:
        """The subject in complex numbers."""
        return Subject(self.layer, self.inputs, np.complex128)

    @cached_property
    def given(self) -> Given:
        """What ``backward`` gives at each variable."""
        return self.given_again()

    def given_again(self) -> Given:
        """Return what another forward and backward give."""
        self.real.layer.zero_grad()
        self.real.forward()
        return self.real.gradients(self.grads)

    def measured(self, where: str) -> Measured:
        """Return the gradient at a variable, measured once."""
        if where not in self._measured:
            values, doubt = self.slopes(where, self.row[np.newaxis])
            self._measured[where] = self._pack(where, values, doubt, self.method_for(where))
        return self._measured[where]

    def method_for(self, where: str) -> str:
        """Return the method that suits a variable: complex steps if forward proves to be analytic."""
        if self.method != "auto":
            return self.method
        if where not in self._methods:
            rng = np.random.default_rng(self.seed)
            try:
                fits = is_analytic(self.analytic, self.real, where, self.row, rng)
            except (TypeError, ValueError):
                fits = False
            self._methods[where] = "complex" if fits else "central"
        return self._methods[where]

    def distrust(self, where: str, smooth: Array) -> None:
        """Measure again by central differences, and keep that if complex steps turn out to be wrong."""
        before = self.measured(where)
        values, doubt = central_differences(self.real, where, self.row[np.newaxis], self.elements[where])
        central = self._pack(where, values, doubt, "central")
        room = 10 * central.doubt + 1e-9 * np.abs(central.values) + 1e-14 * central.scale
        clear = central.doubt <= 1e-6 * central.scale
        if np.any((np.abs(central.values - before.values) > room) & smooth & clear):
            self._methods[where] = "central"
            self._measured[where] = central

    def doubt(self, where: str, wrong: Array) -> None:
        """Find out how far rounding may have carried the measured slopes themselves, where they cancel in forward.

        As in `noise`, smooth slopes are as much larger on one side as they are smaller on the other.
        """
        measured = self.measured(where)
        if measured.method != "complex":  # differences come with an estimate of their own
            return
        variable = self.analytic.variables[where]
        place, rng = variable.copy(), np.random.default_rng(self.seed)
        elements = np.flatnonzero(wrong)[:MOST_IN_DOUBT]
        reach, bend = _reach(place), 0.0
        for _ in range(TRIES):
            way = reach * rng.uniform(-1, 1, place.shape)
            slopes = -2 * measured.values.reshape(-1)[elements]
            for side in (way, -way):
                variable[...] = place + side
                slopes = slopes + complex_steps(self.analytic, where, self.row[np.newaxis], elements)[0]
            bend = max(bend, float(np.abs(slopes).max()))
        variable[...] = place
        doubt = np.maximum(measured.doubt, bend)
        doubt.reshape(-1)[elements] += self._bends_of_errors(where, elements, rng)
        self._measured[where] = replace(measured, doubt=doubt)

    def _bends_of_errors(self, where: str, elements: Array, rng: np.random.Generator) -> Array:
        """Return how far errors of given gradients are from a straight line: those of a mistake are smooth.

        The rounding of 1 - tanh²(x) far out does not change over a tiny way; here the way is a hundredth.
        """
        real, analytic = self.real.variables[where], self.analytic.variables[where]
        place = real.copy()

        def errors_at(point: Array) -> Array:
            real[...] = analytic[...] = point
            slopes = complex_steps(self.analytic, where, self.row[np.newaxis], elements)[0]
            errors: Array = self.given_again()[where].reshape(-1)[elements] - slopes
            return errors

        bends = []
        try:
            middle = errors_at(place)
            for _ in range(TRIES):
                way = rng.uniform(*WIDE) * sizes_of(place) * rng.choice([-1, 1], place.shape)
                above, below = errors_at(place + way), errors_at(place - way)
                bends.append(np.fmin(np.abs(above - 2 * middle + below), np.abs(above - below)))
        except Exception:  # forward need not have a value there
            return np.zeros(len(elements))
        finally:
            real[...] = analytic[...] = place
        usual: Array = np.median(bends, axis=0)
        rounding = MOST_ROUNDING * max(1.0, self._changed, self.measured(where).scale)
        return np.where(np.isfinite(usual), np.fmin(usual, rounding), 0.0)

    def slopes(self, where: str, rows: Array) -> tuple[Array, Array]:
        """Return the slopes for several gradients at the outputs, (k, n), and how far they may be off."""
        elements = self.elements[where]
        if self.method_for(where) == "complex":
            values = complex_steps(self.analytic, where, rows, elements)
            return values, np.zeros_like(values)
        return central_differences(self.real, where, rows, elements)

    def full(self, where: str, rows: Array) -> Array:
        """Return the slopes for several gradients at the outputs, (k, *shape of the variable)."""
        return self.spread(where, self.slopes(where, rows)[0])

    @cached_property
    def noise(self) -> dict[str, Array]:
        """What rounding may do to each given gradient: how far it is from a straight line over a tiny way.

        A little on either side of a place, a smooth gradient is as much larger as it is smaller, up to the square of
        the distance. What is left is the rounding of its numbers, large where they cancel. Rounding also sets the two
        sides apart; where they agree with one another and the middle alone does not, it is a value of its own.
        """
        places = {where: variable.copy() for where, variable in self.real.variables.items()}
        bends = {where: np.zeros(place.shape) for where, place in places.items()}
        rng = np.random.default_rng(self.seed)
        for _ in range(TRIES):
            ways = {where: rng.uniform(-4, 4, place.shape) * _reach(place) for where, place in places.items()}
            on_both_sides = []
            for side in (1, -1):
                for where, variable in self.real.variables.items():
                    variable += side * ways[where]
                on_both_sides.append(self.given_again())
                for where, variable in self.real.variables.items():
                    variable[...] = places[where]
            for where, bend in bends.items():
                values = [side[where] for side in (self.given, *on_both_sides)]
                if all(value is not None and value.shape == bend.shape for value in values):
                    middle, above, below = values
                    rounding = np.fmin(np.abs(above - 2 * middle + below), np.abs(above - below))
                    bends[where] = np.fmax(bend, rounding)
        return {where: 8 * np.maximum(bend, _usual(bend, self.given[where])) for where, bend in bends.items()}

    def room(self, where: str) -> Array:
        """Return by how much a given gradient may differ from the measured one, for each element."""
        measured = self.measured(where)
        sizes = np.fmin(np.abs(measured.values), measured.scale)
        rest = 1e-12 * max(1.0, measured.scale) if measured.method == "central" else 0.0
        tolerance = TOLERANCES[measured.method] * np.fmax(sizes, self._floor)
        room: Array = np.asarray(tolerance + rest + self.noise[where] + 10 * measured.doubt)
        return room

    def wrong(self, where: str) -> Array:
        """Return which elements of a given gradient are wrong; those that were not measured are not."""
        values = self.measured(where).values
        error = np.abs(self.given[where] - values)
        wrong: Array = np.isfinite(values) & ~(error <= self.room(where))
        return wrong

    def has_kinks(self, where: str) -> bool:
        """Whether the slopes on the left and on the right differ in a random direction."""
        direction = np.random.default_rng(self.seed).standard_normal(self.real.variables[where].shape)
        return one_sided(self.real, where, self.row, direction) is not None

    def _pack(self, where: str, values: Array, doubt: Array, method: str) -> Measured:
        largest = float(np.abs(values[np.isfinite(values)]).max(initial=0.0))
        return Measured(self.spread(where, values)[0], self.spread(where, doubt)[0], method, max(largest, self._floor))

    @cached_property
    def _floor(self) -> float:
        """The size below which a gradient drowns in rounding."""
        return FLOOR * min(1.0, self._changed)

    @cached_property
    def _changed(self) -> float:
        """The sum of |grad · y|: what gradients are gradients of."""
        return float(np.abs(self.row).dot(np.abs(np.concatenate([y.reshape(-1) for y in self.outputs]))))

    def unmeasured(self, where: str) -> Array:
        """Return which elements were to be measured and could not."""
        asked = np.zeros(self.real.variables[where].size, bool)
        asked[self.elements[where]] = True
        values = self.measured(where).values
        return asked.reshape(values.shape) & ~np.isfinite(values)

    def _sample(self, size: int) -> Array:
        if self.max_elements is None or size <= self.max_elements:
            return np.arange(size)
        return np.sort(self.rng.choice(size, self.max_elements, replace=False))

    def spread(self, where: str, values: Array) -> Array:
        """Return (k, n) values at the elements that were measured as k arrays like the variable."""
        shape = self.real.variables[where].shape
        result = np.full((len(values), int(np.prod(shape))), np.nan)
        result[:, self.elements[where]] = values
        return result.reshape(len(values), *shape)
