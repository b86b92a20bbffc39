"""Values, gradients and trajectories against PyTorch's, frozen in files.

`tests/oracle/make_vectors.py` and `tests/oracle/make_optimizers.py` make them.

Two numbers agree if |a - b| ≤ tol · max(1, |b|): in float64 tol is 1e-12; in float32, where b is still PyTorch's
float64 result, it is 1e-5 or twice the distance of PyTorch's own float32 result.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

import tinynn as nn
from tests.test_signatures import SIGNATURES

FILES = [Path(__file__).parent / "oracle" / name for name in ("vectors.npz", "optimizers.npz")]
VECTORS, INDEX = {}, {}
for path in FILES:
    with np.load(path) as file:
        VECTORS |= {name: file[name] for name in file.files}
    INDEX |= json.loads(VECTORS.pop("index").item())
RULES = ("sgd", "adam", "adamw", "rmsprop", "adagrad", "adadelta", "nadam", "radam")
DTYPES = ("float64", "float32")


def cases(*kinds, having=None):
    """Return (case, dtype) for all cases of some kinds, or for those that have something."""
    names = [name for name in INDEX if name.startswith(tuple(f"{kind}: " for kind in kinds))]
    names = [name for name in names if having is None or INDEX[name][having]]
    pairs = [(name, dtype) for name in names for dtype in INDEX[name].get("dtypes", DTYPES)]
    return pytest.mark.parametrize(("case", "dtype"), pairs, ids=[f"{name}, {dtype}" for name, dtype in pairs])


def distance(a, b):
    """Return the largest |a - b| / max(1, |b|), 0 where both are the same infinity or no number."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    assert a.shape == b.shape
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore", over="ignore"):
        return np.max(np.where(same, 0, np.abs(a - b) / np.maximum(1, np.abs(b))), initial=0)


def assert_agrees(actual, record, what, dtype):
    """``actual`` agrees with what PyTorch gave, and has the dtype."""
    assert actual.dtype == dtype
    truth = record[f"{what}.float64"]
    if dtype == "float64":
        assert distance(actual, truth) <= 1e-12
    else:
        assert distance(actual, truth) <= max(1e-5, 2 * distance(record[f"{what}.float32"], truth))


def build(spec, dtype):
    """Return the layer for ``[class, argument, ...]``, where an argument may be such a list, or a dict of them."""
    kind, *arguments = spec
    arguments = [
        build(argument, dtype)
        if isinstance(argument, list)
        else {name: build(inner, dtype) for name, inner in argument.items()}
        if isinstance(argument, dict)
        else argument
        for argument in arguments
    ]
    return getattr(nn, kind)(*arguments, **({"dtype": dtype} if kind == "Linear" else {}))


def loaded(spec, record, dtype):
    """Return the model with the parameters of a case."""
    model = build(spec, dtype)
    prefix = "parameter:"
    names = [name for name in record.dtype.names if name.startswith(prefix)]
    model.load_state_dict({name.removeprefix(prefix): record[name] for name in names})
    return model


def test_the_vectors_are_small_and_cover_everything_that_pytorch_has():
    assert all(path.stat().st_size < 500_000 for path in FILES)
    specs = json.dumps([config.get("spec") for config in INDEX.values()])
    for layer in ("ArctanSigmoid", "Identity", "Linear", "ReLU", "Residual", "Sequential", "Sigmoid", "Tanh"):
        assert f'["{layer}"' in specs
    losses = {(config["kind"], config["reduction"]) for name, config in INDEX.items() if name.startswith("loss: ")}
    assert losses == {(k, r) for k in ("MSELoss", "CrossEntropyLoss") for r in ("mean", "sum", "none")}
    public = [getattr(nn, name) for name in nn.__all__]
    optimizers = {kind.__name__ for kind in public if isinstance(kind, type) and issubclass(kind, nn.Optimizer)}
    assert set(RULES) == {name.lower() for name in optimizers & set(SIGNATURES)}
    for rule in RULES:
        rows = [config for name, config in INDEX.items() if name.startswith(f"{rule}: ")]
        kind = rows[0]["class"]
        own = {"decoupled_weight_decay"} if kind == "AdamW" else set()
        names = set(getattr(nn, kind)([nn.Parameter(0.0)]).defaults) - own
        for name, other in itertools.product(names, repeat=2):
            pairs = {(str(row["options"][name]), str(row["options"][other])) for row in rows}
            impossible = {name, other} == {"nesterov", "momentum"} or {name, other} == {"nesterov", "dampening"}
            assert len(pairs) == (2 if name == other else 3 if impossible else 4)
        assert any(row["other"] for row in rows)
        assert any(row["frozen"] for row in rows)
        looked_up = [config["options"] for name, config in INDEX.items() if name.startswith(f"rows: {kind} ")]
        assert all(row["options"] in looked_up for row in rows)


@cases("layer")
def test_layers_and_models_give_what_pytorch_gives(case, dtype):
    config, record = INDEX[case], VECTORS[case]
    model = loaded(config["spec"], record, dtype)
    x, grad = record["x"].astype(dtype), record["grad"].astype(dtype)
    assert_agrees(model(x), record, "y", dtype)
    assert_agrees(model.backward(grad), record, "at_input", dtype)
    for name, parameter in model.named_parameters():
        assert_agrees(parameter.grad, record, f"at:{name}", dtype)


@cases("layer")
def test_state_dicts_have_pytorchs_names_order_and_shapes(case, dtype):
    config = INDEX[case]
    state = build(config["spec"], dtype).state_dict()
    assert [[name, list(value.shape)] for name, value in state.items()] == config["state"]


@pytest.mark.parametrize("kind", ["ArctanSigmoid", "ReLU", "Sigmoid", "Tanh"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_activations_reach_their_limits_at_infinity(kind, dtype):
    layer = getattr(nn, kind)()
    limits = {"ArctanSigmoid": (0, 1), "ReLU": (0, np.inf), "Sigmoid": (0, 1), "Tanh": (-1, 1)}[kind]
    np.testing.assert_array_equal(layer(np.array([-np.inf, np.inf], dtype)), np.array(limits, dtype))
    slopes = (0, 1) if kind == "ReLU" else (0, 0)
    np.testing.assert_array_equal(layer.backward(np.ones(2, dtype)), np.array(slopes, dtype))


@cases("loss")
def test_losses_give_what_pytorch_gives(case, dtype):
    config, record = INDEX[case], VECTORS[case]
    loss_fn = getattr(nn, config["kind"])(reduction=config["reduction"])
    target = record["target"]
    prediction = record["prediction"].astype(dtype)
    target = target.astype(dtype) if target.dtype.kind == "f" else target
    assert_agrees(loss_fn(prediction, target), record, "loss", dtype)
    assert_agrees(loss_fn.backward(record["grad"].astype(dtype)), record, "at_prediction", dtype)


HUGE = {"float32": 3e38, "float64": 1.7e308}
LIMITS = {  # logits, label: loss, gradient
    "certain": ([np.inf, 0, 0], 0, 0, [0, 0, 0]),
    "certain and wrong": ([np.inf, 0, 0], 1, np.inf, [1, -1, 0]),
    "impossible": ([-np.inf, 0, 0], 1, np.log(2), [0, -0.5, 0.5]),
    "impossible and right": ([-np.inf, 0, 0], 0, np.inf, [-1, 0.5, 0.5]),
    "far apart": (["huge", "-huge", 0], 0, 0, [0, 0, 0]),
    "huge and alike": (["huge", "huge", "-huge"], 0, np.log(2), [-0.5, 0.5, 0]),
}


@pytest.mark.parametrize("case", LIMITS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_cross_entropy_reaches_its_limits_at_the_ends_of_the_float_line(case, dtype):
    logits, label, loss, gradient = LIMITS[case]
    numbers = {"huge": HUGE[dtype], "-huge": -HUGE[dtype]}
    z = np.array([numbers.get(value, value) if isinstance(value, str) else value for value in logits], dtype)
    loss_fn = nn.CrossEntropyLoss()
    assert distance(loss_fn(z, label), loss) <= {"float64": 1e-15, "float32": 1e-7}[dtype]
    assert distance(loss_fn.backward(), gradient) <= {"float64": 1e-15, "float32": 1e-7}[dtype]


def test_gains_are_pytorchs():
    for name, param, expected in INDEX["init: gains"]["gains"]:
        assert distance(nn.init.calculate_gain(name, param), expected) <= 1e-15


class Recorder(np.random.Generator):
    """A generator that takes down what it is asked to draw between."""

    def __init__(self):
        super().__init__(np.random.PCG64(0))
        self.asked = []

    def uniform(self, low=0.0, high=1.0, size=None):
        self.asked += [low, high]
        return super().uniform(low, high, size)

    def normal(self, loc=0.0, scale=1.0, size=None):
        self.asked += [loc, scale]
        return super().normal(loc, scale, size)


def test_initialisers_draw_from_pytorchs_distributions():
    draws = INDEX["init: draws"]["draws"]
    assert {name for name, *_ in draws} == {
        *("xavier_uniform_", "xavier_normal_"),
        *("kaiming_uniform_", "kaiming_normal_"),
    }
    for name, shape, options, expected in draws:
        rng = Recorder()
        getattr(nn.init, name)(nn.Parameter(np.zeros(shape)), **options, rng=rng)
        assert distance(rng.asked, expected) <= 1e-15


def test_linear_draws_from_pytorchs_distributions():
    for sizes, expected in INDEX["init: Linear"]["linear"]:
        rng = Recorder()
        nn.Linear(*sizes, rng=rng)
        assert distance(rng.asked, expected) <= 1e-15


@pytest.mark.parametrize("name", ["kaiming_uniform_", "xavier_uniform_"])
def test_uniform_initialisers_fill_the_whole_interval_and_no_more(name):
    weight = nn.Parameter(np.zeros((100, 200)))
    getattr(nn.init, name)(weight, rng=0)
    bound = {"kaiming_uniform_": (6 / 200) ** 0.5, "xavier_uniform_": (6 / 300) ** 0.5}[name]
    assert 0.999 * bound < weight.data.max() <= bound
    assert -bound <= weight.data.min() < -0.999 * bound


class Run:
    """An optimizer of a case on its way through the recorded gradients."""

    def __init__(self, case, dtype):
        self.config, self.recorded, self.dtype = INDEX[case], VECTORS["optimizer"], dtype
        self.parameters = [nn.Parameter(self.recorded[name].astype(dtype)) for name in ("weight", "bias")]
        groups = [{"params": self.parameters[:1]}, {"params": self.parameters[1:], **(self.config["other"] or {})}]
        kind = getattr(nn, self.config["class"])
        self.optimizer = kind(groups if self.config["other"] else self.parameters, **self.config["options"])
        self.kept = []

    def go(self, first, last):
        for step, grad in enumerate(self.recorded["grads"].astype(self.dtype), start=1):
            if first <= step <= last:
                self.optimizer.zero_grad()
                self.parameters[1].requires_grad = step not in self.config["frozen"]
                for parameter, part in zip(self.parameters, (grad[:6].reshape(3, 2), grad[6:]), strict=True):
                    parameter.add_grad(part)
                self.optimizer.step()
                if step in INDEX["optimizer"]["steps"]:
                    self.kept.append(self.row([parameter.data for parameter in self.parameters]))
        return self

    def row(self, values):
        return np.concatenate([np.reshape(value, -1) for value in values]).astype(self.dtype)

    def put(self, row):
        """Set the parameters to what a row holds."""
        self.parameters[0].data, self.parameters[1].data = row[:6].reshape(3, 2), row[6:]


def remembered(record, step):
    """Return the names of what PyTorch's optimizer remembers after a step."""
    return [name.removesuffix(f" {step}.float64") for name in record.dtype.names if name.endswith(f" {step}.float64")]


@cases(*RULES)
def test_optimizers_fed_recorded_gradients_move_as_pytorchs(case, dtype):
    run = Run(case, dtype).go(1, 100)
    assert_agrees(np.stack(run.kept), VECTORS[case], "kept", dtype)
    names = remembered(VECTORS[case], 100)
    assert all(set(state) == set(names) for state in run.optimizer.state.values())
    for name in names:
        row = run.row([run.optimizer.state[parameter][name] for parameter in run.parameters])
        assert_agrees(row, VECTORS[case], f"{name} 100", dtype)


@cases(*RULES)
def test_optimizers_saved_and_loaded_halfway_move_as_pytorchs(case, dtype):
    run, twin, halfway = Run(case, dtype), Run(case, dtype), INDEX["optimizer"]["halfway"]
    run.go(1, halfway)
    twin.go(1, 3)  # it is not fresh either
    twin.kept = run.kept
    twin.put(run.row([parameter.data for parameter in run.parameters]))
    twin.optimizer.load_state_dict(run.optimizer.state_dict())
    twin.go(halfway + 1, 100)
    assert_agrees(np.stack(twin.kept), VECTORS[case], "kept", dtype)


@cases(*RULES, having="halfway")
def test_a_state_that_pytorch_saved_is_taken_up(case, dtype):
    record, run, halfway = VECTORS[case], Run(case, dtype), INDEX["optimizer"]["halfway"]
    run.put(record[f"halfway.{dtype}"])
    state = {0: {}, 1: {}}
    for name in remembered(record, halfway):
        row = record[f"{name} {halfway}.{dtype}"]
        parts = row if row.size == 2 else (row[:6].reshape(3, 2), row[6:])
        for index, part in enumerate(parts):
            state[index][name] = np.asarray(part, np.float32) if name == "step" else part  # as PyTorch has it
    run.optimizer.load_state_dict({"state": state, "param_groups": INDEX[case]["halfway"]})
    run.go(halfway + 1, 100)
    assert_agrees(run.kept[-1], {f"kept.{name}": record[f"kept.{name}"][-1] for name in DTYPES}, "kept", dtype)


@cases("trajectory")
def test_models_learn_along_pytorchs_trajectory(case, dtype):
    config, record = INDEX[case], VECTORS[case]
    model = loaded(config["spec"], record, dtype)
    loss_fn = getattr(nn, config["kind"])(reduction=config["reduction"])
    if config["tied"]:
        model[2].weight = model[0].weight
    options = {"optimizer": "SGD", **config["options"]}
    optimizer = getattr(nn, options.pop("optimizer"))(model.parameters(), **options)
    inputs, targets = VECTORS["trajectory"][f"inputs:{config['size']}"].astype(dtype), record["targets"]
    losses = []
    for step in range(100):
        losses.append(loss_fn(model(inputs[step % 5]), targets[step % 5]))
        optimizer.zero_grad()
        model.backward_parameters(loss_fn.backward())
        optimizer.step()
        if step in {0, 99}:
            for name, parameter in model.named_parameters():
                assert_agrees(parameter.data, record, f"after {step + 1}:{name}", dtype)
    assert_agrees(np.array(losses), record, "losses", dtype)
    assert losses[-1] < losses[0]


@cases("rows")
@pytest.mark.parametrize("saved", [False, True])
def test_rows_that_are_looked_up_move_as_pytorchs_and_so_do_the_others(case, dtype, saved):
    config, given = INDEX[case], VECTORS["rows"]
    table = nn.Embedding(7, 3).astype(dtype)
    table.weight.data = given["weight"]
    optimizer = getattr(nn, config["class"])(table.parameters(), **config["options"])
    for step, (rows, grad) in enumerate(zip(given["rows"], given["grads"].astype(dtype), strict=True)):
        if saved and step == 50:
            state, optimizer = optimizer.state_dict(), type(optimizer)(table.parameters())
            optimizer.load_state_dict(state)
        optimizer.zero_grad()
        table(rows)
        table.backward(grad)
        optimizer.step()
    assert_agrees(table.weight.data, VECTORS[case], "weight", dtype)


@cases("embedding")
def test_rows_that_are_looked_up_and_tied_weights_learn_along_pytorchs_trajectory(case, dtype):
    config, given, record = INDEX[case], VECTORS["embedding"], VECTORS[case]
    model = nn.Sequential(nn.Embedding(7, 3), nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3)).astype(dtype)
    model[3].weight = model[1].weight
    parameters = {name: value for name, value in model.named_parameters() if name in given.dtype.names}
    for name, parameter in parameters.items():
        parameter.data = given[name]
    loss_fn = nn.MSELoss(reduction="mean")
    optimizer = getattr(nn, config["class"])(model.parameters(), **config["options"])
    losses = []
    for step in range(100):
        losses.append(loss_fn(model(given["rows"][step % 5]), given["targets"][step % 5]))
        optimizer.zero_grad()
        model.backward_parameters(loss_fn.backward())
        optimizer.step()
    assert_agrees(np.array(losses), record, "losses", dtype)
    for name, parameter in parameters.items():
        assert_agrees(parameter.data, record, f"after 100:{name}", dtype)
    assert len(parameters) == 4
    assert losses[-1] < losses[0]
