"""Kills a training run at random moments, and goes on from what it has left on the disk.

    python tests/soak/kill.py                 200 kills, some minutes
    python tests/soak/kill.py --kills 1000    more

The run has everything on: Adam, dropout, batch normalization, a schedule, shuffling, accumulation, early stopping. It
is a process of its own, which saves a checkpoint every few steps, and is killed (SIGKILL, where there is such a thing)
while it trains or while it saves, which it tells by a byte in memory that both processes see. The same command then
starts it again in the same folder, until it is done, and so on from an empty folder. After each kill the rest of the
run is also made from a copy of the folder. It has to go on from a checkpoint if one was ever saved, without a warning,
and the whole state has to be, to the last bit, that of a run which nobody has killed.

The exit code is 1 if anything else comes out, or if less than a quarter of the kills hit a save.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import mmap
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))  # the checkout

import tinynn as nn
from tests.soak.files import same

KILLS = 200
EPOCHS = 6
EVERY_STEPS = 3
SECONDS = 0.3
"""At most as long a process trains before it is killed: long enough for a run to be done now and then."""

KEEP, GO, TRAINS, SAVES, SAVED = range(5)
"""Bytes that both processes see: checkpoints to keep; whether the child may begin, trains, saves, ever saved."""


class Marked(nn.Checkpoint):
    """A checkpoint that tells when it is being saved."""

    def __init__(self, marks: mmap.mmap, path: Path, **options: Any) -> None:
        super().__init__(path, **options)
        self.marks = marks

    def on_fit_start(self, trainer: nn.Trainer) -> None:
        super().on_fit_start(trainer)
        self.marks[TRAINS] = 1

    def save(self, trainer: nn.Trainer) -> None:
        self.marks[SAVES] = 1
        super().save(trainer)
        self.marks[SAVED] = 1
        self.marks[SAVES] = 0


def train(seed: int, *callbacks: nn.Callback, resume: Path | None = None) -> dict[str, Any]:
    """Train, and return all that must be the same in the end."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(440, 32))
    labels = np.digitize(x[:, :4].sum(axis=1), [-2, 0, 2])
    rng = np.random.default_rng(seed)
    model = nn.Sequential(
        nn.Linear(32, 96, rng=rng), nn.BatchNorm1d(96), nn.Dropout(0.2, rng=rng), nn.ReLU(), nn.Linear(96, 4, rng=rng)
    )
    optimizer = nn.Adam(model.parameters(), lr=0.01)
    schedule = nn.StepLR(optimizer, 1, gamma=0.9)
    trainer = nn.Trainer(model, nn.CrossEntropyLoss(), optimizer, scheduler=schedule, accumulate=2)
    trainer.fit(
        (x[:400], labels[:400]),
        EPOCHS,
        batch_size=8,
        validation=(x[400:], labels[400:]),
        callbacks=[nn.EarlyStopping(patience=EPOCHS), *callbacks],
        progress=False,
        rng=rng,
        resume=resume,
    )
    state = trainer.state_dict()
    state["callbacks"] = [entry for entry in state["callbacks"] if entry[1]]
    return state


def seed_for(folder: Path) -> int:
    """Return the seed of the run for its beginning, and another one if it is to go on, or nobody would notice."""
    return 1 if any(folder.glob("run*.npz")) else 0


def child(folder: Path, marks: mmap.mmap) -> None:
    """Be the process that is killed."""
    while not marks[GO]:
        time.sleep(0.001)
    checkpoint = Marked(marks, folder / "run.npz", every_steps=EVERY_STEPS, keep=marks[KEEP])
    train(seed_for(folder), checkpoint, resume=folder / "run.npz")


class Victim:
    """A process that is ready to train in a folder, and the bytes that it shows."""

    def __init__(self, folder: Path, number: int) -> None:
        self.path = folder.with_name(f"marks {number}")
        self.path.write_bytes(bytes(8))
        with self.path.open("r+b") as file:
            self.marks = mmap.mmap(file.fileno(), 8)
        command = [sys.executable, __file__, "--child", str(folder), str(self.path)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def train(self, keep: int, seconds: float) -> bool:
        """Let it train for some time, kill it, and return whether it was done before."""
        self.marks[KEEP] = keep
        self.marks[GO] = 1
        while not self.marks[TRAINS] and self.process.poll() is None:
            time.sleep(0.001)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        done = self.process.poll() is not None
        self.process.kill()
        self.process.wait()
        return done

    def close(self) -> None:
        """Clean up, and raise what has gone wrong in it."""
        self.process.kill()
        _, errors = self.process.communicate()
        self.marks.close()
        self.path.unlink()
        if errors:
            raise RuntimeError(errors)


def soak(place: Path, kills: int, rng: np.random.Generator) -> Counter[str]:
    """Kill processes in a folder, and return how often what has happened."""
    folder = place / "run"
    folder.mkdir()
    expected = train(0)
    found: Counter[str] = Counter()
    life = 0
    saved = False
    upcoming = Victim(folder, 0)
    try:
        for number in itertools.count(1):
            victim, upcoming = upcoming, Victim(folder, number)  # which imports while the other one trains
            with contextlib.closing(victim):
                done = victim.train(1 + 2 * (life % 2), rng.uniform(0, SECONDS))
                saved = saved or bool(victim.marks[SAVED])
                if not done:
                    found["kills"] += 1
                    found["inside a save"] += victim.marks[SAVES]
                    found["with half a file left behind"] += any(folder.glob(".tinynn-*.tmp"))
                    found["before anything was saved"] += not saved
            if goes_on(folder, place / "copy", saved, expected):
                found["exact"] += not done
            else:
                found["wrong"] += 1
            if done:
                found["runs done"] += 1
                life, saved = life + 1, False
                shutil.rmtree(folder)
                folder.mkdir()
            if found["kills"] == kills:
                return found
    finally:
        upcoming.close()
    raise AssertionError


def goes_on(folder: Path, copy: Path, saved: bool, expected: dict[str, Any]) -> bool:
    """Whether the run in a folder goes on to the right end; that is tried in a copy."""
    shutil.copytree(folder, copy)
    seed = seed_for(copy)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return seed >= saved and same(train(seed, resume=copy / "run.npz"), expected)
    except nn.errors.CheckpointError as error:
        print(error, file=sys.stderr)
        return False
    finally:
        shutil.rmtree(copy)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=KILLS, help=f"default {KILLS}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", nargs=2, type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        folder, path = arguments.child
        with path.open("r+b") as file, mmap.mmap(file.fileno(), 8) as marks:
            child(folder, marks)
        return 0
    with tempfile.TemporaryDirectory() as place, contextlib.redirect_stdout(io.StringIO()):
        found = soak(Path(place), arguments.kills, np.random.default_rng(arguments.seed))
    print(", ".join(f"{found[name]} {name}" for name in found))
    return 1 if found["wrong"] or found["inside a save"] < arguments.kills / 4 else 0


if __name__ == "__main__":
    sys.exit(main())
