"""Mini-batches: every sample once, in order or in a drawn one, copied only where that is needed."""

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
