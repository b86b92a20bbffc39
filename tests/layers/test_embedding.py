"""Embedding: which rows are looked up, which get a gradient, and that no other is touched."""

import tracemalloc

import numpy as np
import pytest

import tinynn as nn
from tinynn.testing import check_layer

TABLE = np.arange(12.0).reshape(4, 3)


def table(**options):
    return nn.Embedding.from_pretrained(TABLE, freeze=False, **options)


@pytest.mark.parametrize("shape", [(), (0,), (1,), (7,), (2, 3), (2, 0, 3), (2, 1, 2)])
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.uint64, ">i4"])
def test_each_index_is_a_row_and_its_gradient_goes_there(shape, dtype):
    rng = np.random.default_rng(0)
    x = rng.integers(4, size=shape).astype(dtype)
    layer = table()
    y = layer(x)
    assert y.shape == (*shape, 3)
    np.testing.assert_array_equal(y, np.eye(4)[x] @ TABLE)
    grad = rng.normal(size=y.shape)
    assert layer.backward(grad) is None
    np.testing.assert_allclose(layer.weight.grad, np.tensordot(np.eye(4)[x], grad, (range(x.ndim), range(x.ndim))))


def test_an_index_beyond_what_its_own_dtype_can_count_to_is_a_row_like_others():
    layer = nn.Embedding(200, 3, rng=np.random.default_rng(0))  # 199 · 3 is too large for uint8
    layer(np.array([199, 0, 199], np.uint8))
    layer.backward(np.ones((3, 3)))
    assert layer.weight.grad.sum(axis=1)[[0, 1, 199]].tolist() == [3, 0, 6]


def test_what_was_looked_up_is_a_copy():
    layer = table()
    for x in (2, [2], np.array(2)):
        y = nn.Sequential(nn.Identity(), layer)(x)
        y += 1
    np.testing.assert_array_equal(layer.weight.data, TABLE)


@pytest.mark.parametrize(("padding_idx", "row"), [(0, 0), (2, 2), (-1, 3), (-4, 0)])
def test_the_row_of_the_padding_starts_as_zeros_and_is_not_trained(padding_idx, row):
    layer = nn.Embedding(4, 3, padding_idx, rng=np.random.default_rng(0))
    assert layer.padding_idx == row
    assert not layer.weight.data[row].any()
    assert layer.weight.data.any(axis=1).sum() == 3
    layer([[0, 1], [2, 3], [row, row]])
    layer.backward(np.ones((3, 2, 3)))
    assert layer.weight.grad.tolist() == [[0.0] * 3 if index == row else [1.0] * 3 for index in range(4)]
    layer.weight.data += 1
    layer.reset_parameters(rng=0)
    assert not layer.weight.data[row].any()


def test_the_padding_may_be_the_only_index():
    layer = table(padding_idx=1)
    np.testing.assert_array_equal(layer([1, 1]), TABLE[[1, 1]])
    layer.backward(np.ones((2, 3)))
    assert not layer.weight.grad.any()


def test_backward_touches_only_the_rows_that_were_looked_up():
    layer = nn.Embedding(20_000, 50, rng=np.random.default_rng(0))
    layer.weight.grad.fill(0)  # dense, and paid for by zero_grad
    layer([3, 5, 3])
    grad = np.ones((3, 50))
    tracemalloc.start()
    try:
        layer.backward(grad)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < layer.weight.data.nbytes / 100
    assert layer.weight.grad[[3, 5]].tolist() == [[2.0] * 50, [1.0] * 50]
    assert layer.weight.grad.sum() == 150


def test_gradients_add_up_in_the_row_that_an_optimizer_has_made_of_them():
    layer = nn.Sequential(nn.Embedding(4, 3, rng=np.random.default_rng(0)), nn.Linear(3, 2))
    optimizer = nn.SGD(layer.parameters(), lr=1.0)
    before = layer[0].weight.data.copy()
    for _ in range(2):
        optimizer.zero_grad()
        for _ in range(2):
            y = layer([1, 1])
            layer.backward(np.ones_like(y))
        optimizer.step()
    moved = (layer[0].weight.data != before).any(axis=1)
    assert moved.tolist() == [False, True, False, False]


def test_a_table_may_be_brought_along():
    layer = nn.Embedding.from_pretrained(TABLE.astype(np.float32), padding_idx=2)
    assert repr(layer) == "Embedding(4, 3, padding_idx=2, dtype=float32)"
    assert not layer.weight.requires_grad
    np.testing.assert_array_equal(layer.weight.data, TABLE)
    y = layer([1, 2])
    assert layer.backward(y) is None
    assert not layer.weight.grad.any()
    assert table().weight.requires_grad
    assert not np.shares_memory(table().weight.data, TABLE)
    assert nn.Embedding.from_pretrained([[1, 2], [3, 4]]).weight.dtype == np.float64


class Shifted(nn.Embedding):
    """A row, and a shift that is the same for all."""

    def __init__(self, *sizes, rng=None):
        self.shift = nn.Parameter(np.zeros(sizes[1]))
        super().__init__(*sizes, rng=rng)

    def draw_parameters(self, rng):
        super().draw_parameters(rng)
        nn.init.normal_(self.shift, rng=rng)

    def forward(self, x):
        return super().forward(x) + self.shift.data

    def backward(self, grad):
        self.shift.add_grad(grad.reshape(-1, self.embedding_dim).sum(axis=0))
        return super().backward(grad)


def test_a_subclass_may_add_parameters():
    x = np.array([[0, 1], [3, 3], [2, 0]])
    assert not check_layer(lambda rng: Shifted(4, 3, rng=rng), x, verbose=False).failures


def test_layers_that_move_indices_may_stand_in_front():
    layer = table()
    model = nn.Sequential(nn.Unflatten(1, (2, 2)), nn.Identity(), nn.Flatten(), layer)
    assert model([[0, 1, 2, 3]]).shape == (1, 4, 3)
    assert model.backward(np.ones((1, 4, 3))) is None
    assert layer.weight.grad.tolist() == np.ones((4, 3)).tolist()


@pytest.mark.parametrize(
    ("rows", "grad"),
    [
        (np.zeros(2, int), np.ones((3, 3))),
        (np.zeros(2, int), np.ones((2, 4))),
        (np.zeros((2, 1), int), np.ones((2, 1, 3))),
    ],
)
def test_rows_and_gradients_that_do_not_fit_are_refused(rows, grad):
    weight = nn.Parameter(TABLE)
    with pytest.raises(ValueError, match="one for each row"):
        weight.add_rows(rows, grad)
    assert not weight.grad.any()
