"""The values of one file, each with its place, so that what is wrong with one can be shown where it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from proxy.documents.problem import Problem, Severity

Steps = tuple[str | int, ...]  # the path to a value: keys and indexes from the top
Value = dict[str, Any] | list[Any] | str | int | float | bool | None


class Mark(NamedTuple):
    """A line and a column, both counted from 1."""

    line: int
    column: int


class Place(NamedTuple):
    """Where a value stands, and where its key does if it has one."""

    key: Mark | None
    value: Mark


@dataclass(frozen=True, slots=True)
class Document:
    """What was read, the place of every value, and what was wrong so far; a refused value is None.

    `lines` are the text's lines as the marks count them.
    """

    value: Value
    marks: Mapping[Steps, Place]
    file: str
    lines: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    def get(self, path: Steps, default: Value = None) -> Value:
        """Return the value at a path, or `default` if there is none, whatever shape the file has."""
        value: Any = self.value
        for step in path:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return default
        return cast("Value", value)

    def items(self, path: Steps) -> Iterator[tuple[Steps, Value]]:
        """Yield path and value of each item of the map or list at `path`; nothing if it is neither."""
        value = self.get(path)
        if isinstance(value, dict):
            yield from (((*path, key), item) for key, item in value.items())
        elif isinstance(value, list):
            yield from (((*path, index), item) for index, item in enumerate(value))

    def problem(
        self,
        path: Steps,
        message: str,
        *,
        on_key: bool = False,
        suggestion: str = "",
        severity: Severity = Severity.ERROR,
    ) -> Problem:
        """Return a problem at the value (or its key) at `path`; if nothing is there, at the key of what would hold it.

        For a document without places, such as the command line's, the message names the path instead.
        """
        if not self.marks:
            named = f"{'.'.join(map(str, path))}: {message}" if path else message
            return Problem(self.file, 0, 0, named, suggestion, severity)
        while path not in self.marks:
            path, on_key = path[:-1], True
        place = self.marks[path]
        mark = place.key if on_key and place.key else place.value
        source = self.lines[mark.line - 1] if mark.line <= len(self.lines) else ""
        return Problem(self.file, mark.line, mark.column, message, suggestion, severity, source)
