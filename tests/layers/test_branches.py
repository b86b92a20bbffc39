"""Add, Multiply and Concatenate: which input goes where, what comes back, and what errors say."""

import functools

import numpy as np
import pytest

import tinynn as nn
from tests.core.handmade import Scale, Square

X = np.array([[1.0, 2.0, -0.5], [0.0, 3.0, 0.25]])
Z = np.array([[0.5, -1.0, 2.0], [4.0, 0.0, 1.0]])
GRAD = np.array([[1.0, -1.0, 3.0], [2.0, 0.5, 1.0]])
KINDS = pytest.mark.parametrize("kind", [nn.Add, nn.Multiply, nn.Concatenate])


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-13, atol=1e-13)


def test_one_input_goes_to_every_branch():
    grads = {nn.Add: GRAD, nn.Multiply: GRAD, nn.Concatenate: np.concatenate([GRAD, 2 * GRAD, 3 * GRAD], axis=-1)}
    values = {nn.Add: X**2 + 3 * X + X, nn.Multiply: 3 * X**4, nn.Concatenate: np.hstack([X**2, 3 * X, X])}
    slopes = {nn.Add: 2 * X + 4, nn.Multiply: 12 * X**3, nn.Concatenate: 2 * X + 2 * 3 + 3}
    for kind, grad in grads.items():
        model = kind(Square(), Scale(3.0), nn.Identity())
        close(model(X), values[kind])
        close(model.backward(grad), slopes[kind] * GRAD)


def test_several_inputs_are_dealt_out_one_to_each_branch():
    model = nn.Add(Square(), Scale(3.0))
    close(model(X, Z), X**2 + 3 * Z)
    at_x, at_z = model.backward(GRAD)
    close(at_x, 2 * X * GRAD)
    close(at_z, 3 * GRAD)
    model = nn.Multiply(Square(), Scale(3.0))
    close(model(X, Z), 3 * X**2 * Z)
    at_x, at_z = model.backward(GRAD)
    close(at_x, 6 * X * Z * GRAD)
    close(at_z, 3 * X**2 * GRAD)
    model = nn.Concatenate(Square(), Scale(3.0), dim=0)
    close(model(X, Z[:1]), np.concatenate([X**2, 3 * Z[:1]]))
    at_x, at_z = model.backward(np.concatenate([GRAD, Z[:1]]))
    close(at_x, 2 * X * GRAD)
    close(at_z, 3 * Z[:1])


def test_a_tuple_inside_a_sequential_is_dealt_out():
    class Both(nn.Layer):
        def forward(self, x):
            return x, 2 * x

        def backward(self, at_x, at_double):
            return at_x + 2 * at_double

    model = nn.Sequential(Both(), nn.Multiply(Square(), nn.Identity()))
    close(model(X), 2 * X**3)
    close(model.backward(GRAD), 6 * X**2 * GRAD)


@KINDS
def test_one_branch_alone_is_that_branch(kind):
    model = kind(Square())
    close(model(X), X**2)
    close(model.backward(GRAD), 2 * X * GRAD)


@pytest.mark.parametrize("zeros", [(0,), (1,), (2,), (0, 1), (0, 2), (0, 1, 2)])
def test_a_product_may_have_factors_that_are_zero(zeros):
    factors = [np.where(np.isin(i, zeros), 0.0, i + 2.0) * np.ones((2, 3)) for i in range(3)]
    model = nn.Multiply(nn.Identity(), nn.Identity(), nn.Identity())
    close(model(*factors), functools.reduce(np.multiply, factors))
    at_inputs = model.backward(GRAD)
    for i, at_input in enumerate(at_inputs):
        close(at_input, GRAD * functools.reduce(np.multiply, [f for j, f in enumerate(factors) if j != i]))


@KINDS
def test_branches_are_named_by_their_places_or_by_a_dict(kind):
    model = kind(nn.Linear(3, 3), nn.Sequential(nn.Linear(3, 3, bias=False)))
    assert list(model.state_dict()) == ["0.weight", "0.bias", "1.0.weight"]
    named = kind({"left": nn.Linear(3, 3), "right": nn.Tanh()})
    assert list(named.state_dict()) == ["left.weight", "left.bias"]
    assert [*named] == [named["left"], named["right"]] == [named[0], named[-1]]
    assert len(named) == 2


@KINDS
def test_nothing_is_written_to_what_a_branch_hands_on(kind):
    x, grad = X.copy(), GRAD.copy()
    model = kind(nn.Identity(), nn.Identity())
    y = model(x)
    model.backward(grad if y.shape == grad.shape else np.hstack([grad, grad]))
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(grad, GRAD)


@KINDS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_branches_without_parameters_follow_those_with(kind, dtype):
    for branches in ((nn.Identity(), nn.Linear(3, 3, dtype=dtype)), (nn.Linear(3, 3, dtype=dtype), nn.Tanh())):
        for x in (X, X.astype(np.float32), X.astype(int)):
            model = kind(*branches)
            y = model(x)
            assert y.dtype == dtype
            assert model.backward(np.ones(y.shape)).dtype == dtype


@KINDS
def test_without_parameters_the_dtype_is_kept_and_integers_become_numbers(kind):
    for dtype, expected in ((np.float32, np.float32), (np.float64, np.float64), (int, np.float64), (bool, np.float64)):
        assert kind(nn.Identity(), nn.Identity())(X.astype(dtype)).dtype == expected


@KINDS
def test_there_is_no_gradient_at_indices(kind):
    model = kind(nn.Embedding(4, 3), nn.Sequential(nn.Identity(), nn.Embedding(4, 3)))
    y = model([[0, 1], [3, 3]])
    assert model.backward(y) is None
    assert model[0].weight.grad.any()
    assert model[1][1].weight.grad.any()


def test_an_embedding_beside_a_layer_of_numbers():
    model = nn.Concatenate({"word": nn.Embedding(4, 3), "length": nn.Linear(1, 2)})
    y = model([0, 3], [[1.0], [2.0]])
    assert y.shape == (2, 5)
    at_word, at_length = model.backward(y)
    assert at_word is None
    assert at_length.shape == (2, 1)


@KINDS
def test_a_layer_may_stand_in_several_branches(kind):
    shared, tanh = nn.Linear(3, 3), nn.Tanh()
    model, twin = kind(shared, tanh, shared, nn.Sequential(shared, tanh)), nn.Linear(3, 3)
    twin.load_state_dict(shared.state_dict())
    y = model(X)
    for backward in (model.backward, model.backward_parameters):
        model(X)
        backward(np.ones_like(y))
    assert len(list(model.parameters())) == 2
    before = shared.weight.grad.copy()
    model.zero_grad()
    model(X)
    model.backward(np.ones_like(y))
    close(2 * shared.weight.grad, before)


@KINDS
def test_a_branch_that_is_not_trained_is_not_walked_by_backward_parameters(kind, monkeypatch):
    def fail(self, grad):
        raise AssertionError("it was walked")

    model = kind(nn.Linear(3, 3).requires_grad_(False), nn.Linear(3, 3), Square())
    y = model(X)
    model.backward(np.ones_like(y))
    expected = model[1].weight.grad.copy()
    model.zero_grad()
    monkeypatch.setattr(Square, "backward", fail)
    for method in ("backward", "backward_parameters"):
        monkeypatch.setattr(model[0], method, lambda grad: fail(None, grad))
    model(X)
    model.backward_parameters(np.ones_like(y))
    np.testing.assert_array_equal(model[1].weight.grad, expected)


def test_what_is_concatenated_may_differ_in_length_along_the_axis():
    for dim, lengths in ((-1, (3, 1, 2)), (1, (3, 1, 2)), (0, (2, 2, 2))):
        model = nn.Concatenate(*(nn.Linear(3, n) for n in lengths), dim=dim)
        y = model(X)
        assert y.shape == ((6, 2) if dim == 0 else (2, 6))
        assert model.backward(y).shape == (2, 3)


def test_the_axis_is_shown_where_it_is_not_the_last():
    assert repr(nn.Concatenate(nn.Tanh(), dim=1)) == "Concatenate(dim=1\n  (0): Tanh()\n)"
    assert repr(nn.Concatenate(nn.Tanh())) == "Concatenate(\n  (0): Tanh()\n)"


@KINDS
def test_a_branch_with_parameters_decides_even_where_it_keeps_the_dtype_of_its_input(kind):
    for branches, inputs in (
        ((nn.Identity(), nn.Linear(3, 3)), (X.astype(np.float32), X)),
        ((nn.Identity(), nn.Linear(3, 3, dtype=np.float32)), (X, X.astype(np.float32))),
    ):
        assert kind(*branches)(*inputs).dtype == inputs[1].dtype
    assert kind(nn.Identity(), nn.Tanh())(X.astype(np.float32), X).dtype == np.float64


def test_gradients_at_several_inputs_are_arrays_of_their_own():
    model = nn.Add(nn.Identity(), nn.Identity(), nn.Identity())
    model(X, X, X)
    grads = model.backward(GRAD)
    grads[0][...] = 7
    for grad in grads[1:]:
        assert not np.shares_memory(grad, grads[0])
    assert not np.shares_memory(grads[1], grads[2])
