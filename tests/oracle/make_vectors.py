"""Makes the frozen vectors that the tests hold tinynn against: what PyTorch computes, for inputs drawn by NumPy.

    python tests/oracle/make_vectors.py           writes vectors.npz beside this file
    python tests/oracle/make_vectors.py --check   makes them anew and compares; exit code 1 and a list if any differ

The file holds a record of named arrays for each case, and one text, ``index``, in JSON: for each case what to build.
Inputs, parameters and incoming gradients are float32 numbers, which are exact in float64 as well; results are stored
once from float64 (``<what>.float64``) and once from float32 (``<what>.float32``). Nothing here knows tinynn.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

FILE = Path(__file__).with_name("vectors.npz")
TOLERANCES = {"float64": 1e-12, "float32": 1e-5}
DTYPES = {"float64": torch.float64, "float32": torch.float32}
STEPS_KEPT = (1, 2, 3, 10, 100)

Arrays = dict[str, np.ndarray]


def draw(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.normal(size=shape).astype(np.float32)


# Layers and models


class ArctanSigmoid(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.atan(x) / torch.pi + 0.5


class Residual(torch.nn.Module):
    def __init__(self, layer: torch.nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layer(x)


CLASSES = {
    "ArctanSigmoid": ArctanSigmoid,
    "Identity": torch.nn.Identity,
    "Linear": torch.nn.Linear,
    "ReLU": torch.nn.ReLU,
    "Residual": Residual,
    "Sigmoid": torch.nn.Sigmoid,
    "Tanh": torch.nn.Tanh,
}


def build(spec: list[Any]) -> torch.nn.Module:
    """Return the module for ``[class, argument, ...]``, where an argument may be such a list, or a dict of them."""
    kind, *arguments = spec
    if kind == "Sequential" and arguments and isinstance(arguments[0], dict):
        model = torch.nn.Sequential()
        for name, inner in arguments[0].items():
            model.add_module(name, build(inner))
        return model
    arguments = [build(argument) if isinstance(argument, list) else argument for argument in arguments]
    return torch.nn.Sequential(*arguments) if kind == "Sequential" else CLASSES[kind](*arguments)


def parameters_for(module: torch.nn.Module, rng: np.random.Generator) -> Arrays:
    return {name: draw(rng, *value.shape) for name, value in module.state_dict().items()}


def loaded(spec: list[Any], parameters: Arrays, dtype: torch.dtype) -> torch.nn.Module:
    model = build(spec).to(dtype)
    model.load_state_dict({name: torch.from_numpy(value) for name, value in parameters.items()})
    return model


def layer_case(spec: list[Any], shape: tuple[int, ...], seed: int, x: np.ndarray | None = None) -> tuple[Any, Arrays]:
    """Return what a layer or a model gives, forward and backward."""
    rng = np.random.default_rng(seed)
    parameters = parameters_for(build(spec), rng)
    x = 2 * draw(rng, *shape) if x is None else x
    arrays: Arrays = {"x": x, **{f"parameter:{name}": value for name, value in parameters.items()}}
    dtypes = ["float64"] if x.dtype == np.float64 else list(DTYPES)
    for name in dtypes:
        model = loaded(spec, parameters, DTYPES[name])
        at = torch.from_numpy(x).to(DTYPES[name]).requires_grad_()
        y = model(at)
        if "grad" not in arrays:
            arrays["grad"] = draw(rng, *y.shape)
        y.backward(torch.from_numpy(arrays["grad"]).to(DTYPES[name]))
        arrays[f"y.{name}"] = y.detach().numpy()
        arrays[f"at_input.{name}"] = at.grad.numpy()
        for path, value in model.named_parameters():
            arrays[f"at:{path}.{name}"] = value.grad.numpy()
    keys = [[name, list(value.shape)] for name, value in build(spec).state_dict().items()]
    return {"spec": spec, "state": keys, "dtypes": dtypes}, arrays


LINEAR_SHAPES = {"1-D": (3,), "2-D": (5, 3), "one row": (1, 3), "3-D": (2, 4, 3), "4-D": (2, 1, 2, 3), "empty": (0, 3)}
ACTIVATIONS = ("ArctanSigmoid", "ReLU", "Sigmoid", "Tanh")
FAR = [0.0, 1e-3, 0.5, 1.0, 5.0, 17.0, 20.0, 37.0, 88.0, 89.0, 104.0, 709.0, 746.0, 1e4, 1e10, 1.8e19, 2e19, 1e30]
SPECIAL = {
    "float32": np.array([*FAR, 3e38, 1e-40, 1e-45, np.inf], np.float32),
    "float64": np.array([*FAR, 1e154, 1.4e154, 1.7e308, 1e-310, 5e-324, np.inf], np.float64),
}
MODELS = {
    "note": ["Sequential"]
    + [part for sizes in ((3, 2), (2, 3), (3, 4)) for part in (["Linear", *sizes], ["ArctanSigmoid"])],
    "classifier": ["Sequential", ["Linear", 4, 8], ["ReLU"], ["Linear", 8, 8], ["ReLU"], ["Linear", 8, 3]],
    "named": [
        "Sequential",
        {
            "encoder": ["Sequential", ["Linear", 4, 3], ["Tanh"]],
            "empty": ["Sequential"],
            "decoder": ["Sequential", {"hidden": ["Linear", 3, 5, False], "act": ["Sigmoid"], "out": ["Linear", 5, 2]}],
        },
    ],
    "residual": [
        "Sequential",
        ["Linear", 3, 4],
        ["Residual", ["Sequential", ["Linear", 4, 4], ["Tanh"], ["Residual", ["Linear", 4, 4]]]],
        ["Identity"],
        ["Sequential", ["Sigmoid"], ["Linear", 4, 2]],
    ],
}
TIED = [
    "Sequential",
    ["Linear", 3, 3],
    ["Tanh"],
    ["Linear", 3, 3],
    ["Sigmoid"],
    ["Linear", 3, 2],
]  # two weights are one


def layer_cases() -> Iterator[tuple[str, Any, Arrays]]:
    for (name, shape), bias in itertools.product(LINEAR_SHAPES.items(), (True, False)):
        kind = "with bias" if bias else "without bias"
        yield f"layer: Linear {kind}, {name}", *layer_case(["Linear", 3, 4, bias], shape, seed=1)
    for kind in ACTIVATIONS:
        yield f"layer: {kind}, random", *layer_case([kind], (4, 6), seed=2)
        yield f"layer: {kind}, one sample", *layer_case([kind], (6,), seed=3)
        for dtype, values in SPECIAL.items():
            x = np.concatenate([values, -values])
            yield f"layer: {kind}, special {dtype}", *layer_case([kind], x.shape, seed=4, x=x)
    for name, spec in MODELS.items():
        size = 4 if name in {"classifier", "named"} else 3
        yield f"layer: model {name}", *layer_case(spec, (5, size), seed=5)
        yield f"layer: model {name}, one sample", *layer_case(spec, (size,), seed=6)


# Losses


def loss_case(kind: str, reduction: str, prediction: np.ndarray, target: np.ndarray, seed: int) -> tuple[Any, Arrays]:
    arrays: Arrays = {"prediction": prediction, "target": target}
    for name, dtype in DTYPES.items():
        at = torch.from_numpy(prediction).to(dtype).requires_grad_()
        goal = torch.from_numpy(target)
        goal = goal.to(dtype) if goal.is_floating_point() else goal.to(torch.int64)
        loss = getattr(torch.nn, kind)(reduction=reduction)(at, goal)
        if "grad" not in arrays:
            arrays["grad"] = draw(np.random.default_rng(seed), *loss.shape)
        loss.backward(torch.from_numpy(arrays["grad"]).to(dtype))
        arrays[f"loss.{name}"] = loss.detach().numpy()
        arrays[f"at_prediction.{name}"] = at.grad.numpy()
    return {"kind": kind, "reduction": reduction, "dtypes": list(DTYPES)}, arrays


def loss_cases() -> Iterator[tuple[str, Any, Arrays]]:
    rng = np.random.default_rng(7)
    for reduction in ("mean", "sum", "none"):
        for shape in ((5, 4), (4,), (2, 3, 4), (1, 1), ()):
            case = loss_case("MSELoss", reduction, draw(rng, *shape), draw(rng, *shape), seed=8)
            yield f"loss: MSELoss {reduction} {shape}", *case
        for shape in ((6, 4), (4,), (5, 3, 2), (2, 3, 2, 2), (3, 1)):
            axis = min(len(shape) - 1, 1)
            for spread, offset in ((1, 0), (300, 0), (1, 1e4), (1, -1e6)):
                logits = (spread * draw(rng, *shape) + offset).astype(np.float32)
                labels = rng.integers(shape[axis], size=shape[:axis] + shape[axis + 1 :])
                weights = np.exp(draw(rng, *shape))
                weights[rng.uniform(size=shape) < 0.2] = 0
                probabilities = weights / np.maximum(weights.sum(axis=axis, keepdims=True), 1e-3)
                name = f"{reduction} {shape}" + (
                    "" if (spread, offset) == (1, 0) else f", spread {spread}, offset {offset:g}"
                )
                yield (
                    f"loss: CrossEntropyLoss labels {name}",
                    *loss_case("CrossEntropyLoss", reduction, logits, np.asarray(labels), seed=9),
                )
                targets = {"probabilities": probabilities.astype(np.float32), "weights": weights.astype(np.float32)}
                for kind, target in targets.items():
                    yield (
                        f"loss: CrossEntropyLoss {kind} {name}",
                        *loss_case("CrossEntropyLoss", reduction, logits, target, seed=10),
                    )


# Initialisers: the bounds that PyTorch draws between, taken down instead of drawn


def recorded(function: Callable[..., object], *arguments: Any, **options: Any) -> list[float]:
    """Return the numbers that PyTorch hands to its generator in a call: bounds, or mean and standard deviation."""
    numbers: list[float] = []

    def note_down(tensor: torch.Tensor, a: float, b: float, generator: object = None) -> torch.Tensor:
        numbers.extend((float(a), float(b)))
        return tensor

    with mock.patch.object(torch.Tensor, "uniform_", note_down), mock.patch.object(torch.Tensor, "normal_", note_down):
        function(*arguments, **options)
    return numbers


def init_cases() -> Iterator[tuple[str, Any, Arrays]]:
    init = torch.nn.init
    names = ["linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu"]
    gains = [[name, None, float(init.calculate_gain(name))] for name in names]
    gains += [["leaky_relu", slope, float(init.calculate_gain("leaky_relu", slope))] for slope in (0.2, 1.0, 5**0.5)]
    yield "init: gains", {"gains": gains}, {}
    draws = []
    for shape in ((4, 3), (1, 1), (2, 300), (6, 3, 5), (8, 4, 3, 3)):
        for name, gain in itertools.product(("xavier_uniform_", "xavier_normal_"), (1.0, 5 / 3)):
            options: dict[str, Any] = {"gain": gain}
            draws.append([name, shape, options, recorded(getattr(init, name), torch.empty(shape), **options)])
        for name, a, mode, nonlinearity in itertools.product(
            ("kaiming_uniform_", "kaiming_normal_"),
            (0.0, 0.3, 5**0.5),
            ("fan_in", "fan_out"),
            ("leaky_relu", "relu", "tanh", "linear"),
        ):
            options = {"a": a, "mode": mode, "nonlinearity": nonlinearity}
            draws.append([name, shape, options, recorded(getattr(init, name), torch.empty(shape), **options)])
    yield "init: draws", {"draws": draws}, {}
    linear = [[sizes, recorded(torch.nn.Linear, *sizes)] for sizes in ((3, 2), (1, 1), (64, 10))]
    yield "init: Linear", {"linear": linear}, {}


# Optimizers


def sgd_options() -> Iterator[dict[str, Any]]:
    """Yield every combination of SGD's arguments at two values each, where PyTorch allows it."""
    for lr, momentum, dampening, weight_decay, nesterov, maximize in itertools.product(
        (1e-3, 0.1), (0.0, 0.9), (0.0, 0.3), (0.0, 0.05), (False, True), (False, True)
    ):
        if not nesterov or (momentum > 0 and dampening == 0):
            yield {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
            }


OTHER_GROUP = {"lr": 0.02, "weight_decay": 0.1}
FROZEN = range(20, 40)  # the steps in which the bias is, where it is
HALFWAY = 50


def recorded_gradients() -> Arrays:
    """Return what every optimizer starts from and is fed with."""
    rng = np.random.default_rng(11)
    return {"weight": draw(rng, 3, 2), "bias": draw(rng, 2), "grads": draw(rng, 100, 8)}


def optimizer_case(kind: str, options: dict[str, Any], variant: str) -> tuple[Any, Arrays]:
    """Return what parameters are after some of 100 steps, and what the optimizer remembers in the middle and then."""
    recorded = recorded_gradients()
    other = OTHER_GROUP if variant == "groups" else None
    frozen = FROZEN if variant == "frozen" else range(0)
    arrays: Arrays = {}
    halfway: Any = None
    for name, dtype in DTYPES.items():
        parameters = [torch.tensor(recorded[key], dtype=dtype, requires_grad=True) for key in ("weight", "bias")]
        grouped = [{"params": parameters[:1]}, {"params": parameters[1:], **(other or {})}]
        optimizer = getattr(torch.optim, kind)(grouped if other else parameters, **options)
        kept = []
        for step, row in enumerate(torch.from_numpy(recorded["grads"]).to(dtype), start=1):
            parameters[0].grad = row[:6].reshape(3, 2).clone()
            parameters[1].grad = None if step in frozen else row[6:].clone()
            optimizer.step()
            if step in STEPS_KEPT:
                kept.append(torch.cat([value.detach().reshape(-1) for value in parameters]).numpy())
            if step == 100 or (step == HALFWAY and other):
                for key in optimizer.state[parameters[0]]:
                    states = [optimizer.state[value][key] for value in parameters]
                    row = torch.cat([state.detach().reshape(-1).to(dtype) for state in states])
                    arrays[f"{key} {step}.{name}"] = row.numpy().copy()
            if step == HALFWAY and other:
                row = torch.cat([value.detach().reshape(-1) for value in parameters])
                arrays[f"halfway.{name}"] = row.numpy().copy()
                halfway = optimizer.state_dict()["param_groups"]
        arrays[f"kept.{name}"] = np.stack(kept)
    config = {"class": kind, "options": options, "other": other, "frozen": [*frozen], "halfway": halfway}
    return config, arrays


def sgd_cases() -> Iterator[tuple[str, Any, Arrays]]:
    """SGD fed recorded gradients: the same ones in every case."""
    yield "optimizer", {"steps": STEPS_KEPT, "halfway": HALFWAY}, recorded_gradients()
    for number, (options, variant) in enumerate(itertools.product(sgd_options(), ("plain", "groups", "frozen"))):
        yield f"sgd: {number}", *optimizer_case("SGD", options, variant)


def in_pairs(values: dict[str, tuple[Any, Any]]) -> Iterator[dict[str, Any]]:
    """Yield eight rows of up to seven options, in which any two options meet in all four combinations."""
    for a, b, c in itertools.product((0, 1), repeat=3):
        columns = (a, b, c, a ^ b, a ^ c, b ^ c, a ^ b ^ c)
        yield {name: both[column] for (name, both), column in zip(values.items(), columns, strict=False)}


ADAMW_OPTIONS: dict[str, tuple[Any, Any]] = {
    "lr": (1e-3, 0.05),
    "betas": ((0.9, 0.999), (0.5, 0.9)),
    "eps": (1e-8, 1e-2),
    "weight_decay": (0.0, 0.1),
    "amsgrad": (False, True),
    "maximize": (False, True),
}
ADAM_OPTIONS = {**ADAMW_OPTIONS, "decoupled_weight_decay": (False, True)}


def adam_cases() -> Iterator[tuple[str, Any, Arrays]]:
    for kind, options in (("Adam", ADAM_OPTIONS), ("AdamW", ADAMW_OPTIONS)):
        for number, (row, variant) in enumerate(itertools.product(in_pairs(options), ("plain", "groups", "frozen"))):
            yield f"{kind.lower()}: {number}", *optimizer_case(kind, row, variant)


# Whole models that learn


def half(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The note's loss (6), averaged over the samples of a batch."""
    return 0.5 * ((prediction - target) ** 2).sum() / len(prediction)


def trajectories() -> Iterator[tuple[str, Any, Arrays]]:
    rng = np.random.default_rng(12)
    labels = rng.integers(3, size=(5, 8))
    goals = np.exp(draw(rng, 5, 8, 3))
    inputs = {size: draw(rng, 5, 8, size) for size in (3, 4)}
    yield "trajectory", {}, {"inputs:3": inputs[3], "inputs:4": inputs[4]}
    plans: dict[str, tuple[list[Any], str, str, np.ndarray, dict[str, Any]]] = {
        "note": (MODELS["note"], "MSELoss", "half", rng.uniform(size=(5, 8, 4)), {"lr": 0.5}),
        "note, slowly": (MODELS["note"], "MSELoss", "half", rng.uniform(size=(5, 8, 4)), {"lr": 0.001}),
        "classifier": (
            MODELS["classifier"],
            "CrossEntropyLoss",
            "mean",
            labels,
            {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-3},
        ),
        "soft labels": (
            MODELS["classifier"],
            "CrossEntropyLoss",
            "sum",
            goals / goals.sum(axis=2, keepdims=True),
            {"lr": 0.005, "momentum": 0.5, "dampening": 0.2},
        ),
        "named": (MODELS["named"], "MSELoss", "mean", draw(rng, 5, 8, 2), {"lr": 0.1, "momentum": 0.9}),
        "residual": (MODELS["residual"], "MSELoss", "sum", draw(rng, 5, 8, 2), {"lr": 0.002, "weight_decay": 0.01}),
        "classifier, Adam": (
            MODELS["classifier"],
            "CrossEntropyLoss",
            "mean",
            labels,
            {"optimizer": "Adam", "lr": 0.02},
        ),
        "tied, AdamW": (TIED, "MSELoss", "mean", inputs[4][..., :2], {"optimizer": "AdamW", "lr": 0.05}),
    }
    for name, (spec, kind, reduction, targets, options) in plans.items():
        tied = spec is TIED
        targets = targets.astype(np.float32) if targets.dtype.kind == "f" else targets
        parameters = {key: (0.7 * value).astype(np.float32) for key, value in parameters_for(build(spec), rng).items()}
        if tied:
            parameters["2.weight"] = parameters["0.weight"]
        size = parameters[next(iter(parameters))].shape[1]
        arrays: Arrays = {"targets": targets, **{f"parameter:{key}": value for key, value in parameters.items()}}
        for precision, dtype in DTYPES.items():
            model = loaded(spec, parameters, dtype)
            if tied:
                model[2].weight = model[0].weight
            rule = {name: value for name, value in options.items() if name != "optimizer"}
            optimizer = getattr(torch.optim, options.get("optimizer", "SGD"))(model.parameters(), **rule)
            loss_fn = half if reduction == "half" else getattr(torch.nn, kind)(reduction=reduction)
            xs = torch.from_numpy(inputs[size]).to(dtype)
            ys = torch.from_numpy(targets)
            ys = ys.to(dtype) if ys.is_floating_point() else ys
            losses = []
            for step in range(100):
                loss = loss_fn(model(xs[step % 5]), ys[step % 5])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
                if step == 0:
                    for key, value in model.named_parameters():
                        arrays[f"after 1:{key}.{precision}"] = value.detach().numpy().copy()
            arrays[f"losses.{precision}"] = np.array(losses, precision)
            for key, value in model.named_parameters():
                arrays[f"after 100:{key}.{precision}"] = value.detach().numpy()
        plan = {"spec": spec, "kind": kind, "reduction": reduction, "options": options, "size": size, "tied": tied}
        yield f"trajectory: {name}", plan, arrays


# The file


def packed(*cases: Iterator[tuple[str, Any, Arrays]]) -> Arrays:
    """Return a file's entries: a record for each case that has arrays, and the index."""
    index: dict[str, Any] = {}
    records: Arrays = {}
    for name, config, arrays in itertools.chain(*cases):
        index[name] = config
        if arrays:
            record = np.zeros((), [(what, array.dtype, array.shape) for what, array in arrays.items()])
            for what, array in arrays.items():
                record[what] = array
            records[name] = record
    return {"index": np.array(json.dumps(index)), **records}


def make() -> Arrays:
    return packed(layer_cases(), loss_cases(), init_cases(), sgd_cases(), adam_cases(), trajectories())


def flat(records: Arrays) -> Arrays:
    """Return all arrays of all records as ``<case>/<what>``."""
    arrays: Arrays = {}
    for case, record in records.items():
        fields = record.dtype.names
        arrays |= {case: record} if fields is None else {f"{case}/{what}": record[what] for what in fields}
    return arrays


def differences(old: Arrays, new: Arrays) -> Iterator[str]:
    """Yield a line for everything in which two sets of vectors differ by more than rounding."""
    for name in sorted(set(old) | set(new)):
        if name not in old or name not in new:
            yield f"{name}: only in the {'new' if name in new else 'old'} vectors"
            continue
        a, b = new[name], old[name]
        if a.shape != b.shape or a.dtype != b.dtype:
            yield f"{name}: {a.dtype} {a.shape}, was {b.dtype} {b.shape}"
            continue
        kind = name.rpartition(".")[2]
        if kind not in TOLERANCES:
            if not np.array_equal(a, b, equal_nan=a.dtype.kind == "f"):
                yield f"{name}: drawn or described differently"
            continue
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        with np.errstate(invalid="ignore", over="ignore"):
            distance = np.where(same, 0, np.abs(a - b) / np.maximum(1, np.abs(b)))
        if not np.max(distance, initial=0) <= TOLERANCES[kind]:
            yield f"{name}: off by {np.max(distance):.1e}, allowed {TOLERANCES[kind]:.0e}"


def main(path: Path, make: Callable[[], Arrays], description: str) -> int:
    """Write or check a file, as the command line asks for."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the file instead of writing it")
    arguments = parser.parse_args()
    new = make()
    if not arguments.check:
        np.savez_compressed(path, **new)
        print(f"{path.name}: {len(new) - 1} cases, {path.stat().st_size / 1000:.0f} kB, PyTorch {torch.__version__}")
        return 0
    with np.load(path) as file:
        lines = list(differences(flat({name: file[name] for name in file.files}), flat(new)))
    for line in lines:
        print(line)
    print(f"{len(lines)} of {len(flat(new))} arrays differ, PyTorch {torch.__version__}")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(FILE, make, __doc__))
