"""The note's listing, corrected, is the reference: the same start and the same data give the same numbers.

What had to be corrected are the errata, each of which has a test of its own in the second half of this file.
"""

from __future__ import annotations

import ast
import math
import textwrap

import numpy as np
import pytest

import tinynn as nn
from tests.listing import Listing, d_sigma, pii, sigma


def activations_of(model, x):
    """Return A¹, ..., Aᴸ."""
    activations = []
    with nn.no_grad():
        for layer in model:
            x = layer(x)
            if isinstance(layer, nn.ArctanSigmoid):
                activations.append(x)
    return activations


def assert_same(actual, expected):
    """Everything is equal to 1e-12: the numbers themselves are of the size of 1."""
    for a, b in zip(actual, expected, strict=True):
        assert a.shape == b.shape
        assert np.max(np.abs(a - b)) <= 1e-12 * max(1.0, np.max(np.abs(b)))


def assert_same_parameters(model, listing):
    assert_same([layer.weight.data for layer in model[::2]], listing.network_weight)
    assert_same([layer.bias.data for layer in model[::2]], listing.network_bias)


ARCHITECTURES = [[3, 2, 3, 4], [2, 3, 1, 2], [4, 1], [3, 5, 5, 5, 5, 5, 5, 5, 2], [8, 60, 40, 3]]
IDS = ["-".join(map(str, sizes)) for sizes in ARCHITECTURES]


@pytest.fixture(params=ARCHITECTURES, ids=IDS)
def sizes(request):
    return request.param


@pytest.fixture(params=[0.001, 0.3], ids=["gamma=0.001", "gamma=0.3"])
def gamma(request):
    return request.param


def test_a_thousand_updates_with_one_sample_each_equal_the_listing(sizes, gamma):
    rng = np.random.default_rng(1)
    listing = Listing(sizes, rng)
    model, loss_fn = listing.as_model(), nn.MSELoss()
    optimizer = nn.SGD(model.parameters(), lr=gamma)
    inputs, outputs = rng.normal(size=(20, sizes[0])), rng.uniform(size=(20, sizes[-1]))
    for step in range(1_000):
        x, target = inputs[step % 20], outputs[step % 20]
        listing.step(x, target, gamma)
        loss = loss_fn(model(x), target)
        optimizer.zero_grad()
        model.backward(loss_fn.backward())
        optimizer.step()
        if step % 100 == 0:
            difference = listing.network_activation[-1] - target  # before the update
            assert math.isclose(loss, 0.5 * sum(difference**2), rel_tol=1e-12)
    assert_same_parameters(model, listing)
    for x in inputs:
        listing.compute(x)
        assert_same(activations_of(model, x), listing.network_activation)


def test_a_thousand_updates_with_batches_equal_the_listing_averaged_over_the_batch(sizes, gamma):
    rng = np.random.default_rng(2)
    listing = Listing(sizes, rng)
    model, loss_fn = listing.as_model(), nn.MSELoss()
    optimizer = nn.SGD(model.parameters(), lr=gamma)
    inputs, outputs = rng.normal(size=(10, sizes[0])), rng.uniform(size=(10, sizes[-1]))
    batches = [slice(0, 4), slice(4, 7), slice(7, 8), slice(8, 10)]
    for step in range(1_000):
        x, target = inputs[batches[step % 4]], outputs[batches[step % 4]]
        listing.step_on_batch(x, target, gamma)
        loss_fn(model(x), target)
        optimizer.zero_grad()
        model.backward_parameters(loss_fn.backward())
        optimizer.step()
    assert_same_parameters(model, listing)
    of_each_sample = listing.step_on_batch(inputs, outputs, 0.0)  # changes nothing
    expected = [np.stack(layer) for layer in zip(*of_each_sample, strict=True)]
    assert_same(activations_of(model, inputs), expected)


def test_the_first_thousand_updates_of_the_note_itself_are_reproduced():
    listing = Listing([3, 2, 3, 4])  # zeros, as printed
    model, loss_fn = listing.as_model(), nn.MSELoss()
    optimizer = nn.SGD(model.parameters())  # γ = 0.001 is the default
    input_data, output_data = np.array([1, 1, 1]), np.array([2, 2, 2, 2])
    for _ in range(1_000):
        listing.step(input_data, output_data, 0.001)
        loss_fn(model(input_data), output_data)
        optimizer.zero_grad()
        model.backward(loss_fn.backward())
        optimizer.step()
    assert_same_parameters(model, listing)
    listing.compute(input_data)
    assert_same(activations_of(model, input_data), listing.network_activation)


def test_every_gradient_of_the_first_step_is_that_of_its_equation(sizes):
    rng = np.random.default_rng(3)
    listing = Listing(sizes, rng)
    model, loss_fn = listing.as_model(), nn.MSELoss()
    x, target = rng.normal(size=sizes[0]), rng.uniform(size=sizes[-1])
    listing.compute(x)
    listing.compute_gradients(x, target)
    with nn.one_pass():
        activation, before = x, []
        for layer in model:
            before.append(activation)
            activation = layer(activation)
        loss_fn(activation, target)
    grad = loss_fn.backward()
    assert_same([grad], [activation - target])  # (25)
    with nn.one_pass():
        for index in range(len(model) - 1, 0, -2):
            n = index // 2
            linear, nonlinearity = model[index - 1], model[index]
            activation_below, z, activation_gradient = before[index - 1], before[index], grad
            assert_same([activation_gradient], [listing.gradient_activation[n]])
            at_z = nonlinearity.backward(grad)
            grad = linear.backward(at_z)
            # written out, element by element
            size, size_below = linear.weight.shape
            at_bias = [d_sigma(z[i]) * activation_gradient[i] for i in range(size)]  # (10)
            at_weight = [[activation_below[j] * at_bias[i] for j in range(size_below)] for i in range(size)]  # (15)
            weight = linear.weight.data
            below = [sum(at_bias[k] * weight[k, j] for k in range(size)) for j in range(size_below)]  # (19)
            assert_same([at_z, linear.bias.grad], [np.array(at_bias)] * 2)
            assert_same([linear.weight.grad, grad], [np.array(at_weight), np.array(below)])
            # and as the listing has it
            assert_same([linear.bias.grad], [listing.gradient_bias[n]])
            assert_same([linear.weight.grad], [listing.gradient_weight[n]])


def test_the_reference_descends_along_the_gradient_of_the_loss():
    """The reference is held against the loss (6) itself, by complex steps through (1) to (5)."""
    rng = np.random.default_rng(4)
    listing = Listing([3, 2, 3, 4], rng)
    x, target = rng.normal(size=3), rng.uniform(size=4)
    listing.compute(x)
    listing.compute_gradients(x, target)
    arrays, gradients = listing.network_weight + listing.network_bias, listing.gradient_weight + listing.gradient_bias
    for position in range(len(arrays)):
        for index in np.ndindex(arrays[position].shape):
            shifted = [array.astype(complex) for array in arrays]
            shifted[position][index] += 1e-30j
            activation = x
            for weight, bias in zip(shifted[:3], shifted[3:], strict=True):
                activation = sigma(weight @ activation + bias)
            loss = 0.5 * np.sum((activation - target) ** 2)
            assert abs(loss.imag / 1e-30 - gradients[position][index]) <= 1e-14


# The errata


def small_network():
    """Return a corrected listing of two layers of two neurons after one sample, so that all shapes match."""
    listing = Listing([2, 2, 2], np.random.default_rng(5))
    x, target = np.array([0.3, -0.7]), np.array([0.2, 0.9])
    listing.compute(x)
    listing.compute_gradients(x, target)
    return listing, x, target


def bias_gradient_by_complex_step(listing, layer, x, target):
    gradient = []
    for i in range(2):
        bias = [b.astype(complex) for b in listing.network_bias]
        bias[layer][i] += 1e-30j
        activation = x
        for n in range(2):
            activation = sigma(listing.network_weight[n] @ activation + bias[n])
        gradient.append((0.5 * np.sum((activation - target) ** 2)).imag / 1e-30)
    return np.array(gradient)


def test_erratum_1_the_bias_gradient_takes_the_derivative_of_sigma_and_not_the_activation():
    listing, x, target = small_network()
    true = bias_gradient_by_complex_step(listing, 1, x, target)
    printed = listing.network_activation[0] * listing.gradient_activation[1]  # (22)
    corrected = d_sigma(listing.network_z[1]) * listing.gradient_activation[1]  # (10)
    assert np.max(np.abs(printed - true)) > 0.05
    assert np.max(np.abs(corrected - true)) < 1e-15

    model = listing.as_model()
    model.backward(model(x) - target)
    assert np.max(np.abs(model[2].bias.grad - true)) < 1e-15

    listing = Listing([3, 2, 3, 4], np.random.default_rng(5))  # in the note's own network the shapes do not even match
    listing.compute(np.ones(3))
    with pytest.raises(ValueError, match="could not be broadcast"):
        listing.network_activation[1] * (listing.network_activation[2] - 2)


def test_erratum_2_the_tensor_product_takes_vectors_of_different_lengths():
    listing = Listing([3, 2, 3, 4], np.random.default_rng(6))
    x = np.ones(3)
    model = listing.as_model()
    model.backward(model(x) - 2)
    listing.compute(x)
    listing.compute_gradients(x, np.full(4, 2))
    lengths = [(2, 3), (3, 2), (4, 3)]
    for n, (length, length_below) in enumerate(lengths):
        gradient, below = listing.gradient_bias[n], x if n == 0 else listing.network_activation[n - 1]
        assert (len(gradient), len(below)) == (length, length_below)
        product = np.array([[v * w for w in below] for v in gradient])  # (21) without the same length
        assert product.shape == listing.network_weight[n].shape
        assert_same([model[2 * n].weight.grad], [product])


def test_erratum_3_columns_times_the_row_of_24_broadcast_to_a_matrix():
    listing, x, target = small_network()
    z, bias_gradient, weight = listing.network_z, listing.gradient_bias, listing.network_weight
    column = bias_gradient[1].reshape(2, 1)
    row = column.T @ weight[1]  # (24)
    assert row.shape == (1, 2)
    wrong = d_sigma(z[0].reshape(2, 1)) * row
    assert wrong.shape == (2, 2)  # and NumPy says nothing
    right = d_sigma(z[0].reshape(2, 1)) * (weight[1].T @ column)
    assert right.shape == (2, 1)
    assert_same([right[:, 0]], [bias_gradient_by_complex_step(listing, 0, x, target)])
    # with 1-D arrays, which have neither rows nor columns, both forms are the same
    assert_same([bias_gradient[1] @ weight[1]], [weight[1].T @ bias_gradient[1]])


def test_erratum_4_zeros_keep_the_units_of_a_layer_alike_and_only_the_last_layer_learns_at_first():
    listing = Listing([3, 2, 3, 4])
    model, loss_fn = listing.as_model(), nn.MSELoss()
    optimizer = nn.SGD(model.parameters(), lr=0.5)
    rng = np.random.default_rng(7)
    for step in range(500):
        x, target = rng.normal(size=3), rng.uniform(size=4)
        loss_fn(model(x), target)
        optimizer.zero_grad()
        model.backward(loss_fn.backward())
        if step == 0:
            hidden = [parameter.grad for layer in model[:-2] for parameter in layer.parameters()]
            assert all(np.all(grad == 0) for grad in hidden)
            assert np.all(model[-2].weight.grad != 0)
        optimizer.step()
    assert np.abs(model[0].weight.data).max() > 1e-3  # they do learn, all the same thing
    for linear in model[:-2:2]:
        for row, bias in zip(linear.weight.data, linear.bias.data, strict=True):
            np.testing.assert_array_equal(row, linear.weight.data[0])
            assert bias == linear.bias.data[0]
    # tinynn draws at random, and draws zeros where they are asked for
    drawn = nn.Linear(3, 2).weight.data
    assert not np.array_equal(drawn[0], drawn[1])
    zeros = nn.Linear(3, 2, weight_init=nn.init.zeros_, bias_init=nn.init.zeros_)
    assert not zeros.weight.data.any()
    assert not zeros.bias.data.any()


PRINTED = {
    "forward": """
        for n in range(1,network_depth-1):
            network_z[n] =
                np.matmul(network_weight[n],network_activation[n-1])+network_bias[n]
            network_activation[n] = sigma(network_z[n])
        """,
    "backward": """
        gradient_activation[network_depth-2] =
            network_activation[network_depth-2]-output_data
        for n in range(network_depth-2,0,-1):
            gradient_bias[n] = (d_sigma(network_z[n]))*(gradient_activation[n])
            gradient_weight[n] =
                np.tensordot(gradient_bias[n],network_activation[n-1],axes = 0)
            gradient_activation[n-1] =
                np.matmul(np.transpose(gradient_bias[n]),network_weight[n])

        gradient_bias[0] = d_sigma(network_z[0])*gradient_activation[0]
        gradient_weight[0] = np.tensordot(gradient_bias[0],sample_data,axes = 0)
        """,
    "update": """
        gamma = 0.001
        for n in range(network_depth-1):
            network_weight[n] = network_weight[n] - gamma*gradient_weight[n]
            network_bias[n] = network_bias[n] - gamma*gradient_bias[n].
        """,
}
CREATED = {
    *("network_depth", "network_weight", "network_bias", "network_activation", "network_z"),
    *("input_data", "output_data", "sigma", "d_sigma", "np", "range"),
}
"""The names that the printed listing creates or imports before it uses them."""


def test_erratum_5_the_listing_as_printed_does_not_parse_and_uses_names_that_it_never_creates():
    broken, mended = 0, {}
    for part, printed in PRINTED.items():
        source = textwrap.dedent(printed)
        with pytest.raises(SyntaxError):
            ast.parse(source)
        lines = source.splitlines()
        broken += sum(line.endswith("=") for line in lines)
        joined = "\n".join(lines).replace("=\n", "= ").replace("gradient_bias[n].", "gradient_bias[n]")
        mended[part] = ast.parse(joined)
    assert broken == 4

    missing = set()
    for tree in mended.values():
        names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
        created = CREATED | {name.id for name in names if isinstance(name.ctx, ast.Store)}
        missing |= {name.id for name in names} - created
    assert missing == {"gradient_activation", "gradient_weight", "gradient_bias", "sample_data"}


def test_erratum_6_the_target_of_the_note_cannot_be_reached_and_the_loss_stays_above_2():
    listing = Listing([3, 2, 3, 4], np.random.default_rng(8))
    model, loss_fn = listing.as_model(), nn.MSELoss()
    optimizer = nn.SGD(model.parameters(), lr=100.0)
    x, target = np.ones(3), np.full(4, 2.0)
    losses = []
    for _ in range(2_000):
        losses.append(loss_fn(model(x), target))
        optimizer.zero_grad()
        model.backward(loss_fn.backward())
        optimizer.step()
    # ½ · 4 · (2 - 1)² is the limit that it comes near and never passes
    assert 2 < min(losses) == losses[-1] < 2.05 < losses[0]
    assert np.max(np.abs(model[-2].bias.data)) > 2


def test_erratum_7_far_out_sigma_is_exactly_0_or_1_and_its_derivative_0_without_a_warning():
    layer = nn.ArctanSigmoid()
    x = np.array([-1e20, -2e19, 2e19, 1e20, -3e38, 3e38, -np.inf, np.inf], np.float32)
    y = layer(x)
    np.testing.assert_array_equal(y, (x > 0).astype(np.float32))
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        1 + x[:1] * x[:1]  # the listing's 1 + x² overflows here
    grad = layer.backward(np.ones_like(x))  # any warning is an error in these tests
    np.testing.assert_array_equal(grad, np.zeros_like(x))
    finite = x[:6].astype(np.float64)
    assert np.max(np.abs(grad[:6] - d_sigma(finite))) < 1e-39

    far = np.array([-1e17, 1e17, -1e300, 1e300])
    np.testing.assert_array_equal(layer(far), [0, 1, 0, 1])
    np.testing.assert_allclose(layer.backward(np.ones(4)), [1e-34 * pii, 1e-34 * pii, 0, 0], rtol=1e-15)
