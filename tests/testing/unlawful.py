"""Layers, losses and optimizers that each break a law, or the few laws that belong together."""

from __future__ import annotations

import copy
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

import tinynn as nn
from tests.testing.sound import L1Loss, Scale, Square


@dataclass(frozen=True)
class Unlawful:
    """What breaks laws: how to build it, what to call it with, and which laws it breaks, all of them."""

    make: Any
    laws: set[str]
    inputs: Any = ((5, 3),)
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self):
        return getattr(self.make, "__name__", str(self.make))


# Layers


class RaisesAlways(Square):
    def forward(self, x):
        raise ValueError("not today")


class HalfOfIt(nn.Layer):
    """y = x² of the first two features."""

    def forward(self, x):
        self.saved.push(x)
        return x[..., :2] ** 2

    def backward(self, grad):
        x = self.saved.pop()
        at_x = np.zeros_like(x)
        at_x[..., :2] = 2 * x[..., :2] * grad
        return at_x


class WrongInTraining(HalfOfIt):
    def backward(self, grad):
        return (0.5 if self.training else 1.0) * super().backward(grad)


class WrongInEvaluation(HalfOfIt):
    def backward(self, grad):
        return (1.0 if self.training else 0.5) * super().backward(grad)


class Assigns(Scale):
    def backward(self, grad):
        x = self.saved.pop()
        self.weight.grad = (grad * x).sum(axis=0)
        self.bias.grad = grad.sum(axis=0)
        return grad * self.weight.data


class Clips(HalfOfIt):
    def backward(self, grad):
        return super().backward(np.clip(grad, -4, 4))


class KeepsItOnSelf(Square):
    def forward(self, x):
        self.x = x
        return x * x

    def backward(self, grad):
        return 2 * self.x * grad


class FirstInFirstOut(Square):
    """What is kept comes back in the order in which it was kept."""

    def __init__(self):
        self.kept = []

    def forward(self, x):
        self.kept = [*self.kept, x][-2:]
        return x * x

    def backward(self, grad):
        x, *self.kept = self.kept
        return 2 * x * grad


class WrongFarOut(nn.Layer):
    """y = x + 9, with a gradient that is wrong for large x."""

    def forward(self, x):
        self.saved.push(np.abs(x).max(initial=0) > 5)
        return x + 9

    def backward(self, grad):
        return 2 * grad if self.saved.pop() else grad


class CopiesWithoutMemo(Scale):
    def __deepcopy__(self, memo):
        twin = type(self)(len(self.weight.data))
        for name, parameter in twin.named_parameters():
            parameter.data = getattr(self, name).data
            parameter.grad = getattr(self, name).read_grad()
        return twin.train(self.training)


class ForgetsTheBias(Scale):
    def backward_parameters(self, grad):
        self.weight.add_grad((grad * self.saved.pop()).sum(axis=0))


class StopsAtFrozen(Scale):
    def backward(self, grad):
        if self.weight.requires_grad:
            return super().backward(grad)
        return grad * self.weight.data


class NotWrapped(Square):
    """Its methods are attributes, and go past what tinynn does around those of a class."""

    def __init__(self):
        self.forward, self.backward = self.square, self.slope

    def square(self, x):
        self.y = np.asarray(x) ** 2
        return self.y

    def slope(self, grad):
        return 2 * np.sqrt(self.y) * grad


class KeepsAll(Square):
    def __init__(self):
        self.all = []

    def forward(self, x):
        self.all.append(x.sum(axis=-1))
        return super().forward(x)


class KeepsTheLast(Square):
    def forward(self, x):
        self.x = x
        return super().forward(x)


class WritesIntoX(nn.Layer):
    def forward(self, x):
        x *= 3
        return x

    def backward(self, grad):
        return 3 * grad


class WritesIntoGrad(Square):
    def backward(self, grad):
        grad *= 2 * self.saved.pop()
        return grad


class WritesAndPutsBack(Square):
    def backward(self, grad):
        grad *= 2
        at_x = self.saved.pop() * grad
        grad /= 2
        return at_x


class ReturnsItsBuffer(Square):
    def __init__(self):
        self.buffer = np.zeros(0)

    def backward(self, grad):
        if self.buffer.shape != grad.shape or self.buffer.dtype != grad.dtype:
            self.buffer = np.zeros_like(grad)
        np.multiply(2 * self.saved.pop(), grad, out=self.buffer)
        return self.buffer


class GoesThroughMemory(Square):
    def forward(self, x):
        self.saved.push(x)
        return (x.ravel(order="K") ** 2).reshape(x.shape)


class AddsTheOthers(nn.Layer):
    """y = x + the sum of the batch, in training mode, in evaluation mode, or both."""

    def __init__(self, modes):
        self.modes = modes

    def forward(self, x):
        self.saved.push(self.training in self.modes)
        return x + x.sum(axis=0) if self.training in self.modes else x + 0

    def backward(self, grad):
        return grad + grad.sum(axis=0) if self.saved.pop() else grad


class LooksAtTheFirst(Square):
    def forward(self, x):
        if x[0].size < 1:
            raise ValueError("no features")
        return super().forward(x)


class TimesRootOfTwo(nn.Layer):
    def forward(self, x):
        return x * np.sqrt(2)

    def backward(self, grad):
        return grad * np.sqrt(2)


class LongDouble(HalfOfIt):
    def forward(self, x):
        y = super().forward(x)
        return y.astype(np.longdouble) if y.dtype == np.float64 else y


class Cancels(nn.Layer):
    def forward(self, x):
        return (x + 1e6) - 1e6

    def backward(self, grad):
        return grad


class CopiesWithoutMode(Scale):
    def __deepcopy__(self, memo):
        twin = type(self)(len(self.weight.data))
        twin.weight, twin.bias = copy.deepcopy((self.weight, self.bias), memo)
        return twin


class HoldsALambda(Square):
    def __init__(self):
        self.square = lambda x: x * x


class HoldsALock(Square):
    def __init__(self):
        self.lock = threading.Lock()


class HidesAnArray(Scale):
    def __init__(self, *, rng):
        super().__init__(rng=rng)
        self.shift = rng.normal(size=3)

    def forward(self, x):
        return super().forward(x) + self.shift.astype(x.dtype)


class LongRepr(Square):
    def extra_repr(self):
        return "1,\n2"


class BareRepr(Square):
    def __repr__(self):
        return "a square"


class FreshRandomness(Scale):
    def __init__(self, rng=None):  # and makes no use of it
        super().__init__()
        self.weight.data = np.ones(3)
        self.bias.data = 1e-6 * np.random.default_rng().normal(size=3)


class RedrawsAtWill(Scale):
    def draw_parameters(self, rng):
        self.weight.data = self.weight.data + rng.normal(size=3)


class KeepsItsMode(nn.Layer):
    def __init__(self):
        self.inner = Square()

    def forward(self, x):
        return self.inner(x)

    def backward(self, grad):
        return self.inner.backward(grad)

    def train(self, mode=True):
        self.training = mode
        return self


class MeetsOthers(Square):
    def forward(self, x):
        self.x = x
        time.sleep(0)
        x, self.x = self.x, None
        return super().forward(x)


LAYERS = [
    Unlawful(RaisesAlways, {"forward and backward run"}),
    Unlawful(WrongInTraining, {"gradients in training"}),
    Unlawful(WrongInEvaluation, {"gradients in evaluation"}),
    Unlawful(
        Assigns,
        {
            "gradients in training",
            "gradients in evaluation",
            "gradients add up",
            "each call keeps its own",
            "may follow itself",
            "may be shared by models",
            "parameters may be tied",
        },
    ),
    Unlawful(Clips, {"backward is linear"}),
    Unlawful(
        KeepsItOnSelf,
        {
            "gradients in training",
            "gradients in evaluation",
            "each call keeps its own",
            "may follow itself",
            "may be shared by models",
            "no grad leaves what waits alone",
            "nothing is kept after backward",
        },
    ),
    Unlawful(
        FirstInFirstOut,
        {
            "gradients in training",
            "gradients in evaluation",
            "each call keeps its own",
            "may follow itself",
            "may be shared by models",
            "one pass is kept",
            "nothing is kept after backward",
            "its state makes it",  # no_grad does not keep it from keeping
        },
    ),
    Unlawful(WrongFarOut, {"may follow itself"}),
    Unlawful(CopiesWithoutMemo, {"parameters may be tied"}),
    Unlawful(ForgetsTheBias, {"backward parameters is backward"}),
    Unlawful(StopsAtFrozen, {"parameters may be frozen"}),
    Unlawful(
        NotWrapped,
        {
            "gradients in training",
            "gradients in evaluation",
            "each call keeps its own",
            "may follow itself",
            "may be shared by models",
            "backward parameters is backward",
            "backward needs a forward",
            "a wrong grad is refused",
            "no grad leaves what waits alone",
            "outputs belong to the caller",
            "float32 is kept",
            "a deepcopy is a twin",
            "a pickle is a twin",
        },
    ),
    Unlawful(KeepsAll, {"one pass is kept"}),
    Unlawful(KeepsTheLast, {"nothing is kept after backward"}),
    Unlawful(
        WritesIntoX,
        {
            "gradients in training",
            "gradients in evaluation",
            "may follow itself",
            "arguments are not written to",
            "arguments may be read only",
        },
    ),
    Unlawful(WritesIntoGrad, {"arguments are not written to", "arguments may be read only"}),
    Unlawful(WritesAndPutsBack, {"arguments may be read only"}),
    Unlawful(ReturnsItsBuffer, {"results are not written to later"}),
    Unlawful(GoesThroughMemory, {"memory makes no difference"}),
    Unlawful(partial(AddsTheOthers, [True]), {"a batch is its rows in training"}),
    Unlawful(partial(AddsTheOthers, [False]), {"a batch is its rows in evaluation"}),
    Unlawful(LooksAtTheFirst, {"an empty batch works"}),
    Unlawful(TimesRootOfTwo, {"float32 is kept"}),
    Unlawful(LongDouble, {"float64 is kept"}),
    Unlawful(Cancels, {"float32 is float64 but for rounding"}),
    Unlawful(CopiesWithoutMode, {"a deepcopy is a twin"}),
    Unlawful(HoldsALambda, {"a pickle is a twin"}),
    Unlawful(HidesAnArray, {"its state makes it"}),
    Unlawful(LongRepr, {"its repr is short"}),
    Unlawful(BareRepr, {"its repr is short"}),
    Unlawful(FreshRandomness, {"a seed makes it"}),
    Unlawful(RedrawsAtWill, {"a seed redraws it"}),
    Unlawful(KeepsItsMode, {"modes reach everything inside"}),
    Unlawful(MeetsOthers, {"threads do not meet"}),
]


# Losses


class NotANumber(L1Loss):
    def forward(self, prediction, target):
        return float(super().forward(prediction, target))


class TakesNoGrad(L1Loss):
    def backward(self):
        return self.times(*self.saved.pop(), None)


class ForgetsItsReduction(nn.Loss):
    def __init__(self, reduction="mean"):
        super().__init__()
        self.reduction = reduction

    forward = L1Loss.forward
    backward = L1Loss.backward


class Sum(L1Loss):
    def __init__(self, reduction="sum"):
        super().__init__(reduction=reduction)


class ForgetsTheMean(Sum):
    def backward(self, grad=None):
        at_prediction = super().backward(grad)
        return at_prediction * at_prediction.size if self.reduction == "mean" else at_prediction


class SumTimesTwo(L1Loss):
    def share(self, losses):
        return 2.0 if self.reduction == "sum" else super().share(losses)


class MeanOfTheFirstAxis(Sum):
    def share(self, losses):
        return super().share(losses) * (losses[:1].size if self.reduction == "mean" else 1)


class MeanOverNothing(L1Loss):
    def share(self, losses):
        return 1 / max(losses.size, 1) if self.reduction == "mean" else 1.0


class Broadcasts(L1Loss):
    def wrong_shape(self, prediction, target):
        raise NotImplementedError

    def forward(self, prediction, target):
        return super().forward(*np.broadcast_arrays(prediction, target))


class PromotesTheTarget(L1Loss):
    def forward(self, prediction, target):
        if prediction.shape != target.shape:
            raise self.wrong_shape(prediction, target)
        loss, share = self.reduce(np.abs(prediction - target)), self.share(prediction)
        self.saved.push((np.sign(prediction - target), share))
        return loss


PAIR = ((5, 3), (5, 3))
FLOAT = {
    "an array of losses needs a grad",
    "every reduction has its gradient",
    "a sum is the sum of all",
    "a mean is the mean of all",
}
"""What float(...) breaks where the loss is an array."""

LOSSES = [
    Unlawful(NotANumber, FLOAT | {"it is a number", "float32 is kept"}, PAIR),
    Unlawful(TakesNoGrad, {"backward is linear", "one number needs no grad", "every reduction has its gradient"}, PAIR),
    Unlawful(ForgetsItsReduction, {"an array of losses needs a grad"}, PAIR),
    Unlawful(ForgetsTheMean, {"every reduction has its gradient"}, PAIR),
    Unlawful(SumTimesTwo, {"a sum is the sum of all"}, PAIR),
    Unlawful(MeanOfTheFirstAxis, {"a mean is the mean of all"}, PAIR),
    Unlawful(MeanOverNothing, {"a mean over nothing is an error"}, PAIR),
    Unlawful(Broadcasts, {"shapes are not broadcast"}, PAIR),
    Unlawful(PromotesTheTarget, {"a target takes the dtype of the prediction"}, PAIR),
]


# Optimizers


class Momentum(nn.Optimizer):
    """v ↦ ½ v + g, and a step of lr v."""

    state_arrays = ("v",)

    def __init__(self, params, lr=0.1):
        super().__init__(params, lr=lr)

    def check(self, options):
        if not 0 < options["lr"] < np.inf:
            raise ValueError(f"Momentum expects a finite lr > 0, got {options['lr']}")
        return dict(options)

    def update(self, grad, state, step, options):
        v = state.setdefault("v", np.zeros_like(grad))
        v *= 0.5
        v += grad
        step[...] = options.lr * v


def momentum(data, grads):
    v = 0
    for grad in grads:
        v = 0.5 * v + grad
        data = data - 0.1 * v
        yield data


def parameters_of(optimizer):
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


class StepsHalfway(Momentum):
    def update(self, grad, state, step, options):
        step[: len(step) // 2] = options.lr * grad[: len(step) // 2]


class TooFast(Momentum):
    def update(self, grad, state, step, options):
        super().update(grad, state, step, options)
        step *= 1 + 1e-6


class WritesIntoTheGradient(Momentum):
    def step(self):
        super().step()
        for parameter in parameters_of(self):
            parameter.grad *= 2


class ClearsOneGroup(Momentum):
    def zero_grad(self):
        for parameter in self.param_groups[0]["params"]:
            parameter.zero_grad()


class SkipsWhatWasCleared(Momentum):
    cleared = False

    def zero_grad(self):
        super().zero_grad()
        self.cleared = True

    def step(self):
        if not self.cleared or any(parameter.grad.any() for parameter in parameters_of(self)):
            super().step()
        self.cleared = False


class ThawsAll(Momentum):
    def step(self):
        for parameter in parameters_of(self):
            parameter.requires_grad = True
        super().step()


class CountsTwice(Momentum):
    def __init__(self, params, lr=0.1):
        params = list(params)
        super().__init__(params, lr)
        self.twice = [p for p in params if isinstance(p, nn.Parameter) and sum(q is p for q in params) > 1]

    def step(self):
        super().step()
        for parameter in self.twice:
            parameter.data = parameter.data - 0.1 * parameter.grad


class ReadsItsDefaults(Momentum):
    def update(self, grad, state, step, options):
        options.lr = self.defaults["lr"]
        super().update(grad, state, step, options)


class LooksAtPlaces(Momentum):
    def update(self, grad, state, step, options):
        super().update(grad * (1 + 0.01 * np.arange(grad.size)), state, step, options)


class Normalizes(Momentum):
    def update(self, grad, state, step, options):
        super().update(grad / np.sqrt(np.sum(np.sort(grad**2))), state, step, options)


COMMON = {}


class SharesItsState(Momentum):
    def update(self, grad, state, step, options):
        COMMON.clear() if not state else None
        state["v"] = COMMON.setdefault(grad.size, state.get("v", np.zeros_like(grad)))
        super().update(grad, state, step, options)


class RemembersOnSelf(Momentum):
    def update(self, grad, state, step, options):
        known = vars(self).setdefault("known", {})
        super().update(grad, known.setdefault(grad.size, {}), step, options)


class HandsItsStateOut(Momentum):
    def state_dict(self):
        numbers = {parameter: number for number, parameter in enumerate(parameters_of(self))}
        live = {numbers[parameter]: state for parameter, state in self.state.items()}
        return {**super().state_dict(), "state": live}


class TakesAnything(Momentum):
    def load_state_dict(self, state_dict):
        try:
            super().load_state_dict(state_dict)
        except ValueError:
            return


class CopiesItself(Momentum):
    def __deepcopy__(self, memo):
        twin = type(self)(parameters_of(self))
        twin.load_state_dict(self.state_dict())
        return twin


class HasALambda(Momentum):
    def __init__(self, params, lr=0.1):
        super().__init__(params, lr)
        self.rate = lambda: lr


class LosesDigits(Momentum):
    def update(self, grad, state, step, options):
        super().update(grad, state, step, options)
        step[...] = (step + 1e4) - 1e4


class ShowsNothing(Momentum):
    def __repr__(self):
        return type(self).__name__ + "()"


NOT_ELEMENTWISE = {
    "it follows its reference",
    "frozen parameters stay",
    "company makes no difference",
    "a second optimizer may share",
}

OPTIMIZERS = [
    Unlawful(StepsHalfway, {"it makes steps"}),
    Unlawful(TooFast, {"it follows its reference"}),
    Unlawful(WritesIntoTheGradient, {"gradients are not written to"}),
    Unlawful(ClearsOneGroup, {"zero grad clears all"}),
    Unlawful(SkipsWhatWasCleared, {"no gradient is a gradient of zeros"}),
    Unlawful(ThawsAll, {"frozen parameters stay"}),
    Unlawful(CountsTwice, {"tied parameters count once"}),
    Unlawful(ReadsItsDefaults, {"groups have their options"}),
    Unlawful(LooksAtPlaces, NOT_ELEMENTWISE | {"order makes no difference"}),
    Unlawful(Normalizes, NOT_ELEMENTWISE | {"no gradient is a gradient of zeros"}),
    Unlawful(
        SharesItsState,
        {
            "no gradient is a gradient of zeros",
            "frozen parameters stay",
            "groups have their options",
            "a second optimizer may share",
            "its state goes on",
            "a state dict is a copy",
            "a deepcopy goes on",
            "a pickle goes on",
        },
    ),
    Unlawful(RemembersOnSelf, {"frozen parameters stay", "its state goes on"}),
    Unlawful(HandsItsStateOut, {"a state dict is a copy"}),
    Unlawful(TakesAnything, {"a state that does not fit is refused"}),
    Unlawful(CopiesItself, {"a deepcopy goes on"}),
    Unlawful(HasALambda, {"a pickle goes on"}),
    Unlawful(LosesDigits, {"float32 is kept"}),
    Unlawful(ShowsNothing, {"its repr shows its options"}),
]
