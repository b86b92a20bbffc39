"""Mini-batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from typing_extensions import override

from tinynn.core.arguments import boolean, generator, size
from tinynn.core.arrays import as_array
from tinynn.errors import ArgumentTypeError, ShapeError, expects
from tinynn.typing import Array, ArrayLike, Seed

__all__ = ["Batches", "batches"]


def batches(
    x: ArrayLike,
    y: ArrayLike | None = None,
    batch_size: int = 32,
    shuffle: bool = False,
    rng: Seed = None,
    *,
    drop_last: bool = False,
) -> Batches:
    """Return the mini-batches of ``x`` and ``y`` along their first axis, to be iterated as often as wanted.

    Args:
        x: the inputs, of shape (N, ...).
        y: the targets, of shape (N, ...), or None for batches of inputs alone.
        batch_size: the number of samples in a batch; the last one may be smaller.
        shuffle: whether to draw a new order in each iteration.
        rng: where the order comes from: a generator, a seed, or None for fresh randomness. A seed gives the same orders
            again whenever `batches` is called: inside a loop over epochs pass a generator, or call it once before.
        drop_last: whether a smaller last batch is left out.

    Returns:
        An iterable of pairs ``(x, y)``, or of ``x`` where y is None, with a length. Without shuffling the batches are
        views of the arrays, with shuffling copies.

    Raises:
        ShapeError: if x and y differ in length.

    Example:
        >>> for xs, ys in nn.data.batches(np.arange(5.0), np.arange(5), batch_size=2):
        ...     print(xs, ys)
        [0. 1.] [0 1]
        [2. 3.] [2 3]
        [4.] [4]
    """
    if shuffle is False and rng is not None:
        raise ArgumentTypeError(expects("batches", "rng together with shuffle=True", f"shuffle=False, rng={rng!r}"))
    arrays = [as_array("batches", name, array) for name, array in (("x", x), ("y", y)) if array is not None]
    for name, array in zip("xy", arrays, strict=False):
        if array.ndim == 0:
            raise ShapeError(expects("batches", f"{name} of shape (N, ...)", array.shape))
    if len({len(array) for array in arrays}) > 1:
        raise ShapeError(expects("batches", "x and y of the same length", " and ".join(str(len(a)) for a in arrays)))
    order = generator("batches", rng) if boolean("batches", "shuffle", shuffle) else None
    return Batches(arrays, size("batches", "batch_size", batch_size), order, boolean("batches", "drop_last", drop_last))


class Batches:
    """Mini-batches of one or two arrays; see `batches`."""

    def __init__(self, arrays: list[Array], batch_size: int, rng: np.random.Generator | None, drop_last: bool) -> None:
        self.arrays = arrays
        self.batch_size = batch_size
        self.rng = rng
        self.drop_last = drop_last

    def __len__(self) -> int:
        samples = len(self.arrays[0])
        return samples // self.batch_size if self.drop_last else -(-samples // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        samples = len(self.arrays[0])
        order = None if self.rng is None else self.rng.permutation(samples)
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            stop = min(start + self.batch_size, samples)
            part = slice(start, stop) if order is None else order[start:stop]
            batch = tuple(array[part] for array in self.arrays)
            yield batch if len(batch) > 1 else batch[0]

    @override
    def __repr__(self) -> str:
        return f"<{len(self)} batches of {self.batch_size} from {len(self.arrays[0])} samples>"
