"""Processes that the parent starts, seen from the parent."""

import sys

import pytest

from proxy.errors import ConfigurationError
from proxy.processes.children import Program, Worker
from proxy.start import Start

# It fails as a program in Python does: its line is closed first, and what was wrong is printed while it ends.
_FAILS = """
import os, sys, time
os.close(int(sys.argv[1]))
time.sleep(0.3)
os.write(2, b"what was wrong")
sys.exit(1)
"""


async def test_a_program_that_fails_at_its_start_can_say_why_before_it_is_let_go_of(
    capfd: pytest.CaptureFixture[str],
) -> None:
    start = Start(
        config=None,
        overrides={},
        log_level="info",
        worker=0,
        store_url="",
        pack_digest="",
        patterns_digest="",
        stand_in_url=None,
        host="127.0.0.1",
        port=0,
    )
    with pytest.raises(ConfigurationError, match="worker 0 did not start; see the messages above"):
        await Worker.spawn(start, Program("worker", (sys.executable, "-c", _FAILS)))
    assert "what was wrong" in capfd.readouterr().err
