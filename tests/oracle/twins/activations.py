"""The nonlinearities that have a twin in PyTorch."""

from tests.oracle.twins.case import Twin, normal, these

FAR = (1e-30, 1e-20, 1e-7, 1e-3, 0.1, 0.9, 5.0, 8.0, 12.0, 19.0, 21.0, 38.0, 88.0, 104.0, 720.0, 1e4, 1e10, 1e30, 3e38)
INPUTS = {
    "2-D": (normal(4, 6, scale=3),),
    "number": (normal(),),
    "kinks": (these(-6, -3, -2, -1, -0.5, 0, 0.5, 1, 2, 3, 6),),
    "far": (these(*FAR, *(-x for x in FAR)),),
}
PLAIN = (
    *("Hardswish", "LogSigmoid", "Mish", "ReLU", "ReLU6", "SELU"),
    *("SiLU", "Sigmoid", "Softsign", "Tanh", "Tanhshrink"),
)
CHANNELS = {
    "2-D": (normal(4, 3),),
    "4-D": (normal(2, 3, 2, 2),),
    "kinks": (these(*(-1, 0, 1, 2, 0, -2)),),
    "number": (normal(),),
}
SHARES = {
    "2-D": (normal(4, 6),),
    "3-D": (normal(2, 3, 4),),
    "1-D": (normal(6),),
    "number": (normal(),),
    "spread": (normal(3, 5, scale=300, offset=1e4),),
}


def has_the_axis(choice):
    axes = {"2-D": 2, "3-D": 3, "1-D": 1, "number": 1, "spread": 2}[choice["inputs"]]
    return -axes <= choice["dim"] < axes


TWINS = [
    *(Twin(kind, INPUTS, modes=("train", "eval")) for kind in PLAIN),
    Twin("Hardsigmoid", INPUTS, tolerance=1e-8),  # PyTorch's gradient is 1/6 rounded to float32
    Twin("LeakyReLU", INPUTS, arguments={"negative_slope": (0.01, 0.3, 0.0, -0.5)}),
    Twin("ELU", INPUTS, arguments={"alpha": (1.0, 0.3, -2.0)}),
    Twin("CELU", INPUTS, arguments={"alpha": (1.0, 0.5, 2.0)}),  # PyTorch rounds 1 / alpha to float32
    Twin("GELU", INPUTS, arguments={"approximate": ("none", "tanh")}),
    Twin("Softplus", INPUTS, arguments={"beta": (1.0, 0.3, 2.0), "threshold": (20.0, 3.0, -1.0)}),
    Twin("Hardtanh", INPUTS, arguments={"min_val": (-1.0, -3.0, 0.5), "max_val": (1.0, 2.0)}),
    Twin(
        "PReLU",
        CHANNELS,
        arguments={"num_parameters": (1, 3), "init": (0.25, -0.5)},
        steps=2,
        allowed=lambda choice: choice["num_parameters"] == 1 or choice["inputs"] in {"2-D", "4-D"},
    ),
    *(
        Twin(kind, SHARES, arguments={"dim": (0, 1, 2, -1, -2, -3)}, modes=("train", "eval"), allowed=has_the_axis)
        for kind in ("LogSoftmax", "Softmax", "Softmin")
    ),
]
