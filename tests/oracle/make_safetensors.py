"""Makes the weights that PyTorch writes, and what the model gives, for the tests to load; loads what tinynn writes.

    python tests/oracle/make_safetensors.py           writes pytorch*.safetensors and pytorch_outputs.npz
    python tests/oracle/make_safetensors.py --check   exit code 1 if the files hold anything but what is made now, or
                                                      PyTorch does not give what tinynn does with a file of tinynn's

The model is a nest of `Sequential` with `Linear` and `BatchNorm1d`, whose running statistics have seen a few batches,
in float32, in eval mode. In a second one, ``tied``, two layers share a weight.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import safetensors.torch
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))  # the checkout

import tinynn as nn

FOLDER = Path(__file__).parent
WEIGHTS, TIED, OUTPUTS = (
    FOLDER / name for name in ("pytorch.safetensors", "pytorch_tied.safetensors", "pytorch_outputs.npz")
)
TOLERANCE = 1e-6


def pytorch_model() -> torch.nn.Sequential:
    t = torch.nn
    return t.Sequential(
        t.Linear(4, 6),
        t.BatchNorm1d(6),
        t.Sequential(t.ReLU(), t.Linear(6, 5), t.Sequential(t.BatchNorm1d(5), t.Tanh())),
        t.Linear(5, 3),
    )


def tinynn_model() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(4, 6),
        nn.BatchNorm1d(6),
        nn.Sequential(nn.ReLU(), nn.Linear(6, 5), nn.Sequential(nn.BatchNorm1d(5), nn.Tanh())),
        nn.Linear(5, 3),
    ).astype(np.float32)


def trained(model: torch.nn.Module, rng: np.random.Generator) -> torch.nn.Module:
    """Return a model with drawn parameters, which has seen three batches."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.from_numpy(rng.normal(size=tuple(parameter.shape)).astype(np.float32)))
        for _ in range(3):
            model(torch.from_numpy(rng.normal(size=(8, 4)).astype(np.float32)))
    return model.eval()


def pytorch_tied() -> torch.nn.Sequential:
    t = torch.nn
    model = t.Sequential(t.Linear(4, 4), t.Tanh(), t.Linear(4, 4))
    model[2].weight = model[0].weight
    return model


def tinynn_tied() -> nn.Sequential:
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4)).astype(np.float32)
    model[2].weight = model[0].weight
    return model


def given(model: torch.nn.Module, x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return model(torch.from_numpy(x)).numpy()


def make(folder: Path) -> dict[str, np.ndarray]:
    """Write the weights into a folder; return input and outputs."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(7, 4)).astype(np.float32)
    model, tied = trained(pytorch_model(), rng), trained(pytorch_tied(), rng)
    safetensors.torch.save_file(model.state_dict(), folder / WEIGHTS.name)
    safetensors.torch.save_model(tied, str(folder / TIED.name))
    return {"x": x, "y": given(model, x), "tied": given(tied, x)}


def differ(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape != b.shape or a.dtype != b.dtype or not np.allclose(a, b, rtol=TOLERANCE, atol=TOLERANCE)


def of_the_files(folder: Path) -> Iterator[str]:
    """Yield a line for everything in which the frozen files differ from what is made now."""
    outputs = make(folder)
    with np.load(OUTPUTS) as file:
        yield from (f"{OUTPUTS.name}: {name}" for name in outputs if differ(outputs[name], file[name]))
    for path in (WEIGHTS, TIED):
        old, new = (safetensors.torch.load_file(place / path.name) for place in (FOLDER, folder))
        names = sorted(set(old) ^ set(new)) + [
            name for name in set(old) & set(new) if differ(old[name].numpy(), new[name].numpy())
        ]
        yield from (f"{path.name}: {name}" for name in names)


def of_ours(folder: Path) -> Iterator[str]:
    """Yield a line for every model whose output differs in PyTorch when it has loaded what tinynn saved."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(7, 4)).astype(np.float32)
    pairs = {"nested": (tinynn_model(), pytorch_model()), "tied": (tinynn_tied(), pytorch_tied())}
    for name, (ours, theirs) in pairs.items():
        ours.reset_parameters(rng=rng)
        for _ in range(3):
            ours(rng.normal(size=(8, 4)))
        ours.eval()
        path = folder / f"{name}.safetensors"
        nn.save(ours, path)
        theirs.load_state_dict(safetensors.torch.load_file(path))  # strict
        if differ(ours(x), given(theirs.eval(), x)):
            yield f"{name}: PyTorch gives something else with tinynn's file"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the files instead of writing them")
    if not parser.parse_args().check:
        np.savez_compressed(OUTPUTS, **make(FOLDER))
        print(f"{WEIGHTS.name}, {TIED.name}, {OUTPUTS.name}: PyTorch {torch.__version__}")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        lines = [*of_the_files(Path(folder)), *of_ours(Path(folder))]
    for line in lines:
        print(line)
    print(f"{len(lines)} differences, PyTorch {torch.__version__}, safetensors {safetensors.__version__}")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
