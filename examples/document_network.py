"""The network of the mathematical note, run as the note runs it: layers 3-2-3-4, one sample, one update.

Everything that the note computes is printed with the number of its equation: activations, every gradient, and the
update by gradient descent. Beside each value stands that of the note's own listing, with its misprints corrected
(`corrected_listing` below), and the difference between the two.

The network is run twice. First from zeros, as in the listing: all units of a layer are then equal and stay so, and in
the first step nothing but the last layer learns. Then from random numbers. After that both are run for 1,000 updates.
The targets are 2, out of reach for activations between 0 and 1: no update can bring the loss below 2.

All numbers are float64. This example needs nothing but NumPy.

    python examples/document_network.py
"""

from __future__ import annotations

import argparse
import math

import numpy as np

import tinynn as nn
from tinynn.typing import Array

NEURON_PARAMETERS = [3, 2, 3, 4]
INPUT_DATA = np.array([1.0, 1.0, 1.0])
OUTPUT_DATA = np.array([2.0, 2.0, 2.0, 2.0])
GAMMA = 0.001

Values = dict[str, Array]


# The note's listing, with its names. What had to be corrected says so.

pii = 1 / math.pi


def sigma(x: Array) -> Array:
    """Return the nonlinearity, which takes values in (0, 1)."""
    return np.arctan(x) * pii + 0.5


def d_sigma(x: Array) -> Array:
    """Return the derivative of the nonlinearity."""
    return pii / (1 + (x**2))


def corrected_listing(network_weight: list[Array], network_bias: list[Array]) -> Values:
    """Run one step of the listing, update the lists of weights and biases, and return all that was computed."""
    network_depth = len(NEURON_PARAMETERS)
    # Corrected: the listing creates network_activation and network_z, but none of the three lists of gradients.
    network_z = [np.empty(0)] * (network_depth - 1)
    network_activation = [np.empty(0)] * (network_depth - 1)
    gradient_activation = [np.empty(0)] * (network_depth - 1)
    gradient_weight = [np.empty(0)] * (network_depth - 1)
    gradient_bias = [np.empty(0)] * (network_depth - 1)

    # Corrected: four lines of the listing are broken after their "=", which Python does not take.
    network_z[0] = np.matmul(network_weight[0], INPUT_DATA) + network_bias[0]
    network_activation[0] = sigma(network_z[0])
    for n in range(1, network_depth - 1):
        network_z[n] = np.matmul(network_weight[n], network_activation[n - 1]) + network_bias[n]
        network_activation[n] = sigma(network_z[n])

    gradient_activation[network_depth - 2] = network_activation[network_depth - 2] - OUTPUT_DATA
    for n in range(network_depth - 2, 0, -1):
        # Equation (22) prints the activation of the layer below in place of d_sigma(z). The listing has it right.
        gradient_bias[n] = d_sigma(network_z[n]) * gradient_activation[n]
        gradient_weight[n] = np.tensordot(gradient_bias[n], network_activation[n - 1], axes=0)
        gradient_activation[n - 1] = np.matmul(np.transpose(gradient_bias[n]), network_weight[n])
    gradient_bias[0] = d_sigma(network_z[0]) * gradient_activation[0]
    # Corrected: input_data; the listing says sample_data, which does not exist.
    gradient_weight[0] = np.tensordot(gradient_bias[0], INPUT_DATA, axes=0)

    for n in range(network_depth - 1):
        network_weight[n] = network_weight[n] - GAMMA * gradient_weight[n]
        network_bias[n] = network_bias[n] - GAMMA * gradient_bias[n]  # Corrected: no dot at the end.

    values = {}
    for n in range(network_depth - 1):
        values[f"A{n + 1}"] = network_activation[n]
        values[f"grad A{n + 1}"] = gradient_activation[n]
        values[f"grad B{n + 1}"] = gradient_bias[n]
        values[f"grad W{n + 1}"] = gradient_weight[n]
        values[f"new W{n + 1}"] = network_weight[n]
        values[f"new B{n + 1}"] = network_bias[n]
    return values


# The same with tinynn.


def build_model(rng: np.random.Generator) -> nn.Sequential:
    """Return the note's network: Z = W A + B in each `Linear`, A = sigma(Z) in each `ArctanSigmoid`."""
    return nn.Sequential(
        nn.Linear(3, 2, rng=rng),
        nn.ArctanSigmoid(),
        nn.Linear(2, 3, rng=rng),
        nn.ArctanSigmoid(),
        nn.Linear(3, 4, rng=rng),
        nn.ArctanSigmoid(),
    )


def one_step(model: nn.Sequential, loss_fn: nn.MSELoss, optimizer: nn.SGD) -> Values:
    """Do one update, layer by layer by hand, and return all that was computed.

    Nobody has to write this: ``model(x)`` and ``model.backward(grad)`` do the same. By hand, every gradient of the
    note can be seen on its way.
    """
    values = {}
    pairs = [(model[index], model[index + 1]) for index in range(0, len(model), 2)]

    activation = INPUT_DATA  # (4)
    for number, (linear, sigmoid) in enumerate(pairs, start=1):
        activation = sigmoid(linear(activation))  # (1) to (3)
        values[f"A{number}"] = activation
    loss_fn(activation, OUTPUT_DATA)  # (6)

    optimizer.zero_grad()
    gradient = loss_fn.backward()  # (25)
    for number, (linear, sigmoid) in reversed(list(enumerate(pairs, start=1))):
        values[f"grad A{number}"] = gradient
        gradient = sigmoid.backward(gradient)  # (10)
        gradient = linear.backward(gradient)  # (23) and (10) into the parameters, (24) returned
        values[f"grad B{number}"] = linear.bias.grad.copy()
        values[f"grad W{number}"] = linear.weight.grad.copy()

    optimizer.step()  # (26), (27)
    for number, (linear, _) in enumerate(pairs, start=1):
        values[f"new W{number}"] = linear.weight.data.copy()
        values[f"new B{number}"] = linear.bias.data.copy()
    return values


def equation(name: str) -> str:
    """Return where the note defines a value."""
    last = f"grad A{len(NEURON_PARAMETERS) - 1}"
    numbers = {"A": "(2)", "grad A": "(24)", "grad B": "(10), (22)", "grad W": "(23)", "new W": "(26)", "new B": "(27)"}
    return "(25)" if name == last else numbers[name[:-1]]


def show(ours: Values, listing: Values) -> float:
    """Print all values side by side, and return the largest difference."""
    line = "{:<8} {:<10} {:<37} {:<37} {}"
    print(line.format("value", "equation", "tinynn", "corrected listing", "difference"))
    largest = 0.0
    for name, value in ours.items():
        difference = float(np.max(np.abs(value - listing[name])))
        largest = max(largest, difference)
        rows = zip(np.atleast_2d(value), np.atleast_2d(listing[name]), strict=True)
        for index, (ours_row, listing_row) in enumerate(rows):
            texts = [" ".join(f"{number:z8.5f}" for number in row) for row in (ours_row, listing_row)]
            head = (name, equation(name)) if index == 0 else ("", "")
            print(line.format(*head, *texts, f"{difference:.1e}" if index == 0 else "").rstrip())
    return largest


def run(title: str, model: nn.Sequential, updates: int) -> float:
    """Run the note's network from the parameters of ``model``, print it all, return the largest difference."""
    network_weight = [model[index].weight.data.copy() for index in (0, 2, 4)]
    network_bias = [model[index].bias.data.copy() for index in (0, 2, 4)]
    loss_fn = nn.MSELoss()
    optimizer = nn.SGD(model.parameters(), lr=GAMMA)

    print(f"{title}\n")
    largest = show(one_step(model, loss_fn, optimizer), corrected_listing(network_weight, network_bias))

    for _ in range(updates - 1):
        loss_fn(model(INPUT_DATA), OUTPUT_DATA)
        optimizer.zero_grad()
        model.backward(loss_fn.backward())
        optimizer.step()
        corrected_listing(network_weight, network_bias)
    layers = zip((0, 2, 4), network_weight, network_bias, strict=True)
    for index, weight, bias in layers:
        largest = max(largest, float(np.max(np.abs(model[index].weight.data - weight))))
        largest = max(largest, float(np.max(np.abs(model[index].bias.data - bias))))
    loss = loss_fn(model(INPUT_DATA), OUTPUT_DATA)
    print(f"\nafter {updates:,} updates: loss {loss:.5f}, largest difference so far {largest:.1e}\n")
    return largest


def main(arguments: list[str] | None = None) -> float:
    """Run from zeros and from random numbers; return the largest difference between tinynn and the listing."""
    parser = argparse.ArgumentParser(description="Run the network of the mathematical note beside the note's listing.")
    parser.add_argument("--seed", type=int, default=0, help="of the random start (default: 0)")
    parser.add_argument("--updates", type=int, default=1000, help="default: 1000")
    options = parser.parse_args(arguments)
    if options.updates < 1:
        parser.error("--updates is at least 1")

    model = build_model(np.random.default_rng(options.seed))
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    from_zeros = run("The start of the listing: zeros", model, options.updates)
    model.reset_parameters(rng=options.seed)
    from_random = run("A random start", model, options.updates)
    return max(from_zeros, from_random)


if __name__ == "__main__":
    main()
