"""Files of samples: bounded, whole lines, and readable whatever else stands in them."""

from __future__ import annotations

import datetime as dt
import resource
import stat
from pathlib import Path

import pytest

from proxy.errors import ConfigurationError
from proxy.samples.envelope import Envelope
from proxy.samples.files import Reader, append, day_files

DAY = dt.date(2026, 11, 26)
LINE = Envelope("ex_1", "2026-11-26T10:00:00.000Z", "key", b"sealed").line()


def test_a_file_is_its_owners_alone_and_takes_lines_up_to_its_size(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "samples"
    taken = [append(folder, 3, DAY, LINE, 2 * len(LINE)) for _ in range(3)]
    path = folder / "samples-3-2026-11-26.jsonl"
    assert (taken, path.read_bytes()) == ([True, True, False], LINE * 2)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_line_that_a_killed_process_left_unfinished_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "samples-0-2026-11-26.jsonl"
    path.write_bytes(LINE + LINE[:20])
    assert append(tmp_path, 0, DAY, LINE, 10_000)
    reader = Reader.of([tmp_path])
    assert [envelope.exchange for envelope in reader.envelopes()] == ["ex_1", "ex_1"]
    assert reader.malformed == 1


def test_a_disk_that_is_full_keeps_no_half_of_a_line(tmp_path: Path) -> None:
    """L-07: the file size limit of the process stands in for the disk."""
    assert append(tmp_path, 0, DAY, LINE, 1 << 20)
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(LINE) + 10, unlimited[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            append(tmp_path, 0, DAY, LINE, 1 << 20)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert (tmp_path / "samples-0-2026-11-26.jsonl").read_bytes() == LINE


def test_a_link_in_the_place_of_a_file_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("")
    (tmp_path / "samples-0-2026-11-26.jsonl").symlink_to(elsewhere)
    with pytest.raises(OSError, match="symbolic link"):
        append(tmp_path, 0, DAY, LINE, 10_000)
    assert elsewhere.read_text() == ""


def test_only_files_of_samples_are_found_the_oldest_first(tmp_path: Path) -> None:
    for name in (
        "samples-0-2026-11-26",
        "samples-1-2025-01-01",
        "samples-0-2026-13-01",
        "samples-x-2026-01-01",
        "other",
    ):
        (tmp_path / f"{name}.jsonl").write_text("")
    assert [file.path.name for file in day_files(tmp_path)] == [
        "samples-1-2025-01-01.jsonl",
        "samples-0-2026-11-26.jsonl",
    ]
    assert day_files(tmp_path / "missing") == []


def test_one_exchange_is_found_among_others_and_a_place_without_samples_is_told(tmp_path: Path) -> None:
    other = Envelope("ex_10", "2026-11-26T10:00:00.000Z", "key", b"other").line()
    (tmp_path / "samples-0-2026-11-26.jsonl").write_bytes(other + LINE + b"ex_1 and no sample\n")
    assert [envelope.sealed for envelope in Reader.of([tmp_path]).envelopes("ex_1")] == [b"sealed"]
    (tmp_path / "empty").mkdir()
    for place in (tmp_path / "empty", tmp_path / "missing"):
        with pytest.raises(ConfigurationError, match="holds no samples"):
            Reader.of([place])
