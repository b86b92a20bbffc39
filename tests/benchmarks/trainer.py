"""What the trainer costs beside the loop that one would write by hand: the same model, the same batches, in turns.

python tests/benchmarks/trainer.py
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

import tinynn as nn
from tests.benchmarks.cases import Case
from tests.benchmarks.contenders.framework import model_of, optimizer_of

CASES = {  # steps in an epoch
    Case((784, 256, 128, 10), 128, "float32"): 50,
    Case((3, 2, 3, 4), 1, "float32"): 2000,
}
Epoch = Callable[[], object]


def data_of(case: Case, steps: int) -> tuple[np.ndarray, np.ndarray]:
    rng, samples = np.random.default_rng(0), steps * case.batch
    x, y = rng.normal(size=(samples, case.sizes[0])), rng.uniform(size=(samples, case.sizes[-1]))
    return x.astype(case.dtype), y.astype(case.dtype)


def by_hand(case: Case, x: np.ndarray, y: np.ndarray) -> Epoch:
    model, loss_fn = model_of(case), nn.MSELoss()
    optimizer = optimizer_of(case, model)
    batches = nn.data.batches(x, y, case.batch, shuffle=True, rng=0)

    def epoch() -> float:
        total = 0.0
        for xs, ys in batches:
            loss = loss_fn(model(xs), ys)
            total += loss.item() * len(xs)
            optimizer.zero_grad()
            model.backward_parameters(loss_fn.backward())
            optimizer.step()
        return total / len(x)

    return epoch


def by_trainer(case: Case, x: np.ndarray, y: np.ndarray) -> Epoch:
    model = model_of(case)
    trainer = nn.Trainer(model, nn.MSELoss(), optimizer_of(case, model))
    loader = nn.DataLoader((x, y), case.batch, shuffle=True, rng=0)
    return lambda: trainer.fit(loader, progress=False)["loss"][-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=41, help="epochs of each, in turns")
    rounds = parser.parse_args().rounds
    for case, steps in CASES.items():
        x, y = data_of(case, steps)
        contenders = {"by hand": by_hand(case, x, y), "trainer": by_trainer(case, x, y)}
        times: dict[str, list[float]] = {name: [] for name in contenders}
        for number in range(rounds):
            losses = []
            for name in sorted(contenders, reverse=bool(number % 2)):
                start = time.perf_counter()
                losses.append(contenders[name]())
                times[name].append((time.perf_counter() - start) / steps * 1e6)
            if losses[0] != losses[1]:
                sys.exit(f"they do not compute the same: {losses}")
        pairs = list(zip(times["trainer"], times["by hand"], strict=True))
        ratio = statistics.median(a / b for a, b in pairs)
        extra = statistics.median(a - b for a, b in pairs)
        medians = ", ".join(f"{name} {statistics.median(values):.1f} µs" for name, values in times.items())
        print(f"{case}: {medians} per step; ratio {ratio:.3f}, {extra:+.1f} µs")


if __name__ == "__main__":
    main()
