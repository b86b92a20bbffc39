"""The check of gradients: what it measures, what it reports, and what it leaves alone."""

from __future__ import annotations

import contextlib
import copy
import pickle
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import tinynn as nn
from tests.catalogue import COMPUTING, LAYERS
from tests.testing.false_alarms import check_somewhere
from tinynn.testing import Finding, GradientError, GradientReport, Measurement, check_gradients, check_layer
from tinynn.testing.filters import filtering
from tinynn.testing.laws.law import Law


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


class Dropout(nn.Layer):
    def __init__(self, rng):
        self.rng = {"in a dict": [rng]}

    def forward(self, x):
        mask = self.rng["in a dict"][0].random(x.shape) < 0.5
        self.saved.push(mask)
        return x * mask

    def backward(self, grad):
        return grad * self.saved.pop()


class RunningMean(nn.Layer):
    """y = x - m, where m is the mean of all that it was called with before."""

    def __init__(self):
        self.mean = nn.Buffer(np.zeros(3))

    def forward(self, x):
        y = x - self.mean.data
        self.mean.data = 0.5 * self.mean.data + 0.5 * x.mean(axis=0)
        return y

    def backward(self, grad):
        return grad


class Scaled(nn.Layer):
    """y = factor(x) with a derivative that is a factor off."""

    def __init__(self, factor=1.0, function=np.tanh, derivative=lambda x: 1 - np.tanh(x) ** 2):
        self.factor, self.function, self.derivative = factor, function, derivative

    def forward(self, x):
        self.saved.push(x)
        return self.function(x)

    def backward(self, grad):
        return self.factor * self.derivative(self.saved.pop()) * grad


class Abs(nn.Layer):
    """|x|, with a number of one's choice for the slope at 0."""

    def __init__(self, at_zero=0.0):
        self.at_zero = at_zero

    def forward(self, x):
        self.saved.push(x)
        return np.abs(x)

    def backward(self, grad):
        x = self.saved.pop()
        return np.where(x == 0, self.at_zero, np.sign(x)) * grad


def test_the_report_says_what_was_measured_and_at_what_cost():
    layer = nn.Linear(3, 2, rng=np.random.default_rng(0))
    report = check_gradients(layer, normal(5, 3))
    assert isinstance(report, GradientReport)
    assert [row.where for row in report.measurements] == ["input", "weight", "bias"]
    assert all(isinstance(row, Measurement) for row in report.measurements)
    assert [(row.elements, row.size) for row in report.measurements] == [(15, 15), (6, 6), (2, 2)]
    assert 23 <= report.forwards <= 23 + 80
    assert report.findings == ()
    assert not report.sampled
    largest = report.largest
    assert largest.error == max(row.error for row in report.measurements) <= 1e-12
    assert largest.method == "complex"
    assert abs(largest.given - largest.measured) <= 1e-12
    text = str(report)
    assert "weight  complex" in text
    assert f"{report.forwards} forwards" in text
    assert "sample" not in text


def test_the_largest_error_is_where_it_is():
    def slope(x):
        slope = 1 - np.tanh(x) ** 2
        slope[1, 2] += 0.25
        return slope

    with pytest.raises(GradientError) as caught:
        check_gradients(Scaled(derivative=slope), normal(4, 3))
    largest = caught.value.report.largest
    assert (largest.where, largest.index, largest.passed) == ("input", (1, 2), False)
    assert largest.error > 0.01
    assert "(1, 2)" in str(caught.value)


def test_the_error_is_an_assertion_and_can_be_pickled():
    with pytest.raises(AssertionError) as caught:
        check_gradients(Scaled(2.0), normal(2, 3))
    error = pickle.loads(pickle.dumps(caught.value))
    assert str(error) == str(caught.value)
    assert error.findings == caught.value.findings
    assert isinstance(error.findings[0], Finding)
    assert str(error.findings[0]) in str(error)


@pytest.mark.parametrize("row", COMPUTING, ids=str)
@pytest.mark.parametrize("seed", range(6))
def test_no_false_alarm_at_any_size_and_scale(row, seed):
    report, place = check_somewhere(row, seed)
    assert not [finding for finding in report.findings if finding.diagnosis != "kink"], place
    assert all(row.passed for row in report.measurements), place


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_a_factor_of_1_and_a_billionth_is_caught(scale):
    squares = Scaled(1 + 1e-9, lambda x: x * x, lambda x: 2 * x)
    with pytest.raises(GradientError) as caught:
        check_gradients(squares, scale * normal(4, 3))
    assert [(f.where, f.diagnosis) for f in caught.value.findings] == [("input", "factor")]
    assert "1.000000001" in str(caught.value)


class Off(nn.Layer):
    """A layer with a gradient that is a factor off."""

    def __init__(self, layer):
        self.layer = layer
        self.takes_integers = layer.takes_integers

    def forward(self, *x):
        return self.layer(*x)

    def backward(self, *grads):
        at_inputs = self.layer.backward(*grads)
        if isinstance(at_inputs, tuple):
            return tuple((1 + 1e-9) * at_input for at_input in at_inputs)
        return (1 + 1e-9) * at_inputs


@pytest.mark.parametrize("row", [row for row in LAYERS if row.case.inputs()[0].dtype.kind == "f"], ids=str)
def test_a_factor_of_1_and_a_billionth_is_caught_in_every_layer(row):
    rng = np.random.default_rng(5)
    inputs = row.inputs(rng, np.float64, 5)
    with pytest.raises(GradientError) as caught:
        check_gradients(Off(row.build(rng, np.float64)), *inputs)
    wrong = ["input", *(f"input {position}" for position in range(1, len(inputs)))]
    assert [(f.where, f.diagnosis) for f in caught.value.findings] == [(where, "factor") for where in wrong]


def test_what_a_complex_step_takes_for_right_is_not():
    with pytest.raises(GradientError, match="central"):
        check_gradients(Scaled(function=lambda x: x * np.abs(x), derivative=np.abs), normal(2, 3))


@pytest.mark.parametrize("method", ["complex", "central"])
def test_a_method_can_be_asked_for(method):
    assert {row.method for row in check_gradients(nn.Tanh(), normal(2, 3), method=method).measurements} == {method}


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="method to be one of"):
        check_gradients(nn.Tanh(), normal(2), method="forward")
    with pytest.raises(ValueError, match="max_elements to be a positive integer"):
        check_gradients(nn.Tanh(), normal(2), max_elements=0)
    with pytest.raises(TypeError, match="rng"):
        check_gradients(nn.Tanh(), normal(2), rng="0")


def test_central_differences_reach_far_beyond_their_steps():
    report = check_gradients(
        Scaled(function=lambda x: np.exp(np.abs(x)), derivative=lambda x: np.sign(x) * np.exp(np.abs(x))),
        1 + normal(2, 3) ** 2,
    )
    assert report.largest.method == "central"
    assert report.largest.error < 1e-11
    assert check_gradients(nn.Tanh(), normal(20, 3), method="central").largest.error < 1e-11


def test_a_small_part_that_is_not_analytic_is_no_false_alarm():
    layer = Scaled(function=lambda x: x + 1e-7 * np.abs(x), derivative=lambda x: 1 + 1e-7 * np.sign(x))
    assert check_gradients(layer, normal(2, 3)).largest.method == "central"


def test_max_elements_measures_a_sample_and_says_so():
    layer = nn.Linear(30, 20, rng=np.random.default_rng(0))
    report = check_gradients(layer, normal(4, 30), max_elements=7)
    assert [(row.elements, row.size) for row in report.measurements] == [(7, 120), (7, 600), (7, 20)]
    assert report.sampled
    assert report.forwards < 100
    assert "only a sample of the elements was measured" in str(report)
    assert str(report) == str(check_gradients(layer, normal(4, 30), max_elements=7))
    wrong = Scaled(0.5)
    with pytest.raises(GradientError, match="only a sample") as caught:
        check_gradients(wrong, normal(10, 10), max_elements=5)
    assert [f.diagnosis for f in caught.value.findings] == ["factor"]


@pytest.mark.parametrize("method", ["auto", "complex", "central"])
def test_a_kink_is_a_remark(method):
    report = check_gradients(nn.ReLU(), np.array([[1.0, 0.0, -2.0], [0.0, 3.0, 0.5]]), method=method)
    (remark,) = report.findings
    assert (remark.where, remark.diagnosis) == ("input", "kink")
    assert "2 of 6 elements, first at (0, 1)" in remark.sentence
    assert "[kink]" in str(report)
    assert report.largest.error < 1e-7


@pytest.mark.parametrize("at_zero", [-1.0, 0.0, 0.3, 1.0])
def test_either_slope_at_a_kink_is_right_and_so_is_what_lies_between(at_zero):
    assert check_gradients(Abs(at_zero), np.array([0.0, 1.0, -2.0])).findings[0].diagnosis == "kink"


def test_what_lies_beyond_both_slopes_at_a_kink_is_wrong():
    with pytest.raises(GradientError, match="neither of the one-sided slopes") as caught:
        check_gradients(Abs(1.5), np.array([0.0, 1.0, -2.0]))
    assert [f.diagnosis for f in caught.value.findings] == ["kink"]


def test_a_mistake_beside_a_kink_is_not_excused():
    layer = Scaled(function=lambda x: np.maximum(x, 0), derivative=lambda x: 2.0 * (x > 0))
    with pytest.raises(GradientError) as caught:
        check_gradients(layer, np.array([0.0, 1.0, -2.0, 3.0]))
    assert [f.diagnosis for f in caught.value.findings] == ["factor"]
    assert caught.value.report.largest.method == "complex"


def test_a_kink_nearby_is_none():
    x = np.array([1e-3, -1e-3, 1.0])
    assert check_gradients(nn.ReLU(), x).findings == ()


def test_kinks_in_parameters_are_found():
    layer = nn.Sequential(nn.Linear(2, 2, rng=np.random.default_rng(0)), nn.ReLU())
    x = np.array([[0.5, 2.0]])
    layer[0].bias.data = [-x[0] @ layer[0].weight.data[0], 1.0]
    report = check_gradients(layer, x)
    kinks = {("input", "kink"), ("0.weight", "kink"), ("0.bias", "kink")}
    assert {(f.where, f.diagnosis) for f in report.findings} == kinks


def test_cancellation_is_ill_conditioned_and_no_mistake():
    layer = Scaled(
        function=lambda x: (x + 1e8) ** 2 - 1e16, derivative=lambda x: ((x + 1e8 + 1.0) ** 2 - (x + 1e8 - 1.0) ** 2) / 2
    )
    report = check_gradients(layer, normal(2, 3))
    assert report.largest.passed
    noisy = Scaled(function=lambda x: np.abs(x) + 1e9 - 1e9, derivative=np.sign)
    assert [f.diagnosis for f in check_gradients(noisy, 1e-3 * (1 + normal(3) ** 2)).findings] == ["ill-conditioned"]


@pytest.mark.parametrize("seed", range(5))
def test_a_forward_that_cancels_is_no_mistake(seed):
    layer = Scaled(function=lambda x: x / np.sqrt(x * x + 2e-16), derivative=lambda x: 2e-16 * (x * x + 2e-16) ** -1.5)
    assert check_gradients(layer, 3e-3 * normal(7, 1, seed=seed)).largest.passed
    wrong = Scaled(1.01, layer.function, layer.derivative)
    with pytest.raises(GradientError):
        check_gradients(wrong, 3e-3 * normal(7, 1, seed=seed))


def test_a_random_layer_is_held_fixed_and_its_generator_left_alone():
    rng = np.random.default_rng(3)
    before = rng.bit_generator.state
    assert check_gradients(Dropout(rng), normal(4, 5)).largest.error <= 1e-12
    assert rng.bit_generator.state == before


def test_randomness_that_cannot_be_held_is_said_to_be_so():
    class Hidden(Dropout):
        def __init__(self):
            pass

        def forward(self, x):
            mask = np.random.default_rng().random(x.shape)
            self.saved.push(mask)
            return x * mask

    with pytest.raises(GradientError, match="something else each time"):
        check_gradients(Hidden(), normal(4, 5))


class ForgetsItsWeight(nn.Layer):
    """y = w x, whose backward leaves w out: at w = 1 the numbers are right."""

    def __init__(self, start):
        self.weight = nn.Parameter(start)

    def forward(self, x):
        self.saved.push(x)
        return x * self.weight.data

    def backward(self, grad):
        x = self.saved.pop()
        self.weight.add_grad((grad * x).sum(axis=0))
        return grad


class WritesForward(nn.Layer):
    def forward(self, x):
        x *= 2
        return x

    def backward(self, grad):
        return 2 * grad


class WritesBackward(nn.Layer):
    def forward(self, x, y):
        self.saved.push((x, y))
        return x * y

    def backward(self, grad):
        x, y = self.saved.pop()
        y *= 2
        return y * grad, x * grad


class WritesItsWeight(ForgetsItsWeight):
    def forward(self, x):
        self.weight.data *= 2
        return super().forward(x)


@pytest.mark.parametrize(
    ("layer", "inputs", "method", "where"),
    [
        (WritesForward(), 1, "forward", "input"),
        (WritesBackward(), 2, "backward", "input 1"),
        (WritesItsWeight(np.ones(3)), 1, "forward", "weight"),
    ],
)
def test_an_array_that_is_written_to_is_named_and_not_taken_for_randomness(layer, inputs, method, where):
    with pytest.raises(GradientError) as caught:
        check_gradients(layer, *(normal(2, 3, seed=seed) for seed in range(inputs)))
    (finding,) = caught.value.findings
    assert finding.where == where
    assert finding.sentence.startswith(f"{method} writes to this array")


class OldGenerator(Dropout):
    def forward(self, x):
        return x * self.rng["in a dict"][0].random_sample(x.shape)


def test_an_old_generator_is_said_to_be_one():
    model = nn.Sequential(nn.Tanh(), OldGenerator(np.random.RandomState(0)))
    with pytest.raises(GradientError, match="RandomState cannot be put back: use np"):
        check_gradients(model, normal(4, 5))


def test_buffers_are_held_fixed():
    layer = RunningMean()
    assert check_gradients(layer, normal(4, 3)).largest.error <= 1e-12
    assert not layer.mean.data.any()


def test_the_layer_is_left_as_it_was():
    rng = np.random.default_rng(4)
    layer = nn.Sequential(nn.Linear(3, 3, rng=rng, dtype=np.float32), Dropout(rng), nn.Tanh())
    layer[0].weight.grad = np.ones((3, 3), np.float32)
    x = normal(4, 3).astype(np.float32)
    x.flags.writeable = False
    waiting = layer(x)
    before, state = copy.deepcopy(layer), rng.bit_generator.state
    check_gradients(layer, x)
    assert rng.bit_generator.state == state
    for (_, now), (_, then) in zip(layer.named_parameters(), before.named_parameters(), strict=True):
        assert type(now) is nn.Parameter
        assert now.dtype == np.float32
        np.testing.assert_array_equal(now.data, then.data)
        np.testing.assert_array_equal(now.grad, then.grad)
    assert vars(layer).keys() - {"_pass"} == vars(before).keys()
    layer.backward(waiting)  # its own pass still waits


def test_a_float32_layer_is_checked_in_float64():
    layer = nn.Linear(3, 2, rng=np.random.default_rng(0), dtype=np.float32)
    assert check_gradients(layer, normal(4, 3).astype(np.float32)).largest.error <= 1e-14


def test_inputs_are_not_written_to_even_by_a_layer_that_writes():
    class Writes(nn.Layer):
        def forward(self, x):
            self.saved.push(x.copy())
            return x * x

        def backward(self, grad):
            grad *= 2 * self.saved.pop()
            return grad

    x = normal(2, 3)
    before = x.copy()
    check_gradients(Writes(), x)
    np.testing.assert_array_equal(x, before)


class WritesIntegers(nn.Layer):
    """Rows of a table, also for negative numbers, which are replaced in place."""

    takes_integers = True

    def forward(self, i):
        i[i < 0] += 6
        return np.arange(6.0)[i]

    def backward(self, grad):
        return None


class LossThatWrites(nn.Loss):
    def forward(self, prediction, target):
        target *= 2
        self.saved.push(target)
        return prediction.sum()

    def backward(self):
        return np.ones_like(self.saved.pop())


@pytest.mark.parametrize(
    ("layer", "inputs"), [(WritesIntegers(), (np.array([-1, 2]),)), (LossThatWrites(), (normal(3), normal(3, seed=1)))]
)
def test_what_a_layer_writes_to_is_never_the_input_of_the_user(layer, inputs):
    before = copy.deepcopy(inputs)
    with contextlib.suppress(GradientError, nn.errors.ArgumentTypeError):  # integers alone have no gradients
        check_gradients(layer, *inputs)
    np.testing.assert_array_equal(inputs, before)


@pytest.mark.parametrize("reduction", ["half", "mean", "sum", "none"])
def test_of_a_loss_the_prediction_is_checked(reduction):
    report = check_gradients(nn.MSELoss(reduction=reduction), normal(4, 3), normal(4, 3, seed=1))
    assert [row.where for row in report.measurements] == ["input"]


def test_a_layer_without_anything_to_check():
    with pytest.raises(TypeError, match="expects a floating input or a parameter, which have gradients, got neither"):
        check_gradients(nn.Identity(), np.arange(3))
    assert check_gradients(nn.Tanh(), np.zeros((0, 3))).largest.error == 0


def test_each_element_takes_one_forward():
    layer = nn.Linear(64, 64, rng=np.random.default_rng(0))
    report = check_gradients(layer, normal(8, 64))
    elements = sum(row.elements for row in report.measurements)
    assert elements == 8 * 64 + 64 * 64 + 64
    assert elements <= report.forwards <= elements + 80


@pytest.mark.parametrize("start", [np.ones(3), -np.ones(3), np.zeros(3), [0.7, 1.0, 2.0]])
def test_a_factor_is_missed_also_where_the_parameter_is_one(start):
    layer = ForgetsItsWeight(start)
    before = layer.weight.data.copy()
    with pytest.raises(GradientError) as caught:
        check_gradients(layer, np.arange(1.0, 7.0).reshape(2, 3))
    assert {finding.where for finding in caught.value.findings} == {"input"}
    np.testing.assert_array_equal(layer.weight.data, before)


def test_a_class_is_no_layer():
    with pytest.raises(TypeError, match=r"check_gradients expects a layer or a loss, got <class .*Tanh'>; write Tanh"):
        check_gradients(nn.Tanh, np.ones(3))


class Doubtful(nn.Layer):
    """y = x², whose backward is what it is told to be."""

    def __init__(self, slope):
        self.slope = slope

    def forward(self, x):
        self.saved.push(x)
        return x * x

    def backward(self, grad):
        return self.slope(self.saved.pop()) * grad


def test_a_backward_that_is_no_function_is_wrong():
    rng = np.random.default_rng(0)
    for noise in (100.0, 1e-3):
        with pytest.raises(GradientError, match="backward returns something else each time"):
            check_gradients(Doubtful(lambda x, noise=noise: 2 * x + noise * rng.normal(size=x.shape)), np.ones((2, 3)))


class Masked(nn.Layer):
    """y = x, but -∞ above the diagonal."""

    def forward(self, x):
        return np.where(np.tri(*x.shape) > 0, x, -np.inf)

    def backward(self, grad):
        return 7 * grad


def test_a_forward_that_is_not_finite_cannot_be_checked():
    with pytest.raises(
        GradientError, match=r"forward returns -inf at \(0, 1\), whose slope nobody can measure"
    ) as caught:
        check_gradients(Masked(), np.ones((3, 3)))
    assert [finding.diagnosis for finding in caught.value.findings] == ["not-finite"]


class Bounded(nn.Layer):
    """y = x (2 - w), for w of hardly more than 1."""

    def __init__(self):
        self.weight = nn.Parameter([-1.0, 0.0, 1.0])

    def forward(self, x):
        self.saved.push(x)
        if (self.weight.data.real > 1.05).any():
            raise ValueError("w is too large")
        return x * (2 - self.weight.data)

    def backward(self, grad):
        x = self.saved.pop()
        self.weight.add_grad(-(grad * x).sum(axis=0))
        return grad * (2 - self.weight.data)


def test_a_parameter_at_the_end_of_its_domain_stays_there():
    assert check_gradients(Bounded(), np.arange(6.0).reshape(2, 3)).largest.error < 1e-12


def test_the_filters_of_warnings_are_put_back_whatever_other_threads_do():
    class Slow(Doubtful):
        def forward(self, x):
            time.sleep(1e-5)  # for other threads to come in between
            warnings.warn("odd numbers", RuntimeWarning, stacklevel=1)
            return super().forward(x)

    def check(number):
        if number % 3:
            check_gradients(Slow(lambda x: 2 * x), np.ones(2))
        else:
            Law(lambda case: check_gradients(case, np.ones(2)), "a hint").judge(Slow(lambda x: 2 * x))

    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(check, range(40)))
    assert warnings.filters == before


def test_warnings_are_errors_again_where_a_check_inside_ignored_them():
    with filtering("error", RuntimeWarning):
        with filtering("ignore"):
            warnings.warn("odd numbers", RuntimeWarning, stacklevel=1)
        with pytest.raises(RuntimeWarning):
            warnings.warn("odd numbers", RuntimeWarning, stacklevel=1)


def test_a_parameter_of_a_kind_of_ones_own_is_as_good_as_any():
    kinds = []

    class Named(nn.Parameter):
        def __init_subclass__(cls, *, name, **options):
            super().__init_subclass__(**options)
            kinds.append(name)

    class Mine(Named, name="mine"):
        pass

    class Slotted(Named, name="slotted"):
        __slots__ = ("note",)

    for kind in (Mine, Slotted):
        layer = ForgetsItsWeight(kind([0.7, 1.0, 2.0]))
        layer.weight = kind([0.7, 1.0, 2.0])
        with pytest.raises(GradientError) as caught:
            check_gradients(layer, normal(2, 3))
        assert [finding.where for finding in caught.value.findings] == ["input"]
        assert type(layer.weight) is kind
    assert kinds == ["mine", "slotted"]


class HoldsItself(nn.Layer):
    """y = w x, whose backward is a function that holds the layer, and so that of the layer it was copied from."""

    def __init__(self, change):
        self.weight = nn.Parameter([0.7, 1.0, 2.0])
        self.change = lambda: change(self.weight)

    def forward(self, x):
        self.saved.push(x)
        return x * self.weight.data

    def backward(self, grad):
        x = self.saved.pop()
        self.weight.add_grad((grad * x).sum(axis=0))
        self.change()
        return grad * self.weight.data


@pytest.mark.parametrize(
    ("grad", "change"),
    [
        (None, lambda weight: weight.add_grad(np.ones(3))),
        (np.ones(3), lambda weight: weight.add_grad(np.ones(3))),
        (np.ones(3), lambda weight: weight.zero_grad()),
        (np.full(3, np.nan), lambda weight: np.multiply(weight.data, 2, out=weight.data)),
    ],
)
def test_a_copy_that_changes_the_layer_itself_is_an_error_and_the_layer_is_put_back(grad, change):
    layer = HoldsItself(change)
    layer.weight.grad = grad
    before = copy.deepcopy(layer)
    with pytest.raises(GradientError, match=r"0\.weight: a copy of the layer changes this parameter of the layer"):
        check_gradients(nn.Sequential(layer), normal(2, 3))
    np.testing.assert_array_equal(layer.weight.data, before.weight.data)
    np.testing.assert_array_equal(layer.weight.grad, before.weight.grad)
    layer.change = lambda: None
    layer.weight.grad = np.full(3, np.nan)
    check_gradients(layer, normal(2, 3))


@pytest.mark.parametrize("context", [nn.no_grad, nn.one_pass, nn.detect_anomaly])
def test_it_makes_no_difference_where_the_check_is_called(context):
    layer, x = nn.Sequential(nn.Linear(3, 2, rng=np.random.default_rng(0)), nn.Tanh()), normal(4, 3)
    with context():
        y = layer(x)
        assert check_gradients(layer, x).largest.error < 1e-12
        check_layer(nn.Tanh, (5, 3), verbose=False)
        if context is nn.no_grad:
            with pytest.raises(nn.errors.PassError):
                layer.backward(y)
        else:
            layer.backward(y)


class HoldsALock(nn.Layer):
    def __init__(self):
        self.lock = threading.Lock()

    def forward(self, x):
        return x

    def backward(self, grad):
        return grad


def test_a_layer_that_cannot_be_copied_is_refused_with_the_name_of_the_attribute():
    message = r"HoldsALock\(\) expects attributes that can be copied, got lock: .*lock.*; leave it out in __getstate__"
    with pytest.raises(nn.errors.ArgumentTypeError, match=message) as caught:
        check_gradients(nn.Sequential(nn.Tanh(), HoldsALock()), normal(3))
    assert isinstance(caught.value.__cause__, TypeError)


class Counts(nn.Layer):
    calls = 0

    def __init__(self, slope):
        self.slope = slope

    def forward(self, x):
        Counts.calls += 1
        self.saved.push(x)
        return x * np.abs(x)

    def backward(self, grad):
        return self.slope * np.abs(self.saved.pop()) * grad


@pytest.mark.parametrize("slope", [2.0, 3.0])
def test_every_forward_is_counted(slope):
    Counts.calls = 0
    try:
        report = check_gradients(Counts(slope), normal(2, 3))
    except GradientError as error:
        report = error.report
    assert report.forwards == Counts.calls
