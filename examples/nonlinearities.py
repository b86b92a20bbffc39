"""Five nonlinearities on the same task, at depths from 2 to 20, from PyTorch's default start and from one that suits.

The task is that of `digits.py`: 1,797 pictures of 8 × 8 pixels, 30 % of them held out. Every network has hidden layers
of 64 neurons and is trained in the same way, with SGD and momentum, for the same number of steps. The learning rate is
the one of three with the lowest training loss at the end, for each network by itself; the held-out part has no say.

    python examples/nonlinearities.py              a table and pictures/nonlinearities.png
    python examples/nonlinearities.py --seed 1     another split, other weights
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

import tinynn as nn
from tinynn import init
from tinynn.typing import Array

try:
    from matplotlib.figure import Figure
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
    from threadpoolctl import threadpool_limits
except ImportError as error:
    message = 'this example draws and reads data with optional packages: python -m pip install -e ".[examples]"'
    raise nn.errors.MissingExtraError(message) from error

DEPTHS = (2, 5, 10, 20)  # hidden layers
WIDTH = 64
RATES = (0.003, 0.03, 0.3)
MOMENTUM = 0.9
EPOCHS = 10
BATCH_SIZE = 64


@dataclass(frozen=True)
class Start:
    """Where the weights and biases of a network start."""

    weight: Callable[..., object] | None = None
    bias: Callable[..., object] | None = None


@dataclass(frozen=True)
class Contender:
    """A nonlinearity and the start that was made for it."""

    layer: Callable[[], nn.Layer]
    suitable: Start
    color: str


DEFAULT = Start()
KAIMING = Start(partial(init.kaiming_normal_, nonlinearity="relu"), init.zeros_)
XAVIER = Start(partial(init.xavier_normal_, gain=init.calculate_gain("tanh")), init.zeros_)
CONTENDERS = {
    "arctan sigmoid": Contender(nn.ArctanSigmoid, Start(init.arctan_sigmoid_), "C0"),
    # its slope at 0 is 1/4, not 1/π: the same computation asks for a gain of a little more than 4
    "logistic": Contender(nn.Sigmoid, Start(partial(init.arctan_sigmoid_, gain=5.0)), "C1"),
    "tanh": Contender(nn.Tanh, XAVIER, "C2"),
    "ReLU": Contender(nn.ReLU, KAIMING, "C3"),
    "GELU": Contender(nn.GELU, KAIMING, "C4"),
}


@dataclass
class Result:
    """What became of one network."""

    loss: float  # on the training part, in the last epoch
    accuracy: float  # on the held-out part
    rate: float


def build_model(layer: Callable[[], nn.Layer], start: Start, depth: int, rng: np.random.Generator) -> nn.Sequential:
    """Return a network for 64 pixels and 10 digits with ``depth`` hidden layers."""
    linear = partial(nn.Linear, rng=rng, dtype=np.float32, weight_init=start.weight, bias_init=start.bias)
    model = nn.Sequential()
    for _ in range(depth):
        model.append(linear(64 if len(model) == 0 else WIDTH, WIDTH))
        model.append(layer())
    return model.append(linear(WIDTH, 10))


@np.errstate(over="ignore", invalid="ignore")  # of rates that are too high
def train(model: nn.Sequential, data: list[Array], rate: float, epochs: int, rng: np.random.Generator) -> Result:
    """Train a network and look at the held-out part once, at the end."""
    train_x, test_x, train_y, test_y = data
    loss_fn = nn.CrossEntropyLoss()
    optimizer = nn.SGD(model.parameters(), lr=rate, momentum=MOMENTUM)
    total = 0.0
    for _ in range(epochs):
        total = 0.0
        for x, target in nn.data.batches(train_x, train_y, BATCH_SIZE, shuffle=True, rng=rng):
            loss = loss_fn(model(x), target)
            if not np.isfinite(loss):
                return Result(np.inf, 0.1, rate)
            optimizer.zero_grad()
            model.backward_parameters(loss_fn.backward())
            optimizer.step()
            total += loss.item() * len(x)
    with nn.no_grad():
        predictions = model(test_x).argmax(axis=1)
    return Result(total / len(train_x), float(np.mean(predictions == test_y)), rate)


def load(seed: int) -> list[Array]:
    """Return the training and the held-out part: pictures, pictures, labels, labels."""
    pictures, labels = load_digits(return_X_y=True)
    train_x, test_x, train_y, test_y = train_test_split(
        pictures, labels, test_size=0.3, stratify=labels, random_state=seed
    )
    mean, deviation = train_x.mean(axis=0), train_x.std()
    train_x, test_x = (((x - mean) / deviation).astype(np.float32) for x in (train_x, test_x))
    return [train_x, test_x, train_y, test_y]


@threadpool_limits.wrap(limits=1)  # a second thread gains nothing with matrices this small, and has to be waited for
def compare(seed: int, depths: tuple[int, ...], epochs: int) -> dict[tuple[str, str, int], Result]:
    """Train all networks; return their results by nonlinearity, start and depth."""
    data = load(seed)
    results = {}
    for name, contender in CONTENDERS.items():
        for kind, start in (("default", DEFAULT), ("suitable", contender.suitable)):
            for depth in depths:
                tries = []
                for rate in RATES:
                    rng = np.random.default_rng(seed)
                    model = build_model(contender.layer, start, depth, rng)
                    tries.append(train(model, data, rate, epochs, rng))
                results[name, kind, depth] = min(tries, key=lambda result: result.loss)
    return results


def print_table(results: dict[tuple[str, str, int], Result], depths: tuple[int, ...]) -> None:
    """Print the share of right answers on the held-out part."""
    print(f"{'hidden layers':27}" + "".join(f"{depth:8}" for depth in depths))
    for name in CONTENDERS:
        for kind in ("default", "suitable"):
            row = [results[name, kind, depth].accuracy for depth in depths]
            print(f"{name:16} {kind:10}" + "".join(f"{value:8.1%}" for value in row))


def draw(results: dict[tuple[str, str, int], Result], depths: tuple[int, ...], path: Path) -> None:
    """Save a panel for each start, with a line for each nonlinearity."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    titles = {"default": "PyTorch's default start", "suitable": "the start that suits each"}
    for axes, (kind, title) in zip(panels, titles.items(), strict=True):
        for width, (name, contender) in zip((6, 5, 3.5, 2.5, 1.5), CONTENDERS.items(), strict=True):  # some coincide
            shares = [100 * results[name, kind, depth].accuracy for depth in depths]
            axes.plot(depths, shares, color=contender.color, label=name, linewidth=width)
        axes.axhline(10, color="0.6", linestyle=":", linewidth=1)
        axes.set(title=title, xlabel="hidden layers", xticks=depths)
        axes.set_xscale("log", base=2)
        axes.set_xticks(depths, labels=[str(depth) for depth in depths])
        axes.minorticks_off()
    panels[0].set_ylabel("held-out pictures right, %")
    panels[0].text(depths[0], 12, "guessing", color="0.4", fontsize=8)
    panels[1].legend(loc="lower left", fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)


def main(arguments: list[str] | None = None) -> dict[tuple[str, str, int], Result]:
    """Compare, print a table, save a picture, return all results."""
    parser = argparse.ArgumentParser(description="Compare nonlinearities at several depths.")
    parser.add_argument("--seed", type=int, default=0, help="of the split, the start and the order (default: 0)")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help=f"default: {EPOCHS}")
    parser.add_argument("--depths", type=int, nargs="+", default=list(DEPTHS), help="numbers of hidden layers")
    parser.add_argument("--pictures", type=Path, default=Path("pictures"), help="folder to save the picture in")
    options = parser.parse_args(arguments)
    if options.epochs < 1 or min(options.depths) < 1:
        parser.error("--epochs and --depths are at least 1")

    start = time.perf_counter()
    depths = tuple(options.depths)
    results = compare(options.seed, depths, options.epochs)
    print_table(results, depths)
    path = options.pictures / "nonlinearities.png"
    draw(results, depths, path)
    print(f"saved {path} after {time.perf_counter() - start:.0f} s")
    return results


if __name__ == "__main__":
    main()
