"""Draws docs/images/initialisation.png: how gradients travel through 20 layers of arctan sigmoids.

Run it with ``python docs/figures/initialisation.py``; needs matplotlib, takes a few seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import matplotlib as mpl
import numpy as np

import tinynn as nn
from tinynn import init

mpl.use("Agg")
from matplotlib import pyplot as plt

DEPTH, WIDTH, BATCH, SEEDS = 20, 64, 32, 5
TARGET = Path(__file__).parent.parent / "images" / "initialisation.png"

Initialisation = tuple[Callable[..., object] | None, Callable[..., object] | None]
"""The weight's and the bias's initialiser; None for the default of a layer."""


def gradient_norms(initialisation: Initialisation, seed: int) -> np.ndarray:
    """Return the norm of the gradient at each layer's weight, from the first layer to the last."""
    weight_init, bias_init = initialisation
    rng = np.random.default_rng(seed)
    model = nn.Sequential()
    for _ in range(DEPTH):
        model.append(nn.Linear(WIDTH, WIDTH, rng=rng, weight_init=weight_init, bias_init=bias_init))
        model.append(nn.ArctanSigmoid())
    loss_fn = nn.MSELoss()
    loss_fn(model(rng.uniform(size=(BATCH, WIDTH))), rng.uniform(size=(BATCH, WIDTH)))
    model.backward(loss_fn.backward())
    return np.array([np.linalg.norm(layer.weight.grad) for layer in model if isinstance(layer, nn.Linear)])


def predicted_ratio(gain: float) -> float:
    """Return the ratio of the gradient norms at layer 1 and at the last layer for infinitely many neurons."""
    nodes, weights = np.polynomial.hermite.hermgauss(200)
    xi, weights = np.sqrt(2) * nodes, weights / np.sqrt(np.pi)
    q, log_ratio = gain**2 / 12, 0.0  # uniform inputs have the variance 1/12
    for _ in range(DEPTH - 1):
        log_ratio += 0.5 * np.log(gain**2 * ((1 / np.pi / (1 + q * xi**2)) ** 2 @ weights))
        q = gain**2 * ((np.arctan(np.sqrt(q) * xi) / np.pi) ** 2 @ weights)
    return float(np.exp(log_ratio))


def main() -> None:
    """Draw both panels and save them."""
    std = 1 / np.sqrt(WIDTH)
    styles: dict[str, tuple[str, Initialisation]] = {
        "arctan_sigmoid_, gain 4": ("C0", (init.arctan_sigmoid_, None)),
        "arctan_sigmoid_, gain π": ("C2", (partial(init.arctan_sigmoid_, gain=np.pi), None)),
        "gain 9.2, bias zero": ("C4", (partial(init.normal_, std=9.2 * std), init.zeros_)),
        "gain π, bias zero": ("C1", (partial(init.normal_, std=np.pi * std), init.zeros_)),
        "Xavier, bias zero": ("C5", (init.xavier_normal_, init.zeros_)),
        "PyTorch's default": ("C3", (None, None)),
    }
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), dpi=110, layout="constrained")

    for label, (color, initialisation) in styles.items():
        norms = np.array([gradient_norms(initialisation, seed) for seed in range(SEEDS)])
        mean = np.exp(np.log(norms / norms[:, -1:]).mean(axis=0))
        left.semilogy(np.arange(1, DEPTH + 1), mean, ".-", color=color, label=label)
    left.set(xlabel="layer", ylabel="gradient norm, relative to layer 20", xlim=(0.5, 20.5))
    left.set_xticks([1, 5, 10, 15, 20])
    left.legend(fontsize=8, loc="lower right")
    left.set_title("What reaches each layer", fontsize=10)

    gains = np.linspace(2.5, 8, 60)
    right.axhspan(0.2, 5, color="0.9", label="a factor of 5")
    right.semilogy(gains, [predicted_ratio(gain) for gain in gains], color="C7", label="mean field")
    for gain in (2.5, np.pi, 3.5, 4, 4.5, 5, 6, 7, 8):
        ratios = [
            norms[0] / norms[-1]
            for norms in (gradient_norms((partial(init.arctan_sigmoid_, gain=gain), None), s) for s in range(SEEDS))
        ]
        right.semilogy([gain] * SEEDS, ratios, "o", color="C0", markersize=3, label="" if gain != 4 else "five seeds")
    right.axvline(np.pi, color="0.5", linewidth=0.8, linestyle=":")
    right.text(np.pi, 110, " π", color="0.3", va="top")
    right.set(xlabel="gain of arctan_sigmoid_", ylabel="gradient norm, layer 1 over layer 20", ylim=(5e-3, 150))
    right.legend(fontsize=8, loc="lower right")
    right.set_title("Which gain", fontsize=10)

    TARGET.parent.mkdir(exist_ok=True)
    figure.savefig(TARGET, metadata={"Software": None})
    print(f"{TARGET.name}: {TARGET.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
