"""Models with several outputs: each is a prediction for the loss."""

from __future__ import annotations

import numpy as np
import pytest

import tinynn as nn

X1, X2 = (np.random.default_rng(seed).normal(size=(10, 3)) for seed in (1, 2))
LIKE = np.where(np.arange(10) % 3, 1, -1)
Y = X1[:, :1] ** 2


class Siamese(nn.Layer):
    def __init__(self):
        self.tower = nn.Sequential(nn.Linear(3, 4, rng=np.random.default_rng(0)), nn.Tanh())

    def forward(self, x1, x2):
        return self.tower(x1), self.tower(x2)

    def backward(self, at_x1, at_x2):
        at_x2 = self.tower.backward(at_x2)
        return self.tower.backward(at_x1), at_x2


class MeanAndVariance(nn.Layer):
    def __init__(self):
        rng = np.random.default_rng(0)
        self.mean, self.variance = nn.Linear(3, 1, rng=rng), nn.Sequential(nn.Linear(3, 1, rng=rng), nn.Softplus())

    def forward(self, x):
        return self.mean(x), self.variance(x)

    def backward(self, at_mean, at_variance):
        return self.variance.backward(at_variance) + self.mean.backward(at_mean)


CASES = {
    "towers": (Siamese, nn.CosineEmbeddingLoss, (X1, X2), LIKE),
    "variance": (MeanAndVariance, nn.GaussianNLLLoss, (X1,), Y),
}


def by_hand(model, loss_fn, inputs, target):
    """Two steps of the plain loop."""
    optimizer = nn.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        predictions = model(*inputs)
        if isinstance(loss_fn, nn.GaussianNLLLoss):
            loss_fn(predictions[0], target, predictions[1])
            at_mean, _, at_variance = loss_fn.backward()
            grads = at_mean, at_variance
        else:
            loss_fn(*predictions, target)
            grads = loss_fn.backward()
        optimizer.zero_grad()
        model.backward_parameters(*grads)
        optimizer.step()
    return model


@pytest.mark.parametrize("name", CASES)
def test_trainer_does_what_the_loop_does(name):
    model, loss_fn, inputs, target = CASES[name]
    expected = by_hand(model(), loss_fn(), inputs, target)
    trained = model()
    trainer = nn.Trainer(trained, loss_fn(), nn.SGD(trained.parameters(), lr=0.1))
    loader = nn.DataLoader(nn.ArrayDataset(*inputs, target), batch_size=10)
    history = trainer.fit(loader, epochs=2, validation=loader, progress=False)
    for one, other in zip(expected.parameters(), trained.parameters(), strict=True):
        np.testing.assert_array_equal(one.data, other.data)
    assert history["val_loss"][-1] == trainer.evaluate(loader)["loss"]


@pytest.mark.parametrize("name", CASES)
def test_batches_may_be_gathered(name):
    model, loss_fn, inputs, target = CASES[name]
    models = model(), model()
    for trained, batch, accumulate in zip(models, (10, 5), (1, 2), strict=True):
        loader = nn.DataLoader(nn.ArrayDataset(*inputs, target), batch_size=batch)
        trainer = nn.Trainer(trained, loss_fn(), nn.SGD(trained.parameters(), lr=0.1), accumulate=accumulate)
        trainer.fit(loader, progress=False)
    for one, other in zip(*(trained.parameters() for trained in models), strict=True):
        np.testing.assert_allclose(one.data, other.data, rtol=1e-12, atol=1e-14)


def test_minimize_takes_several_outputs():
    model, loss_fn = MeanAndVariance(), nn.GaussianNLLLoss()
    before = loss_fn.judge(model(X1), Y)
    assert nn.minimize(model, loss_fn, X1, Y).fun < before - 0.5


def test_a_loss_of_ones_own_that_has_no_target_by_name():
    class Distance(nn.Loss):
        def forward(self, a, b, wanted):
            self.saved.push((a, b))
            return float(np.sum((a - b) ** 2) * wanted)

        def backward(self, grad=None):
            a, b = self.saved.pop()
            return 2 * (a - b), 2 * (b - a)

    loss_fn, model = Distance(), Siamese()
    assert loss_fn.judge(model(X1, X2), 1.0) > 0
    at_a, at_b = loss_fn.gradients()
    np.testing.assert_array_equal(at_a, -at_b)


def test_a_tuple_of_gradients_that_is_not_taken_apart():
    model, loss_fn = Siamese(), nn.CosineEmbeddingLoss()
    loss_fn(*model(X1, X2), LIKE)
    with pytest.raises(nn.errors.ShapeError, match=r"got 1; write model.backward\(\*loss_fn.gradients\(\)\)"):
        model.backward(loss_fn.backward())
