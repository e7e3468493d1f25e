"""A decision log is asked whatever state its files are in, and nothing that is asked reaches another file."""

from __future__ import annotations

import gzip
import stat
from pathlib import Path

import duckdb
import pytest

from proxy.decisions.columns import ADMIN, EXCHANGE, HEAD, LINK, NOTICES
from proxy.errors import ConfigurationError
from proxy.review.files import sources
from proxy.review.log import Bounds, open_log
from proxy.review.schema import AS_READ, COLUMNS
from tests.decisions.endings import recorder
from tests.review.traffic import lines, write


def asked(place: Path, query: str, temp: Path | None = None) -> list[tuple[object, ...]]:
    with open_log(sources([place]), COLUMNS, Bounds("500MB", 1, temp), lambda _: None, apart=True) as log:
        return list(log.ask_freely(query).rows)


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    (tmp_path / "a.parquet").touch()
    with open_log(
        sources([write(tmp_path / "a.jsonl", 50)]),
        COLUMNS,
        Bounds("500MB", 1),
        lambda _: None,
        written=[tmp_path / "a.parquet"],
    ) as log:
        log.write(tmp_path / "a.parquet")
    return tmp_path / "a.parquet"


def test_every_column_of_the_log_is_a_column_of_the_table() -> None:
    columns = (*HEAD, *EXCHANGE, *sum(NOTICES.values(), ()), *ADMIN, *LINK)
    assert list(COLUMNS) == list(dict.fromkeys(column.name for column in columns))
    assert [name for name, kind in AS_READ.items() if kind == "JSON"][:1] == ["fields"]


def test_what_is_no_record_is_counted_and_passed_over(tmp_path: Path) -> None:
    first, second = lines(2)
    noise = [
        b"\xff\xfe\n",
        b"[]\n",
        b'{"v":1}\n',
        b"x" * 200_000 + b"\n",
        first.replace(b'"v":1', b'"v":99'),
        b"{" * 5_000 + b"\n",
        first.replace(b'"effect":"', b'"effect":"un'),
        first.replace(b'"time":"2025', b'"time":"long ago'),
    ]
    (tmp_path / "a.jsonl").write_bytes(b"".join([first, *noise, recorder().stop(3), second]) + second[:40])
    with open_log(sources([tmp_path]), COLUMNS, Bounds("500MB", 1), lambda _: None) as log:
        assert (log.lines, log.malformed) == (12, 9)
        found = list(log.ask("SELECT kind, id, lost FROM log ORDER BY ALL").rows)
    assert found == [("exchange", "xg_0000000000", None), ("exchange", "xg_0000000001", None), ("stop", None, 3)]


def test_lines_gzip_and_parquet_say_the_same_whatever_their_names(tmp_path: Path, exported: Path) -> None:
    query = "SELECT count(*), sum(usage.output), sum(settled['requests']), min(time), max(fields::VARCHAR) FROM log"
    odd = tmp_path / "it's [a] log*?.jsonl.2"
    odd.write_bytes(gzip.compress((tmp_path / "a.jsonl").read_bytes()))
    answers = [asked(place, query) for place in (tmp_path / "a.jsonl", odd, exported)]
    assert answers[0] == answers[1] == answers[2]
    assert answers[0][0][0] == 50


def test_a_compressed_file_that_breaks_off_gives_what_it_has_and_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl.gz"
    file.write_bytes(gzip.compress(b"".join(lines(2_000)))[:-2_000])
    with open_log(sources([file]), ["id"], Bounds("500MB", 1), lambda _: None) as log:
        assert log.broken == [file]
        assert 1_000 < log.lines < 2_000
        assert log.malformed <= 1


def test_an_export_holds_every_column_and_what_an_earlier_version_lacked_is_empty(
    tmp_path: Path, exported: Path
) -> None:
    with duckdb.connect() as connection:
        described = connection.execute(f"DESCRIBE SELECT * FROM read_parquet('{exported}')").fetchall()
        assert [row[0] for row in described] == list(COLUMNS)
        older = tmp_path / "older.parquet"
        connection.execute(f"COPY (SELECT * EXCLUDE (rung) FROM read_parquet('{exported}')) TO '{older}'").fetchall()
    assert asked(older, "SELECT count(*), count(rung) FROM log") == [(50, 0)]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM sniff_csv('/etc/passwd')",
        "SELECT 1; SELECT 2",
        "COPY log TO '{out}'",
        "WITH x AS (COPY (SELECT 1) TO '{out}' (USE_TMP_FILE false)) SELECT * FROM x",
        "SET enable_external_access = true",
        "INSTALL httpfs",
        "ATTACH '{out}'",
        "DROP VIEW log",
        "SELECT * FROM nowhere",
        "nonsense",
    ],
)
def test_a_query_that_reaches_beyond_the_log_is_refused(tmp_path: Path, exported: Path, query: str) -> None:
    out = tmp_path / "out"
    with pytest.raises(ConfigurationError):
        asked(exported, query.format(out=out))
    assert not out.exists()


def test_a_query_cannot_write_over_the_files_it_asks(tmp_path: Path, exported: Path) -> None:
    before = exported.read_bytes()
    temp = tmp_path / "temp"
    temp.mkdir()
    with open_log(sources([exported]), COLUMNS, Bounds("500MB", 1, temp), lambda _: None, apart=True) as log:
        [folder] = temp.iterdir()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        for target in (exported, folder / "0.parquet"):
            query = f"WITH x AS (COPY (SELECT 1) TO '{target}' (USE_TMP_FILE false)) SELECT * FROM x"
            try:
                list(log.ask_freely(query).rows)
            except ConfigurationError:
                continue
    assert exported.read_bytes() == before
    assert list(temp.iterdir()) == []


def test_what_the_caller_fails_of_is_not_said_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").touch()
    with (
        pytest.raises(BrokenPipeError),
        open_log(sources([tmp_path / "log.jsonl"]), COLUMNS, Bounds("500MB", 1, tmp_path), lambda _: None),
    ):
        raise BrokenPipeError


def test_what_is_no_log_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT 1 AS x) TO '{file}'").fetchall()
    with pytest.raises(ConfigurationError, match=r"other\.parquet: is not a decision log"):
        asked(file, "SELECT 1")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1" + b"x" * 100)
    with pytest.raises(ConfigurationError, match=r"broken\.parquet"):
        asked(tmp_path / "broken.parquet", "SELECT 1")
