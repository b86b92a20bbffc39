"""Inputs of any dtype and for any number of samples, from shapes and example arrays."""

from __future__ import annotations

import numbers
from collections.abc import Callable
from typing import Any

import numpy as np

from tinynn.core.arrays import as_array
from tinynn.errors import ArgumentError, expects
from tinynn.typing import Array, ArrayLike, Shape

__all__ = ["Draw", "drawing", "is_shape"]

Draw = Callable[[np.random.Generator, Any, int], tuple[Array, ...]]
"""What draws inputs from a generator, of a dtype, for a number of samples."""


def drawing(owner: str, specs: tuple[Shape | ArrayLike, ...]) -> tuple[Draw, int]:
    """Return what draws inputs, and the number of samples that was asked for.

    The first axis of the first input is that of the samples, and so is that of every other input as long.

    Args:
        owner: whom errors name.
        specs: for each input a shape, of which normal numbers are drawn, or an example array, whose samples are drawn
            in another order, again and again where more are wanted. Integers stay integers.

    Raises:
        ArgumentError: if there is no input, or no sample.
    """
    examples = [_example(owner, f"input {position}", spec) for position, spec in enumerate(specs)]
    if not examples:
        raise ArgumentError(expects(owner, "the shape of an input, or an example", "none", "as in (5, 3)"))
    shapes = [example if isinstance(example, tuple) else example.shape for example in examples]
    count = shapes[0][0] if shapes[0] else 1
    if any(0 in shape for shape in shapes):
        raise ArgumentError(expects(owner, "inputs with elements in them", f"the shapes {shapes}"))

    def draw(rng: np.random.Generator, dtype: Any, samples: int) -> tuple[Array, ...]:
        order = np.resize(rng.permutation(count), samples)
        drawn = []
        for example, shape in zip(examples, shapes, strict=True):
            batched = len(shape) > 0 and shape[0] == count
            if isinstance(example, tuple):
                x = rng.normal(size=(samples, *shape[1:]) if batched else shape)
                x = np.asarray(x + np.copysign(0.1, x))  # away from 0, where kinks are
            else:
                x = example[order] if batched else example.copy()
            drawn.append(x.astype(dtype) if x.dtype.kind == "f" else x)
        return tuple(drawn)

    return draw, count


def _example(owner: str, name: str, spec: Any) -> Array | Shape:
    return tuple(map(int, spec)) if is_shape(spec) else as_array(owner, name, spec)


def is_shape(spec: Any) -> bool:
    """Whether it is a tuple of integers."""
    return isinstance(spec, tuple) and all(
        isinstance(length, numbers.Integral) and not isinstance(length, bool) for length in spec
    )
