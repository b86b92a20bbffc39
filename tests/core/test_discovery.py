"""How layers and parameters are found: by reflection, in PyTorch's order, each once, and never lost in silence."""

import types

import numpy as np
import pytest

import tinynn as nn
from tests.core.handmade import Scale, Square
from tinynn.errors import DiscoveryError


class Bag(nn.Layer):
    """A layer with whatever attributes it is given."""

    def __init__(self, **attributes):
        vars(self).update(attributes)

    def forward(self, x):
        return x


def parameter():
    return nn.Parameter([0.0])


def names(layer, kind="parameters"):
    return [name for name, _ in getattr(layer, f"named_{kind}")()]


def test_parameters_are_found_in_attributes_lists_tuples_and_dicts_to_any_depth():
    layer = Bag(
        a=parameter(),
        b=[parameter(), (parameter(), {"key": [parameter()]})],
        c={"x": parameter(), "y": {"z": parameter()}},
        d=Scale(),
        e=[[Scale()], {"k": (Scale(),)}],
    )
    assert names(layer) == [
        "a", "b.0", "b.1.0", "b.1.1.key.0", "c.x", "c.y.z", "d.weight", "e.0.0.weight", "e.1.k.0.weight",
    ]  # fmt: skip


def test_own_parameters_come_first_then_own_buffers_then_children():
    inner = Bag(z=nn.Buffer([1]), y=Scale(), x=parameter())
    layer = Bag(child=inner, buffer=nn.Buffer([2]), weight=parameter(), other=Scale())
    assert list(layer.state_dict()) == [
        "weight", "buffer", "child.x", "child.z", "child.y.weight", "other.weight",
    ]  # fmt: skip
    assert names(layer, "buffers") == ["buffer", "child.z"]
    assert names(layer, "layers") == ["", "child", "child.y", "other"]
    assert [type(child).__name__ for child in layer.children()] == ["Bag", "Scale"]
    assert [name for name, _ in layer.named_children()] == ["child", "other"]
    assert len(list(layer.buffers())) == 2


def test_sequential_names_its_children_by_position_or_by_the_keys_of_a_dict():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Sequential(nn.Linear(2, 1, bias=False)))
    assert names(model) == ["0.weight", "0.bias", "2.0.weight"]
    model = nn.Sequential({"encoder": nn.Sequential(nn.Linear(2, 2)), "head": nn.Linear(2, 1)})
    assert names(model) == ["encoder.0.weight", "encoder.0.bias", "head.weight", "head.bias"]


def test_each_parameter_is_given_once_by_identity():
    scale = Scale()
    layer = Bag(a=scale, b=[scale, scale.weight], twin=Scale())
    assert [name for name, _ in layer.named_parameters()] == ["b.1", "twin.weight"]
    assert len(list(layer.parameters())) == 2
    every = [name for name, _ in layer.named_parameters(remove_duplicate=False)]
    assert every == ["b.1", "a.weight", "b.0.weight", "twin.weight"]
    assert names(layer, "layers") == ["", "a", "twin"]


def test_equal_parameters_are_not_the_same_parameter():
    assert len(list(Bag(a=parameter(), b=parameter()).parameters())) == 2


def test_tying_is_assignment():
    encoder, decoder = nn.Linear(2, 2), nn.Linear(2, 2)
    decoder.weight = encoder.weight
    model = nn.Sequential(encoder, decoder)
    assert names(model) == ["0.weight", "0.bias", "1.bias"]
    assert list(model.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]


def test_cycles_end():
    parent, child = Bag(a=parameter()), Bag(b=parameter())
    parent.child, child.parent, child.me = child, parent, child
    parent.list = [parent, [child]]
    parent.list.append(parent.list)
    parent.dict = {"self": parent}
    parent.dict["dict"] = parent.dict
    assert names(parent) == ["a", "child.b"]
    assert names(child) == ["b", "parent.a"]
    assert {layer for _, layer in parent.named_layers()} == {parent, child}
    parent.eval()
    assert not child.training
    assert "Bag(...)" in repr(parent)


def test_discovery_looks_when_asked():
    layer = Bag(a=parameter())
    layer.b = [Scale()]
    assert names(layer) == ["a", "b.0.weight"]
    layer.b.append(Scale())
    layer.a = None
    assert names(layer) == ["b.0.weight", "b.1.weight"]
    del layer.b
    assert names(layer) == []


def test_other_attributes_are_left_alone():
    layer = Bag(a=1, b="text", c={1: 2, "k": {3, 4}}, d=[None, np.ones(2)], e=Scale, f={}, g=set(), h=np.ones(3), i=len)
    assert list(layer.parameters()) == list(layer.children()) == []


class Slotted(nn.Layer):
    __slots__ = ("weight",)

    def __init__(self, value):
        self.weight = value


class InClass(nn.Layer):
    layer = Scale()


class TupleInClass(nn.Layer):
    layers = (Scale(),)


class Inherits(InClass):
    pass


class Module(nn.Layer):
    weight = nn.Parameter([1.0])


HIDDEN = {
    "slot with a parameter": (lambda: Slotted(parameter()), "the slot 'weight'"),
    "slot with layers": (lambda: Slotted([Scale()]), "the slot 'weight'"),
    "class attribute": (InClass, "the class attribute 'layer'"),
    "class attribute of a base class": (Inherits, "the class attribute 'layer'"),
    "parameter as class attribute": (Module, "the class attribute 'weight'"),
    "tuple as class attribute": (TupleInClass, "the class attribute 'layers'"),
    "set of layers": (lambda: Bag(s={Scale()}), "the set 's'"),
    "set of parameters in a list": (lambda: Bag(s=[{parameter()}]), "the set 's.0'"),
    "frozenset": (lambda: Bag(s=frozenset([Scale()])), "the set 's'"),
    "key that is no string": (lambda: Bag(d={1: Scale()}), "the key 1 of 'd'"),
    "key with a dot": (lambda: Bag(d={"a.b": [parameter()]}), "the key 'a.b' of 'd'"),
    "attribute with a dot": (lambda: Bag(**{"a.b": parameter()}), "the name 'a.b'"),
    "layer under an attribute with a dot": (lambda: Bag(**{"a.b": Scale()}), "the name 'a.b'"),
    "list under an attribute with a dot": (lambda: Bag(**{"a.b": [Scale()]}), "the name 'a.b'"),
    "attribute that starts with a dot": (lambda: Bag(**{".a": parameter()}), "the name '.a'"),
}


@pytest.mark.parametrize(("make", "where"), HIDDEN.values(), ids=HIDDEN)
def test_what_reflection_cannot_see_is_an_error_and_not_silence(make, where):
    layer = make()
    for model in (layer, Bag(inner=[layer])):
        with pytest.raises(DiscoveryError) as caught:
            list(model.parameters()) + list(model.named_layers())
        message = str(caught.value)
        assert message.startswith(
            f"{type(layer).__name__} expects layers, parameters and buffers in its own attributes"
        )
        assert f"got one in {where}; " in message


def test_a_sequential_with_a_dot_or_no_text_as_a_name_is_refused():
    for name in ("a.b", "", 1, None):
        with pytest.raises(DiscoveryError, match=r"^Sequential expects names that are text without dots, got "):
            nn.Sequential({name: Scale()})


def test_layers_that_a_subclass_of_sequential_adds_are_found_or_refused():
    class WithHead(nn.Sequential):
        def __init__(self):
            super().__init__(nn.Linear(2, 2))
            self.head = Scale()

    try:
        found = names(WithHead())
    except DiscoveryError:
        return
    assert found == ["0.weight", "0.bias", "head.weight"]


def test_named_children_is_the_hook():
    class Renamed(nn.Layer):
        def __init__(self):
            self.hidden = types.SimpleNamespace(inner=Scale())

        def named_children(self):
            yield "seen", self.hidden.inner

    assert names(Renamed()) == ["seen.weight"]
    assert repr(Renamed()) == "Renamed(\n  (seen): Scale()\n)"


def test_a_frozen_model_is_frozen_everywhere():
    model = nn.Sequential(nn.Linear(2, 2), Bag(a=[Scale()]))
    assert model.requires_grad_(False) is model
    assert not any(p.requires_grad for p in model.parameters())
    model[1].requires_grad_()
    assert [name for name, p in model.named_parameters() if p.requires_grad] == ["1.a.0.weight"]


def test_zero_grad_reaches_every_parameter():
    model = nn.Sequential(nn.Linear(2, 2), Bag(a=[Scale()]))
    for p in model.parameters():
        p.grad = np.ones(p.shape)
    model.zero_grad()
    assert not any(p.grad.any() for p in model.parameters())


def test_apply_visits_each_layer_once_from_the_inside_out():
    square, visited = Square(), []
    model = nn.Sequential(nn.Sequential(square), square)
    assert model.apply(visited.append) is model
    assert visited == [square, model[0], model]


# repr and summary


def test_repr_is_nested_as_pytorch_prints_it():
    model = nn.Sequential(
        nn.Linear(3, 2), nn.Sequential({"act": nn.ReLU(), "res": nn.Residual(nn.Linear(2, 2, bias=False))})
    )
    assert (
        repr(model)
        == """\
Sequential(
  (0): Linear(3, 2)
  (1): Sequential(
    (act): ReLU()
    (res): Residual(
      (layer): Linear(2, 2, bias=False)
    )
  )
)"""
    )
    assert repr(nn.Sequential()) == "Sequential()"
    assert repr(nn.Linear(2, 1, dtype=np.float32)) == "Linear(2, 1, dtype=float32)"
    assert repr(nn.MSELoss()) == "MSELoss(reduction='half')"
    assert repr(nn.CrossEntropyLoss(reduction="sum")) == "CrossEntropyLoss(reduction='sum')"
    assert repr(nn.Elementwise(np.sin, np.cos)) == "Elementwise(sin, cos)"
    assert repr(Bag(layers=[Scale()])) == "Bag(\n  (layers.0): Scale()\n)"


def test_summary_shows_path_layer_output_shape_and_parameters():
    model = nn.Sequential(
        nn.Linear(3, 40), nn.Sequential({"act": nn.ReLU()}), nn.Linear(40, 1200).requires_grad_(False)
    )
    assert (
        repr(model.summary((32, 3)))
        == """\
path     layer             output shape  parameters
---------------------------------------------------
(model)  Sequential        (32, 1200)             0
0        Linear(3, 40)     (32, 40)             160
1        Sequential        (32, 40)               0
1.act    ReLU()            (32, 40)               0
2        Linear(40, 1200)  (32, 1200)        49,200
---------------------------------------------------
49,360 parameters, 160 of them trainable"""
    )


def test_summary_counts_shared_parameters_once_and_shows_each_call():
    linear = nn.Linear(2, 2)
    summary = nn.Sequential(linear, linear).summary((1, 2))
    assert [(row.path, row.output) for row in summary.rows] == [("", "(1, 2)"), ("0", "(1, 2)"), ("1", "(1, 2)")]
    assert (summary.total, summary.trainable) == (6, 6)
    assert [row.path for row in nn.Sequential(linear).summary().rows] == ["", "0"]


def test_summary_takes_example_arrays_and_leaves_the_model_alone():
    model = nn.Sequential(Square(), Scale(3.0))
    x = np.ones((2, 3))
    model(x)
    before = model.state_dict()
    assert [row.output for row in model.summary([[1, 2]]).rows] == ["(1, 2)"] * 3
    assert model.training
    np.testing.assert_array_equal(model.backward(x), 6 * x)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_summary_under_no_grad_is_the_same():
    model = nn.Sequential(nn.Linear(3, 2), nn.Tanh())
    expected = model.summary((4, 3))
    with nn.no_grad():
        assert model.summary((4, 3)) == expected
