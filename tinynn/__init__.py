"""A PyTorch-style modular neural-network framework on NumPy: every line can be read, every gradient proved."""

from tinynn import data, errors, init
from tinynn.core.anomaly import detect_anomaly
from tinynn.core.arrays import get_default_dtype, set_default_dtype
from tinynn.core.layer import Layer
from tinynn.core.loss import Loss
from tinynn.core.optimizer import Optimizer
from tinynn.core.parameter import Buffer, Parameter
from tinynn.core.passes import no_grad, one_pass
from tinynn.data import ArrayDataset, DataLoader
from tinynn.layers.activations import (
    CELU,
    ELU,
    GELU,
    SELU,
    ArctanSigmoid,
    Hardsigmoid,
    Hardswish,
    Hardtanh,
    LeakyReLU,
    LogSigmoid,
    Mish,
    PReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softplus,
    Softsign,
    Tanh,
    Tanhshrink,
)
from tinynn.layers.batch_normalization import BatchNorm1d, BatchNorm2d
from tinynn.layers.bilinear import Bilinear
from tinynn.layers.branches import Add, Concatenate, Multiply, Residual
from tinynn.layers.containers import Sequential
from tinynn.layers.dropout import AlphaDropout, Dropout
from tinynn.layers.elementwise import Elementwise
from tinynn.layers.embedding import Embedding
from tinynn.layers.linear import Identity, Linear
from tinynn.layers.normalization import GroupNorm, LayerNorm, RMSNorm
from tinynn.layers.shape import Flatten, Unflatten
from tinynn.layers.softmax import LogSoftmax, Softmax, Softmin
from tinynn.losses.binary import BCELoss, BCEWithLogitsLoss
from tinynn.losses.classification import CrossEntropyLoss, NLLLoss
from tinynn.losses.distributions import GaussianNLLLoss, KLDivLoss, PoissonNLLLoss
from tinynn.losses.elementwise import ElementwiseLoss
from tinynn.losses.embedding import CosineEmbeddingLoss, HingeEmbeddingLoss, TripletMarginLoss
from tinynn.losses.regression import HuberLoss, L1Loss, MSELoss, SmoothL1Loss
from tinynn.optim.adagrad import Adadelta, Adagrad
from tinynn.optim.adam import Adam, AdamW
from tinynn.optim.adam_variants import NAdam, RAdam
from tinynn.optim.clipping import clip_grad_norm_, clip_grad_value_
from tinynn.optim.combined import ChainedScheduler, SequentialLR
from tinynn.optim.cycles import CyclicLR, OneCycleLR
from tinynn.optim.decays import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from tinynn.optim.plateau import ReduceLROnPlateau
from tinynn.optim.rmsprop import RMSprop
from tinynn.optim.schedule import LRScheduler
from tinynn.optim.second_order import minimize
from tinynn.optim.sgd import SGD
from tinynn.state import load, save
from tinynn.training.callbacks import Callback, EarlyStopping, LambdaCallback, TensorBoard
from tinynn.training.checkpoint import Checkpoint, latest_checkpoint, load_checkpoint, save_checkpoint
from tinynn.training.history import History
from tinynn.training.trainer import Trainer

__version__ = "0.1.0"

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "SELU",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Add",
    "AlphaDropout",
    "ArctanSigmoid",
    "ArrayDataset",
    "BCELoss",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "Bilinear",
    "Buffer",
    "Callback",
    "ChainedScheduler",
    "Checkpoint",
    "Concatenate",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CosineEmbeddingLoss",
    "CrossEntropyLoss",
    "CyclicLR",
    "DataLoader",
    "Dropout",
    "EarlyStopping",
    "Elementwise",
    "ElementwiseLoss",
    "Embedding",
    "ExponentialLR",
    "Flatten",
    "GaussianNLLLoss",
    "GroupNorm",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "HingeEmbeddingLoss",
    "History",
    "HuberLoss",
    "Identity",
    "KLDivLoss",
    "L1Loss",
    "LRScheduler",
    "LambdaCallback",
    "LambdaLR",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LinearLR",
    "LogSigmoid",
    "LogSoftmax",
    "Loss",
    "MSELoss",
    "Mish",
    "MultiStepLR",
    "Multiply",
    "NAdam",
    "NLLLoss",
    "OneCycleLR",
    "Optimizer",
    "PReLU",
    "Parameter",
    "PoissonNLLLoss",
    "PolynomialLR",
    "RAdam",
    "RMSNorm",
    "RMSprop",
    "ReLU",
    "ReLU6",
    "ReduceLROnPlateau",
    "Residual",
    "Sequential",
    "SequentialLR",
    "SiLU",
    "Sigmoid",
    "SmoothL1Loss",
    "Softmax",
    "Softmin",
    "Softplus",
    "Softsign",
    "StepLR",
    "Tanh",
    "Tanhshrink",
    "TensorBoard",
    "Trainer",
    "TripletMarginLoss",
    "Unflatten",
    "clip_grad_norm_",
    "clip_grad_value_",
    "data",
    "detect_anomaly",
    "errors",
    "get_default_dtype",
    "init",
    "latest_checkpoint",
    "load",
    "load_checkpoint",
    "minimize",
    "no_grad",
    "one_pass",
    "save",
    "save_checkpoint",
    "set_default_dtype",
]
