"""The base class of everything that computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Self

import numpy as np
from typing_extensions import override

from tinynn.core import discovery, state
from tinynn.core.arguments import boolean, generator, refuse_foreign
from tinynn.core.arrays import as_dtype
from tinynn.core.calling import wrap_backward, wrap_forward
from tinynn.core.parameter import Buffer, Parameter
from tinynn.core.passes import Pass, Saved
from tinynn.core.summary import Summary, summarize
from tinynn.errors import ArgumentTypeError, expects
from tinynn.typing import Array, ArrayLike, DTypeLike, Seed, Shape

__all__ = ["Layer"]

WRAPPED = (("forward", wrap_forward), ("backward", wrap_backward), ("backward_parameters", wrap_backward))


class Layer:
    """A function of arrays that knows its derivative; the base class of layers, containers and losses.

    A layer of one's own is two methods, and needs no ``__init__`` and no registration::

        class Square(nn.Layer):
            def forward(self, x):
                self.saved.push(x)
                return x * x

            def backward(self, grad):
                x = self.saved.pop()
                return 2 * x * grad

    Parameters are `Parameter` attributes; ``backward`` adds to their gradients with ``self.weight.add_grad(...)`` or
    ``self.weight.grad += ...``. Layers inside are plain attributes, or sit in lists and dicts; ``backward`` calls
    theirs, the last one first.

    Before ``forward`` runs, what the user passed has become arrays of real numbers; before ``backward`` runs, the
    gradient has the shape and dtype of the output.
    """

    saved: ClassVar[Saved] = Saved()
    """Where forward leaves things for backward."""

    takes_integers: ClassVar[bool] = False
    """Whether integers and booleans reach ``forward`` as they are (indices, masks). If not, they are converted to the
    default dtype. Layers that contain layers pass everything on."""

    needs_grad: bool = True
    """Whether ``backward`` has to be given a gradient; not so for a loss that is one number."""

    may_overflow: ClassVar[bool] = True
    """Whether ``backward`` may overflow on the way to a finite result. An overflow is silent then."""

    is_loss: ClassVar[bool] = False
    """Whether the layer compares a prediction with a target; ``backward`` returns no gradient at the target then."""

    foreign: bool = False
    """Whether the class is not tinynn's own. Gradients that its ``backward`` returns are checked."""

    training: bool = True
    """Whether the layer is in training mode, as opposed to evaluation mode."""

    _pass: Pass | None = None  # the pass that the layer last took part in

    def __new__(cls, *arguments: Any, **options: Any) -> Self:
        refuse_foreign(cls, options)
        if (arguments or options) and cls.__init__ is object.__init__:
            given = ", ".join([*map(repr, arguments), *options])
            raise ArgumentTypeError(expects(cls.__name__, "no arguments", given))
        new = super().__new__(cls)
        # an ordinary dict: Python 3.11 and 3.12 are slow in the one that they make when it is first asked for
        object.__setattr__(new, "__dict__", {**new.__dict__})
        return new

    @override
    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.foreign = not cls.__module__.startswith("tinynn.")
        owners = {name: next(i for i, base in enumerate(cls.__mro__) if name in vars(base)) for name, _ in WRAPPED}
        if owners["backward"] < owners["backward_parameters"]:  # the inherited one would go past the new backward
            cls.backward_parameters = Layer.backward_parameters  # type: ignore[method-assign]
        for name, wrap in WRAPPED:
            method = getattr(cls, name)
            if method is not getattr(Layer, name) and getattr(method, "wrapper", None) is not method:
                setattr(cls, name, wrap(method))

    # Computing

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """Run `forward`."""
        return self.forward(*inputs, **options) if options else self.forward(*inputs)

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """Return the output for the inputs; a tuple for several outputs."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def backward(self, *grads: Any, **options: Any) -> Any:
        """Undo the latest call: take the gradient of the loss at the output, return the one at the input.

        The gradients of the layer's parameters are added to theirs. A layer with several outputs takes as many
        gradients; one with several inputs returns a tuple.

        Raises:
            PassError: if there is no call left to undo.
            ShapeError: if the gradient has not the shape of the output.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no backward")

    def backward_parameters(self, *grads: Any, **options: Any) -> None:
        """Undo the latest call like `backward`, but leave out the gradient at the input, which training does not need.

        This is where steps 2 and 3 of the note stop. Layers that can save work by it define it.
        """
        self.backward(*grads, **options)

    # What is inside

    def named_children(self) -> Iterator[tuple[str, Layer]]:
        """Yield the layers directly inside with their names. The one method that a container may override."""
        return discovery.attributes(self, Layer)

    def children(self) -> Iterator[Layer]:
        """Yield the layers directly inside."""
        return (child for _, child in self.named_children())

    def named_layers(self) -> Iterator[tuple[str, Layer]]:
        """Yield this layer (path ``""``) and every layer below it, each once."""
        return discovery.walk_once(self)

    def named_parameters(self, *, remove_duplicate: bool = True) -> Iterator[tuple[str, Parameter]]:
        """Yield the parameters with their paths, each once, or under every name with ``remove_duplicate=False``."""
        pairs = ((path, value) for path, value in state.entries(self) if isinstance(value, Parameter))
        return discovery.each_once(pairs) if remove_duplicate else pairs

    def parameters(self) -> Iterator[Parameter]:
        """Yield the parameters, each once, however often it is shared."""
        return (parameter for _, parameter in self.named_parameters())

    def named_buffers(self, *, remove_duplicate: bool = True) -> Iterator[tuple[str, Buffer]]:
        """Yield the buffers with their paths."""
        pairs = ((path, value) for path, value in state.entries(self) if isinstance(value, Buffer))
        return discovery.each_once(pairs) if remove_duplicate else pairs

    def buffers(self) -> Iterator[Buffer]:
        """Yield the buffers, each once."""
        return (buffer for _, buffer in self.named_buffers())

    def summary(self, *inputs: Shape | ArrayLike) -> Summary:
        """Return a table of the layers: path, layer, output shape, number of parameters.

        Args:
            inputs: the shape of each input with its batch axis, ``(32, 64)``, or an example array. Without any, the
                output shapes are left out. The layer itself is not touched.
        """
        return summarize(self, inputs)

    # Changing it

    def apply(self, function: Callable[[Layer], object]) -> Self:
        """Call ``function`` on every layer inside and then on this one; return this layer."""
        for _, layer in reversed(list(self.named_layers())):
            function(layer)
        return self

    def train(self, mode: bool = True) -> Self:
        """Switch to training mode, or to evaluation mode, with everything inside."""
        mode = boolean(type(self).__name__, "mode", mode)
        for _, layer in self.named_layers():
            layer.training = mode
        return self

    def eval(self) -> Self:
        """Switch to evaluation mode, with everything inside."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Make all parameters trainable, or freeze them."""
        requires_grad = boolean(type(self).__name__, "requires_grad", requires_grad)
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def zero_grad(self) -> None:
        """Make the gradients of all parameters zero."""
        for parameter in self.parameters():
            parameter.zero_grad()

    def astype(self, dtype: DTypeLike) -> Self:
        """Convert parameters and floating buffers to float32 or float64, in place; integer buffers stay."""
        dtype = as_dtype(type(self).__name__, dtype)
        for _, value in discovery.each_once(state.entries(self)):
            value.astype(dtype)
        return self

    def reset_parameters(self, rng: Seed = None) -> Self:
        """Draw all parameters anew, in a fixed order, from one generator.

        Args:
            rng: a generator, a seed, or None for fresh randomness.

        Raises:
            ArgumentTypeError: if a layer has parameters of its own and no `draw_parameters`; nothing has changed then.
        """
        rng = generator(type(self).__name__, rng)
        layers = [layer for _, layer in self.named_layers()]
        for layer in layers:
            parameters = any(isinstance(value, Parameter) for _, value in discovery.own(layer))
            if parameters and type(layer).draw_parameters is Layer.draw_parameters:
                remedy = "define draw_parameters(self, rng) in its class"
                raise ArgumentTypeError(expects(layer, "a way to draw its parameters anew", "none", remedy))
        for layer in layers:
            layer.draw_parameters(rng)
        return self

    def draw_parameters(self, rng: np.random.Generator) -> None:
        """Draw the layer's own parameters, not those of layers inside, and reset its buffers.

        Layers with parameters of their own define this.
        """

    def state_dict(self) -> dict[str, Array]:
        """Return copies of all parameters and buffers under their paths, as PyTorch names and orders them."""
        return state.save(self)

    def load_state_dict(self, state_dict: Any, strict: bool = True) -> None:
        """Copy in parameters and buffers: all of them or, if anything does not fit, none.

        Args:
            state_dict: what `state_dict` returned, or a mapping of the same names to arrays.
            strict: whether missing and unexpected names are errors.

        Raises:
            StateError: with every missing, unexpected and mis-shaped name, every array of another kind, and every
                parameter with two names and two values.
        """
        state.load(self, state_dict, boolean(type(self).__name__, "strict", strict))

    # Showing and copying it

    def extra_repr(self) -> str:
        """Return what stands between the parentheses of the layer's ``repr``."""
        return ""

    @override
    def __repr__(self) -> str:
        return self._repr(())

    def _repr_inside(self, above: tuple[int, ...]) -> str:
        return self._repr(above) if type(self).__repr__ is Layer.__repr__ else repr(self)

    def _repr(self, above: tuple[int, ...]) -> str:
        name = type(self).__name__
        if id(self) in above:
            return f"{name}(...)"
        lines = [
            f"({key}): {child._repr_inside((*above, id(self)))}".replace("\n", "\n  ")
            for key, child in self.named_children()
        ]
        extra = self.extra_repr()
        if not lines:
            return f"{name}({extra})"
        return "\n  ".join([f"{name}({extra}", *lines]) + "\n)"

    @override
    def __getstate__(self) -> Any:
        state: Any = super().__getstate__()
        attributes, slots = state if isinstance(state, tuple) else (state, None)
        attributes = {name: value for name, value in (attributes or {}).items() if name != "_pass"}
        return attributes if slots is None else (attributes, slots)  # a copy has nothing to undo
