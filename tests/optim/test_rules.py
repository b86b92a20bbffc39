"""Update rules at the ends of their options, where rounding could do harm."""

import numpy as np
import pytest

import tinynn as nn


def run(optimizer, grads):
    """Return the parameter after each of some gradients."""
    (parameter,) = optimizer.param_groups[0]["params"]
    values = []
    for grad in grads:
        parameter.grad = grad
        optimizer.step()
        values.append(parameter.data.copy())
    return np.array(values)


@pytest.mark.parametrize("kind", [nn.Adam, nn.AdamW, nn.NAdam, nn.RAdam])
def test_a_mean_that_forgets_everything_is_the_latest_gradient_however_large_the_one_before(kind):
    parameter = nn.Parameter([0.0, 0.0])
    optimizer = kind([parameter], lr=0.5, betas=(0.0, 0.9))
    for grad in ([1e17, 3.0], [1.0, -1e-20], [1e-9, 1e20], [0.1, 0.3]):
        parameter.grad = grad
        optimizer.step()
        np.testing.assert_array_equal(optimizer.state[parameter]["exp_avg"], grad)


@pytest.mark.parametrize("alpha", [0.3, 0.5, 0.9])
def test_centered_rmsprop_divides_by_no_deviation_less_than_none(alpha):
    parameter = nn.Parameter(np.zeros(200))
    optimizer = nn.RMSprop([parameter], lr=0.5, alpha=alpha, eps=1e-3, centered=True)
    grad = np.random.default_rng(0).normal(size=200)
    values = run(optimizer, [grad] * 1000)
    assert np.isfinite(values).all()
    np.testing.assert_allclose(values[-2] - values[-1], 0.5 * grad / 1e-3, rtol=1e-3)


def test_adagrad_begins_with_what_each_group_says():
    parameters = [nn.Parameter([0.0]), nn.Parameter([0.0])]
    groups = [{"params": parameters[:1]}, {"params": parameters[1:], "initial_accumulator_value": 15.0}]
    optimizer = nn.Adagrad(groups, lr=1.0, eps=0.0)
    for parameter in parameters:
        parameter.grad = [1.0]
    optimizer.step()
    assert [parameter.data.item() for parameter in parameters] == [-1.0, -0.25]
