"""Laws of copies: a layer can be copied, pickled, saved and shown, and is the same again from the same seed."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from functools import partial

from tinynn.core.layer import Layer
from tinynn.core.passes import no_grad
from tinynn.errors import PassError
from tinynn.testing.laws.bench import Bench
from tinynn.testing.laws.comparison import equal
from tinynn.testing.laws.excuses import can_be_redrawn
from tinynn.testing.laws.law import demand, law, raises
from tinynn.testing.laws.layer_case import LayerCase


@law("`__deepcopy__` and `__reduce__` are best left alone; what cannot be copied (locks, files) is opened when needed")
def a_deepcopy_is_a_twin(case: LayerCase) -> None:
    """`copy.deepcopy` gives a layer that computes the same, owns its parameters, and has nothing to undo."""
    _is_twin(case, copy.deepcopy, "a deepcopy")


@law("define classes and functions at module level, not inside functions and not as lambdas")
def a_pickle_is_a_twin(case: LayerCase) -> None:
    """`pickle` gives a layer that computes the same, owns its parameters, and has nothing to undo."""
    _is_twin(case, lambda layer: pickle.loads(pickle.dumps(layer)), "a pickled copy")  # noqa: S301


def _is_twin(case: LayerCase, duplicate: Callable[[Layer], Layer], what: str) -> None:
    bench = case.bench()
    expected = bench.run()
    bench.forward()
    bench.rewind()
    twin = Bench(duplicate(bench.layer), bench.inputs, bench.grads)
    demand(repr(twin.layer) == repr(bench.layer), f"{what} is {twin.layer!r}, not {bench.layer!r}")
    equal(twin.at_parameters(), bench.at_parameters(), f"in {what}")
    raises(PassError, partial(twin.layer.backward, *bench.grads), f"a backward of {what}")
    equal(twin.run(), expected, f"in {what}")
    given = bench.backward()
    at_inputs = {name: given[name] for name in given if name not in bench.at_parameters()}
    equal(at_inputs, {name: expected[name] for name in at_inputs}, f"after {what} was made and used")
    for parameter in twin.layer.parameters():
        parameter.data = parameter.data + 1
    equal(bench.run(), expected, f"after the parameters of {what} were changed")
    evaluating = case.layer(training=False)
    modes, its = ([inside.training for _, inside in x.named_layers()] for x in (evaluating, duplicate(evaluating)))
    demand(its == modes, f"{what} of a layer in evaluation mode is in training mode")


@law("what is trained is a `Parameter`, what else has to be saved is a `Buffer`")
def its_state_makes_it(case: LayerCase) -> None:
    """A layer with other numbers computes the same after it has loaded the state dict, which shares no memory."""
    training = not case.is_random
    layer = case.layer()
    with no_grad():
        layer(*case.inputs(seed=5))  # what runs along, has run
    bench = case.bench(training=training)
    source = Bench(layer.train(training), bench.inputs, bench.grads)
    state = layer.state_dict()
    other = case.layer(seed=99, training=training)
    other.load_state_dict(state)
    target = Bench(other, bench.inputs, bench.grads)
    expected = source.run()
    equal(target.run(), expected, "after loading the state of another layer")
    for value in state.values():
        value.fill(0)
    for changed in (source, target):
        equal(changed.run(), expected, "after an array of a state dict was changed")
    demand(list(other.state_dict()) == list(state), "the names in the state dict depend on the numbers")


@law("define `extra_repr`, which returns what stands between the parentheses")
def its_repr_is_short(case: LayerCase) -> None:
    """`repr` is the name of the class with its arguments, in one line unless there are layers inside."""
    layer = case.specimen
    text = repr(layer)
    demand(text.startswith(f"{type(layer).__name__}(") and text.endswith(")"), f"its repr is {text!r}")
    demand(" at 0x" not in text, f"its repr shows an address: {text!r}")
    demand("\n" not in text or list(layer.children()), f"its repr has several lines: {text!r}")


@law("all randomness comes from a generator: let the factory take `rng`, and keep it in an attribute")
def a_seed_makes_it(case: LayerCase) -> None:
    """Two layers built with generators of the same seed compute the same."""
    equal(case.bench().run(), case.bench().run(), "in a second layer of the same seed")


@law("draw every parameter anew from `rng` in `draw_parameters`, and from nothing else", can_be_redrawn)
def a_seed_redraws_it(case: LayerCase) -> None:
    """After `reset_parameters` with the same seed, two layers have the same parameters, whatever they had."""
    first, second = case.layer(seed=1), case.layer(seed=2)
    with no_grad():
        first(*case.inputs())
    first.reset_parameters(rng=5)
    second.reset_parameters(rng=5)
    equal(first.state_dict(), second.state_dict(), "after reset_parameters")


@law("layers inside are attributes, or in lists and dicts there; leave `train` and `eval` alone")
def modes_reach_everything_inside(case: LayerCase) -> None:
    """`train` and `eval` switch every layer inside, and return the layer."""
    layer = case.layer()
    for switch, training in ((layer.eval, False), (layer.train, True)):
        demand(switch() is layer, f"{switch.__name__} does not return the layer")
        left = [path or "itself" for path, inside in layer.named_layers() if inside.training is not training]
        demand(not left, f"{switch.__name__} leaves out {', '.join(left)}")
