"""The trainer does what the plain loop does, and averages over samples."""

import math

import numpy as np
import pytest

import tinynn as nn
from tinynn.errors import ArgumentError, ArgumentTypeError, ShapeError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(22, 4))
Y = RNG.normal(size=(22, 2))
LABELS = RNG.integers(0, 2, 22)


def network(seed=0, *more):
    rng = np.random.default_rng(seed)
    return nn.Sequential(nn.Linear(4, 6, rng=rng), nn.Tanh(), *more, nn.Linear(6, 2, rng=rng))


def trainer_of(model, loss_fn=None, lr=0.1, **options):
    return nn.Trainer(model, loss_fn or nn.MSELoss(), nn.SGD(model.parameters(), lr=lr, momentum=0.9), **options)


def mean_error(prediction, target):
    return np.abs(prediction - target).mean()


def largest(prediction, target):
    return np.abs(prediction - target).max()


def weights(model):
    return np.concatenate([array.ravel() for array in model.state_dict().values()])


@pytest.mark.parametrize("clip_norm", [None, 0.1])
def test_fit_is_the_plain_loop_bit_for_bit(clip_norm):
    plain, loss_fn = network(), nn.MSELoss()
    optimizer = nn.SGD(plain.parameters(), lr=0.1, momentum=0.9)
    schedule = nn.ExponentialLR(optimizer, 0.5)
    losses, rates = [], []
    rng = np.random.default_rng(7)
    for _ in range(3):
        total = 0.0
        for x, y in nn.data.batches(X, Y, 5, shuffle=True, rng=rng):
            loss = loss_fn(plain(x), y)
            optimizer.zero_grad()
            plain.backward_parameters(loss_fn.backward())
            if clip_norm:
                nn.clip_grad_norm_(plain.parameters(), clip_norm)
            optimizer.step()
            total += float(loss) * len(x)
        losses.append(total / len(X))
        rates.append(optimizer.param_groups[0]["lr"])
        schedule.step()

    model = network()
    own = nn.SGD(model.parameters(), lr=0.1, momentum=0.9)
    trainer = nn.Trainer(model, nn.MSELoss(), own, scheduler=nn.ExponentialLR(own, 0.5), clip_norm=clip_norm)
    history = trainer.fit((X, Y), 3, 5, rng=7, progress=False)
    np.testing.assert_array_equal(weights(model), weights(plain))
    assert history["loss"] == losses
    assert history["lr"] == rates
    assert (trainer.epoch, trainer.batch, trainer.global_step) == (3, 0, 15)


@pytest.mark.parametrize("reduction", ["mean", "half", "sum"])
@pytest.mark.parametrize("batch_size", [1, 5, 22, 100])
def test_losses_and_metrics_are_averages_over_samples(reduction, batch_size):
    model = network()
    trainer = trainer_of(model, nn.MSELoss(reduction=reduction), lr=0.0, metrics=[mean_error])
    expected = float(nn.MSELoss(reduction=reduction)(model(X), Y)) / (len(X) if reduction == "sum" else 1)
    history = trainer.fit((X, Y), 1, batch_size, validation=(X, Y), progress=False)
    results = trainer.evaluate((X, Y), batch_size)
    for value in (history["loss"][0], history["val_loss"][0], results["loss"]):
        assert value == pytest.approx(expected, rel=1e-12)
    for value in (history["mean_error"][0], history["val_mean_error"][0], results["mean_error"]):
        assert value == pytest.approx(np.abs(model(X) - Y).mean(), rel=1e-12)


@pytest.mark.parametrize("reduction", ["mean", "half", "sum"])
def test_accumulated_batches_are_one_large_batch(reduction):
    """Three batches of 4 are one of 12, and what is left, 4 + 4 + 2, is one of 10."""
    models = []
    for batch_size, accumulate in ((12, 1), (4, 3)):
        models.append(network())
        trainer = trainer_of(models[-1], nn.MSELoss(reduction=reduction), 0.01, clip_norm=0.5, accumulate=accumulate)
        loader = nn.DataLoader((X, Y), batch_size)
        trainer.fit(loader, 3, progress=False)
        assert trainer.global_step == 6
    np.testing.assert_allclose(weights(models[1]), weights(models[0]), rtol=1e-12)


def test_accumulation_does_not_go_over_the_end_of_an_epoch():
    steps = []
    trainer = trainer_of(network(), accumulate=4)
    note = nn.LambdaCallback(on_step_end=lambda t: steps.append((t.epoch, t.batch)))
    trainer.fit(nn.DataLoader((X, Y), 4), 2, callbacks=[note], progress=False)
    assert steps == [(0, 4), (0, 6), (1, 4), (1, 6)]


def test_the_last_batch_of_an_epoch_counts_by_its_size():
    trainer = trainer_of(network(), lr=0.0)
    loss = nn.MSELoss()
    parts = [(float(loss(trainer.model(X[i : i + 20]), Y[i : i + 20])), len(X[i : i + 20])) for i in (0, 20)]
    history = trainer.fit(nn.DataLoader((X, Y), 20), progress=False)
    assert history["loss"] == [sum(value * count for value, count in parts) / 22]


def test_metrics_are_given_by_name_or_as_functions():
    by_name = trainer_of(network(), metrics={"l1": nn.L1Loss(), "worst": largest})
    assert list(by_name.evaluate((X, Y))) == ["loss", "l1", "worst"]
    assert list(trainer_of(network(), metrics=(mean_error, largest)).evaluate((X, Y))) == [
        "loss",
        "mean_error",
        "largest",
    ]


def test_a_metric_keeps_nothing():
    metric = nn.L1Loss()
    trainer_of(network(), metrics={"l1": metric}).fit((X, Y), progress=False)
    with pytest.raises(nn.errors.PassError):
        metric.backward()


def test_an_update_of_each_kind_of_schedule_comes_at_its_time():
    for build, expected in (
        (lambda o: nn.StepLR(o, 1, gamma=0.5), [0.1, 0.05, 0.025]),
        (lambda o: nn.CyclicLR(o, 0.1, 0.9, step_size_up=2, cycle_momentum=False), [0.1, 0.9, 0.5]),
    ):
        model = network()
        optimizer = nn.SGD(model.parameters(), lr=0.1)
        trainer = nn.Trainer(model, nn.MSELoss(), optimizer, scheduler=build(optimizer))
        rates = trainer.fit((X, Y), 3, 22 if expected[1] == 0.05 else 4, progress=False)["lr"]
        if expected[1] == 0.05:
            assert rates == expected
        else:  # 6 updates in an epoch, cycles of 4: at 0 1 2 3 0 1 | 2 3 0 1 2 3 | 0 1 2 3 0 1
            assert rates == pytest.approx([0.5, 0.5, 0.5])
            assert trainer.scheduler.last_epoch == 18


def test_a_schedule_may_be_told_to_follow_updates_and_its_state_does_not_know():
    model = network()
    optimizer = nn.SGD(model.parameters(), lr=1.0)
    schedule = nn.ExponentialLR(optimizer, 0.5)
    schedule.each_update = True
    assert "each_update" not in schedule.state_dict()
    nn.Trainer(model, nn.MSELoss(), optimizer, scheduler=schedule).fit((X, Y), 1, 11, progress=False)
    assert optimizer.param_groups[0]["lr"] == 0.25
    one, two = nn.StepLR(optimizer, 1), nn.CyclicLR(optimizer, 0.1, 0.2, cycle_momentum=False)
    assert not nn.ChainedScheduler([one]).each_update
    assert nn.ChainedScheduler([one, two]).each_update


@pytest.mark.parametrize("validation", [None, (X, Y)])
def test_a_plateau_is_looked_for_in_the_loss_of_validation(validation):
    seen = []

    class Spy(nn.ReduceLROnPlateau):
        def step(self, metrics):
            seen.append(metrics)
            super().step(metrics)

    model = network()
    optimizer = nn.SGD(model.parameters(), lr=0.1)
    trainer = nn.Trainer(model, nn.MSELoss(), optimizer, scheduler=Spy(optimizer))
    history = trainer.fit((X, Y), 2, validation=validation, progress=False)
    assert seen == history["loss" if validation is None else "val_loss"]


def test_layers_are_in_training_mode_in_fit_and_in_their_own_afterwards():
    model = network(0, nn.BatchNorm1d(6), nn.Dropout(0.5, rng=np.random.default_rng(0)))
    model.eval()
    model[3].train()
    seen = []
    note = nn.LambdaCallback(
        on_batch_end=lambda t: seen.append({layer.training for layer in t.model.children()}),
        on_epoch_end=lambda t: seen.append({layer.training for layer in t.model.children()}),
    )
    trainer = trainer_of(model)
    trainer.fit((X, Y), 1, validation=(X, Y), callbacks=[note], progress=False)
    trainer.step(X, Y)
    assert seen == [{True}, {True}]
    assert [layer.training for layer in model] == [False, False, False, True, False]
    assert model.training is False


def test_evaluation_and_prediction_are_in_evaluation_mode_and_keep_nothing():
    model = network(0, nn.BatchNorm1d(6), nn.Dropout(0.5, rng=np.random.default_rng(0)))
    model[2].eval()
    trainer = trainer_of(model)
    before = model.state_dict()
    first = trainer.predict(X, batch_size=5)
    assert trainer.evaluate((X, Y), 3)["loss"] == pytest.approx(trainer.evaluate((X, Y))["loss"], rel=1e-12)
    np.testing.assert_allclose(trainer.predict(X, 22), first, rtol=1e-12)
    assert [layer.training for layer in model] == [True, True, False, True, True]
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    with pytest.raises(nn.errors.PassError):
        model.backward(np.ones_like(first))


def test_modes_are_restored_after_an_error():
    model = network().eval()
    trainer = trainer_of(model)
    for call in (lambda: trainer.fit((X[:, :3], Y), progress=False), lambda: trainer.step(X[:, :3], Y)):
        with pytest.raises(ShapeError):
            call()
        assert {layer.training for _, layer in model.named_layers()} == {False}
    model.train()
    for call in (lambda: trainer.evaluate((X[:, :3], Y)), lambda: trainer.predict(X[:, :3])):
        with pytest.raises(ShapeError):
            call()
        assert {layer.training for _, layer in model.named_layers()} == {True}


class Two(nn.Layer):
    """(a, b) ↦ (2 a, 3 b)."""

    def forward(self, a, b):
        return 2 * a, 3 * b


def test_a_model_may_take_several_inputs_and_return_several_outputs():
    first, second = trainer_of_two().predict((X, X[:, :1]), batch_size=4)
    np.testing.assert_array_equal(first, 2 * X)
    np.testing.assert_array_equal(second, 3 * X[:, :1])


def trainer_of_two():
    model = Two()
    model.weight = nn.Parameter([1.0])
    return nn.Trainer(model, nn.MSELoss(), nn.SGD(model.parameters()))


def test_several_inputs_are_a_tuple():
    rng = np.random.default_rng(0)
    model = nn.Bilinear(4, 4, 2, rng=rng)
    trainer = trainer_of(model, lr=0.01)
    history = trainer.fit(((X, X), Y), 5, progress=False)
    assert history["loss"][-1] < history["loss"][0]
    assert trainer.evaluate(((X, X), Y))["loss"] < history["loss"][-1]
    assert math.isfinite(trainer.step((X, X), Y))


def test_predictions_for_no_samples_are_an_empty_array():
    assert trainer_of(network()).predict(X[:0]).shape == (0, 2)


def test_a_step_is_one_update():
    model, plain, loss_fn = network(), network(), nn.MSELoss()
    optimizer = nn.SGD(plain.parameters(), lr=0.1, momentum=0.9)
    trainer = trainer_of(model, accumulate=1)
    for _ in range(2):
        loss = loss_fn(plain(X), Y)
        optimizer.zero_grad()
        plain.backward(loss_fn.backward())
        optimizer.step()
        assert trainer.step(X, Y) == trainer.loss == loss
    np.testing.assert_array_equal(weights(model), weights(plain))
    assert trainer.global_step == 2


def test_a_step_is_the_same_whatever_accumulates_in_fit():
    models = [network(), network()]
    for model, accumulate in zip(models, (1, 4), strict=True):
        trainer_of(model, accumulate=accumulate).step(X, Y)
    np.testing.assert_allclose(weights(models[1]), weights(models[0]), rtol=1e-12)


def test_a_second_fit_trains_on():
    trainer = trainer_of(network())
    first = trainer.fit((X, Y), 2, progress=False)
    second = trainer.fit((X, Y), 3, validation=(X, Y), progress=False)
    assert first is second
    assert trainer.epoch == len(second) == 5
    assert np.isnan(second["val_loss"]).tolist() == [True, True, False, False, False]


def test_frozen_parameters_and_those_of_nobody_stay():
    model = network()
    model[0].requires_grad_(False)
    before = model.state_dict()
    nn.Trainer(model, nn.MSELoss(), nn.SGD([model[0].weight, model[2].weight], lr=0.1)).fit((X, Y), progress=False)
    changed = {name: not np.array_equal(array, before[name]) for name, array in model.state_dict().items()}
    assert changed == {"0.weight": False, "0.bias": False, "2.weight": True, "2.bias": False}


def test_data_may_be_a_data_set_or_anything_with_samples_by_index():
    histories = [
        trainer_of(network()).fit(data, 2, 5, rng=3, progress=False).history
        for data in ((X, Y), nn.ArrayDataset(X, Y), list(zip(X, Y, strict=True)), (X.tolist(), Y.tolist()))
    ]
    assert all(history == histories[0] for history in histories)


def test_a_stream_of_samples_is_trained_on_as_it_comes():
    class Stream:
        def __iter__(self):
            return zip(X, Y, strict=True)

    streamed = trainer_of(network()).fit(nn.DataLoader(Stream(), 5), 2, progress=False)
    assert streamed.history == trainer_of(network()).fit(nn.DataLoader((X, Y), 5), 2, progress=False).history


def test_integer_labels_are_targets():
    model = network()
    trainer = nn.Trainer(model, nn.CrossEntropyLoss(), nn.Adam(model.parameters()))
    history = trainer.fit((X, LABELS), 3, progress=False)
    assert history["loss"][-1] < history["loss"][0]


def test_repr():
    assert repr(trainer_of(network())) == "Trainer(Sequential, MSELoss, SGD)"


def fit(*data, **options):
    return lambda: trainer_of(network()).fit(*data, progress=options.pop("progress", False), **options)


def build(**options):
    return lambda: trainer_of(network(), **options)


other = nn.SGD(network().parameters())
LOADER = nn.DataLoader((X, Y))
ENDS = "; write metrics={'name': function}"

# what to do, the exception, the whole message
WRONG = [
    (fit((X, Y[:5])), ShapeError, "ArrayDataset expects arrays of the same length, got 22 and 5"),
    (fit((X, X, Y)), ArgumentTypeError,
     "Trainer.fit expects data to be (x, y), got a tuple of 3; for several inputs write ((x1, x2), y)"),
    (fit(X), ShapeError, "Trainer expects batches that are tuples, (x, target), got a ndarray"),
    (fit(nn.ArrayDataset(X)), ShapeError, "Trainer expects batches that are tuples, (x, target), got a tuple of 1"),
    (fit(3), ArgumentTypeError, "DataLoader expects arrays, samples by index, or an iterable of samples, got a int"),
    (fit(zip(X, Y, strict=True)), ArgumentTypeError,
     "DataLoader expects samples by index where shuffle=True, got a zip; make it a list"),
    (fit(LOADER, batch_size=4), ArgumentTypeError,
     "Trainer.fit expects no batch_size beside a DataLoader, got batch_size=4"),
    (fit(LOADER, rng=0), ArgumentTypeError, "Trainer.fit expects no rng beside a DataLoader, got rng=0"),
    (fit((X, Y), 0), ArgumentError, "Trainer.fit expects epochs to be a positive integer, got 0"),
    (fit((X, Y), batch_size=0), ArgumentError, "DataLoader expects batch_size to be a positive integer, got 0"),
    (fit((X, Y), validation=0.2), ArgumentTypeError,
     "Trainer.fit expects validation to be (x, y), a data set or a DataLoader, got 0.2; split the data before, at "
     "random"),
    (fit((X, Y), progress="no"), ArgumentTypeError, "Trainer.fit expects progress to be True or False, got 'no'"),
    (fit((X, Y), callbacks=[print]), ArgumentTypeError,
     "Trainer.fit expects callbacks to be Callback objects, got a builtin_function_or_method"),
    (fit((X, Y), callbacks=None), ArgumentTypeError,
     "Trainer.fit expects callbacks to be Callback objects, got a NoneType"),
    (fit((X[:0], Y[:0])), ArgumentError,
     "Trainer.fit expects at least one batch in an epoch, got <0 batches of 32 from 0 samples>"),
    (fit(nn.DataLoader((X, Y), 100, drop_last=True)), ArgumentError,
     "Trainer.fit expects at least one batch in an epoch, got <0 batches of 100 from 22 samples>"),
    (lambda: fit(nn.DataLoader(zip(X, Y, strict=True)), epochs=2)(), ArgumentError,
     "Trainer.fit expects at least one batch in an epoch, got none; a generator can be gone through only once: make "
     "it a list"),
    (lambda: trainer_of(network()).evaluate((X[:0], Y[:0])), ArgumentError,
     "Trainer.evaluate expects at least one sample, got none"),
    (lambda: nn.Trainer(nn.Linear, nn.MSELoss(), other), ArgumentTypeError,
     "Trainer expects model to be a Layer, got a type"),
    (lambda: nn.Trainer(network(), network(), other), ArgumentTypeError,
     "Trainer expects loss_fn to be a Loss, got a Sequential"),
    (lambda: nn.Trainer(network(), nn.MSELoss(), 0.1), ArgumentTypeError,
     "Trainer expects optimizer to be an Optimizer, got a float"),
    (lambda: nn.Trainer(network(), nn.MSELoss(), other), ArgumentError,
     "Trainer expects an optimizer of the model's parameters, got one of others only; give it model.parameters()"),
    (lambda: trainer_of(network()).fit(X, Y), ArgumentTypeError,
     "Trainer.fit expects data to be (x, y), got x and y; write fit((x, y), epochs=10)"),
    (build(loss_fn=nn.MSELoss(reduction="none")), ArgumentError,
     "Trainer expects a loss that is one number for a batch, got reduction='none'"),
    (build(scheduler=0.1), ArgumentTypeError, "Trainer expects scheduler to be a schedule or None, got a float"),
    (build(scheduler=nn.StepLR(other, 1)), ArgumentError,
     "Trainer expects a scheduler of its optimizer, got one of another"),
    (build(clip_norm=0), ArgumentError, "Trainer expects a finite clip_norm > 0, got 0.0"),
    (build(accumulate=0), ArgumentError, "Trainer expects accumulate to be a positive integer, got 0"),
    (build(metrics=3), ArgumentTypeError,
     "Trainer expects metrics to be functions by name, or a list of them, got a int"),
    (build(metrics={"a": 3}), ArgumentTypeError,
     "Trainer expects metrics to be functions of prediction and target, got 3"),
    (build(metrics=["accuracy"]), ArgumentTypeError,
     "Trainer expects metrics to be functions of prediction and target, got 'accuracy'"),
    (build(metrics=[lambda p, t: 0.0]), ArgumentError,
     f"Trainer expects metrics with names of their own, got '<lambda>'{ENDS}"),
    (build(metrics=[nn.L1Loss()]), ArgumentError, f"Trainer expects metrics with names of their own, got ''{ENDS}"),
    (build(metrics={"loss": largest}), ArgumentError,
     f"Trainer expects metrics with names of their own, got 'loss'{ENDS}"),
    (build(metrics={"val_loss": largest}), ArgumentError,
     f"Trainer expects metrics with names of their own, got 'val_loss'{ENDS}"),
    (build(metrics=[largest, largest]), ArgumentError,
     "Trainer expects metrics with different names, got largest, largest"),
    (lambda: trainer_of(network(), metrics={"m": lambda p, t: p}).evaluate((X, Y)), ShapeError,
     "Trainer expects metric 'm' to return a number, got an array of shape (22, 2)"),
    (lambda: trainer_of(network(), metrics={"m": lambda p, t: None}).evaluate((X, Y)), ArgumentTypeError,
     "Trainer expects metric 'm' to return a number, got a NoneType"),
]  # fmt: skip


@pytest.mark.parametrize(("do", "error", "message"), WRONG, ids=[row[2] for row in WRONG])
def test_a_wrong_argument_is_refused_in_a_sentence(do, error, message):
    with pytest.raises(error) as caught:
        do()
    assert str(caught.value) == message
