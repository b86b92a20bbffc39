"""What a forward may move in a layer, beside what it returns: random generators, and buffers such as running means."""

from __future__ import annotations

from typing import Any

from tinynn.core.discovery import generators
from tinynn.core.layer import Layer

__all__ = ["Moving", "State"]

State = list[Any]
"""Where the generators of a layer stand, and what its buffers hold."""


class Moving:
    """The generators and the buffers of a layer, to be put back where they were."""

    def __init__(self, layer: Layer) -> None:
        self.generators = list(generators(layer))
        self.buffers = list(layer.buffers())

    def state(self) -> State:
        """Return where generators and buffers are now."""
        return [g.bit_generator.state for g in self.generators] + [buffer.data.copy() for buffer in self.buffers]

    def put_back(self, state: State) -> None:
        """Make generators and buffers what they were."""
        for generator, value in zip(self.generators, state, strict=False):
            generator.bit_generator.state = value
        for buffer, value in zip(self.buffers, state[len(self.generators) :], strict=True):
            buffer.data = value
