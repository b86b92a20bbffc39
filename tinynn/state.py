"""Files of weights, and of everything else that can be saved: `save` and `load`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tinynn.core.extras import import_extra
from tinynn.errors import ArgumentError, ArgumentTypeError, CheckpointError, MissingExtraError, expects
from tinynn.typing import Array

if TYPE_CHECKING:
    from os import PathLike
    from pathlib import Path

__all__ = ["load", "save"]

SUFFIXES = (".npz", ".safetensors")


def save(obj: Any, path: str | PathLike[str]) -> None:
    """Save a state to a file, whole or not at all.

    The suffix decides. An ``.npz`` file takes any state: dicts with keys of text or integers, lists, tuples, arrays of
    real numbers, NumPy's and Python's numbers, text, booleans and None, nested at will. It has a checksum. A
    ``.safetensors`` file takes a dict of names and arrays, as PyTorch's safetensors do. Neither can hold code.

    The file is written under another name, synced, and then takes the place of an old one: whenever the program is
    stopped, the old file is there, or the new one.

    Args:
        obj: a layer, an optimizer, or whatever else has a ``state_dict()``; or a state itself.
        path: where to, with the suffix ``.npz`` or ``.safetensors``.

    Raises:
        ArgumentError: for another suffix.
        ArgumentTypeError: for what such a file does not take, named by its path, before anything is written.
        CheckpointError: if the file could not be written; an old one is as it was then.
        MissingExtraError: if safetensors is not installed.

    Example:
        >>> model = nn.Linear(3, 2)
        >>> nn.save(model, "model.npz")
        >>> model.load_state_dict(nn.load("model.npz"))
    """
    from tinynn import archive, atomic

    place = checked("save", path)
    state = obj.state_dict() if hasattr(obj, "state_dict") and not isinstance(obj, type) else obj
    if place.suffix == ".npz":
        arrays: dict[str, Array] = {}
        structure = archive.pack(state, arrays)
        atomic.write("save", place, lambda file: archive.write(file, structure, arrays))
    else:
        content = to_safetensors(state)
        atomic.write("save", place, lambda file: file.write(content))


def load(path: str | PathLike[str]) -> Any:
    """Return the state in a file.

    Args:
        path: a file with the suffix ``.npz`` that `save` wrote, or one with the suffix ``.safetensors``.

    Returns:
        What was saved, for ``load_state_dict``: of a layer a dict of names and arrays. The arrays are new, and in the
        byte order of this machine.

    Raises:
        ArgumentError: for another suffix.
        FileNotFoundError: if there is no such file.
        CheckpointError: if it is damaged, or not such a file, or cannot be read.
        MissingExtraError: if safetensors is not installed.
    """
    from tinynn import archive

    place = checked("load", path)
    try:
        if place.exists() and not place.is_file():
            raise ValueError("something that is no regular file")
        with place.open("rb") as file:
            return archive.read(file) if place.suffix == ".npz" else from_safetensors(file.read())
    except (FileNotFoundError, MissingExtraError):
        raise
    except Exception as error:  # parsers of damaged files raise anything
        actual = str(error) if type(error) is ValueError else repr(error)
        raise CheckpointError(expects("load", f"{str(path)!r} as it was saved", actual)) from error


def checked(owner: str, path: str | PathLike[str], suffixes: tuple[str, ...] = SUFFIXES) -> Path:
    """Return a path with a suffix that says what the file is."""
    from pathlib import Path

    try:
        place = Path(path)
    except TypeError:
        raise ArgumentTypeError(expects(owner, "a path", f"a {type(path).__name__}")) from None
    if place.suffix not in suffixes:
        remedy = "in PyTorch, save it with safetensors" if place.suffix in {".pt", ".pth"} else ""
        raise ArgumentError(expects(owner, f"a path that ends in {' or '.join(suffixes)}", repr(str(path)), remedy))
    return place


def to_safetensors(state: Any) -> bytes:
    """Return the content of a safetensors file."""
    from tinynn.archive import described, is_real, is_unicode

    numpy = import_extra("save", "safetensors", "safetensors.numpy", "safetensors")
    what, remedy = "a dict of names and arrays for .safetensors", "an .npz file takes any state"
    if not isinstance(state, Mapping):
        raise ArgumentTypeError(expects("save", what, described(state), remedy))
    arrays = {}
    for name, value in state.items():
        if type(name) is not str or name == "__metadata__" or not is_unicode(name):
            raise ArgumentTypeError(expects("save", what, f"the name {name!r}", remedy))
        if not isinstance(value, np.ndarray) or not is_real(value) or value.dtype.itemsize > 8:
            raise ArgumentTypeError(expects("save", what, f"{described(value)} at {name!r}", remedy))
        arrays[name] = np.asarray(value, order="C")  # safetensors garbles any other
    content: bytes = numpy.save(arrays)
    return content


def from_safetensors(content: bytes) -> dict[str, Array]:
    """Return the arrays in a safetensors file.

    PyTorch's ``save_model`` writes tied parameters once, and the other names into the metadata.
    """
    import json

    numpy = import_extra("load", "safetensors", "safetensors.numpy", "safetensors")
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    metadata = header.pop("__metadata__", None) or {}
    if any(entry["dtype"] == "BF16" for entry in header.values()):
        raise ValueError("bfloat16, which NumPy does not have; in PyTorch, save model.float()")
    arrays: dict[str, Array] = numpy.load(content)
    others = {name: kept for name, kept in metadata.items() if kept in arrays and name not in arrays}
    return arrays | {name: arrays[kept].copy() for name, kept in others.items() if name != "format"}
