"""How an answer of the decision log is printed: a table for people, JSON and CSV for programs."""

from __future__ import annotations

import csv
import datetime as dt
import json
import re
import sys
from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Any

import typer
from rich.table import Column, Table

from proxy.cli.printing import cell, print_table
from proxy.review.values import shown

_TABLE_ROWS = 1_000  # more are for programs
# Where many languages write a comma in numbers, a semicolon begins a cell; where letters are wide, so are these signs.
_FORMULA = re.compile(r"(^|;)(?=[=+\-@\t\r\uff1d\uff0b\uff0d\uff20])")


def print_answer(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows as a table."""
    table = Table(*(Column(cell(name)) for name in names))
    more = 0
    for number, row in enumerate(rows):
        if number < _TABLE_ROWS:
            table.add_row(*(cell(shown(value)) for value in row))
        else:
            more += 1
    print_table(table)
    if more:
        typer.echo(f"{more:,} more rows; --csv and --json print all", err=True)


def print_csv(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows as they come. What a spreadsheet would take for a formula has an apostrophe before it."""
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow([_csv(name) for name in names])
    for row in rows:
        out.writerow([_csv(value) for value in row])


def as_rows(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[dict[str, Any]]:
    """Return rows as a JSON document has them."""
    return [dict(zip(names, map(_plain, row), strict=True)) for row in rows]


def _plain(value: object) -> Any:  # noqa: ANN401 - a JSON value
    match value:
        case dt.datetime():
            return value.isoformat(timespec="milliseconds") + "Z"
        case dict():
            return {str(name): _plain(item) for name, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case float() if not isfinite(value):  # which JSON cannot say
            return None
        case None | bool() | int() | float() | str():
            return value
        case _:
            return str(value)


def _csv(value: object) -> object:
    plain = _plain(value)
    if plain is None or isinstance(plain, bool | int | float):
        return plain
    text = plain if isinstance(plain, str) else json.dumps(plain)
    return str(cell(_FORMULA.sub(r"\1'", text)))
