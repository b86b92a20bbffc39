"""Clipping of gradients: PyTorch's numbers, and what is left alone."""

import math

import numpy as np
import pytest

import tinynn as nn
from tinynn.errors import AnomalyError


def fed(*grads):
    parameters = [nn.Parameter(np.zeros(np.shape(grad))) for grad in grads]
    for parameter, grad in zip(parameters, grads, strict=True):
        parameter.grad = grad
    return parameters


@pytest.mark.parametrize(
    ("norm_type", "norm"),
    [(2.0, 13.0), (1, 19.0), (math.inf, 12.0), ("inf", 12.0), (3.0, (27 + 64 + 1728) ** (1 / 3))],
)
def test_all_gradients_together_get_the_norm(norm_type, norm):
    parameters = fed([[3.0, -4.0]], 12.0)
    assert nn.clip_grad_norm_(iter(parameters), 6.5, norm_type) == pytest.approx(norm, rel=1e-14)
    factor = 6.5 / (norm + 1e-6)
    np.testing.assert_allclose(parameters[0].grad, [[3 * factor, -4 * factor]], rtol=1e-14)
    np.testing.assert_allclose(parameters[1].grad, 12 * factor, rtol=1e-14)


def test_small_gradients_are_left_alone():
    parameters = fed([3.0, 4.0], np.zeros((0, 2)))
    held = parameters[0].grad
    assert nn.clip_grad_norm_(parameters, 6.0) == 5.0
    np.testing.assert_array_equal(held, [3, 4])
    assert nn.clip_grad_norm_([], 1.0) == 0.0
    assert nn.clip_grad_norm_(nn.Parameter([1.0]), 1.0) == 0.0


@pytest.mark.parametrize("clip", [nn.clip_grad_norm_, nn.clip_grad_value_])
def test_a_generator_that_was_gone_through_is_warned_of(clip):
    parameters = nn.Linear(2, 1).parameters()
    clip(parameters, 1.0)
    with pytest.warns(UserWarning, match="at least one parameter") as caught:
        clip(parameters, 1.0)
    assert str(caught[0].message) == (
        f"{clip.__name__} expects at least one parameter, got none; a generator can be gone through only once: "
        "pass list(model.parameters())"
    )
    assert caught[0].filename == __file__


def test_an_infinite_bound_changes_nothing_and_gives_the_norm():
    parameters = fed([3.0, -4.0])
    assert nn.clip_grad_norm_(parameters, math.inf) == 5.0
    nn.clip_grad_value_(parameters, math.inf)
    np.testing.assert_array_equal(parameters[0].grad, [3, -4])


def test_a_parameter_that_comes_twice_counts_once_and_float32_stays_so():
    parameter = nn.Parameter([3.0, 4.0], dtype=np.float32)
    parameter.grad = [3.0, 4.0]
    assert nn.clip_grad_norm_([parameter, parameter], 1.0) == 5.0
    assert parameter.grad.dtype == np.float32
    np.testing.assert_allclose(parameter.grad, [0.6, 0.8], rtol=1e-6)


def test_a_norm_that_is_not_finite_is_an_error_if_asked_for():
    for value in (np.inf, np.nan):
        parameters = fed([value, 1.0])
        with pytest.raises(AnomalyError, match="clip_grad_norm_ expects gradients with a finite norm, got"):
            nn.clip_grad_norm_(parameters, 1.0, error_if_nonfinite=True)
        np.testing.assert_array_equal(parameters[0].grad, [value, 1])
        assert not math.isfinite(nn.clip_grad_norm_(parameters, 1.0))
        np.testing.assert_array_equal(parameters[0].grad, [np.nan, 0 if value == np.inf else np.nan])


def test_every_element_is_brought_into_the_range():
    parameters = fed([[3.0, -4.0, 0.5]], -12.0)
    held = parameters[0].grad
    nn.clip_grad_value_(parameters, 1)
    np.testing.assert_array_equal(held, [[1, -1, 0.5]])
    np.testing.assert_array_equal(parameters[1].grad, -1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: nn.clip_grad_norm_(p, -1), "clip_grad_norm_ expects a finite max_norm >= 0, got -1.0"),
        (lambda p: nn.clip_grad_norm_(p, math.nan), "clip_grad_norm_ expects a finite max_norm >= 0, got nan"),
        (lambda p: nn.clip_grad_norm_(p, 1, 0), "clip_grad_norm_ expects a finite norm_type > 0, got 0.0"),
        (lambda p: nn.clip_grad_value_(p, "1"), "clip_grad_value_ expects a finite clip_value >= 0, got '1'"),
        (
            lambda p: nn.clip_grad_value_([p], 1),
            "clip_grad_value_ expects Parameter objects, got a list; pass model.parameters()",
        ),
        (
            lambda p: nn.clip_grad_norm_(nn.Sequential(nn.Linear(1, 1)), 1),
            "clip_grad_norm_ expects Parameter objects, got a Linear; pass model.parameters()",
        ),
        (
            lambda p: nn.clip_grad_norm_(nn.Linear(1, 1), 1),
            "clip_grad_norm_ expects parameters, as in model.parameters(), got a Linear",
        ),
    ],
)
def test_wrong_arguments_are_refused(call, message):
    parameters = fed([3.0, 4.0])
    with pytest.raises((ValueError, TypeError)) as caught:
        call(parameters)
    assert str(caught.value) == message
    np.testing.assert_array_equal(parameters[0].grad, [3, 4])
