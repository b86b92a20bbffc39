"""`minimize`: what SciPy is handed, and that parameters are where they belong, whatever happens."""

import sys

import numpy as np
import pytest
from scipy import optimize

import tinynn as nn
from tinynn.errors import ArgumentError, ArgumentTypeError, MissingExtraError, NonFiniteError, ShapeError

X = np.linspace(-1, 1, 20)[:, np.newaxis]
Y = np.sin(3 * X)


def net(dtype=np.float64):
    rng = np.random.default_rng(0)
    return nn.Sequential(nn.Linear(1, 6, rng=rng, dtype=dtype), nn.Tanh(), nn.Linear(6, 1, rng=rng, dtype=dtype))


def values(model):
    return np.concatenate([parameter.data.reshape(-1) for parameter in model.parameters()])


def test_a_least_squares_problem_is_solved_to_the_last_digits():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(30, 3)), rng.normal(size=(30, 2))
    model = nn.Linear(3, 2, rng=rng)
    result = nn.minimize(model, nn.MSELoss(), x, y, method="BFGS", options={"gtol": 1e-12})
    expected = np.linalg.lstsq(np.c_[x, np.ones(30)], y, rcond=None)[0].T
    np.testing.assert_allclose(model.weight.data, expected[:, :3], atol=1e-9)
    np.testing.assert_allclose(model.bias.data, expected[:, 3], atol=1e-9)
    assert nn.MSELoss()(model(x), y) == pytest.approx(result.fun, rel=1e-14)
    assert not model.weight.grad.any()


@pytest.mark.parametrize("method", ["L-BFGS-B", "BFGS", "CG", "SLSQP"])
def test_every_method_with_gradients_makes_the_loss_small(method):
    model = net()
    before = nn.MSELoss()(model(X), Y)
    result = nn.minimize(model, nn.MSELoss(), X, Y, method=method, options={"maxiter": 60})
    assert nn.MSELoss()(model(X), Y) == pytest.approx(result.fun, rel=1e-14)
    assert result.fun < 0.02 * before


def test_frozen_parameters_stay_and_float32_is_handed_over_as_float64():
    model = net(np.float32)
    model[0].weight.requires_grad = False
    frozen = model[0].weight.data.copy()
    seen = []
    result = nn.minimize(model, nn.MSELoss(), X, Y, callback=lambda x: seen.append(x), options={"maxiter": 20})
    assert result.x.dtype == seen[0].dtype == np.float64
    assert result.x.size == 13
    np.testing.assert_array_equal(model[0].weight.data, frozen)
    np.testing.assert_array_equal(values(model)[6:], result.x.astype(np.float32))


def test_several_inputs_come_in_a_tuple():
    rng = np.random.default_rng(0)
    model = nn.Bilinear(1, 1, 1, rng=rng)
    nn.minimize(model, nn.MSELoss(), (X, X), 3 * X**2 - 1, tol=1e-14)
    np.testing.assert_allclose(model.weight.data, [[[3]]], atol=1e-5)


def test_parameters_are_put_back_after_an_error_or_an_interrupt():
    for error in (KeyboardInterrupt, ZeroDivisionError):

        def callback(_, error=error):
            raise error

        model = net()
        before = values(model)
        with pytest.raises(error):
            nn.minimize(model, nn.MSELoss(), X, Y, callback=callback)
        np.testing.assert_array_equal(values(model), before)
        assert not model[0].weight.grad.any()


def test_parameters_are_put_back_where_the_loss_became_worse_or_no_number(monkeypatch):
    for fun in (np.nan, np.inf, 1e9):

        def astray(function, start, fun=fun, **options):
            function(start + 1)
            return optimize.OptimizeResult(x=start + 2, fun=fun)

        monkeypatch.setattr(optimize, "minimize", astray)
        model = net()
        before = values(model)
        nn.minimize(model, nn.MSELoss(), X, Y)
        np.testing.assert_array_equal(values(model), before)


def test_a_loss_that_is_another_in_every_call_is_refused():
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(1, 6, rng=rng), nn.Dropout(0.5, rng=rng), nn.Linear(6, 1, rng=rng))
    before = values(model)
    with pytest.raises(
        ArgumentError, match=r"^minimize expects the same loss in every call, got 0\..* and then 0\."
    ) as e:
        nn.minimize(model, nn.MSELoss(), X, Y)
    assert str(e.value).endswith("; dropout is off after model.eval()")
    np.testing.assert_array_equal(values(model), before)
    nn.minimize(model.eval(), nn.MSELoss(), X, Y)
    assert (values(model) != before).any()


@pytest.mark.parametrize("place", ["start", "x", "target"])
def test_a_start_without_a_finite_loss_is_refused_and_left_as_it_is(place):
    model, x, target = net(), X.copy(), Y.copy()
    if place == "start":
        model[2].bias.data = [np.nan]
    else:
        {"x": x, "target": target}[place][3] = np.nan
    before = values(model)
    with pytest.raises(NonFiniteError, match=r"^minimize expects a finite loss at the start, got nan$"):
        nn.minimize(model, nn.MSELoss(), x, target)
    np.testing.assert_array_equal(values(model), before)


def test_the_method_may_be_given_in_a_row():
    assert nn.minimize(net(), nn.MSELoss(), X, Y, "CG", options={"maxiter": 3}).nit == 3


def test_a_missing_scipy_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(MissingExtraError) as caught:
        nn.minimize(net(), nn.MSELoss(), X, Y)
    assert str(caught.value) == (
        'minimize expects SciPy, got no such package; python -m pip install "tinynn-layers[scipy]"'
    )


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: nn.minimize(m.parameters(), nn.MSELoss(), X, Y), ArgumentTypeError, "a layer to train, got a"),
        (lambda m: nn.minimize(m, X, X, Y), ArgumentTypeError, "minimize expects a loss, got a ndarray"),
        (lambda m: nn.minimize(nn.Tanh(), nn.MSELoss(), X, Y), ArgumentError, "require a gradient, got none"),
        (lambda m: nn.minimize(m, nn.MSELoss(reduction="none"), X, Y), ShapeError, "one loss for all samples, got an"),
        *(
            (
                lambda m, options=options: nn.minimize(m, nn.MSELoss(), X, Y, **options),
                ArgumentTypeError,
                rf"^minimize expects the options .*, tol, got {', '.join(options)}; "
                r'those of a method go into options=\{"maxiter": 5\}$',
            )
            for options in ({"maxiter": 5}, {"jac": True}, {"args": (), "x0": X})
        ),
        (lambda m: nn.minimize(m, nn.MSELoss(), X[0, 0], Y), ShapeError, "expects x of shape"),
    ],
)
def test_wrong_arguments_are_refused_and_nothing_changes(call, error, message):
    model = net()
    before = values(model)
    with pytest.raises(error, match=message):
        call(model)
    np.testing.assert_array_equal(values(model), before)
