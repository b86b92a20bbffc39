"""Where measuring is hard: near the edge of forward's domain, near kinks, beside large numbers, at tiny ones."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinynn as nn
from tinynn.testing import GradientError, check_gradients

X = np.random.default_rng(0).normal(size=(5, 3))
SPREAD = X * [1.0, 1.0, 1e6]
PROBABILITIES = np.array([[0.2, 0.8], [0.5, 0.5], [1e-6, 0.999999], [0.3, 0.7]])


class Pair(nn.Layer):
    """A function and a slope, which may be wrong, where `nn.Elementwise` would look at shapes."""

    def __init__(self, function, slope):
        self.function, self.slope = function, slope

    def forward(self, x):
        self.saved.push(x)
        return self.function(x)

    def backward(self, grad):
        return self.slope(self.saved.pop()) * grad


class Forgetful(nn.Layer):
    """A penalty is added in forward, and forgotten in backward."""

    def __init__(self, penalty):
        self.penalty = penalty
        self.weight = nn.Parameter([0.3, -0.7, 1.1])

    def forward(self, x):
        self.saved.push(x)
        return np.square(x * self.weight.data) + self.penalty(self.weight.data)

    def backward(self, grad):
        x = self.saved.pop()
        self.weight.add_grad((2 * grad * x * x * self.weight.data).sum(axis=0))
        return 2 * grad * x * np.square(self.weight.data)


class NamedInput(nn.Layer):
    """A parameter has the name that the input has in findings."""

    def __init__(self, factor=1.0):
        self.factor = factor
        self.input = nn.Parameter(np.full((5, 3), 0.5))

    def forward(self, x):
        self.saved.push(x)
        return x * x * self.input.data

    def backward(self, grad):
        x = self.saved.pop()
        self.input.add_grad(grad * x * x)
        return self.factor * 2 * x * self.input.data * grad


class Branches(nn.Layer):
    """Another function where x is 0, whose slope there is given."""

    def __init__(self, slope_at_zero):
        self.slope_at_zero = slope_at_zero

    def forward(self, x):
        self.saved.push(x)
        safe = np.where(x == 0, 1.0, x)
        return np.where(x == 0, 1.0 + 0 * x, np.sin(safe) / safe)

    def backward(self, grad):
        x = self.saved.pop()
        safe = np.where(x == 0, 1.0, x)
        slope = (safe * np.cos(safe) - np.sin(safe)) / safe**2
        return grad * np.where(x == 0, self.slope_at_zero, slope)


class TwoInputs(nn.Layer):
    def __init__(self, pack):
        self.pack = pack

    def forward(self, a, b):
        self.saved.push((a, b))
        return a * b

    def backward(self, grad):
        a, b = self.saved.pop()
        return self.pack(grad * b, grad * a)


class Twice(nn.Layer):
    """A gradient at the input, and one more that nobody asked for."""

    def forward(self, x):
        self.saved.push(x)
        return x * x

    def backward(self, grad):
        x = self.saved.pop()
        return 2 * x * grad, x


class Accumulating(nn.Layer):
    def __init__(self, add):
        self.add = add
        self.weight = nn.Parameter([0.3, -0.7, 1.1])

    def forward(self, x):
        self.saved.push(x)
        return x * self.weight.data

    def backward(self, grad):
        self.add(self.weight, (grad * self.saved.pop()).sum(axis=0))
        return grad * self.weight.data


class RemembersLength(nn.Layer):
    """Averages over samples, whose number it keeps on itself."""

    def forward(self, x):
        self.count = len(x)
        return x / self.count

    def backward(self, grad):
        return grad / self.count


class Siamese(nn.Layer):
    """One tower for two inputs, gone back through in the order of forward, or the other way round."""

    def __init__(self, reverse):
        self.reverse = reverse
        self.tower = nn.Sequential(nn.Linear(3, 2, rng=np.random.default_rng(0)), nn.Tanh())

    def forward(self, a, b):
        return self.tower(a), self.tower(b)

    def backward(self, grad_a, grad_b):
        if self.reverse:
            at_b = self.tower.backward(grad_b)
            return self.tower.backward(grad_a), at_b
        return self.tower.backward(grad_a), self.tower.backward(grad_b)


def _half(weight, grad):
    weight.grad = 0.5 * weight.grad + grad


def _in_part(weight, grad):
    weight.grad[:1] = grad[:1]
    weight.grad[1:] += grad[1:]


def _absolute(factor=1.0):
    return Pair(np.abs, lambda x: factor * np.sign(x))


def _each(function):
    return lambda x: np.reshape([function(value) for value in np.ravel(x).tolist()], x.shape)


def _row(*values):
    return np.array(values)


class Concatenated(nn.Layer):
    """What is positive and what is negative, side by side: at 0 both have a kink."""

    def forward(self, x):
        self.saved.push(x)
        return np.concatenate([np.maximum(x, 0), np.maximum(-x, 0)])

    def backward(self, grad):
        x = self.saved.pop()
        return grad[: len(x)] * (x > 0) - grad[len(x) :] * (x < 0)


class RemembersFeatures(nn.Layer):
    def forward(self, x):
        self.features = x.shape[1]
        return x.mean(axis=1)

    def backward(self, grad):
        return np.repeat(grad[:, np.newaxis], self.features, axis=1) / self.features


class RemembersMask(nn.Layer):
    def forward(self, x):
        self.mask = x > 0
        return x * self.mask

    def backward(self, grad):
        return grad * self.mask


class MeanAbsoluteError(nn.Loss):
    def forward(self, prediction, target):
        self.saved.push(prediction - target)
        return np.abs(prediction - target).mean()

    def backward(self, grad=None):
        error = self.saved.pop()
        return np.sign(error) / error.size


class PenalizedSquares(nn.Layer):
    """Squares that dwarf a penalty of absolute values."""

    def __init__(self):
        self.weight = nn.Parameter([0.5, -0.3, 0.7])

    def forward(self, x):
        error = x @ self.weight.data - 1.0
        self.saved.push((x, error))
        return (error * error).sum() + 0.01 * np.abs(self.weight.data).sum()

    def backward(self, grad):
        x, error = self.saved.pop()
        self.weight.add_grad(grad * (2 * x.T @ error + 0.01 * np.sign(self.weight.data)))
        return grad * 2 * np.outer(error, self.weight.data)


WRONG = {
    "log-near-0": (Pair(np.log, lambda x: -1 / x), [PROBABILITIES]),
    "log-at-1e-25": (Pair(np.log, lambda x: 1.001 / x), [np.abs(X) * 1e-25]),
    "penalty-of-absolute-values": (Forgetful(lambda w: 1e-5 * np.abs(w)), [X]),
    "penalty-by-norm": (Forgetful(lambda w: 1e-5 * np.linalg.norm(w)), [X]),
    "special-case": (Branches(100.0), [np.array([[0.0, 1], [2, 3], [1, 0]])]),
    "integers": (Pair(np.square, lambda x: x), [np.arange(15).reshape(5, 3)]),
    "lists-of-integers": (Pair(np.square, lambda x: x), [[[1, 2], [3, 4]]]),
    "list-returned": (TwoInputs(lambda a, b: [a, b]), [X, X + 1]),
    "one-too-many": (Twice(), [X]),
    "parameter-called-input": (NamedInput(3.0), [X]),
    "beside-1e6": (Pair(lambda x: 1e6 + x * x, lambda x: 2 * x * (1 + 1e-9)), [X]),
    "beside-1e8": (Pair(lambda x: 1e8 + x * x, lambda x: 2 * x * (1 + 1e-7)), [X]),
    "tiny": (Pair(lambda x: 1e-20 * x * x, lambda x: 7e-20 * x), [X]),
    "small-beside-large": (Pair(np.exp, lambda x: np.where(x < 0, 7, 1) * np.exp(x)), [_row(30, -1, -2, 0.5)]),
    "absolute-near-0": (_absolute(0.37), [_row(3e-6, 1.0, -2.0)]),
    "absolute-very-near-0": (_absolute(0.37), [_row(3e-7, 1.0, -2.0)]),
    "half-accumulated": (Accumulating(_half), [X]),
    "accumulated-in-part": (Accumulating(_in_part), [X]),
    "remembers-length": (RemembersLength(), [X]),
    "siamese": (Siamese(reverse=False), [X, X + 1]),
    "remembers-features": (RemembersFeatures(), [X]),
    "remembers-mask": (RemembersMask(), [X[:1, :1]]),
    "bend-at-0": (
        Pair(
            lambda x: np.sqrt(x * x + 1e-12),
            lambda x: np.where(np.abs(x) < 1e-3, -1, 1) * x / np.sqrt(x * x + 1e-12),
        ),
        [_row(3e-7, 1.0, -2.0)],
    ),
    "small-among-large": (
        Pair(np.exp, lambda x: np.exp(x) * np.where(x < 1, 7, 1)),
        [_row(40.0, 39, 38, -1, 37)],
    ),
    "one-among-millions": (
        Pair(lambda x: x**4, lambda x: 4 * x**3 * np.where(np.abs(x) < 10, 3, 1)),
        [_row(1e6, 2e6, 3e6, 1)],
    ),
    "beside-1e10": (Pair(lambda x: 1e10 + 3 * np.abs(x), lambda x: 4.5 * np.sign(x)), [X]),
    "absolute-mean-beside-1e6": (
        Pair(lambda x: 1e6 + 3 * np.abs(x).mean(), lambda x: 3.003 * np.sign(x) / x.size),
        [X],
    ),
    "tiny-absolute": (
        Pair(lambda x: 1e-9 * (x * np.abs(x)).sum(), lambda x: 2.02e-9 * np.abs(x)),
        [X],
    ),
}
RIGHT = {
    "log-near-0": (Pair(np.log, lambda x: 1 / x), [PROBABILITIES]),
    "log-at-1e-25": (Pair(np.log, lambda x: 1 / x), [np.abs(X) * 1e-25]),
    "root-at-1e-25": (Pair(np.sqrt, lambda x: 0.5 / np.sqrt(x)), [np.abs(X) * 1e-25]),
    "log-of-each": (Pair(_each(math.log), lambda x: 1 / x), [_row(0.001, 0.6, 2.0)]),
    "cross-entropy": (nn.BCELoss(), [_row(1e-5, 0.3, 0.9), _row(0.0, 1.0, 1.0)]),
    "tanh-spread": (nn.Tanh(), [SPREAD]),
    "sigmoid-spread": (nn.Sigmoid(), [SPREAD]),
    "hand-written-tanh-spread": (Pair(np.tanh, lambda x: 1 - np.tanh(x) ** 2), [SPREAD]),
    "sine-spread": (Pair(np.sin, np.cos), [SPREAD]),
    "sine-of-each": (Pair(_each(math.sin), np.cos), [_row(1e4, 0.1, 0.2, -0.3)]),
    "special-case": (Branches(0.0), [np.array([[0.0, 1], [2, 3], [1, 0]])]),
    "integers": (Pair(np.square, lambda x: 2 * x), [np.arange(15).reshape(5, 3)]),
    "parameter-called-input": (NamedInput(), [X]),
    "tiny": (Pair(lambda x: 1e-20 * x * x, lambda x: 2e-20 * x), [X]),
    "siamese": (Siamese(reverse=True), [X, X + 1]),
    "accumulating": (Accumulating(lambda weight, grad: weight.add_grad(grad)), [X]),
    "saturated": (Pair(lambda x: 10 * np.tanh(x), lambda x: 10 * (1 - np.tanh(x) ** 2)), [_row(18.0, 17, 10, 1)]),
    "steep-and-saturated": (
        Pair(lambda x: np.tanh(10 * x), lambda x: 10 * (1 - np.tanh(10 * x) ** 2)),
        [_row(1.8, 1.7, 1.6, 1, 0.1)],
    ),
    "cosine-at-1e-8": (Pair(np.cos, lambda x: -np.sin(x)), [X * 1e-8]),
    "mean-of-cosines-at-1e-6": (Pair(lambda x: np.cos(x).mean(), lambda x: -np.sin(x) / x.size), [X * 1e-6]),
    "beside-1": (Pair(lambda x: (1 + x * x).sum(), lambda x: 2 * x), [X * 1e-6]),
    "bend-at-0": (Pair(lambda x: np.sqrt(x * x + 1e-12), lambda x: x / np.sqrt(x * x + 1e-12)), [_row(3e-7, 1, -2)]),
    "penalized-squares": (PenalizedSquares(), [np.random.default_rng(1).normal(size=(10, 3)) * 1e3]),
    "absolute-error-near-0": (MeanAbsoluteError(), [_row(1.4e-6, 3e4), _row(3.46e-6, 1.27)]),
    "absolute-mean-beside-1e3": (Pair(lambda x: np.abs(x).mean(), lambda x: np.sign(x) / x.size), [_row(1e-7, 1e3)]),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_found(name):
    layer, inputs = WRONG[name]
    with pytest.raises(GradientError):
        check_gradients(layer, *inputs)


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_is_left_alone(name):
    layer, inputs = RIGHT[name]
    check_gradients(layer, *inputs)


@pytest.mark.parametrize("distance", [1e-8, 1e-7, 3e-6, 9e-6, 3e-5, 1e-4, 1e-3])
def test_absolute_values_near_zero_raise_no_alarm(distance):
    check_gradients(_absolute(), _row(distance, 1.0, -2.0))


@pytest.mark.parametrize("seed", range(20))
def test_absolute_errors_of_ordinary_data_raise_no_alarm(seed):
    x = np.random.default_rng(seed).normal(size=(20, 20))
    check_gradients(Pair(lambda x: np.abs(x).sum() / len(x), lambda x: np.sign(x) / len(x)), x)


def test_absolute_values_of_all_magnitudes_raise_no_alarm():
    rng = np.random.default_rng(0)
    for _ in range(40):
        x = rng.normal(size=(4, 4))
        x[0, 0] = 10 ** rng.uniform(-7, -1)
        check_gradients(_absolute(), x)


@pytest.mark.parametrize(("factor", "said"), [(2.0, "constant factor 2 "), (1.01, "constant factor 101/100")])
def test_a_factor_is_told_from_another_beside_large_numbers(factor, said):
    x = X * [1e4, 1.0, 1.0]
    with pytest.raises(GradientError) as caught:
        check_gradients(Pair(np.tanh, lambda x: factor * (1 - np.tanh(x) ** 2)), x)
    (finding,) = caught.value.findings
    assert finding.diagnosis == "factor"
    assert said in finding.sentence


def test_what_cannot_be_measured_is_not_passed():
    layer = Pair(lambda x: np.where(x == 0.5, x, np.nan), np.ones_like)
    with pytest.raises(GradientError) as caught:
        check_gradients(layer, _row(0.5, 0.5))
    assert [finding.diagnosis for finding in caught.value.findings] == ["not-finite"]


@pytest.mark.parametrize(
    ("layer", "inputs"),
    [
        (Pair(lambda x: np.sqrt((x * x).sum()), lambda x: x), [X]),  # the factor is the norm of x, not a constant
        (Pair(lambda x: (abs(x) + 1) ** 8, lambda x: 8 * np.sign(x) * (abs(x) + 1) ** 7 * np.where(abs(x) < 1, 7, 1)),
         [_row(20, -0.1, 0.2, 0.5)]),
    ],
)  # fmt: skip
def test_a_factor_is_a_constant_and_not_1(layer, inputs):
    with pytest.raises(GradientError) as caught:
        check_gradients(layer, *inputs)
    assert not {"factor", "sign"} & {finding.diagnosis for finding in caught.value.findings}


def test_calls_undone_in_the_wrong_order_are_named():
    with pytest.raises(GradientError) as caught:
        check_gradients(Siamese(reverse=False), X, X + 1)
    findings = caught.value.findings
    assert {finding.diagnosis for finding in findings} == {"call-order"}
    assert "calls of Sequential are undone in the order in which they were made" in findings[0].sentence


def test_steps_of_a_recurrence_undone_in_the_wrong_order_are_named():
    class Steps(nn.Layer):
        def __init__(self):
            self.cell = nn.Sequential(nn.Linear(3, 3, rng=np.random.default_rng(0)), nn.Tanh())

        def forward(self, x):
            return np.stack([self.cell(row) for row in x])

        def backward(self, grad):
            return np.stack([self.cell.backward(row) for row in grad])

    with pytest.raises(GradientError) as caught:
        check_gradients(Steps(), X)
    assert {finding.diagnosis for finding in caught.value.findings} == {"call-order"}


@pytest.mark.parametrize("seed", range(6))
def test_several_outputs_may_have_kinks_at_once(seed):
    check_gradients(Concatenated(), _row(0.0, 1.0, -2.0), rng=seed)


def test_a_gradient_that_drowns_in_rounding_is_not_diagnosed_with_a_sign():
    with pytest.raises(GradientError) as caught:
        check_gradients(Pair(lambda x: (1 + x * x).sum(), lambda x: 6 * x), X * 1e-3)
    assert [finding.diagnosis for finding in caught.value.findings] == ["factor"]


def test_numbers_that_differ_are_printed_so():
    wrong = Pair(np.sin, lambda x: np.cos(x) * np.where(x == x.max(), 1 + 1e-9, 1))
    with pytest.raises(GradientError) as caught:
        check_gradients(wrong, X)
    (finding,) = caught.value.findings
    given, _, rest = finding.sentence.partition(" where ")
    assert given.rsplit(maxsplit=1)[-1] != rest.split(maxsplit=1)[0]
