"""How forward and backward may be written and called: subclasses, mix-ins, what is saved and what is handed out."""

import copy
import functools
import pickle
import sys

import numpy as np
import pytest

import tinynn as nn
from tests.core.handmade import Exp, Halves, Scale, Square
from tinynn.errors import PassError

X = np.array([[1.0, 2.0, -0.5]])
GRAD = np.array([[1.0, -1.0, 3.0]])


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)


# forward is the call; subclasses


def test_calling_forward_is_calling_the_layer():
    model = nn.Sequential(Square(), Scale(3.0))
    for call in (model, model.forward):
        close(call(X), 3 * X**2)
        close(model.backward(GRAD), 6 * X * GRAD)
    square = Square()
    square.forward(X)
    square(X + 1)
    square.forward(X + 2)
    close(square.backward(GRAD), 2 * (X + 2) * GRAD)
    with pytest.raises(PassError):
        square.backward(GRAD)


class Twofold(Square):
    """y = 2 x²."""

    def forward(self, x):
        return 2 * super().forward(x)

    def backward(self, grad):
        return super().backward(2 * grad)


class Fourfold(Twofold):
    """y = 4 x² + x³: pushes before and after its base class does."""

    def forward(self, x):
        self.saved.push(x)
        y = 2 * super().forward(x)
        self.saved.push(x)
        return y + x**3

    def backward(self, grad):
        x = self.saved.pop()
        at_input = super().backward(2 * grad)
        assert self.saved.pop() is x
        return at_input + 3 * x**2 * grad


class Negated:
    """A mix-in: turns the sign of what the layer returns."""

    def forward(self, x):
        return -super().forward(x)

    def backward(self, grad):
        return super().backward(-grad)


class Whole:
    """A mix-in with the whole of the mathematics: y = x²."""

    forward = Square.__dict__["forward"].__wrapped__
    backward = Square.__dict__["backward"].__wrapped__


class NegatedSquare(Negated, Square):
    pass


class MixedSquare(Whole, nn.Layer):
    pass


def passed_through(function):
    """Decorate a method, as a timer or a logger does."""

    @functools.wraps(function)
    def wrapper(*args, **options):
        return function(*args, **options)

    return wrapper


class Decorated(nn.Layer):
    @passed_through
    def forward(self, x):
        self.saved.push(x)
        return x * x

    @passed_through
    def backward(self, grad):
        return 2 * self.saved.pop() * grad


KINDS = {
    "super, once": (Twofold, lambda x: 2 * x**2, lambda x: 4 * x),
    "super, twice": (Fourfold, lambda x: 4 * x**2 + x**3, lambda x: 8 * x + 3 * x**2),
    "a mix-in before a layer": (NegatedSquare, lambda x: -(x**2), lambda x: -2 * x),
    "a mix-in that has forward and backward": (MixedSquare, lambda x: x**2, lambda x: 2 * x),
    "decorated methods": (Decorated, lambda x: x**2, lambda x: 2 * x),
}


@pytest.mark.parametrize(("kind", "function", "derivative"), KINDS.values(), ids=KINDS)
def test_subclasses_and_mixins_share_one_call(kind, function, derivative):
    layer = kind()
    close(layer(X), function(X))
    close(layer.backward(GRAD), derivative(X) * GRAD)
    model = nn.Sequential(layer, layer)
    close(model(X), function(function(X)))
    close(model.backward(GRAD), derivative(function(X)) * derivative(X) * GRAD)
    with pytest.raises(PassError):
        layer.backward(GRAD)


def test_a_layer_needs_neither_init_nor_super_init():
    class Forgot(Square):
        def __init__(self):
            self.inner = Square()

        def forward(self, x):
            return self.inner(super().forward(x))

        def backward(self, grad):
            return super().backward(self.inner.backward(grad))

    layer = Forgot()
    layer(X)
    close(layer.backward(GRAD), 4 * X**3 * GRAD)
    assert layer.training


# What is saved


@pytest.mark.parametrize(
    ("build", "derivative"),
    [
        (lambda: Square(), lambda x: 2 * x),
        (lambda: Exp(), np.exp),
        (lambda: nn.Sequential(Scale(1.0), Exp()), np.exp),
        (lambda: nn.Sequential(Exp(), nn.Identity()), np.exp),
        (lambda: nn.Linear(3, 3, bias=False, weight_init=_identity), np.ones_like),
        (lambda: nn.Tanh(), lambda x: 1 / np.cosh(x) ** 2),
        (lambda: nn.Sigmoid(), lambda x: np.exp(-x) / (1 + np.exp(-x)) ** 2),
        (lambda: nn.ArctanSigmoid(), lambda x: 1 / np.pi / (1 + x**2)),
        (lambda: nn.Residual(Exp()), lambda x: 1 + np.exp(x)),
    ],
)
def test_the_returned_array_may_be_changed_before_backward(build, derivative):
    model = build()
    y = model(X)
    y[...] = -1000.0
    close(model.backward(GRAD), derivative(X) * GRAD)


def _identity(parameter, *, rng):
    parameter.data = np.eye(3)


def test_every_returned_array_of_several_may_be_changed_before_backward():
    class Peek(nn.Layer):
        """(h, h²) with h = eˣ: hands out what the layer inside has saved."""

        def __init__(self):
            self.exp, self.square = Exp(), Square()

        def forward(self, x):
            h = self.exp(x)
            return h, self.square(h)

        def backward(self, at_h, at_y):
            return self.exp.backward(at_h + self.square.backward(at_y))

    model = Peek()
    for y in model(X):
        y[...] = -1000.0
    close(model.backward(GRAD, GRAD), (np.exp(X) + 2 * np.exp(2 * X)) * GRAD)


def test_push_takes_one_item_and_pop_returns_the_latest():
    class Stack(nn.Layer):
        def forward(self, x):
            for item in (1, (2, "two"), None, x):
                self.saved.push(item)
            return x + 0

        def backward(self, grad):
            popped = [self.saved.pop() for _ in range(4)]
            assert popped[0] is not None
            assert popped[1:] == [None, (2, "two"), 1]
            return grad

    layer = Stack()
    layer(X)
    layer.backward(GRAD)


def test_a_pop_without_a_push_is_an_error_that_names_the_layer():
    class Greedy(nn.Layer):
        def forward(self, x):
            return x + 0

        def backward(self, grad):
            return self.saved.pop()

    model = nn.Sequential(Square(), Greedy())
    model(X)
    with pytest.raises(PassError, match=r"^Greedy\(\) expects its backward to pop what its forward pushed"):
        model.backward(GRAD)


class Guarded(Square):
    """A square that knows which attributes it has, and refuses any other."""

    def __init__(self):
        object.__setattr__(self, "known", {"factor"})
        self.factor = 2.0

    def __setattr__(self, name, value):
        if name != "_pass" and name not in self.known:
            raise AttributeError(name)
        super().__setattr__(name, value)


class Direct(Square):
    """A square that goes past Python's own way to set an attribute."""

    def __setattr__(self, name, value):
        self.__dict__[name] = value


class Slotted(Square):
    """A square with a slot."""

    __slots__ = ("slot",)

    def __init__(self):
        self.slot = 1


class Marks:
    """A mixin that sets an attribute before anybody's ``__init__``."""

    def __new__(cls):
        new = super().__new__(cls)
        new.mark = 5
        return new


class Marked(Square, Marks):
    pass


class Bare(Square):
    """A square that is made without `Layer`'s own ``__new__``."""

    def __new__(cls):
        return object.__new__(cls)


class Rows(Square, list):
    """A square that is a list."""


class Locked(Square):
    """A square that leaves an attribute out of its state."""

    def __init__(self):
        self.lock, self.factor = "a lock", 2.0

    def __getstate__(self):
        state = super().__getstate__()
        del state["lock"]
        return state


@pytest.mark.parametrize("kind", [Square, Guarded, Direct, Slotted, Marked, Bare, Rows, Locked])
def test_python_s_own_ways_to_make_and_copy_objects_are_open_to_layers(kind):
    layer = kind()
    attributes = dict(vars(layer))
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1) if kind is not Slotted else (2, 4):  # as Python has it for slots
        layer(X)
        for twin in (copy.copy(layer), copy.deepcopy(layer), pickle.loads(pickle.dumps(layer, protocol))):
            assert {"lock": "a lock", **vars(twin)} == {"lock": "a lock", **attributes}
            assert getattr(twin, "slot", None) == getattr(layer, "slot", None)
            with pytest.raises(PassError):
                twin.backward(GRAD)
            twin(X + 1)
            close(twin.backward(GRAD), 2 * (X + 1) * GRAD)
        close(layer.backward(GRAD), 2 * X * GRAD)
        assert {**vars(layer), "_pass": None} == {**attributes, "_pass": None}


def test_a_mixin_s_attributes_are_kept_and_a_guard_is_asked():
    assert Marked().mark == 5
    with pytest.raises(AttributeError, match="unknown"):
        Guarded().unknown = 1


def test_a_layer_with_a_way_of_its_own_to_set_attributes_takes_part_in_passes():
    class Twice(nn.Layer):
        """Undoes its calls in the wrong order."""

        def __init__(self):
            self.direct, self.tanh = Direct(), nn.Tanh()

        def forward(self, x):
            return self.direct(3 * self.tanh(self.direct(x)))

        def backward(self, grad):
            return self.tanh.backward(self.direct.backward(3 * self.direct.backward(grad)))

    layer = Twice()
    layer(X)
    with pytest.raises(PassError, match="to be undone first"):
        layer.backward(GRAD)


def test_a_profile_names_the_methods_of_each_class():
    model = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
    names = []
    sys.setprofile(lambda frame, event, _argument: names.append(frame.f_code.co_qualname) if event == "call" else None)
    try:
        model(X)
        model.backward(GRAD)
    finally:
        sys.setprofile(None)
    for name in ("Sequential", "Linear", "Elementwise"):
        assert names.count(f"{name}.forward") == names.count(f"{name}.backward") == 2  # the wrapper and the method


def test_push_and_pop_outside_of_a_call_are_errors():
    with pytest.raises(PassError, match="to be called in the forward of a layer"):
        Square().saved.push(1)
    with pytest.raises(PassError, match="to be called in the backward of a layer"):
        Square().saved.pop()


def test_several_outputs_used_twice_are_undone_twice():
    halves = Halves()

    class Both(nn.Layer):
        def __init__(self):
            self.halves = halves

        def forward(self, x):
            a, b = self.halves(x)
            c, d = self.halves(a + b)
            return c + d

        def backward(self, grad):
            inner = self.halves.backward(grad, grad)
            return self.halves.backward(inner, inner)

    model = Both()
    model(X)
    inner = X + X**2
    close(model.backward(GRAD), (1 + 2 * inner) * (1 + 2 * X) * GRAD)
