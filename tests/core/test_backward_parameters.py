"""The input gradient that nobody needs: backward_parameters is backward without it."""

import numpy as np
import pytest

import tinynn as nn
from tests.core.handmade import Halves, Product, Scale, Square
from tinynn.errors import PassError, ShapeError

X = np.array([[1.0, 2.0, -0.5]])
GRAD = np.array([[1.0, -1.0, 3.0]])


class Walked(Square):
    """A square that counts how often it is undone."""

    def __init__(self):
        self.times = 0

    def backward(self, grad):
        self.times += 1
        return super().backward(grad)


def linear(seed=0):
    return nn.Linear(3, 3, rng=np.random.default_rng(seed))


class Outer(nn.Layer):
    """A container of one's own that knows nothing of backward_parameters."""

    def __init__(self, layer):
        self.layer = layer

    def forward(self, x):
        return self.layer(x)

    def backward(self, grad):
        return self.layer.backward(grad)


def shared():
    layer = linear()
    return nn.Sequential(layer, nn.Tanh(), layer)


MODELS = {
    "linear": linear,
    "leaf of one's own": Scale,
    "sequential": lambda: nn.Sequential(linear(), nn.ArctanSigmoid(), linear(1)),
    "leading square": lambda: nn.Sequential(Square(), linear(), nn.ArctanSigmoid()),
    "nested": lambda: nn.Sequential(Square(), nn.Sequential(nn.Tanh(), nn.Sequential(Square(), linear())), linear(1)),
    "residual": lambda: nn.Sequential(nn.Residual(nn.Sequential(nn.Tanh(), linear())), linear(1)),
    "shared": shared,
    "container of one's own": lambda: nn.Sequential(Square(), Outer(linear()), linear(1)),
    "frozen first": lambda: nn.Sequential(linear().requires_grad_(False), nn.Tanh(), linear(1)),
    "frozen middle": lambda: nn.Sequential(linear(), linear(1).requires_grad_(False), linear(2)),
    "frozen bias": lambda: _without_bias_gradient(),
    "all frozen": lambda: nn.Sequential(linear(), linear(1)).requires_grad_(False),
    "no parameters": lambda: nn.Sequential(Square(), nn.Tanh()),
    "two arrays": lambda: nn.Sequential(Halves(), Product(), linear()),
    "empty": nn.Sequential,
}


def _without_bias_gradient():
    model = nn.Sequential(linear(), nn.Tanh(), linear(1))
    model[0].bias.requires_grad = False
    return model


def gradients(model, method):
    model.zero_grad()
    model(X)
    result = getattr(model, method)(GRAD)
    return result, {name: parameter.grad.copy() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("build", MODELS.values(), ids=MODELS)
def test_it_returns_none_and_the_gradients_are_those_of_backward(build):
    model = build()
    _, expected = gradients(model, "backward")
    result, actual = gradients(model, "backward_parameters")
    assert result is None
    assert list(actual) == list(expected)
    for name, grad in expected.items():
        np.testing.assert_array_equal(actual[name], grad)


@pytest.mark.parametrize("build", MODELS.values(), ids=MODELS)
def test_it_undoes_the_call_as_backward_does(build):
    model = build()
    model(X)
    with pytest.raises(ShapeError):
        model.backward_parameters(np.ones(7))
    model.backward_parameters(GRAD)
    for method in (model.backward_parameters, model.backward):
        with pytest.raises(PassError):
            method(GRAD)


def test_it_is_the_gradient_of_the_formula():
    model = nn.Sequential(Square(), Scale(3.0), Square())  # 9 x⁴
    model(X)
    model.backward_parameters(GRAD)
    np.testing.assert_allclose(model[1].weight.grad, [np.sum(6 * X**4 * GRAD)], rtol=1e-12)


@pytest.mark.parametrize(
    "wrap", [lambda layer: layer, nn.Sequential, lambda layer: nn.Sequential(nn.Sequential(layer))]
)
def test_leading_layers_without_parameters_are_not_walked(wrap):
    leading, middle = Walked(), Walked()
    model = nn.Sequential(wrap(leading), linear(), middle, linear(1))
    model(X)
    model.backward_parameters(GRAD)
    assert (leading.times, middle.times) == (0, 1)
    model(X)
    model.backward(GRAD)
    assert (leading.times, middle.times) == (1, 2)


def test_leading_layers_of_a_container_that_comes_first_are_not_walked():
    leading = Walked()
    model = nn.Sequential(nn.Sequential(leading, linear()), linear(1))
    model(X)
    model.backward_parameters(GRAD)
    assert leading.times == 0


def test_a_frozen_layer_in_front_is_not_walked_until_it_is_thawed():
    class Counted(Scale):
        times = 0

        def backward(self, grad):
            Counted.times += 1
            return super().backward(grad)

    model = nn.Sequential(Counted().requires_grad_(False), linear())
    for expected in (0, 1):
        model(X)
        model.backward_parameters(GRAD)
        assert Counted.times == expected
        model[0].requires_grad_()


def test_nothing_is_walked_where_everything_is_frozen():
    walked = Walked()
    model = nn.Sequential(linear(), walked, linear(1)).requires_grad_(False)
    model(X)
    assert model.backward_parameters(GRAD) is None
    assert walked.times == 0
    assert not any(parameter.grad.any() for parameter in model.parameters())


def test_frozen_parameters_get_no_gradient_and_those_below_them_do():
    model = nn.Sequential(linear(), linear(1).requires_grad_(False), linear(2))
    model(X)
    model.backward_parameters(GRAD)
    changed = {name for name, parameter in model.named_parameters() if parameter.grad.any()}
    assert changed == {"0.weight", "0.bias", "2.weight", "2.bias"}


@pytest.mark.parametrize("base", [nn.Linear, nn.Residual, nn.Sequential])
def test_a_subclass_with_a_backward_of_its_own_is_undone_by_it(base):
    class Clipped(base):
        def backward(self, grad):
            return super().backward(np.clip(grad, -0.5, 0.5))

    for build in (
        lambda: Clipped(3, 3, rng=np.random.default_rng(0)) if base is nn.Linear else Clipped(linear()),
        lambda: nn.Sequential(Clipped(3, 3) if base is nn.Linear else Clipped(linear()), nn.Tanh()),
    ):
        model = build()
        _, expected = gradients(model, "backward")
        _, actual = gradients(model, "backward_parameters")
        for name, grad in expected.items():
            np.testing.assert_array_equal(actual[name], grad)


def test_in_one_pass_each_call_is_undone_once():
    scale = Scale(3.0)
    with nn.one_pass():
        scale(X)
        scale(X + 1)
    scale.backward_parameters(GRAD)
    np.testing.assert_allclose(scale.weight.grad, [np.sum((X + 1) * GRAD)])
    scale.backward_parameters(GRAD)
    np.testing.assert_allclose(scale.weight.grad, [np.sum((2 * X + 1) * GRAD)])
