"""What is not finite stops training before it has reached a parameter, and says where it was."""

import numpy as np
import pytest

import tinynn as nn
from tinynn.errors import AnomalyError, NonFiniteError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 4))
Y = RNG.normal(size=(12, 2))
BAD = X.copy()
BAD[9, 1] = np.nan  # in the third batch of 4


class Spoil(nn.Layer):
    """y = x, and a backward that is spoiled once it has been called some times."""

    def __init__(self, calls):
        self.calls = calls

    def forward(self, x):
        return x.copy()

    def backward(self, grad):
        self.calls -= 1
        return grad * (np.inf if self.calls < 0 else 1)


def build(*more, accumulate=1, dtype="float64"):
    rng = np.random.default_rng(0)
    model = nn.Sequential(
        nn.Linear(4, 6, rng=rng, dtype=dtype),
        *more,
        nn.BatchNorm1d(6, dtype=dtype),
        nn.Linear(6, 2, rng=rng, dtype=dtype),
    )
    return nn.Trainer(model, nn.MSELoss(), nn.Adam(model.parameters()), accumulate=accumulate)


def fit(trainer, x):
    states = [trainer.model.state_dict()]
    keep = nn.LambdaCallback(on_batch_end=lambda t: states.append(t.model.state_dict()))
    with pytest.raises(NonFiniteError) as caught:
        trainer.fit(nn.DataLoader((x, Y), 4), 2, callbacks=[keep], progress=False)
    for name, array in trainer.model.state_dict().items():
        np.testing.assert_array_equal(array, states[-1][name])
    assert isinstance(caught.value, AnomalyError)
    return str(caught.value)


@pytest.mark.parametrize(("accumulate", "step"), [(1, 3), (2, 2), (3, 1)])
def test_a_loss_that_is_not_finite_leaves_the_last_good_state(accumulate, step):
    assert fit(build(accumulate=accumulate), BAD) == (
        f"Trainer expects a finite loss, got nan, in epoch 1, batch 3, step {step}; parameters are as they were before"
    )


def test_an_infinite_loss_as_well():
    huge = X.astype("float32")
    huge[9] = 3e38
    rng = np.random.default_rng(0)
    model = nn.Linear(4, 2, rng=rng, dtype="float32")
    trainer = nn.Trainer(model, nn.L1Loss(), nn.SGD(model.parameters()))
    with np.errstate(over="ignore"):
        message = fit(trainer, huge)
    assert message.startswith("Trainer expects a finite loss, got inf, in epoch 1, batch 3, step 3;")


@pytest.mark.parametrize(("calls", "place"), [(2, "epoch 1, batch 3, step 3"), (4, "epoch 2, batch 2, step 5")])
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_a_gradient_that_is_not_finite_leaves_the_last_good_state(calls, place):
    assert fit(build(Spoil(calls)), X) == (
        f"Trainer expects a finite gradient of 0.weight, got NaN or infinity, in {place}; parameters are as they were "
        "before"
    )


def test_detect_anomaly_names_the_layer():
    with nn.detect_anomaly():
        message = fit(build(), BAD)
    assert message.startswith(
        "Linear(4, 6) expects its input in forward to be finite numbers, got 1 NaN and 0 infinite"
    )
    assert "(layer 0 of Sequential)" in message
    assert "in epoch 1, batch 3, step 3; parameters are as they were before" in message
    with nn.detect_anomaly():
        assert "layer 1 of Sequential" in fit(build(Spoil(1)), X)


def test_an_anomaly_of_another_kind_is_left_as_it_is():
    class Meddler(nn.Layer):
        def forward(self, x):
            y = x.copy()
            self.saved.push(y)
            return y * 1

        def backward(self, grad):
            return grad

    trainer = build(Meddler())
    spoil = trainer.loss_fn.backward

    def backward(*grad):
        trainer.model[0].weight.data += 1
        return spoil(*grad)

    trainer.loss_fn.backward = backward
    with nn.detect_anomaly(), pytest.raises(AnomalyError, match="the parameter weight to be as it was") as caught:
        trainer.step(X, Y)
    assert not isinstance(caught.value, NonFiniteError)


def test_a_step_by_hand_is_guarded_as_well():
    trainer = build()
    before = trainer.model.state_dict()
    with pytest.raises(NonFiniteError, match="in epoch 1, batch 1, step 1"):
        trainer.step(BAD, Y)
    for name, array in trainer.model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    trainer.step(X, Y)


def test_gradients_whose_squares_overflow_are_good():
    """3e30² is beyond float32, but 3e30 is not."""
    model = nn.Linear(1, 1, rng=np.random.default_rng(0), dtype="float32")
    trainer = nn.Trainer(model, nn.L1Loss(), nn.SGD(model.parameters(), lr=1e-30))
    trainer.step(np.full((1, 1), 3e30, "float32"), np.zeros((1, 1), "float32"))
    assert abs(model.weight.grad.item()) == pytest.approx(3e30)


def test_training_goes_on_after_the_error():
    trainer = build(accumulate=3)
    fit(trainer, BAD)
    assert trainer.state_dict()["gathered"] == 0
    history = trainer.fit((X, Y), 2, progress=False)
    assert len(history) == 2
    assert np.isfinite(history["loss"]).all()


def test_buffers_are_restored_after_any_error():
    class Wrong(nn.MSELoss):
        def backward(self, grad=None):
            raise KeyError("no")

    trainer = build()
    trainer.loss_fn = Wrong()
    before = trainer.model.state_dict()
    with pytest.raises(KeyError):
        trainer.fit((X, Y), progress=False)
    for name, array in trainer.model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_a_validation_that_is_not_finite_is_written_down():
    history = build().fit((X, Y), 1, validation=(BAD, Y), progress=False)
    assert np.isnan(history["val_loss"][0])
