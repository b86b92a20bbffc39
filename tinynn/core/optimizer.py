"""The base class of optimizers: groups, memory, state and the step; a subclass is one update rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self

import numpy as np
from typing_extensions import override

from tinynn.core.arguments import boolean, number, refuse_foreign
from tinynn.core.block import Block
from tinynn.core.parameter import Parameter
from tinynn.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError, StateError, expects
from tinynn.typing import Array

__all__ = ["Optimizer", "flags", "nonnegative"]


class Optimizer:
    """Updates parameters in place from their gradients.

    A subclass is an elementwise rule on arrays, `update`, with a check of its options, `check`. The options
    ``weight_decay`` and ``maximize``, which mean the same in every rule, are taken care of here.

    Attributes:
        param_groups: dicts, each with a list ``"params"`` and the options that hold for it, which may be changed by
            hand: ``optimizer.param_groups[0]["lr"] = 0.1``.

    Args:
        params: `Parameter` objects, ``model.parameters()``, or dicts with ``"params"`` and options of their own.
        defaults: the options where a group gives none.

    Raises:
        ArgumentError: for no parameters, for one that is in two groups, and for options out of range.
        ArgumentTypeError: for anything that is not a `Parameter`.
    """

    def __new__(cls, *_args: Any, **options: Any) -> Self:
        refuse_foreign(cls, options)
        return super().__new__(cls)

    def __init__(self, params: Iterable[Any], **defaults: Any) -> None:
        self.defaults = self.check(defaults)
        self.param_groups: list[dict[str, Any]] = []
        self._blocks: list[Block] = []
        self._frozen: list[Parameter] = []
        self._laid_out: list[dict[str, Any]] = []  # the groups as they were when the blocks were laid out
        self._resting: dict[Parameter, dict[str, Any]] = {}  # the state of parameters that are in no block
        groups = self._listed(params)
        if not groups:
            remedy = "is an array in a layer meant to be a Parameter?"
            raise ArgumentError(expects(type(self).__name__, "at least one parameter", "none", remedy))
        if not any(isinstance(group, Mapping) for group in groups):
            groups = [{"params": groups}]
        self.param_groups = self._checked_groups(groups)

    def update(self, grad: Array, state: dict[str, Any], step: Array, options: Any) -> None:
        """Write into ``step`` what is to be subtracted from the parameter.

        The rule is elementwise, since the arrays may be those of one parameter or of many in a row.

        Args:
            grad: the gradient, to be read only.
            state: what the rule remembers, as named arrays and numbers, to be changed at will; empty at first.
            step: an array like ``grad``, to be filled.
            options: the options of the group as attributes: ``options.lr``. Of these, ``weight_decay`` and ``maximize``
                are in ``grad`` already.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no update")

    def check(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options in their clean form, or raise an error that names the wrong one."""
        return dict(options)

    @property
    def state(self) -> dict[Parameter, dict[str, Any]]:
        """What the rule remembers for each parameter: its arrays, live, and its numbers."""
        states = dict(self._resting)
        for block in self._blocks:
            states.update(block.states())
        return {parameter: states[parameter] for parameter in self._parameters() if states.get(parameter)}

    def step(self) -> None:
        """Update every parameter that requires a gradient.

        Raises:
            ArgumentError: if an option was set to a value out of range; nothing has changed then.
        """
        if not self._up_to_date():
            self._lay_out()
        for block in self._blocks:
            grad = block.penalized() if block.has_penalty else block.flat
            self.update(grad, block.state, block.step, block.options)
            block.subtract()

    def _up_to_date(self) -> bool:
        """Whether groups and parameters are as they were when the blocks were laid out."""
        if self.param_groups != self._laid_out:
            return False
        for parameter in self._frozen:
            if parameter.requires_grad:
                return False
        return all(map(Block.intact, self._blocks))

    def _lay_out(self) -> None:
        """Check the groups and lay out the memory anew, taking over what the rule remembers."""
        groups = self._checked_groups(self.param_groups)
        states = {**self._resting, **self.state}
        flats = [block.flat for block in self._blocks]
        blocks = [block for group in groups for block in Block.arrange(group, states, flats)]
        placed = {parameter for block in blocks for parameter in block.parameters}
        self._resting = {parameter: state for parameter, state in states.items() if parameter not in placed}
        self._frozen = [parameter for parameter in self._parameters() if parameter not in placed]
        self._laid_out = [{**group, "params": list(group["params"])} for group in self.param_groups]
        self._blocks = blocks

    def zero_grad(self) -> None:
        """Make the gradients of all parameters zero."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.zero_grad()

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Add a group of parameters, with options of its own, to those that are updated."""
        if not isinstance(param_group, Mapping):
            raise ArgumentTypeError(
                expects(type(self).__name__, "a group to be a dict with 'params'", repr(param_group))
            )
        self.param_groups.append(self._checked_group(param_group, self.param_groups))

    def _listed(self, params: Any) -> list[Any]:
        if isinstance(params, Parameter):
            return [params]
        if not isinstance(params, Iterable) or isinstance(params, (Mapping, np.ndarray, str)):
            what = "parameters, as in model.parameters()"
            raise ArgumentTypeError(expects(type(self).__name__, what, f"a {type(params).__name__}"))
        return list(params)

    def _checked_groups(self, groups: list[Any]) -> list[dict[str, Any]]:
        checked: list[dict[str, Any]] = []
        for group in groups:
            checked.append(self._checked_group(group, checked))
        return checked

    def _checked_group(self, group: Any, others: list[dict[str, Any]]) -> dict[str, Any]:
        name = type(self).__name__
        if not isinstance(group, Mapping) or "params" not in group:
            raise ArgumentTypeError(expects(name, "every group to be a dict with 'params'", repr(group)))
        parameters = self._listed(group["params"])
        for parameter in parameters:
            if not isinstance(parameter, Parameter):
                remedy = "pass model.parameters(), or [*a.parameters(), *b.parameters()]"
                raise ArgumentTypeError(expects(name, "Parameter objects", f"a {type(parameter).__name__}", remedy))
        parameters = list(dict.fromkeys(parameters))  # each once
        for parameter in parameters:
            if any(parameter in other["params"] for other in others):
                raise ArgumentError(expects(name, "each parameter in one group only", f"{parameter!r} in two"))
        if not parameters:
            raise ArgumentError(expects(name, "at least one parameter in each group", "none"))
        options = {key: value for key, value in group.items() if key != "params"}
        unknown = sorted(set(options) - set(self.defaults))
        if unknown:
            raise ArgumentTypeError(expects(name, f"the options {', '.join(self.defaults)}", ", ".join(unknown)))
        return {"params": parameters, **self.check({**self.defaults, **options})}

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of the state and of the options, parameters named by their position, as PyTorch does it."""
        numbers = {parameter: index for index, parameter in enumerate(self._parameters())}
        states = self.state
        return {
            "state": {
                numbers[parameter]: {
                    name: value.copy() if isinstance(value, np.ndarray) else value for name, value in state.items()
                }
                for parameter, state in states.items()
            },
            "param_groups": [
                {**group, "params": [numbers[parameter] for parameter in group["params"]]}
                for group in self.param_groups
            ],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Copy in what `state_dict` returned, after all of it was checked.

        Raises:
            StateError: if the groups have other sizes, or an array another shape.
        """
        name = type(self).__name__
        try:
            groups, states = list(state_dict["param_groups"]), dict(state_dict["state"])
            sizes = [len(group["params"]) for group in groups]
        except (TypeError, KeyError, ValueError):
            raise StateError(expects(name, "a state dict with 'state' and 'param_groups'", repr(state_dict))) from None
        expected = [len(group["params"]) for group in self.param_groups]
        if sizes != expected:
            raise StateError(expects(name, f"groups of {expected} parameters", f"groups of {sizes}"))
        new_groups = []
        for group, old in zip(groups, self.param_groups, strict=True):
            options = {key: value for key, value in group.items() if key != "params"}
            if set(options) != set(old) - {"params"}:
                raise StateError(expects(name, f"the options {sorted(set(old) - {'params'})}", sorted(options)))
            new_groups.append({"params": old["params"], **self.check(options)})
        order = [index for group in groups for index in group["params"]]
        parameters = dict(zip(order, self._parameters(), strict=True))
        new_state = {}
        for index, entry in states.items():
            if index not in parameters or not isinstance(entry, Mapping):
                raise StateError(expects(name, f"the state of parameters {order}", f"that of {index!r}: {entry!r}"))
            new_state[parameters[index]] = {key: self._fitted(parameters[index], value) for key, value in entry.items()}
        for old, new in zip(self.param_groups, new_groups, strict=True):
            old.update(new)
        self._blocks, self._laid_out = [], []
        self._resting = new_state

    def _fitted(self, parameter: Parameter, value: Any) -> Any:
        """Return one value of a state as the parameter needs it: a copy of an array like it, or a number."""
        if value is None or isinstance(value, (int, float, np.generic)):
            return value
        try:
            return parameter.fit("state", value).copy()
        except (ShapeError, DTypeError) as error:
            actual = str(error).rpartition("got ")[2]
            what = f"state of shape {parameter.shape} and dtype {parameter.dtype}"
            raise StateError(expects(type(self).__name__, what, actual)) from None

    def _parameters(self) -> list[Parameter]:
        return [parameter for group in self.param_groups for parameter in group["params"]]

    @override
    def __getstate__(self) -> dict[str, Any]:
        attributes = dict(self.__dict__)
        attributes["_resting"] = {**self._resting, **self.state}
        attributes.update(_blocks=[], _frozen=[], _laid_out=[])  # flat arrays stay behind
        return attributes

    @override
    def __repr__(self) -> str:
        groups = [
            ", ".join(f"{name}={value!r}" for name, value in group.items() if name != "params")
            for group in self.param_groups
        ]
        return f"{type(self).__name__}({'; '.join(groups)})"


def nonnegative(owner: Optimizer, options: Mapping[str, Any], *names: str) -> dict[str, float]:
    """Return the named options as finite numbers of at least 0."""
    return {name: number(type(owner).__name__, name, options[name], low=0) for name in names}


def flags(owner: Optimizer, options: Mapping[str, Any], *names: str) -> dict[str, bool]:
    """Return the named options as booleans."""
    return {name: boolean(type(owner).__name__, name, options[name]) for name in names}
