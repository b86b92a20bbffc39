"""Data sets and mini-batches."""

from __future__ import annotations

import copy
import inspect
import mmap
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from typing_extensions import override

from tinynn.core.arguments import boolean, generator, size
from tinynn.core.arrays import as_array
from tinynn.errors import ArgumentError, ArgumentTypeError, ShapeError, StateError, expects
from tinynn.typing import Array, ArrayLike, Seed

__all__ = ["ArrayDataset", "Batches", "DataLoader", "batches"]

SMALL_ROW = 4 * 4096  # bytes in few pages: to read ahead takes longer than to read them one by one


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
    arrays = _side_by_side("batches", "x and y", {"x": x} if y is None else {"x": x, "y": y})
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
        return _count(len(self.arrays[0]), self.batch_size, self.drop_last)

    def __iter__(self) -> Iterator[Any]:
        samples = len(self.arrays[0])
        for part in _parts(samples, self.batch_size, len(self), _order(samples, self.rng)):
            batch = tuple(array[part] for array in self.arrays)
            yield batch if len(batch) > 1 else batch[0]

    @override
    def __repr__(self) -> str:
        return f"<{len(self)} batches of {self.batch_size} from {len(self.arrays[0])} samples>"


class ArrayDataset:
    """Arrays whose rows belong together: sample i is row i of each.

    Memory-mapped arrays (``np.load(..., mmap_mode="r")``, `np.memmap`) stay on the disk; only rows that are asked for
    are read.

    Args:
        arrays: of shapes (N, ...), as many as wanted.

    Raises:
        ShapeError: if they differ in length.

    Example:
        >>> dataset = nn.ArrayDataset(np.arange(8.0).reshape(4, 2), np.arange(4))
        >>> len(dataset), dataset[1], dataset[[0, 3]]
        (4, (array([2., 3.]), np.int64(1)), (array([[0., 1.],
               [6., 7.]]), array([0, 3])))
    """

    takes_index_arrays = True

    def __init__(self, *arrays: ArrayLike) -> None:
        if not arrays:
            raise ArgumentError(expects("ArrayDataset", "at least one array", "none"))
        named = {f"array {index}": array for index, array in enumerate(arrays)}
        self.arrays = _side_by_side("ArrayDataset", "arrays", named)

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, index: Any) -> tuple[Any, ...]:
        return tuple(array[index] for array in self.arrays)

    @override
    def __repr__(self) -> str:
        return f"ArrayDataset({', '.join(f'{array.dtype} {array.shape}' for array in self.arrays)})"


class DataLoader:
    """Mini-batches of a data set, in a new order in each epoch if wanted, and able to go on in the middle of one.

    Each iteration is an epoch. What can be taken:

    - an array, or a tuple of arrays, which becomes an `ArrayDataset`;
    - any object with a length and samples by index: ``dataset[i]`` is an array, a number or a tuple of them, and the
      samples of a batch are stacked. If it has an attribute ``takes_index_arrays`` that is true, ``dataset[indices]``,
      with a slice or an array of indices, has to be a whole batch, which is faster;
    - any iterable of samples, in its own order.

    Attributes:
        epoch: how many epochs have begun.
        batch: how many batches of the running epoch were handed out; 0 between epochs.

    Args:
        dataset: where samples come from.
        batch_size: the number of samples in a batch; the last one may be smaller.
        shuffle: whether to draw a new order in each epoch.
        drop_last: whether a smaller last batch is left out.
        rng: where the orders come from: a generator, a seed, or None for fresh randomness.
        transform: a function that is called with each batch, ``transform(x, y)``, and returns what takes its place. It
            may work in place. A generator that it draws from is saved and restored by a trainer, if `generators` sees
            it.

    Raises:
        ArgumentTypeError: for what is no data set, and for a generator or shuffling where there is nothing to shuffle.

    Example:
        >>> loader = nn.DataLoader((np.eye(5), np.arange(5)), batch_size=2, shuffle=True, rng=0)
        >>> [ys.tolist() for _, ys in loader], [ys.tolist() for _, ys in loader]
        ([[2, 4], [3, 0], [1]], [[4, 1], [2, 0], [3]])
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        drop_last: bool = False,
        rng: Seed = None,
        transform: Callable[..., Any] | None = None,
    ) -> None:
        name = type(self).__name__
        self.dataset = _as_dataset(name, dataset)
        self.samples = len(self.dataset) if _has_index(self.dataset) else None
        self.batch_size = size(name, "batch_size", batch_size)
        self.shuffle = boolean(name, "shuffle", shuffle)
        self.drop_last = boolean(name, "drop_last", drop_last)
        if self.shuffle and self.samples is None:
            what = "samples by index where shuffle=True"
            raise ArgumentTypeError(expects(name, what, f"a {type(dataset).__name__}", "make it a list"))
        if rng is not None and not self.shuffle:
            raise ArgumentTypeError(expects(name, "rng together with shuffle=True", f"shuffle=False, rng={rng!r}"))
        if transform is not None and not callable(transform):
            raise ArgumentTypeError(expects(name, "transform to be a function of a batch", repr(transform)))
        self.rng = generator(name, rng) if self.shuffle else None
        self.transform = transform
        self.epoch = 0
        self.batch = 0
        self._origin: Any = None  # what the order of the running epoch was drawn from
        self._interrupted = False  # whether the next iteration is the rest of an epoch

    def __len__(self) -> int:
        if self.samples is None:
            raise ArgumentTypeError(expects(self, "a data set with a length", f"a {type(self.dataset).__name__}"))
        return _count(self.samples, self.batch_size, self.drop_last)

    def __iter__(self) -> Iterator[Any]:
        for array in self.dataset.arrays if isinstance(self.dataset, ArrayDataset) else [self.dataset]:
            _expect_reading(array, at_random=self.shuffle)
        order = self._begin()
        epoch = self.epoch
        for number, batch in enumerate(self._batches(order, self.batch), self.batch + 1):
            if epoch == self.epoch:  # no other iteration has begun meanwhile
                self.batch = number
            if self.transform is None:
                yield batch
            else:
                yield self.transform(*batch) if isinstance(batch, tuple) else self.transform(batch)
        if epoch == self.epoch:
            self.batch = 0

    def _begin(self) -> Array | None:
        """Begin an epoch, or the rest of one, and return its order."""
        if self._interrupted:
            self._interrupted = False
            if self.rng is None or self.samples is None:
                return None
            now = self.rng.bit_generator.state
            self.rng.bit_generator.state = self._origin
            order = _order(self.samples, self.rng)
            self.rng.bit_generator.state = now
            return order
        self.epoch += 1
        self.batch = 0
        if self.rng is None or self.samples is None:
            return None
        self._origin = self.rng.bit_generator.state
        return _order(self.samples, self.rng)

    def _batches(self, order: Array | None, first: int) -> Iterator[Any]:
        """Yield the batches from number ``first`` on."""
        if self.samples is None:
            samples = iter(self.dataset)
            groups = iter(lambda: list(islice(samples, self.batch_size)), [])
            for group in islice(groups, first, None):
                if len(group) == self.batch_size or not self.drop_last:
                    yield _stack(group)
            return
        whole = isinstance(self.dataset, np.ndarray) or getattr(self.dataset, "takes_index_arrays", False)
        for part in _parts(self.samples, self.batch_size, len(self), order, first):
            if whole:
                batch = self.dataset[part]
                views = self.transform is not None and order is None  # a transform may work in place
                yield copy.deepcopy(batch) if views else batch
            else:
                indices = range(part.start, part.stop) if isinstance(part, slice) else part.tolist()
                yield _stack([self.dataset[index] for index in indices])

    def generators(self) -> list[np.random.Generator]:
        """Return the generators that batches depend on: its own, and those that data set and transform hold.

        They are seen in attributes; of a function in the variables that it uses, in arguments that it has by default or
        by `functools.partial`, and in the functions of its own module that it calls.
        """
        held = [self.rng, *_attributes(self.dataset), *_used_by(self.transform, set())]
        return list({id(value): value for value in held if isinstance(value, np.random.Generator)}.values())

    def apart(self) -> DataLoader:
        """Return a loader of the same data that begins an epoch, and leaves this one where it is."""
        loader = copy.copy(self)
        loader._interrupted = False
        return loader

    def state_dict(self) -> dict[str, Any]:
        """Return where the loader is.

        The order of the running epoch is not part of it, but the state of the generator that it was drawn from. Where
        the generator is now belongs to whoever owns it: layers may share it.
        """
        return {
            "epoch": self.epoch,
            "batch": self.batch,
            "origin": copy.deepcopy(self._origin) if self.batch else None,
            "samples": self.samples,
            "batch_size": self.batch_size,
            "drop_last": self.drop_last,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go to where another loader of the same data was: the next iteration is the rest of its epoch.

        Raises:
            StateError: if samples, batch size or generator are of another kind; nothing has changed then.
        """
        own = self.state_dict()
        if not isinstance(state_dict, Mapping) or set(state_dict) != set(own):
            raise StateError(expects(self, f"a state with {', '.join(own)}", repr(state_dict)))
        for name in ("samples", "batch_size", "drop_last"):
            if state_dict[name] != own[name]:
                raise StateError(expects(self, f"the state of a loader with {name}={own[name]}", state_dict[name]))
        batch, origin = state_dict["batch"], state_dict["origin"]
        if batch and (origin is None) != (self.rng is None):
            expected = f"shuffle={self.shuffle}"
            raise StateError(expects(self, f"the state of a loader with {expected}", f"shuffle={origin is not None}"))
        if batch and self.rng is not None and origin["bit_generator"] != self.rng.bit_generator.state["bit_generator"]:
            what = f"the state of a {self.rng.bit_generator.state['bit_generator']}"
            raise StateError(expects(self, what, f"that of a {origin['bit_generator']}"))
        self.epoch, self.batch = state_dict["epoch"], batch
        self._origin = copy.deepcopy(origin)
        self._interrupted = batch > 0

    @override
    def __repr__(self) -> str:
        if self.samples is None:
            return f"<batches of {self.batch_size} from a {type(self.dataset).__name__}>"
        return f"<{len(self)} batches of {self.batch_size} from {self.samples} samples>"


def _side_by_side(owner: str, together: str, named: Mapping[str, ArrayLike]) -> list[Array]:
    """Return what was given by name as arrays whose rows belong together, so that there are as many in each."""
    arrays = {name: as_array(owner, name, array) for name, array in named.items()}
    for name, array in arrays.items():
        if array.ndim == 0:
            raise ShapeError(expects(owner, f"{name} of shape (N, ...)", array.shape))
    if len({len(array) for array in arrays.values()}) > 1:
        lengths = " and ".join(str(len(array)) for array in arrays.values())
        raise ShapeError(expects(owner, f"{together} of the same length", lengths))
    return list(arrays.values())


def _count(samples: int, batch_size: int, drop_last: bool) -> int:
    """Return how many batches there are."""
    return samples // batch_size if drop_last else -(-samples // batch_size)


def _order(samples: int, rng: np.random.Generator | None) -> Array | None:
    """Return the order of an epoch; None for that of the data."""
    return None if rng is None else rng.permutation(samples)


def _parts(samples: int, batch_size: int, count: int, order: Array | None, first: int = 0) -> Iterator[slice | Array]:
    """Yield which samples are in each batch from number ``first`` on: a slice, or indices where there is an order."""
    for start in range(first * batch_size, count * batch_size, batch_size):
        part = slice(start, min(start + batch_size, samples))
        yield part if order is None else order[part]


def _expect_reading(array: Any, at_random: bool) -> None:
    """Tell the system how the rows of an array will be read, if it is memory-mapped.

    It reads ahead otherwise: where rows are small and come in no order, dozens of pages for the one that is needed.
    """
    row = array.nbytes // max(len(array), 1) if isinstance(array, np.ndarray) else 0
    while isinstance(array, np.ndarray):
        array = array.base
    if isinstance(array, mmap.mmap) and hasattr(mmap, "MADV_RANDOM"):
        array.madvise(mmap.MADV_RANDOM if at_random and row <= SMALL_ROW else mmap.MADV_NORMAL)


def _as_dataset(owner: str, dataset: Any) -> Any:
    """Return what a user gave as a data set: arrays, an object with samples by index, or an iterable."""
    if isinstance(dataset, tuple):
        return ArrayDataset(*dataset)
    if isinstance(dataset, np.ndarray):
        array = as_array(owner, "dataset", dataset)
        if array.ndim == 0:
            raise ShapeError(expects(owner, "an array of shape (N, ...)", array.shape))
        return array
    if isinstance(dataset, (Mapping, str)) or not (_has_index(dataset) or isinstance(dataset, Iterable)):
        what = "arrays, samples by index, or an iterable of samples"
        raise ArgumentTypeError(expects(owner, what, f"a {type(dataset).__name__}"))
    return dataset


def _has_index(dataset: Any) -> bool:
    """Whether samples can be asked for by their index."""
    return hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")


def _attributes(value: Any) -> Iterable[Any]:
    """Return what an object holds."""
    return getattr(value, "__dict__", {}).values()


def _used_by(function: Any, seen: set[int]) -> Iterator[Any]:
    """Yield what a function, or an object in the place of one, works with."""
    if id(function) in seen:
        return
    seen.add(id(function))
    if isinstance(function, partial):
        yield from (*function.args, *function.keywords.values())
        yield from _used_by(function.func, seen)
    elif inspect.isfunction(function):
        variables = inspect.getclosurevars(function)
        used = [*variables.nonlocals.values(), *variables.globals.values()]
        yield from (*used, *(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
        for other in used:
            if inspect.isfunction(other) and other.__module__ == function.__module__:
                yield from _used_by(other, seen)
    elif function is not None:
        owner = getattr(function, "__self__", function)
        yield from (owner, *_attributes(owner))
        yield from _used_by(getattr(function, "__func__", type(function).__call__), seen)


def _stack(samples: list[Any]) -> Any:
    """Return samples as a batch: an array, or a tuple of arrays for samples that are tuples."""
    kinds = {f"tuples of {len(sample)}" if isinstance(sample, tuple) else "no tuples": None for sample in samples}
    if len(kinds) > 1:
        raise ShapeError(expects("DataLoader", "samples that are all alike", " and ".join(kinds)))
    if isinstance(samples[0], tuple):
        return tuple(as_array("DataLoader", "samples", list(column)) for column in zip(*samples, strict=True))
    return as_array("DataLoader", "samples", samples)
