"""A PyTorch-style modular neural-network framework on NumPy: every line can be read, every gradient proved."""

from tinynn import data, errors, init
from tinynn.core.anomaly import detect_anomaly
from tinynn.core.arrays import get_default_dtype, set_default_dtype
from tinynn.core.layer import Layer
from tinynn.core.loss import Loss
from tinynn.core.optimizer import Optimizer
from tinynn.core.parameter import Buffer, Parameter
from tinynn.core.passes import no_grad, one_pass
from tinynn.layers.activations import ArctanSigmoid, ReLU, Sigmoid, Tanh
from tinynn.layers.containers import Residual, Sequential
from tinynn.layers.elementwise import Elementwise
from tinynn.layers.linear import Identity, Linear
from tinynn.losses.classification import CrossEntropyLoss
from tinynn.losses.regression import MSELoss
from tinynn.optim.sgd import SGD

__version__ = "0.1.0"

__all__ = [
    "SGD",
    "ArctanSigmoid",
    "Buffer",
    "CrossEntropyLoss",
    "Elementwise",
    "Identity",
    "Layer",
    "Linear",
    "Loss",
    "MSELoss",
    "Optimizer",
    "Parameter",
    "ReLU",
    "Residual",
    "Sequential",
    "Sigmoid",
    "Tanh",
    "data",
    "detect_anomaly",
    "errors",
    "get_default_dtype",
    "init",
    "no_grad",
    "one_pass",
    "set_default_dtype",
]
