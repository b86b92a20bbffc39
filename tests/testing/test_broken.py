"""The collection of broken layers, written without a look at the detectors."""

from __future__ import annotations

import pytest

from tests.testing.broken import COLLECTION, SOUND
from tinynn.testing import GradientError, check_gradients

OTHER_WORDS = {
    "leak": "missing-branch",  # the collection calls it unexplained; the branch np.where(..., s x) is what is missing
}


@pytest.mark.parametrize("broken", COLLECTION, ids=lambda broken: broken.name)
def test_a_broken_layer_is_caught_and_its_mistake_named(broken):
    with pytest.raises(GradientError) as caught:
        check_gradients(broken.make(), *broken.inputs)
    found = {(finding.where, finding.diagnosis) for finding in caught.value.findings}
    assert (broken.where, OTHER_WORDS.get(broken.name, broken.diagnosis)) in found
    assert str(caught.value).count("[") >= len(caught.value.findings)
    single = [finding for finding in caught.value.findings if finding.diagnosis != "assigned-not-added"]
    assert len({finding.where for finding in single}) == len(single)


def test_at_least_35_of_at_least_40_are_named_in_the_words_of_the_collection():
    assert len(COLLECTION) >= 40
    assert len(COLLECTION) - len(OTHER_WORDS) >= 35


@pytest.mark.parametrize("sound", SOUND, ids=lambda sound: sound.name)
@pytest.mark.parametrize("method", ["auto", "central"])
def test_a_sound_layer_raises_no_alarm(sound, method):
    report = check_gradients(sound.make(), *sound.inputs, method=method)
    assert {finding.diagnosis for finding in report.findings} <= {"kink"}
    assert bool(report.findings) == ("kink" in sound.name)


TOO_SMALL = {"gain", "rounded pi"}  # factors of 1 + 1e-9 and the like are beyond what differences can tell


@pytest.mark.parametrize("broken", [row for row in COLLECTION if row.name not in TOO_SMALL], ids=lambda row: row.name)
def test_central_differences_catch_all_but_the_tiniest_mistake(broken):
    with pytest.raises(GradientError) as caught:
        check_gradients(broken.make(), *broken.inputs, method="central")
    assert broken.where in {finding.where for finding in caught.value.findings}
