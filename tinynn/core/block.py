"""The memory that an optimizer works on: parameters in a row, cut into chunks that the processor's cache holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tinynn.core.groups import as_attributes
from tinynn.core.parameter import Parameter
from tinynn.typing import Array

__all__ = ["Block", "Chunk"]

SMALL, LARGE = 2**17, 2**20
"""Bytes in a chunk. Up to the first the calls of a rule count, beyond the second the cache does not hold its arrays."""


class Chunk:
    """A stretch of a row of parameters: what the rule is called for.

    Attributes:
        data: the part of each parameter that reaches into it; one array for all that lie side by side.
        grads: the part of each gradient, likewise; to be read only.
        state: what the rule remembers: arrays like the gradient, and numbers.
        step: what the rule wants to subtract.
        updates: each part of the data, with that of the step.
    """

    __slots__ = ("data", "grads", "state", "step", "updates")

    def __init__(self, data: list[Array], grads: list[Array], step: Array) -> None:
        self.data = side_by_side(data)
        self.grads = [grad.view() for grad in side_by_side(grads)]
        for grad in self.grads:
            grad.flags.writeable = False
        self.state: dict[str, Any] = {}
        self.step = step
        stops = np.cumsum([part.size for part in self.data])
        self.updates = list(zip(self.data, np.split(step, stops[:-1]), strict=True))


class Block:
    """Parameters of one group, dtype and history in a row: a step takes a few calls however many there are.

    Their gradients move into one flat array, and their data into another, unless somebody holds them.

    Attributes:
        parameters: the parameters, all of which require a gradient.
        places: each of them, with the array that its gradient was in when the row was laid out.
        chunks: the row, cut up.
        options: the options of the group as attributes, numbers also as arrays without axes: ``options.arrays.lr``.
        prepares: whether chunks have to be prepared for the rule, or their data to be shrunk.
    """

    __slots__ = (
        "__weakref__",
        "arrays",
        "chunks",
        "decay",
        "maximize",
        "options",
        "parameters",
        "places",
        "prepares",
        "shrink",
    )

    def __init__(
        self, parameters: list[Parameter], states: list[Mapping[str, Any]], group: Mapping[str, Any], moves: bool
    ) -> None:
        self.parameters = parameters
        if len(parameters) > 1:
            if moves:
                self._move_grads()
            self._move_data()
        self.places = [(parameter, parameter.read_grad()) for parameter in parameters]
        self.chunks = list(self._cut())
        self.arrays: dict[str, Array] = {}  # what the rule remembers in one piece, where the chunks have views of it
        for name, value in states[0].items():
            if isinstance(value, np.ndarray):
                self._join(name, [state[name].reshape(-1) for state in states])
            else:
                for chunk in self.chunks:
                    chunk.state[name] = value
        self.follow(group)

    @classmethod
    def arrange(cls, group: Mapping[str, Any], states: Mapping[Parameter, Mapping[str, Any]]) -> list[Block]:
        """Return the blocks for a group; parameters that require no gradient are left out.

        Args:
            group: the parameters and their options.
            states: what the rule remembers for each parameter so far.
        """
        alike: dict[Any, list[Parameter]] = {}
        for parameter in group["params"]:
            if parameter.requires_grad:
                state = states.get(parameter, {})
                history = [(name, None if isinstance(value, np.ndarray) else value) for name, value in state.items()]
                key = (parameter.grad_can_move(), parameter.dtype, tuple(history))
                alike.setdefault(key, []).append(parameter)
        return [
            cls(parameters, [states.get(parameter, {}) for parameter in parameters], group, moves=key[0])
            for key, parameters in alike.items()
        ]

    def _move_grads(self) -> None:
        """Move the gradients into one array."""
        for parameter, place in zip(self.parameters, self._split(self._room()), strict=True):
            parameter.move_grad(place, self)

    def _move_data(self) -> None:
        """Move the data into one array, those that nobody holds, so that nobody can tell."""
        places = self._split(self._room())
        for parameter, place in zip(self.parameters, places, strict=True):
            if parameter.data_can_move():
                parameter.move_data(place)

    def _room(self) -> Array:
        return np.zeros(sum(parameter.size for parameter in self.parameters), self.parameters[0].dtype)

    def _cut(self) -> Iterator[Chunk]:
        """Yield the chunks: small parameters share one, large ones reach into several."""
        dtype = self.parameters[0].dtype
        total = sum(parameter.size for parameter in self.parameters)
        pieces = max(-(-total * dtype.itemsize // LARGE), min(4, -(-total * dtype.itemsize // SMALL)), 1)
        length = -(-total // pieces)
        step = np.full(length, np.nan, dtype)  # what a rule forgets to fill shows
        data: list[Array] = []
        grads: list[Array] = []
        start = stop = 0
        for parameter, grad in self.places:
            rest = [parameter.data.reshape(-1), grad.reshape(-1)]
            while rest[0].size:
                room = length - (stop - start)
                data.append(rest[0][:room])
                grads.append(rest[1][:room])
                rest = [array[room:] for array in rest]
                stop += data[-1].size
                if stop in {start + length, total}:
                    yield Chunk(data, grads, step[: stop - start])
                    data, grads, start = [], [], stop

    def _split(self, row: Array) -> list[Array]:
        """Return the part of each parameter in a row, as a view in the parameter's shape."""
        parts, start = [], 0
        for parameter in self.parameters:
            parts.append(row[start : start + parameter.size].reshape(parameter.shape))
            start += parameter.size
        return parts

    def follow(self, group: Mapping[str, Any]) -> None:
        """Take over the options of the group."""
        self.options = as_attributes(group, self.parameters[0].dtype)
        self.maximize = group.get("maximize", False)
        self.decay = group.get("weight_decay", 0.0)
        self.shrink = 1.0
        if group.get("decoupled_weight_decay", False):
            self.decay, self.shrink = 0.0, 1.0 - group["lr"] * self.decay
        in_pieces = any(len(chunk.grads) > 1 for chunk in self.chunks)
        self.prepares = in_pieces or self.maximize or self.decay != 0 or self.shrink != 1

    def prepare(self, chunk: Chunk) -> Array:
        """Do what options ask for that mean the same in every rule, and return the gradient as the rule is to see it.

        ``maximize`` negates it, ``weight_decay`` adds that of ½ weight_decay ‖W‖².
        """
        if len(chunk.grads) == 1 and not self.maximize and not self.decay:
            return chunk.grads[0]
        grad = np.concatenate(chunk.grads)
        if self.maximize:
            np.negative(grad, grad)
        if self.decay:
            penalty = np.concatenate(chunk.data)
            penalty *= self.decay
            grad += penalty
        return grad

    def shrink_data(self, chunk: Chunk) -> None:
        """Do what ``weight_decay`` asks for where it is decoupled: after the rule, which may raise an error."""
        if self.shrink != 1:
            for data in chunk.data:
                data *= self.shrink

    def states(self) -> dict[Parameter, dict[str, Any]]:
        """Return what the rule remembers for each parameter: views of the arrays, and the numbers."""
        states: dict[Parameter, dict[str, Any]] = {parameter: {} for parameter in self.parameters}
        for name, value in self.chunks[0].state.items() if self.chunks else ():
            if isinstance(value, np.ndarray):
                pieces = [chunk.state[name] for chunk in self.chunks]
                if any(piece.base is not self.arrays.get(name, self) for piece in pieces):  # new: the rule made them
                    self._join(name, pieces)
                values = self._split(self.arrays[name])
            else:
                values = [value] * len(self.parameters)
            for parameter, part in zip(self.parameters, values, strict=True):
                states[parameter][name] = part
        return states

    def _join(self, name: str, pieces: list[Array]) -> None:
        """Put what the rule remembers under a name into one array, and give every chunk its view of it."""
        row = self.arrays[name] = np.concatenate(pieces).astype(self.parameters[0].dtype, copy=False)
        start = 0
        for chunk in self.chunks:
            chunk.state[name] = row[start : start + chunk.step.size]
            start += chunk.step.size


def side_by_side(parts: list[Array]) -> list[Array]:
    """Return flat arrays with those joined that follow one another in the memory of one flat array."""
    joined: list[Array] = []
    for part in parts:
        row = part.base
        if joined and row is not None and row.ndim == 1 and row is joined[-1].base:
            start, stop = ((_address(array) - _address(row)) // row.itemsize for array in (joined[-1], part))
            if start + joined[-1].size == stop:
                joined[-1] = row[start : stop + part.size]
                continue
        joined.append(part)
    return joined


def _address(array: Array) -> int:
    address: int = array.__array_interface__["data"][0]
    return address
