"""Does the gradient checker raise an alarm where nothing is wrong? Every row of the catalogue at random places.

    python tests/testing/false_alarms.py --trials 200

A place is random sizes, a random number of samples, extra axes where the layer takes any, a scale from a thousandth to
a thousand, training or evaluation mode, and a seed for parameters and inputs. It prints the number of alarms, and of
remarks, for each row, and fails if there is any alarm.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

import tinynn as nn
from tests.catalogue import COMPUTING, Row
from tinynn.testing import GradientError, GradientReport, check_gradients


def somewhere(row: Row, rng: np.random.Generator) -> tuple[nn.Layer, tuple[np.ndarray, ...], dict[str, Any]]:
    """Return a layer of the row and inputs for it at a random place, and what that place is."""
    sizes = {name: int(rng.integers(1, 6)) for name in row.sizes}
    extra = tuple(rng.integers(1, 5, size=rng.integers(3)).tolist()) if ... in row.inputs.axes else ()
    samples, scale, training = int(rng.integers(1, 9)), float(10 ** rng.uniform(-3, 3)), bool(rng.integers(2))
    layer = row.build(rng, **sizes).train(training)
    given = {name: size for name, size in sizes.items() if name in row.inputs.sizes}
    arrays = row.inputs(rng, np.float64, samples, extra, **given)
    inputs = tuple(scale * x if position in row.inputs.scaled else x for position, x in enumerate(arrays))
    return layer, inputs, {**sizes, "extra": extra, "samples": samples, "scale": scale, "training": training}


def check_somewhere(row: Row, seed: int) -> tuple[GradientReport, str]:
    """Return the report of a check at a random place, and what that place is."""
    layer, inputs, place = somewhere(row, np.random.default_rng(seed))
    description = f"{row}, seed {seed}, {place}"
    try:
        return check_gradients(layer, *inputs, rng=seed), description
    except GradientError as error:
        error.add_note(description)
        raise


def main(arguments: list[str] | None = None) -> int:
    """Check every row at many places; return the number of alarms."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--trials", type=int, default=200, help="how many places for each row")
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    options = parser.parse_args(arguments)
    alarms = 0
    for row in COMPUTING:
        remarks: Counter[str] = Counter()
        wrong, largest = 0, 0.0
        for seed in range(options.start, options.start + options.trials):
            try:
                report, _ = check_somewhere(row, seed)
            except GradientError as error:
                if [finding.diagnosis for finding in error.findings] == ["not-finite"]:
                    remarks["forward not finite"] += 1
                    continue
                wrong += 1
                print(error, *error.__notes__, sep="\n")
            else:
                remarks.update(finding.diagnosis for finding in report.findings)
                largest = max(largest, report.largest.error)
        said = ", ".join(f"{count} {diagnosis}" for diagnosis, count in remarks.items()) or "no remarks"
        print(f"{row!s:50} {options.trials} places, {wrong} alarms, {said}, largest error {largest:.0e}", flush=True)
        alarms += wrong
    print(f"{alarms} alarms at {options.trials * len(COMPUTING)} places")
    return alarms


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
