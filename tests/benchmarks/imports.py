"""How long an import takes, in fresh processes that take turns."""

from __future__ import annotations

import compileall
import importlib.util
import subprocess
import sys

from tests.benchmarks.runner import ROOT

PROGRAM = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"
PACKAGES = ("numpy", "tinynn", "sklearn.neural_network", "torch", "jax")


def import_times(rounds: int) -> dict[str, list[float]]:
    """Return the seconds that each import takes, a number for each round; packages that are not there are left out."""
    compileall.compile_dir(ROOT / "tinynn", quiet=1)  # as an installation does; a checkout may not keep bytecode
    installed = [name for name in PACKAGES if importlib.util.find_spec(name.partition(".")[0])]
    times: dict[str, list[float]] = {name: [] for name in installed}
    for number in range(rounds + 1):
        for name, values in times.items():
            command = [sys.executable, "-c", PROGRAM.format(name)]
            done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
            if number:  # the first round fills the caches of the disk
                values.append(float(done.stdout))
    return times
