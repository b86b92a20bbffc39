"""Progress is a bar, a line for each epoch, or nothing."""

import io
import sys

import numpy as np
import pytest
import tqdm.auto

import tinynn as nn
from tinynn.errors import MissingExtraError

X = np.random.default_rng(0).normal(size=(20, 3))
Y = X @ np.ones((3, 1))


class Terminal(io.StringIO):
    def isatty(self):
        return True


def build(lr=0.0):
    model = nn.Linear(3, 1, rng=np.random.default_rng(0))
    model.weight.data = [[1.0, 1.0, 0.0]]
    model.bias.data = [0.0]
    return nn.Trainer(model, nn.MSELoss(), nn.SGD(model.parameters(), lr=lr))


@pytest.fixture(name="bars")
def _bars(monkeypatch):
    """Every bar that is made, with what was done to it."""
    made = []

    class Bar:
        def __init__(self, **options):
            self.options, self.updates, self.texts, self.closed = options, 0, [], False
            made.append(self)

        def update(self):
            self.updates += 1
            return self.updates == 2

        def set_postfix_str(self, text, refresh=True):
            self.texts.append(text)

        def close(self):
            self.closed = True

    monkeypatch.setattr(tqdm.auto, "tqdm", Bar)
    return made


def test_without_a_terminal_there_is_a_line_for_each_epoch(capsys, bars):
    loss = float(nn.MSELoss()(X @ [[1.0], [1.0], [0.0]], Y))
    build().fit((X, Y), 2, validation=(X, Y), rng=0)
    line = f"loss {loss:.4g}, val_loss {loss:.4g}, lr 0"
    assert capsys.readouterr().out == f"Epoch 1/2: {line}\nEpoch 2/2: {line}\n"
    assert not bars


def test_lines_count_on_in_a_second_fit(capsys):
    trainer = build()
    trainer.fit((X, Y), 1)
    trainer.fit((X, Y), 2)
    heads = [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert heads == ["Epoch 1/1", "Epoch 2/3", "Epoch 3/3"]


@pytest.mark.parametrize("progress", [True, None])
def test_in_a_terminal_there_is_a_bar_for_each_epoch(progress, bars, capsys, monkeypatch):
    if progress is None:
        monkeypatch.setattr(sys, "stderr", Terminal())
    build().fit((X, Y), 2, 4, progress=progress)
    assert [(bar.options["desc"], bar.options["total"], bar.options["initial"]) for bar in bars] == [
        ("Epoch 1/2", 5, 0),
        ("Epoch 2/2", 5, 0),
    ]
    for bar in bars:
        assert (bar.updates, bar.closed, len(bar.texts)) == (5, True, 2)
        assert bar.texts[-1].startswith("loss ")
        assert bar.texts[-1].endswith("lr 0")
    assert capsys.readouterr().out == ""


def test_a_bar_is_closed_whatever_happens(bars):
    with pytest.raises(nn.errors.NonFiniteError):
        build().fit((X * np.nan, Y), progress=True)
    assert [bar.closed for bar in bars] == [True]


def test_a_real_bar_is_drawn(monkeypatch):
    screen = Terminal()
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    monkeypatch.setattr(sys, "stderr", screen)
    build().fit((X, Y), 2, 4)
    assert "Epoch 2/2: 100%" in screen.getvalue()


def test_it_is_silent_on_request(capfd, bars, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    build().fit((X, Y), 2, progress=False)
    assert tuple(capfd.readouterr()) == ("", "")
    assert not bars


def test_without_tqdm_there_are_lines_unless_a_bar_was_asked_for(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    monkeypatch.setattr(sys, "stderr", Terminal())
    build().fit((X, Y), 1)
    assert capsys.readouterr().out.startswith("Epoch 1/1: loss ")
    with pytest.raises(MissingExtraError) as caught:
        build().fit((X, Y), 1, progress=True)
    assert str(caught.value) == (
        'Trainer.fit expects tqdm, got no such package; python -m pip install "tinynn-layers[progress]"'
    )
