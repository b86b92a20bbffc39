"""Gradients may be views of an optimizer's flat array: every way to break or keep that gives the same numbers."""

import copy
import pickle
import tracemalloc

import numpy as np
import pytest

import tinynn as nn
from tinynn.core import block

LR, MOMENTUM = 0.25, 0.5


@pytest.fixture(autouse=True, params=["one chunk", "chunks of two elements"])
def cut(request, monkeypatch):
    """The numbers are the same wherever the row of parameters is cut."""
    if request.param != "one chunk":
        monkeypatch.setattr(block, "LARGE", 16)


class Reference:
    """Momentum descent on separate arrays, from its formula."""

    def __init__(self, values):
        self.values = [np.array(value, float) for value in values]
        self.velocity = [np.zeros_like(value) for value in self.values]

    def step(self, grads, frozen=()):
        for index, grad in enumerate(grads):
            if index not in frozen:
                self.velocity[index] = MOMENTUM * self.velocity[index] + grad
                self.values[index] = self.values[index] - LR * self.velocity[index]


START = [np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([5.0, 6.0, 7.0]), np.array(8.0)]


def make(dtype=np.float64):
    parameters = [nn.Parameter(value, dtype=dtype) for value in START]
    return parameters, nn.SGD(parameters, lr=LR, momentum=MOMENTUM), Reference(START)


def run(parameters, optimizer, reference, steps=3, frozen=(), add=None):
    """Take some steps with gradients that differ in each, and compare after each."""
    for step in range(steps):
        optimizer.zero_grad()
        grads = [np.full(value.shape, 1.0 + step + index) for index, value in enumerate(START)]
        for index, (parameter, grad) in enumerate(zip(parameters, grads, strict=True)):
            if index in frozen:
                continue
            if add is None:
                parameter.add_grad(grad)
            else:
                add(parameter, grad)
        optimizer.step()
        reference.step(grads, frozen)
        for index, (parameter, value) in enumerate(zip(parameters, reference.values, strict=True)):
            np.testing.assert_array_equal(parameter.data, value)
            if index not in frozen:
                np.testing.assert_array_equal(parameter.grad if add else parameter.read_grad(), grads[index])


def test_undisturbed_steps_follow_the_formula():
    run(*make(), steps=6)


def test_data_that_somebody_holds_never_move():
    parameters, optimizer, reference = make()
    held = [parameter.data for parameter in parameters]
    run(parameters, optimizer, reference)
    assert all(parameter.data is array for parameter, array in zip(parameters, held, strict=True))


def in_a_row(parameters):
    """Whether the data of the parameters lie side by side."""
    return (
        all(parameter.data.base is not None for parameter in parameters)
        and len(block.side_by_side([parameter.data.reshape(-1) for parameter in parameters])) == 1
    )


def test_data_that_nobody_holds_lie_side_by_side_after_a_step():
    parameters = [nn.Parameter(np.arange(6.0).reshape(2, 3)), nn.Parameter([7.0]), nn.Parameter([[8.0, 9.0]])]
    assert not in_a_row(parameters)
    nn.SGD(parameters, lr=0.5).step()
    assert in_a_row(parameters)
    np.testing.assert_array_equal(parameters[0].data, np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(parameters[2].data, [[8.0, 9.0]])


@pytest.mark.parametrize("view", [lambda array: array, lambda array: array[:1], lambda array: array.T, memoryview])
@pytest.mark.parametrize("when", ["before", "between"])
def test_whoever_holds_data_or_a_view_of_it_sees_every_step(view, when, cut):
    parameters = [nn.Parameter(np.zeros((2, 3))), nn.Parameter(np.zeros(4)), nn.Parameter(np.zeros((1, 2)))]
    optimizer = nn.SGD(parameters[:2], lr=1.0)
    held = [view(parameter.data) for parameter in parameters] if when == "before" else []
    for step in range(1, 5):
        for parameter in parameters:
            parameter.add_grad(-np.ones(parameter.shape))
        optimizer.step()
        if step == 1:
            held = held or [view(parameter.data) for parameter in parameters]
        if step == 2:
            optimizer.add_param_group({"params": parameters[2:]})  # the memory is laid out anew
        if step == 3:
            optimizer = nn.SGD(parameters, lr=1.0)
        optimizer.zero_grad()
    assert [float(np.ravel(array)[0]) for array in held] == [4.0, 4.0, 2.0]
    for array, parameter in zip(held, parameters, strict=True):
        np.testing.assert_array_equal(np.asarray(array), np.asarray(view(parameter.data)))


def test_two_optimizers_over_the_same_parameters_update_the_same_data(cut):
    parameters = [nn.Parameter(np.zeros((2, 3))), nn.Parameter(np.zeros(4)), nn.Parameter(np.zeros(5))]
    first, second = nn.SGD(parameters, lr=1.0), nn.SGD(parameters[1:], lr=10.0)
    for _ in range(3):
        for optimizer in (first, second):
            for parameter in parameters:
                parameter.zero_grad()
                parameter.add_grad(-np.ones(parameter.shape))
            optimizer.step()
    assert [float(parameter.data.reshape(-1)[-1]) for parameter in parameters] == [3.0, 33.0, 33.0]


def test_gradients_held_before_the_first_step_stay_live():
    parameters, optimizer, reference = make()
    held = [parameter.grad for parameter in parameters]
    run(parameters, optimizer, reference)
    for parameter, array in zip(parameters, held, strict=True):
        assert parameter.grad is array


def test_gradients_held_between_steps_stay_live_whatever_is_laid_out_anew():
    parameters, optimizer, reference = make()
    run(parameters, optimizer, reference)
    held = parameters[1].grad
    parameters[0].requires_grad = False
    run(parameters, optimizer, reference, frozen=(0,))
    assert parameters[1].grad is held
    parameters[0].requires_grad = True
    run(parameters, optimizer, reference)
    assert parameters[1].grad is held
    optimizer.zero_grad()
    np.testing.assert_array_equal(held, np.zeros(3))


def test_some_gradients_held_and_others_not():
    parameters, optimizer, reference = make()
    held = parameters[2].grad
    run(parameters, optimizer, reference)
    assert parameters[2].grad is held


@pytest.mark.parametrize("way", ["assign", "augment", "none first", "item"])
def test_gradients_may_be_assigned_and_augmented(way):
    def add(parameter, grad):
        if way == "assign":
            parameter.grad = grad
        elif way == "augment":
            parameter.grad += grad
        elif way == "none first":
            parameter.grad = None
            parameter.grad = parameter.grad + grad
        else:
            parameter.grad[...] = grad

    run(*make(), steps=4, add=add)
    parameters, optimizer, reference = make()
    run(parameters, optimizer, reference)
    run(parameters, optimizer, reference, add=add)


def test_requires_grad_toggled_between_steps_rests_the_momentum_and_the_value():
    parameters, optimizer, reference = make()
    run(parameters, optimizer, reference)
    for frozen in ((0,), (1, 2), (), (0, 1, 2), (2,), ()):
        for index, parameter in enumerate(parameters):
            parameter.requires_grad = index not in frozen
        run(parameters, optimizer, reference, steps=2, frozen=frozen)


def test_a_second_optimizer_over_the_same_parameters_shares_them():
    parameters, first, _ = make()
    second = nn.SGD(parameters[::-1], lr=0.5)
    expected = [value.copy() for value in START]
    velocity = [np.zeros_like(value) for value in START]
    for step in range(6):
        optimizer = (first, second)[step % 2] if step < 4 else first
        optimizer.zero_grad()
        for index, parameter in enumerate(parameters):
            grad = np.full(parameter.shape, 1.0 + step + index)
            parameter.add_grad(grad)
            if optimizer is first:
                velocity[index] = MOMENTUM * velocity[index] + grad
                expected[index] = expected[index] - LR * velocity[index]
            else:
                expected[index] = expected[index] - 0.5 * grad
        optimizer.step()
        for parameter, value in zip(parameters, expected, strict=True):
            np.testing.assert_array_equal(parameter.data, value)


def test_a_second_optimizer_over_some_of_the_parameters_takes_nothing_away():
    parameters, optimizer, reference = make()
    run(parameters, optimizer, reference)
    other = nn.SGD(parameters[:2], lr=1.0)
    other.zero_grad()
    other.step()
    run(parameters, optimizer, reference)
    other.zero_grad()
    other.step()
    del other
    run(parameters, optimizer, reference)


def bases(parameters):
    return {id(parameter.read_grad().base) for parameter in parameters}


def test_a_new_optimizer_in_place_of_an_old_one_continues_from_its_values():
    parameters, optimizer, reference = make()
    run(parameters, optimizer, reference)
    optimizer = nn.SGD(parameters, lr=LR, momentum=MOMENTUM)
    fresh = Reference(reference.values)
    run(parameters, optimizer, fresh)
    assert len(bases(parameters)) == 1


def test_gradients_move_on_when_an_optimizer_is_gone_and_not_before():
    parameters, optimizer, reference = make()
    run(parameters, optimizer, reference)
    place = parameters[0].read_grad().base
    other = nn.SGD(parameters[:2], lr=1.0)
    other.step()
    assert parameters[0].read_grad().base is place
    del optimizer
    again = nn.SGD(parameters, lr=LR, momentum=MOMENTUM)
    run(parameters, again, Reference([parameter.data for parameter in parameters]))
    assert parameters[0].read_grad().base is not place
    assert len(bases(parameters)) == 1


def test_gradients_are_joined_again_after_a_state_was_loaded():
    parameters, optimizer, reference = make()
    run(parameters, optimizer, reference)
    optimizer.load_state_dict(optimizer.state_dict())
    run(parameters, optimizer, reference)
    assert len(bases(parameters)) == 1


def test_a_parameter_dropped_from_its_group_rests_and_may_come_back():
    parameters, optimizer, reference = make()
    run(parameters, optimizer, reference)
    dropped = optimizer.param_groups[0]["params"].pop(1)
    optimizer.zero_grad()
    dropped.zero_grad()
    run(parameters, optimizer, reference, frozen=(1,))
    assert dropped not in optimizer.state
    optimizer.param_groups[0]["params"].append(dropped)
    run(parameters, optimizer, reference)


def test_arrays_without_elements_are_no_trouble():
    parameters = [nn.Parameter(np.zeros((0, 3))), nn.Parameter([1.0, 2.0]), nn.Parameter(np.zeros((2, 0)))]
    optimizer = nn.Adam(parameters, lr=0.5, eps=0.0)
    alone = nn.Adam(parameters[:1])
    for _ in range(2):
        parameters[1].grad = [1.0, -1.0]
        optimizer.step()
        alone.step()
    np.testing.assert_allclose(parameters[1].data, [0, 3], rtol=1e-12, atol=1e-12)
    twin = nn.Adam(parameters)
    twin.load_state_dict(optimizer.state_dict())
    assert twin.state[parameters[1]]["step"] == 2
    optimizer.load_state_dict(pickle.loads(pickle.dumps(optimizer.state_dict())))
    alone.load_state_dict(alone.state_dict())


@pytest.mark.parametrize(
    "duplicate",
    [
        copy.deepcopy,
        *(lambda pair, n=n: pickle.loads(pickle.dumps(pair, n)) for n in range(2, pickle.HIGHEST_PROTOCOL + 1)),
    ],
)
def test_parameters_and_optimizer_copied_together_go_on_and_leave_the_originals_alone(duplicate):
    parameters, optimizer, reference = make()
    run(parameters, optimizer, reference)
    twins, twin_optimizer, twin_reference = duplicate((parameters, optimizer, reference))
    run(twins, twin_optimizer, twin_reference, steps=4)
    run(parameters, optimizer, reference)
    run(twins, twin_optimizer, twin_reference, steps=1)


def test_a_parameter_copied_alone_leaves_the_flat_array_behind():
    parameters = [nn.Parameter(np.zeros(10_000)) for _ in range(20)]
    optimizer = nn.SGD(parameters, lr=0.1, momentum=0.9)
    optimizer.step()
    assert len(pickle.dumps(parameters[0])) < 200_000
    twin = pickle.loads(pickle.dumps(parameters[0]))
    base = twin.read_grad().base
    assert getattr(base, "nbytes", 0) <= 80_000


def test_flat_arrays_are_never_pickled():
    parameters = [nn.Parameter(np.zeros(10_000)) for _ in range(20)]
    optimizer = nn.SGD(parameters, lr=0.1, momentum=0.9)
    for parameter in parameters:
        parameter.add_grad(np.ones(10_000))
    optimizer.step()
    data_gradients_and_momentum = 3 * 20 * 80_000
    assert len(pickle.dumps((parameters, optimizer))) < 1.1 * data_gradients_and_momentum


def test_gradients_of_unpickled_parameters_are_joined_again():
    parameters, optimizer, reference = pickle.loads(pickle.dumps(make()))
    run(parameters, optimizer, reference)
    parameters, optimizer, reference = pickle.loads(pickle.dumps((parameters, optimizer, reference), 5))
    parameters[0].zero_grad()
    run(parameters, optimizer, reference)
    assert len({id(parameter.read_grad().base) for parameter in parameters}) == 1


@pytest.mark.parametrize("together", [True, False])
def test_astype_between_steps_casts_gradients_and_momentum(together):
    parameters, optimizer, reference = make()
    run(parameters, optimizer, reference)
    for parameter in parameters if together else parameters[:1]:
        parameter.astype(np.float32)
    run(parameters, optimizer, reference)
    assert parameters[0].data.dtype == np.float32
    assert optimizer.state[parameters[0]]["momentum_buffer"].dtype == np.float32
    for parameter in parameters:
        parameter.astype(np.float64)
    run(parameters, optimizer, reference)


def test_astype_between_backward_and_step_keeps_the_gradient():
    parameters, optimizer, reference = make()
    run(parameters, optimizer, reference)
    for parameter in parameters:
        parameter.zero_grad()
        parameter.add_grad(np.ones(parameter.shape))
        parameter.astype(np.float32)
    optimizer.step()
    reference.step([np.ones(value.shape) for value in START])
    for parameter, value in zip(parameters, reference.values, strict=True):
        np.testing.assert_array_equal(parameter.data, value.astype(np.float32))


def test_load_state_dict_between_steps_is_seen_by_the_optimizer():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    optimizer = nn.SGD(model.parameters(), lr=0.5)
    for _ in range(2):
        state = {name: np.full(array.shape, 3.0) for name, array in model.state_dict().items()}
        model.load_state_dict(state)
        for parameter in model.parameters():
            parameter.grad = np.ones(parameter.shape)
        optimizer.step()
        for parameter in model.parameters():
            np.testing.assert_array_equal(parameter.data, np.full(parameter.shape, 2.5))


def test_gradients_set_before_the_first_step_are_kept_when_the_memory_is_laid_out():
    parameters, optimizer, _ = make()
    for parameter in parameters:
        parameter.add_grad(np.full(parameter.shape, 2.0))
    optimizer.step()
    for parameter, value in zip(parameters, START, strict=True):
        np.testing.assert_array_equal(parameter.data, value - LR * 2)


def test_gradients_without_zero_grad_add_up_over_steps():
    parameters, optimizer, _ = make()
    expected = [value.copy() for value in START]
    velocity = [np.zeros_like(value) for value in START]
    for step in range(1, 4):
        for index, parameter in enumerate(parameters):
            parameter.add_grad(np.ones(parameter.shape))
            velocity[index] = MOMENTUM * velocity[index] + step
            expected[index] = expected[index] - LR * velocity[index]
        optimizer.step()
    for parameter, value in zip(parameters, expected, strict=True):
        np.testing.assert_array_equal(parameter.data, value)


def test_one_gradient_cleared_and_the_others_not():
    parameters, optimizer, _ = make()
    for parameter in parameters:
        parameter.add_grad(np.ones(parameter.shape))
    optimizer.step()
    before = [parameter.data.copy() for parameter in parameters]
    parameters[1].zero_grad()
    optimizer.step()
    for index, (parameter, value) in enumerate(zip(parameters, before, strict=True)):
        np.testing.assert_array_equal(parameter.data, value - LR * (MOMENTUM + (index != 1)))


def test_parameters_of_two_dtypes_in_one_group_each_keep_theirs():
    first, second = nn.Parameter([1.0, 2.0], dtype=np.float32), nn.Parameter([1.0, 2.0])
    optimizer = nn.SGD([first, second], lr=0.5, momentum=0.5)
    for _ in range(2):
        for parameter in (first, second):
            parameter.grad = [1.0, 2.0]
        optimizer.step()
    for parameter, dtype in ((first, np.float32), (second, np.float64)):
        assert parameter.data.dtype == dtype
        np.testing.assert_array_equal(parameter.data, [1 - 0.5 - 0.75, 2 - 1 - 1.5])


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.1, "maximize": True}])
def test_an_optimizer_needs_little_more_than_what_it_remembers(held, options, cut, monkeypatch):
    monkeypatch.setattr(block, "LARGE", 2**20)
    tracemalloc.start()
    try:
        shapes = [(512, 512), (512,), (512, 1000), (1000,), (1000, 512)]
        parameters = [nn.Parameter(np.zeros(shape)) for shape in shapes]
        size = sum(parameter.data.nbytes for parameter in parameters)
        for parameter in parameters:
            parameter.add_grad(np.ones(parameter.shape))
            if held:
                _ = parameter.grad
        optimizer = nn.AdamW(parameters, **options)
        tracemalloc.reset_peak()
        optimizer.step()
        data_gradients_and_moments = 4 * size
        assert tracemalloc.get_traced_memory()[1] < data_gradients_and_moments + 0.6 * size
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        optimizer.step()
        assert tracemalloc.get_traced_memory()[1] < before + (0.3 if held or options else 0.01) * size
    finally:
        tracemalloc.stop()
