"""The benchmarks measure what they say: ratios, verdicts and agreement are right. Nothing here depends on the speed."""

from __future__ import annotations

import itertools
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.benchmarks import contenders, memory, report, rows, run, runner
from tests.benchmarks.cases import GROWTH, INFERENCE, LOGISTIC, OPTIMIZERS, TRAINING, Case
from tests.benchmarks.contenders import BACKWARD, BARE, EAGER, GEMMS, JAX, ONE_SAMPLE, PLACES, SKLEARN, TINYNN
from tests.benchmarks.contenders import NOTE as LISTING
from tests.benchmarks.hotspots import Hotspot, hotspots
from tests.benchmarks.runner import DisagreementError, MissingError, Ratio, Result, Worker, agree, measure, take_turns
from tests.benchmarks.worker import answers, look, seconds

FOLDER = Path(contenders.__file__).parent
NOTE_CASE = Case((3, 2, 3, 4), 1, "float64")
ROW = rows.Row("a case", EAGER, bar=0.7, aim=0.5)


class Weather:
    """A machine that gets slower from round to round: with two contenders, a round has two pauses."""

    def __init__(self) -> None:
        self.pauses = 0

    def pause(self, _seconds: float) -> None:
        self.pauses += 1

    @property
    def slowness(self) -> int:
        return max(1, (self.pauses + 1) // 2)


class Fake:
    """A contender of known speed, with a clock of its own."""

    def __init__(self, speed: float, log: list[tuple[str, int]], name: str, weather: Weather | None = None) -> None:
        self.speed, self.log, self.name, self.now = speed, log, name, 0.0
        self.weather = weather or Weather()

    def run(self, steps: int) -> None:
        self.now += steps * self.speed * self.weather.slowness

    def seconds(self, steps: int) -> float:
        self.log.append((self.name, steps))
        return seconds(self.run, steps, lambda: self.now)


def no_pause(_seconds: float) -> None:
    """Go on at once."""


def test_a_ratio_is_that_of_the_speeds_whatever_the_weather() -> None:
    weather = Weather()
    workers = {name: Fake(speed, [], name, weather) for name, speed in (("fast", 1e-5), ("slow", 4e-5))}
    result = Result(NOTE_CASE, take_turns(workers, 10, weather.pause))
    assert result.times["fast"] == pytest.approx([1e-5 * slowness for slowness in range(1, 11)])
    ratio = result.ratio("fast", "slow")
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((0.25, 0.25, 0.25))


def test_a_ratio_is_of_medians_and_its_spread_of_single_rounds() -> None:
    assert Ratio.of([1.0, 2.0, 30.0], [2.0, 4.0, 5.0]).value == 0.5  # a mean would be misled by the disturbed round
    ratio = Ratio.of([float(n) for n in range(11)], [10.0] * 11)
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((0.5, 0.1, 0.9))


def test_everybody_has_a_slice_in_each_round_and_nobody_always_follows_the_same() -> None:
    log: list[tuple[str, int]] = []
    pauses: list[float] = []
    workers = {name: Fake(1.0, log, name) for name in "abc"}  # a step is longer than a slice: one step each
    times = take_turns(workers, 3, pauses.append)
    turns = "".join(name for name, _ in log)
    assert turns == "abc" + "abc" + "bca" + "cab"  # to find out how many steps fill a slice, then three rounds
    assert {name: len(values) for name, values in times.items()} == dict.fromkeys("abc", 3)
    assert len(pauses) == 9


def test_slices_are_of_equal_length() -> None:
    log: list[tuple[str, int]] = []
    take_turns({name: Fake(speed, log, name) for name, speed in (("a", 1e-6), ("b", 1e-4))}, 1, no_pause)
    assert log[-2:] == [("a", round(runner.SLICE / 1e-6)), ("b", round(runner.SLICE / 1e-4))]


def test_a_slow_case_has_fewer_rounds() -> None:
    fake = Fake(runner.BUDGET, [], "slow")
    assert len(take_turns({"slow": fake}, 100, no_pause)["slow"]) == runner.FEWEST


def test_a_slice_is_timed_without_its_warming_up() -> None:
    fake, done = Fake(3.0, [], "a"), []

    def work(steps: int) -> None:
        done.append(steps)
        fake.run(steps)

    assert seconds(work, 20, lambda: fake.now) == 60
    assert done == [3, 20]


def test_contenders_that_compute_something_else_are_noticed() -> None:
    losses = {TINYNN: [0.5, 0.4], GEMMS: None, BARE: [0.5, 0.4 * (1 + 1e-10)]}
    agree(NOTE_CASE, losses)
    with pytest.raises(DisagreementError, match=rf"^{re.escape(str(NOTE_CASE))}: {BARE} computes \[0.5, 0.41\]"):
        agree(NOTE_CASE, {**losses, BARE: [0.5, 0.41]})
    with pytest.raises(DisagreementError, match=EAGER):
        agree(Case((3, 2), 1, "float32"), {TINYNN: [0.5], EAGER: [0.5001]})
    with pytest.raises(DisagreementError, match=EAGER):
        agree(NOTE_CASE, {TINYNN: [0.5], EAGER: [float("nan")]})


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("sizes", "batch"), [((3, 2, 3, 4), 1), ((8, 6, 5), 4)])
def test_plain_numpy_and_tinynn_compute_the_same(
    sizes: tuple[int, ...], batch: int, dtype: str, optimizer: str
) -> None:
    case = Case(sizes, batch, dtype, optimizer)
    names = [name for name in contenders.for_case(case) if PLACES[name].startswith(("framework", "plain"))]
    losses = {name: look(contenders.build(name, case), runner.STEPS_LOOKED_AT) for name in names}
    agree(case, losses)
    assert losses[GEMMS] is None
    first, last = losses[TINYNN][0], losses[TINYNN][-1]
    assert abs(first - last) > 10 * runner.TOLERANCES[dtype] * first  # or an update that is missing would not show


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_scikit_learn_and_tinynn_compute_the_same(optimizer: str) -> None:
    case = Case((8, 6, 5), 4, "float64", optimizer, nonlinearity="logistic")
    names = (TINYNN, BACKWARD, SKLEARN)
    losses = {name: np.array(look(contenders.build(name, case), runner.STEPS_LOOKED_AT)) for name in names}
    tolerance = 1e-5 if optimizer == "Adam" else 1e-12  # it adds epsilon in another place
    for name in names:
        np.testing.assert_allclose(losses[name], losses[TINYNN], rtol=tolerance)


def test_outputs_are_compared_in_inference() -> None:
    case = Case((3, 2, 3, 4), 2, "float64", task="inference")
    outputs = {name: look(contenders.build(name, case), 1) for name in (TINYNN, BARE, GEMMS)}
    agree(case, outputs)
    assert len(outputs[TINYNN]) == 8


def test_contenders_run_in_processes_of_their_own() -> None:
    names = [TINYNN, BACKWARD, ONE_SAMPLE, LISTING, BARE, GEMMS]
    result = measure(NOTE_CASE, 2, names)
    assert list(result.times) == names
    assert all(len(values) == 2 and min(values) > 0 for values in result.times.values())
    assert not result.missing


def test_a_contender_that_computes_something_else_stops_the_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = itertools.count()
    monkeypatch.setattr(Worker, "look", lambda _self, steps: [float(next(numbers))] * steps)
    with pytest.raises(DisagreementError, match=BARE):
        measure(NOTE_CASE, 1, [TINYNN, BARE])


def test_a_library_that_is_not_installed_is_left_out_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "tests.benchmarks.contenders.pytorch", raising=False)
    question = {"contender": EAGER, "case": {"sizes": [3, 2], "batch": 1}}
    assert list(answers(iter([question]))) == [{"missing": "torch is not installed"}]
    result = Result(NOTE_CASE, {TINYNN: [1.0]}, {EAGER: "torch is not installed"})
    assert report.left_out(report.Measured(results={NOTE_CASE: result})) == [
        'PyTorch eager is left out: torch is not installed; python -m pip install -e ".[bench]"'
    ]


def test_without_tinynn_there_is_nothing_to_compare(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: Worker, contender: str, _case: Case) -> None:
        raise MissingError(f"no {contender}")

    monkeypatch.setattr(Worker, "__init__", refuse)
    result = measure(NOTE_CASE, 1)
    assert (result.times, result.missing) == ({}, {TINYNN: "no tinynn"})
    assert rows.judge(rows.TIMED[0], result).verdict == "left out: no tinynn"


@pytest.mark.parametrize(
    ("value", "verdict"),
    [(0.71, "missed"), (0.7, "held"), (0.51, "held"), (0.5, "held, aim reached"), (float("nan"), "missed")],
)
def test_a_row_is_held_up_to_its_bar(value: float, verdict: str) -> None:
    assert rows.judge(ROW, Ratio.exactly(value)).verdict == verdict
    times = {TINYNN: [value], EAGER: [1.0], JAX: [9.0]}
    assert rows.judge(ROW, Result(NOTE_CASE, times)).verdict == verdict


def test_a_row_whose_contender_is_missing_is_neither_held_nor_missed() -> None:
    judged = rows.judge(ROW, Result(NOTE_CASE, {TINYNN: [1.0]}, {EAGER: "torch is not installed"}))
    assert judged.verdict == "left out: torch is not installed"
    assert "| left out: torch is not installed |" in report.verdicts([judged])


def test_every_contender_has_its_function() -> None:
    for place in PLACES.values():
        file, function = place.split(".")
        assert f"\ndef {function}(case: Case) -> Run:" in (FOLDER / f"{file}.py").read_text(encoding="utf-8")


def test_cases_are_told_apart_by_their_text() -> None:
    cases = {*TRAINING, *LOGISTIC, *INFERENCE, *itertools.chain(*GROWTH.values()), *(row.what for row in rows.TIMED)}
    assert len({str(case) for case in cases}) == len(cases)
    assert {row.what for row in rows.TIMED} <= {*TRAINING, *INFERENCE}
    assert all(row.against in contenders.for_case(row.what) for row in rows.TIMED)
    assert all(row.aim < row.bar for row in (*rows.TIMED, rows.IMPORT, rows.MEMORY))


def test_what_must_be_kept_is_counted() -> None:
    case = Case((3, 2, 3, 4), 5, "float64", "Adam")
    parameters = (2 * 3 + 2) + (3 * 2 + 3) + (4 * 3 + 4)
    saved = 5 * ((2 + 3 + 4) + (2 + 3) + 4)  # before each sigmoid, between layers, the error
    assert memory.must_be_kept(case) == 8 * (4 * parameters + saved)


def test_the_peak_of_memory_is_that_of_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(_contender: str, _case: Case) -> contenders.Run:
        kept = np.zeros(1_000_000, np.uint8)

        def run(_steps: int) -> int:
            return int(np.ones(2_000_000, np.uint8)[0] + kept[0])  # freed at once, but the peak knows it

        return run

    monkeypatch.setattr(memory, "build", build)
    assert memory.peak("anybody", NOTE_CASE) == pytest.approx(3_000_000, rel=0.01)


def test_a_profile_names_functions_and_their_shares() -> None:
    spots = hotspots(NOTE_CASE, 10)
    calls = {spot.function: spot.calls for spot in spots}
    assert calls["layers/linear.py: forward"] == 3
    assert sum(spot.share for spot in spots) == pytest.approx(1)
    assert spots == sorted(spots, key=lambda spot: -spot.share)


# The command


@pytest.fixture(name="fake")
def _fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, float]:
    """Replace everything that takes time; the returned speeds of contenders may be changed."""
    speeds = dict.fromkeys(PLACES, 1.0)

    def fake_measure(case: Case, rounds: int, names: list[str] | None = None) -> Result:
        return Result(case, {name: [speeds[name]] * rounds for name in names or contenders.for_case(case)})

    monkeypatch.setattr(run, "measure", fake_measure)
    monkeypatch.setattr(run, "import_times", lambda rounds: {"numpy": [1.0] * rounds, "tinynn": [1.5] * rounds})
    monkeypatch.setattr(run, "peak", lambda _contender, case: 2 * memory.must_be_kept(case))
    monkeypatch.setattr(run, "hotspots", lambda _case, _steps: [Hotspot("a.py: f", 1.0, 0.75)])
    monkeypatch.setattr(report, "PAGE", tmp_path / "performance.md")
    (tmp_path / "images").mkdir()
    return speeds


def test_the_rows_are_printed_as_held_or_missed(fake: dict[str, float], capsys: pytest.CaptureFixture[str]) -> None:
    fake[TINYNN] = 0.8
    assert run.main(["--rows", "--rounds", "3"]) == 1
    printed = capsys.readouterr().out
    lines = [line.strip("| ").split(" | ") for line in printed.splitlines() if "≤" in line]
    verdicts = {(case, against, verdict) for case, against, *_, verdict in lines}
    assert len(verdicts) == len(rows.TIMED) + 2
    assert (str(rows.TRAIN_MEDIUM), EAGER, "**missed**") in verdicts
    assert (str(rows.TRAIN_LARGE), EAGER, "held, aim reached") in verdicts
    assert ("import tinynn", "import numpy", "held") in verdicts
    assert (rows.MEMORY.what, "what must be kept", "**missed**") in verdicts
    fake[TINYNN] = 0.1
    assert run.main(["--rows", "--only", r"^\d"]) == 0


def test_only_what_was_asked_for_is_measured(fake: dict[str, float], capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--list", "--only", "^64-64-10, batch 32.*float32, SGD, 2 threads$"]) == 0
    assert capsys.readouterr().out.splitlines() == [str(rows.TRAIN_SMALL)]


def test_the_page_shows_everything_that_was_measured(fake: dict[str, float]) -> None:
    fake[EAGER] = 4.0
    run.main(["--write", "--rounds", "2"])
    page = report.PAGE.read_text(encoding="utf-8")
    for title in ("Bars", "Training", "Beside scikit-learn", "Inference", "As networks grow", "Import", "Memory"):
        assert f"\n## {title}\n" in page
    for case in (*TRAINING, *INFERENCE):
        assert f"{case.network}, batch {case.batch} |" in page
        assert case.setting.removeprefix("training, ") in page
    assert "\npython tests/benchmarks/run.py --write --rounds 2\n" in page
    assert "| 0.25 |" in page  # against PyTorch
    for picture in re.findall(r"\]\((images/\w+\.png)\)", page):
        assert (report.PAGE.parent / picture).read_bytes().startswith(b"\x89PNG\r\n")
    assert len(re.findall("```", page)) == 2


@pytest.mark.parametrize("load", [0.1, 1.5])
def test_a_busy_machine_is_noticed(
    load: float, fake: dict[str, float], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (load, 0.0, 0.0), raising=False)
    run.main(["--rows", "--write"])
    for text in (capsys.readouterr().out, report.PAGE.read_text(encoding="utf-8")):
        assert ("busy with something else (load 1.5)" in text) == (load > 1)


def test_a_case_whose_contenders_differ_is_refused(
    fake: dict[str, float], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measure_all = run.measure

    def differ(case: Case, *more: Any) -> Result:
        if case == rows.TRAIN_SMALL:
            raise DisagreementError("they differ")
        return measure_all(case, *more)

    monkeypatch.setattr(run, "measure", differ)
    assert run.main(["--rows", "--write"]) == 2
    printed = capsys.readouterr().out
    page = report.PAGE.read_text(encoding="utf-8")
    for text in (printed, page):
        lines = [line for line in text.splitlines() if line.startswith(f"| {rows.TRAIN_SMALL} |") and "≤" in line]
        assert len(lines) == 2
        assert all(line.endswith("| left out: refused, they differ |") for line in lines)
    assert printed.endswith("so these were not measured:\nthey differ\n")


def test_a_run_that_is_stopped_shows_what_was_measured(
    fake: dict[str, float], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measure_all = run.measure

    def stop(case: Case, *more: Any) -> Result:
        if case == rows.TRAIN_MEDIUM:
            raise KeyboardInterrupt
        return measure_all(case, *more)

    monkeypatch.setattr(run, "measure", stop)
    assert run.main(["--rows", "--write"]) == 130
    for text in (capsys.readouterr().out, report.PAGE.read_text(encoding="utf-8")):
        assert f"The run was stopped at {rows.TRAIN_MEDIUM}: what follows it is not here." in text
        assert any(line.startswith(f"| {rows.TRAIN_SMALL} |") and "≤" in line for line in text.splitlines())
        assert not any(line.startswith(f"| {rows.TRAIN_LARGE} |") for line in text.splitlines())
