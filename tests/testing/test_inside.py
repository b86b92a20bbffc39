"""What the check says of a model: the layer inside that is wrong by itself is named, and innocent ones are not."""

from __future__ import annotations

import numpy as np
import pytest

import tinynn as nn
from tests.testing.test_diagnosis import Affine, Stretched, normal, uneven
from tinynn.testing import GradientError, check_gradients


class Cubic(nn.Layer):
    """y = x³, with a place to put a mistake."""

    def __init__(self, mistake=lambda g: g):
        self.mistake = mistake

    def forward(self, x):
        self.saved.push(x)
        return x**3

    def backward(self, grad):
        return self.mistake(3 * self.saved.pop() ** 2 * grad)


def linear(inputs, outputs):
    return nn.Linear(inputs, outputs, rng=np.random.default_rng(3))


def error_of(layer, *inputs):
    with pytest.raises(GradientError) as caught:
        check_gradients(layer, *inputs)
    return caught.value


MODELS = {
    "in a row": (lambda wrong: nn.Sequential(linear(3, 4), nn.Tanh(), wrong, linear(4, 2)), "2"),
    "first": (lambda wrong: nn.Sequential(wrong, nn.Tanh()), "0"),
    "deep": (
        lambda wrong: nn.Sequential(linear(3, 4), nn.Residual(nn.Sequential(nn.Tanh(), wrong)), linear(4, 2)),
        "1.layer.1",
    ),
    "in a branch": (lambda wrong: nn.Concatenate(linear(3, 4), nn.Sequential(linear(3, 2), wrong)), "1.1"),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("mistake", "diagnosis"), [(uneven, "unexplained"), (lambda g: 2 * g, "factor")])
def test_the_first_finding_names_the_layer_that_is_wrong_by_itself(name, mistake, diagnosis):
    build, path = MODELS[name]
    check_gradients(build(Cubic()), normal(5, 3))
    error = error_of(build(Cubic(mistake)), normal(5, 3))
    first, *others = error.findings
    assert (first.where, first.diagnosis) == (f"{path}.input", diagnosis)
    assert first.sentence.startswith(f"layer {path}, Cubic: its gradient at the input is wrong: the gradient is ")
    assert str(error).splitlines()[1] == f"  {first}"
    assert {finding.where for finding in others} & {"input", "0.weight"}
    assert not {finding.where for finding in others} & {"2.weight", "3.weight"}  # they do not depend on it


def test_a_gradient_that_is_wrong_because_of_a_layer_inside_says_so():
    model = nn.Sequential(linear(3, 4), Cubic(uneven))
    first, *others = error_of(model, normal(5, 3)).findings
    assert [finding.where for finding in others] == ["input", "0.weight", "0.bias"]
    assert all(finding.sentence.startswith("layer 1, Cubic, is to blame: ") for finding in others)
    assert {finding.diagnosis for finding in others} == {first.diagnosis}


def test_a_factor_for_each_feature_is_found_inside_a_model():
    model = nn.Sequential(linear(3, 4), nn.Tanh(), Stretched(lambda g, w: g * w), linear(4, 2))
    first, *_ = error_of(model, normal(5, 3)).findings
    assert (first.where, first.diagnosis) == ("2.input", "feature-factor")
    assert "these are `width`" in first.sentence


def test_a_parameter_inside_keeps_its_path_and_gets_the_name_of_its_layer():
    (finding,) = error_of(nn.Sequential(nn.Tanh(), Affine(bias=uneven)), normal(5, 3)).findings
    assert finding.where == "1.bias"
    assert finding.sentence.startswith("layer 1, Affine: its gradient at bias is wrong: ")


def test_all_layers_that_are_wrong_are_named():
    findings = error_of(nn.Sequential(Cubic(uneven), nn.Tanh(), Cubic(np.negative)), normal(5, 3)).findings
    assert [finding.where for finding in findings] == ["0.input", "2.input", "input"]
    assert findings[-1].sentence.endswith("layers 0 and 2 are to blame")


def test_a_layer_that_stands_in_several_places_is_named_once():
    wrong = Cubic(uneven)
    findings = error_of(nn.Sequential(wrong, nn.Tanh(), wrong), normal(5, 3)).findings
    assert [finding.where for finding in findings] == ["0.input", "input"]


def test_a_backward_that_does_not_get_through_is_traced_to_the_layer_whose_shape_is_wrong():
    first, *_ = error_of(nn.Sequential(linear(3, 4), Cubic(lambda g: g[:1])), normal(5, 3)).findings
    assert (first.where, first.diagnosis) == ("1.input", "shape")


class ForgetsTheWayPast(nn.Layer):
    def __init__(self, layer):
        self.layer = layer

    def forward(self, x, mask=None):
        return x + self.layer(x)

    def backward(self, grad):
        return self.layer.backward(grad)


def test_a_container_that_is_wrong_itself_is_named_and_nothing_inside_it():
    x = normal(4, 3)
    x[0] = 0  # a kink of ReLU, where either slope is right
    past = ForgetsTheWayPast(nn.Sequential(nn.ReLU(), nn.Tanh()))
    assert [finding.where for finding in error_of(nn.Sequential(past, nn.Tanh()), x).findings] == ["0.input", "input"]
    assert [finding.where for finding in error_of(past, x).findings] == ["input"]


def test_layers_inside_that_cannot_be_tried_by_themselves_are_not_blamed():
    class Log(Cubic):
        def forward(self, x):
            self.saved.push(x)
            return np.log(np.maximum(x, 0))

        def backward(self, grad):
            x = self.saved.pop()
            return np.divide(grad, x, out=np.zeros_like(x), where=x > 0)

    class Model(nn.Layer):
        def __init__(self):
            self.log = Log()

        def forward(self, x):
            return np.exp(self.log(x)) + x

        def backward(self, grad):
            return 2 * grad

    assert {finding.where for finding in error_of(Model(), normal(4, 3)).findings} == {"input"}


def test_a_class_that_keeps_a_register_of_its_subclasses_finds_nothing_new_in_it():
    register = {}

    class Registered(Cubic):
        def __init_subclass__(cls, *, name, **options):
            super().__init_subclass__(**options)
            register[name] = cls

    class Mine(Registered, name="mine"):
        pass

    first, *_ = error_of(nn.Sequential(linear(3, 4), Mine(uneven)), normal(5, 3)).findings
    assert first.where == "1.input"
    assert register == {"mine": Mine}
