"""Layers written by hand, as a user writes them, and derivatives measured by central differences."""

from __future__ import annotations

import numpy as np

import tinynn as nn

STEP = 1e-5


def slope(function, x, grad):
    """Return Σ grad · ∂function/∂x for each element of ``x``, measured; ``function`` knows nothing of tinynn."""
    x = np.array(x, float)
    result = np.empty_like(x)
    for index in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[index] += STEP
        down[index] -= STEP
        result[index] = np.sum(grad * (function(up) - function(down))) / (2 * STEP)
    return result


class Square(nn.Layer):
    """y = x², dy/dx = 2x."""

    def forward(self, x):
        self.saved.push(x)
        return x * x

    def backward(self, grad):
        x = self.saved.pop()
        return 2 * x * grad


class Scale(nn.Layer):
    """y = w x with a number w; dy/dx = w, dy/dw = x."""

    def __init__(self, weight=3.0):
        self.weight = nn.Parameter([weight])

    def forward(self, x):
        self.saved.push(x)
        return self.weight.data * x

    def backward(self, grad):
        x = self.saved.pop()
        self.weight.add_grad(np.array([(grad * x).sum()]))
        return self.weight.data * grad


class Exp(nn.Layer):
    """y = eˣ, which saves what it returns: dy/dx = y."""

    def forward(self, x):
        y = np.exp(x)
        self.saved.push(y)
        return y

    def backward(self, grad):
        return self.saved.pop() * grad


class Product(nn.Layer):
    """y = a b: two inputs."""

    def forward(self, a, b):
        self.saved.push((a, b))
        return a * b

    def backward(self, grad):
        a, b = self.saved.pop()
        return grad * b, grad * a


class Halves(nn.Layer):
    """(x, x²): two outputs."""

    def forward(self, x):
        self.saved.push(x)
        return x + 0, x * x

    def backward(self, first, second):
        x = self.saved.pop()
        return first + 2 * x * second


class Lookup(nn.Layer):
    """Rows of a table, chosen by whole numbers."""

    takes_integers = True

    def __init__(self, table):
        self.table = nn.Parameter(table)

    def forward(self, index):
        self.saved.push(index)
        return self.table.data[index]

    def backward(self, grad):
        np.add.at(self.table.grad, self.saved.pop(), grad)


class Fails(nn.Layer):
    """y = x, unless a number is negative: then it raises. With ``late`` it raises in backward."""

    def __init__(self, late=False):
        self.late = late

    def forward(self, x):
        if not self.late and (x < 0).any():
            raise ValueError("negative")
        self.saved.push(x)
        return x + 0

    def backward(self, grad):
        if self.late and (self.saved.pop() < 0).any():
            raise ValueError("negative")
        return grad
