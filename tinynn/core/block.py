"""The memory that an optimizer works on: the gradients of many parameters in one flat array."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from tinynn.core.parameter import Parameter
from tinynn.typing import Array

__all__ = ["Block"]


class Block:
    """Parameters of one dtype that are updated together: a step takes a few calls however many there are.

    Their gradients are views of one flat array, in a row; so is what a rule remembers. Their data stay where they are.

    Attributes:
        parameters: the parameters, all of which require a gradient.
        options: the options of their group, as attributes.
        has_penalty: whether the options change the gradient before the rule sees it.
        flat: their gradients in a row.
        step: what the rule wants to subtract, in a row.
        state: what the rule remembers: arrays like ``flat``, and numbers.
    """

    __slots__ = ("flat", "has_penalty", "options", "parameters", "places", "state", "step", "updates")

    def __init__(self, parameters: list[Parameter], states: list[Mapping[str, Any]], options: SimpleNamespace) -> None:
        self.parameters = parameters
        self.options = options
        self.has_penalty = bool(vars(options).get("maximize") or vars(options).get("weight_decay"))
        dtype = parameters[0].dtype
        if len(parameters) == 1:
            self.flat = parameters[0].read_grad().reshape(-1)
            grads = [parameters[0].read_grad()]
        else:
            self.flat = np.zeros(sum(parameter.size for parameter in parameters), dtype)
            grads = self.split(self.flat)
            for parameter, grad in zip(parameters, grads, strict=True):
                parameter.move_grad(grad)
        self.step = np.full_like(self.flat, np.nan)  # what a rule forgets to fill shows
        data = [parameter.data for parameter in parameters]
        self.places = list(zip(parameters, data, grads, strict=True))
        self.updates = list(zip(data, self.split(self.step), strict=True))
        self.state: dict[str, Any] = {
            name: np.concatenate([state[name].reshape(-1) for state in states]).astype(dtype, copy=False)
            if isinstance(value, np.ndarray)
            else value
            for name, value in states[0].items()
        }

    @classmethod
    def arrange(
        cls, group: Mapping[str, Any], states: Mapping[Parameter, Mapping[str, Any]], flats: list[Array]
    ) -> list[Block]:
        """Return the blocks of a group: together are parameters of one dtype that have been updated equally often.

        A parameter whose gradient someone else holds, a user or another optimizer, gets a block of its own.

        Args:
            group: the parameters and their options; those that require no gradient are left out.
            states: what the rule remembers for each of them so far.
            flats: the flat arrays that may be given up.
        """
        alike: dict[Any, list[Parameter]] = {}
        options = SimpleNamespace(**{name: value for name, value in group.items() if name != "params"})
        for parameter in group["params"]:
            if not parameter.requires_grad:
                continue
            state = states.get(parameter, {})
            signature = [(name, None if isinstance(value, np.ndarray) else value) for name, value in state.items()]
            key = (parameter.dtype, tuple(signature)) if parameter.grad_can_move(flats) else id(parameter)
            alike.setdefault(key, []).append(parameter)
        return [
            cls(parameters, [states.get(parameter, {}) for parameter in parameters], options)
            for parameters in alike.values()
        ]

    def split(self, flat: Array) -> list[Array]:
        """Return the part of each parameter in a flat array, as a view in the parameter's shape."""
        parts, start = [], 0
        for parameter in self.parameters:
            parts.append(flat[start : start + parameter.size].reshape(parameter.shape))
            start += parameter.size
        return parts

    def intact(self) -> bool:
        """Whether all arrays still are where they were, and all gradients wanted. Fills those that count as zero."""
        for parameter, data, grad in self.places:
            if parameter._grad_is_zero:
                parameter.read_grad()
            if parameter._grad is not grad or parameter._data is not data or not parameter.requires_grad:
                return False
        return True

    def penalized(self) -> Array:
        """Return the gradients in a row, negated to ``maximize``, and with that of ½ weight_decay ‖W‖² added."""
        grad = -self.flat if getattr(self.options, "maximize", False) else self.flat.copy()
        decay = getattr(self.options, "weight_decay", 0.0)
        if decay:
            for part, parameter in zip(self.split(grad), self.parameters, strict=True):
                part += decay * parameter.data
        return grad

    def subtract(self) -> None:
        """Subtract the step from the parameters."""
        for data, step in self.updates:
            np.subtract(data, step, data)

    def states(self) -> dict[Parameter, dict[str, Any]]:
        """Return what the rule remembers for each parameter: views of the arrays, and the numbers."""
        states: dict[Parameter, dict[str, Any]] = {parameter: {} for parameter in self.parameters}
        for name, value in self.state.items():
            parts = self.split(value) if isinstance(value, np.ndarray) else [value] * len(self.parameters)
            for parameter, part in zip(self.parameters, parts, strict=True):
                states[parameter][name] = part
        return states
