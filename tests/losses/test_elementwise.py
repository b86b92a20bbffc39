"""A loss of one's own, from the loss of one element and its derivative."""

import numpy as np
import pytest

import tinynn as nn
from tinynn.testing import check_loss

A, T = np.random.default_rng(0).normal(size=(2, 5, 3))


class LogCosh(nn.ElementwiseLoss):
    """log cosh(a - a*)."""

    def function(self, prediction, target):
        error = prediction - target
        return np.logaddexp(error, -error) - float(np.log(2))

    def derivative(self, prediction, target):
        return np.tanh(prediction - target)


class Forgetful(LogCosh):
    """A constructor that does not call the one above."""

    def __init__(self, scale):
        self.scale = scale


def test_a_pair_of_methods_is_a_loss():
    assert check_loss(LogCosh, (5, 3), (5, 3), verbose=False).failures == ()
    assert LogCosh(reduction="sum")(A, T) == pytest.approx(np.log(np.cosh(A - T)).sum(), rel=1e-12)


def test_a_constructor_that_does_not_call_the_one_above_leaves_the_default_reduction():
    loss_fn, usual = Forgetful(2.0), LogCosh()
    assert loss_fn(A, T) == usual(A, T)
    np.testing.assert_array_equal(loss_fn.backward(), usual.backward())


class Plain(nn.MSELoss):
    """The same for a loss with another default."""

    def __init__(self):
        pass


def test_so_it_does_where_the_default_is_another_one():
    assert Plain()(A, T) == nn.MSELoss()(A, T)
    assert Plain().reduction == nn.MSELoss().reduction == "half"


@pytest.mark.parametrize("missing", ["function", "derivative"])
def test_a_method_that_is_not_there_is_named(missing):
    loss_fn = type("Half", (LogCosh,), {missing: getattr(nn.ElementwiseLoss, missing)})()
    with pytest.raises(NotImplementedError, match=f"^Half defines no {missing}$"):
        loss_fn.backward(loss_fn(A, T))
