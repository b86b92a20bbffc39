"""Gradients may be views of an optimizer's flat array: every way to break or keep that gives the same numbers."""

import copy
import pickle

import numpy as np
import pytest

import tinynn as nn

LR, MOMENTUM = 0.25, 0.5


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


def test_data_never_moves():
    parameters, optimizer, reference = make()
    held = [parameter.data for parameter in parameters]
    run(parameters, optimizer, reference)
    assert all(parameter.data is array for parameter, array in zip(parameters, held, strict=True))


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


def test_a_new_optimizer_in_place_of_an_old_one_continues_from_its_values():
    parameters, optimizer, reference = make()
    run(parameters, optimizer, reference)
    optimizer = nn.SGD(parameters, lr=LR, momentum=MOMENTUM)
    fresh = Reference(reference.values)
    run(parameters, optimizer, fresh)


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
