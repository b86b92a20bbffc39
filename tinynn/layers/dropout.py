"""Layers that drop numbers at random in training, so that no unit can rely on another one."""

from __future__ import annotations

import numpy as np
from typing_extensions import override

from tinynn.core.arguments import layer_generator, number
from tinynn.core.layer import Layer
from tinynn.typing import Array

__all__ = ["AlphaDropout", "Dropout"]

FLOOR = -1.7580993408473766  # what SELU tends to at -∞


class Dropping(Layer):
    """What the layers here share: a probability, a generator, and a factor for each element; or y = x."""

    def __init__(self, p: float = 0.5, *, rng: np.random.Generator | None = None) -> None:
        name = type(self).__name__
        self.p = number(name, "p", p, low=0, high=1)
        self.rng = layer_generator(name, rng)

    @override
    def forward(self, x: Array) -> Array:
        if not self.training or self.p == 0:
            self.saved.push(None)
            return x
        factor = np.multiply(self.rng.random(x.shape) >= self.p, self.scale, dtype=x.dtype.type)
        self.saved.push(factor)
        return self.drop(x, factor)

    @override
    def backward(self, grad: Array) -> Array:
        factor = self.saved.pop()
        return grad if factor is None else grad * factor

    @property
    def scale(self) -> float:
        """The factor of what is kept."""
        raise NotImplementedError

    def drop(self, x: Array, factor: Array) -> Array:
        """Return y for ``x``, where ``factor`` is 0 for what is dropped and the scale for what is kept."""
        raise NotImplementedError

    @override
    def extra_repr(self) -> str:
        return f"p={self.p}"


class Dropout(Dropping):
    """y = m ⊙ x / (1 - p), each m being 0 with probability p and 1 otherwise; y = x in evaluation mode.

    Every call draws anew, and keeps what it drew for its backward.

    Backward:
        ∂L/∂x = m ⊙ grad / (1 - p); grad in evaluation mode.

    Shapes:
        x of any shape, y the same.

    Args:
        p: the probability that a number is dropped, from 0 to 1.
        rng: the generator that m is drawn from; fresh randomness by default.

    References:
        Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014.

    Example:
        >>> nn.Dropout(0.5, rng=np.random.default_rng(0))(np.ones(6))
        array([2., 0., 0., 0., 2., 2.])
    """

    @property
    @override
    def scale(self) -> float:
        return 1 / (1 - self.p) if self.p < 1 else 0.0

    @override
    def drop(self, x: Array, factor: Array) -> Array:
        return x * factor


class AlphaDropout(Dropping):
    """y = a (m ⊙ x + (1 - m) f) + b: dropout for SELU, which sets to its floor f and keeps mean 0 and variance 1.

    Each m is 0 with probability p and 1 otherwise, f = -1.7581, a = ((1 - p) (1 + p f²))^(-½) and b = -a p f; y = x
    in evaluation mode.

    Backward:
        ∂L/∂x = a m ⊙ grad; grad in evaluation mode.

    Shapes:
        x of any shape, y the same.

    Args:
        p: the probability that a number is dropped, from 0 to 1. With p = 1, y = 0.
        rng: the generator that m is drawn from; fresh randomness by default.

    References:
        Klambauer et al., "Self-normalizing neural networks", 2017.
    """

    @property
    @override
    def scale(self) -> float:
        return ((1 - self.p) * (1 + self.p * FLOOR**2)) ** -0.5 if self.p < 1 else 0.0

    @override
    def drop(self, x: Array, factor: Array) -> Array:
        y = (x - FLOOR) * factor  # a m ⊙ (x - f)
        y += FLOOR * (1 - self.p) * self.scale
        return y
