"""How long questions take over ten million records, which have to fit onto the disk: 20 GB."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from proxy.cli import app
from proxy.review.views import VIEWS
from tests.review.traffic import write

RECORDS = 1_000_000
FILES = 10
JSON_SECONDS, PARQUET_SECONDS = 60, 10


def seconds(*words: str | Path) -> float:
    began = time.monotonic()
    result = CliRunner().invoke(app, ["log", *map(str, words)])
    assert result.exit_code == 0, result.output
    return time.monotonic() - began


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_ten_million_records_answer_in_a_minute_as_lines_and_in_ten_seconds_as_parquet(tmp_path: Path) -> None:
    log, exported = tmp_path / "log", tmp_path / "log.parquet"
    log.mkdir()
    first = write(log / "0.jsonl", RECORDS)
    for number in range(1, FILES):
        shutil.copyfile(first, log / f"{number}.jsonl")
    for view in ("top-reasons", "quotas"):  # the second needs most of each line
        assert seconds("query", log, "--view", view) < JSON_SECONDS, view
    seconds("export", log, "--to", exported)
    for view in VIEWS:
        assert seconds("query", exported, "--view", view) < PARQUET_SECONDS, view
