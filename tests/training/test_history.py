"""A history has one number for every epoch under every name, and survives files."""

import csv
import math

import matplotlib as mpl
import pytest

import tinynn as nn
from tinynn.errors import MissingExtraError, StateError


def history(*epochs):
    result = nn.History()
    for epoch in epochs:
        result.append(epoch)
    return result


TWO = ({"loss": 0.1 + 0.2, "val_loss": math.inf, "lr": 1e-300}, {"loss": -0.0, "val_loss": math.nan, "lr": 2})


def same(a, b):
    return repr(a) == repr(b)


def test_names_that_come_or_go_are_nan_where_they_were_not_measured():
    result = history({"loss": 1.0, "old": 2.0}, {"loss": 3.0, "new": 4.0})
    assert same(result.history, {"loss": [1.0, 3.0], "old": [2.0, math.nan], "new": [math.nan, 4.0]})
    assert len(result) == 2
    assert "new" in result
    assert "val_loss" not in result


def test_json_brings_back_every_bit(tmp_path):
    result = history(*TWO)
    result.to_json(tmp_path / "h.json")
    assert same(nn.History.from_json(tmp_path / "h.json").history, result.history)
    result.to_json(str(tmp_path / "h.json"))


def test_a_table_has_a_row_for_each_epoch(tmp_path):
    result = history(*TWO)
    result.to_csv(tmp_path / "h.csv")
    with (tmp_path / "h.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["epoch", "loss", "val_loss", "lr"]
    assert [row[0] for row in rows[1:]] == ["1", "2"]
    columns = {name: [float(value) for value in values] for name, *values in zip(*rows, strict=True)}
    columns.pop("epoch")
    assert same(columns, result.history)


def test_a_state_is_a_copy():
    result = history(*TWO)
    state = result.state_dict()
    twin = nn.History()
    twin.load_state_dict(state)
    state["loss"].append(1.0)
    assert same(result.history, twin.history)
    assert len(result["loss"]) == 2


@pytest.mark.parametrize("wrong", [3, {"loss": 3}, {"loss": ["a"]}, {"loss": [1.0], "lr": []}])
def test_another_state_is_refused(wrong):
    result = history(*TWO)
    with pytest.raises(StateError, match=r"^History expects "):
        result.load_state_dict(wrong)
    assert len(result) == 2


def test_another_file_is_refused(tmp_path):
    (tmp_path / "h.json").write_text("no json")
    with pytest.raises(StateError, match=r"^History expects a history in "):
        nn.History.from_json(tmp_path / "h.json")


def test_curves_of_training_and_validation_share_axes(monkeypatch):
    mpl.use("Agg")
    figure = history({"loss": 3.0, "lr": 1.0, "val_loss": 4.0}, {"loss": 2.0, "lr": 0.5, "val_loss": 3.0}).plot()
    curves = {axis.get_title(): [line.get_ydata().tolist() for line in axis.lines] for axis in figure.axes}
    assert curves == {"loss": [[3.0, 2.0], [4.0, 3.0]], "lr": [[1.0, 0.5]]}
    assert nn.History().plot().axes
    mpl.pyplot.close("all")
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.pyplot", None)
    with pytest.raises(MissingExtraError) as caught:
        history().plot()
    assert str(caught.value) == (
        'History.plot expects matplotlib, got no such package; python -m pip install "tinynn-layers[plot]"'
    )


def test_names_are_its_keys_and_an_unknown_one_is_told_which_there_are():
    result = history(*TWO)
    assert list(result) == list(result.keys()) == ["loss", "val_loss", "lr"]
    with pytest.raises(KeyError, match="'val_acc': there are loss, val_loss, lr"):
        result["val_acc"]


def test_repr():
    assert repr(history(*TWO)) == "<2 epochs of loss, val_loss, lr>"
    assert repr(nn.History()) == "<0 epochs of nothing>"
