"""What the check says of a wrong gradient: each diagnosis where it fits, and not where it does not."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import tinynn as nn
from tinynn.testing import GradientError, check_gradients
from tinynn.testing.diagnosis import DETECTORS


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


class Affine(nn.Layer):
    """y = x Wᵀ + b with a place to put a mistake at each gradient."""

    def __init__(self, inputs=3, outputs=3, **mistakes):
        self.weight = nn.Parameter(normal(outputs, inputs, seed=7))
        self.bias = nn.Parameter(normal(outputs, seed=8))
        self.mistakes = mistakes

    def forward(self, x):
        self.saved.push(x)
        return x @ self.weight.data.T + self.bias.data

    def backward(self, grad):
        x = self.saved.pop()
        right = {"weight": grad.T @ x, "bias": grad.sum(axis=0), "input": grad @ self.weight.data}
        given = {name: self.mistakes.get(name, lambda g, *_: g)(g, grad, x) for name, g in right.items()}
        if given["weight"] is not None:
            self.weight.grad += given["weight"]
        if given["bias"] is not None:
            self.bias.add_grad(given["bias"])
        return given["input"]


def found(layer, *inputs, **options):
    with pytest.raises(GradientError) as caught:
        check_gradients(layer, *inputs, **options)
    for finding in caught.value.findings:
        assert str(finding) in str(caught.value)
        assert f"[{finding.diagnosis}]" in str(finding)
    return [(finding.where, finding.diagnosis) for finding in caught.value.findings]


def sentence(layer, *inputs, **options):
    with pytest.raises(GradientError) as caught:
        check_gradients(layer, *inputs, **options)
    (finding,) = caught.value.findings
    return finding.sentence


def uneven(g, *_):
    """No slip that there is a word for."""
    return g * (1 + 0.1 * np.cos(np.arange(g.size))).reshape(g.shape)


PLACES = ("input", "weight", "bias")
SLIPS = {
    "sign": lambda g, *_: -g,
    "factor": lambda g, *_: 2 * g,
    "batch-factor": lambda g, grad, x: g / len(x),
    "zero": lambda g, *_: 0 * g,
    "not-finite": lambda g, *_: g / np.where(np.arange(g.size).reshape(g.shape) == 1, 0.0, 1.0),
    "element": lambda g, *_: g + 0.1 * (np.arange(g.size).reshape(g.shape) == 1),
    "unexplained": uneven,
}


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("diagnosis", SLIPS)
@pytest.mark.parametrize("method", ["auto", "central"])
def test_a_slip_is_named_where_it_is_and_nowhere_else(where, diagnosis, method):
    layer = Affine(outputs=4, **{where: SLIPS[diagnosis]})
    assert found(layer, normal(5, 3), method=method) == [(where, diagnosis)]


def test_several_slips_have_a_finding_each():
    layer = Affine(weight=lambda g, *_: -g, bias=lambda g, grad, x: g * len(x), input=uneven)
    assert found(layer, normal(5, 3)) == [("input", "unexplained"), ("weight", "sign"), ("bias", "batch-factor")]


def test_a_factor_is_one_of_the_batch_only_if_it_changes_with_it():
    assert found(Affine(weight=lambda g, grad, x: g / 5), normal(5, 3)) == [("weight", "factor")]
    assert found(Affine(weight=lambda g, grad, x: g / len(x)), normal(5, 3)) == [("weight", "batch-factor")]
    assert "divided by the batch size 5" in sentence(Affine(weight=lambda g, grad, x: g / len(x)), normal(5, 3))
    assert "times the batch size 5 (and multiplied by 2)" in sentence(
        Affine(weight=lambda g, grad, x: 2 * g * len(x)), normal(5, 3)
    )


def test_of_a_single_element_nothing_is_claimed():
    for slip in ("sign", "factor", "batch-factor", "unexplained"):
        assert found(Affine(weight=SLIPS[slip]), normal(5, 3), max_elements=1) == [("weight", "unexplained")]


@pytest.mark.parametrize(("factor", "words"), [(0.5, "½"), (2.0, "2"), (1 / 3, "1/3"), (1 + 1e-9, "1.000000001")])
def test_factors_are_written_as_people_write_them(factor, words):
    assert f"the gradient is {words} of what it should be" in sentence(
        Affine(input=lambda g, *_: factor * g), normal(5, 3)
    )


@pytest.mark.parametrize("outputs", [3, 4])
def test_a_transposed_weight_gradient(outputs):
    assert found(Affine(3, outputs, weight=lambda g, *_: g.T), normal(5, 3)) == [("weight", "transposed")]


def test_a_gradient_that_belongs_to_the_transposed_weight():
    layer = Affine()
    layer.mistakes["input"] = lambda g, grad, x: grad @ layer.weight.data.T
    weight = layer.weight.data.copy()
    layer.mistakes["input"] = ByTransposed(layer)
    assert found(layer, normal(5, 3)) == [("input", "transposed")]
    np.testing.assert_array_equal(layer.weight.data, weight)


class ByTransposed:
    """grad @ W.T, with the weight of the layer that it is copied along with."""

    def __init__(self, layer):
        self.layer = layer

    def __call__(self, g, grad, x):
        return grad @ self.layer.weight.data.T


BATCH_SUMS = {
    "first sample": ("bias", lambda g, grad, x: grad[0]),
    "last sample": ("weight", lambda g, grad, x: np.outer(grad[-1], x[-1])),
    "too many axes": ("bias", lambda g, grad, x: np.full(g.shape, grad.sum())),
    "not summed": ("bias", lambda g, grad, x: grad),
    "summed to a number": ("bias", lambda g, grad, x: grad.sum()),
    "rows of a sum": ("input", lambda g, grad, x: np.broadcast_to(g.sum(axis=0), g.shape)),
    "sum": ("input", lambda g, grad, x: g.sum(axis=0)),
    "one row": ("input", lambda g, grad, x: np.broadcast_to(g[0], g.shape)),
}


@pytest.mark.parametrize("slip", BATCH_SUMS)
def test_sums_over_the_batch_that_are_missing_or_too_many(slip):
    where, mistake = BATCH_SUMS[slip]
    assert found(Affine(outputs=4, **{where: mistake}), normal(5, 3)) == [(where, "batch-sum")]


def test_a_wrong_shape_that_no_sum_explains_is_just_that():
    assert found(Affine(input=lambda g, *_: g[:, :1]), normal(5, 3)) == [("input", "shape")]
    assert found(Affine(weight=lambda g, *_: g[:2]), normal(5, 3)) == [("weight", "shape")]
    assert "a reshape is missing" in sentence(Affine(input=lambda g, *_: g.reshape(-1)), normal(5, 3))


def test_a_gradient_that_is_not_there_is_said_to_be_missing():
    assert found(Affine(input=lambda g, *_: None), normal(5, 3)) == [("input", "zero")]
    assert found(Affine(bias=lambda g, *_: None), normal(5, 3)) == [("bias", "zero")]


def test_a_backward_that_fails_is_reported_with_what_it_said():
    def fails(g, grad, x):
        raise ValueError("operands do not fit")

    line = fails.__code__.co_firstlineno + 1
    assert f"ValueError: operands do not fit (test_diagnosis.py:{line})" in sentence(Affine(input=fails), normal(5, 3))


RAISED = {
    "operands that cannot be broadcast": (lambda g, *_: g + np.ones((2, 2)), ValueError, "shape"),
    "a product of shapes that do not fit": (lambda g, *_: g @ g, ValueError, "shape"),
    "a shape that is wrong inside": (lambda g, *_: nn.Linear(2, 2)(g), nn.errors.ShapeError, "shape"),
    "a reshape": (lambda g, *_: g.reshape(7), ValueError, "shape"),
    "another value": (lambda g, *_: int("one"), ValueError, "unexplained"),
    "another type": (lambda g, *_: g + "1", TypeError, "unexplained"),
    "an index": (lambda g, *_: [][0], IndexError, "unexplained"),
}


@pytest.mark.parametrize("name", RAISED)
@pytest.mark.parametrize("inside", [False, True])
def test_a_backward_that_fails_is_shown_with_its_line_and_called_a_shape_only_if_it_is_one(name, inside):
    mistake, error, diagnosis = RAISED[name]
    layer = Affine(input=mistake)
    with pytest.raises(GradientError) as caught:
        check_gradients(nn.Sequential(layer, nn.Tanh()) if inside else layer, normal(5, 3))
    assert isinstance(caught.value.__cause__, error)
    assert {finding.diagnosis for finding in caught.value.findings} == {diagnosis}
    assert caught.value.findings[0].where == ("0.input" if inside else "input")
    line = mistake.__code__.co_firstlineno
    assert all(finding.sentence.endswith(f" (test_diagnosis.py:{line})") for finding in caught.value.findings)


class OnSelf(nn.Layer):
    """x³, with the state on self."""

    def forward(self, x):
        self.x = x
        return x**3

    def backward(self, grad):
        return 3 * self.x**2 * grad


def test_state_kept_on_self():
    assert found(OnSelf(), normal(4, 3)) == [("input", "stale-state")]
    assert found(nn.Sequential(OnSelf(), nn.Tanh()), normal(4, 3)) == [("input", "stale-state")]


def test_randomness_kept_on_self():
    class Dropout(nn.Layer):
        def __init__(self):
            self.rng = np.random.default_rng(0)

        def forward(self, x):
            self.mask = self.rng.random(x.shape) < 0.5
            return x * self.mask

        def backward(self, grad):
            return grad * self.mask

    assert found(Dropout(), normal(4, 3)) == [("input", "stale-state")]


def test_state_that_does_not_change_may_be_kept_on_self():
    class Turned(nn.Layer):
        def forward(self, x):
            self.axes = tuple(reversed(range(x.ndim)))
            return x.transpose(self.axes)

        def backward(self, grad):
            return grad.transpose(self.axes)

    check_gradients(Turned(), normal(4, 3))


def test_the_number_of_samples_changes():
    class Shaped(nn.Layer):
        def forward(self, x):
            self.shape = x.shape
            return x.reshape(-1)

        def backward(self, grad):
            return grad.reshape(self.shape)

    assert found(Shaped(), normal(4, 3)) == [("input", "stale-state")]


class Assigned(Affine):
    def backward(self, grad):
        x = self.saved.pop()
        self.weight.grad = grad.T @ x
        self.bias.grad += grad.sum(axis=0)
        return grad @ self.weight.data


def test_a_gradient_that_is_assigned():
    assert found(Assigned(), normal(4, 3)) == [("weight", "assigned-not-added")]


def test_a_wrong_gradient_that_is_assigned_has_two_findings():
    class Both(Assigned):
        def backward(self, grad):
            at_input = super().backward(grad)
            self.weight.grad = -self.weight.grad
            return at_input

    assert found(Both(), normal(4, 3)) == [("weight", "sign"), ("weight", "assigned-not-added")]


class Curve(nn.Layer):
    def __init__(self, function, backward):
        self.function, self.rule = function, backward

    def forward(self, x):
        y = self.function(x)
        self.saved.push((x, y.copy()))
        return y

    def backward(self, grad):
        return self.rule(grad, *self.saved.pop())


def test_the_derivative_at_the_output():
    tanh = Curve(np.tanh, lambda grad, x, y: grad * (1 - np.tanh(y) ** 2))
    assert found(tanh, normal(4, 3)) == [("input", "derivative-at-output")]
    at_both = [("0.input", "derivative-at-output"), ("input", "derivative-at-output")]
    assert found(nn.Sequential(tanh, nn.Linear(3, 2)), normal(4, 3)) == at_both
    assert found(Curve(np.tanh, lambda grad, x, y: grad * (1 - np.tanh(y + 0.01) ** 2)), normal(4, 3)) == [
        ("input", "unexplained")
    ]


MISSING = {
    "product rule, first term": (lambda x: x * np.sin(x), lambda g, x, y: g * x * np.cos(x)),
    "product rule, second term": (lambda x: x * np.sin(x), lambda g, x, y: g * np.sin(x)),
    "skip": (lambda x: x + np.sin(x), lambda g, x, y: g * np.cos(x)),
    "only the skip": (lambda x: x + np.sin(x), lambda g, x, y: g),
    "one of three": (lambda x: x + np.sin(x) + np.exp(x), lambda g, x, y: g + g * np.exp(x)),
    "two of three": (lambda x: x + np.sin(x) + np.exp(x), lambda g, x, y: g * np.exp(x)),
    "through a sum": (
        lambda x: np.exp(x) / np.exp(x).sum(axis=1, keepdims=True),
        lambda g, x, y: g * y,
    ),
    "through a mean": (lambda x: x - x.mean(axis=1, keepdims=True), lambda g, x, y: g),
    "through a dot": (lambda x: x.dot(x.T), lambda g, x, y: g.dot(x)),
    "through a slice": (
        lambda x: np.concatenate([x[:, :1] * 3, x[:, 1:]], axis=1) * np.sin(x),
        lambda g, x, y: g * np.concatenate([x[:, :1] * 3, x[:, 1:]], axis=1) * np.cos(x),
    ),
}


@pytest.mark.parametrize("name", MISSING)
def test_a_way_that_is_missing(name):
    assert found(Curve(*MISSING[name]), 0.5 + normal(4, 3) ** 2) == [("input", "missing-branch")]


def test_a_way_is_named_by_the_operation_that_it_leads_through():
    assert "the one through sin, operand 1" in sentence(Curve(*MISSING["product rule, second term"]), normal(4, 3))


def test_a_way_that_is_half_missing_is_not_called_missing():
    layer = Curve(lambda x: x * np.sin(x), lambda g, x, y: g * (np.sin(x) + 0.5 * x * np.cos(x)))
    assert found(layer, normal(4, 3)) == [("input", "unexplained")]


def test_a_way_is_found_by_central_differences_as_well():
    layer = Curve(lambda x: np.abs(x) * np.sin(x), lambda g, x, y: g * np.sign(x) * np.sin(x))
    assert found(layer, 0.5 + normal(4, 3) ** 2) == [("input", "missing-branch")]


class Stretched(nn.Layer):
    """y = tanh(x / w), with a place to put a mistake."""

    def __init__(self, mistake=lambda g, width: g, at="input"):
        self.width = nn.Parameter(np.array([0.5, 1.5, 2.5, 0.7]))
        self.mistake, self.at = mistake, at

    def forward(self, x):
        self.saved.push(x)
        return np.tanh(x / self.width.data)

    def backward(self, grad):
        x, w = self.saved.pop(), self.width.data
        slope = grad * (1 - np.tanh(x / w) ** 2)
        at_width = (slope * -x / w**2).reshape(-1, len(w)).sum(axis=0)
        self.width.add_grad(self.mistake(at_width, w) if self.at == "width" else at_width)
        return self.mistake(slope / w, w) if self.at == "input" else slope / w


FACTORS = {
    "no / w": (lambda g, w: g * w, "0.5, 1.5, 2.5, 0.7; these are `width`"),
    "/ w twice": (lambda g, w: g / w, "2, 0.666667, 0.4, 1.42857; these are 1 / `width`"),
    "d for d²": (lambda g, w: g * w**2, "0.25, 2.25, 6.25, 0.49; these are `width` squared"),
    "1 / w³": (lambda g, w: g / w**2, "4, 0.444444, 0.16, 2.04082; these are 1 / `width` squared"),
    "minus": (lambda g, w: -g * w, "-0.5, -1.5, -2.5, -0.7; these are -`width`"),
    "constant": (lambda g, w: g * np.array([1, 2, 3, 4]), "1, 2, 3, 4"),
}


@pytest.mark.parametrize("name", FACTORS)
@pytest.mark.parametrize("shape", [(5, 4), (3, 2, 4)])
@pytest.mark.parametrize("method", ["auto", "central"])
def test_a_factor_for_each_feature(name, shape, method):
    mistake, factors = FACTORS[name]
    assert found(Stretched(mistake), normal(*shape), method=method) == [("input", "feature-factor")]
    said = sentence(Stretched(mistake), normal(*shape))
    assert said.startswith(
        f"the gradient is multiplied by a factor of its own at each index of axis {len(shape) - 1}: "
    )
    assert factors in said
    assert ("these are" in said) == ("these are" in factors)


def test_a_factor_for_each_row_of_a_weight():
    rows = Affine(3, 4, weight=lambda g, *_: g * np.array([[1.0], [2.0], [3.0], [4.0]]))
    assert found(rows, normal(5, 3)) == [("weight", "feature-factor")]
    assert "axis 0: 1, 2, 3, 4:" in sentence(rows, normal(5, 3))
    by_bias = Affine(3, 4, weight=lambda g, *_: g * normal(4, seed=8)[:, np.newaxis])
    assert "these are `bias`" in sentence(by_bias, normal(5, 3))


def test_a_factor_for_each_element_is_claimed_only_if_a_parameter_explains_it():
    assert found(Stretched(lambda g, w: g * w, at="width"), normal(5, 4)) == [("width", "feature-factor")]
    assert found(Stretched(lambda g, w: g * np.array([1.1, 2, 3, 4]), at="width"), normal(5, 4)) == [
        ("width", "unexplained")
    ]


def test_no_factor_is_claimed_that_other_inputs_do_not_have():
    """One sample makes a weight's gradient an outer product, in which every mistake looks like factors."""
    wrong = Affine(3, 4, weight=lambda g, grad, x: np.outer(grad[0], np.tanh(x[0])))
    assert found(wrong, normal(1, 3)) == [("weight", "unexplained")]
    of_grad = Affine(3, 4, weight=lambda g, grad, x: np.outer(grad[0] ** 3, x[0]))
    assert found(of_grad, normal(1, 3)) == [("weight", "unexplained")]


def test_other_inputs_without_any_mistake_to_be_seen_confirm_no_factor():
    """Factors that the inputs make, and a slope that is 0 wherever else one looks."""
    x = np.array([[1.0, 1.001, 1.002, 1.003]] * 2)
    layer = Curve(lambda x: np.where(x > 0.9999, x**2, 0), lambda g, x, y: np.where(x > 0.9999, 2 * x * g * x**5, 0))
    assert found(layer, x) == [("input", "unexplained")]


def test_many_factors_are_not_all_printed():
    layer = Curve(np.sin, lambda g, x, y: g * np.cos(x) * (1 + np.arange(30)))
    assert "1, 2, 3, 4, 5, 6, ... (30 in all)" in sentence(layer, normal(5, 30))


class Product(nn.Layer):
    """Two inputs, two outputs: (x y, x + y)."""

    def __init__(self, keep=slice(None)):
        self.keep = keep

    def forward(self, x, y):
        self.saved.push((x, y))
        return x * y, x + y

    def backward(self, grad_product, grad_sum):
        x, y = self.saved.pop()
        return (y * grad_product + grad_sum, x * grad_product + grad_sum)[self.keep]


def test_several_inputs_and_outputs():
    x, y = normal(2, 4, 3)
    assert [row.where for row in check_gradients(Product(), x, y).measurements] == ["input", "input 1"]
    with pytest.raises(GradientError, match="2 gradients, got 1") as caught:
        check_gradients(Product(slice(1)), x, y)
    assert [(f.where, f.diagnosis) for f in caught.value.findings] == [("input 1", "zero")]

    class OneBranch(Product):
        def backward(self, grad_product, grad_sum):
            x, y = self.saved.pop()
            return y * grad_product + grad_sum, x * grad_product

    assert found(OneBranch(), x, y) == [("input 1", "missing-branch")]


class SquaredError(nn.Loss):
    def __init__(self, share):
        super().__init__()
        self.times_share = share

    def forward(self, prediction, target):
        self.saved.push(prediction - target)
        return np.mean((prediction - target) ** 2)

    def backward(self, grad=1.0):
        error = self.saved.pop()
        return grad * self.times_share(error) * error


def test_losses():
    pair = normal(5, 4), normal(5, 4, seed=1)
    check_gradients(SquaredError(lambda e: 2 / e.size), *pair)
    assert found(SquaredError(lambda e: 1 / e.size), *pair) == [("input", "factor")]
    assert found(SquaredError(lambda e: 2 / e.shape[1]), *pair) == [("input", "batch-factor")]
    assert found(SquaredError(lambda e: 2 / e.size / len(e)), *pair) == [("input", "batch-factor")]
    assert found(SquaredError(lambda e: 2 / len(e)), *pair) == [("input", "factor")]
    assert found(SquaredError(lambda e: -2 / e.size), *pair) == [("input", "sign")]


def test_what_is_said_of_the_square_in_the_guide():
    square = Curve(lambda x: x * x, lambda g, x, y: x * g)
    with pytest.raises(GradientError) as caught:
        check_gradients(square, np.array([[1.0, -2.0, 3.0]]))
    first, second, *_ = str(caught.value).split("\n")
    assert first == "Curve() expects backward to give the gradient of its forward, got another one:"
    what = "the gradient is ½ of what it should be at every element: a constant factor ½ (2 forgotten?)"
    assert second == f"  input: {what}  [factor]"


def test_every_word_is_in_the_table_of_the_guide():
    guide = (Path(__file__).parents[2] / "docs" / "layers.md").read_text(encoding="utf-8")
    table = guide.partition("| diagnosis |")[2].partition("\n\n")[0]
    others = {"stale-state", "assigned-not-added", "shape", "kink", "ill-conditioned", "unexplained"}
    assert set(re.findall(r"`([a-z-]+)`", table)) == {*DETECTORS, *others}
