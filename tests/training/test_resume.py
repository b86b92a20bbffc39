"""A run that was stopped goes on bit for bit as if it had not been: at every batch, with everything on at once."""

import copy

import numpy as np
import pytest

import tinynn as nn
from tinynn.errors import ArgumentError, ArgumentTypeError, StateError

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

    def __init__(self, seed, optimizer, schedule, shared, accumulate=3, patience=1, batch_size=4, stopping=True):
        rng = np.random.default_rng(seed)
        noise = rng if shared else np.random.default_rng(seed + 1)
        self.model = nn.Sequential(
            nn.Linear(5, 8, rng=rng),
            nn.BatchNorm1d(8),
            nn.ReLU(),
            nn.Dropout(0.3, rng=noise),
            nn.Linear(8, 3, rng=rng),
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
        self.loader = nn.DataLoader(TRAIN, batch_size, shuffle=True, rng=order, transform=Blur(seed + 3))
        self.stopping = nn.EarlyStopping(patience=patience, min_delta=0.05) if stopping else nn.Callback()

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


def test_a_run_with_arrays_goes_on_whatever_seed_it_is_given():
    def build(seed):
        model = nn.Linear(5, 3, rng=np.random.default_rng(seed))
        return nn.Trainer(model, nn.CrossEntropyLoss(), nn.SGD(model.parameters(), lr=0.1), accumulate=2)

    whole, again, states = build(0), build(1), []
    keep = nn.LambdaCallback(on_batch_end=lambda t: states.append(t.state_dict()))
    whole.fit(TRAIN, 3, 4, callbacks=keep, rng=5, progress=False)
    assert states[10]["gathered"] == 1
    again.load_state_dict(states[10])  # it is a copy, though training went on
    again.fit(TRAIN, 3, 4, rng=6, progress=False)
    assert again.history.history == whole.history.history
    assert_equal(again.model.state_dict(), whole.model.state_dict())


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_validation_that_draws_goes_on_as_well(shuffle):
    """Its loader shuffles, or its metric draws from a layer in evaluation: the generators are restored, too."""

    def build(seed):
        run = Run(seed, "SGD", "step", shared=False, patience=9)
        rng = np.random.default_rng(seed + 9) if shuffle else None
        noise = Blur(seed + 10)
        return run.trainer, run.loader, nn.DataLoader(VALIDATION, 3, shuffle, rng=rng, transform=noise)

    (whole, loader, validation), states = build(0), []
    keep = nn.LambdaCallback(on_step_end=lambda t: states.append(t.state_dict()))
    whole.fit(loader, EPOCHS, validation=validation, callbacks=keep, progress=False)
    for state in states:
        again, loader, validation = build(1)
        again.load_state_dict(state)
        again.fit(loader, EPOCHS, validation=validation, progress=False)
        assert again.history.history == whole.history.history


def test_an_epoch_that_goes_on_does_not_start_again():
    recorder = Recorder()
    Run(0, "SGD", "step", shared=True, patience=9).fit(recorder)
    for state in recorder.states:
        again, started = Run(1, "SGD", "step", shared=True, patience=9), []
        again.trainer.load_state_dict(state)
        again.fit(nn.LambdaCallback(on_epoch_start=lambda t, started=started: started.append(t.epoch)))
        assert started == list(range(state["epoch"] + (state["batch"] > 0), EPOCHS))


def test_what_looks_at_the_training_data_in_the_middle_of_an_epoch_moves_nothing():
    def fit(trainer, *callbacks):
        loader = nn.DataLoader(TRAIN, 4, True, rng=5)
        look = nn.LambdaCallback(on_batch_end=lambda t: t.evaluate(loader))
        return trainer.fit(loader, 2, callbacks=[look, *callbacks], progress=False)

    def build():
        model = nn.Linear(5, 3, rng=np.random.default_rng(0))
        return nn.Trainer(model, nn.CrossEntropyLoss(), nn.SGD(model.parameters(), lr=0.1))

    whole, states = build(), []
    fit(whole, nn.LambdaCallback(on_batch_end=lambda t: states.append(t.state_dict())))
    for state in states:
        again = build()
        again.load_state_dict(state)
        fit(again)
        assert again.history.history == whole.history.history
        assert_equal(again.model.state_dict(), whole.model.state_dict())


def test_a_run_that_was_over_stays_over_until_it_is_given_more_epochs():
    whole, twin = (Run(seed, "Adam", "step", shared=True, patience=9) for seed in (0, 1))
    whole.fit()
    twin.trainer.load_state_dict(whole.trainer.state_dict())
    before = twin.trainer.model.state_dict()
    twin.fit()
    assert (twin.trainer.epoch, twin.trainer.resumed) == (EPOCHS, True)
    assert_equal(twin.trainer.model.state_dict(), before)
    twin.trainer.load_state_dict(whole.trainer.state_dict())
    twin.trainer.fit(twin.loader, EPOCHS + 1, validation=VALIDATION, callbacks=twin.stopping, progress=False)
    assert (twin.trainer.epoch, twin.trainer.resumed) == (EPOCHS + 1, True)
    twin.trainer.fit(twin.loader, 1, validation=VALIDATION, progress=False)
    assert (twin.trainer.epoch, twin.trainer.resumed) == (EPOCHS + 2, False)


def test_a_second_fit_goes_on_to_its_own_end():
    def second(run):
        run.trainer.fit(run.loader, 2, callbacks=[recorder], progress=False)

    recorder = Recorder()
    whole, again = (Run(seed, "SGD", "step", shared=True, patience=9) for seed in (0, 1))
    whole.fit()
    second(whole)
    again.trainer.load_state_dict(recorder.states[14])
    again.trainer.fit(again.loader, 2, progress=False)
    assert again.trainer.epoch == whole.trainer.epoch == EPOCHS + 2
    assert_equal(again.trainer.model.state_dict(), whole.trainer.model.state_dict())


def test_a_stopped_run_is_stopped_again_at_once():
    recorder = Recorder()
    whole = Run(0, "SGD", "step", shared=True, patience=0)
    whole.stopping.min_delta = 10.0
    whole.fit(recorder)
    assert (whole.trainer.epoch, whole.stopping.stopped_epoch) == (2, 1)
    again = Run(1, "SGD", "step", shared=True, patience=0)
    again.trainer.load_state_dict(recorder.states[-1])
    again.fit()
    assert again.trainer.epoch == 2
    assert_equal(again.trainer.model.state_dict(), whole.trainer.model.state_dict())


def test_a_state_that_waits_for_fit_can_be_saved_again():
    run, twin = (Run(seed, "SGD", "step", shared=True) for seed in (0, 1))
    recorder = Recorder()
    run.fit(recorder)
    state = recorder.states[7]
    twin.trainer.load_state_dict(state)
    assert_equal(twin.trainer.state_dict(), state)


def test_a_state_from_before_the_first_fit_is_taken_up():
    whole, twin = (Run(seed, "SGD", "step", shared=True) for seed in (0, 1))
    twin.trainer.load_state_dict(whole.trainer.state_dict())
    twin.loader.transform.rng = np.random.default_rng(3)
    whole.fit()
    twin.fit()
    assert twin.trainer.history.history == whole.trainer.history.history


def test_what_a_loss_remembers_goes_on_as_well():
    class Relative(nn.MSELoss):
        """The squared error by the number of calls so far."""

        def __init__(self):
            super().__init__()
            self.calls = nn.Buffer(0.0)

        def forward(self, prediction, target):
            self.calls.data += 1
            return super().forward(prediction, target) / self.calls.data

    def build():
        model = nn.Linear(5, 1, rng=np.random.default_rng(0))
        return nn.Trainer(model, Relative(), nn.SGD(model.parameters(), lr=0.0))

    first, again = build(), build()
    losses = [first.step(X[:3], X[:3, :1]) for _ in range(3)]
    again.load_state_dict(first.state_dict())
    assert again.step(X[:3], X[:3, :1]) == pytest.approx(losses[0] / 4, rel=1e-12)


def test_generators_are_restored_for_steps_by_hand():
    states, losses = [], []
    for seed in (0, 1):
        run = Run(seed, "SGD", "step", shared=False)
        if states:
            run.trainer.load_state_dict(states[0])
        else:
            run.trainer.step(X[:8], Y[:8])
            states.append(run.trainer.state_dict())
        losses.append([run.trainer.step(X[:8], Y[:8]) for _ in range(3)])
    assert losses[0] == losses[1]


def test_states_of_all_kinds_are_plain_things_and_arrays():
    def check(value):
        if isinstance(value, dict):
            assert all(type(key) in (str, int) for key in value)
            check(list(value.values()))
        elif isinstance(value, (list, tuple)):
            for item in value:
                check(item)
        else:
            assert value is None or type(value) in (bool, int, float, str) or isinstance(value, np.ndarray)

    recorder = Recorder()
    for schedule in SCHEDULES:
        Run(0, "Adam", schedule, shared=True).fit(recorder)
    for state in recorder.states:
        check(state)


def state_of(**options):
    recorder = Recorder()
    Run(0, **{"optimizer": "SGD", "schedule": "step", "shared": True, **options}).fit(recorder)
    return recorder.states[2]


def without(state, name):
    return {key: value for key, value in state.items() if key != name}


def test_another_state_is_refused_and_nothing_has_changed():
    good = state_of()
    assert (good["gathered"], len(good["gradients"])) == (2, 6)
    wrong = [
        3,
        {},
        without(good, "means"),
        {**good, "more": 1},
        {**good, "model": {}},
        {**good, "optimizer": {}},
        {**good, "scheduler": None},
        {**good, "scheduler": {}},
        {**good, "history": 3},
        {**good, "epoch": -1},
        {**good, "epoch": "1"},
        {**good, "lr": None},
        {**good, "means": {}},
        {**good, "gradients": good["gradients"][:1]},
        {**good, "gradients": []},
        {**good, "generators": []},
        state_of(optimizer="Adam"),
        state_of(schedule="cycle"),
    ]
    run = Run(1, "SGD", "step", shared=True)
    run.trainer.step(X[:8], Y[:8])
    before = run.trainer.state_dict()
    for state in wrong:
        with pytest.raises((StateError, ArgumentError, ArgumentTypeError)):
            run.trainer.load_state_dict(state)
        assert_equal(run.trainer.state_dict(), before)
    run.trainer.load_state_dict(good)


OTHERS = [
    ({"shared": False},
     "Trainer expects the states of 3 random generators (PCG64, PCG64, PCG64), got 2 (PCG64, PCG64); layers and "
     "loaders have to share generators as they did in the stopped run"),
    ({"batch_size": 5}, "<6 batches of 5 from 30 samples> expects the state of a loader with batch_size=5, got 4"),
    ({"stopping": False},
     "Trainer.fit expects a callback EarlyStopping for its state, got Callback; give fit the callbacks that the "
     "stopped run had"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "message"), OTHERS, ids=["generators", "loaders", "callbacks"])
def test_other_generators_loaders_and_callbacks_are_refused(options, message):
    run = Run(1, **{"optimizer": "SGD", "schedule": "step", "shared": True, **options})
    run.trainer.load_state_dict(state_of())
    with pytest.raises(StateError) as caught:
        run.fit()
    assert str(caught.value) == message


def test_callbacks_without_a_state_may_come_and_go():
    run = Run(1, "SGD", "step", shared=True)
    run.trainer.load_state_dict(state_of())  # of a run with a Recorder
    run.fit(nn.LambdaCallback())
    assert run.trainer.resumed
