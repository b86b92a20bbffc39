"""The note's listing with its errors corrected: what the tests hold tinynn against, and the benchmarks race it with.

It keeps the names and the order of the note's code; what had to be corrected are the errata, see `tests/test_note.py`.
"""

from __future__ import annotations

import math

import numpy as np

import tinynn as nn

pii = 1 / math.pi


def sigma(x):
    return np.arctan(x) * pii + 0.5


def d_sigma(x):
    return pii / (1 + (x**2))


class Listing:
    """The note's listing with its errors corrected, for a network of any shape."""

    def __init__(self, neuron_parameters, rng=None):
        self.network_depth = len(neuron_parameters)
        self.network_weight = []
        self.network_bias = []
        for n in range(1, self.network_depth):
            shape = [neuron_parameters[n], neuron_parameters[n - 1]]
            self.network_weight.append(np.zeros(shape) if rng is None else rng.normal(size=shape))
            self.network_bias.append(np.zeros(shape[0]) if rng is None else rng.normal(size=shape[0]))
        # the note starts with arrays of zeros; they are replaced before they are read
        self.network_activation = [None] * (self.network_depth - 1)
        self.network_z = [None] * (self.network_depth - 1)
        self.gradient_activation = [None] * (self.network_depth - 1)
        self.gradient_weight = [None] * (self.network_depth - 1)
        self.gradient_bias = [None] * (self.network_depth - 1)

    def compute(self, input_data):
        """Computes the output of the network given input_data."""
        self.network_z[0] = np.matmul(self.network_weight[0], input_data) + self.network_bias[0]
        self.network_activation[0] = sigma(self.network_z[0])
        for n in range(1, self.network_depth - 1):
            self.network_z[n] = np.matmul(self.network_weight[n], self.network_activation[n - 1]) + self.network_bias[n]
            self.network_activation[n] = sigma(self.network_z[n])
        return self.network_activation[-1]

    def compute_gradients(self, input_data, output_data):
        """Computes the L2 gradient of the loss by comparing with output_data."""
        last = self.network_depth - 2
        self.gradient_activation[last] = self.network_activation[last] - output_data
        for n in range(last, 0, -1):
            self.gradient_bias[n] = d_sigma(self.network_z[n]) * self.gradient_activation[n]
            self.gradient_weight[n] = np.tensordot(self.gradient_bias[n], self.network_activation[n - 1], axes=0)
            self.gradient_activation[n - 1] = np.matmul(np.transpose(self.gradient_bias[n]), self.network_weight[n])
        self.gradient_bias[0] = d_sigma(self.network_z[0]) * self.gradient_activation[0]
        self.gradient_weight[0] = np.tensordot(self.gradient_bias[0], input_data, axes=0)

    def update(self, gradient_weight, gradient_bias, gamma):
        """Update the weights and biases via gradient descent."""
        for n in range(self.network_depth - 1):
            self.network_weight[n] = self.network_weight[n] - gamma * gradient_weight[n]
            self.network_bias[n] = self.network_bias[n] - gamma * gradient_bias[n]

    def step(self, input_data, output_data, gamma):
        """One update on one sample."""
        self.compute(input_data)
        self.compute_gradients(input_data, output_data)
        self.update(self.gradient_weight, self.gradient_bias, gamma)

    def step_on_batch(self, inputs, outputs, gamma):
        """One update on the gradients of all samples, averaged over the batch. Returns the activations of each."""
        weight_sums = [np.zeros_like(weight) for weight in self.network_weight]
        bias_sums = [np.zeros_like(bias) for bias in self.network_bias]
        activations = []
        for input_data, output_data in zip(inputs, outputs, strict=True):
            self.compute(input_data)
            self.compute_gradients(input_data, output_data)
            activations.append(list(self.network_activation))
            for n in range(self.network_depth - 1):
                weight_sums[n] += self.gradient_weight[n]
                bias_sums[n] += self.gradient_bias[n]
        count = len(inputs)
        self.update([total / count for total in weight_sums], [total / count for total in bias_sums], gamma)
        return activations

    def as_model(self):
        """Return the same network in tinynn, with copies of the weights and biases."""
        layers = []
        for weight, bias in zip(self.network_weight, self.network_bias, strict=True):
            linear = nn.Linear(weight.shape[1], weight.shape[0])
            linear.weight.data = weight
            linear.bias.data = bias
            layers += [linear, nn.ArctanSigmoid()]
        return nn.Sequential(*layers)
