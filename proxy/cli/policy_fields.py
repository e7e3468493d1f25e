"""`stillgate policy fields`: the facts that conditions can read."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Iterator

import typer

from proxy.cli.options import AsJson
from proxy.cli.printing import print_json
from proxy.detectors import field_table
from proxy.fields import Field

_MAX_COLUMNS = 120  # longer lines tire the eye


def fields(*, as_json: AsJson = False) -> None:
    """Show every field with its type, its default, what it costs to know, when it is known, and what it means.

    In a pipe each field is one line. Exit: 0.
    """
    table = field_table()
    if as_json:
        print_json([_as_document(field) for field in table.values()], 2)
        return
    columns = min(shutil.get_terminal_size().columns, _MAX_COLUMNS) if sys.stdout.isatty() else None
    for field in table.values():
        for line in _lines(field, columns):
            typer.echo(line)


def _lines(field: Field, columns: int | None) -> Iterator[str]:
    meaning = f"{field.description} In {field.unit}." if field.unit else field.description
    facts = f"{field.name}: {field.kind}, default {json.dumps(field.default)}, cost {field.cost}, known at {field.when}"
    if columns is None:
        yield f"{facts}. {meaning}"
        return
    yield facts
    yield from textwrap.wrap(meaning, columns, initial_indent="    ", subsequent_indent="    ")


def _as_document(field: Field) -> dict[str, object]:
    return {
        "name": field.name,
        "type": field.kind.value,
        "default": field.default,
        "cost": field.cost.value,
        "when": field.when.value,
        "unit": field.unit,
        "description": field.description,
    }
