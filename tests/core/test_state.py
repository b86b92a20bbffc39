"""State dicts: PyTorch's names and shapes, all or nothing, copied in and out; drawing anew; changing the dtype."""

import copy
import pickle

import numpy as np
import pytest

import tinynn as nn
from tests.core.handmade import Scale, Square
from tinynn.errors import ArgumentTypeError, StateError


class Mean(nn.Layer):
    """A layer with parameters, floating buffers and whole numbers, as a normalization has them."""

    def __init__(self, size):
        self.running_mean = nn.Buffer(np.zeros(size))
        self.weight = nn.Parameter(np.ones(size))
        self.count = nn.Buffer(0)
        self.draws = 0

    def forward(self, x):
        return x * self.weight.data

    def draw_parameters(self, rng):
        self.draws += 1
        self.weight.data = rng.normal(size=self.weight.shape)
        self.running_mean.data = np.zeros(self.weight.shape)
        self.count.data = 0


def model(seed=0):
    rng = np.random.default_rng(seed)
    return nn.Sequential(
        nn.Linear(3, 2, rng=rng), nn.Tanh(), nn.Sequential({"norm": Mean(2)}), nn.Linear(2, 1, rng=rng)
    )


NAMES = ["0.weight", "0.bias", "2.norm.weight", "2.norm.running_mean", "2.norm.count", "3.weight", "3.bias"]


def assert_same_state(actual, expected):
    assert list(actual) == list(expected)
    for name, array in expected.items():
        assert actual[name].dtype == array.dtype
        np.testing.assert_array_equal(actual[name], array)


def test_names_order_and_shapes_are_those_of_pytorch():
    state = model().state_dict()
    assert list(state) == NAMES
    assert [array.shape for array in state.values()] == [(2, 3), (2,), (2,), (2,), (), (1, 2), (1,)]
    assert all(type(array) is np.ndarray for array in state.values())


def test_the_state_comes_back():
    source, target = model(0), model(1)
    source[2]["norm"].count.data = 7
    target.load_state_dict(source.state_dict())
    assert_same_state(target.state_dict(), source.state_dict())
    x = np.ones((4, 3))
    np.testing.assert_array_equal(source(x), target(x))


def test_arrays_are_copied_out_and_in_and_stay_where_they_are():
    source, target = model(0), model(1)
    held = [p.data for p in target.parameters()]
    state = source.state_dict()
    for array in state.values():
        array += 1
    target.load_state_dict(state)
    expected = copy.deepcopy(state)
    for array in state.values():
        array += 1
    assert_same_state(target.state_dict(), expected)
    assert all(p.data is array for p, array in zip(target.parameters(), held, strict=True))
    assert_same_state(source.state_dict(), model(0).state_dict())


def test_a_state_may_be_made_of_live_arrays_of_the_same_model():
    layer = nn.Linear(2, 2)
    square = layer.weight.data
    expected = square.T.copy()
    layer.load_state_dict({"weight": square.T, "bias": layer.bias.data})
    np.testing.assert_array_equal(layer.weight.data, expected)
    twins = nn.Sequential(Scale(1.0), Scale(2.0))
    twins.load_state_dict({"0.weight": twins[1].weight.data, "1.weight": twins[0].weight.data})
    assert [float(p.data[0]) for p in twins.parameters()] == [2.0, 1.0]


def test_tied_parameters_appear_under_every_name():
    pair = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    pair[1].weight = pair[0].weight
    state = pair.state_dict()
    np.testing.assert_array_equal(state["0.weight"], state["1.weight"])
    state = {name: array + 1 for name, array in state.items()}
    pair.load_state_dict(state)
    np.testing.assert_array_equal(pair[0].weight.data, state["1.weight"])


def test_two_values_for_tied_parameters_are_an_error():
    pair = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    pair[1].weight = pair[0].weight
    before, state = pair.state_dict(), pair.state_dict()
    state["1.weight"] = state["1.weight"] + 1
    with pytest.raises(StateError, match=r"1\.weight: two values for one array, which is 0\.weight as well"):
        pair.load_state_dict(state)
    assert_same_state(pair.state_dict(), before)


BAD = {
    "missing": (lambda s: s.pop("3.weight"), ["missing: 3.weight"]),
    "unexpected": (lambda s: s.update({"4.weight": np.ones(1)}), ["unexpected: 4.weight"]),
    "shape": (lambda s: s.update({"0.bias": np.ones(3)}), [r"0.bias: ", "of shape (2,), got (3,)"]),
    "shape that would broadcast": (lambda s: s.update({"0.bias": np.ones(1)}), ["of shape (2,), got (1,)"]),
    "integers for floats": (
        lambda s: s.update({"0.bias": np.ones(2, int)}),
        ["0.bias: ", "of dtype float64, got int64"],
    ),
    "booleans for floats": (lambda s: s.update({"0.bias": np.ones(2, bool)}), ["of dtype float64, got bool"]),
    "floats for integers": (lambda s: s.update({"2.norm.count": np.array(1.0)}), ["of dtype int64, got float64"]),
    "complex": (lambda s: s.update({"0.bias": np.ones(2, complex)}), ["0.bias: ", "complex128"]),
    "object": (lambda s: s.update({"0.bias": np.array([1.0, None])}), ["0.bias: ", "an array of dtype object"]),
    "text": (lambda s: s.update({"0.bias": np.array(["a", "b"])}), ["0.bias: ", "<U1"]),
    "none": (lambda s: s.update({"0.bias": None}), ["0.bias: "]),
    "ragged": (lambda s: s.update({"0.bias": [[1], [2, 3]]}), ["0.bias: "]),
    "masked": (lambda s: s.update({"0.bias": np.ma.array([1.0, 2.0], mask=[0, 1])}), ["0.bias: ", "masked array"]),
    "all at once": (
        lambda s: (s.pop("0.weight"), s.update({"x": np.ones(1), "0.bias": np.ones(9), "3.bias": np.ones(1, int)})),
        ["missing: 0.weight", "unexpected: x", "0.bias: ", "3.bias: "],
    ),
}


@pytest.mark.parametrize(("spoil", "messages"), BAD.values(), ids=BAD)
def test_a_state_that_does_not_fit_changes_nothing_and_lists_every_problem(spoil, messages):
    target = model()
    before = target.state_dict()
    state = {name: array + 1 for name, array in before.items()}
    spoil(state)
    with pytest.raises(StateError) as caught:
        target.load_state_dict(state)
    message = str(caught.value)
    assert message.startswith("Sequential expects the state of the same architecture, got\n")
    for part in messages:
        assert part in message
    assert_same_state(target.state_dict(), before)


def test_the_state_of_another_architecture_lists_all_names():
    target, other = nn.Sequential(nn.Linear(2, 3)), nn.Sequential({"a": nn.Linear(2, 3), "b": nn.Linear(3, 1)})
    with pytest.raises(ValueError, match="expects the state") as caught:
        target.load_state_dict(other.state_dict())
    assert str(caught.value).splitlines()[1:] == [
        "  missing: 0.weight", "  missing: 0.bias",
        "  unexpected: a.weight", "  unexpected: a.bias", "  unexpected: b.weight", "  unexpected: b.bias",
    ]  # fmt: skip


@pytest.mark.parametrize("wrong", [None, [1], "file.npz", np.ones(3)], ids=repr)
def test_what_is_no_mapping_is_refused(wrong):
    with pytest.raises(StateError, match=r"^Linear expects a state dict, got a "):
        nn.Linear(2, 2).load_state_dict(wrong)


def test_without_strict_other_names_are_let_pass_and_wrong_shapes_are_not():
    target = model()
    before = target.state_dict()
    target.load_state_dict({"0.bias": [5.0, 6.0], "other": np.ones(3)}, strict=False)
    np.testing.assert_array_equal(target[0].bias.data, [5, 6])
    np.testing.assert_array_equal(target[0].weight.data, before["0.weight"])
    with pytest.raises(StateError, match=r"0\.weight: "):
        target.load_state_dict({"0.bias": [7.0, 8.0], "0.weight": np.ones(2)}, strict=False)
    np.testing.assert_array_equal(target[0].bias.data, [5, 6])


def test_floating_arrays_are_cast_to_the_dtype_of_the_model():
    target = nn.Linear(2, 1, dtype=np.float32)
    for dtype in (np.float64, np.float16, ">f8", np.longdouble):
        target.load_state_dict({"weight": np.array([[1.5, 2.5]], dtype), "bias": np.array([3.5], dtype)})
        assert target.weight.data.dtype == np.float32
        np.testing.assert_array_equal(target.weight.data, [[1.5, 2.5]])


def test_a_state_passes_through_pickle_and_deepcopy():
    source = model()
    for state in (pickle.loads(pickle.dumps(source.state_dict())), copy.deepcopy(source).state_dict()):
        assert_same_state(state, source.state_dict())
    twin = copy.deepcopy(source)
    twin[0].weight.data += 1
    assert_same_state(source.state_dict(), model().state_dict())


def test_copies_keep_parameters_tied():
    pair = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    pair[1].weight = pair[0].weight
    for twin in (copy.deepcopy(pair), pickle.loads(pickle.dumps(pair))):
        assert twin[1].weight is twin[0].weight
        assert twin[0].weight is not pair[0].weight


# reset_parameters


def test_drawing_anew_from_one_seed_gives_one_result_in_a_fixed_order():
    first, second = model(1), model(2)
    assert first.reset_parameters(0) is first
    second.reset_parameters(rng=np.random.default_rng(0))
    assert_same_state(first.state_dict(), second.state_dict())
    second.reset_parameters(1)
    assert not np.array_equal(first[0].weight.data, second[0].weight.data)
    once = first.reset_parameters()[0].weight.data.copy()
    assert not np.array_equal(first.reset_parameters()[0].weight.data, once)


def test_layers_of_equal_shape_draw_different_weights():
    twins = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)).reset_parameters(0)
    assert not np.array_equal(twins[0].weight.data, twins[1].weight.data)


def test_drawing_anew_stays_in_place_and_resets_buffers():
    target = model()
    held = [p.data for p in target.parameters()]
    norm = target[2]["norm"]
    norm.count.data, norm.running_mean.data = 9, np.ones(2)
    target.reset_parameters(0)
    assert all(p.data is array for p, array in zip(target.parameters(), held, strict=True))
    assert norm.draws == 1
    assert norm.count.data == 0
    np.testing.assert_array_equal(norm.running_mean.data, np.zeros(2))


def test_a_layer_with_parameters_and_no_way_to_draw_them_makes_it_raise_before_anything_changed():
    target = nn.Sequential(nn.Linear(2, 2), Square(), Scale())
    before = target.state_dict()
    with pytest.raises(
        ArgumentTypeError, match=r"^Scale\(\) expects a way to draw its parameters anew, got none; define "
    ):
        target.reset_parameters(0)
    assert_same_state(target.state_dict(), before)


def test_containers_and_layers_without_parameters_need_no_way_to_draw_them():
    class Own(nn.Layer):
        def __init__(self):
            self.layers = [nn.Linear(2, 2), Square()]

        def forward(self, x):
            return x

    Own().reset_parameters(0)


@pytest.mark.parametrize("wrong", ["0", 1.0, True, -1, np.random.RandomState(0)], ids=str)
def test_a_wrong_seed_is_refused(wrong):
    target = nn.Linear(2, 2)
    before = target.state_dict()
    with pytest.raises(
        TypeError, match=r"^Linear expects rng to be a numpy.random.Generator, a seed >= 0 or None, got "
    ):
        target.reset_parameters(wrong)
    assert_same_state(target.state_dict(), before)


# dtypes


@pytest.fixture
def default_dtype():
    before = nn.get_default_dtype()
    yield before
    nn.set_default_dtype(before)


def test_the_default_dtype_is_float64_and_can_be_set(default_dtype):
    assert default_dtype == np.float64
    nn.set_default_dtype(np.float32)
    assert nn.get_default_dtype() == np.float32
    layer = nn.Linear(2, 2)
    assert layer.weight.dtype == layer.bias.dtype == np.float32
    assert nn.Linear(2, 2, dtype=np.float64).weight.dtype == np.float64
    assert nn.Parameter([1, 2]).dtype == np.float32
    assert Square()([1, 2]).dtype == np.float32
    assert Square()(np.ones(2)).dtype == np.float64


@pytest.mark.parametrize("wrong", [np.float16, "int", complex, object, 3, ">f4", "float128"])
def test_any_other_default_dtype_is_refused(default_dtype, wrong):
    with pytest.raises(TypeError, match=r"^set_default_dtype expects dtype to be float32 or float64, got "):
        nn.set_default_dtype(wrong)
    assert nn.get_default_dtype() == default_dtype


def test_astype_converts_in_place_and_leaves_whole_numbers_alone():
    target = model()
    assert target.astype(np.float32) is target
    dtypes = {name: array.dtype for name, array in target.state_dict().items()}
    assert dtypes.pop("2.norm.count") == np.dtype(int)
    assert set(dtypes.values()) == {np.dtype(np.float32)}
    assert all(p.grad.dtype == np.float32 for p in target.parameters())
    np.testing.assert_allclose(target[0].weight.data, model()[0].weight.data, rtol=1e-6)
    assert target.astype("float64")[0].weight.dtype == np.float64


def test_astype_keeps_parameters_tied_and_objects_the_same():
    pair = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    pair[1].weight = pair[0].weight
    before = list(pair.parameters())
    pair.astype(np.float32)
    assert all(old is new for old, new in zip(before, pair.parameters(), strict=True))


@pytest.mark.parametrize("wrong", [np.float16, int, "complex", None, 3])
def test_a_wrong_dtype_changes_nothing(wrong):
    target = nn.Sequential(nn.Linear(2, 2, dtype=np.float32))
    with pytest.raises(TypeError, match=r"^Sequential expects dtype to be float32 or float64, got "):
        target.astype(wrong)
    assert target[0].weight.dtype == np.float32


def test_a_layer_draws_its_parameters_without_warnings_whatever_was_in_memory():
    for _ in range(20):
        for size in (3, 30, 100):
            old = [np.full((size, size), 1e300) for _ in range(4)]
            del old
            assert nn.Linear(size, size, dtype=np.float32).weight.dtype == np.float32
            assert Scale().astype(np.float32).weight.grad.dtype == np.float32
