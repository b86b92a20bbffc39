"""A run that is killed goes on exactly; `tests/soak/kill.py` does the same hundreds of times."""

import numpy as np

from tests.soak import kill


def test_a_killed_run_goes_on_exactly(tmp_path):
    found = kill.soak(tmp_path, 20, np.random.default_rng(1))
    assert found["kills"] == found["exact"] == 20
    assert found["wrong"] == 0
    assert found["inside a save"] > 0
