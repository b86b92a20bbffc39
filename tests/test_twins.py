"""Layers and losses against their twins in PyTorch, case by case: every argument, and every pair of their values.

The cases are described in `tests/oracle/twins/`, what PyTorch gives is frozen by `tests/oracle/make_twins.py`. In
float64, |a - b| ≤ 1e-10 · max(1, |b|); in float32, where b is still the float64 result, 1e-5 or twice the distance of
PyTorch's own float32 result.
"""

from __future__ import annotations

import inspect
import itertools
import json
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import tinynn as nn
from tests.oracle.twins.case import all_pairs, distance, each_once, pairs
from tests.test_signatures import LEFT_OUT

ORACLE = Path(__file__).parent / "oracle"
SIGNATURES = json.loads((ORACLE / "signatures.json").read_text(encoding="utf-8"))
FAMILIES = sorted(path.stem for path in (ORACLE / "twins").glob("*.py") if path.stem != "case")
TWINS = {family: import_module(f"tests.oracle.twins.{family}").TWINS for family in FAMILIES}
CASES = {family: each_once(twins) for family, twins in TWINS.items()}
RECORDS = {}
for family in FAMILIES:
    with np.load(ORACLE / f"twins_{family}.npz") as file:
        RECORDS |= {name: file[name] for name in file.files}

IN_THE_VECTORS = {"Identity", "Linear", "Sequential"}  # see tests/test_oracle.py
NOT_VARIED = {"dtype", *LEFT_OUT}

over_cases = pytest.mark.parametrize(
    "case", [case for cases in CASES.values() for case in cases], ids=lambda case: case.name
)
over_twins = pytest.mark.parametrize(
    "twin", [twin for twins in TWINS.values() for twin in twins], ids=lambda twin: twin.kind
)


def build(case, dtype):
    """Return the layer of a case with its parameters and buffers."""
    cls = getattr(nn, case.kind)
    own_dtype = {"dtype": dtype} if "dtype" in inspect.signature(cls).parameters else {}
    layer = cls(*case.leading, **case.arguments, **own_dtype).astype(dtype)
    record = RECORDS[case.name]
    layer.load_state_dict(fields(record, "state:"))
    return layer.train(case.mode == "train")


def fields(record, prefix):
    """Return the arrays whose name starts with a prefix, by the rest of their names."""
    return {name.removeprefix(prefix): record[name] for name in record.dtype.names if name.startswith(prefix)}


def in_dtype(x, dtype):
    return x.astype(dtype) if x.dtype.kind == "f" else x


def assert_agrees(actual, case, what, dtype):
    """``actual`` agrees with what PyTorch gave, and has the dtype."""
    record = RECORDS[case.name]
    truth = record[f"{what}.float64"]
    assert actual.dtype == (dtype if truth.dtype.kind == "f" else truth.dtype), what
    tolerance = case.tolerance if dtype == "float64" else max(1e-5, 2 * record[f"{what}.float32"])
    assert distance(actual, truth) <= tolerance, what


@over_cases
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_layer_gives_what_its_twin_gives(case, dtype):
    layer, record = build(case, dtype), RECORDS[case.name]
    for step in range(case.steps):
        inputs = [in_dtype(x, dtype) for x in fields(record, f"input:{step}:").values()]
        assert_agrees(layer(*inputs), case, f"y:{step}", dtype)
        gradients = layer.backward(record[f"grad:{step}"].astype(dtype))
        gradients = gradients if isinstance(gradients, tuple) else (gradients,)
        at = [name for name in record.dtype.names if name.startswith(f"at:{step}:") and name.endswith(".float64")]
        gradients = [gradient for gradient in gradients if gradient is not None]
        for gradient, name in zip(gradients, at, strict=True):
            assert_agrees(gradient, case, name.removesuffix(".float64"), dtype)
    for name, parameter in layer.named_parameters():
        assert_agrees(parameter.grad, case, f"at:{name}", dtype)
    for name, buffer in layer.named_buffers():
        assert_agrees(buffer.data, case, f"after:{name}", dtype)


@over_cases
def test_a_state_dict_has_its_twins_names_order_and_shapes(case):
    state, expected = build(case, "float64").state_dict(), fields(RECORDS[case.name], "state:")
    assert [(name, value.shape) for name, value in state.items()] == [(n, v.shape) for n, v in expected.items()]


# The cases


@pytest.mark.parametrize("family", FAMILIES)
def test_the_file_is_small_and_has_what_is_described(family):
    path = ORACLE / f"twins_{family}.npz"
    assert path.stat().st_size < 500_000
    with np.load(path) as file:
        assert sorted(file.files) == sorted(case.name for case in CASES[family])


@over_twins
def test_every_argument_has_two_values_or_more(twin):
    assert all(len(values) >= 2 for values in twin.arguments.values())


@pytest.mark.parametrize("kind", sorted({twin.kind for twins in TWINS.values() for twin in twins}))
def test_every_argument_that_pytorch_has_is_varied(kind):
    twins = [twin for twins in TWINS.values() for twin in twins if twin.kind == kind]
    fixed = max(len(twin.leading) for twin in twins)
    arguments = {name for name, how, *_ in SIGNATURES[kind][fixed:] if not how.startswith("var_")} - NOT_VARIED
    assert arguments == {name for twin in twins for name in twin.arguments}


def test_every_layer_and_loss_that_pytorch_has_is_compared():
    compared = {twin.kind for twins in TWINS.values() for twin in twins} | IN_THE_VECTORS
    public = {name: getattr(nn, name) for name in nn.__all__ if name in SIGNATURES}
    layers = {name for name, value in public.items() if isinstance(value, type) and issubclass(value, nn.Layer)}
    assert compared == layers


@over_twins
def test_every_pair_of_values_occurs(twin):
    chosen = all_pairs(twin.values, twin.allowed)
    assert all(twin.allowed(choice) for choice in chosen)
    seen = {_pair(a, b) for choice in chosen for a, b in itertools.combinations(choice.items(), 2)}
    for row in pairs(twin.values, twin.allowed):
        items = [(name, values[i]) for (name, values), i in zip(twin.values.items(), row, strict=True)]
        assert all(_pair(a, b) in seen for a, b in itertools.combinations(items, 2))


def _pair(*items):
    return repr([(name, value) for name, value in items])


def test_pairs_take_far_fewer_cases_than_all_combinations():
    chosen = all_pairs({name: range(3) for name in "abcdef"})
    assert 9 <= len(chosen) <= 18 < 3**6
    without = all_pairs({"a": (1, 2), "b": (1, 2), "c": (1, 2)}, lambda choice: choice["a"] != choice["b"])
    assert {(choice["a"], choice["b"]) for choice in without} == {(1, 2), (2, 1)}
    assert len({(choice["a"], choice["c"]) for choice in without}) == 4
    assert all_pairs({"a": (1, 2)}) == [{"a": 1}, {"a": 2}]


def test_distance_sees_what_differs():
    inf, nan = np.inf, np.nan
    assert distance([1.0, 100.0, inf, nan], [1.0, 100.0, inf, nan]) == 0
    assert distance([1.0, 100.0], [0.75, 100.0]) == 0.25
    assert distance(200.0, 100.0) == 1
    assert all(not distance(a, b) < inf for a, b in ((inf, -inf), (0, inf), (inf, 0), (nan, 0), (0, nan)))
    with pytest.raises(ValueError, match="shapes"):
        distance([1.0, 1.0], [1.0])
