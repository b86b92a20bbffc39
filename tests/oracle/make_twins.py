"""Makes what the twins in PyTorch give, and the signatures of PyTorch's classes.

    python tests/oracle/make_twins.py                     writes twins_*.npz and signatures.json beside this file
    python tests/oracle/make_twins.py activations         writes one of the npz files
    python tests/oracle/make_twins.py --check             makes them anew and compares; exit code 1 if any differ

The classes and the cases are described in ``twins/``. A file holds a record of named arrays for each case:

- ``state:<name>``: parameters and buffers at the start, in the order of the state dict; ``input:<step>:<index>``;
  ``grad:<step>``, the gradient that comes in. These are drawn by NumPy, as float32 numbers;
- ``y:<step>``, ``at:<step>:<index>`` at the inputs, ``at:<name>`` at the parameters, ``after:<name>`` for the buffers:
  what came out. With ``.float64`` it is the result, with ``.float32`` the distance of the float32 result from it.

Nothing here knows tinynn.
"""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))  # the checkout

from tests.oracle.make_vectors import DTYPES, differences, flat
from tests.oracle.twins.case import Case, distance, each_once, normal

FOLDER = Path(__file__).parent
FAMILIES = sorted(path.stem for path in (FOLDER / "twins").glob("*.py") if path.stem != "case")
SIGNATURES = FOLDER / "signatures.json"

Arrays = dict[str, np.ndarray]


# What the twins give


def build(case: Case, dtype: torch.dtype, state: Arrays) -> torch.nn.Module:
    arguments = {
        name: torch.from_numpy(value.copy()) if isinstance(value, np.ndarray) else value
        for name, value in case.arguments.items()
    }
    module = getattr(torch.nn, case.kind)(*case.leading, **arguments).to(dtype)
    if state:
        module.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in state.items()})
    return module.train(case.mode == "train")


def drawn_state(case: Case, rng: np.random.Generator) -> Arrays:
    """Return parameters and buffers for a case, by their names in the state dict."""
    state = {}
    for name, value in build(case, torch.float32, {}).state_dict().items():
        draw = case.state.get(name, normal(*value.shape))
        state[name] = draw(rng) if value.is_floating_point() else np.full(value.shape, 3)
    return state


def results(case: Case) -> Arrays:
    """Return what is drawn and what comes out, by the names that the file uses."""
    rng = case.rng()
    state = drawn_state(case, rng)
    steps = [[draw(rng) for draw in case.inputs] for _ in range(case.steps)]
    arrays: Arrays = {f"state:{name}": value for name, value in state.items()}
    for dtype_name, dtype in DTYPES.items():
        module = build(case, dtype, state)
        out: dict[str, torch.Tensor] = {}
        for step, inputs in enumerate(steps):
            tensors = [torch.from_numpy(x.copy()) for x in inputs]
            tensors = [x.to(dtype) if x.is_floating_point() else x for x in tensors]
            at = [i for i, x in enumerate(tensors) if x.is_floating_point()] if case.at is None else case.at
            for index in at:
                tensors[index].requires_grad_()
            y = module(*tensors)
            arrays |= {f"input:{step}:{index}": x for index, x in enumerate(inputs)}
            if f"grad:{step}" not in arrays:
                arrays[f"grad:{step}"] = normal(*y.shape)(rng)
            y.backward(torch.from_numpy(arrays[f"grad:{step}"]).to(dtype))
            out |= {f"y:{step}": y, **{f"at:{step}:{index}": tensors[index].grad for index in at}}
        out |= {f"at:{name}": value.grad for name, value in module.named_parameters()}
        out |= {f"after:{name}": value for name, value in module.named_buffers()}
        for name, tensor in out.items():
            result = tensor.detach().numpy()
            if dtype_name == "float64":
                arrays[f"{name}.float64"] = result
            else:
                away = distance(result, arrays[f"{name}.float64"])
                arrays[f"{name}.float32"] = np.array(away if np.isfinite(away) else 0.0)
    return arrays


def make(family: str) -> Arrays:
    """Return the entries of a file: a record for each case."""
    records: Arrays = {}
    for case in each_once(import_module(f"tests.oracle.twins.{family}").TWINS):
        try:
            arrays = results(case)
        except Exception as error:
            error.add_note(f"in the case {case.name}")
            raise
        record = np.zeros((), [(what, value.dtype, value.shape) for what, value in arrays.items()])
        for what, value in arrays.items():
            record[what] = value
        records[case.name] = record
    return records


# Signatures


def signatures() -> dict[str, list[list[Any]]]:
    """Return for each public class of PyTorch its arguments: name, kind and, if there is one, the default.

    So for functions that tinynn has, too.
    """
    classes = {}
    for module, base in (
        (torch.nn, torch.nn.Module),
        (torch.optim, torch.optim.Optimizer),
        (torch.optim.lr_scheduler, torch.optim.lr_scheduler.LRScheduler),
    ):
        for name, value in vars(module).items():
            if isinstance(value, type) and issubclass(value, base) and not name.startswith("_") and value is not base:
                classes[name] = [described(parameter) for parameter in parameters_of(value)]
    for function in (torch.nn.utils.clip_grad_norm_, torch.nn.utils.clip_grad_value_):
        classes[function.__name__] = [described(value) for value in inspect.signature(function).parameters.values()]
    return dict(sorted(classes.items()))


def parameters_of(kind: type) -> Iterator[inspect.Parameter]:
    _, *parameters = inspect.signature(kind.__init__).parameters.values()
    return iter(parameters)


def described(parameter: inspect.Parameter) -> list[Any]:
    kind = parameter.kind.name.lower()
    if parameter.default is inspect.Parameter.empty:
        return [parameter.name, kind]
    default = parameter.default
    plain = default is None or isinstance(default, (bool, int, float, str, tuple))
    return [parameter.name, kind, default if plain else getattr(default, "__name__", repr(default))]


def listing(classes: dict[str, list[list[Any]]]) -> str:
    """Return JSON with a line for each class."""
    lines = [f"{json.dumps(name)}: {json.dumps(arguments)}" for name, arguments in classes.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


# The files


def compare(family: str) -> list[str]:
    """Return a line for everything in a file that is made differently now."""
    with np.load(FOLDER / f"twins_{family}.npz") as file:
        old = {name: file[name] for name in file.files}
    return list(differences(flat(old), flat(make(family))))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*", default=FAMILIES, help=f"some of: {', '.join(FAMILIES)}; default: all")
    parser.add_argument("--check", action="store_true", help="compare with the files instead of writing them")
    arguments = parser.parse_args()
    if unknown := set(arguments.families) - set(FAMILIES):
        parser.error(f"no such family: {', '.join(sorted(unknown))}")
    text = listing(signatures())
    if arguments.check:
        lines = [f"{family}: {line}" for family in arguments.families for line in compare(family)]
        if SIGNATURES.read_text(encoding="utf-8") != text:
            lines.append(f"{SIGNATURES.name}: different")
        for line in lines:
            print(line)
        print(f"{len(lines)} differences, PyTorch {torch.__version__}")
        return 1 if lines else 0
    for family in arguments.families:
        path, records = FOLDER / f"twins_{family}.npz", make(family)
        np.savez_compressed(path, **records)
        print(f"{path.name}: {len(records)} cases, {path.stat().st_size / 1000:.0f} kB, PyTorch {torch.__version__}")
    SIGNATURES.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
