"""A log is read whatever state its files are in, and what cannot be read is counted."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from proxy.decisions.reading import LogReader, log_files
from proxy.errors import ConfigurationError
from tests.decisions.endings import STARTED, ending, exchange, recorder

DIGEST = "a" * 64


def lines(*moments: float, name: str = "x") -> list[bytes]:
    scribe = recorder()
    made = [exchange(id=f"{name}{number}", started=STARTED + moment) for number, moment in enumerate(moments)]
    return [scribe.exchange(ending(one, pack_digest=DIGEST)) for one in made]


def test_what_is_no_record_is_counted_and_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    first, second = lines(0, 1)
    other = first.replace(b'"v":1', b'"v":99')
    noise = [b"\xff\xfe\n", b"\n", b"[]\n", b'{"v":1}\n', b"x" * 200_000 + b"\n", other, b"{" * 5_000 + b"\n"]
    file.write_bytes(b"".join([first, *noise, recorder().stop(0), second]) + second[:40])
    reader = LogReader([file])
    assert [row["kind"] for row in reader.rows()] == ["exchange", "stop", "exchange"]
    assert (reader.lines, reader.malformed) == (11, 8)


def test_a_terminal_record_with_a_wrong_column_counts_as_malformed(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    first, second = lines(0, 1)
    file.write_bytes(first.replace(b'"score":0', b'"score":"0"', 1) + recorder().stop(0) + second)
    reader = LogReader([file])
    assert [logged.id for logged in reader.exchanges()] == ["x1"]
    assert reader.malformed == 1


def test_files_of_several_workers_are_read_in_the_order_of_time(tmp_path: Path) -> None:
    one, other = tmp_path / "a.jsonl", tmp_path / "b.jsonl.1.gz"
    one.write_bytes(b"".join(lines(0, 2, 5, name="a")))
    other.write_bytes(gzip.compress(b"".join(lines(1, 3, 4, name="b"))))
    assert [logged.id for logged in LogReader([one, other]).exchanges()] == ["a0", "b0", "a1", "b1", "b2", "a2"]


def test_a_compressed_file_that_breaks_off_gives_what_it_has_and_is_named(tmp_path: Path) -> None:
    file, whole = tmp_path / "a.jsonl.gz", tmp_path / "b.jsonl"
    file.write_bytes(gzip.compress(b"".join(lines(*range(2_000))))[:-2_000])
    whole.write_bytes(b"".join(lines(0)))
    reader = LogReader([file, whole])
    assert len(list(reader.rows())) > 1
    assert reader.broken == [file]


def test_progress_comes_to_the_size_of_the_files(tmp_path: Path) -> None:
    plain, packed = tmp_path / "a.jsonl", tmp_path / "b.jsonl.gz"
    plain.write_bytes(b"".join(lines(*range(100))))
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    read: list[int] = []
    assert len(list(LogReader([plain, packed], read.append).rows())) == 200
    assert sum(read) == plain.stat().st_size + packed.stat().st_size


def test_a_folder_stands_for_its_logs_rotated_ones_too_and_not_for_the_mark_of_a_writer(tmp_path: Path) -> None:
    for name in ("a.jsonl", "a.jsonl.1", "a.jsonl.2.gz", "a.jsonl.running", "notes.txt"):
        (tmp_path / name).touch()
    found = [file.name for file in log_files([tmp_path, tmp_path / "a.jsonl", tmp_path / "notes.txt"])]
    assert found == ["a.jsonl", "a.jsonl.1", "a.jsonl.2.gz", "notes.txt"]


@pytest.mark.parametrize(("name", "saying"), [("missing", "no such file"), ("empty", "holds no decision log")])
def test_a_place_without_a_log_is_refused(tmp_path: Path, name: str, saying: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigurationError, match=saying):
        log_files([tmp_path / name])


def test_an_empty_file_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").touch()
    assert list(LogReader([tmp_path / "a.jsonl"]).rows()) == []
