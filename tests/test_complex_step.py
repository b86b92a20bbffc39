"""Gradients of every layer and loss by complex step, and a checker that can fail."""

from __future__ import annotations

import numpy as np
import pytest

import tinynn as nn
from tests.catalogue import COMPUTING, LAYERS, SAMPLES, Row
from tinynn.testing import GradientError, check_gradients
from tinynn.testing.subject import input_name

GRADIENTS_AT = {nn.GaussianNLLLoss: [0, 2], nn.CosineEmbeddingLoss: [0, 1], nn.TripletMarginLoss: [0, 1, 2]}
"""Which inputs of a loss have a gradient, where it is not the first alone."""


def floating(inputs: tuple[np.ndarray, ...]) -> list[int]:
    return [position for position, x in enumerate(inputs) if x.dtype.kind == "f"]


@pytest.mark.parametrize("row", COMPUTING, ids=str)
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_backward_gives_the_gradient_that_a_complex_step_measures(row: Row, training: bool) -> None:
    rng = np.random.default_rng(1)
    layer = row.build(rng, np.float64).train(training)
    for seed in range(3):
        inputs = row.inputs(rng, np.float64, SAMPLES)
        report = check_gradients(layer, *inputs, method="complex", rng=seed)
        assert report.largest.error <= 1e-12
        assert {measurement.where for measurement in report.measurements} == {
            *map(input_name, GRADIENTS_AT.get(row.covers, [0] if row.is_loss else floating(inputs))),
            *(name for name, _ in layer.named_parameters()),
        }


@pytest.mark.parametrize("row", COMPUTING, ids=str)
def test_complex_steps_and_central_differences_agree(row: Row) -> None:
    rng = np.random.default_rng(2)
    layer, inputs = row.build(rng, np.float64), row.inputs(rng, np.float64, SAMPLES)
    chosen = check_gradients(layer, *inputs)
    assert {measurement.method for measurement in chosen.measurements} == {"complex"}
    check_gradients(layer, *inputs, method="central")


@pytest.mark.parametrize("row", LAYERS, ids=str)
@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_gradients_are_right_at_other_scales(row: Row, scale: float) -> None:
    rng = np.random.default_rng(3)
    layer, inputs = row.build(rng, np.float64), row.inputs(rng, np.float64, SAMPLES)
    scaled = [scale * x if position in row.inputs.scaled else x for position, x in enumerate(inputs)]
    check_gradients(layer, *scaled, method="complex")


def test_frozen_parameters_and_indices_have_no_gradient_to_check() -> None:
    layer = nn.Linear(3, 2)
    layer.bias.requires_grad = False
    assert [row.where for row in check_gradients(layer, np.ones(3)).measurements] == ["input", "weight"]
    assert [row.where for row in check_gradients(nn.Embedding(3, 2), np.arange(3)).measurements] == ["weight"]


def test_integers_that_become_numbers_have_a_gradient_to_check() -> None:
    assert [row.where for row in check_gradients(nn.Tanh(), np.ones(3, int)).measurements] == ["input"]


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
    assert [row.where for row in caught.value.report.measurements if not row.passed] == [where]
