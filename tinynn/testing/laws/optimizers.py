"""Laws of optimizers: one elementwise rule, for any parameters in any order."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynn.testing.laws.comparison import Results, close, equal
from tinynn.testing.laws.law import demand, law
from tinynn.testing.laws.optimizer_case import OptimizerCase, Run

ELEMENTWISE = "write `update` as a rule for each element, without sums, norms or shapes"


def with_reference(case: OptimizerCase) -> str:
    """Only where there is something to compare with."""
    return "" if case.reference is not None else "it has no reference"


def with_rate(case: OptimizerCase) -> str:
    """Only rules with a learning rate."""
    return "" if "lr" in case.run().optimizer.param_groups[0] else "it has no lr"


@law("fill `step` with what is to be subtracted, all of it: `step[...] = ...`, or `np.multiply(..., out=step)`")
def it_makes_steps(case: OptimizerCase) -> None:
    """A step changes every parameter, in place, to finite numbers."""
    run = case.run()
    places = {number: parameter.data for number, parameter in run.parameters.items()}
    for _ in range(3):
        before = run.data()
        run.go(1)
        for name, value in run.data().items():
            demand(np.isfinite(value).all(), f"{name} is not finite after step {run.done}")
            demand((value != before[name]).all(), f"{name} is not changed by step {run.done}, or not all of it")
    moved = [number for number, parameter in run.parameters.items() if parameter.data is not places[number]]
    demand(not moved, f"the data of parameters {moved} are other arrays after a step")


@law(
    "hold `update` against the paper line by line; the first step that differs tells where",
    with_reference,
)
def it_follows_its_reference(case: OptimizerCase) -> None:
    """Over many steps with recorded gradients, every parameter is what the reference says."""
    reference: Any = case.reference
    run = case.run()
    expected = {}
    for number, parameter in run.parameters.items():
        grads = [case.grad(number, step) for step in range(case.steps)]
        expected[number] = [np.array(data) for data in reference(parameter.data.copy(), grads)]
        count = len(expected[number])
        demand(count == case.steps, f"the reference gives {count} arrays for {case.steps} steps")
    for step in range(case.steps):
        run.go(1)
        wanted = {f"parameter {number}": expected[number][step] for number in run.parameters}
        close(run.data(), wanted, f"after step {step + 1}")


@law("in `update`, grad is for reading: `grad = grad + ...`, not `grad += ...`")
def gradients_are_not_written_to(case: OptimizerCase) -> None:
    """After a step the gradients are what they were before it."""
    for seen in (False, True):
        run = case.run()
        for _ in range(3):
            run.feed()
            if seen:
                _ = [parameter.grad for parameter in run.parameters.values()]
            before = run.grads()
            run.optimizer.step()
            equal(run.grads(), before, f"after step {run.done}")


@law("leave `zero_grad` alone; the base class goes through all groups")
def zero_grad_clears_all(case: OptimizerCase) -> None:
    """`zero_grad` makes the gradients of all parameters zero, in all groups."""
    parameters = [case.parameter(number) for number in range(3)]
    optimizer = case.optimizer([{"params": parameters[:1]}, {"params": parameters[1:]}])
    for parameter in parameters:
        parameter.grad = np.ones(parameter.shape)
    optimizer.zero_grad()
    left = [number for number, parameter in enumerate(parameters) if parameter.grad.any()]
    demand(not left, f"parameters {left} still have a gradient after zero_grad")


@law("do not skip a parameter because its gradient is zero: decay and momentum still act")
def no_gradient_is_a_gradient_of_zeros(case: OptimizerCase) -> None:
    """A step after `zero_grad` alone is a step with gradients of zeros."""
    untouched, zeros = case.run().go(3), case.run().go(3)
    untouched.optimizer.zero_grad()
    for parameter in zeros.parameters.values():
        parameter.grad = np.zeros(parameter.shape)
    for run in (untouched, zeros):
        run.optimizer.step()
    close(untouched.data(), zeros.data(), "after zero_grad and a step", 1e-13)


@law("leave `step` alone; the base class skips what requires no gradient")
def frozen_parameters_stay(case: OptimizerCase) -> None:
    """A parameter that requires no gradient is not changed, and goes on once it does; the others do not notice."""
    run, others = case.run().go(2), case.run((1, 2)).go(3)
    run.parameters[0].requires_grad = False
    before = run.data()["parameter 0"]
    run.go(1)
    equal({"parameter 0": run.data()["parameter 0"]}, {"parameter 0": before}, "frozen")
    rest = others.data()
    close({name: run.data()[name] for name in rest}, rest, "with another parameter frozen", 1e-13)
    run.parameters[0].requires_grad = True
    run.go(1)
    demand((run.data()["parameter 0"] != before).all(), "a parameter stays where it is after it was frozen for a while")


@law("leave the groups to the base class: it counts every parameter once")
def tied_parameters_count_once(case: OptimizerCase) -> None:
    """A parameter that is given twice is updated once."""
    parameters = {number: case.parameter(number) for number in range(3)}
    twice = Run(case, parameters, case.optimizer([*parameters.values(), parameters[0]]))
    close(twice.go(3).data(), case.run().go(3).data(), "with a parameter given twice", 1e-13)


@law("read options from `options`, in every step, and not from self", with_rate)
def groups_have_their_options(case: OptimizerCase) -> None:
    """Each group has a learning rate of its own, which may be changed between steps."""
    parameters = {number: case.parameter(number) for number in range(2)}
    rate = case.optimizer([case.parameter(0)]).param_groups[0]["lr"]
    groups = [{"params": [parameters[0]]}, {"params": [parameters[1]], "lr": rate / 2}]
    together = Run(case, parameters, case.optimizer(groups))
    alone = [case.run((0,)), case.run((1,))]
    alone[1].optimizer.param_groups[0]["lr"] = rate / 2
    for factor in (1.0, 0.25):
        for run in (together, *alone):
            for group in run.optimizer.param_groups:
                group["lr"] *= factor
            run.go(3)
        close(together.data(), alone[0].data() | alone[1].data(), "in groups with rates of their own", 1e-13)
    usual = case.run((1,)).go(together.done).data()["parameter 1"]
    demand((together.data()["parameter 1"] != usual).any(), "the learning rate of a group makes no difference")


@law(ELEMENTWISE)
def order_makes_no_difference(case: OptimizerCase) -> None:
    """Parameters end up the same in whatever order they are given."""
    close(case.run((2, 0, 1)).go(5).data(), case.run().go(5).data(), "in another order", 1e-13)


@law(ELEMENTWISE)
def company_makes_no_difference(case: OptimizerCase) -> None:
    """Parameters end up the same whether one optimizer has all of them, or each has one of its own."""
    alone = case.run((0,)).go(5).data() | case.run((1,)).go(5).data() | case.run((2,)).go(5).data()
    close(case.run().go(5).data(), alone, "together with others", 1e-13)


@law("keep what the rule remembers in `state`, not on self")
def a_second_optimizer_may_share(case: OptimizerCase) -> None:
    """Two optimizers over the same parameters, in turn, each go their own way."""

    def in_turn(run: Run, second: Any) -> Run:
        for _ in range(4):
            run.go(1)
            second.step()
        return run

    run = case.run()
    together = in_turn(run, case.optimizer(list(run.parameters.values())[::-1])).data()
    alone: Results = {}
    for number in run.parameters:
        single = case.run((number,))
        alone |= in_turn(single, case.optimizer(list(single.parameters.values()))).data()
    close(together, alone, "in turn with a second optimizer", 1e-13)


@law("Python's numbers keep float32, NumPy's do not: `math.sqrt(2)`, not `np.sqrt(2)`")
def float32_is_kept(case: OptimizerCase) -> None:
    """In float32, parameters, gradients and state stay in float32, and the way is that of float64 up to 1e-4."""
    narrow = case.run(dtype=np.float32).go(10)
    for name, value in (narrow.data() | narrow.grads()).items():
        demand(value.dtype == np.float32, f"{name} comes in {value.dtype}")
    for state in narrow.optimizer.state.values():
        for name, value in state.items():
            wide = isinstance(value, np.ndarray) and value.dtype != np.float32
            demand(not wide, f"the state {name!r} comes in {getattr(value, 'dtype', None)}")
    close(narrow.data(), case.run().go(10).data(), "in float32", 1e-4)


@law("leave `repr` alone: the base class shows the options of every group")
def its_repr_shows_its_options(case: OptimizerCase) -> None:
    """`repr` is the name of the class with all options, in one line."""
    optimizer = case.run().optimizer
    text = repr(optimizer)
    demand(text.startswith(f"{type(optimizer).__name__}(") and "\n" not in text, f"its repr is {text!r}")
    left = [name for name in optimizer.param_groups[0] if name != "params" and f"{name}=" not in text]
    demand(not left, f"its repr {text!r} leaves out {', '.join(left)}")
