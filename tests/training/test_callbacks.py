"""Callbacks are called when they say, early stopping follows Keras's rules, and a writer writes."""

import math
import sys

import numpy as np
import pytest
from tensorboardX.proto.event_pb2 import Event

import tinynn as nn
from tinynn.errors import ArgumentError, ArgumentTypeError, MissingExtraError, StateError
from tinynn.training.callbacks import HOOKS

X = np.random.default_rng(0).normal(size=(20, 3))
Y = X @ np.ones((3, 1))


def build(lr=0.01):
    model = nn.Linear(3, 1, rng=np.random.default_rng(0))
    return nn.Trainer(model, nn.MSELoss(), nn.SGD(model.parameters(), lr=lr))


def test_hooks_come_in_order_and_see_what_is_done():
    log = []

    class All(nn.Callback):
        """Every hook, as a method."""

    for hook in HOOKS:
        setattr(All, hook, lambda _, t, hook=hook: log.append((hook, t.epoch, t.batch, t.global_step, len(t.history))))
    trainer = build()
    trainer.accumulate = 2
    trainer.fit(nn.DataLoader((X, Y), 8), 2, callbacks=[All()], progress=False)
    epoch = [("on_epoch_start", 0, 0), ("on_batch_end", 1, 0), ("on_step_end", 2, 1), ("on_batch_end", 2, 1)]
    epoch += [("on_batch_end", 3, 1), ("on_step_end", 3, 2)]
    expected = [("on_fit_start", 0, 0, 0, 0)]
    for number in (0, 1):
        expected += [(hook, number, batch, step + 2 * number, number) for hook, batch, step in epoch]
        expected += [("on_epoch_end", number + 1, 0, 2 * number + 2, number + 1)]
    assert log == [*expected, ("on_fit_end", 2, 0, 4, 2)]


def test_functions_are_hooks_and_those_that_run_last_come_last():
    log = []

    class Last(nn.Callback):
        runs_last = True

        def on_epoch_end(self, trainer):
            log.append("last")

    functions = [nn.LambdaCallback(on_epoch_end=lambda _, name=name: log.append(name)) for name in "ab"]
    build().fit((X, Y), callbacks=[Last(), *functions], progress=False)
    assert log == ["a", "b", "last"]


def test_a_single_callback_will_do():
    log = []
    build().fit((X, Y), callbacks=nn.LambdaCallback(on_fit_end=log.append), progress=False)
    assert len(log) == 1


@pytest.mark.parametrize(
    ("hook", "batches"), [("on_fit_start", 0), ("on_epoch_start", 0), ("on_step_end", 1), ("on_epoch_end", 5)]
)
def test_stop_ends_training_after_the_step(hook, batches):
    trainer = build()
    history = trainer.fit((X, Y), 3, 4, callbacks=nn.LambdaCallback(**{hook: lambda t: t.stop()}), progress=False)
    assert (trainer.global_step, trainer.batch) == (batches, batches % 5)
    assert not history.interrupted


def keras(values, min_delta=0.0, patience=0, mode="min", baseline=None, start_from_epoch=0, restore=True):
    """Keras's rules, as its documentation and source have them: when training ends, and which epoch was best."""
    best, best_epoch, saved, wait = None, 0, None, 0
    sign = 1 if mode == "min" else -1
    for epoch, value in enumerate(values):
        if epoch < start_from_epoch:
            continue
        if saved is None:
            saved = best_epoch = epoch
        wait += 1
        if not math.isnan(value) and (best is None or sign * value + min_delta < sign * best):
            best, best_epoch, saved = value, epoch, epoch
            if baseline is None or sign * value + min_delta < sign * baseline:
                wait = 0
            continue
        if wait >= patience and epoch > 0:
            return epoch + 1, best_epoch, saved
    return len(values), best_epoch, saved


SEQUENCES = {
    "up and down": [5.0, 4.0, 4.5, 3.0, 3.5, 3.6, 3.7, 1.0],
    "falling": [5.0, 4.0, 3.0, 2.0, 1.0],
    "rising": [1.0, 2.0, 3.0, 4.0],
    "level": [1.0, 1.0, 1.0, 1.0],
    "NaN": [math.nan, 3.0, math.nan, 2.0, math.nan, math.nan, 1.0],
    "slowly": [1.0, 0.99, 0.98, 0.97, 0.96, 0.95],
}
OPTIONS = [
    {},
    {"patience": 1},
    {"patience": 2},
    {"patience": 2, "mode": "max"},
    {"patience": 1, "min_delta": 0.015},
    {"patience": 1, "min_delta": -0.015},
    {"patience": 2, "baseline": 3.2},
    {"patience": 1, "start_from_epoch": 2},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("values", SEQUENCES.values(), ids=SEQUENCES)
def test_early_stopping_follows_the_rules_of_keras(values, options):
    reference = {**options, "min_delta": abs(options.get("min_delta", 0.0))}
    epochs, best_epoch, saved = keras(values, **reference)
    trainer, seen = build(), []

    class Pretend(nn.Callback):
        def on_epoch_end(self, trainer):
            trainer.history.history["val_loss"] = values[: trainer.epoch]
            seen.append(trainer.model.weight.data.copy())

    stopping = nn.EarlyStopping(**options)
    trainer.fit((X, Y), len(values), callbacks=[Pretend(), stopping], progress=False)
    assert (trainer.epoch, stopping.best_epoch) == (epochs, best_epoch)
    assert stopping.stopped_epoch == (epochs - 1 if epochs < len(values) or stopping.stopped_epoch else 0)
    restored = seen[-1] if saved is None else seen[saved]
    np.testing.assert_array_equal(trainer.model.weight.data, restored)


def test_weights_stay_where_nothing_is_to_be_restored():
    stopping = nn.EarlyStopping("loss", mode="max", restore_best_weights=False)
    trainer, last = build(), []
    keep = nn.LambdaCallback(on_epoch_end=lambda t: last.append(t.model.weight.data.copy()))
    trainer.fit((X, Y), 5, callbacks=[keep, stopping], progress=False)
    assert trainer.epoch == 2
    np.testing.assert_array_equal(trainer.model.weight.data, last[-1])
    assert stopping.best_weights is None


def test_buffers_are_restored_with_the_weights():
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 1))
    trainer = nn.Trainer(model, nn.MSELoss(), nn.SGD(model.parameters()))
    trainer.fit((X, Y), 3, callbacks=nn.EarlyStopping("loss", patience=5, mode="max"), progress=False)
    assert model[0].num_batches_tracked.data == 1


def test_the_state_of_early_stopping_is_a_copy():
    stopping = nn.EarlyStopping("loss", patience=9)
    build().fit((X, Y), 2, callbacks=stopping, progress=False)
    state = stopping.state_dict()
    kept = stopping.best_weights["weight"].copy()
    state["best_weights"]["weight"] += 1
    np.testing.assert_array_equal(stopping.best_weights["weight"], kept)
    stopping.load_state_dict(state)
    state["best_weights"]["weight"] += 1
    np.testing.assert_array_equal(stopping.best_weights["weight"], kept + 1)


def test_a_second_fit_begins_anew():
    stopping, trainer = nn.EarlyStopping("loss", mode="max"), build()
    trainer.fit((X, Y), 5, callbacks=stopping, progress=False)
    assert trainer.epoch == 2
    trainer.fit((X, Y), 5, callbacks=stopping, progress=False)
    assert trainer.epoch == 4


def test_it_says_so_if_asked_to(capsys):
    build().fit((X, Y), 5, callbacks=nn.EarlyStopping("loss", mode="max", verbose=1), progress=False)
    assert capsys.readouterr().out == "Epoch 2: loss was best in epoch 1; training ends\n"


@pytest.mark.parametrize(
    ("monitor", "mode"),
    [
        ("val_loss", "min"),
        ("mse", "min"),
        ("mean_error", "min"),
        ("val_accuracy", "max"),
        ("acc", "max"),
        ("auc", "max"),
    ],
)
def test_the_direction_is_in_the_name(monitor, mode):
    assert repr(nn.EarlyStopping(monitor)) == f"EarlyStopping('{monitor}', patience=0, mode='{mode}')"


def stopping(**options):
    return lambda: build().fit((X, Y), callbacks=nn.EarlyStopping(**options), progress=False)


WRONG = [
    (stopping(), ArgumentError,
     "EarlyStopping expects 'val_loss' in the history, got loss, lr; give fit a validation"),
    (stopping(monitor=3), ArgumentTypeError, "EarlyStopping expects monitor to be a name in the history, got 3"),
    (stopping(monitor="accuracy"), ArgumentError, "EarlyStopping expects 'accuracy' in the history, got loss, lr"),
    (stopping(monitor="r2"), ArgumentError,
     "EarlyStopping expects a monitor of which is known whether it is to become smaller or larger, got 'r2'; give "
     "mode='min' or mode='max'"),
    (stopping(mode="low"), ArgumentError, "EarlyStopping expects mode to be one of 'auto', 'min', 'max', got 'low'"),
    (stopping(patience=-1), ArgumentError, "EarlyStopping expects patience to be an integer >= 0, got -1"),
    (stopping(min_delta="0"), ArgumentTypeError, "EarlyStopping expects a finite min_delta, got '0'"),
    (stopping(restore_best_weights=1), ArgumentTypeError,
     "EarlyStopping expects restore_best_weights to be True or False, got 1"),
    (lambda: nn.EarlyStopping().load_state_dict({"wait": 1}), StateError,
     "EarlyStopping expects a state with wait, stopped_epoch, best, best_epoch, best_weights, got wait"),
    (lambda: nn.LambdaCallback(on_train_end=print), ArgumentTypeError,
     "LambdaCallback expects the hooks on_fit_start, on_epoch_start, on_batch_end, on_step_end, on_epoch_end, "
     "on_fit_end, got on_train_end"),
    (lambda: nn.LambdaCallback(on_fit_end=3), ArgumentTypeError,
     "LambdaCallback expects on_fit_end to be a function, got 3"),
    (lambda: nn.TensorBoard(every_steps=0), ArgumentError,
     "TensorBoard expects every_steps to be an integer >= 1, got 0"),
]  # fmt: skip


@pytest.mark.parametrize(("do", "error", "message"), WRONG, ids=[row[2] for row in WRONG])
def test_a_wrong_argument_is_refused_in_a_sentence(do, error, message):
    with pytest.raises(error) as caught:
        do()
    assert str(caught.value) == message


def written(folder):
    """Return what TensorBoard would show: (tag, step) to value, from the frames of the event files."""
    values = {}
    for path in sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns):
        data = path.read_bytes()
        while data:
            length = int.from_bytes(data[:8], "little")
            event = Event.FromString(data[12 : 12 + length])
            if event.session_log.status == 1:  # START: what was written from this step on counts no more
                values = {key: value for key, value in values.items() if key[1] < event.step}
            values.update({(value.tag, event.step): value.simple_value for value in event.summary.value})
            data = data[16 + length :]
    return values


def test_tensorboard_shows_the_history(tmp_path):
    trainer = build()
    board = nn.TensorBoard(tmp_path / "logs", every_steps=2)
    history = trainer.fit((X, Y), 2, 4, validation=(X, Y), callbacks=board, progress=False)
    values = written(tmp_path / "logs")
    for name in ("loss", "val_loss", "lr"):
        assert [values[name, step] for step in (5, 10)] == pytest.approx(history[name], rel=1e-6)
    assert sorted(step for tag, step in values if tag == "batch_loss") == [2, 4, 6, 8, 10]


def test_tensorboard_forgets_what_a_stopped_run_had_written_too_much(tmp_path):
    states = []
    keep = nn.LambdaCallback(on_step_end=lambda t: states.append(t.state_dict()))
    data = nn.DataLoader((X, Y), 4, True, rng=0)
    trainer = build()
    trainer.fit(data, 2, callbacks=[keep, nn.TensorBoard(tmp_path, every_steps=1)], progress=False)
    before = written(tmp_path)
    again = build()
    again.load_state_dict(states[6])
    again.fit(data, 2, callbacks=nn.TensorBoard(tmp_path), progress=False)
    rest = {(tag, step): value for (tag, step), value in before.items() if tag != "batch_loss" or step <= 7}
    assert written(tmp_path) == rest != before
    assert len(list(tmp_path.iterdir())) == 2


def test_without_tensorboardx_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(MissingExtraError) as caught:
        nn.TensorBoard()
    assert str(caught.value) == (
        'TensorBoard expects tensorboardX, got no such package; python -m pip install "tinynn-layers[tensorboard]"'
    )
