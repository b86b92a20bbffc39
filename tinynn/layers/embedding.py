"""A layer whose inputs are not numbers but indices."""

from __future__ import annotations

from typing import Self

import numpy as np
from typing_extensions import override

from tinynn import init
from tinynn.core.arguments import boolean, integer, layer_generator, size, written
from tinynn.core.arrays import as_array, as_dtype, get_default_dtype
from tinynn.core.layer import Layer
from tinynn.core.parameter import Parameter
from tinynn.errors import ArgumentError, DTypeError, ShapeError, expects
from tinynn.typing import Array, ArrayLike, DTypeLike

__all__ = ["Embedding"]


class Embedding(Layer):
    """y = W[x]: a row of the weight for each index, a vector that is learned for each word of a vocabulary.

    Backward:
        ∂L/∂W[i] = Σ grad over the places where x = i; but zero for ``padding_idx``. There is no gradient at indices:
        backward returns None. It touches only the rows that were looked up, however large the vocabulary is.

    Shapes:
        x (...) of integers, y (..., embedding_dim); weight (num_embeddings, embedding_dim).

    Args:
        num_embeddings: the number of rows: x is from 0 to one less.
        embedding_dim: the length of a row.
        padding_idx: an index whose row is not trained and starts as zeros; negative numbers count from the end.
        rng: the generator that the weight is drawn from, as N(0, 1).
        dtype: float32 or float64.

    Raises:
        ArgumentError: if an index is out of range; it says which.
        DTypeError: if x are no integers.

    Example:
        >>> layer = nn.Embedding(10, 3, padding_idx=0)
        >>> layer([[1, 2, 4, 0], [4, 3, 2, 0]]).shape
        (2, 4, 3)
    """

    takes_integers = True

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        self.num_embeddings = rows = size("Embedding", "num_embeddings", num_embeddings)
        self.embedding_dim = size("Embedding", "embedding_dim", embedding_dim)
        if padding_idx is not None:
            padding_idx = integer("Embedding", "padding_idx", padding_idx, low=-rows, high=rows - 1) % rows
        self.padding_idx = padding_idx
        dtype = get_default_dtype() if dtype is None else as_dtype("Embedding", dtype)
        rng = layer_generator("Embedding", rng)
        self.weight = Parameter(np.zeros((rows, self.embedding_dim)), dtype=dtype)
        self.draw_parameters(rng)

    @classmethod
    def from_pretrained(cls, embeddings: ArrayLike, freeze: bool = True, padding_idx: int | None = None) -> Self:
        """Return an embedding with these rows, (num_embeddings, embedding_dim), frozen unless ``freeze`` is False."""
        owner = f"{cls.__name__}.from_pretrained"
        array = as_array(owner, "embeddings", embeddings)
        freeze = boolean(owner, "freeze", freeze)
        if array.ndim != 2:
            raise ShapeError(expects(owner, "embeddings of shape (num_embeddings, embedding_dim)", array.shape))
        rows, length = array.shape
        layer = cls(rows, length, padding_idx)
        layer.weight = Parameter(array, not freeze)
        return layer

    @override
    def draw_parameters(self, rng: np.random.Generator) -> None:
        init.normal_(self.weight, rng=rng)
        if self.padding_idx is not None:
            self.weight.data[self.padding_idx] = 0

    @override
    def forward(self, x: Array) -> Array:
        if x.dtype.kind not in "iu":
            remedy = "write x.astype(int)"
            raise DTypeError(expects(self, "x as integers", f"x of dtype {x.dtype}", remedy))
        if x.size and (x.min() < 0 or x.max() >= self.num_embeddings):
            place = tuple(np.argwhere((x < 0) | (x >= self.num_embeddings))[0].tolist())
            where = f"{x[place]} at {place[0] if len(place) == 1 else place}" if place else str(x)
            raise ArgumentError(expects(self, f"indices from 0 to {self.num_embeddings - 1}", where))
        x = x.astype(np.intp, copy=False)
        self.saved.push(x)
        y: Array = self.weight.data.take(x, axis=0)
        return y

    @override
    def backward(self, grad: Array) -> None:
        x = self.saved.pop()
        if not self.weight.requires_grad:
            return
        rows, grad = x.reshape(-1), grad.reshape(-1, self.embedding_dim)
        if self.padding_idx is not None:
            trained = rows != self.padding_idx
            rows, grad = rows[trained], grad[trained]
        self.weight.add_rows(rows, grad)

    @override
    def extra_repr(self) -> str:
        sizes = self.num_embeddings, self.embedding_dim
        return written(self, *sizes, padding_idx=self.padding_idx, dtype=self.weight.dtype)
