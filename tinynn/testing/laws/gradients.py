"""Laws of gradients: they are those of forward, and they add up, wherever the layer stands."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from typing_extensions import override

from tinynn.core.layer import Layer
from tinynn.core.passes import one_pass
from tinynn.errors import PassError
from tinynn.layers.activations import Tanh
from tinynn.layers.containers import Sequential
from tinynn.testing.gradients import check_gradients
from tinynn.testing.laws.bench import Bench
from tinynn.testing.laws.comparison import Results, close, equal, scaled, total
from tinynn.testing.laws.excuses import takes_its_own_output, with_parameters
from tinynn.testing.laws.law import demand, law, raises
from tinynn.testing.laws.layer_case import LayerCase


@law("see what `check_gradients` says of it")
def gradients_in_training(case: LayerCase) -> None:
    """In training mode, backward gives the gradient of forward, at every input and every parameter."""
    check_gradients(case.layer(), *case.inputs(), max_elements=case.max_elements)


@law("does backward look at `self.training`, as forward does?", after=(gradients_in_training,))
def gradients_in_evaluation(case: LayerCase) -> None:
    """In evaluation mode, backward gives the gradient of forward, at every input and every parameter."""
    check_gradients(case.layer().eval(), *case.inputs(), max_elements=case.max_elements)


@law("use `add_grad(...)` or `+=`; `.grad = ...` replaces what is there", with_parameters)
def gradients_add_up(case: LayerCase) -> None:
    """A second pass adds its gradients to those of the first, and `zero_grad` clears them."""
    bench = case.bench()
    once = bench.run()
    close(bench.alone(bench.run(add=True)), scaled(bench.alone(once), 2), "after a second backward")
    bench.layer.zero_grad()
    equal(bench.at_parameters(), scaled(bench.alone(once), 0), "after zero_grad")


@law("every term of backward is a multiple of grad")
def backward_is_linear(case: LayerCase) -> None:
    """Three times the gradient at the output gives three times all gradients, and none gives none."""
    bench = case.bench()
    grads = bench.grads or (np.ones(()),)

    def run(factor: int) -> Results:
        return bench.run(grads=tuple(None if grad is None else grad.dtype.type(factor) * grad for grad in grads))

    expected = run(1)
    for factor in (3, 0):
        result = run(factor)
        outputs = {name: value for name, value in expected.items() if name.startswith("the output")}
        close(result, {**scaled(expected, factor), **outputs}, f"with {factor} times the gradient at the output")


@law("keep what backward needs with `self.saved.push(...)`, not on self", after=(gradients_add_up,))
def each_call_keeps_its_own(case: LayerCase) -> None:
    """Two calls in one pass are undone one by one, each with what it saved itself."""
    first, second = case.bench(seed=1), case.bench(seed=2)
    alone_first, alone_second = first.run(), second.run()
    with one_pass():
        bench = Bench(case.layer(), first.inputs, first.grads)
        bench.forward()
        bench.forward(second.inputs)
        at_second = bench.backward(second.grads)
        at_first = bench.backward(first.grads)
    parameters = bench.at_parameters()
    when = "where the layer is called twice in a pass"
    for together, alone in ((at_first, alone_first), (at_second, alone_second)):
        expected = {name: value for name, value in alone.items() if name in together and name not in parameters}
        close({name: together[name] for name in expected}, expected, when)
    close(parameters, total(bench.alone(alone_first), bench.alone(alone_second)), when)


@law(
    "keep what backward needs with `self.saved.push(...)`, not on self",
    takes_its_own_output,
    after=(gradients_add_up, gradients_in_training),
)
def may_follow_itself(case: LayerCase) -> None:
    """A layer may stand in a `Sequential` more than once."""
    layer, inputs = case.layer(), case.inputs()
    for model in (Sequential(layer, layer), Sequential(layer, Tanh(), layer)):
        check_gradients(model, *inputs, max_elements=case.max_elements)
        demand(len(list(model.parameters())) == len(list(layer.parameters())), "its parameters are not found once")


class _Around(Layer):
    """A container around a layer: it hands everything through."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self.needs_grad = layer.needs_grad

    @override
    def forward(self, *inputs: Any) -> Any:
        return self.layer(*inputs)

    @override
    def backward(self, *grads: Any) -> Any:
        return self.layer.backward(*grads)


@law("keep what backward needs with `self.saved.push(...)`, not on self", after=(gradients_add_up,))
def may_be_shared_by_models(case: LayerCase) -> None:
    """A layer inside two models undoes the call of each, in whatever order they go back."""
    first, second = case.bench(seed=1), case.bench(seed=2)
    alone = [first.run(), second.run()]
    for order in ((0, 1), (1, 0)):
        layer = case.layer()
        benches = [Bench(_Around(layer), bench.inputs, bench.grads) for bench in (first, second)]
        for bench in benches:
            bench.forward()
        when = "where two models share the layer"
        for index in order:
            given = benches[index].backward()
            at_inputs = {name: value for name, value in alone[index].items() if name in given}
            equal({name: given[name] for name in at_inputs}, at_inputs, when)
        bench = Bench(layer, first.inputs, first.grads)
        close(bench.at_parameters(), total(bench.alone(alone[0]), bench.alone(alone[1])), when)


@law("let copies share what the memo of `__deepcopy__` says", with_parameters, after=(gradients_add_up,))
def parameters_may_be_tied(case: LayerCase) -> None:
    """A parameter that two layers share counts once, and gets the gradients of both."""
    first, second = case.bench(seed=1), case.bench(seed=2)
    apart = total(first.alone(first.run()), second.alone(second.run()))
    layer = case.layer()
    shared: dict[int, Any] = {id(parameter): parameter for parameter in layer.parameters()}
    count, twin = len(shared), copy.deepcopy(layer, shared)
    demand(len(list(Sequential(layer, twin).parameters())) == count, "parameters that are shared do not count once")
    Bench(layer, first.inputs, first.grads).run()
    together = Bench(twin, second.inputs, second.grads).run(add=True)
    close(first.alone(together), apart, "where two layers share the parameters")


@law("let it do what backward does, but for what it returns; or leave it out")
def backward_parameters_is_backward(case: LayerCase) -> None:
    """`backward_parameters` gives the parameters the gradients that `backward` gives them, and returns None."""
    bench = case.bench()
    expected = bench.alone(bench.run())
    bench.layer.zero_grad()
    bench.forward()
    backward_parameters: Callable[..., object] = bench.layer.backward_parameters
    demand(backward_parameters(*bench.grads) is None, "backward_parameters returns something")
    equal(bench.at_parameters(), expected, "after backward_parameters")
    raises(PassError, partial(backward_parameters, *bench.grads), "a second backward_parameters")


@law("what `requires_grad` says of one parameter is not to change what the others get", with_parameters)
def parameters_may_be_frozen(case: LayerCase) -> None:
    """Where some parameters are frozen, the gradients of the others and of the inputs are what they were."""
    bench = case.bench()
    expected = bench.run()
    frozen = [f"the gradient of {path}" for path, _ in list(bench.layer.named_parameters())[::2]]
    for parameter in list(bench.layer.parameters())[::2]:
        parameter.requires_grad = False
    result = bench.run()
    free = {name: value for name, value in expected.items() if name not in frozen}
    equal({name: result[name] for name in free}, free, "with some parameters frozen")
