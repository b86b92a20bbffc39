"""A layer on the bench: fresh, with inputs for it and gradients at its outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinynn.core.layer import Layer
from tinynn.testing.laws.comparison import Results
from tinynn.testing.moving import Moving
from tinynn.testing.subject import as_tuple
from tinynn.typing import Array

__all__ = ["Bench", "at_outputs", "named"]


class Bench:
    """A layer with something to feed it. Before every forward, its generators and buffers are put back.

    Attributes:
        layer: the layer or the loss.
        inputs: what it is called with.
        grads: the gradients at its outputs; none for a loss that is one number.
    """

    def __init__(self, layer: Layer, inputs: tuple[Array, ...], grads: tuple[Any, ...]) -> None:
        self.layer, self.inputs, self.grads = layer, inputs, grads
        self._moving = Moving(layer)
        self._start = self._moving.state()

    def rewind(self) -> None:
        """Put generators and buffers back where they were when the layer was built."""
        self._moving.put_back(self._start)

    def forward(self, inputs: tuple[Any, ...] | None = None) -> tuple[Any, ...]:
        """Call the layer, in the state that it was built in; return its outputs, live."""
        self.rewind()
        return as_tuple(self.layer(*(_copies(self.inputs) if inputs is None else inputs)))

    def backward(self, grads: tuple[Any, ...] | None = None) -> Results:
        """Undo the latest call; return copies of all gradients, those of parameters as they have added up."""
        result = self.layer.backward(*(_copies(self.grads) if grads is None else grads))
        return {**self.at_inputs(result), **self.at_parameters()}

    def run(
        self, inputs: tuple[Any, ...] | None = None, grads: tuple[Any, ...] | None = None, *, add: bool = False
    ) -> Results:
        """Make one forward and one backward; return copies of outputs and gradients.

        Args:
            inputs: what to hand in, as it is; by default copies of the inputs.
            grads: what to hand in as the gradients at the outputs, likewise.
            add: whether the gradients of earlier passes are kept.
        """
        if not add:
            self.layer.zero_grad()
        outputs = named("the output", self.forward(inputs))
        return {**outputs, **self.backward(grads)}

    def at_inputs(self, result: Any) -> Results:
        """Return copies of what a backward has returned, by names; at integers it need not return anything."""
        floating = [np.asarray(x).dtype.kind == "f" for x in self.inputs]
        given = [grad if is_float else None for grad, is_float in zip(as_tuple(result), floating, strict=False)]
        return named("the gradient at the input", given)

    def at_parameters(self) -> Results:
        """Return copies of the gradients of the parameters, by names."""
        return {f"the gradient of {path}": parameter.grad.copy() for path, parameter in self.layer.named_parameters()}

    def alone(self, results: Mapping[str, Array]) -> Results:
        """Return those of the results that are the gradients of parameters."""
        return {name: results[name] for name in self.at_parameters()}


def _copies(arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return copies, so that a layer that writes to what it is given breaks the law of that and no others."""
    return tuple(x.copy() if isinstance(x, np.ndarray) else x for x in arrays)


def named(what: str, arrays: Any) -> Results:
    """Return copies of arrays by names, the output, the output 1, ...; None is left out."""
    pairs = [(f"{what} {position}" if position else what, array) for position, array in enumerate(arrays)]
    return {name: np.array(array) for name, array in pairs if array is not None}


def at_outputs(outputs: tuple[Any, ...], rng: np.random.Generator) -> tuple[Any, ...]:
    """Draw gradients for outputs, in their dtypes; at integers there are none."""
    arrays = [np.asarray(y) for y in outputs]
    return tuple(rng.normal(size=y.shape).astype(y.dtype) if y.dtype.kind == "f" else None for y in arrays)
