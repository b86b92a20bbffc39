"""The promises of parameters: live arrays with a fixed place, gradients that read as zeros, views that may be taken."""

import copy
import operator
import pickle

import numpy as np
import pytest

import tinynn as nn
from tinynn.errors import DTypeError, ShapeError, TinynnError


def same(actual, expected):
    np.testing.assert_array_equal(actual, np.asarray(expected))


# data


def test_data_is_a_live_array():
    parameter = nn.Parameter([1.0, 2.0])
    held = parameter.data
    held[0] = 5
    same(parameter.data, [5, 2])
    parameter.data[1] = 7
    same(held, [5, 7])


def test_assigning_data_copies_in_and_never_moves_it():
    parameter = nn.Parameter(np.zeros((2, 3)))
    held, value = parameter.data, np.arange(6.0).reshape(2, 3)
    parameter.data = value
    assert parameter.data is held
    same(held, value)
    value[...] = -1
    same(held, np.arange(6).reshape(2, 3))
    held[...] = 9
    same(value, np.full((2, 3), -1))


def test_the_array_a_parameter_is_made_from_is_copied():
    value = np.ones(2)
    parameter = nn.Parameter(value)
    parameter.data[0] = 5
    value[1] = 7
    same(value, [1, 7])
    same(parameter.data, [5, 1])


@pytest.mark.parametrize("change", [operator.iadd, operator.isub, operator.imul, operator.itruediv])
def test_augmented_assignment_on_data_works_in_place(change):
    parameter = nn.Parameter([1.0, 2.0])
    held = parameter.data
    expected = change(np.array([1.0, 2.0]), np.array([4.0, 8.0]))
    parameter.data = change(parameter.data, np.array([4.0, 8.0]))
    assert parameter.data is held
    same(held, expected)
    parameter.data += 1
    assert parameter.data is held
    same(held, expected + 1)


def test_overlapping_assignment_is_right():
    parameter = nn.Parameter([1.0, 2.0, 3.0])
    parameter.data = parameter.data[::-1]
    same(parameter.data, [3, 2, 1])
    parameter.grad = parameter.data
    parameter.grad = parameter.grad[::-1]
    same(parameter.grad, [1, 2, 3])
    same(parameter.data, [3, 2, 1])


@pytest.mark.parametrize("name", ["data", "grad"])
@pytest.mark.parametrize(
    "value", [np.ones((3, 2)), np.ones(3), np.ones((1, 3)), 1.0, np.ones((1, 2, 3)), [[1.0], [2.0]]]
)
def test_the_shape_of_what_is_assigned_must_match(name, value):
    parameter = nn.Parameter(np.zeros((2, 3)))
    parameter.grad = np.full((2, 3), 4.0)
    with pytest.raises(ShapeError, match=rf"^Parameter\(.*\) expects {name} of shape \(2, 3\), got \("):
        setattr(parameter, name, value)
    same(parameter.data, np.zeros((2, 3)))
    same(parameter.grad, np.full((2, 3), 4.0))


@pytest.mark.parametrize("name", ["data", "grad"])
@pytest.mark.parametrize(
    "value", [[1j, 2], ["a", "b"], [None, None], np.ma.array([1.0, 2.0]), np.array([None, 1])], ids=repr
)
def test_what_is_no_array_of_real_numbers_is_refused(name, value):
    parameter = nn.Parameter([3.0, 4.0])
    parameter.grad = [5.0, 6.0]
    with pytest.raises(DTypeError, match=rf"^Parameter\(.*\) expects {name} to be an array of real numbers, got "):
        setattr(parameter, name, value)
    same(parameter.data, [3, 4])
    same(parameter.grad, [5, 6])


@pytest.mark.parametrize("name", ["data", "grad"])
def test_floating_arrays_are_cast_to_the_dtype_of_the_parameter(name):
    for dtype in (np.float32, np.float64):
        parameter = nn.Parameter([0.0, 0.0], dtype=dtype)
        for value in (
            [1.5, 2.5],
            np.array([1.5, 2.5], np.float16),
            np.array([1.5, 2.5], ">f8"),
            np.longdouble([1.5, 2.5]),
        ):
            setattr(parameter, name, value)
            array = getattr(parameter, name)
            assert array.dtype == dtype
            assert array.dtype.isnative
            same(array, [1.5, 2.5])


def test_a_plain_number_fits_a_parameter_without_axes():
    parameter = nn.Parameter(1.5)
    parameter.data = 2
    parameter.grad = 3
    same(parameter.data, 2.0)
    same(parameter.grad, 3.0)
    assert parameter.shape == ()


def test_a_parameter_is_floating_whatever_it_is_made_from():
    assert nn.Parameter([1, 2]).dtype == np.float64
    assert nn.Parameter(np.ones(2, np.float32)).dtype == np.float32
    assert nn.Parameter(np.ones(2, np.float16)).dtype == np.float64
    assert nn.Parameter(np.ones(2), dtype=np.float32).dtype == np.float32
    assert nn.Parameter(nn.Parameter(np.ones(2, np.float32))).dtype == np.float32
    assert nn.Parameter(np.ones((3, 2)).T).data.flags.c_contiguous


@pytest.mark.parametrize("kind", [nn.Parameter, nn.Buffer])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_big_endian_numbers_keep_their_width(kind, dtype):
    array = np.array([1.5, 2.5], np.dtype(dtype).newbyteorder(">"))
    made = kind(array)
    assert made.dtype == dtype
    assert made.dtype.isnative
    same(made.data, [1.5, 2.5])


def test_size_shape_and_repr_are_those_of_data():
    parameter = nn.Parameter(np.ones((2, 3), np.float32))
    assert (parameter.shape, parameter.size, parameter.ndim) == ((2, 3), 6, 2)
    assert repr(parameter) == "Parameter(shape=(2, 3), dtype=float32)"
    assert repr(nn.Buffer([1, 2])) == "Buffer(shape=(2,), dtype=int64)"


# grad


def test_grad_has_the_shape_and_dtype_of_data_and_reads_as_zeros_at_first():
    for dtype in (np.float32, np.float64):
        parameter = nn.Parameter(np.ones((2, 3)), dtype=dtype)
        assert parameter.grad.shape == (2, 3)
        assert parameter.grad.dtype == dtype
        same(parameter.grad, np.zeros((2, 3)))


def test_grad_is_a_live_array():
    parameter = nn.Parameter([1.0, 2.0])
    held = parameter.grad
    parameter.add_grad(np.array([3.0, 4.0]))
    same(held, [3, 4])
    held[0] = 9
    same(parameter.grad, [9, 4])
    parameter.add_grad(np.array([1.0, 1.0]))
    same(held, [10, 5])
    assert parameter.grad is held


def test_assigning_grad_copies_in():
    parameter = nn.Parameter([1.0, 2.0])
    held, value = parameter.grad, np.array([3.0, 4.0])
    parameter.grad = value
    value[0] = -1
    assert parameter.grad is held
    same(held, [3, 4])
    parameter.grad += 1
    same(held, [4, 5])
    same(value, [-1, 4])


@pytest.mark.parametrize("seen", [False, True])
def test_gradients_add_up_until_they_are_cleared(seen):
    parameter = nn.Parameter([1.0, 2.0])
    for _ in range(2):
        parameter.zero_grad()
        for times in (1, 2, 3):
            parameter.add_grad(np.array([3.0, 4.0]))
            if seen:
                same(parameter.grad, [3 * times, 4 * times])
        same(parameter.grad, [9, 12])


def test_the_gradient_that_is_added_is_copied():
    parameter, value = nn.Parameter([1.0, 2.0]), np.array([3.0, 4.0])
    parameter.add_grad(value)
    parameter.add_grad(value)
    same(value, [3, 4])
    value[...] = -1
    same(parameter.grad, [6, 8])


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize(
    "wrong", [np.ones(3), np.ones((1, 2)), np.ones(()), np.ones(1)], ids=lambda wrong: repr(wrong.shape)
)
def test_a_gradient_of_another_shape_is_refused_and_never_broadcast(fresh, wrong):
    parameter = nn.Parameter([1.0, 2.0])
    if not fresh:
        parameter.add_grad(np.array([3.0, 4.0]))
    with pytest.raises(ShapeError, match=r"expects a gradient of shape \(2,\), got \("):
        parameter.add_grad(wrong)
    same(parameter.grad, [0, 0] if fresh else [3, 4])


def test_a_gradient_that_was_handed_out_is_really_filled_with_zeros():
    parameter = nn.Parameter([1.0, 2.0])
    parameter.add_grad(np.array([3.0, 4.0]))
    held = parameter.grad
    parameter.zero_grad()
    same(held, [0, 0])
    assert parameter.grad is held
    parameter.add_grad(np.array([5.0, 6.0]))
    same(held, [5, 6])


@pytest.mark.parametrize(
    "clear", [lambda p: p.zero_grad(), lambda p: setattr(p, "grad", None)], ids=["zero_grad", "None"]
)
def test_clearing_makes_the_gradient_read_as_zeros(clear):
    for hand_out in (False, True):
        parameter = nn.Parameter([1.0, 2.0])
        parameter.add_grad(np.array([3.0, 4.0]))
        held = parameter.grad if hand_out else None
        clear(parameter)
        same(parameter.grad, [0, 0])
        assert held is None or parameter.grad is held
        clear(parameter)
        parameter.add_grad(np.array([5.0, 6.0]))
        same(parameter.grad, [5, 6])


def test_a_gradient_that_nobody_holds_may_be_overwritten_by_the_first_write():
    parameter = nn.Parameter(np.zeros(2))
    parameter.add_grad(np.array([np.nan, np.inf]))
    parameter.zero_grad()
    parameter.add_grad(np.array([5.0, 6.0]))  # adding to what was there would give nan
    same(parameter.grad, [5, 6])


def test_what_a_user_writes_into_a_held_gradient_after_zero_grad_counts():
    parameter = nn.Parameter([1.0, 2.0])
    optimizer = nn.SGD([parameter], lr=1.0)
    held = parameter.grad
    parameter.zero_grad()
    held += 1
    parameter.add_grad(np.array([1.0, 2.0]))
    same(held, [2, 3])
    optimizer.zero_grad()
    held += 0.5
    optimizer.step()
    same(parameter.data, [0.5, 1.5])


def test_an_untouched_gradient_counts_as_zero_so_weight_decay_and_momentum_still_act():
    parameter = nn.Parameter([1.0, 2.0])
    optimizer = nn.SGD([parameter], lr=0.5, weight_decay=0.5)
    optimizer.step()
    same(parameter.data, [0.75, 1.5])
    parameter = nn.Parameter([1.0, 2.0])
    optimizer = nn.SGD([parameter], lr=1.0, momentum=0.5)
    parameter.grad = [4.0, 8.0]
    optimizer.step()
    optimizer.zero_grad()
    optimizer.step()
    same(parameter.data, [1 - 4 - 2, 2 - 8 - 4])


class Bias(nn.Layer):
    """y = x + b, where backward writes its gradient in one of the ways that there are."""

    def __init__(self, way):
        self.b = nn.Parameter(np.zeros(2))
        self.way = way

    def forward(self, x):
        return x + self.b.data

    def backward(self, grad):
        at_b = grad.sum(axis=0)
        if self.way == "add_grad":
            self.b.add_grad(at_b)
        elif self.way == "+=":
            self.b.grad += at_b
        elif self.way == "[...] +=":
            self.b.grad[...] += at_b
        elif self.way == "np.add":
            np.add(self.b.grad, at_b, out=self.b.grad)
        else:
            self.b.grad = self.b.grad + at_b
        return grad


WAYS = ["add_grad", "+=", "[...] +=", "np.add", "="]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_every_way_to_add_to_a_gradient_in_a_layer_trains(way, momentum):
    layers = [Bias(way), Bias("add_grad"), Bias(way)]
    model = nn.Sequential(*layers)
    optimizer = nn.SGD(model.parameters(), lr=0.25, momentum=momentum)
    value = velocity = np.zeros(2)
    for step in range(4):
        grad = np.array([[1.0, 2.0], [3.0, step]])
        optimizer.zero_grad()
        for _ in range(2):  # gradients of two backwards add up
            model(np.ones((2, 2)))
            model.backward(grad)
        velocity = momentum * velocity + 2 * grad.sum(axis=0)
        value = value - 0.25 * velocity
        optimizer.step()
        for layer in layers:
            same(layer.b.grad, 2 * grad.sum(axis=0))
            same(layer.b.data, value)


# A parameter is no array


def test_a_parameter_is_never_taken_for_an_array():
    parameter, x = nn.Parameter([1.0, 2.0]), np.array([3.0, 4.0])
    same(parameter.data - x, [-2, -2])
    assert not hasattr(parameter, "__array__")
    assert nn.Parameter.__array_ufunc__ is None
    for operation in (
        lambda: np.multiply(parameter, 2),
        lambda: np.multiply(x, parameter),
        lambda: np.exp(parameter),
        lambda: np.add(x, x, out=parameter),
        lambda: np.sum(parameter),
        lambda: x @ parameter,
        lambda: parameter @ x,
        lambda: x * parameter,
        lambda: parameter * x,
        lambda: parameter + 1,
        lambda: np.float64(2) * parameter,
        lambda: x.dot(parameter),
        lambda: np.dot(x, parameter),
        lambda: operator.isub(parameter, x),
        lambda: operator.iadd(x, parameter),
        lambda: operator.setitem(x, ..., parameter),
        lambda: float(parameter),
        lambda: nn.Identity()(parameter),
    ):
        with pytest.raises(TypeError):
            operation()
    same(parameter.data, [1, 2])
    same(x, [3, 4])


def test_subtracting_from_the_parameter_itself_does_not_replace_it():
    class Careless(nn.Layer):
        def __init__(self):
            self.w = nn.Parameter([1.0, 2.0])

        def learn(self):
            self.w -= np.array([1.0, 1.0])

    layer = Careless()
    with pytest.raises(TypeError):
        layer.learn()
    assert isinstance(layer.w, nn.Parameter)
    same(layer.w.data, [1, 2])


# astype, copies


@pytest.mark.parametrize("held", [False, True])
def test_astype_keeps_values_and_gradients(held):
    parameter = nn.Parameter([1.5, 2.5])
    parameter.add_grad(np.array([3.5, 4.5]))
    before = (parameter.data, parameter.grad if held else None)
    parameter.astype(np.float32)
    assert parameter.data.dtype == parameter.grad.dtype == np.float32
    same(parameter.data, [1.5, 2.5])
    same(parameter.grad, [3.5, 4.5])
    parameter.data[0] = -1
    same(before[0], [1.5, 2.5])
    held_now = parameter.data
    parameter.astype(np.float32)
    assert parameter.data is held_now


@pytest.mark.parametrize("make", [copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p)), copy.copy])
def test_a_copied_parameter_has_its_values(make):
    parameter = nn.Parameter([1.0, 2.0], requires_grad=False)
    parameter.add_grad(np.array([3.0, 4.0]))
    twin = make(parameter)
    assert twin is not parameter
    assert twin.requires_grad is False
    same(twin.data, [1, 2])
    same(twin.grad, [3, 4])


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickled_parameter_is_writable_and_its_own(protocol):
    parameter = nn.Parameter([1.0, 2.0])
    parameter.add_grad(np.array([3.0, 4.0]))
    twin = pickle.loads(pickle.dumps(parameter, protocol))
    twin.data += 1
    twin.grad += 1
    same(parameter.data, [1, 2])
    same(parameter.grad, [3, 4])


@pytest.mark.parametrize("wrong", [np.float16, np.int64, complex, "float", object, "no dtype", np.dtype(">f8"), 3])
def test_parameters_are_float32_or_float64_and_nothing_else(wrong):
    expected = np.float64 if wrong == "float" else None
    parameter = nn.Parameter(np.ones(2, np.float32))
    if expected:
        parameter.astype(wrong)
        assert parameter.dtype == expected
        return
    with pytest.raises(TinynnError, match="expects dtype to be float32 or float64, got "):
        parameter.astype(wrong)
    with pytest.raises(TypeError, match="Parameter expects dtype to be float32 or float64, got "):
        nn.Parameter([1.0], dtype=wrong)
    assert parameter.dtype == np.float32


# Buffers


def test_a_buffer_keeps_its_kind():
    assert nn.Buffer([1, 2]).dtype == np.dtype(int)
    assert nn.Buffer([True]).dtype == bool
    assert nn.Buffer(np.ones(2, np.float32)).dtype == np.float32
    assert nn.Buffer(np.ones(2, np.float16)).dtype == np.float64
    count = nn.Buffer(0)
    held = count.data
    count.data = 3
    count.data += 1
    assert count.data is held
    assert held == 4
    with pytest.raises(DTypeError, match=r"expects data of dtype int64, got float64"):
        count.data = 1.5
    assert held == 4
