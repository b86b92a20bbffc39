"""Layers that normalize over a batch, and remember what batches are like for the time when there is none."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from tinynn.core.arguments import boolean, number, size
from tinynn.core.arrays import as_dtype, cast, get_default_dtype
from tinynn.core.parameter import Buffer
from tinynn.errors import ShapeError, expects
from tinynn.layers.normalization import Normalization, all_but_channels, along_channels, centre, mean
from tinynn.numerics import narrowed, widened
from tinynn.typing import Array, DTypeLike

__all__ = ["BatchNorm1d", "BatchNorm2d"]


class BatchNorm(Normalization):
    """What `BatchNorm1d` and `BatchNorm2d` share: everything but the shapes that they take."""

    takes: ClassVar[dict[int, str]]
    """The axes of x, by their number."""

    running_mean: Any = None  # a Buffer where running statistics are tracked, and so are these
    running_var: Any = None
    num_batches_tracked: Any = None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        dtype: DTypeLike | None = None,
        bias: bool = True,
    ) -> None:
        name = type(self).__name__
        self.num_features = size(name, "num_features", num_features)
        self.eps = number(name, "eps", eps, low=0)
        self.momentum = None if momentum is None else number(name, "momentum", momentum, low=0, high=1)
        self.affine = boolean(name, "affine", affine)
        self.track_running_stats = boolean(name, "track_running_stats", track_running_stats)
        has_bias = boolean(name, "bias", bias)
        dtype = get_default_dtype() if dtype is None else as_dtype(name, dtype)
        self.create_parameters((self.num_features,), self.affine, has_bias, dtype)
        if self.track_running_stats:
            self.running_mean = Buffer(np.zeros(self.num_features, dtype))
            self.running_var = Buffer(np.ones(self.num_features, dtype))
            self.num_batches_tracked = Buffer(np.array(0))

    @override
    def draw_parameters(self, rng: np.random.Generator) -> None:
        super().draw_parameters(rng)
        self.reset_running_stats()

    def reset_running_stats(self) -> None:
        """Forget the batches that were seen: a mean of 0 and a variance of 1."""
        if self.track_running_stats:
            self.running_mean.data.fill(0)
            self.running_var.data.fill(1)
            self.num_batches_tracked.data.fill(0)

    @override
    def forward(self, x: Array) -> Array:
        x = self.in_own_dtype(self._checked(x))
        axes, shape = all_but_channels(x), along_channels(x)
        from_batch = self.training or not self.track_running_stats
        if from_batch:
            centred, middle = centre(widened(x), axes)
            variance = mean(centred * centred, axes)
            if self.track_running_stats:
                self._track(middle, variance, x.size // self.num_features)
        else:
            centred = x - self.running_mean.data.reshape(shape)
            variance = self.running_var.data.reshape(shape)
        deviation = np.sqrt(variance + self.eps)
        self.saved.push((centred, deviation, from_batch))
        y: Array = centred * self._factor(deviation)
        if self.bias is not None:
            y += self.bias.data.reshape(shape)
        return narrowed(y, x.dtype)

    @override
    def backward(self, grad: Array) -> Array:
        centred, deviation, from_batch = self.saved.pop()
        axes, wide = all_but_channels(grad), widened(grad)
        at_bias = np.add.reduce(wide, axis=axes, keepdims=True)
        at_weight = np.add.reduce(wide * centred, axis=axes, keepdims=True) / deviation
        if self.bias is not None and self.bias.requires_grad:
            self.bias.add_grad(at_bias.reshape(-1))
        if self.weight is not None and self.weight.requires_grad:
            self.weight.add_grad(at_weight.reshape(-1))
        factor = self._factor(deviation)
        if not from_batch:
            return grad * factor
        count = max(grad.size // self.num_features, 1)
        at_x = wide - at_bias / count
        at_x -= centred * (at_weight / (deviation * count))
        at_x *= factor
        return narrowed(at_x, grad.dtype)

    def _checked(self, x: Array) -> Array:
        """Return ``x`` if it can be normalized, an error otherwise; nothing has changed then."""
        if x.ndim not in self.takes or x.shape[1] != self.num_features:
            shapes = " or ".join(f"({axes.replace('C', str(self.num_features))})" for axes in self.takes.values())
            raise ShapeError(expects(self, f"x of shape {shapes}", x.shape))
        if x.size == self.num_features and (self.training or not self.track_running_stats):
            remedy = "call eval() to use the running statistics" if self.track_running_stats else ""
            raise ShapeError(expects(self, "more than one number for each feature in training", x.shape, remedy))
        return x

    def _track(self, middle: Array, variance: Array, count: int) -> None:
        """Take the statistics of a batch into the running ones; the variance as that of a population, unbiased."""
        self.num_batches_tracked.data += 1
        if count == 0:
            return
        momentum = 1 / self.num_batches_tracked.data.item() if self.momentum is None else self.momentum
        for buffer, batch in ((self.running_mean, middle), (self.running_var, variance * (count / (count - 1)))):
            running = buffer.data
            running *= 1 - momentum
            running += momentum * batch.reshape(-1)

    def _factor(self, deviation: Array) -> Array:
        """Return weight / √(σ² + eps), in the shape of the deviation."""
        factor: Array = (1 if self.weight is None else self.weight.data.reshape(deviation.shape)) / deviation
        return factor

    @override
    def in_own_dtype(self, x: Array) -> Array:
        if self.weight is None and self.track_running_stats:
            return cast(x, self.running_mean.dtype)
        return super().in_own_dtype(x)

    @override
    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        options = {"eps": self.eps, "momentum": self.momentum, "affine": self.affine}
        options |= {"track_running_stats": self.track_running_stats, "bias": self.has_bias}
        if self.track_running_stats:
            options["dtype"] = self.running_mean.dtype
        return (self.num_features,), options


class BatchNorm1d(BatchNorm):
    """y = (x - μ) / √(σ² + eps) ⊙ weight + bias, with the mean μ and the variance σ² of each feature in the batch.

    In training, μ and σ² are those of the batch, and running statistics follow them: running ← (1 - momentum) running
    + momentum · (μ, and σ² · n/(n - 1)). In evaluation the running statistics take their place, and samples do not
    mix. A batch without samples changes none of them.

    Backward:
        With g = grad ⊙ weight and x̂ = (x - μ)/√(σ² + eps): ∂L/∂x = (g - mean(g) - x̂ mean(g ⊙ x̂)) / √(σ² + eps), and
        just g / √(σ² + eps) where the running statistics were used; ∂L/∂weight = Σ grad ⊙ x̂ and ∂L/∂bias = Σ grad.

    Shapes:
        x (N, num_features) or (N, num_features, L), y the same; weight, bias, running_mean and running_var
        (num_features,), num_batches_tracked (), an integer.

    Args:
        num_features: the number of features, or channels.
        eps: what is added to the variance.
        momentum: the share of a batch in the running statistics, from 0 to 1; None for the average of all batches.
        affine: whether weight and bias are there.
        track_running_stats: whether there are running statistics; without them, evaluation uses those of the batch.
        dtype: float32 or float64, that of parameters and running statistics; without them, that of the input is kept.
        bias: whether the bias is there.

    Raises:
        ShapeError: if x has another shape, or, in training, one number for a feature: it has no variance.

    References:
        Ioffe and Szegedy, "Batch normalization", 2015.

    Example:
        >>> layer = nn.BatchNorm1d(1, momentum=0.5)
        >>> layer([[1.0], [3.0]]).round(3).tolist(), layer.running_mean.data, layer.running_var.data
        ([[-1.0], [1.0]], array([1.]), array([1.5]))
    """

    takes: ClassVar[dict[int, str]] = {2: "N, C", 3: "N, C, L"}


class BatchNorm2d(BatchNorm):
    """y = (x - μ) / √(σ² + eps) ⊙ weight + bias, with the mean μ and the variance σ² of each channel in the batch.

    In training, μ and σ² are those of the batch, over samples, rows and columns. Everything else is as in
    `BatchNorm1d`.

    Backward:
        As in `BatchNorm1d`, the sums running over samples, rows and columns.

    Shapes:
        x (N, num_features, H, W), y the same; weight, bias, running_mean and running_var (num_features,).

    Args:
        num_features: the number of channels.
        eps: what is added to the variance.
        momentum: the share of a batch in the running statistics, from 0 to 1; None for the average of all batches.
        affine: whether weight and bias are there.
        track_running_stats: whether there are running statistics; without them, evaluation uses those of the batch.
        dtype: float32 or float64, that of parameters and running statistics; without them, that of the input is kept.
        bias: whether the bias is there.

    Raises:
        ShapeError: if x has another shape, or, in training, one number for a channel: it has no variance.

    References:
        Ioffe and Szegedy, "Batch normalization", 2015.

    Example:
        >>> nn.BatchNorm2d(3)(np.ones((5, 3, 4, 4))).shape
        (5, 3, 4, 4)
    """

    takes: ClassVar[dict[int, str]] = {4: "N, C, H, W"}
