"""Handwritten digits with the `Trainer`: curves, early stopping, and a run that crashes and goes on bit for bit.

The pictures are those of `digits.py`. A fifth of the training part is set aside for validation: `EarlyStopping` watches
the loss there, ends training when it has not become better for a while, and puts the best weights back. The test part
is looked at once, at the end.

Three runs are made. One is left in peace. The second has a `Checkpoint` and crashes in the middle of an epoch. The
third is the same command again, `fit(..., resume=path)`, which goes on from what the second has left on the disk. Its
weights have to be those of the first run, to the last bit, though there is dropout, a schedule, momentum and a new
order of the pictures in each epoch.

    python examples/digits_trainer.py        a line for each epoch, then pictures/digits_trainer.png

None of the settings was tuned.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

import tinynn as nn
from tinynn.typing import Array

try:
    from matplotlib.figure import Figure
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
    from threadpoolctl import threadpool_limits
except ImportError as error:
    message = 'this example draws and reads data with optional packages: python -m pip install -e ".[examples]"'
    raise nn.errors.MissingExtraError(message) from error

EPOCHS = 100  # at most
BATCH_SIZE = 32
LEARNING_RATE = 0.1  # at the start; it falls to zero along a cosine
PATIENCE = 10
EVERY_STEPS = 10  # a checkpoint is saved
CRASH = 5.5  # after so many epochs

Data = dict[str, tuple[Array, Array]]


def load(seed: int) -> Data:
    """Return pictures and labels for training, validation and test; a pixel has mean 0 and deviation 1 in training."""
    pictures, labels = load_digits(return_X_y=True)
    rest_x, test_x, rest_y, test_y = train_test_split(
        pictures, labels, test_size=0.3, stratify=labels, random_state=seed
    )
    train_x, held_x, train_y, held_y = train_test_split(
        rest_x, rest_y, test_size=0.2, stratify=rest_y, random_state=seed
    )
    mean, deviation = train_x.mean(axis=0), train_x.std()
    parts = {"train": (train_x, train_y), "validation": (held_x, held_y), "test": (test_x, test_y)}
    return {name: (((x - mean) / deviation).astype(np.float32), y) for name, (x, y) in parts.items()}


def accuracy(prediction: Array, target: Array) -> float:
    """Return the share of right predictions."""
    return float(np.mean(prediction.argmax(axis=1) == target))


def build_trainer(rng: np.random.Generator) -> nn.Trainer:
    """Return a trainer for 64 pixels and 10 digits."""
    model = nn.Sequential(
        nn.Linear(64, 128, rng=rng, dtype=np.float32),
        nn.ReLU(),
        nn.Dropout(0.3, rng=rng),
        nn.Linear(128, 10, rng=rng, dtype=np.float32),
    )
    optimizer = nn.SGD(model.parameters(), lr=LEARNING_RATE, momentum=0.9)
    scheduler = nn.CosineAnnealingLR(optimizer, T_max=EPOCHS)
    return nn.Trainer(model, nn.CrossEntropyLoss(), optimizer, metrics=[accuracy], scheduler=scheduler)


class Crash(nn.Callback):
    """What happens to long runs: an error after some updates."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_step_end(self, trainer: nn.Trainer) -> None:
        if trainer.global_step == self.steps:
            raise RuntimeError(f"a crash in epoch {trainer.epoch + 1}, after batch {trainer.batch}")


def train(data: Data, seed: int, *callbacks: nn.Callback, resume: Path | None = None) -> nn.Trainer:
    """Train, or go on, and return the trainer."""
    rng = np.random.default_rng(seed)
    trainer = build_trainer(rng)
    trainer.fit(
        data["train"],
        EPOCHS,
        BATCH_SIZE,
        validation=data["validation"],
        callbacks=[nn.EarlyStopping(patience=PATIENCE, verbose=1), *callbacks],
        rng=rng,
        resume=resume,
    )
    return trainer


def equal(one: nn.Trainer, other: nn.Trainer) -> bool:
    """Whether two trainers have the same weights and histories, to the last bit."""
    weights, others = one.model.state_dict(), other.model.state_dict()
    same = all(weights[name].tobytes() == others[name].tobytes() for name in weights)
    return same and one.history.history == other.history.history


def draw(history: nn.History, crash: float, path: Path) -> None:
    """Save the curves of training and validation as one picture."""
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = np.arange(1, len(history) + 1)
    left.semilogy(epochs, history["loss"], label="training, with dropout")
    left.semilogy(epochs, history["val_loss"], label="validation")
    left.set(title="loss", xlabel="epoch")
    for name, label in (("accuracy", "training, with dropout"), ("val_accuracy", "validation")):
        right.plot(epochs, 100 * (1 - np.array(history[name])), label=label)
    right.set(title="errors, %", xlabel="epoch", ylim=(0, 10))
    for axes in (left, right):
        axes.axvline(crash, color="black", linestyle=":", label="crash")
        axes.axvline(epochs[np.argmin(history["val_loss"])], color="tab:green", linestyle="--", label="best")
        axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80)


@threadpool_limits.wrap(limits=1)  # a second thread gains nothing with matrices this small, and has to be waited for
def main(arguments: list[str] | None = None) -> tuple[bool, float]:
    """Train in peace, crash, go on; return whether the end was the same, and the accuracy on the test part."""
    parser = argparse.ArgumentParser(description="Train on handwritten digits, crash, and go on.")
    parser.add_argument("--seed", type=int, default=0, help="of the split, the start and the order (default: 0)")
    parser.add_argument("--pictures", type=Path, default=Path("pictures"), help="folder to save the picture in")
    options = parser.parse_args(arguments)
    data = load(options.seed)

    print("A run that is left in peace:")
    whole = train(data, options.seed)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.npz"
        checkpoint = nn.Checkpoint(path, every_steps=EVERY_STEPS)
        print("\nThe same with checkpoints:")
        try:
            train(data, options.seed, Crash(round(CRASH * whole.global_step / whole.epoch)), checkpoint, resume=path)
        except RuntimeError as error:
            print(error)
        print("\nThe same again. It is built from another seed, so what it knows is from the file:")
        again = train(data, options.seed + 1, checkpoint, resume=path)

    same = equal(again, whole)
    results = again.evaluate(data["test"])
    print(f"\nweights and history equal to the last bit: {'yes' if same else 'no'}")
    print(f"{results['accuracy']:.2%} of {len(data['test'][1])} test pictures right")
    picture = options.pictures / "digits_trainer.png"
    draw(again.history, CRASH, picture)
    print(f"saved {picture}")
    return same, results["accuracy"]


if __name__ == "__main__":
    main()
