"""Damages saved files at random, and at every length, and counts what `tinynn.load` makes of them.

    python tests/soak/files.py                 20,000 mutations of each file, every truncation
    python tests/soak/files.py --number 1000   fewer

A mutant is *refused* with a `CheckpointError`, *the same* (what was saved comes out), or *changed*. There are:

- files of weights, of a nested state and of a run in the middle of an epoch, which a trainer takes up, as an accident
  changes them. Changed ones must not occur in npz files; a safetensors file has no checksum;
- npz files that are given the right checksum after the damage, as somebody would who means harm. A change is no
  surprise there; but nothing other than `CheckpointError` may be raised, nor more memory taken than a few times the
  size of the file.

The exit code is 1 if anything occurs that must not.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import io
import sys
import tempfile
import tracemalloc
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))  # the checkout

import tinynn as nn
from tinynn import archive
from tinynn.errors import CheckpointError

NUMBER = 20_000
MEMORY = 2**20
"""Bytes that a load may take beyond a few times the size of the file."""


def weights(seed: int = 0) -> dict[str, Any]:
    """The weights of a model, with buffers."""
    rng = np.random.default_rng(seed)
    return nn.Sequential(nn.Linear(6, 8, rng=rng), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3, rng=rng)).state_dict()


def checkpoint(seed: int = 0) -> dict[str, Any]:
    """What a run needs to go on: everything that a state may be made of."""
    rng = np.random.default_rng(seed)
    model = nn.Sequential(nn.Linear(3, 4, rng=rng), nn.Tanh(), nn.Linear(4, 1, rng=rng))
    optimizer = nn.Adam(model.parameters(), lr=0.01)
    loss_fn = nn.MSELoss()
    loss_fn(model(rng.normal(size=(5, 3))), np.ones((5, 1)))
    model.backward(loss_fn.backward())
    optimizer.step()
    return {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "generators": [rng.bit_generator.state],
        "history": {"loss": [0.5, float("inf")], "lr": [np.float64(0.01)]},
        "counters": {"epoch": 1, "step": np.int64(3)},
        "best": None,
        "stopped": (False, "größer"),
    }


def trained(seed: int = 0) -> nn.Trainer:
    """A trainer in the middle of its second epoch."""
    rng = np.random.default_rng(seed)
    model = nn.Sequential(
        nn.Linear(3, 4, rng=rng), nn.BatchNorm1d(4), nn.Dropout(0.1, rng=rng), nn.Linear(4, 1, rng=rng)
    )
    optimizer = nn.Adam(model.parameters(), lr=0.01)
    trainer = nn.Trainer(model, nn.MSELoss(), optimizer, scheduler=nn.StepLR(optimizer, 1), accumulate=2)
    stop = nn.LambdaCallback(on_step_end=lambda trainer: trainer.epoch and trainer.stop())
    stopping = nn.EarlyStopping("loss", patience=5)
    trainer.fit((np.eye(16, 3), np.ones((16, 1))), 3, 2, callbacks=[stopping, stop], progress=False, rng=rng)
    return trainer


def taken_up(trainer: nn.Trainer, before: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return the state of a trainer that has taken up a checkpoint; one that is refused must not have changed it."""
    try:
        nn.load_checkpoint(trainer, path)
    except CheckpointError:
        if same(trainer.state_dict(), before):
            raise
        raise AssertionError("half of it was taken up") from None
    return trainer.state_dict()


def mutants(content: bytes, number: int, rng: np.random.Generator) -> Iterator[bytes]:
    """Yield damaged copies of a content, each different from it: flipped, overwritten, lost, moved, repeated bytes."""
    while number > 0:
        mutant = bytearray(content)
        for _ in range(rng.choice([1, 1, 1, 2, 5])):
            start = int(rng.integers(len(mutant) + 1))
            stop = min(len(mutant), start + int(rng.choice([1, 2, 4, 8, 64, 512])))
            other = int(rng.integers(len(mutant) + 1))
            kind = rng.integers(8)
            if kind <= 1 and start < len(mutant):
                mutant[start] ^= 1 << int(rng.integers(8))
            elif kind == 2:
                mutant[start:stop] = rng.bytes(stop - start)
            elif kind == 3:
                mutant[start:stop] = bytes([rng.choice([0, 255])]) * (stop - start)
            elif kind == 4:
                del mutant[start:stop]
            elif kind == 5:
                mutant[start:start] = rng.bytes(stop - start)
            elif kind == 6:
                mutant[start:stop] = mutant[other : other + stop - start]
            else:
                del mutant[start:]
        if mutant != content:
            number -= 1
            yield bytes(mutant)


def sealed(content: bytes) -> bytes:
    """Return the content of an npz file with the checksum that it ought to have."""
    body = content[: -archive.DIGEST - len(archive.MARK)] + archive.MARK
    return body + hashlib.sha256(body).hexdigest().encode()


def rebuilt(members: dict[str, bytes]) -> bytes:
    """Return an npz file of any members, with all the checksums that it ought to have."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.comment = archive.MARK + bytes(archive.DIGEST)
        for name, content in members.items():
            made.writestr(name, content)
    return sealed(file.getvalue())


def members_of(content: bytes) -> dict[str, bytes]:
    """Return the members of an npz file."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        return {name: file.read(name) for name in file.namelist()}


def with_damaged_members(content: bytes, number: int, rng: np.random.Generator) -> Iterator[bytes]:
    """Yield npz files whose checksums are right, and one of whose members is damaged."""
    members = members_of(content)
    for _ in range(number):
        name = str(rng.choice(list(members)))
        (mutant,) = mutants(members[name], 1, rng)
        yield rebuilt(members | {name: mutant})


def same(a: Any, b: Any) -> bool:
    """Whether two states are equal: types, values, order of keys, dtypes and shapes; one NaN is as another."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a.items(), b.items(), strict=True))
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, (np.ndarray, np.generic)):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return repr(a) == repr(b) if isinstance(a, float) else bool(a == b)  # 0.0 is not -0.0


def outcomes(path: Path, state: Any, contents: Iterator[bytes], load: Callable[[Path], Any] = nn.load) -> Counter[str]:
    """Return what loading gave for each content: refused, the same, changed, and whatever must not be."""
    found: Counter[str] = Counter()
    for content in contents:
        path.write_bytes(content)
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        try:
            loaded = load(path)
        except CheckpointError:
            outcome = "refused"
        except BaseException as error:  # a panic of a parser in Rust is no Exception
            outcome = f"raised {type(error).__name__}"
            if isinstance(error, KeyboardInterrupt):
                raise
        else:
            outcome = "the same" if same_content(loaded, state) else "changed"
        if tracemalloc.get_traced_memory()[1] - before > MEMORY + 8 * len(content):
            outcome = "took too much memory"
        found[outcome] += 1
    return found


def same_content(loaded: Any, state: Any) -> bool:
    """Whether a loaded state is the saved one; safetensors have an order of their own."""
    if isinstance(loaded, dict) and isinstance(state, dict) and set(loaded) == set(state):
        loaded = {name: loaded[name] for name in state}
    return same(loaded, state)


def series(folder: Path, number: int, rng: np.random.Generator) -> Iterator[tuple[str, Counter[str], set[str]]]:
    """Yield for each kind of damage what it is, what came of it, and what may."""
    for name, state in (("weights", weights()), ("checkpoint", checkpoint())):
        path = folder / f"{name}.npz"
        nn.save(state, path)
        content = path.read_bytes()
        yield f"{name}.npz, mutated", outcomes(path, state, mutants(content, number, rng)), {"refused"}
        cuts = (content[:length] for length in range(len(content)))
        yield f"{name}.npz, cut at every length", outcomes(path, state, cuts), {"refused"}
        allowed = {"refused", "the same", "changed"}
        hostile = map(sealed, mutants(content, number, rng))
        yield f"{name}.npz, mutated, with the right checksum", outcomes(path, state, hostile), allowed
        hostile = with_damaged_members(content, number, rng)
        yield f"{name}.npz, a member mutated, all checksums right", outcomes(path, state, hostile), allowed
    path, state, trainer = folder / "run.npz", trained().state_dict(), trained(seed=1)
    nn.save(state, path)
    content = path.read_bytes()
    load = functools.partial(taken_up, trainer, trainer.state_dict())
    yield "run.npz, mutated", outcomes(path, state, mutants(content, number, rng), load), {"refused"}
    cuts = (content[:length] for length in range(len(content)))
    yield "run.npz, cut at every length", outcomes(path, state, cuts, load), {"refused"}
    path.write_bytes(content)
    yield "run.npz, as it was", outcomes(path, state, iter([content]), load), {"the same"}
    path, state = folder / "weights.safetensors", weights()
    nn.save(state, path)
    content = path.read_bytes()
    found = outcomes(path, state, mutants(content, number, rng))
    yield "weights.safetensors, mutated", found, {"refused", "the same", "changed"}
    cuts = (content[:length] for length in range(len(content)))
    yield "weights.safetensors, cut at every length", outcomes(path, state, cuts), {"refused"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=NUMBER, help=f"mutations of each file, default {NUMBER}")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    bad = 0
    tracemalloc.start()
    with tempfile.TemporaryDirectory() as folder:
        for what, found, allowed in series(Path(folder), arguments.number, np.random.default_rng(arguments.seed)):
            wrong = sum(count for outcome, count in found.items() if outcome not in allowed)
            bad += wrong
            listing = ", ".join(f"{count} {outcome}" for outcome, count in sorted(found.items()))
            print(f"{what}: {found.total()} files, {listing}{'  <-- WRONG' if wrong else ''}", flush=True)
    print(f"{bad} outcomes that must not be")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
