"""How long a pass lives: what is retained, what copies know, scripts in one pass, threads and no_grad."""

import copy
import gc
import pickle
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import tinynn as nn
from tests.core.handmade import Exp, Fails, Product, Scale, Square, slope
from tinynn.errors import PassError

X = np.array([[1.0, 2.0, -0.5]])
GRAD = np.array([[1.0, -1.0, 3.0]])


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)


# Retention


def retained(step, times=100):
    """Return how many of the inputs of ``times`` steps are alive after them."""
    inputs = []
    for index in range(times):
        x = np.full((2, 3), 1.0 + index)
        inputs.append(weakref.ref(x))
        step(x)
        del x
    gc.collect()
    return sum(reference() is not None for reference in inputs)


def swallowed(model, x):
    try:
        model(x)
    except ValueError:
        return


def test_a_loop_that_never_calls_backward_retains_one_pass():
    assert retained(nn.Sequential(Square(), Square())) == 1


def test_shared_layers_retain_one_pass_for_each_model():
    encoder = Square()
    models = [nn.Sequential(encoder, Square()), nn.Sequential(encoder, Scale()), encoder]
    assert retained(lambda x: [model(x) for model in models]) == 1
    turns = iter(range(99))
    assert retained(lambda x: models[next(turns) % 3](x), 99) == 3


def test_a_loop_of_forward_and_backward_retains_nothing():
    model = nn.Sequential(Square(), Square())

    def step(x):
        model(x)
        model.backward(np.ones_like(x))

    assert retained(step) == 0


def test_a_backward_that_leaves_something_undone_retains_nothing():
    class Stale(Square):
        def __init__(self):
            self.probe = Square()

        def forward(self, x):
            self.probe(x)
            return super().forward(x)

    model = nn.Sequential(Stale())

    def step(x):
        model(x)
        model.backward(np.ones_like(x))

    assert retained(step) == 0


def test_backward_of_an_inner_layer_alone_retains_nothing():
    model = nn.Sequential(Square(), Square())

    def step(x):
        model(x)
        model[1].backward(np.ones_like(x))

    assert retained(step) == 0


def test_failed_forwards_retain_nothing():
    model = nn.Sequential(Square(), Scale(-1.0), Fails())
    assert retained(lambda x: swallowed(model, x)) == 0


def test_failed_backwards_retain_nothing():
    model = nn.Sequential(Square(), Scale(-1.0), Fails(late=True))

    def step(x):
        model(x)
        swallowed(model.backward, x)

    assert retained(step) == 0


def test_nothing_is_retained_under_no_grad():
    model = nn.Sequential(Square(), nn.Residual(Square()))

    def step(x):
        with nn.no_grad():
            model(x)

    assert retained(step) == 0


def test_scripts_in_one_pass_without_backward_retain_one_pass():
    tower = Square()

    def step(x):
        with nn.one_pass():
            tower(x)
            tower(x)

    assert retained(step) == 1


def test_scripts_in_one_pass_with_all_undone_retain_nothing():
    tower = nn.Sequential(Square(), Scale())

    def step(x):
        with nn.one_pass():
            tower(x)
            tower(x)
        tower.backward(x)
        tower.backward(x)

    assert retained(step) == 0


# Copies

COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda layer: pickle.loads(pickle.dumps(layer)),
}


@pytest.mark.parametrize("make", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("when", ["waiting", "in one_pass"])
def test_a_copy_has_nothing_to_undo_and_the_original_still_can(make, when):
    model = nn.Sequential(Square(), Scale(3.0))
    if when == "waiting":
        model(X)
    else:
        with nn.one_pass():
            model(X)
    twin = make(model)
    with pytest.raises(PassError):
        twin.backward(GRAD)
    close(model.backward(GRAD), 6 * X * GRAD)


@pytest.mark.parametrize("make", COPIES.values(), ids=COPIES)
def test_a_copy_and_the_original_each_undo_their_own_pass(make):
    model = nn.Sequential(Square(), Scale(3.0))
    model(X)
    twin = make(model)
    twin(X + 10)
    close(model.backward(GRAD), 6 * X * GRAD)
    close(twin.backward(GRAD), 6 * (X + 10) * GRAD)


def test_a_copy_made_inside_a_forward_has_nothing_to_undo():
    class Copying(Square):
        def forward(self, x):
            y = super().forward(x)
            self.twin = [copy.copy(self), copy.deepcopy(self), pickle.loads(pickle.dumps(Scale()))]
            return y

    layer = Copying()
    layer(X)
    for twin in layer.twin:
        with pytest.raises(PassError):
            twin.backward(GRAD)


def test_saved_arrays_are_not_pickled():
    model = nn.Sequential(Square(), Exp())
    before = len(pickle.dumps(model))
    model(np.ones((100, 100)))
    assert len(pickle.dumps(model)) == before


# one_pass


@pytest.mark.parametrize("inside", [True, False], ids=["backward inside", "backward after"])
def test_a_pair_of_towers_is_undone_the_last_one_first(inside):
    scale, product = Scale(3.0), Product()
    tower = nn.Sequential(scale, Square())
    left, right = X, X + 1
    with nn.one_pass():
        product(tower(left), tower(right))  # 81 l² r²
        if inside:
            at_left, at_right = product.backward(GRAD)
            at_right, at_left = tower.backward(at_right), tower.backward(at_left)
    if not inside:
        at_left, at_right = product.backward(GRAD)
        at_right, at_left = tower.backward(at_right), tower.backward(at_left)
    close(at_left, 162 * left * right**2 * GRAD)
    close(at_right, 162 * left**2 * right * GRAD)
    close(scale.weight.grad, [np.sum(4 * 27 * left**2 * right**2 * GRAD)])


def test_a_recurrence_written_as_a_script_has_the_gradient_of_its_formula():
    rng = np.random.default_rng(0)
    linear, tanh = nn.Linear(2, 2, rng=rng), nn.Tanh()
    x, grad = rng.normal(size=(4, 2)), np.array([1.0, -2.0])
    with nn.one_pass():
        h = np.zeros(2)
        for x_t in x:
            h = tanh(linear(h + x_t))
    grads = []
    at_h = grad
    for _ in x:
        at_h = linear.backward(tanh.backward(at_h))
        grads.append(at_h)

    def function(w, b, x):
        h = np.zeros(2)
        for x_t in x:
            h = np.tanh(w @ (h + x_t) + b)
        return h

    w, b = linear.weight.data, linear.bias.data
    close(h, function(w, b, x))
    np.testing.assert_allclose(grads[::-1], slope(lambda x: function(w, b, x), x, grad), atol=1e-8)
    np.testing.assert_allclose(linear.weight.grad, slope(lambda w: function(w, b, x), w, grad), atol=1e-8)
    np.testing.assert_allclose(linear.bias.grad, slope(lambda b: function(w, b, x), b, grad), atol=1e-8)


def test_one_loss_for_two_heads_is_right_in_one_pass():
    trunk, heads, loss_fn = Square(), [Scale(2.0), Scale(5.0)], nn.MSELoss(reduction="sum")
    with nn.one_pass():
        h = trunk(X)
        total = sum(loss_fn(head(h), 0 * h) for head in heads)
    close(total, np.sum(29 * X**4))
    at_h = sum(head.backward(loss_fn.backward()) for head in reversed(heads))
    close(trunk.backward(at_h), 116 * X**3)


def test_without_one_pass_each_call_is_a_pass_and_only_the_latest_can_be_undone():
    tower = Square()
    tower(X)
    tower(X + 1)
    close(tower.backward(GRAD), 2 * (X + 1) * GRAD)
    with pytest.raises(PassError):
        tower.backward(GRAD)


def test_an_exception_in_one_pass_empties_it():
    square, other = Square(), Square()
    other(X + 1)

    def script():
        with nn.one_pass():
            square(X)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        script()
    with pytest.raises(PassError):
        square.backward(GRAD)
    close(other.backward(GRAD), 2 * (X + 1) * GRAD)
    square(X)
    close(square.backward(GRAD), 2 * X * GRAD)


def test_a_layer_that_fails_in_one_pass_empties_it_even_if_the_script_goes_on():
    square, fails = Square(), nn.Sequential(Scale(-1.0), Fails())
    with nn.one_pass():
        square(X)
        swallowed(fails, np.ones(3))
    for layer in (square, fails):
        with pytest.raises(PassError):
            layer.backward(GRAD)


def test_one_pass_inside_one_pass_or_inside_a_layer_joins_the_outer_one():
    class Script(nn.Layer):
        def __init__(self):
            self.square = Square()

        def forward(self, x):
            with nn.one_pass():
                return self.square(self.square(x))

        def backward(self, grad):
            return self.square.backward(self.square.backward(grad))

    script = Script()
    with nn.one_pass():
        h = script(X)
        with nn.one_pass():
            script(h)
    close(script.backward(script.backward(GRAD)), 16 * X**15 * GRAD)
    script(X)
    close(script.backward(GRAD), 4 * X**3 * GRAD)


def test_a_layer_called_after_one_pass_leaves_the_joined_pass_of_other_layers_alone():
    first, second = Square(), Scale(3.0)
    with nn.one_pass():
        second(first(X))
    Square()(X + 7)
    close(first.backward(second.backward(GRAD)), 6 * X * GRAD)


def test_one_pass_under_no_grad_keeps_nothing():
    square = Square()
    with nn.no_grad(), nn.one_pass():
        square(X)
    with pytest.raises(PassError):
        square.backward(GRAD)


# With nothing left to undo, backward is a clear error

NOTHING = r"expects a forward to undo, got a backward without one; call backward once after each forward"


def test_backward_before_forward_is_an_error():
    with pytest.raises(PassError, match=r"^Square\(\) " + NOTHING):
        Square().backward(GRAD)
    with pytest.raises(RuntimeError, match="^Sequential " + NOTHING):
        nn.Sequential(Square()).backward(GRAD)


def test_backward_twice_is_an_error():
    model = nn.Sequential(Square(), Square())
    model(X)
    model.backward(GRAD)
    with pytest.raises(PassError, match=NOTHING):
        model.backward(GRAD)
    with pytest.raises(PassError, match=NOTHING):
        model[1].backward(GRAD)


def test_backward_twice_inside_a_container_is_an_error():
    class Twice(nn.Layer):
        def __init__(self):
            self.square = Square()

        def forward(self, x):
            return self.square(x)

        def backward(self, grad):
            return self.square.backward(grad) + self.square.backward(grad)

    model = Twice()
    model(X)
    with pytest.raises(PassError, match=NOTHING):
        model.backward(GRAD)


def test_backward_in_another_thread_is_an_error_and_the_own_thread_still_can():
    model = nn.Sequential(Square(), Scale(3.0))
    model(X)
    with ThreadPoolExecutor(1) as pool, pytest.raises(PassError, match="in the same thread"):
        pool.submit(model.backward, GRAD).result()
    close(model.backward(GRAD), 6 * X * GRAD)


def test_backward_in_another_thread_is_an_error_for_a_script_as_well():
    square = Square()
    with nn.one_pass():
        square(X)
    with ThreadPoolExecutor(1) as pool, pytest.raises(PassError, match="in the same thread"):
        pool.submit(square.backward, GRAD).result()
    close(square.backward(GRAD), 2 * X * GRAD)


def test_layers_of_their_own_train_in_threads_of_their_own():
    def train(seed):
        model = nn.Sequential(Square(), Scale(3.0))
        x = np.full((1, 3), 1.0 + seed)
        for _ in range(100):
            model.zero_grad()
            model(x)
            close(model.backward(GRAD), 6 * x * GRAD)
            close(model[1].weight.grad, [np.sum(x**2 * GRAD)])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(train, range(8)))


# no_grad


def test_under_no_grad_there_is_nothing_to_undo():
    model = nn.Sequential(Square(), Square())
    with nn.no_grad():
        close(model(X), X**4)
    for layer in (model, *model):
        with pytest.raises(PassError, match="not under no_grad"):
            layer.backward(GRAD)


def test_a_forward_under_no_grad_leaves_what_waits_alone():
    model = nn.Sequential(Square(), Square())
    model(X)
    with nn.no_grad():
        model(X + 1)
        model[0](X + 2)
        with pytest.raises(TypeError):
            model("text")
    close(model.backward(GRAD), 4 * X**3 * GRAD)


def test_what_waits_may_be_undone_under_no_grad():
    model = nn.Sequential(Square(), Square())
    model(X)
    with nn.no_grad():
        close(model.backward(GRAD), 4 * X**3 * GRAD)


def test_no_grad_is_a_decorator_too():
    square = Square()

    @nn.no_grad()
    def predict(x, depth=0):
        """Say y."""
        return square(x) if depth == 0 else predict(x, depth - 1)

    square(X)
    assert (predict.__name__, predict.__doc__) == ("predict", "Say y.")
    for depth in (0, 3):
        close(predict(X + 1, depth), (X + 1) ** 2)
    close(square.backward(GRAD), 2 * X * GRAD)
    square(X)
    close(square.backward(GRAD), 2 * X * GRAD)


def test_no_grad_nests_and_ends_with_the_outermost():
    square, context = Square(), nn.no_grad()
    with context:
        with nn.no_grad():
            square(X)
        with context:
            square(X)
        square(X)
        with pytest.raises(PassError):
            square.backward(GRAD)
    square(X)
    close(square.backward(GRAD), 2 * X * GRAD)


def test_no_grad_ends_with_an_exception():
    square = Square()
    with pytest.raises(ZeroDivisionError), nn.no_grad():
        raise ZeroDivisionError
    square(X)
    close(square.backward(GRAD), 2 * X * GRAD)


def test_no_grad_inside_a_forward_leaves_out_the_calls_inside_it_only():
    class Centred(nn.Layer):
        """y = square(x) - c with c = square(x) taken as a constant."""

        def __init__(self, square):
            self.square = square

        def forward(self, x):
            with nn.no_grad():
                constant = self.square(x).mean() - 1
            y = self.square(x) - constant
            with nn.no_grad():
                self.square(x + 100)
            return y - 1

        def backward(self, grad):
            return self.square.backward(grad)

    square = Square()
    model = nn.Sequential(square, Centred(square), Scale(3.0))
    close(model(X), 3 * (X**4 - np.mean(X**4)))
    close(model.backward(GRAD), 12 * X**3 * GRAD)


@pytest.mark.parametrize("kind", ["generator", "async generator", "coroutine"])
def test_no_grad_refuses_to_decorate_what_runs_later(kind):
    def generator():
        yield 1

    async def async_generator():
        yield await coroutine()

    async def coroutine():
        return await coroutine()

    function = {"generator": generator, "async generator": async_generator, "coroutine": coroutine}[kind]
    with pytest.raises(TypeError, match="no_grad expects a function to decorate that runs when it is called, got"):
        nn.no_grad()(function)


def test_no_grad_in_one_thread_is_not_no_grad_in_another():
    square = Square()
    inside, leave = threading.Event(), threading.Event()

    def hold():
        with nn.no_grad():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait(10)
    square(X)
    leave.set()
    thread.join()
    close(square.backward(GRAD), 2 * X * GRAD)


def test_eight_threads_under_no_grad_all_compute_what_one_thread_does():
    rng = np.random.default_rng(0)
    shared = nn.Linear(4, 4, rng=rng)
    model = nn.Sequential(
        shared, nn.ArctanSigmoid(), nn.Residual(nn.Sequential(shared, nn.Tanh())), nn.Linear(4, 2, rng=rng), nn.ReLU()
    ).eval()
    inputs = rng.normal(size=(1000, 3, 4))
    inputs[::7] = inputs[::7].round()
    given = [x.astype(np.int8) if index % 7 == 0 else x for index, x in enumerate(inputs)]
    expected = [model(x) for x in inputs]
    barrier = threading.Barrier(8)

    @nn.no_grad()
    def predict(_):
        barrier.wait(30)
        return [model(x) for x in given]

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(predict, range(8)))
    for result in results:
        for y, target in zip(result, expected, strict=True):
            np.testing.assert_array_equal(y, target)
    assert model.backward(np.ones((3, 2))).shape == (3, 4)  # the pass of this thread's last call still waits
