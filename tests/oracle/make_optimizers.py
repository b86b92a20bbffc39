"""Makes the frozen vectors for optimizers beside SGD and Adam, and for schedules: what PyTorch does, step by step.

    python tests/oracle/make_optimizers.py           writes optimizers.npz beside this file
    python tests/oracle/make_optimizers.py --check   makes them anew and compares; exit code 1 and a list if any differ

The file is like that of ``make_vectors.py``, and its optimizers are fed with the gradients recorded there. Nothing here
knows tinynn.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))  # the checkout

from tests.oracle.make_vectors import (
    ADAM_OPTIONS,
    ADAMW_OPTIONS,
    DTYPES,
    Arrays,
    draw,
    in_pairs,
    main,
    optimizer_case,
    packed,
    sgd_options,
)
from tests.oracle.schedules import CASES, HALF, STEPS, follow

FILE = Path(__file__).with_name("optimizers.npz")

OPTIONS: dict[str, dict[str, tuple[Any, Any]]] = {
    "RMSprop": {
        "lr": (1e-3, 0.05),
        "alpha": (0.99, 0.5),
        "eps": (1e-8, 1e-2),
        "weight_decay": (0.0, 0.1),
        "momentum": (0.0, 0.9),
        "centered": (False, True),
        "maximize": (False, True),
    },
    "Adagrad": {
        "lr": (1e-2, 0.1),
        "lr_decay": (0.0, 0.1),
        "weight_decay": (0.0, 0.1),
        "initial_accumulator_value": (0.0, 0.5),
        "eps": (1e-10, 1e-2),
        "maximize": (False, True),
    },
    "Adadelta": {
        "lr": (1.0, 0.1),
        "rho": (0.9, 0.5),
        "eps": (1e-6, 1e-2),
        "weight_decay": (0.0, 0.1),
        "maximize": (False, True),
    },
    "NAdam": {
        "lr": (2e-3, 0.05),
        "betas": ((0.9, 0.999), (0.5, 0.9)),
        "eps": (1e-8, 1e-2),
        "weight_decay": (0.0, 0.1),
        "momentum_decay": (4e-3, 0.1),
        "decoupled_weight_decay": (False, True),
        "maximize": (False, True),
    },
    "RAdam": {
        "lr": (1e-3, 0.05),
        "betas": ((0.9, 0.999), (0.5, 0.9)),
        "eps": (1e-8, 1e-2),
        "weight_decay": (0.0, 0.1),
        "decoupled_weight_decay": (False, True),
        "maximize": (False, True),
    },
}


def optimizer_cases() -> Iterator[tuple[str, Any, Arrays]]:
    for kind, options in OPTIONS.items():
        for number, (row, variant) in enumerate(itertools.product(in_pairs(options), ("plain", "groups", "frozen"))):
            yield f"{kind.lower()}: {number}", *optimizer_case(kind, row, variant)


# A table of which every step looks up some rows: the others have gradients of zero


def row_cases() -> Iterator[tuple[str, Any, Arrays]]:
    rng = np.random.default_rng(17)
    given = {"weight": draw(rng, 7, 3), "rows": rng.integers(6, size=(100, 4)), "grads": draw(rng, 100, 4, 3)}
    yield "rows", {}, given  # nobody looks the last row up
    rules = {"Adam": in_pairs(ADAM_OPTIONS), "AdamW": in_pairs(ADAMW_OPTIONS), "SGD": sgd_options()}
    rules |= {kind: in_pairs(options) for kind, options in OPTIONS.items()}
    for kind, number, options in ((kind, *row) for kind, rows in rules.items() for row in enumerate(rows)):
        arrays: Arrays = {}
        for name, dtype in DTYPES.items():
            table = torch.nn.Embedding.from_pretrained(torch.tensor(given["weight"], dtype=dtype), freeze=False)
            optimizer = getattr(torch.optim, kind)(table.parameters(), **options)
            for rows, grad in zip(given["rows"], given["grads"], strict=True):
                optimizer.zero_grad()
                table(torch.from_numpy(rows)).backward(torch.tensor(grad, dtype=dtype))
                optimizer.step()
            arrays[f"weight.{name}"] = table.weight.detach().numpy()
        yield f"rows: {kind} {number}", {"class": kind, "options": options}, arrays


# A model with a table of which every batch looks up some rows, and a weight in two places

LEARNED = {
    "SGD": {"lr": 0.1, "momentum": 0.9},
    "Adam": {"lr": 0.02},
    "AdamW": {"lr": 0.02},
    "RMSprop": {"lr": 0.01, "momentum": 0.5, "centered": True, "weight_decay": 0.01},
    "Adagrad": {"lr": 0.1},
    "Adadelta": {"lr": 1.0},
    "NAdam": {"lr": 0.02},
    "RAdam": {"lr": 0.02, "weight_decay": 0.01},
}


def embedding_cases() -> Iterator[tuple[str, Any, Arrays]]:
    rng = np.random.default_rng(13)
    parameters = {
        "0.weight": draw(rng, 7, 3),
        "1.weight": draw(rng, 3, 3),
        "1.bias": draw(rng, 3),
        "3.bias": draw(rng, 3),
    }
    rows, targets = rng.integers(6, size=(5, 8)), draw(rng, 5, 8, 3)  # nobody looks the last row up
    yield "embedding", {}, {"rows": rows, "targets": targets, **parameters}
    for kind, options in LEARNED.items():
        arrays: Arrays = {}
        for name, dtype in DTYPES.items():
            model = torch.nn.Sequential(
                torch.nn.Embedding(7, 3), torch.nn.Linear(3, 3), torch.nn.Tanh(), torch.nn.Linear(3, 3)
            ).to(dtype)
            model[3].weight = model[1].weight
            with torch.no_grad():
                for key, value in parameters.items():
                    model.get_parameter(key).copy_(torch.from_numpy(value))
            optimizer = getattr(torch.optim, kind)(model.parameters(), **options)
            losses = []
            for step in range(100):
                loss = torch.nn.functional.mse_loss(
                    model(torch.from_numpy(rows[step % 5])), torch.from_numpy(targets[step % 5]).to(dtype)
                )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
            arrays[f"losses.{name}"] = np.array(losses, name)
            for key in parameters:
                arrays[f"after 100:{key}.{name}"] = model.get_parameter(key).detach().numpy()
        yield f"embedding: {kind}", {"class": kind, "options": options}, arrays


# Schedules


def schedule_cases() -> Iterator[tuple[str, Any, Arrays]]:
    for name, case in CASES.items():
        parameters = [torch.nn.Parameter(torch.zeros(2)) for _ in range(2)]
        optimizer = case.optimizer(torch.optim, parameters)
        scheduler = case.build(torch.optim.lr_scheduler, optimizer)
        first = follow(case, optimizer, scheduler, range(HALF))
        states = {"schedule": scheduler.state_dict(), "groups": optimizer.state_dict()["param_groups"]}
        text = json.dumps(states, default=lambda value: None)  # functions
        second = follow(case, optimizer, scheduler, range(HALF, STEPS))
        arrays = {f"{what}.float64": np.array([*first[what], *second[what]]) for what in first}
        yield f"schedule: {name}", {"halfway": json.loads(text)}, arrays


def make() -> Arrays:
    torch.set_default_dtype(torch.float64)  # or NAdam multiplies its momenta up in single precision
    return packed(optimizer_cases(), row_cases(), embedding_cases(), schedule_cases())


if __name__ == "__main__":
    sys.exit(main(FILE, make, __doc__))
