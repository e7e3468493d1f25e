"""A decision log as a table that can be asked: the only file that imports duckdb.

Laws:
- Lines are read once, into a table with only the columns that are wanted, in a folder that only its owner can enter
  and that is gone at the end. A line that is no record is counted and never ends the reading.
- Once the table stands, no other file can be read or written and no setting changed, whatever is asked. What is asked
  in words of the caller's own meets copies only, since a file that DuckDB may read it may also write: a COPY hides
  within WITH, where a statement still counts as a SELECT.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import TimeoutError as NotYet
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import duckdb

from proxy.errors import ConfigurationError
from proxy.review.apart import LOOK_SECONDS, done_apart
from proxy.review.files import Form, Source, salvage
from proxy.review.schema import AS_READ, COLUMNS, IS_RECORD, KNOWN_BY, stored

_FETCH_ROWS: Final = 10_000
# DuckDB's own choice is twice as many rows: 930 MB instead of 620 for all columns, for a file that is 5 % smaller.
_PACKED: Final = "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 61440"

Watch = Callable[[float], None]


class Bounds(NamedTuple):
    """What reading may take: `memory` as DuckDB has it, such as 2GB; files beyond that go into a folder in `temp`."""

    memory: str
    threads: int
    temp: Path | None = None


class Answer(NamedTuple):
    """What was asked for: the names of the columns, and the rows as they come."""

    names: tuple[str, ...]
    rows: Iterator[tuple[Any, ...]]


class Log:
    """An open log.

    `lines` is how many lines, or rows of Parquet, there are, `malformed` how many of them are not records of this
    version, `broken` the files that end in the middle of their compressed data.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
        self._connection = connection
        self._folder = folder
        self._names: dict[str, Path] = {}
        self._whole: Path | None = None  # the file of columns that holds all there is, if one does
        self.lines = 0
        self.malformed = 0
        self.broken: list[Path] = []

    def ask(self, query: str, parameters: Mapping[str, object] | None = None) -> Answer:
        """Ask the view `log`, whose rows are the records. Raises ConfigurationError with what is wrong with it."""
        with self._plainly():
            result = self._connection.execute(query, dict(parameters or {}))
            names = tuple(str(entry[0]) for entry in result.description or ())
        return Answer(names, self._fetched(result))

    def ask_freely(self, query: str) -> Answer:
        """Ask in words of the caller's own: one statement, which reads."""
        with self._plainly():
            statements = self._connection.extract_statements(query)
            if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
                raise ConfigurationError("the query must be one SELECT")
            self._connection.execute("BEGIN TRANSACTION READ ONLY")
        return self.ask(query)

    def _fetched(self, result: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
        while True:
            with self._plainly():
                rows = result.fetchmany(_FETCH_ROWS)
            if not rows:
                return
            yield from rows

    def write(self, to: Path) -> None:
        """Write all records into a file that is there already, one that was named as `written` at the start."""
        if self._whole is not None and not self.malformed:
            try:
                shutil.copyfile(self._whole, to)
            except OSError as error:
                raise ConfigurationError(f"{to}: cannot be written: {error.strerror}") from None
            return
        with self._plainly():
            self._connection.execute(f"COPY log TO {_text(to)} ({_PACKED}, USE_TMP_FILE false)").fetchall()

    def _take(
        self,
        sources: Sequence[Source],
        wanted: Sequence[str],
        parts_of: Mapping[str, str],
        watch: Watch,
        written: Sequence[Path],
        *,
        apart: bool,
    ) -> None:
        here = [self._here(source, number, copied=apart) for number, source in enumerate(sources)]
        parts = [self._exported(path, wanted) for path, form in here if form is Form.PARQUET]
        kept = self._folder / "lines.parquet"
        lines: list[tuple[Path, Form]] = [(path, form) for path, form in here if form is not Form.PARQUET]
        if lines:
            # What was exported has whole columns, and rows of both kinds have to be of one type.
            types = {name: kind for name, kind in {**AS_READ, **({} if parts else parts_of)}.items() if name in wanted}
            try:
                self._keep(lines, types, kept, watch)
            except duckdb.IOException:  # said of what breaks off in the middle of its compressed data
                lines = [self._mended(path) if form is Form.GZIP else (path, form) for path, form in lines]
                if not self.broken:
                    raise
                self._keep(lines, types, kept, watch)
            self._whole = None if parts else kept
            parts.append(f"SELECT * FROM read_parquet({_text(kept)})")
        self._connection.execute(f"CREATE VIEW everything AS {' UNION ALL '.join(parts)}")
        self._connection.execute(f"CREATE VIEW log AS SELECT * FROM everything WHERE {IS_RECORD}")
        opened = [kept, *written, *(path for path, form in here if form is Form.PARQUET)]
        for setting in (f"allowed_paths = [{', '.join(map(_text, opened))}]", "enable_external_access = false"):
            self._connection.execute(f"SET {setting}")
        self._connection.execute("SET lock_configuration = true")
        counted = f"SELECT count(*), count(*) FILTER (NOT coalesce({IS_RECORD}, false)) FROM everything"
        [(self.lines, self.malformed)] = self._connection.execute(counted).fetchall()

    def _here(self, source: Source, number: int, *, copied: bool) -> tuple[Path, Form]:
        """Give a file a name in our folder: its own may read as a pattern of names."""
        here = self._folder / f"{number}{source.form.value}"
        self._names[str(here)] = source.path
        try:
            if copied and source.form is Form.PARQUET:
                shutil.copyfile(source.path, here)
            else:
                here.symlink_to(source.path)
        except OSError as error:
            raise ConfigurationError(f"{source.path}: cannot be read: {error.strerror}") from None
        return here, source.form

    def _mended(self, packed: Path) -> tuple[Path, Form]:
        whole = packed.with_suffix("")
        if salvage(packed, whole):
            whole.unlink()
            return packed, Form.GZIP
        self.broken.append(self._names[str(packed)])
        return whole, Form.LINES

    def _keep(self, lines: Sequence[tuple[Path, Form]], types: Mapping[str, str], kept: Path, watch: Watch) -> None:
        """Read lines into a file of columns."""
        columns = ", ".join(f"{_text(name)}: {_text(kind)}" for name, kind in types.items())
        parts = [
            f"SELECT {', '.join(map(stored, types))} FROM read_json([{', '.join(map(_text, paths))}], "
            f"columns = {{{columns}}}, format = 'newline_delimited', ignore_errors = true, compression = '{packing}')"
            for wanted_form, packing in ((Form.LINES, "none"), (Form.GZIP, "gzip"))
            if (paths := [path for path, form in lines if form is wanted_form])
        ]
        query = f"COPY ({' UNION ALL '.join(parts)}) TO {_text(kept)} ({_PACKED})"
        with done_apart(lambda: self._connection.execute(query).fetchall(), self._connection.interrupt) as reading:
            while not reading.done():
                with suppress(NotYet):
                    reading.result(LOOK_SECONDS)
                if (percent := self._connection.query_progress()) > 0:
                    watch(percent / 100)

    def _exported(self, path: Path, wanted: Sequence[str]) -> str:
        """Return the query of a file that was exported, perhaps by an earlier version, which had fewer columns."""
        named = f"SELECT column_name FROM (DESCRIBE SELECT * FROM read_parquet({_text(path)}))"
        there = {name for (name,) in self._connection.execute(named).fetchall()}
        if not there.issuperset(KNOWN_BY):
            raise ConfigurationError(f"{self._names[str(path)]}: is not a decision log")
        columns = ", ".join(
            f"try_cast({_name(name) if name in there else 'NULL'} AS {COLUMNS[name]}) AS {_name(name)}"
            for name in wanted
        )
        return f"SELECT {columns} FROM read_parquet({_text(path)})"

    @contextmanager
    def _plainly(self) -> Iterator[None]:
        """Turn what DuckDB says into words for the operator, with the files as they named them."""
        try:
            yield
        except duckdb.Error as error:
            words = str(error)
            for here, path in self._names.items():
                words = words.replace(here, str(path))
            raise ConfigurationError("".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in words)) from None


@contextmanager
def open_log(
    sources: Sequence[Source],
    wanted: Collection[str],
    bounds: Bounds,
    watch: Watch,
    *,
    parts: Mapping[str, str] | None = None,
    written: Sequence[Path] = (),
    apart: bool = False,
) -> Iterator[Log]:
    """Yield a log with the columns that are wanted; `watch` is told the share of the lines that is read.

    `parts` are types of columns of which only parts are asked for, where there are lines alone.
    `written` are the only files that may be written then; `apart` makes the table of copies where it would be of the
    files themselves. Raises ConfigurationError for a file that cannot be read.
    """
    columns = [name for name in COLUMNS if name in {*wanted, *KNOWN_BY}]
    with _private_folder(bounds.temp) as folder, _connected(bounds, folder) as connection:
        log = Log(connection, folder)
        with _in_words(bounds.temp), log._plainly():  # noqa: SLF001 - this is how a log comes to be
            log._take(sources, columns, parts or {}, watch, written, apart=apart)  # noqa: SLF001
        yield log


@contextmanager
def _private_folder(within: Path | None) -> Iterator[Path]:
    with _in_words(within):
        made = tempfile.TemporaryDirectory(prefix="stillgate-review-", dir=within)
    with made as folder:
        yield Path(folder)


@contextmanager
def _in_words(within: Path | None) -> Iterator[None]:
    """Say of what is written into the folder that it cannot be; what the caller does with a log is none of that."""
    try:
        yield
    except OSError as error:
        raise ConfigurationError(f"{within or tempfile.gettempdir()}: cannot be written: {error.strerror}") from None


@contextmanager
def _connected(bounds: Bounds, folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    try:
        connection = duckdb.connect(
            config={
                "memory_limit": bounds.memory,
                "threads": bounds.threads,
                "temp_directory": str(folder / "spilled"),
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "allow_community_extensions": False,
                "python_enable_replacements": False,
                "preserve_insertion_order": False,
            }
        )
    except duckdb.Error as error:
        raise ConfigurationError(str(error)) from None
    with connection:
        for setting in ("enable_progress_bar = true", "enable_progress_bar_print = false", "progress_bar_time = 0"):
            connection.execute(f"SET {setting}")
        yield connection


def _text(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"


def _name(column: str) -> str:
    return f'"{column}"'
