"""The first Ctrl-C ends training after the current step, the second at once, and the handler is always put back."""

import os
import signal
import threading

import numpy as np
import pytest

import tinynn as nn
from tinynn.errors import NonFiniteError

X = np.random.default_rng(0).normal(size=(20, 3))
Y = X @ np.ones((3, 1))


def build(accumulate=1, lr=0.01):
    model = nn.Linear(3, 1, rng=np.random.default_rng(0))
    return nn.Trainer(model, nn.MSELoss(), nn.SGD(model.parameters(), lr=lr), accumulate=accumulate)


def press(_trainer=None):
    os.kill(os.getpid(), signal.SIGINT)


def press_at(batch, epoch=1, times=1):
    def hook(trainer):
        if (trainer.epoch, trainer.batch) == (epoch, batch):
            for _ in range(times):
                press()

    return nn.LambdaCallback(on_batch_end=hook)


@pytest.fixture(autouse=True)
def _handler():
    """The handler is Python's own, which it is not in the background, and is the same after each test as before it."""
    outside = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, outside)


def test_ctrl_c_ends_training_after_the_step_with_the_history():
    ended = []
    trainer = build()
    end = nn.LambdaCallback(on_fit_end=ended.append)
    history = trainer.fit(nn.DataLoader((X, Y), 4), 9, callbacks=[press_at(2), end], progress=False)
    assert history.interrupted
    assert (trainer.epoch, trainer.batch, trainer.global_step, len(history)) == (1, 2, 7, 1)
    assert ended == [trainer]


def test_the_step_that_is_being_accumulated_is_made():
    trainer = build(accumulate=2)
    trainer.fit(nn.DataLoader((X, Y), 4), 9, callbacks=[press_at(1)], progress=False)
    assert (trainer.batch, trainer.global_step) == (2, 4)


def test_a_second_ctrl_c_comes_at_once():
    trainer = build()
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(nn.DataLoader((X, Y), 4), 9, callbacks=[press_at(2, times=2)], progress=False)
    assert trainer.history.interrupted
    assert len(trainer.history) == 1


def test_a_run_that_was_interrupted_may_train_on():
    trainer = build(lr=0.0)
    trainer.fit(nn.DataLoader((X, Y), 4), 9, callbacks=[press_at(2)], progress=False)
    history = trainer.fit((X, Y), 2, progress=False)
    assert not history.interrupted
    assert trainer.epoch == len(history) == 3
    assert history["loss"] == pytest.approx([history["loss"][0]] * 3, rel=1e-12)  # without the epoch cut short


def test_early_stopping_leaves_an_interrupted_run_where_it_was():
    trainer = build()
    stopping = nn.EarlyStopping("loss", mode="max", patience=9)
    trainer.fit(nn.DataLoader((X, Y), 4), 9, callbacks=[press_at(2), stopping], progress=False)
    twin = build()
    twin.fit(nn.DataLoader((X, Y), 4), 9, callbacks=press_at(2), progress=False)
    np.testing.assert_array_equal(trainer.model.weight.data, twin.model.weight.data)


def test_what_was_interrupted_goes_on_exactly():
    whole, first, again = build(), build(), build()
    whole.fit(nn.DataLoader((X, Y), 4, True, rng=0), 3, progress=False)
    first.fit(nn.DataLoader((X, Y), 4, True, rng=0), 3, callbacks=[press_at(2)], progress=False)
    again.load_state_dict(first.state_dict())
    again.fit(nn.DataLoader((X, Y), 4, True, rng=1), 3, progress=False)
    assert again.history.history == whole.history.history
    np.testing.assert_array_equal(again.model.weight.data, whole.model.weight.data)


@pytest.mark.parametrize("handler", [signal.SIG_IGN, signal.SIG_DFL, print])
def test_other_handlers_are_put_back(handler):
    before = signal.signal(signal.SIGINT, handler)
    try:
        presses = press_at(2) if handler is signal.SIG_IGN else nn.Callback()
        trainer = build()
        trainer.fit(nn.DataLoader((X, Y), 4), 2, callbacks=[presses], progress=False)
        assert trainer.epoch == 2  # who ignores interrupts goes on ignoring them
        with pytest.raises(NonFiniteError):
            trainer.fit((X * np.nan, Y), progress=False)
        assert signal.getsignal(signal.SIGINT) == handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_leave_handlers_alone():
    seen = []
    look = nn.LambdaCallback(on_batch_end=lambda _: seen.append(signal.getsignal(signal.SIGINT)))
    thread = threading.Thread(target=lambda: build().fit((X, Y), callbacks=[look], progress=False))
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGINT)]


def test_a_line_says_where_ctrl_c_has_ended_training(capsys):
    build().fit(nn.DataLoader((X, Y), 4), 9, callbacks=[press_at(2)], progress=False)
    assert capsys.readouterr().out == "Ctrl-C has ended training: 1 epochs and 2 batches are done\n"
