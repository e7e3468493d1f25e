"""Products of matrices take no threads: where other processes work, those would wait for each other by spinning."""

from __future__ import annotations

import subprocess
import sys

import pytest

_COUNT = """
import proxy, os
import numpy as np
np.ones(200_000) @ np.ones(200_000)
np.ones((400, 400)) @ np.ones((400, 400))
print(len(os.listdir("/proc/self/task")), os.environ["OPENBLAS_NUM_THREADS"])
"""


@pytest.mark.parametrize(("given", "said"), [({}, "1"), ({"OPENBLAS_NUM_THREADS": "2"}, "2")], ids=["ours", "theirs"])
def test_numpy_has_no_threads_of_its_own_unless_somebody_wants_them(given: dict[str, str], said: str) -> None:
    command = [sys.executable, "-c", _COUNT]
    done = subprocess.run(command, env=given, capture_output=True, text=True, check=True)  # noqa: S603 - words of our own
    threads, variable = done.stdout.split()
    assert variable == said
    if not given:
        assert threads == "1"
