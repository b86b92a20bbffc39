"""Every example runs as a script, and what it claims holds."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import tinynn as nn
from tinynn.testing import LawError, check_gradients

EXAMPLES = Path(__file__).parent.parent / "examples"
PICTURES = {
    "custom_layer": [],
    "diabetes": [],
    "digits": ["digits.png"],
    "digits_trainer": ["digits_trainer.png"],
    "document_network": [],
    "first_backward": [],
    "nonlinearities": ["nonlinearities.png"],
    "pendulum": [],
    "regression": ["regression.png"],
}
SHORTER = {  # the whole of it runs below
    "diabetes": ["--seeds", "2"],
    "digits": ["--epochs", "2"],
    "nonlinearities": ["--epochs", "1", "--depths", "2", "3"],
}

Load = Callable[[str], ModuleType]


@pytest.fixture(name="load")
def _load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """Import an example by its name, anew for each test."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        return module

    return load


def assert_picture(path: Path) -> None:
    assert path.read_bytes().startswith(b"\x89PNG\r\n")
    assert path.stat().st_size > 10_000


def test_every_example_is_listed_here() -> None:
    assert sorted(PICTURES) == sorted(path.stem for path in EXAMPLES.glob("*.py"))


@pytest.mark.parametrize("name", sorted(PICTURES))
def test_an_example_runs_as_a_script_from_any_folder(name: str, tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key not in {"DISPLAY", "MPLBACKEND"}}
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *SHORTER.get(name, [])]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8", check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "Warning" not in done.stderr
    assert done.stderr == "" or name == "digits"  # its progress bar
    assert sorted(path.name for path in tmp_path.glob("pictures/*")) == PICTURES[name]


@pytest.mark.parametrize("name", sorted(name for name, pictures in PICTURES.items() if pictures))
def test_a_missing_package_is_named_with_its_remedy(name: str, load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'python -m pip install -e "\.\[examples\]"'):
        load(name)


# The note's network


def test_document_network_agrees_with_the_corrected_listing(load: Load, capsys: pytest.CaptureFixture[str]) -> None:
    example = load("document_network")
    assert example.main([]) < 1e-12
    printed = capsys.readouterr().out
    for equation in ("(2)", "(10)", "(22)", "(23)", "(24)", "(25)", "(26)", "(27)"):
        assert equation in printed


def test_document_network_would_show_a_difference(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    example = load("document_network")
    monkeypatch.setattr(example, "d_sigma", lambda x: 1.001 / np.pi / (1 + x * x))
    assert example.main(["--updates", "1"]) > 1e-6


def test_from_zeros_only_the_last_layer_learns_at_first(load: Load) -> None:
    example = load("document_network")
    model = example.build_model(np.random.default_rng(0))
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    values = example.one_step(model, nn.MSELoss(), nn.SGD(model.parameters()))
    assert not any(values[name].any() for name in ("grad W1", "grad B1", "grad W2", "grad B2"))
    np.testing.assert_allclose(values["grad A3"], -1.5)
    np.testing.assert_allclose(values["grad B3"], -1.5 / np.pi)
    np.testing.assert_allclose(values["grad W3"], -0.75 / np.pi)


def test_by_hand_and_at_once_are_the_same(load: Load) -> None:
    example = load("document_network")
    model = example.build_model(np.random.default_rng(0))
    loss_fn = nn.MSELoss()
    at_once = nn.Sequential(*model)
    loss_fn(at_once(example.INPUT_DATA), example.OUTPUT_DATA)
    at_once.backward(loss_fn.backward())
    gradients = [parameter.grad.copy() for parameter in model.parameters()]
    values = example.one_step(model, loss_fn, nn.SGD(model.parameters()))
    names = [f"grad {kind}{number}" for number in (1, 2, 3) for kind in "WB"]
    for name, gradient in zip(names, gradients, strict=True):
        np.testing.assert_array_equal(values[name], gradient)


# Digits


def test_digits_reaches_97_percent(load: Load, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example = load("digits")
    (result,) = example.main(["--pictures", str(tmp_path)])
    assert result >= 0.97
    assert_picture(tmp_path / "digits.png")
    lines = capsys.readouterr().out.splitlines()
    assert sum("loss" in line and "test accuracy" in line for line in lines) == example.EPOCHS
    assert f"{result:.2%}" in lines[example.EPOCHS - 1]  # the final epoch, not the best one


def test_digits_runs_several_seeds(load: Load, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = load("digits").main(["--seeds", "2", "--seed", "7", "--epochs", "1", "--pictures", str(tmp_path)])
    printed = capsys.readouterr().out
    assert len(results) == 2
    assert f"mean {np.mean(results):.2%}, worst {min(results):.2%}" in printed


def test_digits_depends_on_the_seed_alone(load: Load) -> None:
    example = load("digits")
    first, again, other = (example.train(seed, 2, verbose=False) for seed in (3, 3, 4))
    assert first.losses == again.losses
    np.testing.assert_array_equal(first.predictions, again.predictions)
    assert first.losses != other.losses


def test_digits_holds_out_30_percent_of_every_digit(load: Load) -> None:
    run = load("digits").train(0, 1, verbose=False)
    assert len(run.labels) == len(run.pictures) == 540
    assert all(52 <= count <= 55 for count in np.bincount(run.labels))


def test_digits_shifts_pictures_by_less_than_a_pixel(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    example = load("digits")
    picture = np.zeros((8, 8))
    picture[3, 3] = 1
    rng = np.random.default_rng(0)
    shifted = example.shift_a_little(np.tile(picture.reshape(1, 64), (100, 1)), rng).reshape(-1, 8, 8)
    np.testing.assert_allclose(shifted.sum(axis=(1, 2)), 1)  # nothing is lost inside the picture
    assert not np.delete(np.delete(shifted, (2, 3, 4), axis=1), (2, 3, 4), axis=2).any()
    assert shifted[:, 3, 3].min() >= (1 - example.SHIFT) ** 2
    monkeypatch.setattr(example, "SHIFT", 0.0)
    np.testing.assert_array_equal(example.shift_a_little(picture.reshape(1, 64), rng), picture.reshape(1, 64))


# The same with a trainer


def test_digits_trainer_ends_early_and_goes_on_after_a_crash_to_the_same_bits(
    load: Load, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example = load("digits_trainer")
    same, accuracy = example.main(["--pictures", str(tmp_path)])
    assert same
    assert accuracy > 0.96
    assert_picture(tmp_path / "digits_trainer.png")
    printed = capsys.readouterr().out
    assert printed.count("a crash in epoch 6, after batch 16\n") == 1
    assert printed.count("; training ends\n") == 2
    assert printed.count("Epoch 1/100: ") == 2  # the third run begins in the sixth
    assert printed.count("Epoch 6/100: ") == 2
    assert f"equal to the last bit: yes\n{accuracy:.2%} of 540" in printed


def test_digits_trainer_would_notice_another_end(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    example = load("digits_trainer")
    monkeypatch.setattr(example, "EPOCHS", 1)
    data = example.load(0)
    one, other = example.train(data, 0), example.train(data, 0)
    assert example.equal(one, other)
    weight = other.model[0].weight.data
    weight[3, 5] = np.nextafter(weight[3, 5], np.float32(1))
    assert not example.equal(one, other)
    assert not example.equal(one, example.train(data, 1))


# A layer of one's own


def test_custom_layer_has_right_gradients_and_learns(load: Load) -> None:
    example = load("custom_layer")
    error, first, last = example.main([])
    assert error < 1e-9
    noise_floor = example.NOISE**2 / 2  # what the true landscape would be left with
    assert last < 1.25 * noise_floor < 0.1 * first


def test_custom_layer_would_notice_a_wrong_gradient(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    example = load("custom_layer")
    rng = np.random.default_rng(0)
    x, target = example.measure(5, rng)
    monkeypatch.setattr(example.Bell, "derivative", staticmethod(lambda x: -1.001 * np.exp(-x)))
    assert example.largest_gradient_error(example.build_model(rng), x, target) > 1e-6


def test_custom_layer_is_right_to_the_last_digit(load: Load) -> None:
    example = load("custom_layer")
    rng = np.random.default_rng(0)
    assert check_gradients(example.Distances(2, 3, rng=rng), rng.normal(size=(5, 2))).largest.error < 1e-12
    assert check_gradients(example.Bell(), rng.normal(size=(5, 2))).largest.error < 1e-12


# A backward, proved


def test_first_backward_names_three_mistakes_and_finds_every_law_kept(
    load: Load, capsys: pytest.CaptureFixture[str]
) -> None:
    example = load("first_backward")
    said, reports = example.main()
    assert said == {
        "WithoutTheTwo": ["factor", "factor"],
        "Transposed": ["transposed"],
        "KeptOnSelf": ["stale-state", "stale-state"],
        "Weighted": [],
    }
    assert all(report.failures == () for report in reports)
    printed = capsys.readouterr().out
    assert all(str(report) in printed for report in reports)


def test_first_backward_would_notice_a_broken_law(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    example = load("first_backward")
    monkeypatch.setattr(example.Weighted, "__deepcopy__", lambda layer, memo: layer, raising=False)
    with pytest.raises(LawError, match="a deepcopy is a twin"):
        example.main()


# Diabetes


@pytest.mark.filterwarnings("ignore:.*`disp` and `iprint`:DeprecationWarning")  # what scikit-learn 1.6 asks of SciPy
def test_diabetes_is_told_as_well_as_by_the_network_of_scikit_learn(
    load: Load, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    example = load("diabetes")
    monkeypatch.setattr(example, "WIDTHS", [5])
    monkeypatch.setattr(example, "PENALTIES", [10.0, 30.0])
    scores = example.main(["--seeds", "3"])
    means = {name: np.mean(values) for name, values in scores.items()}
    assert abs(means["TinyRegressor, tanh"] - means["MLPRegressor, tanh"]) < 0.01
    assert all(0.45 < value < 0.55 for value in means.values())
    printed = capsys.readouterr().out
    for name, values in scores.items():
        line = next(line for line in printed.splitlines() if line.startswith(name))
        assert f"mean {np.mean(values):.3f}, spread {np.std(values, ddof=1):.3f}" in line


def test_diabetes_holds_the_same_patients_out_for_everybody(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    example = load("diabetes")
    seen = []

    def score(search: object, x: object, y: object, cv: object) -> object:
        seen.append([[part.tolist() for part in parts] for parts in cv.split(x)])  # type: ignore[attr-defined]
        return np.zeros(5)

    monkeypatch.setattr(example, "cross_val_score", score)
    example.scores_of(0)
    assert len(seen) == 4
    assert all(folds == seen[0] for folds in seen)
    example.scores_of(1)
    assert seen[-1] != seen[0]


# Nonlinearities


def test_nonlinearities_learn_deep_down_from_a_start_that_suits_them(
    load: Load, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example = load("nonlinearities")
    results = example.main(["--depths", "5", "--pictures", str(tmp_path)])
    accuracies = {key: result.accuracy for key, result in results.items()}
    assert all(value > 0.9 for (_, start, _), value in accuracies.items() if start == "suitable")
    assert all(accuracies[name, "default", 5] < 0.25 for name in ("arctan sigmoid", "logistic", "GELU"))
    assert all(accuracies[name, "default", 5] > 0.75 for name in ("tanh", "ReLU"))
    assert_picture(tmp_path / "nonlinearities.png")
    printed = capsys.readouterr().out
    assert all(f"{value:.1%}" in printed for value in accuracies.values())


def test_nonlinearities_choose_the_rate_by_the_training_loss_alone(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    example = load("nonlinearities")
    losses = iter((3.0, 1.0, 2.0) * 10)

    def train(model: nn.Layer, data: object, rate: float, epochs: int, rng: np.random.Generator) -> object:
        return example.Result(loss=next(losses), accuracy=rate, rate=rate)

    monkeypatch.setattr(example, "train", train)
    assert {result.rate for result in example.compare(0, (2,), 1).values()} == {example.RATES[1]}


def test_nonlinearities_give_up_on_a_rate_that_is_too_high(load: Load) -> None:
    example = load("nonlinearities")
    rng = np.random.default_rng(0)
    model = example.build_model(nn.ReLU, example.KAIMING, 10, rng)
    result = example.train(model, example.load(0), 1e6, 1, rng)
    assert result.loss == np.inf
    assert result.accuracy == 0.1


# Pendulum


def test_pendulum_is_learned_to_the_goal_by_a_method_of_second_order_alone(
    load: Load, capsys: pytest.CaptureFixture[str]
) -> None:
    example = load("pendulum")
    loss, adam = example.main([])
    assert loss < example.GOAL < 1e-2 * adam
    assert f"{loss:.1e}" in capsys.readouterr().out


def test_pendulum_has_the_period_that_an_integral_gives(load: Load) -> None:
    angle = np.array([0.0, 0.5, 2.0])
    phi = (np.arange(1000) + 0.5) * np.pi / 1000
    expected = np.mean(1 / np.sqrt(1 - np.sin(angle[:, np.newaxis] / 2) ** 2 * np.sin(phi) ** 2), axis=1)
    np.testing.assert_allclose(load("pendulum").period(angle), expected, rtol=1e-13)


# Regression


def test_regression_fits_the_curve_and_not_the_noise(load: Load, tmp_path: Path) -> None:
    example = load("regression")
    loss, distance = example.main(["--pictures", str(tmp_path)])
    noise_floor = example.NOISE**2 / 2
    assert 0.75 * noise_floor < loss < 1.25 * noise_floor
    assert distance < example.NOISE / 2
    assert_picture(tmp_path / "regression.png")
