"""Sequential, Residual and Identity as containers: a list of layers with names, and their mathematics."""

import copy
import pickle

import numpy as np
import pytest

import tinynn as nn
from tests.core.handmade import Scale, Square

X = np.array([[1.0, 2.0, -0.5]])
GRAD = np.array([[1.0, -1.0, 3.0]])


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)


@pytest.fixture
def layers():
    return [Square(), Scale(3.0), nn.Identity(), Scale(2.0)]


def test_sequential_is_a_list_of_layers(layers):
    model = nn.Sequential(*layers)
    assert len(model) == 4
    assert list(model) == layers
    assert [model[i] for i in range(4)] == layers
    assert model[-1] is layers[-1]
    assert layers[2] in model
    for index in (4, -5):
        with pytest.raises(IndexError):
            model[index]


def test_a_slice_is_a_sequential_of_the_same_layers(layers):
    model = nn.Sequential(*layers)
    part = model[1:3]
    assert type(part) is nn.Sequential
    assert list(part) == layers[1:3]
    close(nn.Sequential(part, model[3:])(X), 6 * X)
    assert list(model[::-1]) == layers[::-1]
    assert len(model[4:]) == 0


def test_sequential_of_a_dict_is_named_by_it(layers):
    model = nn.Sequential(dict(zip(["square", "scale"], layers[:2], strict=True)))
    assert model["scale"] is model[1] is layers[1]
    assert [name for name, _ in model.named_children()] == ["square", "scale"]
    assert list(model.state_dict()) == ["scale.weight"]
    with pytest.raises(KeyError):
        model["other"]


def test_the_dict_it_was_made_from_may_change(layers):
    named = {"a": layers[0]}
    model = nn.Sequential(named)
    named["b"] = layers[1]
    assert len(model) == 1


def test_append_adds_a_layer_and_returns_the_model(layers):
    model = nn.Sequential()
    for layer in layers:
        assert model.append(layer) is model
    assert list(model) == layers
    close(model(X), 6 * X**2)
    assert list(model.state_dict()) == ["1.weight", "3.weight"]
    named = nn.Sequential({"a": layers[0]}).append(layers[1])
    assert [name for name, _ in named.named_children()] == ["a", "1"]
    clash = nn.Sequential({"1": layers[0]})
    with pytest.raises(
        ValueError, match=r"^Sequential expects a free name for the new layer, got '1', which is taken$"
    ):
        clash.append(layers[1])
    assert len(clash) == 1


def test_a_layer_may_be_replaced(layers):
    model = nn.Sequential(*layers)
    model[0] = nn.Identity()
    model[-1] = Scale(5.0)
    close(model(X), 15 * X)
    named = nn.Sequential({"a": Square()})
    named["a"] = Scale(2.0)
    close(named(X), 2 * X)
    with pytest.raises(KeyError):
        named["b"] = Square()
    with pytest.raises(IndexError):
        model[9] = Square()


def test_sequential_is_the_layers_one_after_the_other(layers):
    model = nn.Sequential(*layers)
    close(model(X), 6 * X**2)
    close(model.backward(GRAD), 12 * X * GRAD)


def test_an_empty_sequential_is_the_identity():
    model = nn.Sequential()
    close(model(X), X)
    close(model.backward(GRAD), GRAD)


def test_a_model_may_grow_and_be_tried_in_parts_between_passes(layers):
    model = nn.Sequential(*layers[:2])
    model(X)
    model.append(Square())
    model(X)
    close(model.backward(GRAD), 36 * X**3 * GRAD)


def test_residual_adds_its_input():
    model = nn.Residual(nn.Sequential(Square(), Scale(3.0)))
    close(model(X), X + 3 * X**2)
    close(model.backward(GRAD), (1 + 6 * X) * GRAD)
    close(model.layer[1].weight.grad, [np.sum(X**2 * GRAD)])


def test_residuals_nest():
    square = Square()
    model = nn.Residual(nn.Residual(square))
    close(model(X), 2 * X + X**2)
    close(model.backward(GRAD), (2 + 2 * X) * GRAD)
    twice = nn.Sequential(nn.Residual(square), nn.Residual(square))
    h = X + X**2
    close(twice(X), h + h**2)
    close(twice.backward(GRAD), (1 + 2 * h) * (1 + 2 * X) * GRAD)


def test_combinators_never_add_in_place():
    x, grad = X.copy(), GRAD.copy()
    for model in (
        nn.Residual(nn.Identity()),
        nn.Residual(nn.Residual(nn.Identity())),
        nn.Sequential(nn.Residual(nn.Sequential())),
    ):
        model(x)
        model.backward(grad)
        np.testing.assert_array_equal(x, X)
        np.testing.assert_array_equal(grad, GRAD)


def test_a_residual_whose_layer_changes_the_shape_is_an_error_and_never_broadcasts():
    model = nn.Residual(nn.Linear(3, 1))
    with pytest.raises(ValueError, match=r"^Residual expects its layer to keep the shape \(1, 3\), got \(1, 1\)$"):
        model(X)


def test_identity_hands_everything_on():
    for x in (X, X.astype(int), X > 0, X.astype(np.float16)):
        y = nn.Identity()(x)
        assert y.dtype == x.dtype
        np.testing.assert_array_equal(y, x)


@pytest.mark.parametrize("make", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_of_containers_are_of_their_own(make, layers):
    model = nn.Sequential(*layers[:2], nn.Residual(layers[1]))
    twin = make(model)
    twin.append(Square())
    twin[1].weight.data += 1
    assert len(model) == 3
    close(model(X), 9 * X**2 + 3 * X**2)
    assert twin[2].layer is twin[1]


def test_a_container_of_ones_own_is_a_forward_and_its_mirror_image():
    class Gate(nn.Layer):
        """y = f(x) g(x)."""

        def __init__(self, f, g):
            self.f, self.g = f, g

        def forward(self, x):
            a, b = self.f(x), self.g(x)
            self.saved.push((a, b))
            return a * b

        def backward(self, grad):
            a, b = self.saved.pop()
            at_g = self.g.backward(grad * a)
            return self.f.backward(grad * b) + at_g

    square = Square()
    model = nn.Sequential(Gate(square, nn.Sequential(square, Scale(3.0))), nn.Residual(Gate(Scale(2.0), square)))
    h = 3 * X**4
    close(model(X), h + 2 * h**3)
    close(model.backward(GRAD), (1 + 6 * h**2) * 12 * X**3 * GRAD)


class Halves(nn.Layer):
    """What is before the middle, and what is after it."""

    def forward(self, x):
        return x[:, :2].copy(), x[:, 2:].copy()

    def backward(self, before, after):
        return np.concatenate([before, after], axis=1)


@pytest.mark.parametrize("backward", ["backward", "backward_parameters"])
def test_a_sequential_may_end_in_several_outputs(backward):
    linear = nn.Linear(3, 4, rng=np.random.default_rng(0))
    model = nn.Sequential(linear, Halves())
    before, after = model(X)
    close(np.concatenate([before, after], axis=1), linear(X))
    grads = np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]])
    getattr(model, backward)(*grads)
    close(linear.weight.grad, np.concatenate(grads, axis=1).T @ X)


@pytest.mark.parametrize("backward", ["backward", "backward_parameters"])
def test_a_sequential_may_begin_with_several_outputs(backward):
    scale = Scale(2.0)
    halves = nn.Sequential(scale, Halves())
    halves(X)
    getattr(halves, backward)(X[:, :2], X[:, 2:])
    close(scale.weight.grad, np.sum(X * X))
    alone = nn.Sequential(Halves())
    alone(X)
    getattr(alone, backward)(X[:, :2], X[:, 2:])


def test_branches_over_indices_have_no_gradient_at_any_input():
    model = nn.Multiply(nn.Embedding(3, 2), nn.Embedding(4, 2))
    model(np.array([0, 2]), np.array([3, 1]))
    assert model.backward(np.ones((2, 2))) == (None, None)
