"""The npz file of a nested state: an array for each member, the structure as JSON, a checksum over it all.

It is a zip file, uncompressed. Arrays are members of the form ``arrays/0.weight.npy``, which `numpy.load` reads;
``structure.json`` says where they belong. The comment of the archive, which is the end of the file, is `MARK` and the
SHA-256, in hexadecimal, of everything before it.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any, BinaryIO
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import numpy as np
from numpy.lib import format as npy

from tinynn.errors import ArgumentError, ArgumentTypeError, expects
from tinynn.typing import Array

__all__ = ["pack", "read", "write"]

MARK = b"tinynn 1, SHA-256 of all before: "
DIGEST = 64
"""Bytes of the checksum."""

STRUCTURE = "structure.json"
DEPTH = 100
LONGEST = 200
"""How deep a state may be nested, and how long the name of a member may be."""


def pack(value: Any, arrays: dict[str, Array], path: tuple[str | int, ...] = ()) -> Any:
    """Return the structure of a state, as JSON has it, and put its arrays into ``arrays`` under readable names.

    Lists, text and most numbers are themselves. Everything else is an object of one entry, which says what it is.

    Raises:
        ArgumentTypeError: for anything that is not a state, named by its path.
        ArgumentError: for text that is not valid Unicode and for a nesting without an end.
    """
    kind = type(value)
    if len(path) > DEPTH:
        raise ArgumentError(expects("save", f"a state at most {DEPTH} levels deep", f"more at {shown(path[:5])} ..."))
    if value is None or kind in (bool, float):
        return value
    if kind is int:
        return value if value.bit_length() < 64 else {"int": hex(value)}
    if kind is str:
        if is_unicode(value):
            return value
        raise ArgumentError(expects("save", "text of valid Unicode", f"{value!r} at {shown(path)}"))
    if kind is list:
        return [pack(item, arrays, (*path, index)) for index, item in enumerate(value)]
    if kind is tuple:
        return {"tuple": [pack(item, arrays, (*path, index)) for index, item in enumerate(value)]}
    if isinstance(value, Mapping):
        return {"dict": [[key_of(key, path), pack(item, arrays, (*path, key))] for key, item in value.items()]}
    if isinstance(value, (np.ndarray, np.generic)) and is_real(value):
        name = member_name(path, arrays)
        arrays[name] = np.asarray(value)
        return {"scalar" if isinstance(value, np.generic) else "array": name}
    what = "a state of dicts, lists, tuples, arrays of real numbers, numbers, text and None"
    raise ArgumentTypeError(expects("save", what, f"{described(value)} at {shown(path)}"))


def is_real(value: Any) -> bool:
    """Whether an array holds real numbers, all of which count."""
    return value.dtype.kind in "fiub" and not isinstance(value, np.ma.MaskedArray)


def key_of(key: Any, path: tuple[str | int, ...]) -> Any:
    """Return a key of a dict as JSON has it."""
    if type(key) not in (str, int):
        raise ArgumentTypeError(expects("save", "keys that are text or integers", f"{key!r} in {shown(path)}"))
    return pack(key, {}, path)


def is_unicode(text: str) -> bool:
    """Whether text can be written as UTF-8: it has no half of a pair of surrogates."""
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def described(value: Any) -> str:
    """Return what a value is, for a sentence."""
    return f"an array of dtype {value.dtype}" if type(value) is np.ndarray else f"a {type(value).__name__}"


def shown(path: tuple[str | int, ...]) -> str:
    """Return a place in a state for a sentence."""
    return repr(".".join(map(str, path))) if path else "the top"


def member_name(path: tuple[str | int, ...], taken: Mapping[str, Array]) -> str:
    """Return a name for an array that tells where it belongs, and that every zip program can handle."""
    name = "arrays/" + re.sub(r"[^\w.+-]", "_", ".".join(map(str, path)))[:LONGEST]
    return f"{name}~{len(taken)}" if name in taken else name


def unpack(structure: Any, arrays: dict[str, Array]) -> Any:
    """Return the state of a structure; each array is taken out of ``arrays``."""
    if isinstance(structure, list):
        return [unpack(item, arrays) for item in structure]
    if not isinstance(structure, dict):
        return structure
    ((kind, content),) = structure.items()
    if kind == "dict":
        return {unpack(key, arrays): unpack(item, arrays) for key, item in content}
    if kind == "tuple":
        return tuple(unpack(item, arrays) for item in content)
    if kind == "int":
        return int(content, 16)
    if kind == "array":
        return arrays.pop(content)
    if kind == "scalar":
        return arrays.pop(content)[()]
    raise ValueError(f"a {kind!r} in its structure")


def write(file: BinaryIO, structure: Any, arrays: Mapping[str, Array]) -> None:
    """Write what `pack` returned to an empty file."""
    with ZipFile(file, "w", ZIP_STORED) as archive:
        archive.comment = MARK + bytes(DIGEST)
        for name, array in arrays.items():
            info = ZipInfo(f"{name}.npy")
            info.file_size = array.nbytes  # more than 2 GB need another kind of header
            plain = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
            with archive.open(info, "w") as stream:
                npy.write_array(stream, plain, allow_pickle=False)
        archive.writestr(ZipInfo(STRUCTURE), json.dumps(structure))
    size = file.seek(0, 2) - DIGEST
    checksum = digest(file, size)
    file.seek(size)
    file.write(checksum)


def read(file: BinaryIO) -> Any:
    """Return the state in a file.

    The checksum comes first. A wrong one means an accident; somebody who means harm can write a right one, so no memory
    is taken that the file is not large enough for, and nothing is executed.

    Raises:
        Exception: of any kind, if it is not a file that `write` wrote.
    """
    size = file.seek(0, 2) - DIGEST
    file.seek(max(0, size - len(MARK)))
    if file.read(len(MARK)) != MARK:
        raise ValueError("no checksum at its end: it was cut, or something else wrote it, which numpy.load may read")
    if file.read() != digest(file, size):
        raise ValueError("a checksum that does not fit: it was damaged")
    with ZipFile(file) as archive:
        members = archive.infolist()
        if any(info.compress_type != ZIP_STORED or info.compress_size != info.file_size for info in members):
            raise ValueError("a member that is compressed")
        if sum(info.file_size for info in members) > size:
            raise ValueError("members that are larger than itself")
        arrays = {
            info.filename.removesuffix(".npy"): read_array(archive, info)
            for info in members
            if info.filename != STRUCTURE
        }
        state = unpack(json.loads(archive.read(STRUCTURE)), arrays)
    if arrays:
        raise ValueError("arrays that its structure does not name")
    return state


def read_array(archive: ZipFile, info: ZipInfo) -> Array:
    """Return the array of a member, if that is as large as its header says."""
    with archive.open(info) as stream:
        if npy.read_magic(stream) != (1, 0):
            raise ValueError(f"another version of the npy format in {info.filename!r}")
        shape, _, dtype = npy.read_array_header_1_0(stream)
        header = stream.tell()
    if dtype.kind not in "fiub":
        raise ValueError(f"dtype {dtype} in {info.filename!r}")
    if min(shape, default=0) < 0 or header + math.prod(shape) * dtype.itemsize != info.file_size:
        raise ValueError(f"{info.file_size} bytes for an array of shape {shape} in {info.filename!r}")
    with archive.open(info) as stream:
        array: Array = npy.read_array(stream, allow_pickle=False)
    return array.astype(dtype.newbyteorder("="), copy=False)


def digest(file: BinaryIO, size: int) -> bytes:
    """Return the SHA-256, in hexadecimal, of the first bytes of a file."""
    checksum = hashlib.sha256()
    file.seek(0)
    while size > 0 and (block := file.read(min(size, 2**20))):
        checksum.update(block)
        size -= len(block)
    return checksum.hexdigest().encode()
