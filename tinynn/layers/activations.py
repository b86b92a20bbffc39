"""Nonlinearities, each from a function and its derivative.

The functions are pure: arrays (and constants) in, arrays out, no masks and no state. They are right for every
floating-point number. No function overflows whose value does not; a derivative only where it is 0, as it should be
then. What is small has all its digits, but for the note's own, which is computed as it is written. At infinity they
are at their limits.

Below each pair stands the layer that ties it together: x of any shape, y the same.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from typing_extensions import override

from tinynn.core.arguments import choice, number, size
from tinynn.core.arrays import as_dtype, cast, get_default_dtype
from tinynn.core.layer import Layer
from tinynn.core.parameter import Parameter
from tinynn.errors import ShapeError, expects
from tinynn.layers.elementwise import Elementwise
from tinynn.numerics import (
    absolute,
    clamp,
    constant,
    normal_cdf,
    normal_density,
    sigmoid,
    sigmoid_derivative,
    softplus,
)
from tinynn.typing import Array, DTypeLike

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "SELU",
    "ArctanSigmoid",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "Mish",
    "PReLU",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softplus",
    "Softsign",
    "Tanh",
    "Tanhshrink",
]

ONE_OVER_PI, HALF, ONE = constant(1 / math.pi), constant(0.5), constant(1.0)


@functools.lru_cache(256)
def _in_dtype(value: float, dtype: np.dtype[Any]) -> float:
    """Return a constant as it is in ``dtype``: infinite where it is beyond its range."""
    with np.errstate(over="ignore"):
        return float(np.finfo(dtype).dtype.type(value))


# Sigmoids, which go from one level to another, and their relatives


def arctan_sigmoid(x: Array) -> Array:
    """σ(x) = arctan(x)/π + ½."""
    y: Array = np.arctan(x)
    dtype = y.dtype
    y *= ONE_OVER_PI[dtype]
    y += HALF[dtype]
    return y


def arctan_sigmoid_derivative(x: Array) -> Array:
    """σ'(x) = (1/π) / (1 + x²)."""
    y = x * x
    dtype = y.dtype
    y += ONE[dtype]
    slope: Array = ONE_OVER_PI[dtype] / y
    return slope


class ArctanSigmoid(Elementwise):
    """y = arctan(x)/π + ½, the note's nonlinearity: it takes values in (0, 1), and approaches them slowly.

    Backward:
        ∂L/∂x = grad · (1/π) / (1 + x²).

    References:
        The note, sections 1 and 2.

    Example:
        >>> nn.ArctanSigmoid()(np.array([-1.0, 0.0, 1.0]))
        array([0.25, 0.5 , 0.75])
    """

    function = staticmethod(arctan_sigmoid)
    derivative = staticmethod(arctan_sigmoid_derivative)


class Sigmoid(Elementwise):
    """y = 1 / (1 + e⁻ˣ), the logistic function.

    Backward:
        ∂L/∂x = grad · y (1 - y).
    """

    function = staticmethod(sigmoid)
    derivative = staticmethod(sigmoid_derivative)


def log_sigmoid(x: Array) -> Array:
    """log(1 / (1 + e⁻ˣ))."""
    return -softplus(-x)


def log_sigmoid_derivative(x: Array) -> Array:
    """1 / (1 + eˣ)."""
    return sigmoid(-x)


class LogSigmoid(Elementwise):
    """y = log(1 / (1 + e⁻ˣ)), the logarithm of the logistic function.

    Backward:
        ∂L/∂x = grad / (1 + eˣ).
    """

    function = staticmethod(log_sigmoid)
    derivative = staticmethod(log_sigmoid_derivative)


def tanh(x: Array) -> Array:
    """The hyperbolic tangent."""
    y: Array = np.tanh(x)
    return y


def tanh_derivative(x: Array) -> Array:
    """1 / cosh²(x)."""
    y: Array = 1 / np.cosh(x)
    y *= y
    return y


class Tanh(Elementwise):
    """y = tanh(x).

    Backward:
        ∂L/∂x = grad · (1 - y²) = grad / cosh²(x).
    """

    function = staticmethod(tanh)
    derivative = staticmethod(tanh_derivative)


def tanhshrink(x: Array) -> Array:
    """x - tanh(x); for |x| < 1, where this would cancel, x³ / (x² + 3 + x²/(5 + x²/(7 + ...)))."""
    near = clamp(x, -1, 1)
    square = near * near
    fraction = 15 + square / 17
    for odd in (13, 11, 9, 7, 5, 3):
        fraction = odd + square / fraction
    return np.where(absolute(x) < 1, near * (square / (square + fraction)), x - np.tanh(x))


def tanhshrink_derivative(x: Array) -> Array:
    """tanh²(x)."""
    y = np.tanh(x)
    return y * y


class Tanhshrink(Elementwise):
    """y = x - tanh(x).

    Backward:
        ∂L/∂x = grad · tanh²(x).
    """

    function = staticmethod(tanhshrink)
    derivative = staticmethod(tanhshrink_derivative)


def softsign(x: Array) -> Array:
    """x / (1 + |x|)."""
    largest = float(np.finfo(x.dtype).max)
    x = clamp(x, -largest, largest)  # ∞ / ∞ is no number
    y: Array = x / (1 + absolute(x))
    return y


def softsign_derivative(x: Array) -> Array:
    """1 / (1 + |x|)²."""
    root = 1 / (1 + absolute(x))
    return root * root


class Softsign(Elementwise):
    """y = x / (1 + |x|).

    Backward:
        ∂L/∂x = grad / (1 + |x|)².
    """

    function = staticmethod(softsign)
    derivative = staticmethod(softsign_derivative)


def _times(slope: Array, x: Array) -> Array:
    """Return slope · x, where 0 · ∞ is 0."""
    y: Array = slope * (x if np.isfinite(x).all() else np.where(slope == 0, 0, x))
    return y


class Flat(Elementwise):
    """A nonlinearity with flat pieces, which let no gradient through, however large it is."""

    @override
    def backward(self, grad: Array) -> Array:
        return _times(self.derivative(self.saved.pop()), grad)


def hardtanh(x: Array, min_val: float, max_val: float) -> Array:
    """x between two bounds, else the bound."""
    return clamp(x, _in_dtype(min_val, x.dtype), _in_dtype(max_val, x.dtype))


def hardtanh_derivative(x: Array, min_val: float, max_val: float) -> Array:
    """1 between the bounds, else 0."""
    return ((x > _in_dtype(min_val, x.dtype)) & (x < _in_dtype(max_val, x.dtype))).astype(x.dtype)


class Hardtanh(Flat):
    """y = x, held between two bounds.

    Backward:
        ∂L/∂x = grad between the bounds, else 0, also at the kinks.

    Args:
        min_val: the lower bound.
        max_val: the upper bound, greater than the lower one.
    """

    function = staticmethod(hardtanh)
    derivative = staticmethod(hardtanh_derivative)
    constants = ("min_val", "max_val")

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0) -> None:
        self.min_val = number("Hardtanh", "min_val", min_val)
        self.max_val = number("Hardtanh", "max_val", max_val, above=self.min_val)


def hard_sigmoid(x: Array) -> Array:
    """x/6 + ½ between 0 and 1, else 0 or 1."""
    return clamp(x + 3, 0, 6) / 6


def hard_sigmoid_derivative(x: Array) -> Array:
    """1/6 for -3 < x < 3, else 0."""
    return hardtanh_derivative(x, -3, 3) / 6


class Hardsigmoid(Flat):
    """y = x/6 + ½, held between 0 and 1.

    Backward:
        ∂L/∂x = grad / 6 for -3 < x < 3, else 0.
    """

    function = staticmethod(hard_sigmoid)
    derivative = staticmethod(hard_sigmoid_derivative)


# Rectifiers, which let positive numbers through


def relu(x: Array) -> Array:
    """max(x, 0)."""
    y: Array = np.maximum(x, 0)
    return y


def relu_derivative(x: Array) -> Array:
    """1 where x > 0, else 0."""
    return (x > 0).astype(x.dtype)


class ReLU(Elementwise):
    """y = max(x, 0).

    Backward:
        ∂L/∂x = grad where x > 0, else 0; at the kink, x = 0, it is 0 as in PyTorch.
    """

    function = staticmethod(relu)
    derivative = staticmethod(relu_derivative)

    @override
    def backward(self, grad: Array) -> Array:
        x = self.saved.pop()
        return np.where(x <= 0, 0, grad)  # where 0 · ∞ is 0


class ReLU6(Flat):
    """y = x, held between 0 and 6.

    Backward:
        ∂L/∂x = grad for 0 < x < 6, else 0.
    """

    function = staticmethod(functools.partial(hardtanh, min_val=0, max_val=6))
    derivative = staticmethod(functools.partial(hardtanh_derivative, min_val=0, max_val=6))


def leaky_relu(x: Array, negative_slope: float) -> Array:
    """x where x > 0, else negative_slope · x."""
    y: Array = np.maximum(x, 0)
    return y + negative_slope * np.minimum(x, 0) if negative_slope else y  # 0 · ∞ is no number


def leaky_relu_derivative(x: Array, negative_slope: float) -> Array:
    """1 where x > 0, else negative_slope."""
    return np.where(x > 0, 1, np.full_like(x, negative_slope))


class LeakyReLU(Elementwise):
    """y = x where x > 0, else a x.

    Backward:
        ∂L/∂x = grad where x > 0, else a · grad.

    Args:
        negative_slope: a.
    """

    function = staticmethod(leaky_relu)
    derivative = staticmethod(leaky_relu_derivative)
    constants = ("negative_slope",)

    def __init__(self, negative_slope: float = 1e-2) -> None:
        self.negative_slope = number("LeakyReLU", "negative_slope", negative_slope)


class PReLU(Layer):
    """y = x where x > 0, else a x, with a slope a that is learned: one for all, or one for each channel.

    Backward:
        ∂L/∂x = grad where x > 0, else a · grad; ∂L/∂a = Σ grad · min(x, 0) over all that shares the slope.

    Shapes:
        x (samples, num_parameters, ...), or of any shape with a single slope; y the same. weight (num_parameters,).

    Args:
        num_parameters: the number of slopes, 1 or the number of channels.
        init: a at the start.
        dtype: float32 or float64; by default what `get_default_dtype` says.

    Raises:
        ShapeError: if the second axis of x has not ``num_parameters`` elements, and there are several.

    References:
        He et al., "Delving deep into rectifiers", 2015.
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25, *, dtype: DTypeLike | None = None) -> None:
        self.num_parameters = size("PReLU", "num_parameters", num_parameters)
        self.init = number("PReLU", "init", init)
        dtype = get_default_dtype() if dtype is None else as_dtype("PReLU", dtype)
        self.weight = Parameter(np.full(self.num_parameters, self.init), dtype=dtype)

    @override
    def draw_parameters(self, rng: np.random.Generator) -> None:
        self.weight.data.fill(self.init)

    @override
    def forward(self, x: Array) -> Array:
        if self.num_parameters > 1 and (x.ndim < 2 or x.shape[1] != self.num_parameters):
            raise ShapeError(expects(self, f"x of shape (samples, {self.num_parameters}, ...)", x.shape))
        x = cast(x, self.weight.dtype)
        self.saved.push(x)
        y: Array = np.maximum(x, 0) + _times(self._slopes(x), np.minimum(x, 0))
        return y

    @override
    def backward(self, grad: Array) -> Array:
        x = self.saved.pop()
        if self.weight.requires_grad:
            others = tuple(axis for axis in range(x.ndim) if axis != 1 or self.num_parameters == 1)
            self.weight.add_grad(_times(np.minimum(x, 0), grad).sum(axis=others).reshape(self.num_parameters))
        return _times(np.where(x > 0, 1, self._slopes(x)), grad)

    def _slopes(self, x: Array) -> Array:
        """Return the slopes in a shape that goes with x."""
        alone = self.num_parameters == 1
        return self.weight.data.reshape(() if alone else (self.num_parameters, *(1,) * (x.ndim - 2)))

    @override
    def extra_repr(self) -> str:
        init = "" if self.init == 0.25 else f", init={self.init!r}"
        dtype = "" if self.weight.dtype == np.float64 else f", dtype={self.weight.dtype}"
        return f"{self.num_parameters}{init}{dtype}"


def elu(x: Array, alpha: float) -> Array:
    """x where x > 0, else alpha (eˣ - 1)."""
    y: Array = np.maximum(x, 0) + alpha * np.expm1(np.minimum(x, 0))
    return y


def elu_derivative(x: Array, alpha: float) -> Array:
    """1 where x > 0, else alpha eˣ."""
    return np.where(x > 0, 1, alpha * np.exp(np.minimum(x, 0)))


class ELU(Elementwise):
    """y = x where x > 0, else α (eˣ - 1).

    Backward:
        ∂L/∂x = grad where x > 0, else grad · α eˣ.

    Args:
        alpha: α; far to the left y approaches -α.

    References:
        Clevert et al., "Fast and accurate deep network learning by exponential linear units", 2016.
    """

    function = staticmethod(elu)
    derivative = staticmethod(elu_derivative)
    constants = ("alpha",)

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = number("ELU", "alpha", alpha)


def celu(x: Array, alpha: float) -> Array:
    """x where x > 0, else alpha (exp(x/alpha) - 1)."""
    y: Array = np.maximum(x, 0) + alpha * np.expm1(_celu_argument(x, alpha))
    return y


def celu_derivative(x: Array, alpha: float) -> Array:
    """1 where x > 0, else exp(x/alpha)."""
    y: Array = np.exp(_celu_argument(x, alpha))
    return y


def _celu_argument(x: Array, alpha: float) -> Array:
    """Return x/alpha where x < 0, but no less than what makes no difference, else 0."""
    alpha = _in_dtype(alpha, x.dtype) or float(np.finfo(x.dtype).smallest_subnormal)
    return clamp(x, _in_dtype(-1000 * alpha, x.dtype), 0) / alpha


class CELU(Elementwise):
    """y = x where x > 0, else α (exp(x/α) - 1): an `ELU` without a kink.

    Backward:
        ∂L/∂x = grad where x > 0, else grad · exp(x/α).

    Args:
        alpha: α, greater than 0.

    References:
        Barron, "Continuously differentiable exponential linear units", 2017.
    """

    function = staticmethod(celu)
    derivative = staticmethod(celu_derivative)
    constants = ("alpha",)

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = number("CELU", "alpha", alpha, above=0)


SELU_SCALE, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717


def selu(x: Array) -> Array:
    """λ x where x > 0, else λ α (eˣ - 1)."""
    return SELU_SCALE * elu(x, SELU_ALPHA)


def selu_derivative(x: Array) -> Array:
    """λ where x > 0, else λ α eˣ."""
    return SELU_SCALE * elu_derivative(x, SELU_ALPHA)


class SELU(Elementwise):
    """y = λ x where x > 0, else λ α (eˣ - 1), with α = 1.6733 and λ = 1.0507.

    For normal inputs these two make the output have mean 0 and variance 1 if the input has.

    Backward:
        ∂L/∂x = λ grad where x > 0, else grad · λ α eˣ.

    References:
        Klambauer et al., "Self-normalizing neural networks", 2017.
    """

    function = staticmethod(selu)
    derivative = staticmethod(selu_derivative)


def scaled_softplus(x: Array, beta: float, threshold: float) -> Array:
    """log(1 + exp(beta x)) / beta, or x where beta x > threshold."""
    z = _scaled(x, beta, threshold)
    return np.where(z > threshold, x, softplus(z) / beta)


def scaled_softplus_derivative(x: Array, beta: float, threshold: float) -> Array:
    """1 / (1 + exp(-beta x)), or 1 where beta x > threshold."""
    z = _scaled(x, beta, threshold)
    return np.where(z > threshold, 1, sigmoid(z))


def _scaled(x: Array, beta: float, threshold: float) -> Array:
    """Return beta x, but no more than what makes no difference."""
    far = _in_dtype((abs(threshold) + 1000) / beta, x.dtype)
    return beta * clamp(x, -far, far)


class Softplus(Elementwise):
    """y = log(1 + exp(β x)) / β, a rectifier without a kink; y = x where β x is greater than a threshold.

    There y jumps, by e⁻²⁰/β for the default threshold. The gradient is that of what is returned.

    Backward:
        ∂L/∂x = grad / (1 + exp(-β x)); grad above the threshold.

    Args:
        beta: β, greater than 0.
        threshold: from where on y = x.
    """

    function = staticmethod(scaled_softplus)
    derivative = staticmethod(scaled_softplus_derivative)
    constants = ("beta", "threshold")

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self.beta = number("Softplus", "beta", beta, above=0)
        self.threshold = number("Softplus", "threshold", threshold)


# Gates, y = x g(x), where g goes from 0 to 1. Far to the left x is replaced by a number where g is 0 just as well.


def gelu(x: Array, approximate: str) -> Array:
    """x Φ(x), or x times an approximation of Φ(x) by a hyperbolic tangent."""
    gate = normal_cdf(x) if approximate == "none" else sigmoid(_gelu_argument(clamp(x, -30, 30)))
    y: Array = np.maximum(x, -200) * gate
    return y


def gelu_derivative(x: Array, approximate: str) -> Array:
    """Φ(x) + x φ(x), or the like for the approximation."""
    if approximate == "none":
        x = clamp(x, -200, 200)
        y: Array = normal_cdf(x) + x * normal_density(x)
        return y
    x = clamp(x, -30, 30)
    z = _gelu_argument(x)
    return sigmoid(z) + sigmoid_derivative(z) * x * (GELU_LINEAR + 3 * GELU_CUBIC * x * x)


GELU_LINEAR = 2 * math.sqrt(2 / math.pi)
GELU_CUBIC = 0.044715 * GELU_LINEAR


def _gelu_argument(x: Array) -> Array:
    """Return z such that 1 / (1 + exp(-z)), which is ½ (1 + tanh(z/2)), is about Φ(x)."""
    return x * (GELU_LINEAR + GELU_CUBIC * x * x)


class GELU(Elementwise):
    """y = x Φ(x), where Φ is the distribution function of the normal distribution, ½ (1 + erf(x/√2)).

    Backward:
        ∂L/∂x = grad · (Φ(x) + x φ(x)), φ(x) = exp(-x²/2) / √(2π).

    Args:
        approximate: ``"none"``, or ``"tanh"`` for ½ (1 + tanh(√(2/π) (x + 0.044715 x³))) in place of Φ(x).

    References:
        Hendrycks and Gimpel, "Gaussian error linear units", 2016.
    """

    function = staticmethod(gelu)
    derivative = staticmethod(gelu_derivative)
    constants = ("approximate",)

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = choice("GELU", "approximate", approximate, ("none", "tanh"))


def silu(x: Array) -> Array:
    """x / (1 + e⁻ˣ)."""
    y: Array = np.maximum(x, -20_000) * sigmoid(x)
    return y


def silu_derivative(x: Array) -> Array:
    """σ(x) + x σ'(x), σ being the logistic function."""
    y: Array = sigmoid(x) + clamp(x, -20_000, 20_000) * sigmoid_derivative(x)
    return y


class SiLU(Elementwise):
    """y = x σ(x), where σ(x) = 1 / (1 + e⁻ˣ) is the logistic function.

    Backward:
        ∂L/∂x = grad · (σ(x) + x σ(x) (1 - σ(x))).

    References:
        Elfwing et al., "Sigmoid-weighted linear units for neural network function approximation", 2018.
    """

    function = staticmethod(silu)
    derivative = staticmethod(silu_derivative)


def mish(x: Array) -> Array:
    """x tanh(log(1 + eˣ)) = x e²ˣ (1 + 2e⁻ˣ) / (e²ˣ (1 + 2e⁻ˣ) + 2)."""
    decay, scale = _mish_parts(x)
    share = np.where(x > 0, 1 + 2 * decay, decay * (decay + 2))
    y: Array = np.maximum(x, -20_000) * (share / scale)
    return y


def mish_derivative(x: Array) -> Array:
    """t + x (1 - t²) / (1 + e⁻ˣ), t = tanh(log(1 + eˣ))."""
    decay, scale = _mish_parts(x)
    share = np.where(x > 0, 1 + 2 * decay, decay * (decay + 2))
    slope = 4 * np.where(x > 0, decay * decay, decay) * (1 + decay) / (scale * scale)
    y: Array = share / scale + clamp(x, -20_000, 20_000) * slope
    return y


def _mish_parts(x: Array) -> tuple[Array, Array]:
    """Return d = e⁻|ˣ| and (1 + eˣ)² + 1, over e²ˣ where x > 0."""
    decay = np.exp(-absolute(x))
    return decay, np.where(x > 0, 1 + 2 * decay * (1 + decay), 2 + decay * (decay + 2))


class Mish(Elementwise):
    """y = x tanh(log(1 + eˣ)).

    Backward:
        ∂L/∂x = grad · (t + x (1 - t²) / (1 + e⁻ˣ)), t = tanh(log(1 + eˣ)).

    References:
        Misra, "Mish: a self regularized non-monotonic activation function", 2020.
    """

    function = staticmethod(mish)
    derivative = staticmethod(mish_derivative)


def hard_swish(x: Array) -> Array:
    """x times x/6 + ½, the latter held between 0 and 1."""
    y: Array = np.maximum(x, -3) * hard_sigmoid(x)
    return y


def hard_swish_derivative(x: Array) -> Array:
    """0 for x ≤ -3, 1 for x ≥ 3, x/3 + ½ between them."""
    return np.where(x <= -3, 0, np.where(x >= 3, 1, clamp(x, -3, 3) / 3 + 0.5))


class Hardswish(Flat):
    """y = x times x/6 + ½, the latter held between 0 and 1.

    Backward:
        ∂L/∂x = grad · (x/3 + ½) for -3 < x < 3; 0 to the left, grad to the right, as in PyTorch at the kinks, too.

    References:
        Howard et al., "Searching for MobileNetV3", 2019.
    """

    function = staticmethod(hard_swish)
    derivative = staticmethod(hard_swish_derivative)
