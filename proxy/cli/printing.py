"""What verbs print: JSON for machines, tables for people, a secret alone on its line."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from proxy.cli.moments import day, state

_PIPE_COLUMNS = 10_000  # nothing is cut where a program reads


def print_json(document: object, indent: int | None = None) -> None:
    """Print a document as `json_text` returns it."""
    sys.stdout.write(json_text(document, indent) + "\n")


def json_text(document: object, indent: int | None) -> str:
    """Return JSON, on one line if it is not indented, in ASCII: nothing in it is for a terminal to obey."""
    comma, colon = (",", ":") if indent is None else (",", ": ")
    text = json.dumps(document, indent=indent, separators=(comma, colon))
    return text.replace("\x7f", "\\u007f")  # which JSON takes for visible


def print_table(table: Table) -> None:
    """Print a table as wide as the terminal; elsewhere as wide as it has to be, without lines around the cells."""
    console = Console()
    if console.is_terminal:
        console.print(table)
        return
    table.box, table.pad_edge = None, False
    Console(width=_PIPE_COLUMNS).print(table)


def cell(value: object) -> Text:
    """Return a value of the store's as a cell, never read as markup and without what a terminal would obey."""
    return Text("".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in str(value)))


def escaped(text: str) -> str:
    """Return a text in which what a terminal would obey, and all else that does not print, is an escape of Python's."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def print_row(row: Mapping[str, Any], *, as_json: bool) -> None:
    """Print a key or token: each of its facts but its secret, and whether it works."""
    if as_json:
        print_json(row)
        return
    table = Table(show_header=False)
    for name, value in row.items():
        if name != "secret":
            table.add_row(name, cell(_fact(name, value)))
    table.add_row("state", state(row))
    print_table(table)


def _fact(name: str, value: object) -> object:
    """Return a fact in a person's words; what there is none of is empty."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case dict():
            return ", ".join(f"{key}={held}" for key, held in value.items())
        case int() | float() if name.endswith("_at"):
            return day(value)
        case _:
            return value


def print_minted(row: Mapping[str, Any], *, as_json: bool) -> None:
    """Print a new key or token, its secret last."""
    if as_json:
        print_json(row)
        return
    print_row(row, as_json=False)
    typer.echo("The secret, shown this once:", err=True)
    typer.echo(row["secret"])
