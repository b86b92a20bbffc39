"""Training on an array that is far larger than memory: 2,000 shuffled batches of 128 from a sparse file of 50 GB.

    python tests/soak/memmap.py

Prints how long it took and the most anonymous memory at any step; fails beyond five minutes or 500 MB. Linux only.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

import tinynn as nn

FEATURES, CLASSES, BATCH_SIZE = 784, 10, 128
SECONDS, MEGABYTES = 300, 500


def anonymous_megabytes() -> float:
    """Return the memory of this process that is backed by no file."""
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    raise SystemExit("/proc/self/status has no RssAnon")


class Watch(nn.Callback):
    """Looks at the memory in each step, and ends training after some of them."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.most = 0.0

    def on_step_end(self, trainer: nn.Trainer) -> None:
        self.most = max(self.most, anonymous_megabytes())
        if trainer.global_step == self.steps:
            trainer.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--gigabytes", type=float, default=50)
    parser.add_argument("--steps", type=int, default=2000)
    arguments = parser.parse_args()
    rows = int(arguments.gigabytes * 1e9 / (4 * FEATURES))
    rng = np.random.default_rng(0)
    model = nn.Sequential(
        nn.Linear(FEATURES, 256, rng=rng, dtype="float32"), nn.ReLU(), nn.Linear(256, CLASSES, rng=rng, dtype="float32")
    )
    trainer = nn.Trainer(model, nn.CrossEntropyLoss(), nn.Adam(model.parameters()))
    watch = Watch(arguments.steps)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "x"
        x = np.memmap(file, np.float32, "w+", shape=(rows, FEATURES))
        y = np.memmap(Path(folder) / "y", np.uint8, "w+", shape=(rows,))
        x[:: rows // 100] = 1  # a file of holes alone would be no test of reading
        used = file.stat().st_blocks * 512
        print(f"{rows:,} rows, {file.stat().st_size / 1e9:.1f} GB, of which {used / 1e6:.1f} MB are on the disk")
        start = time.perf_counter()
        trainer.fit((x, y), batch_size=BATCH_SIZE, callbacks=[watch], progress=False, rng=rng)
        seconds = time.perf_counter() - start
        del x, y
    print(f"{trainer.global_step:,} steps in {seconds:.0f} s, at most {watch.most:.0f} MB of anonymous memory")
    if trainer.global_step != arguments.steps or seconds > SECONDS or watch.most > MEGABYTES:
        sys.exit(f"expected {arguments.steps:,} steps in at most {SECONDS} s with at most {MEGABYTES} MB")


if __name__ == "__main__":
    main()
