"""Schedules: PyTorch's rates to 1e-12, alone and chained, saved and loaded, and with the optimizer that they act on."""

import copy
import itertools
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import tinynn as nn
from tests.oracle.schedules import ALONE, CASES, HALF, STEPS, follow, in_pairs
from tinynn.errors import ArgumentError, ArgumentTypeError, StateError

with np.load(Path(__file__).parents[1] / "oracle" / "optimizers.npz") as file:
    INDEX = json.loads(file["index"].item())
    RECORDS = {name: file[f"schedule: {name}"] for name in CASES}

over_all = pytest.mark.parametrize("name", CASES)


def built(name):
    case = CASES[name]
    optimizer = case.optimizer(nn, [nn.Parameter([0.0, 0.0]), nn.Parameter([0.0, 0.0])])
    return case, optimizer, case.build(nn, optimizer)


def assert_agrees(name, actual, start=0):
    for what, rows in actual.items():
        np.testing.assert_allclose(rows, RECORDS[name][f"{what}.float64"][start:], rtol=1e-12, atol=1e-12)


def test_every_schedule_is_compared_and_every_pair_of_values():
    classes = {name: getattr(nn, name) for name in nn.__all__ if isinstance(getattr(nn, name), type)}
    schedules = {name for name, value in classes.items() if issubclass(value, nn.LRScheduler)}
    assert set(ALONE) == schedules - {"LRScheduler", "LambdaLR", "SequentialLR", "ChainedScheduler"}
    for values in ALONE.values():
        rows = list(in_pairs(values))
        for a, b in itertools.combinations(values, 2):
            assert len({(str(row[a]), str(row[b])) for row in rows}) == 4


@over_all
def test_rates_are_pytorchs(name):
    case, optimizer, scheduler = built(name)
    assert_agrees(name, follow(case, optimizer, scheduler, range(STEPS)))
    if case.rule == "SGD":
        assert len(set(np.array(RECORDS[name]["lr.float64"])[:, 1])) > 1


@over_all
def test_rates_are_pytorchs_when_saved_and_loaded_halfway(name):
    case, optimizer, scheduler = built(name)
    follow(case, optimizer, scheduler, range(HALF))
    state, state_of_optimizer = scheduler.state_dict(), optimizer.state_dict()
    frozen = copy.deepcopy(state)
    _, twin_optimizer, twin = built(name)
    twin_optimizer.load_state_dict(state_of_optimizer)
    twin.load_state_dict(state)
    assert twin.state_dict() == state
    assert_agrees(name, follow(case, twin_optimizer, twin, range(HALF, STEPS)), HALF)
    assert state == frozen


@over_all
def test_a_state_that_pytorch_saved_is_taken_up(name):
    case, optimizer, scheduler = built(name)
    states = copy.deepcopy(INDEX[f"schedule: {name}"]["halfway"])
    for state in (states["schedule"], *states["schedule"].get("_schedulers", ())):
        if "milestones" in state:
            state["milestones"] = Counter({int(epoch): count for epoch, count in state["milestones"].items()})
    optimizer.load_state_dict({"state": {}, "param_groups": states["groups"]})
    scheduler.load_state_dict(states["schedule"])
    assert_agrees(name, follow(case, optimizer, scheduler, range(HALF, STEPS)), HALF)


def sgd(*rates, **options):
    return nn.SGD([{"params": [nn.Parameter([1.0])], "lr": rate} for rate in rates], **options)


def test_a_rate_of_zero_stops_the_parameters_and_nothing_else():
    parameter = nn.Parameter([1.0])
    for kind in (nn.SGD, nn.Adam, nn.AdamW, nn.RMSprop, nn.Adagrad, nn.Adadelta, nn.NAdam, nn.RAdam):
        optimizer = kind([parameter], lr=0.5)
        scheduler = nn.PolynomialLR(optimizer, total_iters=2)
        for _ in range(5):
            before = parameter.data.copy()
            parameter.grad = [3.0]
            optimizer.step()
            scheduler.step()
        assert optimizer.param_groups[0]["lr"] == 0
        np.testing.assert_array_equal(parameter.data, before)


def test_a_new_start_takes_the_rate_of_the_beginning_that_is_kept_in_the_group():
    optimizer = sgd(0.5)
    scheduler = nn.ExponentialLR(optimizer, 0.5)
    for _ in range(3):
        optimizer.step()
        scheduler.step()
    assert optimizer.param_groups[0]["lr"] == 0.0625
    assert optimizer.state_dict()["param_groups"][0]["initial_lr"] == 0.5
    assert nn.LambdaLR(optimizer, lambda epoch: 2.0).get_last_lr() == [1.0]
    again = sgd(99.0)
    again.load_state_dict(optimizer.state_dict())
    assert nn.LambdaLR(again, lambda epoch: epoch, last_epoch=6).get_last_lr() == [3.5]
    again.load_state_dict(sgd(3.0).state_dict())
    assert "initial_lr" not in again.param_groups[0]


def test_a_group_that_is_added_later_follows():
    optimizer = sgd(0.5)
    scheduler = nn.ExponentialLR(optimizer, 0.5)
    optimizer.step()
    scheduler.step()
    optimizer.add_param_group({"params": [nn.Parameter([1.0])], "lr": 8.0})
    optimizer.step()
    scheduler.step()
    assert scheduler.get_last_lr() == [0.125, 4.0]
    assert [group["initial_lr"] for group in optimizer.param_groups] == [0.5, 8.0]


def failing(epoch):
    return 1 / (2 - epoch)


class Negative(nn.LRScheduler):
    def next_lr(self, lr, index):
        return lr if self.last_epoch < 2 else -lr


class Nothing(nn.LRScheduler):
    def next_lr(self, lr, index):
        return lr if self.last_epoch < 2 else None


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (
            lambda o: nn.OneCycleLR(o, 0.1, 9),
            ArgumentError,
            "OneCycleLR expects the 1 groups that it began with, got 2; make a new schedule",
        ),
        (
            lambda o: nn.CyclicLR(o, 0.1, 0.2),
            ArgumentError,
            "CyclicLR expects the 1 groups that it began with, got 2; make a new schedule",
        ),
        (
            lambda o: nn.LambdaLR(o, [lambda epoch: 0.5]),
            ArgumentError,
            "LambdaLR expects as many groups as there are functions, 1, got 2; make a new schedule",
        ),
        (lambda o: nn.LambdaLR(o, failing), ZeroDivisionError, "division by zero"),
        (
            lambda o: nn.LambdaLR(o, lambda epoch: 1.0 if epoch < 2 else None),
            ArgumentTypeError,
            "LambdaLR expects a number from its function, got None",
        ),
        (
            lambda o: nn.LambdaLR(o, lambda epoch: 1.0 if epoch < 2 else np.nan),
            ArgumentError,
            "LambdaLR expects a finite rate >= 0, got nan",
        ),
        (lambda o: nn.ExponentialLR(o, 1e200), ArgumentError, "ExponentialLR expects a finite rate >= 0, got inf"),
        (lambda o: Negative(o), ArgumentError, "Negative expects a finite rate >= 0, got -0.5"),
        (lambda o: Nothing(o), ArgumentTypeError, "Nothing expects a finite rate >= 0, got None"),
    ],
)
def test_a_step_that_cannot_be_taken_changes_nothing(build, error, message):
    optimizer = sgd(0.5, momentum=0.9)
    scheduler = build(optimizer)
    scheduler.step()
    optimizer.add_param_group({"params": [nn.Parameter([1.0])], "lr": 8.0})
    groups, epoch = copy.deepcopy([{**group, "params": None} for group in optimizer.param_groups]), scheduler.last_epoch
    for _ in range(2):
        with pytest.raises(error) as caught:
            scheduler.step()
        assert str(caught.value) == message
        assert scheduler.last_epoch == epoch
        assert [group["lr"] for group in optimizer.param_groups] == [group["lr"] for group in groups]


def test_a_schedule_of_ones_own_is_one_formula():
    class RootLR(nn.LRScheduler):
        """γ(t) = γ₀ / √(1 + t)."""

        def next_lr(self, lr, index):
            return self.base_lrs[index] / (1 + self.last_epoch) ** 0.5

    optimizer = sgd(1.0, 2.0)
    scheduler = RootLR(optimizer)
    for _ in range(3):
        scheduler.step()
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 1.0]


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda o: nn.StepLR(o, 5), "StepLR(step_size=5, gamma=0.1)"),
        (lambda o: nn.MultiStepLR(o, [3, 5, 5]), "MultiStepLR(milestones=Counter({5: 2, 3: 1}), gamma=0.1)"),
        (lambda o: nn.LambdaLR(o, failing), f"LambdaLR(lr_lambda={[failing] * 2})"),
        (lambda o: nn.CosineAnnealingWarmRestarts(o, 7), "CosineAnnealingWarmRestarts(T_0=7, T_mult=1, eta_min=0.0)"),
        (
            lambda o: nn.OneCycleLR(o, 0.5, 9),
            "OneCycleLR(max_lr=[0.5, 0.5], total_steps=9, cycle_momentum=True, base_momentum=[0.85, 0.85], "
            "max_momentum=[0.95, 0.95])",
        ),
        (
            lambda o: nn.CyclicLR(o, 0.1, [0.5, 0.6], cycle_momentum=False),
            "CyclicLR(base_lr=[0.1, 0.1], max_lr=[0.5, 0.6], mode='triangular', gamma=1.0, scale_mode='cycle', "
            "cycle_momentum=False)",
        ),
        (
            lambda o: nn.ReduceLROnPlateau(o, "max"),
            "ReduceLROnPlateau(mode='max', factor=0.1, patience=10, threshold=0.0001, threshold_mode='rel', "
            "cooldown=0, min_lr=[0.0, 0.0], eps=1e-08)",
        ),
        (
            lambda o: nn.SequentialLR(o, [nn.StepLR(o, 2), nn.ExponentialLR(o, 0.5)], [3]),
            "SequentialLR(schedulers=[StepLR(step_size=2, gamma=0.1), ExponentialLR(gamma=0.5)], milestones=[3])",
        ),
        (
            lambda o: nn.ChainedScheduler([nn.ExponentialLR(o, 0.5)]),
            "ChainedScheduler(schedulers=[ExponentialLR(gamma=0.5)])",
        ),
    ],
    ids=lambda value: None if callable(value) else str(value).partition("(")[0],  # the rest may show an address
)
def test_a_schedule_shows_its_arguments(build, expected):
    assert repr(build(sgd(0.1, 0.2, momentum=0.9))) == expected


def test_warm_restarts_go_to_any_epoch():
    optimizer = sgd(1.0)
    scheduler = nn.CosineAnnealingWarmRestarts(optimizer, 10, 2)
    for epoch, expected in ((5, 0.5), (10, 1.0), (20, 0.5), (30, 1.0), (50, 0.5), (2.5, (1 + 0.5**0.5) / 2)):
        scheduler.step(epoch)
        assert scheduler.get_last_lr() == [pytest.approx(expected, abs=1e-12)]
    scheduler.step()
    assert scheduler.last_epoch == 3
    with pytest.raises(ArgumentError, match="a finite epoch >= 0"):
        scheduler.step(-1)
    scheduler = nn.CosineAnnealingWarmRestarts(optimizer, 1, 3)
    for restart in (1, 4, 13, 40, 121, 364):  # (3ⁿ - 1) / 2
        scheduler.step(restart)
        assert scheduler.get_last_lr() == [1.0]


def test_combined_schedules_can_be_combined():
    optimizer = sgd(1.0)
    inner = nn.ChainedScheduler([nn.ExponentialLR(optimizer, 0.5), nn.StepLR(optimizer, 2, 0.1)])
    scheduler = nn.SequentialLR(optimizer, [inner, nn.ExponentialLR(optimizer, 0.5)], milestones=[3])
    rates = []
    for _ in range(5):
        rates += scheduler.get_last_lr()
        scheduler.step()
    assert rates == pytest.approx([1, 0.5, 0.025, 1, 0.5], rel=1e-12)


@pytest.mark.parametrize("start_factor", [1 / 3, 0.1, 0.7, 1.0])
def test_a_line_down_to_zero_ends_at_zero_and_not_below(start_factor):
    for length in range(1, 100):
        optimizer = sgd(0.1, 0.3)
        scheduler = nn.LinearLR(optimizer, start_factor, 0.0, total_iters=length)
        for _ in range(length + 1):
            scheduler.step()
            optimizer.step()
        assert scheduler.get_last_lr() == [0, 0]


@pytest.mark.parametrize("place", ["first", "last"])
def test_a_sequence_within_a_sequence_is_the_sequence_of_all(place):
    def rates(build):
        optimizer = sgd(1.0, 0.5)
        scheduler, rows = build(optimizer), []
        for epoch in range(12):
            if epoch == 7:
                state = scheduler.state_dict()
                scheduler = build(sgd(1.0, 0.5))
                scheduler.optimizer.load_state_dict(optimizer.state_dict())
                scheduler.load_state_dict(state)
                optimizer = scheduler.optimizer
            rows.append(scheduler.get_last_lr())
            scheduler.step()
        return rows

    def parts(optimizer):
        return [nn.LinearLR(optimizer), nn.ExponentialLR(optimizer, 0.5), nn.CosineAnnealingLR(optimizer, 5)]

    def nested(optimizer):
        a, b, c = parts(optimizer)
        if place == "first":
            return nn.SequentialLR(optimizer, [nn.SequentialLR(optimizer, [a, b], milestones=[3]), c], milestones=[6])
        return nn.SequentialLR(optimizer, [a, nn.SequentialLR(optimizer, [b, c], milestones=[3])], milestones=[3])

    assert rates(nested) == rates(lambda o: nn.SequentialLR(o, parts(o), milestones=[3, 6]))


def test_a_phase_of_no_length_is_left_out():
    optimizer = sgd(1.0, momentum=0.9)
    scheduler = nn.OneCycleLR(optimizer, 1.0, 4, pct_start=1.0, anneal_strategy="linear")
    rates = []
    for _ in range(4):
        rates += scheduler.get_last_lr()
        scheduler.step()
    assert rates == pytest.approx([0.04, 0.36, 0.68, 1.0], rel=1e-12)
    assert scheduler.get_last_lr() == pytest.approx([0.04 / 1e4], rel=1e-12)


def test_a_line_beyond_the_end_of_a_cycle_stops_at_zero():
    optimizer = sgd(0.1)
    scheduler = nn.OneCycleLR(optimizer, 1.0, 9, anneal_strategy="linear", cycle_momentum=False)
    for _ in range(9):
        scheduler.step()
    assert scheduler.get_last_lr() == [0]
    optimizer.load_state_dict(optimizer.state_dict())


def test_a_cycle_ends():
    message = r"^OneCycleLR expects at most 2 steps, got one more; total_steps counts updates: epochs \* batches$"
    scheduler = nn.OneCycleLR(sgd(0.1, momentum=0.9), 0.1, total_steps=2)
    scheduler.step()
    scheduler.step()
    state = scheduler.state_dict()
    with pytest.raises(ArgumentError, match=message):
        scheduler.step()
    assert scheduler.state_dict() == state
    with pytest.raises(ArgumentError, match=message):
        nn.OneCycleLR(scheduler.optimizer, 0.1, total_steps=2, last_epoch=2)


WRONG = {
    "optimizer": (lambda o: nn.StepLR(0.1, 5), ArgumentTypeError, "StepLR expects an Optimizer, got a float"),
    "cycled": (lambda o: nn.OneCycleLR([], 0.1, 5), ArgumentTypeError, "OneCycleLR expects an Optimizer, got a list"),
    "resume": (
        lambda o: nn.StepLR(o, 5, last_epoch=3),
        ArgumentError,
        "StepLR expects an 'initial_lr' in param_groups[0] to go on from epoch 3, got none; load the optimizer's state "
        "first",
    ),
    "functions": (
        lambda o: nn.LambdaLR(o, [abs]),
        ArgumentError,
        "LambdaLR expects lr_lambda to be one for all groups, or 2, one for each, got 1 of them",
    ),
    "function": (lambda o: nn.LambdaLR(o, 0.9), ArgumentTypeError, "LambdaLR expects functions of the epoch, got 0.9"),
    "step size": (
        lambda o: nn.StepLR(o, 0),
        ArgumentError,
        "StepLR expects step_size to be a positive integer, got 0",
    ),
    "milestones": (
        lambda o: nn.MultiStepLR(o, 5),
        ArgumentTypeError,
        "MultiStepLR expects milestones to be several epochs, got 5",
    ),
    "start": (
        lambda o: nn.LinearLR(o, 0.0),
        ArgumentError,
        "LinearLR expects a finite start_factor > 0 and <= 1, got 0.0",
    ),
    "length": (
        lambda o: nn.OneCycleLR(o, 0.1, epochs=3),
        ArgumentError,
        "OneCycleLR expects total_steps, or epochs and steps_per_epoch, got epochs=3, steps_per_epoch=None",
    ),
    "no momentum": (
        lambda o: nn.CyclicLR(nn.Adagrad([nn.Parameter(0.0)]), 0.1, 0.2),
        ArgumentError,
        "CyclicLR expects an optimizer with momentum or betas to cycle, got Adagrad; give cycle_momentum=False",
    ),
    "mode": (
        lambda o: nn.ReduceLROnPlateau(o, "low"),
        ArgumentError,
        "ReduceLROnPlateau expects mode to be one of 'min', 'max', got 'low'",
    ),
    "factor": (
        lambda o: nn.ReduceLROnPlateau(o, factor=1),
        ArgumentError,
        "ReduceLROnPlateau expects a finite factor >= 0 and < 1, got 1.0",
    ),
    "number": (
        lambda o: nn.ReduceLROnPlateau(o).step("low"),
        ArgumentTypeError,
        "ReduceLROnPlateau expects the number that is watched, as in step(loss), got 'low'",
    ),
    "nothing": (
        lambda o: nn.ChainedScheduler([]),
        ArgumentError,
        "ChainedScheduler expects at least one schedule, got none",
    ),
    "plateau": (
        lambda o: nn.ChainedScheduler([nn.ReduceLROnPlateau(o)]),
        ArgumentTypeError,
        "ChainedScheduler expects schedules whose step takes no number, got a ReduceLROnPlateau",
    ),
    "two optimizers": (
        lambda o: nn.SequentialLR(o, [nn.StepLR(o, 2), nn.StepLR(sgd(1.0), 2)], [5]),
        ArgumentError,
        "SequentialLR expects schedules of one optimizer, got a StepLR of another",
    ),
    "too few milestones": (
        lambda o: nn.SequentialLR(o, [nn.StepLR(o, 2), nn.StepLR(o, 2)], []),
        ArgumentError,
        "SequentialLR expects 1 milestones for 2 schedules, got 0",
    ),
    "no milestones": (
        lambda o: nn.SequentialLR(o, [nn.StepLR(o, 2), nn.StepLR(o, 2)], 5),
        ArgumentTypeError,
        "SequentialLR expects milestones to be several epochs, got 5",
    ),
    "disorder": (
        lambda o: nn.SequentialLR(o, [nn.StepLR(o, 2), nn.StepLR(o, 2), nn.StepLR(o, 2)], [5, 3]),
        ArgumentError,
        "SequentialLR expects milestones in ascending order, got [5, 3]",
    ),
}


@pytest.mark.parametrize(("call", "error", "message"), WRONG.values(), ids=WRONG)
def test_wrong_arguments_are_refused(call, error, message):
    optimizer = sgd(0.1, 0.2)
    with pytest.raises(error) as caught:
        call(optimizer)
    assert str(caught.value) == message
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.2]


def nested(optimizer):
    inner = nn.SequentialLR(optimizer, [nn.StepLR(optimizer, 5), nn.ExponentialLR(optimizer, 0.9)], milestones=[4])
    return nn.ChainedScheduler([nn.MultiStepLR(optimizer, [2, 30]), inner])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s: s["_schedulers"][0].update(gamma=None), "MultiStepLR expects gamma like 0.1, got None"),
        (lambda s: s["_schedulers"][0].update(last_epoch="3"), "MultiStepLR expects last_epoch like 3, got '3'"),
        (lambda s: s["_schedulers"][0].update(base_lrs=None), "MultiStepLR expects base_lrs like [0.1, 0.2], got None"),
        (
            lambda s: s["_schedulers"][0].update(base_lrs=["high", 1]),
            "MultiStepLR expects base_lrs like [0.1, 0.2], got",
        ),
        (
            lambda s: s["_schedulers"][0].update(milestones={"2": 1}),
            "MultiStepLR expects milestones like Counter({2: 1, ",
        ),
        (lambda s: s["_schedulers"][1].update(_milestones=[4, 9]), "SequentialLR expects 1 milestones, got 2"),
        (
            lambda s: s["_schedulers"][1]["_schedulers"][0].pop("gamma"),
            "StepLR expects a state with step_size, gamma, ",
        ),
        (lambda s: s["_schedulers"][1]["_schedulers"].pop(), "SequentialLR expects the states of 2 schedules, got 1"),
        (
            lambda s: s["_schedulers"][1].update(_schedulers=None),
            "SequentialLR expects the states of 2 schedules, got N",
        ),
        (lambda s: s.pop("_schedulers"), "ChainedScheduler expects the states of 2 schedules, got None"),
        (lambda s: s.update(_last_lr=[0.1]), "ChainedScheduler expects _last_lr of 2 groups, got of 1"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing_however_deep(spoil, message):
    scheduler = nested(sgd(0.1, 0.2))
    for _ in range(3):
        scheduler.step()
    before, state = scheduler.state_dict(), scheduler.state_dict()
    state["_last_lr"][0] = state["_schedulers"][0]["gamma"] = 0.7
    state["_schedulers"][1]["_schedulers"][0]["gamma"] = 0.7
    spoil(state)
    with pytest.raises(StateError) as caught:
        scheduler.load_state_dict(state)
    assert str(caught.value).startswith(message)
    assert scheduler.state_dict() == before


def flattened(state):
    """Return all that is in a state that could be written to."""
    inner = state.values() if isinstance(state, dict) else state if isinstance(state, list) else ()
    return [state, *(item for value in inner for item in flattened(value))]


@pytest.mark.parametrize("build", [lambda o: nn.OneCycleLR(o, 0.1, 50), lambda o: nn.CyclicLR(o, 0.1, 0.2), nested])
def test_a_state_dict_shares_nothing_with_the_schedule(build):
    scheduler = build(sgd(0.1, 0.2, momentum=0.9))
    given = scheduler.state_dict()
    scheduler.load_state_dict(given)
    frozen = copy.deepcopy(given)
    for state in (given, scheduler.state_dict()):
        for part in flattened(state):
            if isinstance(part, (dict, list)):
                part.clear()
    assert scheduler.state_dict() == frozen
    scheduler.get_last_lr().clear()
    assert scheduler.state_dict() == frozen


def test_milestones_may_come_back_as_a_plain_dict():
    optimizer = sgd(1.0)
    scheduler = nn.MultiStepLR(optimizer, [1, 3])
    scheduler.load_state_dict({**scheduler.state_dict(), "milestones": {1: 1, 3: 2}})
    for _ in range(4):
        scheduler.step()
    assert scheduler.get_last_lr() == [pytest.approx(1e-3, rel=1e-12)]


def test_a_state_of_more_groups_is_taken_up_where_they_have_been_added():
    def grown():
        optimizer = sgd(0.5)
        scheduler = nn.ExponentialLR(optimizer, 0.5)
        optimizer.add_param_group({"params": [nn.Parameter([1.0])], "lr": 8.0})
        return optimizer, scheduler

    optimizer, scheduler = grown()
    scheduler.step()
    again, resumed = grown()
    again.load_state_dict(optimizer.state_dict())
    resumed.load_state_dict(scheduler.state_dict())
    resumed.step()
    assert resumed.get_last_lr() == [0.125, 2.0]


def test_a_sequence_that_cannot_go_on_stays_where_it_is():
    optimizer = sgd(1.0)
    scheduler = nn.SequentialLR(
        optimizer, [nn.LambdaLR(optimizer, failing), nn.ExponentialLR(optimizer, 0.5)], milestones=[3]
    )
    scheduler.step()
    for _ in range(4):
        with pytest.raises(ZeroDivisionError):
            scheduler.step()
        assert scheduler.last_epoch == 1


def test_a_state_of_another_schedule_is_refused_and_changes_nothing():
    optimizer = sgd(0.1, 0.2)
    scheduler = nn.StepLR(optimizer, 5)
    before = scheduler.state_dict()
    for other, message in (
        (nn.ExponentialLR(optimizer, 0.5).state_dict(), "got none of step_size"),
        (nn.StepLR(sgd(0.1), 5).state_dict(), "base_lrs of 2 groups, got of 1"),
        ({**before, "T_max": 3}, "got T_max"),
        (None, "a state dict, got a NoneType"),
        ("run.npz", r"StepLR expects a state dict, got a str; nn.load\(path\) reads a file$"),
    ):
        with pytest.raises(StateError, match=message):
            scheduler.load_state_dict(other)
        assert scheduler.state_dict() == before
    chained = nn.ChainedScheduler([scheduler])
    with pytest.raises(StateError, match="the states of 1 schedules, got 2"):
        chained.load_state_dict(nn.ChainedScheduler([scheduler, scheduler]).state_dict())
