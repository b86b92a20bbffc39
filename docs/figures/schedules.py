"""Draws docs/images/schedules.png: the rate that each schedule makes of 1, over 100 epochs.

Run it with ``python docs/figures/schedules.py``; needs matplotlib, takes a few seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl

import tinynn as nn

mpl.use("Agg")
from matplotlib import pyplot as plt

PATH = Path(__file__).parent.parent / "images" / "schedules.png"
EPOCHS = 100
SCHEDULES: dict[str, Callable[[nn.Optimizer], nn.LRScheduler]] = {
    "LambdaLR(lambda t: 1 / (1 + t / 10))": lambda o: nn.LambdaLR(o, lambda t: 1 / (1 + t / 10)),
    "StepLR(20, gamma=0.5)": lambda o: nn.StepLR(o, 20, gamma=0.5),
    "MultiStepLR([30, 80], gamma=0.3)": lambda o: nn.MultiStepLR(o, [30, 80], gamma=0.3),
    "ExponentialLR(0.97)": lambda o: nn.ExponentialLR(o, 0.97),
    "LinearLR(0.1, total_iters=20)": lambda o: nn.LinearLR(o, 0.1, total_iters=20),
    "PolynomialLR(100, power=2)": lambda o: nn.PolynomialLR(o, 100, power=2),
    "CosineAnnealingLR(100)": lambda o: nn.CosineAnnealingLR(o, 100),
    "CosineAnnealingWarmRestarts(15, 2)": lambda o: nn.CosineAnnealingWarmRestarts(o, 15, 2),
    "OneCycleLR(1, 100)": lambda o: nn.OneCycleLR(o, 1, EPOCHS),
    'CyclicLR(0.1, 1, 15, mode="triangular2")': lambda o: nn.CyclicLR(o, 0.1, 1, 15, mode="triangular2"),
    "ReduceLROnPlateau(factor=0.5)": lambda o: nn.ReduceLROnPlateau(o, factor=0.5),
    "SequentialLR([LinearLR, ExponentialLR], [20])": lambda o: nn.SequentialLR(
        o, [nn.LinearLR(o, 0.1, total_iters=20), nn.ExponentialLR(o, 0.97)], [20]
    ),
    "ChainedScheduler([LinearLR, ExponentialLR])": lambda o: nn.ChainedScheduler(
        [nn.LinearLR(o, 0.1, total_iters=20), nn.ExponentialLR(o, 0.97)]
    ),
}


def rates(build: Callable[[nn.Optimizer], nn.LRScheduler]) -> list[float]:
    """Return the rate of each epoch; a plateau is shown a loss that falls to 1 in 20 epochs."""
    optimizer = nn.SGD([nn.Parameter(0.0)], lr=1.0, momentum=0.9)
    scheduler = build(optimizer)
    found = []
    for epoch in range(EPOCHS):
        found.append(optimizer.param_groups[0]["lr"])
        if isinstance(scheduler, nn.ReduceLROnPlateau):
            scheduler.step(1 + math.exp(-epoch / 2))
        else:
            scheduler.step()
    return found


def main() -> None:
    """Draw all of them."""
    figure, axes = plt.subplots(5, 3, figsize=(9, 9), dpi=90, layout="constrained", sharex=True, sharey=True)
    for place, (name, build) in zip(axes.flat, SCHEDULES.items(), strict=False):
        place.plot(rates(build), color="C0", linewidth=1.5, drawstyle="steps-post")
        place.set_title(name, fontsize=7)
        place.set(xlim=(0, EPOCHS), ylim=(-0.03, 1.05))
        place.tick_params(labelsize=7)
        place.spines[["top", "right"]].set_visible(False)
    for place in axes.flat[len(SCHEDULES) :]:
        place.remove()
    figure.savefig(PATH, metadata={"Software": None})
    print(f"{PATH.name}: {PATH.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
