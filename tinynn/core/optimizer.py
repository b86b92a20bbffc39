"""The base class of optimizers: groups, memory, state and the step; a subclass is one update rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
from typing_extensions import override

from tinynn.core.arguments import FOREIGN, contents, number, refuse_foreign
from tinynn.core.block import Block
from tinynn.core.groups import SCHEDULED, as_attributes, check_groups, listed
from tinynn.core.parameter import Parameter, zero_grads
from tinynn.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError, StateError, expects
from tinynn.typing import Array

__all__ = ["Optimizer"]

NOT_HERE = {"param_names", *FOREIGN}
"""What a group has in a state dict of PyTorch's, and not here."""


class Optimizer:
    """Updates parameters in place from their gradients.

    A subclass is an elementwise rule on arrays, `update`, with a check of its options, `check`. The options
    ``weight_decay``, ``decoupled_weight_decay`` and ``maximize``, which mean the same in every rule, are taken care of
    here.

    Attributes:
        param_groups: dicts, each with a list ``"params"`` and the options that hold for it, which may be changed by
            hand: ``optimizer.param_groups[0]["lr"] = 0.1``.
        state_arrays: the names of the arrays that the rule may remember. A subclass that gives them, and those of
            numbers, has a state dict with any others refused.
        state_numbers: the names of the numbers that it may remember.

    Args:
        params: `Parameter` objects, ``model.parameters()``, or dicts with ``"params"`` and options of their own.
        defaults: the options where a group gives none, as a dict;
        **options: or by name.

    Raises:
        ArgumentError: for no parameters, for one that is in two groups, and for options out of range.
        ArgumentTypeError: for anything that is not a `Parameter`.
    """

    state_arrays: ClassVar[tuple[str, ...]] = ()
    state_numbers: ClassVar[tuple[str, ...]] = ()

    _blocks: list[Block]
    _places: list[tuple[Parameter, Array]]  # of all blocks
    _frozen: list[Parameter]  # those in no block
    _groups: list[dict[str, Any]]  # as they were when the blocks were laid out
    _resting: dict[Parameter, dict[str, Any]]  # what the rule remembers of parameters in no block

    def __new__(cls, *_args: Any, **options: Any) -> Self:
        refuse_foreign(cls, options)
        return super().__new__(cls)

    def __init__(self, params: Iterable[Any], defaults: Mapping[str, Any] | None = None, **options: Any) -> None:
        if not isinstance(defaults, Mapping | None):
            raise ArgumentTypeError(expects(type(self).__name__, "defaults to be a dict of options", repr(defaults)))
        self.defaults = self.check({**(defaults or {}), **options})
        self.param_groups: list[dict[str, Any]] = []
        self._leave(states={})
        groups = listed(type(self).__name__, params)
        if not groups:
            remedy = "is an array in a layer meant to be a Parameter?"
            raise ArgumentError(expects(type(self).__name__, "at least one parameter", "none", remedy))
        if not any(isinstance(group, Mapping) for group in groups):
            groups = [{"params": groups}]
        self.param_groups = self._checked(groups)

    def update(self, grad: Array, state: dict[str, Any], step: Array, options: Any) -> None:
        """Write into ``step`` what is to be subtracted from the parameter, and return nothing.

        The rule is elementwise: the arrays may be those of one parameter, of many in a row, or a part of one.

        Args:
            grad: the gradient, to be read only.
            state: what the rule remembers: arrays like ``grad`` and numbers, by name, to be changed at will; empty at
                first.
            step: an array like ``grad``, to be filled; until then room for anything.
            options: the options of the group as attributes: ``options.lr``. ``options.arrays.lr`` is the number as an
                array without axes, which NumPy takes faster. ``weight_decay``, ``decoupled_weight_decay`` and
                ``maximize`` have been taken care of.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no update")

    def check(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options in their clean form, or raise an error that names the wrong one."""
        return dict(options)

    def step(self) -> None:
        """Update every parameter that requires a gradient.

        Raises:
            ArgumentError: if an option was set to a value out of range; nothing has changed then.
            ArgumentTypeError: if `update` returns something; no parameter has changed then.
        """
        if not self._in_place() or self.param_groups != self._groups:
            self._lay_out()
        for block in self._blocks:
            options, prepares = block.options, block.prepares
            for chunk in block.chunks:
                grad = block.prepare(chunk) if prepares else chunk.grads[0]
                returned = self.update(grad, chunk.state, chunk.step, options)  # type: ignore[func-returns-value]
                if returned is not None:
                    what, actual = "update to fill step and return None", f"a {type(returned).__name__}"
                    raise ArgumentTypeError(expects(type(self).__name__, what, actual, "write step[...] = ..."))
                if prepares:
                    block.shrink_data(chunk)
                for data, step in chunk.updates:
                    data -= step

    def zero_grad(self) -> None:
        """Make the gradients of all parameters zero."""
        for group in self.param_groups:
            zero_grads(group["params"])

    def _in_place(self) -> bool:
        """Whether every gradient is wanted, and where it was, or not wanted still. Fills those that count as zero.

        Data need no look: they move only when a parameter is cast, and then its gradient does, too.
        """
        for parameter, grad in self._places:
            if parameter._grad_is_zero:
                parameter.read_grad()
            if parameter._grad is not grad or not parameter.requires_grad:
                return False
        return not (self._frozen and any(parameter.requires_grad for parameter in self._frozen))

    def _lay_out(self) -> None:
        """Check the groups, and lay out the memory anew unless options are all that has changed."""
        groups = self._checked(self.param_groups)
        same = [group["params"] for group in groups] == [group["params"] for group in self._groups]
        if same and self._in_place():
            home = {parameter: group for group in groups for parameter in group["params"]}
            for block in self._blocks:
                block.follow(home[block.parameters[0]])
        else:
            self._leave(self._states())
            self._blocks = [block for group in groups for block in Block.arrange(group, self._resting)]
            self._places = [place for block in self._blocks for place in block.places]
            placed = {parameter for parameter, _ in self._places}
            self._resting = {parameter: state for parameter, state in self._resting.items() if parameter not in placed}
            self._frozen = [parameter for parameter in self._parameters() if parameter not in placed]
        self._groups = groups

    def _leave(self, states: dict[Parameter, dict[str, Any]]) -> None:
        """Give up the blocks; what the rule remembers is in ``states``."""
        self._blocks, self._places, self._frozen, self._groups = [], [], [], []
        self._resting = states

    def _states(self) -> dict[Parameter, dict[str, Any]]:
        """Return what the rule remembers for each parameter, also for those that are frozen, or in no group."""
        states = dict(self._resting)
        for block in self._blocks:
            states.update(block.states())
        return states

    @property
    def state(self) -> dict[Parameter, dict[str, Any]]:
        """What the rule remembers for each parameter: its numbers, and its arrays, by name.

        The arrays are live until parameters are added, frozen, unfrozen or cast, a state is loaded, or the rule itself
        puts others in their place.
        """
        states = self._states()
        return {parameter: states[parameter] for parameter in self._parameters() if states.get(parameter)}

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Add a group of parameters, with options of its own, to those that are updated."""
        if not isinstance(param_group, Mapping):
            raise ArgumentTypeError(
                expects(type(self).__name__, "a group to be a dict with 'params'", repr(param_group))
            )
        self.param_groups.append(self._checked([*self.param_groups, param_group])[-1])

    def _checked(self, groups: Iterable[Any]) -> list[dict[str, Any]]:
        return check_groups(type(self).__name__, groups, self.defaults, self.check)

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
        """Copy in what `state_dict` returned, or PyTorch's with arrays for tensors, after all of it was checked.

        Raises:
            StateError: if groups have other sizes or options, or a state has other names, kinds or shapes than the
                rule needs.
            ArgumentError: if an option is out of range.
        """
        name = type(self).__name__
        try:
            groups, states = list(state_dict["param_groups"]), dict(state_dict["state"])
            sizes = [len(group["params"]) for group in groups]
            order = [index for group in groups for index in group["params"]]
            once = len(set(order)) == len(order)
        except (TypeError, KeyError, IndexError, ValueError):
            what = "a state dict with 'state' and 'param_groups', as state_dict() returns it"
            raise StateError(expects(name, what, contents(state_dict))) from None
        expected = [len(group["params"]) for group in self.param_groups]
        if sizes != expected:
            raise StateError(expects(name, f"groups of {expected} parameters", f"groups of {sizes}"))
        if not once:
            raise StateError(expects(name, "each parameter in one group, once", f"the parameters {order}"))
        groups = [{key: value for key, value in group.items() if key not in NOT_HERE} for group in groups]
        for group in groups:
            options = set(group) - {"params", *SCHEDULED}
            if options != set(self.defaults):
                what, remedy = f"the options {sorted(self.defaults)}", "is it the state of another optimizer?"
                raise StateError(expects(name, what, sorted(options, key=str), remedy))
        new_groups = self._checked(
            {**group, "params": old["params"]} for group, old in zip(groups, self.param_groups, strict=True)
        )
        parameters = dict(zip(order, self._parameters(), strict=True))
        options_of = {parameter: group for group in new_groups for parameter in group["params"]}
        new_states = {}
        for index, entry in states.items():
            if index not in parameters or not isinstance(entry, Mapping):
                actual = f"that of {index!r}: {contents(entry)}"
                raise StateError(expects(name, f"the state of parameters {order}", actual))
            parameter = parameters[index]
            new_states[parameter] = self._fitted(parameter, entry, options_of[parameter])
        for old, new in zip(self.param_groups, new_groups, strict=True):
            old.clear()
            old.update(new)
        self._leave(new_states)

    def _fitted(self, parameter: Parameter, entry: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
        """Return a copy of what a state dict has for a parameter; nothing, or all that the rule needs."""
        arrays, numbers = self.state_arrays, self.state_numbers
        if not arrays and not numbers:  # a rule of one's own that does not say
            arrays = tuple(key for key, value in entry.items() if isinstance(value, np.ndarray))
            numbers = tuple(key for key in entry if key not in arrays)
        state: dict[str, Any] = {}
        for key, value in entry.items():
            if key in arrays:
                if value is not None:  # which is PyTorch's word for a buffer that is not there yet
                    state[key] = self._fitted_array(parameter, key, value)
            elif key in numbers:
                state[key] = self._fitted_number(key, value)
            else:
                raise StateError(expects(type(self).__name__, f"a state of {[*numbers, *arrays]}", repr(key)))
        if state:
            self._try_out(state, options, parameter.dtype)
        return state

    def _fitted_array(self, parameter: Parameter, key: str, value: Any) -> Array:
        """Return a copy of an array of a state, which must be like the parameter."""
        try:
            return parameter.fit(key, value).copy()
        except (ShapeError, DTypeError) as error:
            actual = str(error).rpartition("got ")[2]
            what = f"{key} of shape {parameter.shape} and dtype {parameter.dtype}"
            raise StateError(expects(type(self).__name__, what, actual)) from None

    def _fitted_number(self, key: str, value: Any) -> float:
        """Return a number of a state, which may come in an array without axes."""
        try:
            return number(type(self).__name__, key, value.item() if getattr(value, "shape", None) == () else value)
        except (ArgumentError, ArgumentTypeError) as error:
            raise StateError(str(error)) from None

    def _try_out(self, state: Mapping[str, Any], options: Mapping[str, Any], dtype: np.dtype[Any]) -> None:
        """Let the rule go on from a state, with none of the elements, to see whether all that it needs is there."""
        copy = {key: np.empty(0, dtype) if isinstance(value, np.ndarray) else value for key, value in state.items()}
        try:
            self.update(np.empty(0, dtype), copy, np.empty(0, dtype), as_attributes(options, dtype))
        except (KeyError, ValueError, ArithmeticError) as error:
            what = "a state that it can go on from"
            raise StateError(expects(type(self).__name__, what, f"{', '.join(state)}: {error!r}")) from None

    def _parameters(self) -> list[Parameter]:
        return [parameter for group in self.param_groups for parameter in group["params"]]

    @override
    def __getstate__(self) -> dict[str, Any]:
        attributes = dict(self.__dict__)
        attributes["_resting"] = self._states()
        attributes.update(_blocks=[], _places=[], _frozen=[], _groups=[])  # flat arrays stay behind
        return attributes

    @override
    def __repr__(self) -> str:
        groups = [
            ", ".join(f"{name}={value!r}" for name, value in group.items() if name != "params")
            for group in self.param_groups
        ]
        return f"{type(self).__name__}({'; '.join(groups)})"
