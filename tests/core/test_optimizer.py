"""The promises of optimizers: groups, options by hand, exact continuation, nothing aliased, each updated once."""

import copy
import json
import pickle

import numpy as np
import pytest

import tinynn as nn
from tinynn.core import block
from tinynn.errors import ArgumentError, ArgumentTypeError, StateError


@pytest.fixture(autouse=True, params=["one chunk", "chunks of two elements"])
def cut(request, monkeypatch):
    """Every promise holds wherever the row of parameters is cut."""
    if request.param != "one chunk":
        monkeypatch.setattr(block, "LARGE", 16)


def same(actual, expected):
    np.testing.assert_array_equal(actual, np.asarray(expected))


def feed(parameters, *grads):
    for parameter, grad in zip(parameters, grads, strict=True):
        parameter.grad = np.full(parameter.shape, float(grad))


def pair():
    return [nn.Parameter([1.0, 2.0]), nn.Parameter([[3.0]])]


# Updates


def test_a_step_is_the_descent_of_the_note():
    weight, bias = pair()
    held = weight.data
    optimizer = nn.SGD([weight, bias], lr=0.5)
    feed([weight, bias], 2, 4)
    optimizer.step()
    same(weight.data, [0, 1])
    same(bias.data, [[1]])
    assert weight.data is held


def test_the_default_rate_is_that_of_the_note():
    assert nn.SGD(pair()).param_groups[0]["lr"] == pytest.approx(1e-3, rel=1e-15)


def test_a_step_leaves_the_gradients_alone():
    parameters = pair()
    optimizer = nn.SGD(parameters, lr=0.5, momentum=0.9, weight_decay=0.1, nesterov=True)
    for _ in range(3):
        feed(parameters, 2, 4)
        optimizer.step()
        same(parameters[0].grad, [2, 2])
        same(parameters[1].grad, [[4]])


def test_a_rule_of_ones_own_is_one_update_on_arrays():
    class Sign(nn.Optimizer):
        """W ↦ W - lr sign(g), with a count of steps."""

        def update(self, grad, state, step, options):
            state["count"] = state.get("count", 0) + 1
            state["seen"] = state.get("seen", 0) + np.abs(grad)
            np.multiply(np.sign(grad), options.lr * state["count"], step)

    parameters = pair()
    optimizer = Sign(parameters, lr=0.5)
    for count in (1, 2):
        feed(parameters, -3, 7)
        optimizer.step()
        same(optimizer.state[parameters[0]]["seen"], [3 * count] * 2)
    same(parameters[0].data, [2.5, 3.5])
    same(parameters[1].data, [[1.5]])
    assert optimizer.state[parameters[0]]["count"] == 2
    same(optimizer.state[parameters[1]]["seen"], [[14]])


def test_a_rule_sees_numbers_as_numbers_and_as_arrays_of_the_dtype_of_the_gradient():
    class Scaled(nn.Optimizer):
        def update(self, grad, state, step, options):
            assert type(options.lr) is float
            assert options.arrays.lr.dtype == grad.dtype
            np.multiply(grad, options.arrays.lr, step)

    for dtype in (np.float32, np.float64):
        parameter = nn.Parameter([1.0, 2.0, 3.0], dtype=dtype)
        optimizer = Scaled([parameter], lr=0.5, name="none")
        for rate in (0.5, 0.25):
            optimizer.param_groups[0]["lr"] = rate
            parameter.grad = np.full(3, 2.0)
            optimizer.step()
        same(parameter.data, [-0.5, 0.5, 1.5])


def test_what_a_rule_forgets_to_fill_shows():
    class Forgetful(nn.Optimizer):
        def update(self, grad, state, step, options):
            step[:1] = grad[:1]

    parameter = nn.Parameter([1.0, 2.0])
    Forgetful([parameter]).step()
    same(np.isnan(parameter.data), [False, True])


@pytest.mark.parametrize("decoupled", [False, True])
def test_a_rule_that_returns_its_step_is_refused_and_the_parameters_stay(decoupled):
    class Returning(nn.Optimizer):
        def update(self, grad, state, step, options):
            return options.lr * grad

    parameters = pair()
    feed(parameters, 2, 4)
    optimizer = Returning(parameters, lr=0.5, weight_decay=0.5, decoupled_weight_decay=decoupled)
    with pytest.raises(ArgumentTypeError) as caught:
        optimizer.step()
    assert str(caught.value) == (
        "Returning expects update to fill step and return None, got a ndarray; write step[...] = ..."
    )
    same(parameters[0].data, [1, 2])
    same(parameters[1].data, [[3]])


def test_the_options_of_a_rule_may_come_in_a_dict_as_in_pytorch():
    class Sign(nn.Optimizer):
        def __init__(self, params, lr=0.5):
            super().__init__(params, {"lr": lr})

        def update(self, grad, state, step, options):
            np.multiply(np.sign(grad), options.lr, step)

    parameters = pair()
    feed(parameters, 2, -4)
    optimizer = Sign(parameters)
    optimizer.step()
    assert optimizer.defaults == {"lr": 0.5}
    same(parameters[0].data, [0.5, 1.5])
    assert nn.Optimizer(parameters, defaults={"lr": 0.5}, momentum=0.9).defaults == {"lr": 0.5, "momentum": 0.9}
    with pytest.raises(ArgumentTypeError, match=r"^Optimizer expects defaults to be a dict of options, got 0\.5$"):
        nn.Optimizer(parameters, 0.5)


@pytest.mark.parametrize("held", [False, True])
def test_a_rule_cannot_write_to_the_gradient(held):
    class Greedy(nn.Optimizer):
        def update(self, grad, state, step, options):
            grad *= options.lr
            step[...] = grad

    parameters = pair()[:1]
    if held:
        _ = parameters[0].grad
    feed(parameters, 2)
    with pytest.raises(ValueError, match="read-only"):
        Greedy(parameters, lr=0.5).step()
    same(parameters[0].grad, [2, 2])
    same(parameters[0].data, [1, 2])


def test_a_rule_is_called_once_for_parameters_alike_whoever_holds_their_gradients(cut, monkeypatch):
    monkeypatch.setattr(block, "LARGE", 2**20)
    seen = []

    class Plain(nn.Optimizer):
        def update(self, grad, state, step, options):
            seen.append(grad.tolist())
            step[...] = grad

    for held, expected in (((), [[1, 1, 2, 3]]), ((0, 1, 2), [[1, 1, 2, 3]]), ((1,), [[1, 1, 3], [2]])):
        parameters = [*pair(), nn.Parameter(5.0)]
        grads = {index: parameters[index].grad for index in held}
        for parameter, value in zip(parameters, (1, 2, 3), strict=True):
            parameter.add_grad(np.full(parameter.shape, float(value)))
        optimizer = Plain(parameters)
        for _ in range(2):
            seen.clear()
            optimizer.step()
            assert seen == expected
        for index, grad in grads.items():
            assert parameters[index].grad is grad


def test_weight_decay_and_maximize_are_taken_care_of_for_every_rule():
    class Plain(nn.Optimizer):
        def update(self, grad, state, step, options):
            step[...] = grad

    parameters = pair()
    optimizer = Plain(parameters, weight_decay=0.5, maximize=True)
    feed(parameters, 2, 4)
    optimizer.step()
    same(parameters[0].data, [1 + 2 - 0.5, 2 + 2 - 1])


def test_decoupled_weight_decay_shrinks_the_parameters_first():
    class Plain(nn.Optimizer):
        def update(self, grad, state, step, options):
            np.multiply(grad, options.lr, step)

    parameters = pair()
    optimizer = Plain(parameters, lr=0.5, weight_decay=0.25, decoupled_weight_decay=True, maximize=True)
    feed(parameters, 2, 4)
    optimizer.step()
    same(parameters[0].data, [0.875 + 1, 1.75 + 1])
    same(parameters[1].data, [[2.625 + 2]])


def test_frozen_parameters_are_skipped():
    parameters = pair()
    optimizer = nn.SGD(parameters, lr=1.0, weight_decay=0.5, momentum=0.5)
    parameters[0].requires_grad = False
    feed(parameters, 2, 4)
    optimizer.step()
    same(parameters[0].data, [1, 2])
    same(parameters[1].data, [[3 - 4 - 1.5]])
    assert list(optimizer.state) == [parameters[1]]


def test_tied_and_repeated_parameters_are_updated_once():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    before = model[0].weight.data.copy()
    for params in (model.parameters(), [model[0].weight, model[1].weight], [{"params": [model[0].weight] * 3}]):
        model[0].weight.data = before
        optimizer = nn.SGD(params, lr=0.5)
        model[0].weight.grad = np.ones((2, 2))
        optimizer.step()
        same(model[0].weight.data, before - 0.5)


def test_zero_grad_clears_every_group():
    parameters = pair()
    optimizer = nn.SGD([{"params": [parameters[0]]}, {"params": [parameters[1]], "lr": 0.1}])
    feed(parameters, 2, 4)
    held = parameters[0].grad
    optimizer.zero_grad()
    same(held, [0, 0])
    same(parameters[1].grad, [[0]])


# Groups


def test_groups_have_options_of_their_own():
    parameters = [*pair(), nn.Parameter(5.0)]
    optimizer = nn.SGD(
        [
            {"params": parameters[0], "lr": 1.0},
            {"params": parameters[1:2]},
            {"params": iter(parameters[2:]), "momentum": 0.5},
        ],
        lr=0.5,
    )
    for _ in range(2):
        feed(parameters, 1, 1, 1)
        optimizer.step()
    same(parameters[0].data, [-1, 0])
    same(parameters[1].data, [[2]])
    same(parameters[2].data, 5 - 0.5 - 0.75)


def test_a_group_added_later_is_updated_and_the_others_go_on():
    first, second = pair()
    optimizer = nn.SGD([first], lr=0.5, momentum=0.5)
    feed([first], 1)
    optimizer.step()
    optimizer.add_param_group({"params": [second], "lr": 1.0})
    feed([first, second], 1, 1)
    optimizer.step()
    same(first.data, [1 - 0.5 - 0.75, 2 - 0.5 - 0.75])
    same(second.data, [[2]])
    assert optimizer.param_groups[1] == {**optimizer.param_groups[0], "params": [second], "lr": 1.0}


GROUPS = {
    "no dict": ([nn.Parameter([1.0])], ArgumentTypeError, "a group to be a dict with 'params'"),
    "no params": ({"lr": 1.0}, ArgumentTypeError, "every group to be a dict with 'params'"),
    "empty": ({"params": []}, ArgumentError, "at least one parameter in each group, got none"),
    "an array": ({"params": [np.ones(1)]}, ArgumentTypeError, "Parameter objects, got a ndarray"),
    "a bad option": ({"params": [nn.Parameter([1.0])], "lr": -1}, ArgumentError, "a finite lr >= 0, got -1.0"),
    "an unknown option": (
        {"params": [nn.Parameter([1.0])], "rate": 1},
        ArgumentTypeError,
        "the options lr, .*, got rate",
    ),
}


@pytest.mark.parametrize(("group", "error", "message"), GROUPS.values(), ids=GROUPS)
def test_a_wrong_group_is_refused_and_changes_nothing(group, error, message):
    parameters = pair()
    optimizer = nn.SGD(parameters, lr=0.5)
    with pytest.raises(error, match="^SGD expects " + message):
        optimizer.add_param_group(group)
    with pytest.raises(error, match=r"^SGD expects "):
        nn.SGD([{"params": parameters}, group])
    assert len(optimizer.param_groups) == 1
    feed(parameters, 2, 2)
    optimizer.step()
    same(parameters[0].data, [0, 1])


def test_a_parameter_in_two_groups_is_refused():
    parameters = pair()
    with pytest.raises(
        ArgumentError, match=r"^SGD expects each parameter in one group only, got Parameter\(.*\) in two"
    ):
        nn.SGD([{"params": parameters}, {"params": parameters[:1]}])
    optimizer = nn.SGD(parameters)
    with pytest.raises(ArgumentError, match="each parameter in one group only"):
        optimizer.add_param_group({"params": parameters[1]})
    assert len(optimizer.param_groups) == 1


def test_options_changed_by_hand_hold_from_the_next_step():
    parameters = pair()
    optimizer = nn.SGD(parameters, lr=0.5)
    for rate, expected in ((0.5, 0.5), (0.25, 0.25), (np.float64(1), -0.75), (2, -2.75)):
        optimizer.param_groups[0]["lr"] = rate
        feed(parameters, 1, 1)
        optimizer.step()
        same(parameters[0].data, [expected, expected + 1])
    optimizer.param_groups[0]["weight_decay"] = 1.0
    optimizer.param_groups[0]["lr"] = 1.0
    feed(parameters, 0, 0)
    optimizer.step()
    same(parameters[0].data, [0, 0])


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("lr", float("nan"), ArgumentError, "a finite lr >= 0, got nan"),
        ("lr", float("inf"), ArgumentError, "a finite lr >= 0, got inf"),
        ("lr", -1, ArgumentError, "a finite lr >= 0, got -1.0"),
        ("lr", "0.1", ArgumentTypeError, "a finite lr >= 0, got '0.1'"),
        ("lr", None, ArgumentTypeError, "a finite lr >= 0, got None"),
        ("momentum", -0.5, ArgumentError, "a finite momentum >= 0, got -0.5"),
        ("weight_decay", float("nan"), ArgumentError, "a finite weight_decay >= 0, got nan"),
        ("nesterov", True, ArgumentError, "momentum > 0 and dampening = 0 for nesterov"),
        ("maximize", 1, ArgumentTypeError, "maximize to be True or False, got 1"),
        ("rate", 0.1, ArgumentTypeError, "the options .*, got rate"),
    ],
)
@pytest.mark.parametrize("stepped", [False, True])
def test_a_wrong_option_set_by_hand_is_an_error_at_the_step_before_anything_changed(
    name, value, error, message, stepped
):
    parameters = pair()
    optimizer = nn.SGD([{"params": parameters[:1]}, {"params": parameters[1:]}], lr=0.5)
    if stepped:
        feed(parameters, 0, 0)
        optimizer.step()
    feed(parameters, 2, 2)
    good = dict(optimizer.param_groups[1])
    optimizer.param_groups[1][name] = value
    for _ in range(2):
        with pytest.raises(error, match="^SGD expects " + message):
            optimizer.step()
        same(parameters[0].data, [1, 2])
        same(parameters[1].data, [[3]])
    optimizer.param_groups[1].clear()
    optimizer.param_groups[1].update(good)
    optimizer.step()
    same(parameters[0].data, [0, 1])
    same(parameters[1].data, [[2]])


def test_what_a_schedule_keeps_in_a_group_is_let_in_checked_saved_and_loaded():
    parameters = pair()
    optimizer = nn.SGD(parameters, lr=0.5)
    optimizer.param_groups[0]["initial_lr"] = 0.75
    feed(parameters, 1, 1)
    optimizer.step()
    same(parameters[0].data, [0.5, 1.5])
    other = nn.SGD(pair(), lr=0.1)
    other.load_state_dict(optimizer.state_dict())
    assert other.param_groups[0]["initial_lr"] == 0.75
    optimizer.param_groups[0]["initial_lr"] = "high"
    with pytest.raises(ArgumentTypeError, match="SGD expects a finite initial_lr, got 'high'"):
        optimizer.step()
    same(parameters[0].data, [0.5, 1.5])


# State


def trained(steps, parameters=None, optimizer=None, start=0):
    if parameters is None:
        parameters = pair()
        optimizer = nn.SGD(parameters, lr=0.1, momentum=0.9, dampening=0.1, weight_decay=0.01)
    for step in range(start, start + steps):
        feed(parameters, np.sin(step), np.cos(step))
        optimizer.step()
    return parameters, optimizer


def test_loading_a_state_continues_exactly():
    straight, _ = trained(10)
    parameters, optimizer = trained(4)
    state = optimizer.state_dict()
    again = [nn.Parameter(p.data) for p in parameters]
    other = nn.SGD(again, lr=99.0, momentum=0.1)
    trained(3, again, other)
    for parameter, original in zip(again, parameters, strict=True):
        parameter.data = original.data
    other.load_state_dict(state)
    assert other.param_groups == [{**optimizer.param_groups[0], "params": again}]
    trained(6, again, other, start=4)
    for actual, expected in zip(again, straight, strict=True):
        same(actual.data, expected.data)


def test_a_state_dict_has_the_form_of_pytorch():
    parameters, optimizer = trained(1)
    parameters[0].requires_grad = False
    state = optimizer.state_dict()
    assert list(state) == ["state", "param_groups"]
    assert list(state["state"]) == [0, 1]
    assert list(state["state"][0]) == ["momentum_buffer"]
    assert state["param_groups"] == [
        {
            "lr": 0.1,
            "momentum": 0.9,
            "dampening": 0.1,
            "weight_decay": 0.01,
            "nesterov": False,
            "maximize": False,
            "params": [0, 1],
        }
    ]
    json.dumps(state["param_groups"])


def test_a_state_dict_is_a_copy():
    parameters, optimizer = trained(3)
    state = optimizer.state_dict()
    frozen = copy.deepcopy(state)
    trained(3, parameters, optimizer)
    same(state["state"][0]["momentum_buffer"], frozen["state"][0]["momentum_buffer"])
    state["state"][0]["momentum_buffer"][...] = 1e9
    state["param_groups"][0]["lr"] = 1e9
    state["param_groups"][0]["params"].clear()
    assert optimizer.param_groups[0] == {**frozen["param_groups"][0], "params": parameters}
    trained(4, parameters, optimizer, start=3 + 3)
    assert all(np.abs(p.data).max() < 100 for p in parameters)


@pytest.mark.parametrize("scalar", [False, True])
def test_a_state_that_was_loaded_is_never_aliased(scalar):
    parameters = [nn.Parameter(1.0)] if scalar else pair()
    optimizer = nn.SGD(parameters, lr=0.5, momentum=0.5)
    feed(parameters, *[1] * len(parameters))
    optimizer.step()
    state = optimizer.state_dict()
    before = copy.deepcopy(state)
    optimizer.load_state_dict(state)
    for entry in state["state"].values():
        assert not any(
            np.shares_memory(entry["momentum_buffer"], s["momentum_buffer"]) for s in optimizer.state.values()
        )
    values = [p.data.copy() for p in parameters]
    state["state"][0]["momentum_buffer"][...] = 1e9
    state["param_groups"][0]["lr"] = 1e9
    feed(parameters, *[1] * len(parameters))
    optimizer.step()
    for parameter, value in zip(parameters, values, strict=True):
        same(parameter.data, value - 0.75)
    loaded = copy.deepcopy(before)
    optimizer.load_state_dict(loaded)
    feed(parameters, *[1] * len(parameters))
    optimizer.step()
    same(loaded["state"][0]["momentum_buffer"], before["state"][0]["momentum_buffer"])


def test_groups_are_changed_in_place_when_a_state_is_loaded():
    parameters, optimizer = trained(2)
    group, state = optimizer.param_groups[0], optimizer.state_dict()
    group["lr"] = 7.0
    optimizer.load_state_dict(state)
    assert optimizer.param_groups[0] is group
    assert group == {**state["param_groups"][0], "params": parameters}


BAD = {
    "nothing": (lambda s: s.clear(), StateError, r"a state dict with .*, got the keys \[\]$"),
    "no groups": (lambda s: s.pop("param_groups"), StateError, "a state dict with 'state' and 'param_groups'"),
    "groups without params": (lambda s: s["param_groups"][0].pop("params"), StateError, "a state dict with 'state'"),
    "fewer parameters": (
        lambda s: s["param_groups"][0]["params"].pop(),
        StateError,
        r"groups of \[2\] parameters, got groups of \[1\]",
    ),
    "more groups": (lambda s: s["param_groups"].append({"params": [2]}), StateError, r"groups of \[2\] parameters"),
    "missing option": (lambda s: s["param_groups"][0].pop("lr"), StateError, "the options "),
    "unknown option": (lambda s: s["param_groups"][0].update(rate=1), StateError, "the options "),
    "bad option": (lambda s: s["param_groups"][0].update(lr=float("nan")), ValueError, "a finite lr >= 0, got nan"),
    "another shape": (
        lambda s: s["state"][1].update(momentum_buffer=np.ones(5)),
        StateError,
        r"momentum_buffer of shape \(1, 1\) and dtype float64, got \(5,\)",
    ),
    "a broadcastable shape": (
        lambda s: s["state"][0].update(momentum_buffer=np.ones(1)),
        StateError,
        r"momentum_buffer of shape \(2,\)",
    ),
    "an unknown parameter": (
        lambda s: s["state"].update({7: {}}),
        StateError,
        r"the state of parameters \[0, 1\], got that of 7: the keys \[\]$",
    ),
    "text": (lambda s: s["state"][0].update(momentum_buffer=["a", "b"]), StateError, "momentum_buffer"),
    "complex": (lambda s: s["state"][0].update(momentum_buffer=np.ones(2) * 1j), StateError, "momentum_buffer"),
    "an unknown name": (
        lambda s: s["state"][0].update(exp_avg=np.ones(2)),
        StateError,
        r"a state of \['momentum_buffer'\], got 'exp_avg'",
    ),
    "a number for an array": (
        lambda s: s["state"][0].update(momentum_buffer=1.0),
        StateError,
        r"momentum_buffer of shape \(2,\) and dtype float64, got \(\)",
    ),
    "a parameter twice": (
        lambda s: s["param_groups"][0].update(params=[0, 0]),
        StateError,
        r"each parameter in one group, once, got the parameters \[0, 0\]",
    ),
    "a parameter that is a list": (
        lambda s: s["param_groups"][0].update(params=[[0], [1]]),
        StateError,
        "a state dict with 'state' and 'param_groups'",
    ),
    "groups of numbers": (
        lambda s: s.update(param_groups=np.ones(1)),
        StateError,
        "a state dict with 'state' and 'param_groups'",
    ),
    "an option that is no name": (lambda s: s["param_groups"][0].update({3: 1}), StateError, "the options .*, got "),
    "no entry": (lambda s: s["state"].update({0: None}), StateError, ".*state"),
}


@pytest.mark.parametrize(("spoil", "error", "message"), BAD.values(), ids=BAD)
def test_a_state_that_does_not_fit_changes_nothing(spoil, error, message):
    parameters, optimizer = trained(3)
    state = copy.deepcopy(optimizer.state_dict())
    state["param_groups"][0]["lr"] = 7.0
    state["state"][0]["momentum_buffer"] += 1
    spoil(state)
    with pytest.raises(error, match="^SGD expects " + message):
        optimizer.load_state_dict(state)
    trained(3, parameters, optimizer, start=3)
    for actual, expected in zip(parameters, trained(6)[0], strict=True):
        same(actual.data, expected.data)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (
            lambda: nn.Sequential(*(nn.Linear(9, 9) for _ in range(50))).state_dict(),
            "a state dict with 'state' and 'param_groups', as state_dict() returns it, got the keys "
            "['0.weight', '0.bias', '1.weight', '1.bias', '2.weight', '2.bias', ...]",
        ),
        (
            lambda: "run.npz",
            "a state dict with 'state' and 'param_groups', as state_dict() returns it, got a str; "
            "nn.load(path) reads a file",
        ),
        (
            lambda: nn.Adam(pair()).state_dict(),
            "the options ['dampening', 'lr', 'maximize', 'momentum', 'nesterov', 'weight_decay'], got ['amsgrad', "
            "'betas', 'decoupled_weight_decay', 'eps', 'lr', 'maximize', 'weight_decay']; is it the state of another "
            "optimizer?",
        ),
    ],
)
def test_the_state_of_something_else_is_refused_in_a_sentence(state, message):
    with pytest.raises(StateError) as caught:
        nn.SGD(pair()).load_state_dict(state())
    assert str(caught.value) == f"SGD expects {message}"


MISSING = object()
ADAM_BAD = {
    "an array for a number": ({"step": np.ones(2)}, r"a finite step, got array\(\[1., 1.\]\)"),
    "text for a number": ({"step": "3"}, "a finite step, got '3'"),
    "nothing for a number": ({"step": None}, "a finite step, got None"),
    "a number that is none": ({"step": np.array(np.nan)}, "a finite step, got nan"),
    "a number out of range": ({"step": -1.0}, r"a state that it can go on from, got step, .*: ZeroDivisionError"),
    "a number for an array": ({"exp_avg": 3.0}, r"exp_avg of shape \(2,\) and dtype float64, got \(\)"),
    "an unknown name": (
        {"momentum_buffer": np.ones(2)},
        r"a state of \['step', 'exp_avg', 'exp_avg_sq', 'max_exp_avg_sq'\], got 'momentum_buffer'",
    ),
    "a missing name": (
        {"exp_avg_sq": MISSING},
        r"a state that it can go on from, got step, exp_avg: KeyError\('exp_avg_sq'\)",
    ),
}


@pytest.mark.parametrize(("change", "message"), ADAM_BAD.values(), ids=ADAM_BAD)
def test_a_state_of_adam_that_does_not_fit_changes_nothing(change, message):
    def run(optimizer, steps):
        for step in range(steps):
            feed(optimizer.param_groups[0]["params"], np.sin(step), np.cos(step))
            optimizer.step()
        return [parameter.data for parameter in optimizer.param_groups[0]["params"]]

    optimizer = nn.Adam(pair())
    run(optimizer, 3)
    state = optimizer.state_dict()
    state["param_groups"][0]["lr"] = 7.0
    state["state"][1]["exp_avg"] += 1
    state["state"][0].update(change)
    state["state"][0] = {name: value for name, value in state["state"][0].items() if value is not MISSING}
    with pytest.raises(StateError, match="^Adam expects " + message):
        optimizer.load_state_dict(state)
    twin = nn.Adam(pair())
    run(twin, 3)
    for actual, expected in zip(run(optimizer, 3), run(twin, 3), strict=True):
        same(actual, expected)


def test_adam_keeps_a_state_of_pytorchs_names():
    parameters = pair()
    optimizer = nn.Adam(parameters, amsgrad=True)
    assert optimizer.state_dict()["state"] == {}
    for _ in range(3):
        feed(parameters, 2, 4)
        optimizer.step()
    state = optimizer.state_dict()["state"]
    assert [list(entry) for entry in state.values()] == [["step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"]] * 2
    assert state[0]["step"] == 3
    assert state[1]["exp_avg"].shape == (1, 1)
    np.testing.assert_allclose(state[1]["exp_avg_sq"], [[16 * (1 - 0.999**3)]], rtol=1e-12)


def test_a_buffer_that_is_not_there_yet_is_none_in_pytorch():
    parameters = pair()
    optimizer = nn.SGD(parameters, lr=0.5, momentum=0.5)
    state = optimizer.state_dict()
    state["state"] = {0: {"momentum_buffer": None}, 1: {}}
    state["param_groups"][0].update(foreach=None, differentiable=False, fused=None, param_names=["weight", "bias"])
    optimizer.load_state_dict(state)
    assert optimizer.state == {}
    assert not {"foreach", "param_names"} & set(optimizer.param_groups[0])


def test_loading_adam_into_adamw_leaves_it_adamw():
    optimizer = nn.AdamW(pair(), weight_decay=0.5)
    optimizer.load_state_dict(nn.Adam(pair(), weight_decay=0.25).state_dict())
    assert optimizer.param_groups[0]["weight_decay"] == 0.25
    assert optimizer.param_groups[0]["decoupled_weight_decay"] is True


@pytest.mark.parametrize("shape", [(), (2, 3)])
def test_a_rule_of_ones_own_need_not_name_what_it_remembers_to_be_saved_and_loaded(shape):
    class Mean(nn.Optimizer):
        """W ↦ W - the mean of all gradients so far."""

        def update(self, grad, state, step, options):
            state["count"] = state.get("count", 0) + 1
            total = state.setdefault("total", np.zeros_like(grad))
            total += grad
            np.divide(total, state["count"], step)

    parameter = nn.Parameter(np.zeros(shape))
    optimizer = Mean([parameter])
    for grad in (1, 3):
        feed([parameter], grad)
        optimizer.step()
    state = optimizer.state_dict()
    optimizer = Mean([parameter])
    optimizer.load_state_dict(state)
    feed([parameter], 5)
    optimizer.step()
    same(parameter.data, np.full(shape, -1.0 - 2 - 3))
    for wrong in ("text", None, np.ones(7), np.nan):
        state["state"][0]["total"] = wrong
        with pytest.raises(StateError, match=r"^Mean expects .*total"):
            optimizer.load_state_dict(state)


def test_the_state_is_live_and_stays_where_it_is_while_options_change():
    parameters = pair()
    optimizer = nn.Adam(parameters)
    feed(parameters, 2, 4)
    optimizer.step()
    held = [optimizer.state[parameter]["exp_avg"] for parameter in parameters]
    grads = [parameter.grad for parameter in parameters]
    for rate in (0.5, 0.25, 0.125):
        optimizer.param_groups[0]["lr"] = rate
        optimizer.param_groups[0]["weight_decay"] = rate
        feed(parameters, 3, -5)
        optimizer.step()
        assert all(parameter.grad is grad for parameter, grad in zip(parameters, grads, strict=True))
        for parameter, array in zip(parameters, held, strict=True):
            assert np.shares_memory(optimizer.state[parameter]["exp_avg"], array)
            same(optimizer.state[parameter]["exp_avg"], array)
    held[0][...] = 100
    before = parameters[0].data.copy()
    feed(parameters, 0, 0)
    optimizer.step()
    assert (parameters[0].data < before - 1).all()


# Copies


def train(model, optimizer, steps, start=0):
    loss_fn, losses = nn.MSELoss(), []
    for step in range(start, start + steps):
        x = np.random.default_rng(step).normal(size=(8, 3))
        loss = loss_fn(model(x), x[:, :1])
        optimizer.zero_grad()
        model.backward(loss_fn.backward())
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))])
def test_a_model_and_its_optimizer_copied_together_keep_training(duplicate):
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(3, 4, rng=rng), nn.Tanh(), nn.Linear(4, 1, rng=rng))
    optimizer = nn.SGD(model.parameters(), lr=0.1, momentum=0.9)
    train(model, optimizer, 3)
    twin, twin_optimizer = duplicate((model, optimizer))
    before = {name: array.copy() for name, array in model.state_dict().items()}
    start = twin.state_dict()
    twin_losses = train(twin, twin_optimizer, 5, start=3)
    assert all(not np.array_equal(array, start[name]) for name, array in twin.state_dict().items())
    for name, array in model.state_dict().items():
        same(array, before[name])
    assert twin_losses == train(model, optimizer, 5, start=3)
    for name, array in model.state_dict().items():
        same(array, twin.state_dict()[name])


def test_a_copied_optimizer_keeps_its_groups_and_repr():
    parameters = pair()
    optimizer = nn.SGD([{"params": parameters[:1], "lr": 1.0}, {"params": parameters[1:]}], lr=0.5)
    assert repr(copy.deepcopy(optimizer)) == repr(optimizer)
    assert repr(optimizer).startswith("SGD(lr=1.0, momentum=0.0, ")


def test_optimizers_hold_parameters_and_not_arrays():
    model = nn.Sequential(nn.Linear(2, 1))
    optimizer = nn.SGD(model.parameters(), lr=0.5)
    model.astype(np.float32).load_state_dict({"0.weight": np.zeros((1, 2)), "0.bias": np.zeros(1)})
    for parameter in model.parameters():
        parameter.grad = np.ones(parameter.shape)
    optimizer.step()
    same(model[0].weight.data, [[-0.5, -0.5]])
    assert model[0].weight.data.dtype == np.float32
