"""A run that was stopped goes on bit for bit as if it had not been: at every batch, with everything on at once."""

import copy

import numpy as np
import pytest

import tinynn as nn

RNG = np.random.default_rng(0)
X = RNG.normal(size=(37, 5))
Y = np.digitize(X.sum(axis=1), [-1, 1])
TRAIN, VALIDATION = (X[:30], Y[:30]), (X[30:], Y[30:])
EPOCHS = 3


def accuracy(prediction, target):
    return (prediction.argmax(axis=1) == target).mean()


class Recorder(nn.Callback):
    """Keeps a copy of the whole state after each batch, each step and each epoch."""

    runs_last = True

    def __init__(self):
        self.states = []

    def keep(self, trainer):
        self.states.append(copy.deepcopy(trainer.state_dict()))

    on_epoch_start = on_batch_end = on_step_end = on_epoch_end = keep


class Blur:
    """Noise from a generator of its own."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def __call__(self, x, y):
        return x + 0.01 * self.rng.normal(size=x.shape), y


OPTIMIZERS = {
    "SGD": lambda parameters: nn.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.01),
    "Adam": lambda parameters: nn.Adam(parameters, lr=0.02),
}
SCHEDULES = {
    "step": lambda optimizer: nn.StepLR(optimizer, 1, gamma=0.7),
    "plateau": lambda optimizer: nn.ReduceLROnPlateau(optimizer, patience=0, threshold=0.9),
    "cycle": lambda optimizer: nn.OneCycleLR(optimizer, 0.2, total_steps=30),
}


class Run:
    """A run with everything on, which a seed decides altogether."""

    def __init__(self, seed, optimizer, schedule, shared, accumulate=3, patience=1, dtype="float64"):
        rng = np.random.default_rng(seed)
        noise = rng if shared else np.random.default_rng(seed + 1)
        self.model = nn.Sequential(
            nn.Linear(5, 8, rng=rng, dtype=dtype),
            nn.BatchNorm1d(8, dtype=dtype),
            nn.ReLU(),
            nn.Dropout(0.3, rng=noise),
            nn.Linear(8, 3, rng=rng, dtype=dtype),
        )
        self.optimizer = OPTIMIZERS[optimizer](self.model.parameters())
        self.trainer = nn.Trainer(
            self.model,
            nn.CrossEntropyLoss(),
            self.optimizer,
            metrics={"accuracy": accuracy},
            scheduler=SCHEDULES[schedule](self.optimizer),
            clip_norm=0.5,
            accumulate=accumulate,
        )
        order = rng if shared else np.random.default_rng(seed + 2)
        self.loader = nn.DataLoader(TRAIN, batch_size=4, shuffle=True, rng=order, transform=Blur(seed + 3))
        self.stopping = nn.EarlyStopping(patience=patience, min_delta=0.05)

    def fit(self, *callbacks):
        self.trainer.fit(
            self.loader, EPOCHS, validation=VALIDATION, callbacks=[*callbacks, self.stopping], progress=False
        )
        return self

    def outcome(self):
        """Return everything that must be the same in the end."""
        return self.trainer.state_dict()


def assert_equal(actual, expected, path="state"):
    assert type(actual) is type(expected), path
    if isinstance(expected, dict):
        assert set(actual) == set(expected), path
        for key in expected:
            assert_equal(actual[key], expected[key], f"{path}.{key}")
    elif isinstance(expected, (list, tuple)):
        assert len(actual) == len(expected), path
        for index, (a, b) in enumerate(zip(actual, expected, strict=True)):
            assert_equal(a, b, f"{path}.{index}")
    elif isinstance(expected, np.ndarray):
        assert actual.dtype == expected.dtype, path
        assert actual.tobytes() == expected.tobytes(), path
    else:
        assert actual == expected or (actual != actual and expected != expected), path


@pytest.mark.parametrize("shared", [False, True], ids=["generators apart", "one generator"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_run_goes_on_exactly_from_every_point(optimizer, schedule, shared):
    recorder = Recorder()
    whole = Run(0, optimizer, schedule, shared).fit(recorder)
    expected = whole.outcome()
    expected["callbacks"] = [entry for entry in expected["callbacks"] if entry[0] != "Recorder"]
    assert whole.trainer.global_step >= 6
    assert len(recorder.states) > 2 * 8 + 3
    for state in recorder.states:
        frozen = copy.deepcopy(state)
        again = Run(1, optimizer, schedule, shared)
        again.trainer.load_state_dict(state)
        again.fit()
        assert_equal(again.outcome(), expected)
        assert_equal(state, frozen)
