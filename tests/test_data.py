"""Mini-batches: every sample once, in order or in a drawn one, copied only where that is needed."""

import mmap
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinynn as nn
from tinynn.data import batches

X = np.arange(20.0).reshape(10, 2)
Y = np.arange(10)


@given(st.integers(0, 12), st.integers(1, 14), st.booleans(), st.booleans())
def test_every_sample_comes_once_with_its_target(samples, batch_size, shuffle, drop_last):
    x, y = np.arange(samples) * 10.0, np.arange(samples)
    loader = batches(x, y, batch_size, shuffle, rng=0 if shuffle else None, drop_last=drop_last)
    found = list(loader)
    assert (
        len(found) == len(loader) == (samples // batch_size if drop_last else (samples + batch_size - 1) // batch_size)
    )
    assert all(len(ys) == batch_size for _, ys in found[:-1])
    assert all(np.array_equal(xs, ys * 10) for xs, ys in found)
    seen = [sample for _, ys in found for sample in ys.tolist()]
    assert len(set(seen)) == len(seen) == (samples - samples % batch_size if drop_last else samples)
    if not shuffle:
        assert seen == list(range(len(seen)))


def test_without_shuffling_batches_are_views():
    for xs, ys in batches(X, Y, 4):
        assert np.shares_memory(xs, X)
        assert np.shares_memory(ys, Y)


def test_shuffled_batches_are_copies_and_leave_the_data_alone():
    x, y = X.copy(), Y.copy()
    for xs, ys in batches(x, y, 4, shuffle=True, rng=0):
        xs += 1
        ys += 1
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, Y)


def order(loader):
    return np.concatenate([ys for _, ys in loader]).tolist()


def test_each_iteration_draws_a_new_order():
    loader = batches(X, Y, 3, shuffle=True, rng=0)
    assert order(loader) != order(loader)
    assert sorted(order(loader)) == list(range(10))


def test_the_same_seed_gives_the_same_orders():
    first, second = batches(X, Y, 3, True, 5), batches(X, Y, 3, True, np.random.default_rng(5))
    for _ in range(3):
        assert order(first) == order(second)
    assert order(batches(X, Y, 3, True, 5)) != order(batches(X, Y, 3, True, 6))


def test_an_iteration_may_be_left_and_two_may_run_at_once():
    loader = batches(X, Y, 4)
    first, second = iter(loader), iter(loader)
    next(first)
    assert [ys.tolist() for _, ys in second] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert next(first)[1].tolist() == [4, 5, 6, 7]


def test_inputs_alone_come_as_arrays():
    assert [xs.tolist() for xs in batches([1, 2, 3], batch_size=2)] == [[1, 2], [3]]


def test_lists_read_only_and_many_axes_are_taken():
    x = np.zeros((5, 2, 3, 4), np.uint8)
    x.flags.writeable = False
    shapes = [(xs.shape, ys.shape, xs.dtype) for xs, ys in batches(x, [[1.0]] * 5, 2)]
    assert shapes == [((2, 2, 3, 4), (2, 1), np.uint8)] * 2 + [((1, 2, 3, 4), (1, 1), np.uint8)]


def test_an_empty_set_has_no_batches():
    assert list(batches(X[:0], Y[:0])) == []


def test_masked_data_is_refused():
    wrong = np.ma.array([1.0, 2.0], mask=[0, 1])
    for args in ((wrong, [1, 2]), ([1, 2], wrong)):
        with pytest.raises(TypeError, match="masked array"):
            batches(*args)


def test_repr_and_public_name():
    assert repr(nn.data.batches(X, Y, 4)) == "<3 batches of 4 from 10 samples>"


# Data sets and loaders


def test_a_data_set_gives_rows_and_batches():
    dataset = nn.ArrayDataset(X, Y.tolist())
    assert len(dataset) == 10
    for index in (3, slice(2, 5), [4, 1], np.array([0, 9])):
        xs, ys = dataset[index]
        np.testing.assert_array_equal(xs, X[index])
        np.testing.assert_array_equal(ys, Y[index])
    assert len(nn.ArrayDataset(X)[0]) == 1
    assert repr(dataset) == "ArrayDataset(float64 (10, 2), int64 (10,))"


class Indexed:
    """Samples one by one."""

    def __len__(self):
        return len(X)

    def __getitem__(self, index):
        assert isinstance(index, int)
        return X[index], Y[index]


class Whole(Indexed):
    """Batches at once."""

    takes_index_arrays = True

    def __getitem__(self, indices):
        assert isinstance(indices, (slice, np.ndarray))
        return X[indices], Y[indices]


class Stream:
    """Samples in a row."""

    def __iter__(self):
        return zip(X, Y, strict=True)


SOURCES = {
    "arrays": lambda: (X, Y),
    "lists": lambda: (X.tolist(), Y.tolist()),
    "ArrayDataset": lambda: nn.ArrayDataset(X, Y),
    "samples by index": Indexed,
    "list of samples": lambda: list(zip(X, Y, strict=True)),
    "batches by index": Whole,
    "stream": Stream,
}


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("batch_size", [1, 3, 5, 10, 11])
@pytest.mark.parametrize("source", SOURCES)
def test_a_loader_gives_the_batches_of_any_source(source, batch_size, drop_last):
    loader = nn.DataLoader(SOURCES[source](), batch_size, drop_last=drop_last)
    expected = list(batches(X, Y, batch_size, drop_last=drop_last))
    for _ in range(2):
        found = list(loader)
        assert len(found) == len(expected)
        for pair, other in zip(found, expected, strict=True):
            assert isinstance(pair, tuple)
            for array, same in zip(pair, other, strict=True):
                np.testing.assert_array_equal(array, same)
    if source != "stream":
        assert len(loader) == len(expected)


@pytest.mark.parametrize("source", [name for name in SOURCES if name != "stream"])
def test_a_loader_and_batches_share_one_shuffling(source):
    loader = nn.DataLoader(SOURCES[source](), 3, True, rng=4)
    plain = batches(X, Y, 3, True, 4)
    for _ in range(3):
        assert [ys.tolist() for _, ys in loader] == [ys.tolist() for _, ys in plain]


def test_a_single_array_gives_arrays():
    assert [xs.tolist() for xs in nn.DataLoader(np.arange(3), 2)] == [[0, 1], [2]]
    assert [xs.tolist() for xs in nn.DataLoader([1, 2, 3], 2)] == [[1, 2], [3]]


def test_batches_of_arrays_are_views_where_nothing_is_shuffled():
    assert all(np.shares_memory(xs, X) for xs, _ in nn.DataLoader((X, Y), 4))
    assert not any(np.shares_memory(xs, X) for xs, _ in nn.DataLoader((X, Y), 4, True))


def test_a_transform_takes_the_place_of_each_batch():
    pairs = nn.DataLoader((X, Y), 4, transform=lambda x, y: (2 * x, y, len(y)))
    assert [(xs.tolist(), n) for xs, _, n in pairs] == [
        ((2 * X[i : i + 4]).tolist(), n) for i, n in ((0, 4), (4, 4), (8, 2))
    ]
    assert [xs.tolist() for xs in nn.DataLoader(Y, 5, transform=np.negative)] == [
        (-Y[:5]).tolist(),
        (-Y[5:]).tolist(),
    ]


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize(
    ("source", "shuffle"),
    [(name, shuffle) for name in SOURCES for shuffle in (False, True) if name != "stream" or not shuffle],
)
def test_a_loader_goes_on_in_the_middle_of_an_epoch(source, shuffle, drop_last):
    for position in range(10):
        rng, other = np.random.default_rng(0), np.random.default_rng(1)
        options = {"drop_last": drop_last}
        loader = nn.DataLoader(SOURCES[source](), 3, shuffle, rng=rng if shuffle else None, **options)
        iterator, seen = iter(loader), []
        for _ in range(position):
            batch = next(iterator, None)
            if batch is None:
                iterator = iter(loader)
                batch = next(iterator)
            seen.append(batch)
            rng.random()  # a layer shares the generator
        state, now = loader.state_dict(), rng.bit_generator.state
        rest = [ys.tolist() for _, ys in iterator]
        after = [[ys.tolist() for _, ys in loader] for _ in range(2)]
        twin = nn.DataLoader(SOURCES[source](), 3, shuffle, rng=other if shuffle else None, **options)
        twin.load_state_dict(state)
        other.bit_generator.state = now
        assert [ys.tolist() for _, ys in twin] == rest
        assert [[ys.tolist() for _, ys in twin] for _ in range(2)] == after
        assert twin.epoch == loader.epoch


def test_the_state_of_a_loader_holds_no_order():
    state = nn.DataLoader((np.zeros(100_000),), 10, True, rng=0)
    iterator = iter(state)
    next(iterator)
    assert len(repr(state.state_dict())) < 500
    assert state.state_dict()["batch"] == 1


def test_between_epochs_a_new_order_is_drawn():
    loader, twin = (nn.DataLoader((X, Y), 4, True, rng=seed) for seed in (0, 1))
    list(loader)
    assert loader.state_dict()["origin"] is None
    twin.load_state_dict(loader.state_dict())
    twin.rng.bit_generator.state = loader.rng.bit_generator.state
    assert order(twin) == order(loader)


def test_the_latest_iteration_is_the_one_that_counts():
    loader = nn.DataLoader((X, Y), 4)
    first, second = iter(loader), iter(loader)
    next(first)
    next(second)
    next(first)
    next(first)
    assert (loader.epoch, loader.batch) == (2, 1)
    assert next(first, None) is None
    assert (loader.epoch, loader.batch) == (2, 1)


def test_generators_of_data_and_transforms_are_seen():
    rng = [np.random.default_rng(seed) for seed in range(4)]

    class Noisy(Indexed):
        def __init__(self):
            self.noise = rng[1]

        def blur(self, x, y):
            return x + self.noise.random(), y

    def generators(dataset, transform=None):
        return nn.DataLoader(dataset, 2, True, rng=rng[0], transform=transform).generators()

    assert generators((X, Y)) == [rng[0]]
    assert generators(Noisy()) == [rng[0], rng[1]]
    assert generators((X, Y), Noisy().blur) == [rng[0], rng[1]]
    assert generators((X, Y), lambda x, y: (x + rng[2].random(), y)) == [rng[0]]  # in a list: it cannot be seen
    own = rng[2]
    assert generators((X, Y), lambda x, y: (x + own.random(), y)) == [rng[0], own]
    assert nn.DataLoader((X, Y)).generators() == []


NOISE = np.random.default_rng(5)


def noisy(x):
    return x + NOISE.random()


def noisy_at_most(depth, x):
    return noisy_at_most(depth - 1, noisy(x)) if depth else x


class NoisyCall:
    def __call__(self, x, y):
        return noisy(x), y

    def method(self, x, y):
        return x + NOISE.random(), y


TRANSFORMS = {
    "default": lambda x, y, rng=NOISE: (x + rng.random(), y),
    "keyword": partial(lambda x, y, *, rng: (x + rng.random(), y), rng=NOISE),
    "argument": partial(lambda rng, x, y: (x + rng.random(), y), NOISE),
    "function": lambda x, y: (noisy(x), y),
    "function of itself": lambda x, y: (noisy_at_most(2, x), y),
    "partial of a function": partial(lambda factor, x, y: (factor * noisy(x), y), 2),
    "object": NoisyCall(),
    "method": NoisyCall().method,
    "method of a generator": NOISE.permuted,
}


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
def test_a_generator_is_seen_wherever_a_transform_has_it_from(transform):
    assert nn.DataLoader((X, Y), transform=transform).generators() == [NOISE]


def test_a_transform_may_work_in_place():
    """Batches of what is not shuffled would be views, and each epoch would change the data once more."""

    def halve(x, y):
        x *= 0.5
        return x, y

    x = X.copy()
    for _ in range(2):
        assert np.array_equal(np.concatenate([xs for xs, _ in nn.DataLoader((x, Y), 4, transform=halve)]), X / 2)
    list(nn.DataLoader(x, 4, transform=lambda xs: xs.fill(0)))
    assert np.array_equal(x, X)


def test_a_loader_apart_begins_an_epoch_and_leaves_the_other_where_it_is():
    loader = nn.DataLoader((X, Y), 4, True, rng=0)
    next(batches := iter(loader))
    before = loader.state_dict()
    assert len(list(loader.apart())) == 3
    assert loader.state_dict() == before
    again = nn.DataLoader((X, Y), 4, True, rng=1)
    again.load_state_dict(before)
    assert len(list(again.apart())) == 3  # all of an epoch, not the rest of the one that was interrupted
    assert [ys.tolist() for _, ys in again] == [ys.tolist() for _, ys in batches]


def test_memory_mapped_arrays_stay_on_the_disk(tmp_path):
    x = np.memmap(tmp_path / "x", np.float32, "w+", shape=(12, 3))
    x[:] = np.arange(36).reshape(12, 3)
    np.save(tmp_path / "y.npy", np.arange(12))
    y = np.load(tmp_path / "y.npy", mmap_mode="r")
    dataset = nn.ArrayDataset(x, y)
    assert all(np.shares_memory(a, b) for a, b in zip(dataset.arrays, (x, y), strict=True))
    found = [(xs.tolist(), ys.tolist()) for xs, ys in nn.DataLoader(dataset, 5, True, rng=0)]
    plain = batches(np.array(x), np.array(y), 5, True, 0)
    assert found == [(xs.tolist(), ys.tolist()) for xs, ys in plain]


@pytest.mark.parametrize(("columns", "expected"), [(100, "MADV_RANDOM"), (10_000, "MADV_NORMAL")])
def test_the_system_is_told_not_to_read_ahead_of_small_rows_in_no_order(columns, expected):
    heard = []

    class Spy(mmap.mmap):
        def madvise(self, advice):
            heard.append(advice)

    x = np.ndarray((4, columns), np.float32, buffer=Spy(-1, 16 * columns))
    for loader in (nn.DataLoader(x, 2, True), nn.DataLoader((x, Y[:4]), 2), nn.DataLoader((Y[:4], x[1:, :].base), 2)):
        heard.clear()
        list(loader)
        wanted = expected if loader.shuffle else "MADV_NORMAL"
        assert heard == ([getattr(mmap, wanted)] if hasattr(mmap, wanted) else [])


def test_repr_of_a_loader():
    assert repr(nn.DataLoader((X, Y), 4)) == "<3 batches of 4 from 10 samples>"
    assert repr(nn.DataLoader(Stream(), 4)) == "<batches of 4 from a Stream>"


def halfway(**options):
    loader = nn.DataLoader((X, Y), **{"batch_size": 4, "shuffle": True, "rng": 0, **options})
    next(iter(loader))
    return loader.state_dict()


def load(state, **options):
    return lambda: nn.DataLoader((X, Y), **{"batch_size": 4, "shuffle": True, **options}).load_state_dict(state)


NO_RNG = {"shuffle": False, "rng": None}
WRONG = [
    (lambda: nn.ArrayDataset(), ValueError, "ArrayDataset expects at least one array, got none"),
    (lambda: nn.ArrayDataset(X, 3.0), ValueError, "ArrayDataset expects array 1 of shape (N, ...), got ()"),
    (lambda: nn.ArrayDataset(X, Y[1:], Y), ValueError,
     "ArrayDataset expects arrays of the same length, got 10 and 9 and 10"),
    (lambda: nn.ArrayDataset(X * 1j), TypeError,
     "ArrayDataset expects array 0 to be an array of real numbers, got ndarray of dtype complex128"),
    (lambda: nn.DataLoader({"x": X}), TypeError,
     "DataLoader expects arrays, samples by index, or an iterable of samples, got a dict"),
    (lambda: nn.DataLoader(3), TypeError,
     "DataLoader expects arrays, samples by index, or an iterable of samples, got a int"),
    (lambda: nn.DataLoader(np.array(3)), ValueError, "DataLoader expects an array of shape (N, ...), got ()"),
    (lambda: nn.DataLoader(Stream(), shuffle=True), TypeError,
     "DataLoader expects samples by index where shuffle=True, got a Stream; make it a list"),
    (lambda: nn.DataLoader((X, Y), rng=0), TypeError,
     "DataLoader expects rng together with shuffle=True, got shuffle=False, rng=0"),
    (lambda: nn.DataLoader((X, Y), shuffle=True, rng="0"), TypeError,
     "DataLoader expects rng to be a numpy.random.Generator, a seed >= 0 or None, got '0'"),
    (lambda: nn.DataLoader((X, Y), 0), ValueError, "DataLoader expects batch_size to be a positive integer, got 0"),
    (lambda: nn.DataLoader((X, Y), shuffle=1), TypeError, "DataLoader expects shuffle to be True or False, got 1"),
    (lambda: nn.DataLoader((X, Y), drop_last=1), TypeError, "DataLoader expects drop_last to be True or False, got 1"),
    (lambda: nn.DataLoader((X, Y), transform=3), TypeError,
     "DataLoader expects transform to be a function of a batch, got 3"),
    (lambda: len(nn.DataLoader(Stream())), TypeError,
     "<batches of 1 from a Stream> expects a data set with a length, got a Stream"),
    (lambda: list(nn.DataLoader([[1], [1, 2]], 2)), ValueError,
     "DataLoader expects samples to be an array of real numbers, got a list that is ragged (…"),
    (lambda: list(nn.DataLoader([(1, 2), (1,)], 2)), ValueError,
     "DataLoader expects samples that are all alike, got tuples of 2 and tuples of 1"),
    (lambda: list(nn.DataLoader([(1, 2), np.array([1, 2])], 2)), ValueError,
     "DataLoader expects samples that are all alike, got tuples of 2 and no tuples"),
    (load({"epoch": 1}), ValueError,
     "<3 batches of 4 from 10 samples> expects a state with epoch, batch, origin, samples, batch_size, drop_last, got "
     "{'epoch': 1}"),
    (load(halfway(), batch_size=5), ValueError,
     "<2 batches of 5 from 10 samples> expects the state of a loader with batch_size=5, got 4"),
    (load(halfway(drop_last=True)), ValueError,
     "<3 batches of 4 from 10 samples> expects the state of a loader with drop_last=False, got True"),
    (load({**halfway(), "samples": 9}), ValueError,
     "<3 batches of 4 from 10 samples> expects the state of a loader with samples=10, got 9"),
    (load(halfway(), **NO_RNG), ValueError,
     "<3 batches of 4 from 10 samples> expects the state of a loader with shuffle=False, got shuffle=True"),
    (load(halfway(**NO_RNG)), ValueError,
     "<3 batches of 4 from 10 samples> expects the state of a loader with shuffle=True, got shuffle=False"),
    (load(halfway(rng=np.random.Generator(np.random.MT19937(0)))), ValueError,
     "<3 batches of 4 from 10 samples> expects the state of a PCG64, got that of a MT19937"),
]  # fmt: skip


@pytest.mark.parametrize(("do", "error", "message"), WRONG, ids=[row[2] for row in WRONG])
def test_a_wrong_argument_is_refused_in_a_sentence(do, error, message):
    with pytest.raises(error) as caught:
        do()
    assert isinstance(caught.value, nn.errors.TinynnError)
    start, ellipsis, _ = message.partition("…")
    assert str(caught.value).startswith(start) if ellipsis else str(caught.value) == message
