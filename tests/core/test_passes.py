"""The promises of passes: what forward leaves for backward belongs to a call, not to a layer."""

import contextlib
import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinynn as nn
from tests.core.handmade import Fails, Scale, Square, slope
from tinynn.errors import PassError

X = np.array([[1.0, 2.0, -0.5]])
GRAD = np.array([[1.0, -1.0, 3.0]])


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)


def measured(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-7, atol=1e-7)


# A layer may be called any number of times, and what was called last is undone first


def test_a_layer_used_twice_is_undone_twice():
    square = Square()
    model = nn.Sequential(square, square)
    close(model(X), X**4)
    close(model.backward(GRAD), 4 * X**3 * GRAD)


def test_a_layer_with_a_parameter_used_twice_adds_both_gradients():
    scale = Scale(3.0)
    model = nn.Sequential(scale, Square(), scale)  # w (w x)² = w³ x²
    close(model(X), 27 * X**2)
    close(model.backward(GRAD), 27 * 2 * X * GRAD)
    close(scale.weight.grad, [np.sum(3 * 9 * X**2 * GRAD)])


def test_a_layer_used_inside_and_outside_of_a_container_is_undone_at_each_place():
    square = Square()
    model = nn.Sequential(square, nn.Sequential(nn.Sequential(square), square))
    model(X)
    close(model.backward(GRAD), 8 * X**7 * GRAD)


TREES = st.recursive(st.sampled_from("sw"), lambda inner: st.lists(inner, min_size=1, max_size=3), max_leaves=6)


@given(TREES)
def test_any_nest_of_two_shared_layers_has_the_derivative_of_its_monomial(tree):
    shared = {"s": Square(), "w": Scale(0.9)}

    def build(part):
        return shared[part] if isinstance(part, str) else nn.Sequential(*map(build, part))

    def exponents(part, of_w=0, of_x=1):
        if part == "s":
            return 2 * of_w, 2 * of_x
        if part == "w":
            return of_w + 1, of_x
        for inner in part:
            of_w, of_x = exponents(inner, of_w, of_x)
        return of_w, of_x

    w, x = 0.9, np.array([1.1, -0.7])
    of_w, of_x = exponents(tree)
    model = build(tree)
    for _ in range(2):
        shared["w"].zero_grad()
        close(model(x), w**of_w * x**of_x)
        close(model.backward(np.ones(2)), w**of_w * of_x * x ** (of_x - 1))
        close(shared["w"].weight.grad, [np.sum(of_w * w ** (of_w - 1) * x**of_x) if of_w else 0.0])


def test_tied_weights_gather_the_gradients_of_both_places():
    rng = np.random.default_rng(0)
    first, second = nn.Linear(3, 3, rng=rng), nn.Linear(3, 3, rng=rng)
    second.weight = first.weight
    model = nn.Sequential(first, nn.ArctanSigmoid(), second)
    w, b, c = first.weight.data.copy(), first.bias.data.copy(), second.bias.data.copy()

    def function(w, x):
        return (np.arctan(x @ w.T + b) / np.pi + 0.5) @ w.T + c

    close(model(X), function(w, X))
    at_input = model.backward(GRAD)
    measured(at_input, slope(lambda x: function(w, x), X, GRAD))
    measured(first.weight.grad, slope(lambda w: function(w, X), w, GRAD))


class Recurrence(nn.Layer):
    """h ← cell(h + x_t), from h = 0."""

    def __init__(self, cell):
        self.cell = cell

    def forward(self, x):
        self.saved.push(len(x))
        h = np.zeros_like(x[0])
        for x_t in x:
            h = self.cell(h + x_t)
        return h

    def backward(self, grad):
        grads = []
        for _ in range(self.saved.pop()):
            grad = self.cell.backward(grad)
            grads.append(grad)
        return np.array(grads[::-1])


def test_an_unrolled_recurrence_has_the_gradient_of_its_formula():
    rng = np.random.default_rng(0)
    linear = nn.Linear(2, 2, rng=rng)
    model = Recurrence(nn.Sequential(linear, nn.Tanh()))
    w, b = linear.weight.data.copy(), linear.bias.data.copy()

    def function(w, x):
        h = np.zeros(2)
        for x_t in x:
            h = np.tanh((h + x_t) @ w.T + b)
        return h

    grad = np.array([1.0, -2.0])
    for steps in (1, 4, 2):
        x = rng.normal(size=(steps, 2))
        model.zero_grad()
        close(model(x), function(w, x))
        measured(model.backward(grad), slope(lambda x: function(w, x), x, grad))
        measured(linear.weight.grad, slope(lambda w, x=x: function(w, x), w, grad))


# Order


class Branches(nn.Layer):
    """y = first(x) + second(x), undone in a given order."""

    def __init__(self, first, second, order=(1, 0)):
        self.branches = [first, second]
        self.order = order

    def forward(self, x):
        return self.branches[0](x) + self.branches[1](x)

    def backward(self, grad):
        return sum(self.branches[index].backward(grad) for index in self.order)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_branches_of_different_layers_are_undone_in_any_order(order):
    model = nn.Sequential(Square(), Branches(nn.Sequential(Square(), Scale(5.0)), Scale(7.0), order), Square())
    close(model(X), (5 * X**4 + 7 * X**2) ** 2)
    close(model.backward(GRAD), 2 * (5 * X**4 + 7 * X**2) * (20 * X**3 + 14 * X) * GRAD)


class Thrice(nn.Layer):
    """y = g(f(f(x))), undone in a wrong order."""

    def __init__(self):
        self.f, self.g = Square(), Square()

    def forward(self, x):
        return self.g(self.f(self.f(x)))

    def backward(self, grad):
        return self.g.backward(self.f.backward(self.f.backward(grad)))


def test_a_repeated_layer_undone_before_a_later_one_is_an_error_not_a_number():
    model = Thrice()
    model(X)
    with pytest.raises(PassError, match=r"^Square\(\) expects the Square called after it to be undone first"):
        model.backward(GRAD)


def test_a_repeated_layer_undone_too_early_in_a_script_is_an_error_that_changes_nothing():
    f, g = Square(), Scale(3.0)
    with nn.one_pass():
        g(f(f(X)))
    with pytest.raises(PassError, match="called more than once"):
        f.backward(GRAD)
    close(f.backward(f.backward(g.backward(GRAD))), 3 * 4 * X**3 * GRAD)


# A pass through one layer leaves the state of other layers alone


@pytest.mark.parametrize("first_undone", [0, 1])
def test_an_encoder_shared_by_two_models_is_undone_in_each_with_the_values_of_that_model(first_undone):
    encoder = Scale(3.0)
    models = [nn.Sequential(encoder, Square()), nn.Sequential(encoder, Scale(2.0))]
    inputs = [X, X + 10]
    for model, x in zip(models, inputs, strict=True):
        model(x)
    expected = [18 * X * GRAD, 6 * GRAD]
    for index in (first_undone, 1 - first_undone):
        close(models[index].backward(GRAD), expected[index])
    close(encoder.weight.grad, [np.sum(GRAD * (6 * X**2 + 2 * (X + 10)))])


def test_an_encoder_and_a_decoder_called_one_after_the_other_each_keep_their_state():
    encoder, decoder = nn.Sequential(Square(), Scale(3.0)), nn.Sequential(Scale(2.0), Square())
    decoder(encoder(X))  # (2 · 3 x²)² = 36 x⁴
    close(encoder.backward(decoder.backward(GRAD)), 144 * X**3 * GRAD)


INNER = {
    "the first layer": operator.itemgetter(0),
    "the last layer": operator.itemgetter(2),
    "a container inside": operator.itemgetter(1),
    "a layer in a container inside": lambda model: model[1][0],
}


@pytest.mark.parametrize("inner", INNER.values(), ids=INNER)
@pytest.mark.parametrize("undone", [False, True], ids=["waiting", "undone"])
def test_an_inner_layer_called_between_forward_and_backward_changes_nothing(inner, undone):
    model = nn.Sequential(Square(), nn.Sequential(Square()), Square())
    model(X)
    inner(model)(X + 100)
    if undone:
        close(inner(model).backward(GRAD), 2 * (X + 100) * GRAD)
    close(model.backward(GRAD), 8 * X**7 * GRAD)


def test_another_model_around_the_layer_that_fails_leaves_a_waiting_model_alone():
    encoder = Square()
    model, other = nn.Sequential(encoder, Square()), nn.Sequential(encoder, Fails())
    model(X)
    encoder_failing = nn.Sequential(encoder, Scale(-1.0), Fails())
    with pytest.raises(ValueError, match="negative"):
        encoder_failing(X + 100)
    other(X + 100)
    close(model.backward(GRAD), 4 * X**3 * GRAD)


def test_backward_of_an_inner_layer_reenters_and_drops_the_pass_it_last_took_part_in():
    model = nn.Sequential(Square(), Square())
    model(X)
    close(model[1].backward(GRAD), 2 * X**2 * GRAD)
    with pytest.raises(PassError):
        model.backward(GRAD)
    with pytest.raises(PassError):
        model[0].backward(GRAD)


def test_backward_undoes_the_latest_forward_and_nothing_else():
    square = Square()
    square(X)
    square(X + 1)
    close(square.backward(GRAD), 2 * (X + 1) * GRAD)
    with pytest.raises(PassError):
        square.backward(GRAD)


def test_the_two_passes_of_two_copies_of_a_layer_are_not_mixed():
    first, second = Square(), Square()
    first(X)
    second(X + 1)
    close(first.backward(GRAD), 2 * X * GRAD)
    close(second.backward(GRAD), 2 * (X + 1) * GRAD)


# Failures


def test_a_forward_that_failed_half_way_leaves_nothing_behind():
    scale = Scale(3.0)
    model = nn.Sequential(scale, Square(), scale, Fails())
    scale.weight.data = [-1.0]  # w (w x)² < 0
    with pytest.raises(ValueError, match="negative"):
        model(X)
    for layer in (model, *model):
        with pytest.raises(PassError):
            layer.backward(GRAD)
    close(scale.weight.grad, [0.0])
    scale.weight.data = [3.0]
    model(X)
    close(model.backward(GRAD), 54 * X * GRAD)
    close(scale.weight.grad, [np.sum(27 * X**2 * GRAD)])


def test_a_failed_forward_empties_the_pass_that_waited_before_it():
    model = nn.Sequential(Square(), Scale(-1.0), Fails())
    model(np.zeros(3))
    with pytest.raises(ValueError, match="negative"):
        model(np.ones(3))
    with pytest.raises(PassError):
        model.backward(np.ones(3))


def test_a_backward_that_raised_leaves_nothing_behind():
    model = nn.Sequential(Square(), Scale(-1.0), Fails(late=True))
    model(X)
    for error in (ValueError, PassError):
        with pytest.raises(error):
            model.backward(GRAD)
    model(X * 0)
    close(model.backward(GRAD), X * 0)


class Fallback(nn.Layer):
    """y = risky(x); safe(x) where that raises."""

    def __init__(self, risky, safe):
        self.risky, self.safe = risky, safe

    def forward(self, x):
        try:
            y = self.risky(x)
            used = self.risky
        except ValueError:
            y = self.safe(x)
            used = self.safe
        self.saved.push(used)
        return y

    def backward(self, grad):
        return self.saved.pop().backward(grad)


def test_an_exception_swallowed_inside_a_forward_leaves_no_trace_of_the_calls_that_failed():
    shared = Scale(-2.0)
    model = nn.Sequential(shared, Fallback(nn.Sequential(shared, Square(), shared, Fails()), Square()), shared)
    x = np.abs(X)
    close(model(x), -8 * x**2)  # w (w x)²
    close(model.backward(GRAD), -16 * x * GRAD)
    close(shared.weight.grad, [np.sum(12 * x**2 * GRAD)])


def test_a_call_that_failed_after_a_good_one_of_the_same_layer_is_not_the_one_that_is_undone():
    class Probing(nn.Layer):
        """y = 3 f(x), after which f is tried at -x, where it fails."""

        def __init__(self):
            self.f = nn.Sequential(Square(), Scale(3.0), Refuses())

        def forward(self, x):
            y = self.f(x)
            for _ in range(2):
                with contextlib.suppress(ValueError):
                    self.f(x + 100)
            return y

        def backward(self, grad):
            return self.f.backward(grad)

    class Refuses(Square):
        def forward(self, x):
            y = super().forward(x)
            if (y > 1000).any():
                raise ValueError("large")
            return y

    for model in (Probing(), nn.Sequential(Probing(), Scale(1.0))):
        close(model(X), 9 * X**4)
        close(model.backward(GRAD), 36 * X**3 * GRAD)


class Logged(nn.Layer):
    """y = main(x), with looks at probe(x) that backward knows nothing of."""

    def __init__(self, main, probe):
        self.main, self.probe = main, probe

    def forward(self, x):
        self.probe(x + 1)
        self.probe(x + 2)
        return self.main(x)

    def backward(self, grad):
        return self.main.backward(grad)


def test_a_stale_branch_disturbs_neither_this_pass_nor_later_ones():
    probe = Square()
    logged = Logged(Square(), probe)
    model = nn.Sequential(probe, logged, probe, logged)
    for x in (X, X + 1, X - 1):
        close(model(x), x**16)
        close(model.backward(GRAD), 16 * x**15 * GRAD)
    probe(X)
    close(probe.backward(GRAD), 2 * X * GRAD)


def test_a_stale_branch_after_the_main_one_disturbs_nothing_either():
    class LoggedAfter(Logged):
        def forward(self, x):
            y = super().forward(x)
            self.probe(y)
            return y

    model = nn.Sequential(Square(), LoggedAfter(Square(), Scale(3.0)), Square())
    for x in (X, X + 1):
        close(model(x), x**8)
        close(model.backward(GRAD), 8 * x**7 * GRAD)


# Recomputation


class Checkpoint(nn.Layer):
    """y = inner(x), of which only x is kept: backward computes the rest again."""

    def __init__(self, inner):
        self.inner = inner

    def forward(self, x):
        self.saved.push(x)
        with nn.no_grad():
            return self.inner(x)

    def backward(self, grad):
        self.inner(self.saved.pop())
        return self.inner.backward(grad)


@pytest.mark.parametrize("nested", [False, True])
def test_calls_made_inside_backward_belong_to_the_pass_that_is_undone(nested):
    scale = Scale(3.0)
    inner = nn.Sequential(scale, Square())
    checkpoint = Checkpoint(Checkpoint(inner) if nested else inner)
    model = nn.Sequential(scale, checkpoint, scale, checkpoint)  # (w · w · (w · w x)²)² = w¹² x⁴
    for _ in range(2):
        model.zero_grad()
        close(model(X), 3.0**12 * X**4)
        close(model.backward(GRAD), 3.0**12 * 4 * X**3 * GRAD)
        close(scale.weight.grad, [np.sum(12 * 3.0**11 * X**4 * GRAD)])


def test_a_layer_may_compute_itself_again_in_its_backward():
    class Forgetful(Square):
        def forward(self, x):
            y = super().forward(x)
            x = self.saved.pop()
            self.saved.push(x)
            return y

        def backward(self, grad):
            x = self.saved.pop()
            self.forward(x)
            return super().backward(grad)

    model = nn.Sequential(Forgetful(), Forgetful())
    model(X)
    close(model.backward(GRAD), 4 * X**3 * GRAD)
