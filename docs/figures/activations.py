"""Draws docs/images/activations/: each nonlinearity with its derivative, in a small picture of its own.

Run it with ``python docs/figures/activations.py``; needs matplotlib, takes a few seconds. A new nonlinearity is found
by itself, as long as it can be built without arguments.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np

import tinynn as nn
from tinynn.layers import activations, softmax

mpl.use("Agg")
from matplotlib import pyplot as plt

FOLDER = Path(__file__).parent.parent / "images" / "activations"
X = np.linspace(-7, 7, 1401)
STEP = 0.1
"""What counts as a jump of a slope, as a share of its range; it is drawn as a gap."""


def curves(layer: nn.Layer) -> tuple[np.ndarray, np.ndarray]:
    """Return the values and the slopes at X; of shares, the first one's for the scores (x, 0)."""
    if isinstance(layer, softmax.AlongAxis):
        y = layer(np.stack([X, 0 * X], axis=1))
        first = np.stack([np.ones_like(X), 0 * X], axis=1)
        return y[:, 0], layer.backward(first)[:, 0]
    return layer(X), layer.backward(np.ones_like(X))


def draw(name: str, layer: nn.Layer) -> None:
    """Draw one nonlinearity and save the picture."""
    y, slope = curves(layer)
    slope = np.where(np.abs(np.diff(slope, prepend=slope[0])) > STEP * np.ptp(slope), np.nan, slope)
    figure, axes = plt.subplots(figsize=(3.6, 2.2), dpi=90, layout="constrained")
    axes.axhline(0, color="0.8", linewidth=0.8)
    axes.axvline(0, color="0.8", linewidth=0.8)
    axes.plot(X, slope, color="C1", linewidth=1.2, label="derivative")
    axes.plot(X, y, color="C0", linewidth=1.8, label=name)
    top = y.max() if y[-1] == y[-2] else min(y.max(), 3)
    axes.set(xlim=(X[0], X[-1]), ylim=(max(y.min(), -3) - 0.3, max(top, np.nanmax(slope)) + 0.3))
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=7, frameon=False, loc="best")
    figure.savefig(FOLDER / f"{name}.png", metadata={"Software": None})
    plt.close(figure)


def main() -> None:
    """Draw all of them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in activations.__all__:
        draw(name, getattr(nn, name)())
    for name in softmax.__all__:
        draw(name, getattr(nn, name)(dim=1))
    sizes = [path.stat().st_size for path in FOLDER.glob("*.png")]
    print(f"{FOLDER.name}: {len(sizes)} pictures, {sum(sizes) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
