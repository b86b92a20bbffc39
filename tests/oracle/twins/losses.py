"""The losses that have a twin in PyTorch."""

import math

import numpy as np

from tests.oracle.twins.case import (
    Draw,
    Twin,
    array,
    labels,
    normal,
    positive,
    probabilities,
    signs,
    these,
    uniform,
)

REDUCTIONS = ("mean", "sum", "none")


def log_of(draw: Draw) -> Draw:
    """The logarithms of what is drawn."""
    return lambda rng: np.log(draw(rng))


def counts(*shape: int) -> Draw:
    """Numbers of events: 0, 1, 2, ..."""
    return lambda rng: rng.poisson(2.0, size=shape).astype(np.float32)


def rows(*numbers: list[float]) -> Draw:
    """The rows given, one after the other."""
    return lambda rng: np.array(numbers, np.float32)


def labels_with_gaps(*shape: int, classes: int) -> Draw:
    """Labels, one of which is -100, which is ignored by default."""

    def draw(rng: np.random.Generator) -> np.ndarray:
        drawn = rng.integers(classes, size=shape)
        drawn.reshape(-1)[1] = -100
        return drawn

    return draw


NUMBERS = {
    "2-D": (normal(5, 4, scale=2), normal(5, 4)),
    "1-D": (normal(4, scale=2), normal(4)),
    "4-D": (normal(2, 1, 2, 3, scale=2), normal(2, 1, 2, 3)),
    "0-D": (normal(scale=2), normal()),
    "kinks": (these(0, 1, -1, 0.25, -0.25, 2), these(0, 0, 0, 0, 0, 2)),
}
LABELS = {
    "2-D": (normal(6, 4), labels(6, classes=4)),
    "4-D": (normal(2, 4, 1, 3), labels(2, 1, 3, classes=4)),
    "far apart": (normal(6, 4, scale=1e4), labels(6, classes=4)),
    "all but equal": (normal(6, 4, offset=1e4), labels(6, classes=4)),
    "one sample": (normal(4), labels(classes=4)),
    "gaps": (normal(6, 4), labels_with_gaps(6, classes=4)),
}
PROBABILITIES = {
    "probabilities": (normal(6, 4), probabilities(6, 4)),
    "probabilities of a sample": (normal(4), probabilities(4, axis=0)),
    "probabilities, 3-D": (normal(2, 4, 3), probabilities(2, 4, 3)),
    "no probabilities": (normal(6, 4, scale=1e4), positive(6, 4)),
}
UNIGNORED = {"gaps", "one sample", *PROBABILITIES}  # what an ignore_index among the classes does not go with
CLASS_WEIGHTS = array(0.5, 2.0, 0.5, 1.25)
ELEMENT_WEIGHTS = (None, array(0.5, 2.0, 0.0, 1.25), array(3.0))


TWINS = [
    Twin("MSELoss", NUMBERS, arguments={"reduction": REDUCTIONS}, at=(0,)),
    Twin("L1Loss", NUMBERS, arguments={"reduction": REDUCTIONS}, at=(0,)),
    Twin("SmoothL1Loss", NUMBERS, arguments={"reduction": REDUCTIONS, "beta": (1.0, 0.25, 0.0, 2.0)}, at=(0,)),
    Twin("HuberLoss", NUMBERS, arguments={"reduction": REDUCTIONS, "delta": (1.0, 0.25, 2.0)}, at=(0,)),
    Twin(
        "CrossEntropyLoss",
        {**LABELS, **PROBABILITIES},
        arguments={
            "weight": (None, CLASS_WEIGHTS),
            "ignore_index": (-100, 1),
            "reduction": REDUCTIONS,
            "label_smoothing": (0.0, 0.3, 1.0),
        },
        state={"weight": positive(4)},
        at=(0,),
        allowed=lambda choice: choice["ignore_index"] < 0 or choice["inputs"] not in UNIGNORED,
    ),
    Twin(
        "NLLLoss",
        {
            "2-D": (log_of(uniform(6, 4)), labels(6, classes=4)),
            "4-D": (log_of(uniform(2, 4, 1, 3)), labels(2, 1, 3, classes=4)),
            "one sample": (log_of(uniform(4)), labels(classes=4)),
            "gaps": (log_of(uniform(6, 4)), labels_with_gaps(6, classes=4)),
        },
        arguments={"weight": (None, CLASS_WEIGHTS), "ignore_index": (-100, 1), "reduction": REDUCTIONS},
        state={"weight": positive(4)},
        at=(0,),
        allowed=lambda choice: choice["ignore_index"] < 0 or choice["inputs"] not in UNIGNORED,
    ),
    Twin(
        "BCELoss",
        {
            "2-D": (uniform(5, 4), uniform(5, 4)),
            "1-D": (uniform(4), uniform(4)),
            "3-D": (uniform(2, 3, 4), uniform(2, 3, 4)),
            "bounds": (these(0, 1, 0, 1), these(0, 1, 1, 0.25)),
            "close to the bounds": (these(1e-13, 1e-30, 1e-44, 1 - 2**-24), these(0.5, 1, 1, 0)),
        },
        arguments={"weight": ELEMENT_WEIGHTS, "reduction": REDUCTIONS},
        at=(0,),
    ),
    Twin(
        "BCEWithLogitsLoss",
        {
            "2-D": (normal(5, 4), uniform(5, 4)),
            "1-D": (normal(4), uniform(4)),
            "3-D": (normal(2, 3, 4), uniform(2, 3, 4)),
            "far": (these(1e4, -1e4, 1e4, -1e4), these(0, 1, 1, 0.25)),
        },
        arguments={"weight": ELEMENT_WEIGHTS, "reduction": REDUCTIONS, "pos_weight": ELEMENT_WEIGHTS},
        at=(0,),
    ),
    Twin(
        "KLDivLoss",
        {
            "2-D": (log_of(probabilities(5, 4)), probabilities(5, 4)),
            "1-D": (log_of(probabilities(4, axis=0)), probabilities(4, axis=0)),
            "3-D": (log_of(probabilities(2, 3, 4)), log_of(probabilities(2, 3, 4))),
            "certain": (log_of(probabilities(4, axis=0)), these(0, 0, 1, 0)),
        },
        arguments={"reduction": ("mean", "batchmean", "sum", "none"), "log_target": (False, True)},
        at=(0,),
        allowed=lambda choice: choice["log_target"] or choice["inputs"] != "3-D",
    ),
    Twin(
        "PoissonNLLLoss",
        {
            "2-D": (positive(5, 4), counts(5, 4)),
            "1-D": (positive(4), counts(4)),
            "0-D": (positive(), counts()),
            "no counts": (positive(6), these(0, 0.25, 1, 1.25, 1.75, 2.5)),
        },
        arguments={
            "log_input": (True, False),
            "full": (False, True),
            "eps": (1e-8, 0.25),
            "reduction": REDUCTIONS,
        },
        at=(0,),
    ),
    Twin(
        "GaussianNLLLoss",
        {
            "2-D": (normal(5, 4), normal(5, 4), positive(5, 4)),
            "1-D": (normal(4), normal(4), positive(4)),
            "one variance for each": (normal(5, 4), normal(5, 4), positive(5)),
            "one variance along the last axis": (normal(2, 3, 4), normal(2, 3, 4), positive(2, 3, 1)),
            "one variance along another axis": (normal(2, 3, 4), normal(2, 3, 4), positive(2, 1, 4)),
            "one variance": (normal(4), normal(4), positive()),
            "low variances": (normal(4), normal(4), these(0, 1e-7, 0.125, 1)),
        },
        arguments={"full": (False, True), "eps": (1e-6, 0.25), "reduction": REDUCTIONS},
        at=(0, 2),
    ),
    Twin(
        "CosineEmbeddingLoss",
        {
            "2-D": (normal(6, 4), normal(6, 4), signs(6)),
            "1-D": (normal(4), normal(4), signs()),
            "one axis": (normal(6, 1), normal(6, 1), signs(6)),
            "nothing in it": (normal(3, 4, scale=0), normal(3, 4), these(1, -1, -1)),
            "at right angles": (rows([1, 0], [0, 2], [0, 2]), rows([0, 1], [1, 0], [0, 1]), these(-1, -1, -1)),
        },
        arguments={"margin": (0.0, 0.3, -0.5), "reduction": REDUCTIONS},
        at=(0, 1),
    ),
    Twin(
        "TripletMarginLoss",
        {
            "2-D": (normal(6, 4), normal(6, 4), normal(6, 4)),
            "1-D": (normal(4), normal(4), normal(4)),
            "3-D": (normal(2, 3, 4), normal(2, 3, 4), normal(2, 3, 4)),
            "alike": (rows([1, 2], [3, 4]), rows([1, 2], [3, 4]), rows([1, 2], [0, 0.5])),
            "as far": (rows([0, 0], [0, 0]), rows([3, 4], [0, 2]), rows([3, 4], [0, 1])),
        },
        arguments={
            "margin": (1.0, 0.25, 20.0),
            "p": (2.0, 1.0, 3.0, 1.5, 0.5, math.inf),
            "eps": (1e-6, 0.0, 0.25),
            "swap": (False, True),
            "reduction": REDUCTIONS,
        },
    ),
    Twin(
        "TripletMarginLoss",
        {"at the margin": (rows([0, 0]), rows([0, 1]), rows([0, 2]))},
        arguments={"margin": (1.0, 0.5), "eps": (0.0, 1e-6)},
    ),
    Twin(
        "TripletMarginLoss",
        {"both as far": (rows([0, 0]), rows([4, 0]), rows([2, 0]))},
        arguments={"eps": (0.0, 1e-6), "swap": (False, True)},
    ),
    Twin(
        "HingeEmbeddingLoss",
        {
            "2-D": (normal(5, 4), signs(5, 4)),
            "1-D": (normal(4), signs(4)),
            "0-D": (normal(), signs()),
            "kinks": (these(0, 1, 0.25, 1, 0.25), these(-1, -1, -1, 1, 1)),
        },
        arguments={"margin": (1.0, 0.25, -0.5), "reduction": REDUCTIONS},
        at=(0,),
    ),
]
