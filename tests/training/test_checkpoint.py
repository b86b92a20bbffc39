"""A run that was stopped goes on from its files: exactly, from the newest that is whole, or not at all."""

import copy
import functools
import os
import re
import signal
from pathlib import Path

import numpy as np
import pytest

import tinynn as nn
from tests.soak import files as soak
from tests.training.test_resume import EPOCHS, VALIDATION, Run, assert_equal
from tinynn.errors import CheckpointError, CheckpointWarning, StateError, TinynnError
from tinynn.training import checkpoint as module

ALL = 1000
"""As many checkpoints as a run makes."""


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def fit(run, *callbacks, resume=None):
    """Train a run with everything on; callbacks that save are given last."""
    callbacks = [run.stopping, *callbacks]
    return run.trainer.fit(
        run.loader, EPOCHS, validation=VALIDATION, callbacks=callbacks, progress=False, resume=resume
    )


def outcome(run):
    """Return everything that must be the same in the end, whatever looked on."""
    state = run.trainer.state_dict()
    state["callbacks"] = [entry for entry in state["callbacks"] if entry[0] == "EarlyStopping"]
    return state


def listing():
    return sorted(path.name for path in Path().iterdir())


def simple(seed=0, **options):
    """A small run: 4 updates in each epoch."""
    rng = np.random.default_rng(seed)
    model = nn.Sequential(nn.Linear(3, 4, rng=rng), nn.Tanh(), nn.Linear(4, 1, rng=rng))
    return nn.Trainer(model, nn.MSELoss(), nn.SGD(model.parameters(), lr=0.1, momentum=0.9), **options)


X = np.random.default_rng(0).normal(size=(20, 3))
DATA = (X, X[:, :1] * X[:, 1:2])


def go(trainer, *callbacks, epochs=3, resume=None, data=DATA, **options):
    options = {"batch_size": 5, "rng": 0, "progress": False} | options
    return trainer.fit(data, epochs, callbacks=callbacks, resume=resume, **options)


class BlowError(Exception):
    pass


class Crash(nn.Callback):
    """Raises after a number of batches."""

    def __init__(self, batches):
        self.batches = batches

    def on_batch_end(self, trainer):
        self.batches -= 1
        if self.batches == 0:
            raise BlowError


def after(batches, function):
    """Return a callback that calls a function after a number of batches."""
    seen = iter(range(1, ALL))
    return nn.LambdaCallback(on_batch_end=lambda trainer: function(trainer) if next(seen) == batches else None)


# To go on exactly


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize(
    ("optimizer", "schedule", "shared"),
    [("SGD", "step", False), ("Adam", "step", True), ("SGD", "plateau", True), ("Adam", "cycle", False)],
)
def test_a_run_goes_on_exactly_from_the_file_of_every_step(optimizer, schedule, shared, accumulate):
    whole = Run(0, optimizer, schedule, shared, accumulate)
    fit(whole, nn.Checkpoint("run.npz", every_steps=1, keep=ALL))
    steps = whole.trainer.global_step
    assert listing() == [f"run-{step:08}.npz" for step in range(1, steps + 1)]
    assert steps == whole.trainer.epoch * -(-8 // accumulate) >= 6
    expected = outcome(whole)
    for name in listing():
        again = Run(1, optimizer, schedule, shared, accumulate)
        fit(again, resume=name)
        assert_equal(outcome(again), expected)


@pytest.mark.parametrize("keep", [1, 3])
def test_one_command_starts_and_starts_again_until_a_run_is_done(keep, capsys):
    whole = Run(0, "Adam", "step", shared=True)
    fit(whole)
    for attempt in range(ALL):
        run = Run(attempt, "Adam", "step", shared=True)
        if attempt == 0:
            run = Run(0, "Adam", "step", shared=True)
        try:
            fit(run, Crash(4), nn.Checkpoint("run.npz", every_steps=1, keep=keep), resume="run.npz")
            break
        except BlowError:
            pass
    assert attempt > 4
    assert_equal(outcome(run), outcome(whole))
    first, *others = capsys.readouterr().out.splitlines()
    assert first == "There is no checkpoint run.npz yet: training begins"
    assert len(others) == attempt
    assert re.fullmatch(r"Training goes on from run(-0000000\d)?\.npz: 0 epochs and 3 batches are done", others[0])


def test_a_run_that_is_done_returns_its_history_at_once_with_the_weights_it_ended_with():
    first, again = Run(0, "SGD", "step", shared=False), Run(1, "SGD", "step", shared=False)
    fit(first, nn.Checkpoint("run.npz"))
    content, written = Path("run.npz").read_bytes(), Path("run.npz").stat().st_mtime_ns
    history = fit(again, Crash(1), nn.Checkpoint("run.npz"), resume="run.npz")
    assert history.history == first.trainer.history.history
    assert_equal(outcome(again), outcome(first))
    assert (Path("run.npz").read_bytes(), Path("run.npz").stat().st_mtime_ns) == (content, written)


def test_a_run_that_was_done_goes_on_if_there_are_to_be_more_epochs():
    whole, first, again = simple(), simple(), simple(1)
    stopping = {"monitor": "loss", "patience": 100}
    go(whole, nn.EarlyStopping(**stopping), epochs=5)
    go(first, nn.EarlyStopping(**stopping), nn.Checkpoint("run.npz"), epochs=2)
    go(again, nn.EarlyStopping(**stopping), epochs=5, rng=7, resume="run.npz")
    assert_equal(again.model.state_dict(), whole.model.state_dict())


def test_epochs_count_from_the_beginning_of_the_run_that_goes_on():
    first, again = simple(), simple()
    go(first, epochs=2)
    go(first, after(6, lambda trainer: trainer.stop()), nn.Checkpoint("run.npz"), epochs=3)
    go(again, epochs=3, resume="run.npz")
    assert (first.epoch, again.epoch) == (3, 5)


@pytest.mark.parametrize(
    "stop", [lambda trainer: signal.raise_signal(signal.SIGINT), nn.Trainer.stop], ids=["Ctrl-C", "stop"]
)
@pytest.mark.parametrize("batches", [1, 8, 11])
def test_a_fit_that_was_asked_to_end_leaves_a_checkpoint_with_all_that_was_done(stop, batches):
    """Early stopping puts the best weights back in the end: training does not go on from those."""
    whole, first, again = (Run(0, "Adam", "step", shared=False, accumulate=1, patience=5) for _ in range(3))
    fit(whole)
    fit(first, after(batches, stop), nn.Checkpoint("run.npz", every_epochs=2))
    assert first.trainer.global_step == batches
    assert nn.load("run.npz")["global_step"] == batches
    fit(again, resume="run.npz")
    assert_equal(outcome(again), outcome(whole))


class Count(nn.Callback):
    """Counts batches."""

    batches = 0

    def on_batch_end(self, trainer):
        self.batches += 1

    def state_dict(self):
        return {"batches": self.batches}

    def load_state_dict(self, state_dict):
        self.batches = state_dict["batches"]


def test_a_checkpoint_of_a_step_holds_what_others_did_in_its_batch():
    trainer, again = simple(accumulate=2), simple(accumulate=2)
    first, second = Count(), Count()
    go(trainer, nn.Checkpoint("run.npz", every_steps=1, keep=ALL), first)
    go(again, second, resume="run-00000003.npz")
    assert first.batches == second.batches == 12


def test_a_checkpoint_does_not_hold_the_order_of_the_data():
    x = np.zeros((50_000, 1))
    trainer = nn.Trainer(model := nn.Linear(1, 1), nn.MSELoss(), nn.SGD(model.parameters()))
    with pytest.raises(BlowError):
        go(trainer, Crash(2), nn.Checkpoint("run.npz", every_steps=1), data=(x, x), batch_size=25_000, epochs=2)
    assert Path("run.npz").stat().st_size < 10_000


# When and where it is saved


class Recorded(nn.Checkpoint):
    """Writes down when it is saved."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.saves = []

    def save(self, trainer):
        super().save(trainer)
        self.saves.append((trainer.global_step, trainer.epoch, trainer.batch))


# 3 epochs of 4 batches: what is given, the updates of each epoch, after which updates, epochs, batches it is saved
WHEN = {
    "epochs": ({}, 1, [(4, 1, 0), (8, 2, 0), (12, 3, 0)]),
    "every second epoch": ({"every_epochs": 2}, 1, [(8, 2, 0), (12, 3, 0)]),
    "steps": ({"every_steps": 5, "every_epochs": None}, 1, [(5, 1, 1), (10, 2, 2), (12, 3, 0)]),
    "both": ({"every_steps": 3}, 1, [(3, 0, 3), (4, 1, 0), (6, 1, 2), (8, 2, 0), (9, 2, 1), (12, 2, 4), (12, 3, 0)]),
    "gathered": ({"every_steps": 1, "every_epochs": 5}, 3, [(1, 0, 3), (2, 1, 0), (3, 1, 3), (4, 2, 0), (5, 2, 3),
                                                            (6, 3, 0)]),
    "seldom": ({"every_steps": 100, "every_epochs": 100}, 1, [(12, 3, 0)]),
}  # fmt: skip


@pytest.mark.parametrize(("options", "accumulate", "expected"), WHEN.values(), ids=WHEN)
def test_it_is_saved_after_steps_and_after_epochs_and_in_the_end(options, accumulate, expected):
    checkpoint = Recorded("run.npz", **options)
    go(simple(accumulate=accumulate), checkpoint)
    assert checkpoint.saves == expected


def test_a_run_that_goes_on_is_saved_after_the_same_steps():
    with pytest.raises(BlowError):
        go(simple(accumulate=2), Crash(7), nn.Checkpoint("run.npz", every_steps=2, every_epochs=None))
    checkpoint = Recorded("run.npz", every_steps=2, every_epochs=None)
    trainer = simple(accumulate=2)
    go(trainer, checkpoint, resume="run.npz")
    assert checkpoint.saves == [(4, 1, 4), (6, 2, 4), (6, 3, 0)]


def test_one_checkpoint_is_the_file_itself_and_several_have_numbers_that_sort():
    go(simple(), nn.Checkpoint("one.npz", every_steps=1))
    go(simple(), nn.Checkpoint("run[1] +.npz", every_steps=1, keep=3))
    assert listing() == ["one.npz", *(f"run[1] +-{step:08}.npz" for step in (10, 11, 12))]
    assert nn.latest_checkpoint("run[1] +.npz").name == "run[1] +-00000012.npz"


def test_old_ones_are_there_until_the_new_one_is(monkeypatch):
    saved = module.save_checkpoint

    def fail_later(trainer, path):
        if trainer.global_step == 4:
            raise CheckpointError("no space")
        saved(trainer, path)

    monkeypatch.setattr(module, "save_checkpoint", fail_later)
    with pytest.raises(CheckpointError, match="no space"):
        go(simple(), nn.Checkpoint("run.npz", every_steps=1, keep=2))
    assert listing() == ["run-00000002.npz", "run-00000003.npz"]


def test_one_that_cannot_be_removed_is_left_for_the_next_time(monkeypatch):
    unlink = Path.unlink

    def busy(path, *arguments, **options):
        if path.name.startswith("run-"):
            raise PermissionError
        unlink(path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", busy)
        go(simple(), nn.Checkpoint("run.npz", keep=2))
    assert len(listing()) == 3
    go(simple(), nn.Checkpoint("run.npz", keep=2), epochs=4, resume="run.npz")
    assert listing() == ["run-00000012.npz", "run-00000016.npz"]


def test_a_new_run_takes_the_place_of_an_earlier_one_and_of_nothing_else():
    others = ["run-1.npz", "run-00000001.txt", "other-00000099.npz", "run-00000001.npz.bak", "my-run-00000099.npz"]
    for name in others:
        Path(name).touch()
    go(simple(), nn.Checkpoint("run.npz", keep=3))
    with pytest.raises(BlowError):
        go(simple(1), Crash(6), nn.Checkpoint("run.npz", every_steps=2, every_epochs=None, keep=3))
    assert listing() == sorted(["run-00000002.npz", "run-00000004.npz", "run-00000006.npz"][:2] + others)
    again = simple(2)
    go(again, resume="run.npz")
    whole = simple(1)
    go(whole)
    assert_equal(again.model.state_dict(), whole.model.state_dict())


def test_a_missing_folder_is_noticed_before_anything_is_trained():
    trainer = simple()
    with pytest.raises(CheckpointError) as caught:
        go(trainer, nn.Checkpoint("folder/run.npz"), resume="folder/run.npz")
    assert str(caught.value) == (
        f"Checkpoint({str(Path('folder/run.npz'))!r}, every_steps=None, every_epochs=1, keep=1) "
        "expects a folder for its file, got no 'folder'; make it"
    )
    assert trainer.global_step == 0


def test_a_checkpoint_can_be_saved_and_loaded_by_hand():
    first, again, whole = simple(), simple(1), simple()
    go(whole)
    keep = after(5, lambda trainer: nn.save_checkpoint(trainer, Path("mine.npz")))
    with pytest.raises(BlowError):
        go(first, keep, Crash(6))
    assert nn.load_checkpoint(again, "mine.npz") == Path("mine.npz")
    assert (again.global_step, again.epoch, again.batch) == (5, 1, 1)
    go(again, rng=9)
    assert_equal(again.model.state_dict(), whole.model.state_dict())


def test_only_a_trainer_has_checkpoints():
    saved(keep=1)
    with pytest.raises(TypeError, match="load_checkpoint expects a trainer, got a Sequential"):
        nn.load_checkpoint(simple().model, "run.npz")


# The newest that is whole


def damage(name):
    """Change a byte in the middle of a file."""
    content = bytearray(Path(name).read_bytes())
    content[len(content) // 2] ^= 1
    Path(name).write_bytes(content)


DAMAGED = "load expects '{}' as it was saved, got a checksum that does not fit: it was damaged"


def saved(keep=3):
    """Return a trainer whose run has left checkpoints."""
    trainer = simple()
    go(trainer, nn.Checkpoint("run.npz", every_steps=1, keep=keep))
    return trainer


def test_damaged_ones_are_passed_over_with_a_warning_for_each():
    whole, again = saved(), simple(1)
    damage("run-00000012.npz")
    Path("run-00000011.npz").write_bytes(b"")
    with pytest.warns(CheckpointWarning) as caught:
        go(again, nn.Checkpoint("run.npz", keep=3), resume="run.npz")
    assert [str(warning.message) for warning in caught] == [
        f"{DAMAGED.format('run-00000012.npz')}; 'run-00000010.npz' takes its place",
        "load expects 'run-00000011.npz' as it was saved, got no checksum at its end: it was cut, or something else "
        "wrote it, which numpy.load may read; 'run-00000010.npz' takes its place",
    ]
    assert_equal(again.model.state_dict(), whole.model.state_dict())
    assert nn.latest_checkpoint("run.npz").name == "run-00000012.npz"  # written anew, and whole


def test_damaged_ones_that_are_older_are_not_looked_at():
    saved()
    damage("run-00000010.npz")
    assert nn.latest_checkpoint(Path("run.npz")).name == "run-00000012.npz"


@pytest.mark.parametrize("keep", [1, 2])
def test_if_all_are_damaged_training_does_not_begin_anew(keep):
    saved(keep)
    for name in listing():
        damage(name)
    trainer = simple(1)
    before = trainer.state_dict()
    listed = "; ".join(map(DAMAGED.format, reversed(listing())))
    with pytest.raises(CheckpointError) as caught:  # and no warning, which would be another error
        go(trainer, nn.Checkpoint("run.npz", keep=keep), resume="run.npz")
    assert str(caught.value) == (
        f"load_checkpoint expects a checkpoint 'run.npz' that can be read, got {keep} that cannot ({listed}); "
        "to begin anew, remove what is there"
    )
    assert_equal(trainer.state_dict(), before)


def test_where_there_is_none_that_is_said():
    for call in (nn.latest_checkpoint, lambda path: nn.load_checkpoint(simple(), path)):
        for path in ("run.npz", "no folder/run.npz"):
            with pytest.raises(FileNotFoundError, match=re.escape(f"No checkpoint {str(Path(path))!r}")):
                call(path)


def test_a_folder_that_is_a_file_is_a_checkpoint_error(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(CheckpointError, match="Not a directory"):
        nn.latest_checkpoint(tmp_path / "file" / "run.npz")


def test_a_file_of_weights_is_no_checkpoint():
    nn.save(simple().model, "run.npz")
    with pytest.raises(CheckpointError, match="to be a checkpoint, got another state"):
        nn.load_checkpoint(simple(), "run.npz")
    saved(keep=2)
    os.utime("run.npz", (2**32, 2**32))
    with pytest.warns(CheckpointWarning, match="to be a checkpoint, got another state"):
        assert nn.latest_checkpoint("run.npz").name == "run-00000012.npz"


def test_of_files_with_and_without_a_number_the_one_that_was_written_last_counts():
    saved(keep=1)
    saved(keep=2)
    for seconds, latest in ((1, "run-00000012.npz"), (2**32, "run.npz")):
        os.utime("run.npz", (seconds, seconds))
        assert nn.latest_checkpoint("run.npz").name == latest


def test_numbers_count_as_numbers():
    saved(keep=1)
    for number in (99_999_999, 100_000_000):
        Path(f"run-{number}.npz").write_bytes(Path("run.npz").read_bytes())
    Path("run.npz").unlink()
    assert nn.latest_checkpoint("run.npz").name == "run-100000000.npz"


def test_one_that_is_removed_while_it_is_looked_for_is_none(monkeypatch):
    saved(keep=2)
    load = module.load

    def removed(path):
        if path.name == "run-00000012.npz":
            path.unlink(missing_ok=True)
        return load(path)

    monkeypatch.setattr(module, "load", removed)
    assert nn.latest_checkpoint("run.npz").name == "run-00000011.npz"


@pytest.mark.parametrize("kind", ["mutated", "cut"])
def test_no_damage_gets_into_a_trainer(kind):
    """`tests/soak/files.py` does the same 20,000 times, and at every length."""
    nn.save_checkpoint(soak.trained(), "run.npz")
    content, rng = Path("run.npz").read_bytes(), np.random.default_rng(0)
    cuts = (content[:length] for length in rng.integers(len(content), size=200))
    damaged = soak.mutants(content, 200, rng) if kind == "mutated" else cuts
    trainer = soak.trained(seed=1)
    load = functools.partial(soak.taken_up, trainer, trainer.state_dict())
    assert soak.outcomes(Path("run.npz"), None, damaged, load) == {"refused": 200}


MALFORMED = {
    "model": [3],
    "optimizer": None,
    "means": [3],
    "epoch": "one",
    "lr": "fast",
    "history": 5,
    "gradients": [1.0],
    "generators": "text",
    "callbacks": 7,
    "loader": ["batch"],
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_part_of_a_state_that_is_not_what_it_is_called_is_an_error_that_changes_nothing(name):
    nn.save(saved(keep=1).state_dict() | {name: MALFORMED[name]}, "run.npz")
    trainer = simple(1)
    before = trainer.state_dict()
    with pytest.raises(TinynnError):
        go(trainer, resume="run.npz")
    assert_equal(trainer.state_dict(), before)


# Another run


def test_checkpoints_ahead_of_a_new_run_give_way_and_what_merely_has_such_a_name_stays():
    go(simple(), nn.Checkpoint("run.npz", keep=3))
    ahead = max(Path().glob("run-*.npz"))
    nn.save({"weights": np.ones(3)}, "run-20261231.npz")
    nn.save(nn.load(ahead), "run-20270101.npz")
    Path("run-20270102.npz").write_bytes(b"notes")
    with pytest.raises(BlowError):
        go(simple(), Crash(2), nn.Checkpoint("run.npz", every_steps=1, keep=2))
    left = {path.name for path in Path().glob("run-*.npz")}
    assert ahead.name not in left
    assert {"run-20261231.npz", "run-20270101.npz", "run-20270102.npz"} < left


def deeper():
    model = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1))
    return nn.Trainer(model, nn.MSELoss(), nn.SGD(model.parameters(), lr=0.1, momentum=0.9))


def by_adam():
    model = simple().model
    return nn.Trainer(model, nn.MSELoss(), nn.Adam(model.parameters()))


def with_dropout():
    model = nn.Sequential(*simple().model, nn.Dropout(0.1, rng=np.random.default_rng(3)))
    return nn.Trainer(model, nn.MSELoss(), nn.SGD(model.parameters(), lr=0.1, momentum=0.9))


def scheduled():
    trainer = simple()
    trainer.scheduler = nn.StepLR(trainer.optimizer, 1)
    return trainer


class Refuses(Count):
    """Takes no state."""

    def load_state_dict(self, state_dict):
        raise StateError("not this one")


LONGER = tuple(np.concatenate([array, array]) for array in DATA)
# what is built, what fit is given besides, what the error says
OTHERS = {
    "model": (deeper, {}, "0.weight"),
    "optimizer": (by_adam, {}, "Adam expects the options"),
    "generators": (with_dropout, {}, "random generators"),
    "schedule": (scheduled, {}, "the state of a trainer with a StepLR, got another"),
    "data": (simple, {"data": LONGER}, "the state of a loader with samples=40, got 20"),
    "batches": (simple, {"batch_size": 4}, "the state of a loader with batch_size=4, got 5"),
    "order": (simple, {"data": nn.DataLoader(DATA, 5), "batch_size": None, "rng": None}, "random generators"),
}


@pytest.mark.parametrize(("build", "options", "message"), OTHERS.values(), ids=OTHERS)
def test_the_checkpoint_of_another_run_is_an_error_that_changes_nothing(build, options, message):
    with pytest.raises(BlowError):
        go(simple(), count := Count(), Crash(6), nn.Checkpoint("run.npz", every_steps=1))
    trainer, count = build(), Count()
    before, parameters = copy.deepcopy(trainer.state_dict()), list(trainer.model.parameters())
    content = Path("run.npz").read_bytes()
    with pytest.raises(StateError, match=re.escape(message)):
        go(trainer, count, nn.Checkpoint("run.npz", every_steps=1), resume="run.npz", **options)
    assert_equal(trainer.state_dict(), before)
    assert all(a is b for a, b in zip(parameters, trainer.model.parameters(), strict=True))
    assert count.batches == 0
    assert Path("run.npz").read_bytes() == content
    twin = build()
    for other in (trainer, twin):
        other.model.reset_parameters(rng=5)
        go(other, **options)
        assert not other.resumed
    assert_equal(trainer.model.state_dict(), twin.model.state_dict())


@pytest.mark.parametrize("callbacks", [(), (Refuses(),)], ids=["missing", "refusing"])
def test_callbacks_that_do_not_take_their_state_are_an_error_that_changes_nothing(callbacks):
    go(simple(), nn.EarlyStopping("loss", patience=9), Count(), nn.Checkpoint("run.npz"))
    state = nn.load("run.npz")
    state["callbacks"][1][0] = "Refuses"
    nn.save(state, "run.npz")
    trainer, stopping = simple(1), nn.EarlyStopping("loss", patience=9)
    before, before_stopping = trainer.state_dict(), stopping.state_dict()
    with pytest.raises(StateError, match=r"not this one|expects a callback Refuses for its state, got EarlyStopping"):
        go(trainer, stopping, *callbacks, resume="run.npz")
    assert_equal(trainer.state_dict(), before)
    assert_equal(stopping.state_dict(), before_stopping)
