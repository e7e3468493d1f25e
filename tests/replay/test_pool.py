"""The processes that read traffic beside the one that replays it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from proxy.replay.pool import batches
from proxy.replay.reading import Wants
from tests.replay.traffic import as_bytes, line


def test_nothing_in_the_folder_that_a_replay_was_started_in_is_taken_for_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for module in ("proxy", "threading"):
        (tmp_path / f"{module}.py").write_text("raise SystemExit('what lies in the folder was run')")
    monkeypatch.chdir(tmp_path)
    environment = dict(os.environ)
    wants = Wants(frozenset({"request.turns"}), None, {}, frozenset(), b"k" * 32, None)
    assert len(list(batches([as_bytes([line()])] * 9, wants, 2))) == 9
    assert "was run" not in capfd.readouterr().err
    assert dict(os.environ) == environment
