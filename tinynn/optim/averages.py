"""Means that forget: of gradients and of their squares, what most rules are made of."""

from __future__ import annotations

import numpy as np

from tinynn.typing import Array

__all__ = ["follow", "follow_square"]


def follow(mean: Array, value: Array, beta: float, room: Array) -> None:
    """m ↦ β m + (1 - β) x, in place; ``room`` is overwritten, and may be x."""
    np.multiply(value, 1 - beta, room)
    mean *= beta
    mean += room


def follow_square(mean: Array, value: Array, beta: float, room: Array) -> None:
    """v ↦ β v + (1 - β) x², in place; ``room`` is overwritten, and may be x."""
    np.multiply(value, value, room)
    follow(mean, room, beta, room)
