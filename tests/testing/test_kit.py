"""The conformance kit: what is sound keeps every law, and every law can be broken."""

from __future__ import annotations

import pickle
import subprocess
import sys
import textwrap
import tracemalloc
import warnings
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

import tinynn as nn
from tests.testing import sound, unlawful
from tinynn.errors import ArgumentError, ArgumentTypeError, DTypeError, MissingExtraError
from tinynn.testing import (
    GradientError,
    LawError,
    LawReport,
    check_gradients,
    check_layer,
    check_loss,
    check_optimizer,
    parametrize_with_laws,
)
from tinynn.testing.conformance import LAYER_LAWS, LOSS_LAWS, OPTIMIZER_LAWS, case_of_layer
from tinynn.testing.laws.inputs import drawing
from tinynn.testing.laws.law import Law

RNG = np.random.default_rng(0)
PAIR = [(5, 3), (5, 3)]

LAYERS = [
    ("square", sound.Square, (5, 3)),
    ("square of one number each", sound.Square, (5,)),
    ("square of one sample", sound.Square, (1, 3)),
    ("scale", sound.Scale, (5, 3)),
    ("softmax", sound.Softmax, (5, 2, 3)),
    ("dropout", sound.Dropout, (5, 3)),
    ("batch norm", partial(sound.BatchNorm1d, 3), (5, 3), {"mixes_samples": "training"}),
    ("embedding", partial(sound.Embedding, 6, 3), np.array([0, 5, 2, 2])),
    ("embedding of sequences", partial(sound.Embedding, 6, 3), RNG.integers(6, size=(4, 3))),
    ("bilinear", partial(sound.Bilinear, 3, 2, 4), [(5, 3), RNG.normal(size=(5, 2))]),
    ("sum and product", sound.SumAndProduct, PAIR),
    ("centred", sound.Centred, (5, 3), {"mixes_samples": True}),
    ("gated", sound.Gated, (5, 3)),
    ("logarithm", partial(nn.Elementwise, np.log, np.reciprocal), RNG.uniform(0.1, 2, (5, 3))),
]
LOSSES = [
    ("absolute", sound.L1Loss, PAIR),
    ("absolute of one number each", sound.L1Loss, [(5,), (5,)]),
    ("absolute without reduction", partial(sound.L1Loss, reduction="none"), PAIR),
    ("triplet", sound.TripletMarginLoss, [(5, 3)] * 3),
    ("cosine", sound.CosineEmbeddingLoss, [*PAIR, np.array([1, -1, 1, -1, 1])]),
    ("gaussian", sound.GaussianNLLLoss, [*PAIR, RNG.uniform(0.5, 2, (5, 3))]),
    ("weighted", sound.WeightedSquare, [*PAIR, RNG.uniform(0.5, 2, (5, 3))], {"weighted": True}),
    ("cross-entropy", nn.CrossEntropyLoss, [(5, 3), np.array([0, 1, 2, 0, 1])]),
]
OPTIMIZERS = [
    ("adam", sound.Adam, sound.adam),
    ("momentum", unlawful.Momentum, unlawful.momentum),
    ("closed form", lambda params: nn.SGD(params, lr=0.1), sound.no_descent),
]


@parametrize_with_laws([*LAYERS, *LOSSES, *OPTIMIZERS])
def test_what_is_sound_keeps_the_law(law):
    law()


NOT_APPLICABLE = {
    "square": {"it has no parameters"},
    "square of one number each": {"it has no parameters"},
    "square of one sample": {"it has no parameters"},
    "scale": set(),
    "softmax": {"it has no parameters"},
    "dropout": {"it has no parameters", "it draws random numbers"},
    "batch norm": {"it mixes samples"},
    "embedding": {"it does not take one array of numbers"},
    "embedding of sequences": {"it does not take one array of numbers"},
    "bilinear": {"it does not take one array of numbers", "Bilinear has no draw_parameters"},
    "sum and product": {"it does not take one array of numbers", "it has no parameters"},
    "centred": {"it has no parameters", "it mixes samples"},
    "gated": {"it draws random numbers"},
    "logarithm": {"it has no parameters", "it cannot be called with what it returns"},
}


@pytest.mark.parametrize("row", LAYERS, ids=lambda row: row[0])
def test_a_law_that_does_not_apply_says_why(row):
    name, factory, inputs, options = (*row, {})[:4]
    report = check_layer(factory, *(inputs if isinstance(inputs, list) else [inputs]), verbose=False, **options)
    reasons = {verdict.message for verdict in report.verdicts if verdict.result == "not applicable"}
    assert reasons == NOT_APPLICABLE[name]
    assert {verdict.result for verdict in report.verdicts} <= {"holds", "not applicable"}
    assert [verdict.law for verdict in report.verdicts] == [law.name for law in LAYER_LAWS]


def broken_laws(check, row, *inputs):
    with pytest.raises(LawError) as caught:
        check(row.make, *(inputs or row.inputs), verbose=False, **row.options)
    return {verdict.law for verdict in caught.value.report.failures}


@pytest.mark.parametrize("row", unlawful.LAYERS, ids=str)
def test_a_layer_breaks_just_the_laws_that_it_breaks(row):
    assert broken_laws(check_layer, row) == row.laws


@pytest.mark.parametrize("row", unlawful.LOSSES, ids=str)
def test_a_loss_breaks_just_the_laws_that_it_breaks(row):
    assert broken_laws(check_loss, row) == row.laws


@pytest.mark.parametrize("row", unlawful.OPTIMIZERS, ids=str)
def test_an_optimizer_breaks_just_the_laws_that_it_breaks(row):
    assert broken_laws(check_optimizer, row, unlawful.momentum) == row.laws


@pytest.mark.parametrize(
    ("laws", "rows"),
    [
        (LAYER_LAWS, unlawful.LAYERS),
        (set(LOSS_LAWS) - set(LAYER_LAWS), unlawful.LOSSES),
        (OPTIMIZER_LAWS, unlawful.OPTIMIZERS),
    ],
    ids=["layers", "losses", "optimizers"],
)
def test_every_law_is_broken_by_something(laws, rows):
    assert {law.name for law in laws} <= set().union(*(row.laws for row in rows))


@pytest.mark.parametrize("law", [*LOSS_LAWS, *OPTIMIZER_LAWS], ids=lambda law: law.function.__name__)
def test_every_law_has_a_name_a_sentence_and_a_hint(law):
    assert len(law.name) <= 45
    assert law.sentence.endswith(".")
    assert 20 <= len(law.hint) <= 130
    assert not law.hint.endswith(".")


def test_a_single_number_without_axes_keeps_all_laws():
    check_layer(nn.Tanh, (), mixes_samples=True, verbose=False)


# The table and the error


def test_the_table_is_printed_also_where_laws_are_broken(capsys):
    with pytest.raises(LawError) as caught:
        check_layer(unlawful.WritesAndPutsBack, (5, 3))
    printed = capsys.readouterr().out
    assert printed == f"{caught.value.report}\n"
    count, empty, head, first, *rows = printed.splitlines()
    assert count == f"WritesAndPutsBack(): of {len(LAYER_LAWS)} laws 30 hold, 1 FAIL, 4 do not apply"
    assert empty == ""
    assert head.split() == ["law", "result", "hint"]
    assert first.split("  ")[0] == "forward and backward run"
    assert head.index("result") == first.index("holds")
    (failing,) = [row for row in rows if "FAILS" in row]
    assert failing.startswith("arguments may be read only ")
    assert failing.endswith("write to no array that forward or backward was given")
    assert any(row.endswith("not applicable  it has no parameters") for row in rows)
    assert max(map(len, printed.splitlines())) <= 110


def test_nothing_is_printed_if_that_is_not_wanted(capsys):
    report = check_layer(sound.Square, (5, 3), verbose=False)
    assert isinstance(report, LawReport)
    assert report.failures == ()
    assert capsys.readouterr().out == ""


def test_the_error_tells_law_observation_and_hint():
    with pytest.raises(AssertionError) as caught:
        check_layer(unlawful.TimesRootOfTwo, (5, 3), verbose=False)
    assert str(caught.value) == textwrap.dedent("""\
        TimesRootOfTwo() breaks 1 of 35 laws:

        float32 is kept: From float32 come outputs and gradients in float32.
          from float32, the output comes in float64
          hint: Python's numbers keep float32, NumPy's do not: `math.sqrt(2)`, not `np.sqrt(2)`; `np.zeros_like(x)`""")
    error = pickle.loads(pickle.dumps(caught.value))
    assert str(error) == str(caught.value)


class Warns(sound.Square):
    def forward(self, x):
        np.log(np.zeros(1))
        return super().forward(x)


def test_what_a_law_did_not_expect_is_a_failure_and_not_the_end(monkeypatch):
    with pytest.raises(LawError, match="ValueError: not today") as caught:
        check_layer(unlawful.RaisesAlways, (5, 3), verbose=False)
    assert [verdict.result for verdict in caught.value.report.verdicts[:2]] == ["FAILS", "not tried"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # which tests of other people may well do
        with pytest.raises(LawError, match="RuntimeWarning: divide by zero"):
            check_layer(Warns, (5, 3), verbose=False)
    law = Law(lambda case: {}["no key"], "a hint")
    assert law.judge(None).message.startswith("KeyError: 'no key' (test_kit.py:")
    assert Law(lambda case: None, "a hint", (lambda case: {}["no excuse"],)).judge(None).result == "FAILS"


class Misspells(sound.Square):
    def forward(self, x):
        return x * cfgg  # noqa: F821


def test_an_error_in_the_code_of_a_layer_is_told_with_its_line():
    line = Misspells.forward.__wrapped__.__code__.co_firstlineno + 1
    with pytest.raises(LawError, match=rf"NameError: name 'cfgg' is not defined \(test_kit\.py:{line}\)"):
        check_layer(Misspells, (5, 3), verbose=False)


def hints_of(factory, **options):
    with pytest.raises(LawError) as caught:
        check_layer(factory, (5, 3), verbose=False, **options)
    return {verdict.law: verdict.hint for verdict in caught.value.report.failures}


class WrongEverywhere(sound.Square):
    def backward(self, grad):
        return 1.1 * super().backward(grad)


def test_a_law_that_is_broken_because_another_one_is_says_which():
    hints = hints_of(unlawful.Assigns)
    own = {"gradients in training", "gradients add up"}
    assert "`.grad = ...`" in hints["gradients add up"]
    assert "check_gradients" in hints["gradients in training"]
    assert {hints[law] for law in hints.keys() - own - {"gradients in evaluation"}} == {
        "mend 'gradients add up' first; this law may then hold as it is"
    }
    training = "mend 'gradients in training' first; this law may then hold as it is"
    assert hints["gradients in evaluation"] == training
    wrong = hints_of(WrongEverywhere)
    assert wrong.keys() == {"gradients in training", "gradients in evaluation", "may follow itself"}
    assert wrong["gradients in evaluation"] == wrong["may follow itself"] == training


def test_a_law_that_is_broken_by_itself_keeps_its_hint():
    assert "self.training" in hints_of(unlawful.WrongInEvaluation)["gradients in evaluation"]
    for broken in (unlawful.KeepsItOnSelf, unlawful.FirstInFirstOut):
        assert "saved.push" in hints_of(broken)["each call keeps its own"]
    assert "memo" in hints_of(unlawful.CopiesWithoutMemo)["parameters may be tied"]


def test_laws_build_on_laws_that_come_before_them():
    assert len(set(LOSS_LAWS)) == len(LOSS_LAWS)
    for law in (*LOSS_LAWS, *OPTIMIZER_LAWS):
        laws = LOSS_LAWS if law in LOSS_LAWS else OPTIMIZER_LAWS
        assert all(laws.index(other) < laws.index(law) for other in law.after)


def test_a_single_law_says_as_well_which_one_to_mend_first():
    tests = parameters_of([("assigns", unlawful.Assigns, (5, 3))])
    with pytest.raises(LawError, match="hint: mend 'gradients add up' first"):
        tests["assigns-parameters_may_be_tied"]()


class KeepsAll(sound.Square):
    def forward(self, x):
        self.all = [*getattr(self, "all", []), x + 0.0]
        return super().forward(x)


def test_memory_is_traced_for_the_caller_as_before():
    (law,) = (law for law in LAYER_LAWS if law.name == "one pass is kept")
    case = case_of_layer("check_layer", sound.Square, [(5, 3)])
    assert law.judge(case).result == "holds"
    assert not tracemalloc.is_tracing()
    tracemalloc.start()
    try:
        held = np.ones(1_000_000)
        assert law.judge(case).result == "holds"
        assert law.judge(replace(case, factory=KeepsAll)).result == "FAILS"
        assert tracemalloc.is_tracing()
        assert tracemalloc.get_traced_memory()[0] > held.nbytes
    finally:
        tracemalloc.stop()


# Factories and inputs


GIVEN = []


class Takes(sound.Scale):
    def __init__(self, features=3, *, rng=None, dtype=np.float64):
        GIVEN.append({"rng": rng, "dtype": dtype})
        super().__init__(features, rng=rng)
        self.astype(dtype)


def test_a_factory_gets_what_it_names():
    GIVEN.clear()
    check_layer(Takes, (5, 3), verbose=False)
    assert all(isinstance(given["rng"], np.random.Generator) for given in GIVEN)
    assert {np.dtype(given["dtype"]) for given in GIVEN} == {np.dtype(np.float32), np.dtype(np.float64)}
    check_layer(lambda: sound.Scale(rng=np.random.default_rng(0)), (5, 3), verbose=False)
    check_layer(lambda rng: nn.Linear(3, 2, rng=rng), (5, 3), verbose=False)
    check_layer(partial(nn.Linear, 3, 2), (5, 3), verbose=False)
    check_layer(lambda *layers: nn.Sequential(nn.Tanh(), *layers), (5, 3), verbose=False)


SHARED = sound.Square()


class Lorentz(sound.Square):
    def __init__(self, width):
        self.width = width


@pytest.mark.parametrize(
    ("factory", "error", "message"),
    [
        (nn.Tanh(), ArgumentTypeError, r"a factory: .*, got Tanh\(\); write lambda: Tanh\(\)"),
        (sound.Scale(3), ArgumentTypeError, r"a factory: .*, got Scale\(\); write lambda rng: Scale\(..., rng=rng\)"),
        (nn.Dropout(), ArgumentTypeError, r"a factory: .*; write lambda rng: Dropout\(..., rng=rng\)"),
        (Lorentz(3), ArgumentTypeError, r"a factory: .*, got Lorentz\(\); write lambda: Lorentz\(...\)"),
        (
            nn.Linear(3, 2),
            ArgumentTypeError,
            r"a factory: .*, got Linear\(3, 2\); write lambda rng: Linear\(..., rng=rng\)",
        ),
        (
            nn.Sequential(nn.Tanh()),
            ArgumentTypeError,
            r"a factory: .*, got Sequential\(\n.*\n\); write lambda: Sequential\(...\)",
        ),
        (3, ArgumentTypeError, "a factory: .*, got 3$"),
        (
            nn.Linear,
            ArgumentTypeError,
            r"a factory .*, got Linear\(in_features, out_features\); write .*partial\(Linear, ...\)",
        ),
        (lambda size, /: nn.Linear(size, 2), ArgumentTypeError, r"a factory that .*, by name, got <lambda>\(size\)"),
        (
            lambda rng, /: nn.Linear(3, 2, rng=rng),
            ArgumentTypeError,
            r"a factory that .*, by name, got <lambda>\(rng\)",
        ),
        (
            lambda *sizes: nn.Linear(*sizes),
            ArgumentTypeError,
            r"a factory that .*<lambda>\(\*sizes\), which raises TypeError: .*; write functools.partial\(<lambda>",
        ),
        (
            lambda *sizes: nn.Linear(3, sizes[-1]),
            ArgumentTypeError,
            "a factory that .*, which raises IndexError: tuple",
        ),
        (lambda: 3, ArgumentTypeError, "a factory: .*, got one that builds 3"),
        (lambda: SHARED, ArgumentError, r"a factory: .*, got one that returns the same Square\(\) again"),
    ],
)
def test_what_is_no_factory_is_refused(factory, error, message):
    with pytest.raises(error, match=f"^check_layer expects {message}"):
        check_layer(factory, (5, 3))


def test_wrong_arguments_are_refused():
    with pytest.raises(ArgumentError, match="check_layer expects the shape of an input, or an example, got none"):
        check_layer(nn.Tanh)
    with pytest.raises(ArgumentError, match="check_layer expects inputs with elements in them"):
        check_layer(nn.Tanh, (0, 3))
    with pytest.raises(DTypeError, match="check_layer expects input 1 to be an array of real numbers"):
        check_layer(sound.SumAndProduct, (5, 3), "text")
    with pytest.raises(ArgumentError, match="mixes_samples to be True, False or 'training', got 'eval'"):
        check_layer(nn.Tanh, (5, 3), mixes_samples="eval")
    with pytest.raises(ArgumentTypeError, match="mixes_samples to be True or False, got 1"):
        check_layer(nn.Tanh, (5, 3), mixes_samples=1)
    with pytest.raises(ArgumentError, match="max_elements to be a positive integer"):
        check_layer(nn.Tanh, (5, 3), max_elements=0)
    with pytest.raises(ArgumentTypeError, match="check_layer expects rng"):
        check_layer(nn.Tanh, (5, 3), rng="0")
    with pytest.raises(ArgumentTypeError, match=r"check_loss expects a factory that builds a loss.*, got Tanh\(\)"):
        check_loss(nn.Tanh, (5, 3), (5, 3))
    with pytest.raises(ArgumentTypeError, match="check_optimizer expects a factory that builds a subclass"):
        check_optimizer(lambda params: None, sound.adam)
    with pytest.raises(ArgumentTypeError, match="check_optimizer expects a function of parameters"):
        check_optimizer(nn.SGD, None)
    with pytest.raises(ArgumentError, match="steps to be a positive integer"):
        check_optimizer(nn.SGD, sound.adam, steps=0)


def test_shapes_become_normal_numbers_for_any_number_of_samples():
    draw, samples = drawing("check", ((5, 3), (5,), (4, 2)))
    assert samples == 5
    shapes = [[x.shape for x in draw(np.random.default_rng(0), np.float32, count)] for count in (0, 1, 9)]
    assert shapes == [[(n, 3), (n,), (4, 2)] for n in (0, 1, 9)]  # what is not as long as the first is no batch
    x, y, z = draw(np.random.default_rng(0), np.float32, 1000)
    assert x.dtype == y.dtype == z.dtype == np.float32
    assert np.abs(x).min() >= 0.1  # where kinks are, usually
    assert abs(x.mean()) < 0.1
    assert 0.9 < x.std() < 1.2


def test_examples_keep_their_samples_together():
    numbers, classes = np.arange(10.0).reshape(5, 2), np.arange(5)
    draw, samples = drawing("check", (numbers, classes, np.array(3.0), 0.5))
    assert samples == 5
    x, labels, number, other = draw(np.random.default_rng(0), np.float32, 12)
    assert x.dtype == number.dtype == other.dtype == np.float32
    assert labels.dtype == classes.dtype
    assert number == 3
    assert set(labels) == set(range(5))
    np.testing.assert_array_equal(x[:, 0], 2 * labels)
    assert not np.shares_memory(x, numbers)
    assert drawing("check", ([1, 2, 3],))[1] == 3


def test_everything_comes_from_the_seed():
    seen = []

    class Sees(sound.Scale):
        def forward(self, x):
            seen[-1].append((x.sum(), self.weight.data.sum()))
            return super().forward(x)

    for seed in (0, 0, 1):
        seen.append([])
        with pytest.raises(LawError, match="a pickle is a twin"):  # it is defined in a function
            check_layer(Sees, (5, 3), verbose=False, rng=seed)
    first, again, other = (pairs[:50] for pairs in seen)  # those of threads come later, in any order
    assert first == again
    assert not {x for x, _ in first} & {x for x, _ in other}
    assert not {weight for _, weight in first} & {weight for _, weight in other}


def test_samples_that_are_mixed_have_to_be_announced():
    batch_norm = partial(sound.BatchNorm1d, 3)
    with pytest.raises(LawError) as caught:
        check_layer(batch_norm, (5, 3), verbose=False)
    failures = caught.value.report.failures
    assert "a batch is its rows in training" in {verdict.law for verdict in failures}
    assert "mixes_samples=True" in str(caught.value)
    with pytest.raises(LawError) as caught:
        check_layer(sound.Centred, (5, 3), mixes_samples="training", verbose=False)
    assert "a batch is its rows in evaluation" in {verdict.law for verdict in caught.value.report.failures}
    check_layer(batch_norm, (5, 3), mixes_samples=True, verbose=False)


def test_only_a_sample_of_the_elements_is_measured_if_wanted(monkeypatch):
    chosen = []

    def check(*inputs, max_elements):
        chosen.append(max_elements)

    monkeypatch.setattr("tinynn.testing.laws.gradients.check_gradients", check)
    check_layer(partial(nn.Linear, 30, 30), (5, 30), max_elements=7, verbose=False)
    assert set(chosen) == {7}


# Losses with several gradients


class WrongAtVar(sound.GaussianNLLLoss):
    def backward(self, grad=None):
        at_prediction, none, at_var = super().backward(grad)
        return at_prediction, none, 2 * at_var


def test_the_gradients_of_a_loss_are_checked_at_every_input_for_which_it_gives_one():
    x1, x2, var = RNG.normal(size=(5, 3)), RNG.normal(size=(5, 3)), RNG.uniform(0.5, 2, (5, 3))
    report = check_gradients(sound.GaussianNLLLoss(), x1, x2, var)
    assert [row.where for row in report.measurements] == ["input", "input 2"]
    report = check_gradients(sound.TripletMarginLoss(reduction="none"), x1, x2, var)
    assert [row.where for row in report.measurements] == ["input", "input 1", "input 2"]
    report = check_gradients(sound.CosineEmbeddingLoss(), x1, x2, np.array([1.0, -1, 1, 1, -1]))
    assert [row.where for row in report.measurements] == ["input", "input 1"]
    with pytest.raises(GradientError) as caught:
        check_gradients(WrongAtVar(), x1, x2, var)
    assert [(finding.where, finding.diagnosis) for finding in caught.value.findings] == [("input 2", "factor")]


class BroadcastsVar(sound.GaussianNLLLoss):
    def forward(self, prediction, target, var):
        return super().forward(prediction, target, var + np.zeros_like(prediction))


def test_what_comes_after_the_target_may_be_broadcast_if_that_is_said():
    inputs = [*PAIR, RNG.uniform(0.5, 2, (5, 3))]
    with pytest.raises(LawError, match=r"inputs of \(5, 3\) and \(5, 3\) and \(1, 3\) gives no ShapeError") as caught:
        check_loss(BroadcastsVar, *inputs, verbose=False)
    assert [verdict.law for verdict in caught.value.report.failures] == ["shapes are not broadcast"]
    assert check_loss(BroadcastsVar, *inputs, broadcasts=True, verbose=False).failures == ()
    with pytest.raises(LawError, match="gives no ShapeError"):
        check_loss(unlawful.Broadcasts, *PAIR, broadcasts=True, verbose=False)


# Optimizers


def test_a_reference_may_yield_or_return_and_work_in_place():
    def in_place(data, grads):
        for grad in grads:
            data -= 0.1 * grad
            yield data

    def descent(params):
        return nn.SGD(params, lr=0.1)

    for reference in (in_place, sound.no_descent):
        assert check_optimizer(descent, reference, verbose=False).failures == ()
    with pytest.raises(LawError, match="the reference gives 1 arrays for 100 steps"):
        check_optimizer(descent, lambda data, grads: [data], verbose=False)

    def off_in_step_3(data, grads):
        for step, right in enumerate(in_place(data, grads), start=1):
            yield right + 1e-6 if step == 3 else right

    with pytest.raises(LawError, match=r"after step 3, parameter 0 is .* where it was"):
        check_optimizer(descent, off_in_step_3, verbose=False)


def test_as_many_steps_are_compared_as_wanted():
    lengths = []

    def reference(data, grads):
        lengths.append(len(grads))
        return sound.adam(data, grads)

    check_optimizer(sound.Adam, reference, steps=7, verbose=False)
    assert set(lengths) == {7}


# pytest


def parameters_of(rows):
    @parametrize_with_laws(rows)
    def test(law):
        law()

    (mark,) = test.pytestmark
    name, parameters = mark.args
    assert mark.name == "parametrize"
    assert name == "law"
    return {parameter.id: parameter.values[0] for parameter in parameters}


def test_there_is_one_test_for_each_law_and_row():
    rows = [
        ("square", sound.Square, (5, 3)),
        ("loss", sound.L1Loss, PAIR),
        ("adam", sound.Adam, sound.adam),
        ("wrong", unlawful.TimesRootOfTwo, (5, 3)),
    ]
    tests = parameters_of(rows)
    assert "square-threads_do_not_meet" in tests
    assert "loss-shapes_are_not_broadcast" in tests
    assert "adam-it_follows_its_reference" in tests
    assert "square-gradients_add_up" not in tests  # it has no parameters
    assert sum(name.startswith("square-") for name in tests) == len(LAYER_LAWS) - 4
    tests["square-float32_is_kept"]()
    with pytest.raises(LawError, match="wrong breaks a law:\n\nfloat32 is kept: "):
        tests["wrong-float32_is_kept"]()
    assert repr(tests["wrong-float32_is_kept"]) == "wrong: float32 is kept"


def test_a_row_that_cannot_be_called_has_all_tests():
    tests = parameters_of([("raises", unlawful.RaisesAlways, (5, 3))])
    assert len(tests) > 25
    for name in ("raises-forward_and_backward_run", "raises-may_follow_itself"):
        with pytest.raises(LawError, match="not today"):
            tests[name]()


@pytest.mark.parametrize(
    "row", [("square", sound.Square), (sound.Square, (5, 3), 3), 3, ("a", sound.Square, (5, 3), 3)]
)
def test_a_row_of_another_form_is_refused(row):
    with pytest.raises(ArgumentTypeError, match=r"^parametrize_with_laws expects "):
        parametrize_with_laws([row])


def test_without_pytest_an_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pytest", None)
    with pytest.raises(MissingExtraError, match=r'the extra "test": python -m pip install'):
        parametrize_with_laws([("square", sound.Square, (5, 3))])


def test_the_kit_needs_no_pytest():
    code = """
        import sys
        sys.modules["pytest"] = None
        import tinynn as nn
        from tinynn.testing import check_layer
        check_layer(nn.Tanh, (5, 3))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Tanh()" in done.stdout


def test_a_factory_that_draws_by_itself_is_as_good_as_one_that_takes_a_generator():
    def factory():
        return nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Dropout(0.5))

    report = check_layer(factory, (5, 3), verbose=False)
    assert report.failures == ()
