"""Arguments have PyTorch's names, order and defaults; what differs on purpose is listed here, with the reason."""

from __future__ import annotations

import inspect
import json
import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

import tinynn as nn

SIGNATURES = json.loads((Path(__file__).parent / "oracle" / "signatures.json").read_text(encoding="utf-8"))
NAMES = sorted(name for name in nn.__all__ if name in SIGNATURES)

LEFT_OUT = {
    "inplace": "no layer works in place on what it is given",
    "device": "arrays live in main memory",
    "foreach": "there is one implementation",
    "fused": "there is one implementation",
    "capturable": "there are no graphs",
    "differentiable": "an optimizer step has no gradient",
    "size_average": "PyTorch itself calls it deprecated",
    "reduce": "PyTorch itself calls it deprecated",
    "min_value": "PyTorch itself calls it deprecated",
    "max_value": "PyTorch itself calls it deprecated",
    "max_norm": "a forward does not change parameters",
    "norm_type": "it belongs to max_norm",
    "scale_grad_by_freq": "backward gives the gradient of the loss",
    "sparse": "gradients are dense, and backward is no slower for it",
    "_weight": "it is not public: Embedding.from_pretrained",
    "_freeze": "it is not public: Embedding.from_pretrained",
}
KEPT = {("clip_grad_norm_", "max_norm"), ("clip_grad_norm_", "norm_type")}
ADDED = {
    "rng": "there is no global generator",
    "weight_init": "initialisers can be handed in",
    "bias_init": "initialisers can be handed in",
}
OTHER_DEFAULTS = {
    ("MSELoss", "reduction"): ("half", "the note's loss"),
}


def ours(public):
    """Return name, kind and, if there is one, default of each named argument, without those that were added."""
    rows = []
    is_class = inspect.isclass(public)
    for parameter in inspect.signature(public.__init__ if is_class else public).parameters.values():
        default = () if parameter.default is inspect.Parameter.empty else (parameter.default,)
        rows.append((parameter.name, parameter.kind.name.lower(), *default))
    return [row for row in rows[is_class:] if row[0] not in ADDED and not row[1].startswith("var_")]


def theirs(name):
    """Return the same for PyTorch's class or function, with the deliberate differences applied.

    Where PyTorch counts one that is left out before it, an argument has lost its place, and is given by name.
    """
    rows, places_count = [], True
    for argument, kind, *default in SIGNATURES[name]:
        left_out = argument in LEFT_OUT and (name, argument) not in KEPT
        places_count = places_count and not left_out
        if left_out or kind.startswith("var_"):
            continue
        if (name, argument) in OTHER_DEFAULTS:
            default = [OTHER_DEFAULTS[name, argument][0]]
        default = [tuple(value) if isinstance(value, list) else value for value in default]
        rows.append((argument, kind if places_count else "keyword_only", *default))
    return rows


@pytest.mark.parametrize("name", NAMES)
def test_arguments_are_pytorchs(name):
    assert ours(getattr(nn, name)) == theirs(name)


def test_every_deliberate_difference_is_one():
    rows = [(name, argument) for name in NAMES for argument, *_ in SIGNATURES[name]]
    assert set(LEFT_OUT) <= {argument for arguments in SIGNATURES.values() for argument, *_ in arguments}
    assert set(OTHER_DEFAULTS) <= set(rows)
    for (name, argument), (default, _) in OTHER_DEFAULTS.items():
        assert {row[0]: row[2:] for row in SIGNATURES[name]}[argument] != [default]


class Renamed:
    def __init__(self, in_features, outputs, bias=True, *, dtype=None):
        pass


class OtherDefault:
    def __init__(self, in_features, out_features, bias=False, *, dtype=None):
        pass


class OtherOrder:
    def __init__(self, out_features, in_features, bias=True, *, dtype=None):
        pass


class OneTooFew:
    def __init__(self, in_features, out_features, *, dtype=None):
        pass


class Alike:
    def __init__(self, in_features, out_features, bias=True, *, dtype=None, rng=None):
        pass


def test_a_difference_would_be_noticed():
    expected = theirs("Linear")
    assert ours(Alike) == expected
    assert all(ours(cls) != expected for cls in (Renamed, OtherDefault, OtherOrder, OneTooFew))


def test_what_only_pytorch_has_is_listed_for_those_who_come_from_there():
    page = (Path(__file__).parents[1] / "docs" / "from_pytorch.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\|[^|]*\|([^|]*)\|", page.partition("\n## Not here\n")[2].partition("\n## ")[0], re.MULTILINE)
    patterns = [pattern for row in rows for pattern in re.findall(r"`([\w*]+)`", row)]
    listed = {name for name in SIGNATURES if any(fnmatchcase(name, pattern) for pattern in patterns)}
    assert listed == set(SIGNATURES) - set(NAMES)
