"""A linear layer beside its formula, written out for one sample at a time."""

from __future__ import annotations

import numpy as np
import pytest

import tinynn as nn

SHAPES = [(3,), (1, 3), (2, 3), (5, 3), (1, 1, 3), (1, 4, 3), (2, 1, 3), (0, 3)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
def test_every_sample_of_a_batch_is_treated_alike(shape, bias):
    rng = np.random.default_rng(0)
    layer, x, grad = nn.Linear(3, 2, bias, rng=rng), rng.normal(size=shape), rng.normal(size=(*shape[:-1], 2))
    weight, b = layer.weight.data, layer.bias.data if bias else np.zeros(2)
    rows, grads = x.reshape(-1, 3), grad.reshape(-1, 2)

    y, at_input = layer(x), layer.backward(grad)
    for i, row in enumerate(rows):
        np.testing.assert_allclose(y.reshape(-1, 2)[i], [np.dot(weight[k], row) + b[k] for k in range(2)], rtol=1e-14)
        expected = [sum(grads[i, k] * weight[k, j] for k in range(2)) for j in range(3)]
        np.testing.assert_allclose(at_input.reshape(-1, 3)[i], expected, rtol=1e-13)
    assert y.shape == grad.shape
    assert at_input.shape == shape
    total = sum((np.outer(g, row) for g, row in zip(grads, rows, strict=True)), np.zeros((2, 3)))
    np.testing.assert_allclose(layer.weight.grad, total, rtol=1e-13)
    if bias:
        np.testing.assert_allclose(layer.bias.grad, sum(grads, np.zeros(2)), rtol=1e-13)
