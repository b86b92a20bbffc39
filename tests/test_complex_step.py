"""Gradients of every layer and loss by complex step, and a checker that can fail."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import tinynn as nn
from tests.catalogue import COMPUTING, LAYERS, SAMPLES, Row
from tinynn.testing import GradientError, check_gradients


@pytest.mark.parametrize("row", COMPUTING, ids=str)
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_backward_gives_the_gradient_that_a_complex_step_measures(row: Row, training: bool) -> None:
    rng = np.random.default_rng(1)
    layer = row.make(rng, np.float64).train(training)
    for seed in range(3):
        report = check_gradients(layer, *row.inputs(rng, np.float64, SAMPLES), method="complex", rng=seed)
        assert report.largest.error <= 1e-12
        assert {measurement.where for measurement in report.measurements} == {
            "input",
            *(name for name, _ in layer.named_parameters()),
        }


@pytest.mark.parametrize("row", COMPUTING, ids=str)
def test_complex_steps_and_central_differences_agree(row: Row) -> None:
    rng = np.random.default_rng(2)
    layer, inputs = row.make(rng, np.float64), row.inputs(rng, np.float64, SAMPLES)
    chosen = check_gradients(layer, *inputs)
    assert {measurement.method for measurement in chosen.measurements} == {"complex"}
    check_gradients(layer, *inputs, method="central")


@pytest.mark.parametrize("row", LAYERS, ids=str)
@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_gradients_are_right_at_other_scales(row: Row, scale: float) -> None:
    rng = np.random.default_rng(3)
    layer, inputs = row.make(rng, np.float64), row.inputs(rng, np.float64, SAMPLES)
    check_gradients(layer, *(scale * x for x in inputs), method="complex")


def test_a_float32_layer_is_checked_in_float64_and_left_as_it_was() -> None:
    rng = np.random.default_rng(4)
    layer = nn.Sequential(nn.Linear(3, 2, rng=rng, dtype=np.float32), nn.Tanh())
    layer[0].weight.grad = np.ones((2, 3), np.float32)
    before = copy.deepcopy(layer)
    x = rng.normal(size=(4, 3)).astype(np.float32)
    waiting = layer(x)
    assert check_gradients(layer, x).largest.error <= 1e-12
    for (_, now), (_, then) in zip(layer.named_parameters(), before.named_parameters(), strict=True):
        assert now.dtype == np.float32
        np.testing.assert_array_equal(now.data, then.data)
        np.testing.assert_array_equal(now.grad, then.grad)
    layer.backward(waiting)  # its own pass still waits


def test_a_forward_that_is_not_analytic_is_measured_by_central_differences() -> None:
    layer = nn.Elementwise(lambda x: x * np.abs(x), lambda x: 2 * np.abs(x))
    report = check_gradients(layer, np.random.default_rng(5).normal(size=(2, 3)))
    assert report.largest.method == "central"
    with pytest.raises(GradientError, match="central"):
        # what a complex step would take for right
        check_gradients(nn.Elementwise(lambda x: x * np.abs(x), np.abs), np.ones((2, 3)))


def test_frozen_parameters_and_integer_inputs_have_no_gradient_to_check() -> None:
    layer = nn.Linear(3, 2)
    layer.bias.requires_grad = False
    assert [row.where for row in check_gradients(layer, np.ones(3)).measurements] == ["input", "weight"]
    assert [row.where for row in check_gradients(layer, np.ones(3, int)).measurements] == ["weight"]


class Product(nn.Layer):
    """Two inputs, two outputs: (x y, x + y)."""

    def forward(self, x, y):
        self.saved.push((x, y))
        return x * y, x + y

    def backward(self, grad_product, grad_sum):
        x, y = self.saved.pop()
        return y * grad_product + grad_sum, x * grad_product + grad_sum


class ProductOfOneBranch(Product):
    def backward(self, grad_product, grad_sum):
        x, y = self.saved.pop()
        return y * grad_product + grad_sum, x * grad_product


class ProductThatForgets(Product):
    def backward(self, grad_product, grad_sum):
        _, y = self.saved.pop()
        return y * grad_product + grad_sum


def test_several_inputs_and_outputs_are_checked() -> None:
    x, y = np.random.default_rng(6).normal(size=(2, 4))
    report = check_gradients(Product(), x, y, method="complex")
    assert [row.where for row in report.measurements] == ["input", "input 1"]
    with pytest.raises(GradientError, match="input 1: element"):
        check_gradients(ProductOfOneBranch(), x, y)
    with pytest.raises(GradientError, match="2 gradients, got 1"):
        check_gradients(ProductThatForgets(), x, y)


class Affine(nn.Layer):
    """y = x Wᵀ + b with a place to put a mistake."""

    def __init__(self) -> None:
        rng = np.random.default_rng(7)
        self.weight = nn.Parameter(rng.normal(size=(3, 3)))
        self.bias = nn.Parameter(rng.normal(size=3))

    def forward(self, x):
        self.saved.push(x)
        return x @ self.weight.data.T + self.bias.data

    def backward(self, grad):
        x = self.saved.pop()
        self.weight.add_grad(self.at_weight(grad, x))
        self.bias.add_grad(self.at_bias(grad))
        return self.at_input(grad)

    def at_weight(self, grad, x):
        return grad.T @ x

    def at_bias(self, grad):
        return grad.sum(axis=0)

    def at_input(self, grad):
        return grad @ self.weight.data


MISTAKES = {
    "weight: tiny factor": ("at_weight", lambda layer, grad, x: (1 + 1e-9) * grad.T @ x),
    "weight: transposed": ("at_weight", lambda layer, grad, x: x.T @ grad),
    "weight: averaged over the batch": ("at_weight", lambda layer, grad, x: grad.T @ x / len(x)),
    "weight: sign": ("at_weight", lambda layer, grad, x: -grad.T @ x),
    "weight: one element": ("at_weight", lambda layer, grad, x: grad.T @ x + 1e-10 * np.eye(3)[:, [0, 0, 0]]),
    "weight: no number": ("at_weight", lambda layer, grad, x: grad.T @ x * np.nan),
    "bias: one sample only": ("at_bias", lambda layer, grad: grad[0]),
    "bias: nothing": ("at_bias", lambda layer, grad: 0 * grad[0]),
    "input: transposed": ("at_input", lambda layer, grad: grad @ layer.weight.data.T),
    "input: tiny factor": ("at_input", lambda layer, grad: (1 + 1e-9) * grad @ layer.weight.data),
    "input: another shape": ("at_input", lambda layer, grad: grad[:1]),
}


def test_the_layer_to_be_broken_is_right() -> None:
    check_gradients(Affine(), np.random.default_rng(8).normal(size=(4, 3)), method="complex")


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_gradient_is_caught_where_it_is(mistake: str) -> None:
    method, wrong = MISTAKES[mistake]
    broken = type("Broken", (Affine,), {method: wrong})()
    with pytest.raises(GradientError) as caught:
        check_gradients(broken, np.random.default_rng(8).normal(size=(4, 3)))
    where = mistake.partition(":")[0]
    if caught.value.report is None:
        assert f"at {where}" in str(caught.value)
    else:
        assert [row.where for row in caught.value.report.measurements if not row.passed] == [where]


def test_a_derivative_at_the_output_is_caught() -> None:
    class WrongTanh(nn.Layer):
        def forward(self, x):
            y = np.tanh(x)
            self.saved.push(y.copy())
            return y

        def backward(self, grad):
            return (1 - np.tanh(self.saved.pop()) ** 2) * grad

    with pytest.raises(GradientError, match=r"WrongTanh\(\) expects backward to give the gradient of its forward"):
        check_gradients(WrongTanh(), np.ones(3))


def test_a_loss_whose_gradient_is_that_of_another_reduction_is_caught() -> None:
    class WrongLoss(nn.Loss):
        def forward(self, prediction, target):
            self.saved.push(prediction - target)
            return np.mean((prediction - target) ** 2)

        def backward(self, grad=None):
            return 2 * self.saved.pop() * (1.0 if grad is None else grad)

    with pytest.raises(GradientError, match="input: element"):
        check_gradients(WrongLoss(), np.ones((4, 3)), np.zeros((4, 3)))
