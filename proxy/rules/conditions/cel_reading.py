"""Reads `when_cel`: checks its names, compiles it, and says where in the file it is wrong."""

from __future__ import annotations

from proxy.documents.document import Document, Mark, Steps
from proxy.documents.problem import Problem, quoted
from proxy.fields import Field
from proxy.rules.conditions.cel import MAX_SOURCE_CHARS, BadExpression
from proxy.rules.conditions.cel_names import Reference, references
from proxy.rules.conditions.condition import Cel
from proxy.rules.conditions.reading import ConditionReader


def read_cel(reader: ConditionReader, path: Steps) -> Cel | None:
    """Return the expression at `path`, or None after noting what is wrong with it."""
    document = reader.document
    source = document.get(path)
    if not isinstance(source, str):
        return None  # its type is noted by the model
    before = len(reader.problems)
    used: dict[str, None] = {}
    # Names are not looked for in too long a text: finding the place of each counts from the beginning.
    for reference in references(source) if len(source) <= MAX_SOURCE_CHARS else ():
        reader.problems += _faults(reader, path, source, reference)
        if reference.name.startswith("lists."):
            used[reference.name.removeprefix("lists.")] = None
    if len(reader.problems) > before:
        return None
    lists = {name: reader.lists[name] for name in used}
    try:
        compiled = reader.expressions.compile(source)
    except BadExpression as error:
        reader.problems.append(_problem(document, path, source, str(error), error.line, error.column))
        return None
    return Cel(source, tuple(lists.items()), compiled)


def _faults(reader: ConditionReader, path: Steps, source: str, reference: Reference) -> list[Problem]:
    name, line, column = reference
    if name.startswith("lists."):
        plain = name.removeprefix("lists.")
        if plain in reader.lists:
            return []
        close = reader.near(plain, reader.lists)
        message, suggestion = f"unknown list {quoted(name)}", f"lists.{close}" if close else ""
    else:
        found = reader.field(name)
        if isinstance(found, Field):
            return []
        message, suggestion = found, reader.suggestion(name)
    return [_problem(reader.document, path, source, message, line, column, suggestion)]


def _problem(
    document: Document, path: Steps, source: str, message: str, line: int, column: int, suggestion: str = ""
) -> Problem:
    """Return a problem at a line and column of an expression, with its place in the file."""
    mark = _mark(document, path, source, line, column) if line else None
    if mark is None:
        where = f" (line {line}, column {column} of the expression)" if line else ""
        return document.problem(path, f"{message}{where}", suggestion=suggestion)
    return Problem(document.file, *mark, message, suggestion, source=document.lines[mark.line - 1])


def _mark(document: Document, path: Steps, source: str, line: int, column: int) -> Mark | None:
    """Return where in the file a character of a text stands; None where the file folds or escapes the text."""
    if path not in document.marks:
        return None
    start = document.marks[path].value
    text = source.split("\n")[line - 1]
    opening = document.lines[start.line - 1][start.column - 1 :]
    if opening[:1] == "|":
        row = start.line + line
        raw = document.lines[row - 1] if row <= len(document.lines) else ""
        return Mark(row, len(raw) - len(text) + column) if raw.endswith(text) else None
    quote = 1 if opening[:1] in ("'", '"') else 0
    if line == 1 and opening[quote:].startswith(text.rstrip()):
        return Mark(start.line, start.column + quote + column - 1)
    return None
