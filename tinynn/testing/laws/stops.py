"""Laws of optimizers that are stopped and go on: saved, copied, pickled."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

from tinynn.testing.laws.comparison import close, equal
from tinynn.testing.laws.law import demand, law
from tinynn.testing.laws.optimizer_case import OptimizerCase, Run


def with_arrays(case: OptimizerCase) -> str:
    """Only rules that remember something."""
    entry = case.run().go(2).optimizer.state_dict()["state"].get(0, {})
    return "" if any(isinstance(value, np.ndarray) for value in entry.values()) else "it remembers no array"


@law("keep what the rule remembers in `state`, as arrays and numbers, not on self")
def its_state_goes_on(case: OptimizerCase) -> None:
    """A new optimizer that loads the state dict goes on bit by bit as the old one does."""
    straight, stopped = case.run().go(10), case.run().go(4)
    state = stopped.optimizer.state_dict()
    again = case.run().go(2)
    for number, parameter in again.parameters.items():
        parameter.data = stopped.parameters[number].data
    again.optimizer.load_state_dict(state)
    again.done = stopped.done
    equal(again.go(6).data(), straight.data(), "after loading the state in the middle")


@law("hand out copies: `value.copy()`", with_arrays)
def a_state_dict_is_a_copy(case: OptimizerCase) -> None:
    """What happens to a state dict does not happen to the optimizer, and the other way round."""
    run, straight = case.run().go(3), case.run().go(6)
    state = run.optimizer.state_dict()
    run.go(1)
    for entry in state["state"].values():
        for value in entry.values():
            if isinstance(value, np.ndarray):
                value[...] = 1e3
    close(run.go(2).data(), straight.data(), "after a state dict was changed", 1e-13)


@law("leave `load_state_dict` alone, and let `check` refuse options that are out of range")
def a_state_that_does_not_fit_is_refused(case: OptimizerCase) -> None:
    """A state dict of other parameters is a `ValueError`, and nothing has changed then."""
    for what, spoil in SPOILS.items():
        run = case.run().go(3)
        state = copy.deepcopy(run.optimizer.state_dict())
        for entry in state["state"].values():
            for name, value in entry.items():
                entry[name] = value + 1 if isinstance(value, np.ndarray) else value
        if not spoil(state):
            continue
        try:
            run.optimizer.load_state_dict(state)
        except ValueError:
            close(run.go(3).data(), case.run().go(6).data(), f"after {what} was refused", 1e-13)
        else:
            demand(False, f"{what} is taken")


def _another_shape(state: Any) -> bool:
    for entry in state["state"].values():
        for name, value in entry.items():
            if isinstance(value, np.ndarray):
                entry[name] = np.ones((*value.shape, 2))
                return True
    return False


def _no_rate(state: Any) -> bool:
    if "lr" in state["param_groups"][0]:
        state["param_groups"][0]["lr"] = float("nan")
        return True
    return False


SPOILS: dict[str, Callable[[Any], bool]] = {
    "an empty state dict": lambda state: state.clear() is None,
    "a state without groups": lambda state: state.pop("param_groups") is not None,
    "a state of fewer parameters": lambda state: state["param_groups"][0]["params"].pop() is not None,
    "a state of more groups": lambda state: state["param_groups"].append({"params": [9]}) is None,
    "the state of an unknown parameter": lambda state: state["state"].update({9: {}}) is None,
    "an array of another shape": _another_shape,
    "a learning rate that is no number": _no_rate,
}


@law("keep nothing that cannot be copied; what the rule remembers belongs in `state`")
def a_deepcopy_goes_on(case: OptimizerCase) -> None:
    """Copied together with its parameters, an optimizer goes on as the original does, with parameters of its own."""
    _goes_on(case, copy.deepcopy, "a deepcopy")


@law("define classes and functions at module level; what the rule remembers belongs in `state`")
def a_pickle_goes_on(case: OptimizerCase) -> None:
    """Pickled together with its parameters, an optimizer goes on as the original does, with parameters of its own."""
    _goes_on(case, lambda both: pickle.loads(pickle.dumps(both)), "a pickled copy")  # noqa: S301


def _goes_on(case: OptimizerCase, duplicate: Callable[[Any], Any], what: str) -> None:
    run = case.run().go(3)
    before = run.data()
    parameters, optimizer = duplicate((run.parameters, run.optimizer))
    twin = Run(case, parameters, optimizer, run.done).go(3)
    equal(run.data(), before, f"after steps of {what}")
    equal(twin.data(), run.go(3).data(), f"in {what}")
