"""The law before all others: the layer works at all."""

from __future__ import annotations

import numpy as np

from tinynn.testing.laws.law import demand, law
from tinynn.testing.laws.layer_case import LayerCase


@law("call it by hand with such inputs: forward returns an array, or a tuple; backward takes as many gradients")
def forward_and_backward_run(case: LayerCase) -> None:
    """Forward and backward run, and give finite numbers."""
    for name, value in case.bench().run().items():
        demand(np.isfinite(value).all(), f"{name} is not finite")
