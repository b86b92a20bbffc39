"""Files keep what was saved: exactly, or with an error, whatever happens to the writer, to the disk and to the file."""

import errno
import io
import json
import os
import re
import stat
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinynn as nn
from tests.soak import files as soak
from tinynn import archive, atomic
from tinynn.errors import ArgumentError, ArgumentTypeError, CheckpointError, MissingExtraError

FORMATS = ("npz", "safetensors")
fixed = settings(derandomize=True, database=None, deadline=None, max_examples=100)

KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5) | st.integers()
KEYS |= st.sampled_from(
    ["file", "allow_pickle", "a/b", "a.b", "a_b", "", "..", "structure.json", "a\0b", "dict", "1", 1]
)
DTYPES = hnp.boolean_dtypes() | hnp.integer_dtypes(endianness="?") | hnp.unsigned_integer_dtypes(endianness="?")
DTYPES |= hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64))
LAYOUTS = {
    "as it is": lambda array: array,
    "Fortran order": np.asfortranarray,
    "transposed": np.transpose,
    "reversed": lambda array: array[::-1] if array.ndim else array,
    "strided": lambda array: array[..., ::2] if array.ndim else array,
    "read-only": lambda array: np.broadcast_to(array, (2, *array.shape)),
}


def arrays(dtypes=DTYPES):
    """Arrays of any real dtype, shape (none and empty included) and layout."""
    shapes = hnp.array_shapes(min_dims=0, min_side=0, max_dims=4, max_side=4)
    return st.builds(
        lambda array, layout: LAYOUTS[layout](array), hnp.arrays(dtypes, shapes), st.sampled_from(list(LAYOUTS))
    )


SCALARS = st.builds(lambda array: array.astype(array.dtype.newbyteorder("="))[()], hnp.arrays(DTYPES, ()))
LEAVES = st.none() | st.booleans() | st.integers() | st.integers(-(2**200), 2**200) | st.floats() | SCALARS | arrays()
LEAVES |= st.text(st.characters(exclude_categories=["Cs"]))
STATES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=4)  # 1 and True are one key, and there is no True among KEYS
    ),
    max_leaves=12,
)


def plain(state):
    """Return a state with its arrays in C order and native bytes: what is to come out of a file."""
    if isinstance(state, dict):
        return {key: plain(value) for key, value in state.items()}
    if isinstance(state, (list, tuple)):
        return type(state)(plain(value) for value in state)
    if isinstance(state, np.ndarray):
        return np.array(state, state.dtype.newbyteorder("="), order="C")
    return state


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


@fixed
@given(STATES)
def test_any_nested_state_comes_out_of_an_npz_file_as_it_went_in(place, state):
    nn.save(state, place / "state.npz")
    loaded = nn.load(place / "state.npz")
    assert soak.same(loaded, plain(state))
    again = plain(loaded)
    assert soak.same(again, loaded)  # its arrays are in C order and native already


@fixed
@given(st.dictionaries(KEYS.filter(lambda key: isinstance(key, str)), arrays(), max_size=5))
def test_any_dict_of_arrays_comes_out_of_a_safetensors_file_as_it_went_in(place, state):
    nn.save(state, place / "state.safetensors")
    loaded = nn.load(place / "state.safetensors")
    assert set(loaded) == set(state)
    assert soak.same({name: loaded[name] for name in state}, plain(state))


@fixed
@given(st.dictionaries(KEYS.filter(lambda key: isinstance(key, str)), arrays(), max_size=5))
def test_numpy_opens_what_was_saved_and_finds_every_array(place, state):
    nn.save(state, place / "state.npz")
    with np.load(place / "state.npz") as file:
        names = [name for name in file.files if name != "structure.json"]
        assert all(name.startswith("arrays/") for name in names)
        assert soak.same([file[name] for name in names], plain(list(state.values())))


def test_numpy_finds_weights_under_their_names(tmp_path):
    nn.save(soak.weights(), tmp_path / "model.npz")
    with np.load(tmp_path / "model.npz") as file:
        assert [name.removeprefix("arrays/") for name in file.files[:-1]] == list(soak.weights())


def test_long_double_numbers_keep_their_digits(tmp_path):
    state = [np.longdouble(1) / 3, np.ones(2, np.longdouble) / 7]
    nn.save(state, tmp_path / "state.npz")
    third, sevenths = nn.load(tmp_path / "state.npz")
    assert third == state[0]
    assert (sevenths == state[1]).all()
    assert type(third) is np.longdouble
    assert sevenths.dtype == np.longdouble


def test_a_file_from_a_machine_of_the_other_byte_order_comes_out_in_that_of_this_one(tmp_path):
    for order in "<>":
        values = np.array([1.5, -2.5], f"{order}f8")
        (tmp_path / "state.npz").write_bytes(of_one_array(npy((2,), values.dtype, values.tobytes())))
        assert soak.same(nn.load(tmp_path / "state.npz"), np.array([1.5, -2.5]))


def test_arrays_are_found_under_any_key_by_names_that_any_zip_program_can_handle(tmp_path):
    keys = ["a\0b", "a\0c", "a/b", "..", "a\\b", "C:", "größer", "a b", "a_b", "", 1, "1", "a.npy", "structure.json"]
    state = {key: np.array(index) for index, key in enumerate(keys)}
    nn.save(state, tmp_path / "state.npz")
    assert soak.same(nn.load(tmp_path / "state.npz"), state)
    with soak.zipfile.ZipFile(tmp_path / "state.npz") as file:
        names = file.namelist()[:-1]
    assert len({name.casefold() for name in names}) == len(keys)
    assert all(re.fullmatch(r"arrays/[\w.+~-]*\.npy", name) for name in names)


def test_large_arrays_get_the_header_that_zip_files_have_for_them(tmp_path, monkeypatch):
    monkeypatch.setattr(soak.zipfile, "ZIP64_LIMIT", 1000)  # instead of 2 GB
    state = {"large": np.arange(200.0), "small": np.arange(2.0)}
    nn.save(state, tmp_path / "state.npz")
    monkeypatch.undo()
    assert soak.same(nn.load(tmp_path / "state.npz"), state)
    with np.load(tmp_path / "state.npz") as file:
        assert soak.same(file["arrays/large"], state["large"])


def test_integers_and_names_of_any_length_are_kept(tmp_path):
    state = {"x" * 100_000: np.ones(1), "x" * 100_001: np.zeros(2), "n": 10**5000}
    nn.save(state, tmp_path / "state.npz")
    assert soak.same(nn.load(tmp_path / "state.npz"), state)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_loaded_array_can_be_written_to_and_belongs_to_nobody_else(tmp_path, suffix):
    state = {"a": np.ones(3)}
    nn.save(state, tmp_path / f"state.{suffix}")
    loaded = nn.load(tmp_path / f"state.{suffix}")
    loaded["a"] += 1
    assert state["a"].tolist() == nn.load(tmp_path / f"state.{suffix}")["a"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("kind", ["model", "optimizer"])
def test_what_has_a_state_dict_is_saved_by_it(tmp_path, kind):
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    optimizer = nn.Adam(model.parameters())
    model.backward(model(np.eye(3)))
    optimizer.step()
    thing = {"model": model, "optimizer": optimizer}[kind]
    nn.save(thing, tmp_path / "state.npz")
    loaded = nn.load(tmp_path / "state.npz")
    assert soak.same(loaded, thing.state_dict())
    thing.load_state_dict(loaded)


@pytest.mark.parametrize("suffix", FORMATS)
def test_tied_weights_are_there_under_every_name(tmp_path, suffix):
    model = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 2))
    model[2].weight = model[0].weight
    nn.save(model, tmp_path / f"model.{suffix}")
    loaded = nn.load(tmp_path / f"model.{suffix}")
    np.testing.assert_array_equal(loaded["0.weight"], loaded["2.weight"])
    model.load_state_dict(loaded)


@pytest.mark.parametrize("kind", [np.random.PCG64, np.random.MT19937, np.random.Philox, np.random.SFC64])
def test_a_generator_goes_on_where_it_was_saved(tmp_path, kind):
    rng, twin = np.random.Generator(kind(1)), np.random.Generator(kind(2))
    rng.integers(3, size=3, dtype=np.int32)  # half a number is left over
    nn.save(rng.bit_generator.state, tmp_path / "rng.npz")
    twin.bit_generator.state = nn.load(tmp_path / "rng.npz")
    assert rng.integers(3, size=9, dtype=np.int32).tolist() == twin.integers(3, size=9, dtype=np.int32).tolist()


def test_equal_states_make_equal_files(tmp_path):
    for suffix in FORMATS:
        for name in ("a", "b"):
            nn.save(soak.weights(), tmp_path / f"{name}.{suffix}")
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


# Damage


STATES_OF_FILES = {"weights": soak.weights, "checkpoint": soak.checkpoint}


def saved(folder, name="weights.npz"):
    """Return the state that belongs to a name, and the content of its file."""
    state = STATES_OF_FILES[Path(name).stem]()
    nn.save(state, folder / name)
    return state, (folder / name).read_bytes()


@pytest.mark.parametrize("name", ["weights.npz", "checkpoint.npz"])
def test_every_mutation_of_an_npz_file_is_refused(tmp_path, name):
    state, content = saved(tmp_path, name)
    mutants = soak.mutants(content, 500, np.random.default_rng(0))
    assert soak.outcomes(tmp_path / name, state, mutants) == {"refused": 500}


@pytest.mark.parametrize("damage", ["of the whole", "of a member"])
def test_a_mutation_with_the_right_checksum_raises_nothing_else(tmp_path, damage):
    state, content = saved(tmp_path, "checkpoint.npz")
    rng = np.random.default_rng(1)
    if damage == "of the whole":
        mutants = map(soak.sealed, soak.mutants(content, 400, rng))
    else:
        mutants = soak.with_damaged_members(content, 400, rng)
    found = soak.outcomes(tmp_path / "mutant.npz", state, mutants)
    assert set(found) <= {"refused", "the same", "changed"}
    assert found["refused"] > 300


def test_a_mutation_of_a_safetensors_file_raises_nothing_else(tmp_path):
    state, content = saved(tmp_path, "weights.safetensors")
    found = soak.outcomes(tmp_path / "w.safetensors", state, soak.mutants(content, 500, np.random.default_rng(2)))
    assert set(found) <= {"refused", "the same", "changed"}
    assert found["refused"] > 250


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_truncation_is_refused(tmp_path, suffix):
    path = tmp_path / f"state.{suffix}"
    nn.save({"weight": np.arange(6.0).reshape(2, 3)}, path)
    content = path.read_bytes()
    cuts = (content[:length] for length in range(len(content)))
    assert soak.outcomes(path, None, cuts) == {"refused": len(content)}


def npy(shape, dtype=np.float64, data=b""):
    """Return a member for an array as its header describes it, whatever the data."""
    file = io.BytesIO()
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + data


def of_one_array(member, structure=None):
    """Return a sealed npz file with one array."""
    structure = {"array": "arrays/a"} if structure is None else structure
    return soak.rebuilt({"arrays/a.npy": member, "structure.json": json.dumps(structure).encode()})


def with_declared_size(size):
    """Return a sealed npz file in whose directory a member is so large."""
    content = bytearray(of_one_array(npy((1,), data=bytes(8))))
    entry = content.index(b"PK\1\2")
    content[entry + 20 : entry + 28] = 2 * size.to_bytes(4, "little")
    return soak.sealed(bytes(content))


def compressed():
    """Return a sealed npz file that is a bomb: a kilobyte for a megabyte of zeros, for example."""
    file = io.BytesIO()
    with soak.zipfile.ZipFile(file, "w", soak.zipfile.ZIP_DEFLATED) as made:
        made.comment = archive.MARK + bytes(archive.DIGEST)
        made.writestr("arrays/a.npy", npy((2**20,), np.uint8, bytes(2**20)))
        made.writestr("structure.json", '{"array": "arrays/a"}')
    return soak.sealed(file.getvalue())


def named_twice():
    """Return a sealed npz file whose directory has one array many times, so that it is larger than the file."""
    content = of_one_array(npy((1000,), np.uint8, bytes(1000)))
    start, stop = content.index(b"PK\1\2"), content.rindex(b"PK\1\2")
    entry, end = content[start:stop], content.rindex(b"PK\5\6")
    content = bytearray(content[:start] + 50 * entry + content[stop:])
    end += 49 * len(entry)
    count, size = 51, end - start
    content[end + 8 : end + 16] = 2 * count.to_bytes(2, "little") + size.to_bytes(4, "little")
    return soak.sealed(bytes(content))


def safetensors(header, data=b"", length=None):
    text = json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


TERABYTES = 2**40
HOSTILE = {  # a file, what the error says of it
    "empty.npz": (b"", "no checksum at its end: it was cut, or something else wrote it, which numpy.load may read"),
    "terabytes.npz": (of_one_array(npy((TERABYTES,))), f"128 bytes for an array of shape ({TERABYTES},)…"),
    "overflow.npz": (of_one_array(npy((2**32, 2**32))), "128 bytes for an array of shape (4294967296, 4294967296)…"),
    "negative.npz": (of_one_array(npy((-1, -1), data=bytes(8))), "136 bytes for an array of shape (-1, -1)…"),
    "lacking.npz": (of_one_array(npy((2,), data=bytes(15))), "143 bytes for an array of shape (2,)…"),
    "too much.npz": (of_one_array(npy((2,), data=bytes(17))), "145 bytes for an array of shape (2,)…"),
    "declared.npz": (with_declared_size(2**32 - 16), "members that are larger than itself"),
    "bomb.npz": (compressed(), "a member that is compressed"),
    "many.npz": (named_twice(), "members that are larger than itself"),
    "objects.npz": (of_one_array(npy((1,), object, data=bytes(8))), "dtype object in 'arrays/a.npy'"),
    "complex.npz": (of_one_array(npy((1,), complex, data=bytes(16))), "dtype complex128 in 'arrays/a.npy'"),
    "version.npz": (of_one_array(b"\x93NUMPY\2\0" + npy((1,))[8:]), "another version of the npy format in…"),
    "twice.npz": (of_one_array(npy(()) + bytes(8), [{"array": "arrays/a"}] * 2), "KeyError('arrays/a')"),
    "left over.npz": (of_one_array(npy(()) + bytes(8), []), "arrays that its structure does not name"),
    "unknown.npz": (of_one_array(npy(()) + bytes(8), {"code": "arrays/a"}), "a 'code' in its structure"),
    "deep.npz": (soak.rebuilt({"structure.json": b"[" * 10**5}), "RecursionError(…"),
    "no structure.npz": (soak.rebuilt({}), "KeyError(\"There is no item named 'structure.json' in the archive\")"),
    "terabytes.safetensors": (safetensors({}, length=TERABYTES), "SafetensorError(…"),
    "long.safetensors": (
        safetensors({"a": {"dtype": "F64", "shape": [TERABYTES], "data_offsets": [0, 8 * TERABYTES]}}),
        "SafetensorError(…",
    ),
    "bfloat16.safetensors": (
        safetensors({"a": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}, bytes(2)),
        "bfloat16, which NumPy does not have; in PyTorch, save model.float()",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_lies_is_refused_before_memory_is_taken(tmp_path, monkeypatch, name):
    content, actual = HOSTILE[name]
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(content)
    nn.load(saved_empty(Path(name).suffix))  # imports what it needs
    tracemalloc.start()
    with pytest.raises(CheckpointError) as caught:
        nn.load(name)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    start, ellipsis, _ = f"load expects {name!r} as it was saved, got {actual}".partition("…")
    assert str(caught.value).startswith(start) if ellipsis else str(caught.value) == start
    assert peak < 2**20


def saved_empty(suffix):
    """Save an empty state and return its path."""
    nn.save({}, f"empty state{suffix}")
    return f"empty state{suffix}"


def test_a_file_of_numpy_is_not_taken_for_one_of_ours(tmp_path):
    np.savez(tmp_path / "model.npz", **soak.weights())
    with pytest.raises(CheckpointError, match=r"no checksum at its end: .* which numpy.load may read"):
        nn.load(tmp_path / "model.npz")


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_that_is_not_there_is_the_error_that_python_has_for_it(tmp_path, suffix):
    with pytest.raises(FileNotFoundError, match=r"No such file or directory: '.*nothing\..*'"):
        nn.load(tmp_path / f"nothing.{suffix}")
    with pytest.raises(FileNotFoundError):
        nn.load(tmp_path / "no folder" / f"nothing.{suffix}")


@pytest.mark.parametrize("suffix", FORMATS)
def test_what_is_no_file_cannot_be_loaded_nor_replaced(tmp_path, monkeypatch, suffix):
    monkeypatch.chdir(tmp_path)
    name = f"folder.{suffix}"
    Path(name).mkdir()
    with pytest.raises(CheckpointError) as caught:
        nn.load(name)
    assert str(caught.value) == f"load expects {name!r} as it was saved, got something that is no regular file"
    with pytest.raises(CheckpointError) as caught:
        nn.save({}, name)
    assert str(caught.value) == (
        f"save expects to write {name!r}, got something there that is no regular file; "
        "what was there before is unchanged"
    )
    assert listing() == [name]


# Writing


class FullDisk(io.FileIO):
    """A file on a disk that has room for a number of bytes."""

    room = 0

    def write(self, data):
        size = memoryview(data).nbytes
        if self.tell() + size > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


OLD = {"old": np.arange(3.0)}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with an old file of each kind, in which saving fails as a test wants."""
    monkeypatch.chdir(tmp_path)
    for suffix in FORMATS:
        nn.save(OLD, f"old.{suffix}")
    return tmp_path


def listing():
    return sorted(path.name for path in Path().iterdir())


def failing(*arguments, **options):
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def assert_nothing_happened(suffix, reason):
    """Saving fails for a reason and says so; the old file is there, no new one, and nothing else."""
    before = listing()
    for name in (f"old.{suffix}", f"new.{suffix}"):
        with pytest.raises(CheckpointError) as caught:
            nn.save(soak.weights(), name)
        assert isinstance(caught.value, OSError)
        message = f"save expects to write {name!r}, got {reason}; what was there before is unchanged"
        assert str(caught.value) == message
    assert soak.same(nn.load(f"old.{suffix}"), OLD)
    assert listing() == before


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_full_disk_leaves_the_old_file_and_says_so(folder, monkeypatch, suffix):
    created = atomic.create

    def create(place):
        path, file = created(place)
        file.close()
        return path, io.BufferedRandom(FullDisk(path, "r+"), 64)

    monkeypatch.setattr(atomic, "create", create)
    for room in (0, 1, 100, 1000):
        monkeypatch.setattr(FullDisk, "room", room)
        assert_nothing_happened(suffix, os.strerror(errno.ENOSPC))
    monkeypatch.setattr(FullDisk, "room", 10**6)
    nn.save(soak.weights(), f"old.{suffix}")
    assert soak.same_content(nn.load(f"old.{suffix}"), soak.weights())


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("step", ["open", "chmod", "replace"])
def test_a_step_that_fails_leaves_the_old_file_and_says_so(folder, monkeypatch, suffix, step):
    with monkeypatch.context() as patch:
        patch.setattr(Path, step, failing)
        name = f"old.{suffix}"
        with pytest.raises(CheckpointError, match=f"save expects to write '{name}', got Input/output error; what was"):
            nn.save(soak.weights(), name)
    assert soak.same(nn.load(name), OLD)
    assert listing() == [f"old.{suffix}" for suffix in FORMATS]


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_disk_that_cannot_sync_leaves_the_old_file_and_says_so(folder, monkeypatch, suffix):
    monkeypatch.setattr(os, "fsync", failing)
    assert_nothing_happened(suffix, os.strerror(errno.EIO))


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_folder_that_cannot_be_written_to_is_named(folder, monkeypatch, suffix):
    opened = Path.open

    def read_only(path, mode="r", *arguments):
        if "x" in mode:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return opened(path, mode, *arguments)

    monkeypatch.setattr(Path, "open", read_only)
    assert_nothing_happened(suffix, os.strerror(errno.EACCES))


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_folder_that_is_not_there_is_named(folder, suffix):
    name = f"nowhere/new.{suffix}"
    with pytest.raises(CheckpointError) as caught:
        nn.save({}, name)
    missing = str(Path("nowhere").resolve())
    assert str(caught.value) == (
        f"save expects to write {name!r}, got no folder {missing!r}; what was there before is unchanged"
    )
    assert not Path("nowhere").exists()


def test_a_file_that_is_read_only_is_not_replaced(folder, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: not (str(path).endswith("old.npz") and mode == os.W_OK))
    with pytest.raises(CheckpointError, match="got a file there that is read-only; what was there before is unchanged"):
        nn.save({}, "old.npz")
    assert soak.same(nn.load("old.npz"), OLD)


def test_a_folder_that_cannot_be_synced_is_told_apart(folder, monkeypatch):
    """The new file is there by then; a file system without such a thing is no error."""
    monkeypatch.setattr(atomic, "sync_folder", failing)
    with pytest.raises(CheckpointError) as caught:
        nn.save([1], "old.npz")
    assert str(caught.value) == (
        "save expects to write 'old.npz' for good, got Input/output error; "
        "the new file is in place, but might not outlast a power failure"
    )
    assert nn.load("old.npz") == [1]


@pytest.mark.parametrize(("number", "fails"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_a_file_system_that_has_no_syncing_of_folders_is_no_error(folder, monkeypatch, number, fails):
    synced = os.fsync

    def fsync(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        synced(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    if fails:
        with pytest.raises(CheckpointError, match="for good"):
            nn.save([1], "old.npz")
    else:
        nn.save([1], "old.npz")
    assert nn.load("old.npz") == [1]


def test_the_file_is_synced_before_it_takes_the_place_and_the_folder_after(folder, monkeypatch):
    steps = []
    replaced, synced = Path.replace, os.fsync

    def replace(path, target):
        steps.append("replaced")
        replaced(path, target)

    def fsync(descriptor):
        status = os.fstat(descriptor)
        steps.append("folder" if stat.S_ISDIR(status.st_mode) else status.st_size)
        synced(descriptor)

    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr(os, "fsync", fsync)
    for suffix in FORMATS:
        nn.save(OLD, f"old.{suffix}")
        assert steps == [Path(f"old.{suffix}").stat().st_size, "replaced", "folder"]
        steps.clear()


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, ZeroDivisionError])
def test_an_interrupt_leaves_the_old_file_and_nothing_else(folder, monkeypatch, error):
    def interrupted(file, structure, arrays):
        file.write(b"half of it")
        raise error

    monkeypatch.setattr(archive, "write", interrupted)
    with pytest.raises(error):
        nn.save([1], "old.npz")
    assert soak.same(nn.load("old.npz"), OLD)
    assert listing() == [f"old.{suffix}" for suffix in FORMATS]


def test_nothing_is_written_before_all_of_a_state_was_looked_at(folder, monkeypatch):
    monkeypatch.setattr(atomic, "write", failing)
    for suffix in FORMATS:
        with pytest.raises(ArgumentTypeError):
            nn.save({"a": np.ones(3), "b": {1, 2}}, f"old.{suffix}")


def test_a_new_file_has_the_mode_of_any_new_file_and_an_old_one_keeps_its_own(folder):
    Path("usual").touch()
    nn.save([1], "new.npz")
    assert Path("new.npz").stat().st_mode == Path("usual").stat().st_mode
    for mode in (0o600, 0o666, 0o640):
        Path("old.npz").chmod(mode)
        nn.save([mode], "old.npz")
        assert stat.S_IMODE(Path("old.npz").stat().st_mode) == mode
        assert nn.load("old.npz") == [mode]


def test_a_symbolic_link_stays_one_and_its_file_is_written(folder):
    Path("elsewhere").mkdir()
    for target in ("old.npz", "elsewhere/new.npz"):
        link = Path("link.npz")
        link.symlink_to(target)
        nn.save([target], link)
        assert link.is_symlink()
        assert not Path(target).is_symlink()
        assert nn.load(target) == nn.load(link) == [target]
        link.unlink()


def test_what_dead_writers_left_is_removed_and_what_living_ones_write_is_not(folder):
    dead, living, other, link = (Path(f".tinynn-{name}.tmp") for name in ("dead", "living", "other", "link"))
    dead.write_bytes(b"half")
    other.mkdir()
    link.symlink_to("old.npz")
    with living.open("x+b") as file:
        atomic.lock(file.fileno(), wait=False)
        nn.save([1], "old.npz")
        assert not dead.exists()
        assert living.exists()
        assert other.exists()
        assert link.is_symlink()
    nn.save([1], "old.npz")
    assert not living.exists()


def test_a_writer_whose_file_was_removed_before_it_was_locked_takes_another(folder, monkeypatch):
    locked, removed = atomic.lock, []

    def lock(descriptor, *, wait):
        if wait and not removed:
            removed.extend(folder.glob(".tinynn-*.tmp"))
            removed[0].unlink()
        locked(descriptor, wait=wait)

    monkeypatch.setattr(atomic, "lock", lock)
    nn.save([1], "old.npz")
    assert len(removed) == 1
    assert nn.load("old.npz") == [1]


def test_a_file_system_without_locks_will_do(folder, monkeypatch):
    monkeypatch.setattr(atomic, "lock", failing)
    Path(".tinynn-unknown.tmp").write_bytes(b"half")
    nn.save([1], "old.npz")
    assert nn.load("old.npz") == [1]
    assert Path(".tinynn-unknown.tmp").exists()  # whoever writes it may be alive


# PyTorch


ORACLE = Path(__file__).parent / "oracle"
"""Where `tests/oracle/make_safetensors.py` wrote what PyTorch saved and gave; it also makes PyTorch load our files."""


def nested():
    return nn.Sequential(
        nn.Linear(4, 6),
        nn.BatchNorm1d(6),
        nn.Sequential(nn.ReLU(), nn.Linear(6, 5), nn.Sequential(nn.BatchNorm1d(5), nn.Tanh())),
        nn.Linear(5, 3),
    )


def tied():
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))
    model[2].weight = model[0].weight
    return model


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("build", "weights", "output"),
    [(nested, "pytorch.safetensors", "y"), (tied, "pytorch_tied.safetensors", "tied")],
    ids=["nested", "tied"],
)
def test_weights_of_pytorch_give_what_they_give_there(dtype, build, weights, output):
    model = build().astype(dtype)
    model.load_state_dict(nn.load(ORACLE / weights))
    model.eval()
    with np.load(ORACLE / "pytorch_outputs.npz") as file:
        np.testing.assert_allclose(model(file["x"]), file[output], rtol=1e-6, atol=1e-6)


def test_weights_of_pytorch_go_through_our_files_unchanged(tmp_path):
    state = nn.load(ORACLE / "pytorch.safetensors")
    model = nested().astype(np.float32)
    model.load_state_dict(state)
    nn.save(model, tmp_path / "model.safetensors")
    again = nn.load(tmp_path / "model.safetensors")
    assert again.keys() == state.keys()
    assert all(soak.same(again[name], state[name]) for name in state)
    assert state["1.num_batches_tracked"].shape == ()


def test_metadata_name_tied_arrays_and_nothing_else(tmp_path):
    array = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    header = {"__metadata__": {"format": "pt", "b": "pt", "c": "pt", "d": "nothing"}, "pt": array}
    (tmp_path / "state.safetensors").write_bytes(safetensors(header, np.float32(1).tobytes()))
    loaded = nn.load(tmp_path / "state.safetensors")
    assert sorted(loaded) == ["b", "c", "pt"]
    loaded["b"] += 1
    assert [loaded[name].item() for name in ("b", "c", "pt")] == [2, 1, 1]


# What is not saved


class Odd(tuple):
    """A tuple of another kind."""

    __slots__ = ()


cycle = []
cycle.append(cycle)
WHAT = "save expects a state of dicts, lists, tuples, arrays of real numbers, numbers, text and None, got "
REFUSED = {
    "set": ({"state": {2: {"exp_avg": {1}}}}, f"{WHAT}a set at 'state.2.exp_avg'"),
    "complex": ([1, [1j]], f"{WHAT}a complex at '1.0'"),
    "top": (object(), f"{WHAT}a object at the top"),
    "class": (nn.Linear, f"{WHAT}a type at the top"),
    "subclass": ({"betas": Odd()}, f"{WHAT}a Odd at 'betas'"),
    "objects": ({"a": np.array([None])}, f"{WHAT}an array of dtype object at 'a'"),
    "texts": ({"a": np.array(["b"])}, f"{WHAT}an array of dtype <U1 at 'a'"),
    "records": ({"a": np.zeros(1, "f4,f4")}, f"{WHAT}an array of dtype [('f0', '<f4'), ('f1', '<f4')] at 'a'"),
    "mask": ({"a": np.ma.array([1, 2], mask=[0, 1])}, f"{WHAT}a MaskedArray at 'a'"),
    "parameter": ({"a": nn.Parameter([1.0])}, f"{WHAT}a Parameter at 'a'"),
    "bytes": ((b"a",), f"{WHAT}a bytes at '0'"),
    "key": ({"a": {True: 1}}, "save expects keys that are text or integers, got True in 'a'"),
    "keys": ({(1, 2): 1}, "save expects keys that are text or integers, got (1, 2) in the top"),
    "surrogate": ({"a": "\ud800"}, r"save expects text of valid Unicode, got '\ud800' at 'a'"),
    "cycle": (cycle, "save expects a state at most 100 levels deep, got more at '0.0.0.0.0' ..."),
}
EXCHANGE = "save expects a dict of names and arrays for .safetensors, got {}; an .npz file takes any state"
REFUSED_BY_SAFETENSORS = {
    "list": ([np.ones(2)], "a list"),
    "nested": ({"a": {"b": np.ones(2)}}, "a dict at 'a'"),
    "number": ({"a": 1.0}, "a float at 'a'"),
    "scalar": ({"a": np.float64(1)}, "a float64 at 'a'"),
    "complex": ({"a": np.ones(2, complex)}, "an array of dtype complex128 at 'a'"),
    "objects": ({"a": np.array([None])}, "an array of dtype object at 'a'"),
    "mask": ({"a": np.ma.array([1, 2], mask=[0, 1])}, "a MaskedArray at 'a'"),
    "long double": ({"a": np.ones(2, np.longdouble)}, f"an array of dtype {np.dtype(np.longdouble)} at 'a'"),
    "key": ({1: np.ones(2)}, "the name 1"),
    "metadata": ({"__metadata__": np.ones(2)}, "the name '__metadata__'"),
    "surrogate": ({"\ud800": np.ones(2)}, r"the name '\ud800'"),
}
ROWS = [(state, "npz", message) for state, message in REFUSED.values()]
ROWS += [(state, "safetensors", EXCHANGE.format(actual)) for state, actual in REFUSED_BY_SAFETENSORS.values()]
NAMES = [f"{name}.npz" for name in REFUSED] + [f"{name}.safetensors" for name in REFUSED_BY_SAFETENSORS]


@pytest.mark.parametrize(("state", "suffix", "message"), ROWS, ids=NAMES)
def test_what_a_file_does_not_take_is_refused_by_its_path(tmp_path, state, suffix, message):
    with pytest.raises((ArgumentTypeError, ArgumentError)) as caught:
        nn.save(state, tmp_path / f"state.{suffix}")
    assert str(caught.value) == message
    assert not list(tmp_path.iterdir())


def test_a_missing_safetensors_is_named_with_its_extra(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    for owner, call in (("save", lambda: nn.save({}, "old.safetensors")), ("load", lambda: nn.load("old.safetensors"))):
        with pytest.raises(MissingExtraError) as caught:
            call()
        assert str(caught.value) == (
            f'{owner} expects safetensors, got no such package; python -m pip install "tinynn-layers[safetensors]"'
        )
