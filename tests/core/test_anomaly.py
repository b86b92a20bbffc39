"""detect_anomaly finds the first number that is not finite, and what changed between forward and backward."""

import numpy as np
import pytest

import tinynn as nn
from tests.core.handmade import Square
from tinynn.errors import AnomalyError, ShapeError

X = np.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]])
TARGET = np.zeros((2, 2))


def model():
    rng = np.random.default_rng(0)
    return nn.Sequential(nn.Linear(3, 4, rng=rng), nn.Tanh(), nn.Linear(4, 2, rng=rng))


def test_a_sound_training_step_is_left_alone():
    net, loss_fn = model(), nn.MSELoss()
    twin = model()
    for watched in (net, twin):
        optimizer = nn.SGD(watched.parameters(), lr=0.1)
        for _ in range(3):
            if watched is net:
                with nn.detect_anomaly():
                    loss_fn(net(X), TARGET)
                    net.backward(loss_fn.backward())
            else:
                loss_fn(twin(X), TARGET)
                twin.backward(loss_fn.backward())
            optimizer.step()
            optimizer.zero_grad()
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, twin.state_dict()[name])


def test_the_first_nan_in_a_forward_is_reported_with_layer_path_and_numbers():
    net = model()
    net[2].weight.data[0, 0] = np.nan
    with nn.detect_anomaly(), pytest.raises(AnomalyError) as caught:
        net(X)
    message = str(caught.value)
    assert message.startswith(
        "Linear(4, 2) expects its output in forward to be finite numbers, got 2 NaN and 0 infinite"
    )
    assert "among 4 (layer 2 of Sequential); the others are " in message


def test_an_infinite_input_is_reported_as_the_input():
    with (
        nn.detect_anomaly(),
        pytest.raises(AnomalyError, match=r"its input in forward .* got 0 NaN and 1 infinite among 3"),
    ):
        Square()([1.0, np.inf, 2.0])


def test_the_first_infinity_in_a_backward_is_reported():
    class Blunder(nn.Layer):
        def forward(self, x):
            self.saved.push(x)
            return x + 0

        def backward(self, grad):
            return grad / (self.saved.pop() * 0)

    net = nn.Sequential(nn.Linear(3, 3), Blunder())
    with nn.detect_anomaly(), np.errstate(all="ignore"):
        net(X)
        with pytest.raises(AnomalyError, match=r"its gradient at the input in backward .*layer 1 of Sequential"):
            net.backward(np.ones_like(X))


def test_an_input_that_was_changed_between_forward_and_backward_is_reported():
    net, x = model(), X.copy()
    with nn.detect_anomaly():
        y = net(x)
        x += 1
        with pytest.raises(AnomalyError, match="an array that it has saved to be as it was in forward"):
            net.backward(np.ones_like(y))


def test_weights_that_were_stepped_before_backward_are_reported():
    net = model()
    with nn.detect_anomaly():
        y = net(X)
        net[0].weight.data += 1
        with pytest.raises(AnomalyError, match=r"the parameter weight to be as it was .*layer 0 of Sequential"):
            net.backward(np.ones_like(y))


def test_a_forward_between_the_loss_and_backward_is_reported():
    net, loss_fn = model(), nn.MSELoss()
    with nn.detect_anomaly():
        loss_fn(net(X), TARGET)
        net(2 * X)
        with pytest.raises(AnomalyError, match="to undo the call whose output the loss saw"):
            net.backward(loss_fn.backward())


def test_outside_of_the_context_nothing_is_looked_at():
    net = model()
    net[2].weight.data[0, 0] = np.nan
    with nn.detect_anomaly():
        pass
    assert np.isnan(net(X)).any()


WRONG = {
    "nothing": (lambda x: x * 2, lambda grad: None, "shape (2, 3), that of its input, got None"),
    "the gradient of a sum": (lambda x: x.sum(axis=1), lambda grad: grad, "shape (2, 3), that of its input, got (2,)"),
    "two gradients": (lambda x: x * 2, lambda grad: (grad, grad), "1 gradients, one for each input, got 2"),
}


@pytest.mark.parametrize(("function", "gradient", "message"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("nested", [False, True])
def test_a_hand_written_backward_that_returns_what_cannot_be_the_gradient_is_named(function, gradient, message, nested):
    class Wrong(nn.Layer):
        def forward(self, x):
            return function(x)

        def backward(self, grad):
            return gradient(grad)

    layer = nn.Sequential(nn.Linear(3, 3), Wrong()) if nested else Wrong()
    y = layer(X)
    with pytest.raises(ShapeError) as caught:
        layer.backward(np.ones_like(y))
    assert str(caught.value).startswith("Wrong() expects backward to return ")
    assert message in str(caught.value)


class NotANumber(nn.Layer):
    def forward(self, x):
        return x * np.nan

    def backward(self, grad):
        return grad


@pytest.mark.parametrize("context", [nn.no_grad, nn.one_pass])
@pytest.mark.parametrize("model", [NotANumber(), nn.Sequential(nn.Tanh(), NotANumber())], ids=["alone", "inside"])
def test_a_nan_is_found_under_no_grad_and_one_pass_as_well(context, model):
    with nn.detect_anomaly(), context(), pytest.raises(AnomalyError, match="output in forward to be finite"):
        model(np.ones(2))


def test_an_edited_input_is_found_under_one_pass_as_well():
    layer, x = nn.Tanh(), np.ones(3)
    with nn.detect_anomaly(), nn.one_pass():
        layer(x)
        x[0] = 5.0
        with pytest.raises(AnomalyError, match="to be as it was in forward"):
            layer.backward(np.ones(3))


def test_a_call_from_before_the_watch_can_be_undone_under_it():
    first, second = nn.Tanh(), nn.Tanh()
    with nn.one_pass():
        y = first(np.ones(3))
        with nn.detect_anomaly():
            second(y)
            np.testing.assert_array_equal(first.backward(second.backward(np.zeros(3))), 0)


def heads():
    rng = np.random.default_rng(1)
    return model(), nn.Linear(2, 2, rng=rng), nn.Linear(2, 2, rng=rng)


def two_losses(trunk, a, b, step):
    h, first, second = trunk(X), nn.MSELoss(), nn.MSELoss()
    first(a(h), TARGET), second(b(h), TARGET + 1)
    at_a, at_b = first.backward(), second.backward()
    step()
    trunk.backward(a.backward(at_a) + b.backward(at_b))


def a_part(trunk, a, b, step):
    y, loss_fn = trunk(X), nn.MSELoss()
    loss_fn(y[:, 0], TARGET[:, 0])
    step()
    trunk.backward(np.stack([loss_fn.backward(), TARGET[:, 0]], axis=1))


def half(trunk, a, b, step):
    loss_fn = nn.MSELoss()
    loss_fn(trunk(X) / 2, TARGET)
    step()
    trunk.backward(loss_fn.backward() / 2)


def transposed(trunk, a, b, step):
    loss_fn = nn.MSELoss()
    loss_fn(trunk(X).T, TARGET.T)
    step()
    trunk.backward(loss_fn.backward().T)


def joined(trunk, a, b, step):
    h, loss_fn = trunk(X), nn.MSELoss()
    loss_fn(np.concatenate([a(h), b(h)]), np.zeros((4, 2)))
    at_a, at_b = np.split(loss_fn.backward(), 2)
    step()
    trunk.backward(a.backward(at_a) + b.backward(at_b))


def added(trunk, a, b, step):
    h, loss_fn = trunk(X), nn.MSELoss()
    loss_fn(a(h) + b(h), TARGET)
    grad = loss_fn.backward()
    step()
    trunk.backward(a.backward(grad) + b.backward(grad))


def an_auxiliary_model(trunk, a, b, step):
    loss_fn = nn.MSELoss()
    loss_fn(trunk(X), TARGET)
    b.backward(b(TARGET) + 1)
    grad = loss_fn.backward()
    a.backward(a(TARGET) + 1)
    step()
    trunk.backward(grad)


def a_penalty(trunk, a, b, step):
    y, penalty = trunk(X), nn.MSELoss()
    penalty(a.weight.data, TARGET)
    a.weight.add_grad(penalty.backward())
    step()
    trunk.backward(np.ones_like(y))


def its_own_prediction_as_the_target(trunk, a, b, step):
    with nn.no_grad():
        target = trunk(2 * X)
    loss_fn = nn.MSELoss()
    loss_fn(trunk(X) / 2, target)
    step()
    trunk.backward(loss_fn.backward() / 2)


def one_of_two_calls_by_hand(trunk, a, b, step):
    loss_fn = nn.MSELoss()
    with nn.one_pass():
        y, z = trunk(X), trunk(2 * X)
    loss_fn(y, TARGET)
    at_y = loss_fn.backward()
    step()
    trunk.backward(np.ones_like(z))
    trunk.backward(at_y)


def a_gradient_that_is_thrown_away(trunk, a, b, step):
    loss_fn = nn.MSELoss()
    loss_fn(trunk(X), TARGET)
    loss_fn.backward()
    loss_fn(trunk(2 * X), TARGET)
    step()
    trunk.backward(loss_fn.backward())


SOUND = [
    two_losses,
    a_part,
    half,
    transposed,
    joined,
    added,
    an_auxiliary_model,
    a_penalty,
    its_own_prediction_as_the_target,
    one_of_two_calls_by_hand,
    a_gradient_that_is_thrown_away,
]


@pytest.mark.parametrize("train", SOUND, ids=lambda train: train.__name__)
def test_no_alarm_where_the_loss_saw_something_else_than_an_output(train):
    layers = heads()
    with nn.detect_anomaly():
        for _ in range(3):
            train(*layers, lambda: None)


@pytest.mark.parametrize(
    ("train", "validated", "x"), [(two_losses, 1, TARGET), (two_losses, 2, TARGET), (an_auxiliary_model, 0, 2 * X)]
)
def test_a_forward_between_several_losses_and_backward_is_reported(train, validated, x):
    layers = heads()
    with nn.detect_anomaly():
        train(*layers, lambda: None)
        with pytest.raises(AnomalyError, match="to undo the call whose output the loss saw"):
            train(*layers, lambda: layers[validated](x))


def test_a_loss_of_a_call_under_no_grad_is_reported_where_an_older_call_waits():
    net, loss_fn = model(), nn.MSELoss()
    with nn.detect_anomaly():
        net(2 * X)
        with nn.no_grad():
            y = net(X)
        loss_fn(y, TARGET)
        with pytest.raises(AnomalyError, match="to undo the call whose output the loss saw"):
            net.backward(loss_fn.backward())


def test_a_backward_inside_the_context_is_looked_at_also_where_its_forward_was_outside():
    net = model()
    net(X)
    with nn.detect_anomaly(), pytest.raises(AnomalyError, match=r"gradient at the output in backward .* 1 NaN"):
        net.backward(np.array([[0.0, np.nan], [0.0, 0.0]]))
    net.zero_grad()
    net(X)
    net[2].weight.data[0, 0] = np.nan
    with nn.detect_anomaly(), pytest.raises(AnomalyError, match=r"at the input in backward .*layer 2 of Sequential"):
        net.backward(np.ones((2, 2)))


@pytest.mark.parametrize("context", [nn.one_pass, nn.detect_anomaly])
def test_a_backward_outside_of_the_context_is_not_looked_at(context):
    net = model()
    with context(), nn.detect_anomaly():
        net(X)
    net.backward(np.full((2, 2), np.nan))
    assert np.isnan(net[0].weight.grad).all()
