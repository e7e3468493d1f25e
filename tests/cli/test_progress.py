"""What takes long shows how far it is where somebody watches, and nothing of that anywhere else."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.decisions.chained import write_log
from tests.replay.traffic import PACK, as_bytes, line

BAR = "\u2501"


def on_a_terminal(*words: object) -> tuple[int, str, bytes]:
    """Run a verb whose standard error is a terminal; return its exit code, what that showed, and its output."""
    ours, its = os.openpty()
    command = [sys.executable, "-m", "proxy.cli", *map(str, words)]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=its, env=environment) as process:  # noqa: S603 - ours
        os.close(its)
        shown = b""
        with suppress(OSError):  # how a terminal ends whose last writer has gone
            while piece := os.read(ours, 65_536):
                shown += piece
        os.close(ours)
        output, _ = process.communicate()
    return process.returncode, shown.decode(), output


@pytest.fixture
async def log(tmp_path: Path) -> tuple[Path, str]:
    file = tmp_path / "decisions-0.jsonl"
    return file, await write_log(file, 60)


def test_a_replay_shows_how_far_it_is(tmp_path: Path) -> None:
    pack, traffic = tmp_path / "example.yaml", tmp_path / "traffic.jsonl"
    pack.write_text(PACK)
    traffic.write_bytes(as_bytes([line(at=second) for second in range(4)]))
    code, shown, output = on_a_terminal("replay", traffic, "--pack", pack, "--jobs", 1, "--json")
    assert (code, BAR in shown, "traffic" in shown) == (0, True, True)
    assert output.startswith(b"{")


def test_verifying_shows_how_far_it_is(log: tuple[Path, str]) -> None:
    file, key = log
    code, shown, output = on_a_terminal("log", "verify", file, "--key", key, "--json")
    assert (code, BAR in shown) == (0, True)
    assert output.startswith(b"{")
