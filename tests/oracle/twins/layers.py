"""The layers with parameters, randomness or shapes that have a twin in PyTorch.

Dropout draws other numbers than PyTorch does, so it is compared where it draws none, and where it drops everything.
"""

from tests.oracle.twins.case import Twin, labels, normal, positive

STATISTICS = {"running_var": positive(3)}


def batch_norm(kind, inputs):
    """Three training steps, in which the running statistics move, or evaluations with what they are."""
    return Twin(
        kind,
        inputs,
        leading=(3,),
        arguments={
            "eps": (1e-5, 0.3),
            "momentum": (0.1, 0.7, None),
            "affine": (True, False),
            "track_running_stats": (True, False),
            "bias": (True, False),
        },
        modes=("train", "eval"),
        steps=3,
        state=STATISTICS,
    )


TWINS = [
    Twin(
        "Bilinear",
        {
            "2-D": (normal(5, 3), normal(5, 4)),
            "one sample": (normal(3), normal(4)),
            "3-D": (normal(2, 3, 3), normal(2, 3, 4)),
            "empty": (normal(0, 3), normal(0, 4)),
        },
        leading=(3, 4, 2),
        arguments={"bias": (True, False)},
    ),
    Twin("Dropout", {"2-D": (normal(4, 3),)}, arguments={"p": (0.0, 0.5, 0.9, 1.0)}, modes=("eval",)),
    Twin("Dropout", {"2-D": (normal(4, 3),), "one sample": (normal(3),)}, arguments={"p": (0.0, 1.0)}),
    Twin("AlphaDropout", {"2-D": (normal(4, 3),)}, arguments={"p": (0.0, 0.5, 0.9, 1.0)}, modes=("eval",)),
    Twin("AlphaDropout", {"2-D": (normal(4, 3),), "one sample": (normal(3),)}, arguments={"p": (0.0, 1.0)}),
    batch_norm(
        "BatchNorm1d",
        {"2-D": (normal(5, 3),), "3-D": (normal(2, 3, 4),), "far": (normal(6, 3, scale=0.1, offset=100.0),)},
    ),
    batch_norm("BatchNorm2d", {"4-D": (normal(2, 3, 2, 3),), "one image": (normal(1, 3, 4, 2, offset=5.0),)}),
    Twin(
        "LayerNorm",
        {
            "2-D": (normal(5, 4),),
            "one sample": (normal(4, offset=9.0),),
            "3-D": (normal(2, 3, 4),),
            "empty": (normal(0, 4),),
        },
        arguments={
            "normalized_shape": (4, (4,)),
            "eps": (1e-5, 0.3),
            "elementwise_affine": (True, False),
            "bias": (True, False),
        },
    ),
    Twin(
        "LayerNorm",
        {"one sample": (normal(3, 4),), "3-D": (normal(5, 3, 4),), "4-D": (normal(2, 2, 3, 4),)},
        arguments={
            "normalized_shape": ((3, 4), [3, 4]),
            "eps": (1e-5, 0.3),
            "elementwise_affine": (True, False),
            "bias": (True, False),
        },
    ),
    Twin(
        "RMSNorm",
        {
            "2-D": (normal(5, 4),),
            "one sample": (normal(4),),
            "small": (normal(3, 4, scale=1e-4),),
            "empty": (normal(0, 4),),
        },
        arguments={"normalized_shape": (4, [4]), "eps": (None, 1e-5, 0.3), "elementwise_affine": (True, False)},
        allowed=lambda choice: choice["inputs"] != "small" or choice["eps"] is not None,  # it depends on the dtype
    ),
    Twin(
        "RMSNorm",
        {"one sample": (normal(3, 4),), "3-D": (normal(5, 3, 4),)},
        arguments={"normalized_shape": ((3, 4), [3, 4]), "eps": (None, 1e-5, 0.3), "elementwise_affine": (True, False)},
    ),
    *(
        Twin(
            "GroupNorm",
            {
                "2-D": (normal(5, 6),),
                "3-D": (normal(2, 6, 4),),
                "4-D": (normal(2, 6, 2, 3, offset=3.0),),
                "empty": (normal(0, 6, 2),),
            },
            leading=(groups, 6),
            arguments={"eps": (1e-5, 0.3), "affine": (True, False), "bias": (True, False)},
        )
        for groups in (1, 2, 6)
    ),
    Twin(
        "Flatten",
        {"2-D": (normal(3, 4),), "empty": (normal(0, 3),)},
        arguments={"start_dim": (0, 1, -2), "end_dim": (1, -1)},
    ),
    Twin(
        "Flatten",
        {"3-D": (normal(2, 3, 4),), "4-D": (normal(2, 3, 1, 2),), "empty": (normal(0, 3, 4),)},
        arguments={"start_dim": (0, 1), "end_dim": (1, 2, -1)},
    ),
    Twin(
        "Flatten",
        {"one sample": (normal(3),), "a number": (normal(),)},
        arguments={"start_dim": (0, -1), "end_dim": (0, -1)},
    ),
    Twin(
        "Unflatten",
        {"2-D": (normal(12, 12),), "3-D": (normal(12, 12, 1),), "empty": (normal(12, 12, 0),)},
        arguments={"dim": (0, 1), "unflattened_size": ((3, 4), [2, -1], (12,), (1, 3, 2, 2))},
    ),
    Twin(
        "Unflatten",
        {"2-D": (normal(2, 12),), "nothing": (normal(2, 0),)},
        arguments={"dim": (1, -1), "unflattened_size": ((3, -1), [-1, 4])},
    ),
    Twin(
        "Embedding",
        {
            "1-D": (labels(9, classes=5),),
            "2-D": (labels(3, 4, classes=5),),
            "one index": (labels(classes=5),),
            "empty": (labels(0, 4, classes=5),),
        },
        leading=(5, 3),
        arguments={"padding_idx": (None, 0, 2, -1)},
        steps=2,
    ),
]
