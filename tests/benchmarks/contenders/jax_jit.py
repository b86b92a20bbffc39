"""JAX: the whole step in one ``jit``, the optimizer included; the arrays that it replaces are donated."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp

from tests.benchmarks.cases import BETA1, BETA2, EPS, LR, MOMENTUM, Case
from tests.benchmarks.contenders import Run

jax.config.update("jax_enable_x64", True)  # float64 is there; float32 arrays stay float32


def jit(case: Case) -> Run:
    arctan = case.nonlinearity == "arctan sigmoid"
    parameters = [(jnp.asarray(weight), jnp.asarray(bias)) for weight, bias in case.layers]
    x, target, batch = jnp.asarray(case.x), jnp.asarray(case.target), case.batch

    def predict(parameters: Any, x: jax.Array) -> jax.Array:
        for index, (weight, bias) in enumerate(parameters):
            x = x @ weight.T + bias
            if arctan:
                x = jnp.arctan(x) * (1 / math.pi) + 0.5
            elif index < len(parameters) - 1:
                x = jax.nn.sigmoid(x)
        return x

    def loss_of(parameters: Any, x: jax.Array, target: jax.Array) -> jax.Array:
        return (0.5 / batch) * jnp.sum((predict(parameters, x) - target) ** 2)

    if case.task == "inference":
        forward = jax.jit(predict)

        def infer(n: int) -> np.ndarray:
            for _ in range(n):
                y = forward(parameters, x).block_until_ready()
            return np.asarray(y)

        return infer

    update = {"SGD": _sgd, "SGD with momentum": _momentum, "Adam": _adam}[case.optimizer]

    @partial(jax.jit, donate_argnums=(0, 1))
    def step(parameters: Any, state: Any, x: jax.Array, target: jax.Array) -> tuple[Any, Any, jax.Array]:
        loss, gradients = jax.value_and_grad(loss_of)(parameters, x, target)
        return *update(parameters, gradients, state), loss

    zeros = jax.tree.map(jnp.zeros_like, parameters)
    state = {
        "SGD": lambda: (),
        "SGD with momentum": lambda: zeros,
        "Adam": lambda: (jnp.zeros((), case.dtype), zeros, jax.tree.map(jnp.zeros_like, parameters)),
    }[case.optimizer]()

    def train(n: int) -> float:
        nonlocal parameters, state
        for _ in range(n):
            parameters, state, loss = step(parameters, state, x, target)
            jax.block_until_ready((parameters, loss))
        return float(loss)

    return train


def _sgd(parameters: Any, gradients: Any, state: Any) -> tuple[Any, Any]:
    return jax.tree.map(lambda p, g: p - LR * g, parameters, gradients), state


def _momentum(parameters: Any, gradients: Any, state: Any) -> tuple[Any, Any]:
    state = jax.tree.map(lambda v, g: MOMENTUM * v + g, state, gradients)
    return jax.tree.map(lambda p, v: p - LR * v, parameters, state), state


def _adam(parameters: Any, gradients: Any, state: Any) -> tuple[Any, Any]:
    steps, means, squares = state
    steps = steps + 1
    means = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, means, gradients)
    squares = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, squares, gradients)
    rate, root = LR / (1 - BETA1**steps), jnp.sqrt(1 - BETA2**steps)
    parameters = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) / root + EPS), parameters, means, squares)
    return parameters, (steps, means, squares)
