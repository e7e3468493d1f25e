"""Finds the names in a CEL expression, and their places, from its text alone, without the engine.

Texts and comments are skipped as CEL's grammar defines them; a method after a name, such as `.startsWith(...)`, is not
part of the name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from proxy.detectors import field_table

# What may stand on either side of a point: a space, or a comment with the end of its line.
_GAP = r"(?:\s|//[^\n]*\n)"
# A name, or what must be skipped so that nothing in it is taken for a name. Numbers are here because of 1u and 0x1f.
_TOKEN = re.compile(
    r"""//[^\n]*
    | [bB]?[rR]?[bB]?(?:'''|\"\"\"|'|")
    | (?:0[xX][0-9a-fA-F]+|[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)[uU]?
    | (?P<quote>`)
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*(?:GAP*\.GAP*[A-Za-z_][A-Za-z0-9_]*)*)(?P<call>GAP*\()?
    """.replace("GAP", _GAP),
    re.VERBOSE,
)
_SPACE = re.compile(_GAP)
# What follows this is a member of a value; a point that stands alone begins a name from the top.
_OF_A_VALUE = re.compile(r"[)\]}'\"]\s*\.\s*\Z")


class Reference(NamedTuple):
    """A dotted name at a line and column of the expression, counted from 1."""

    name: str
    line: int
    column: int


def references(source: str) -> Iterator[Reference]:
    """Yield the dotted names in an expression, without those of functions and methods."""
    for token in _names(source):
        steps = _SPACE.sub("", token["name"]).split(".")
        if token["call"]:
            steps.pop()
        if len(steps) > 1 and not _OF_A_VALUE.search(source, 0, token.start()):
            yield _reference(source, ".".join(steps), token.start())


def calls(source: str) -> Iterator[Reference]:
    """Yield the functions and methods that an expression calls; a method without the value it is called on."""
    for token in _names(source):
        if token["call"]:
            name = _SPACE.sub("", token["name"]).rpartition(".")[2]
            yield _reference(source, name, token.end("name") - len(name))


def names_in_cel(source: str) -> tuple[str, ...]:
    """Return the fields and signals that an expression reads, each once."""
    table = field_table()
    found = (reference.name for reference in references(source))
    return tuple(dict.fromkeys(name for name in found if name in table or name.startswith("signals.")))


def quoted_names(source: str) -> Iterator[Reference]:
    """Yield the names in backquotes, with their places: they could not be told from keys of a map."""
    return (_reference(source, "`", token.start()) for token in _tokens(source) if token["quote"])


def _names(source: str) -> Iterator[re.Match[str]]:
    return (token for token in _tokens(source) if token["name"] is not None)


def _tokens(source: str) -> Iterator[re.Match[str]]:
    """Yield names, numbers, comments and backquoted names; skip texts."""
    position = 0
    while token := _TOKEN.search(source, position):
        position = token.end()
        if token["name"] is None and token[0][-1:] in ("'", '"') and not token[0].startswith("//"):
            position = _end_of_text(source, token)
        else:
            yield token


def _reference(source: str, name: str, start: int) -> Reference:
    before = source[:start]
    return Reference(name, before.count("\n") + 1, start - before.rfind("\n"))


def _end_of_text(source: str, opening: re.Match[str]) -> int:
    """Return where a text ends; only a raw one may end in a backslash."""
    prefix = opening[0].rstrip("'\"")
    quote = opening[0][len(prefix) :]
    position = opening.end()
    raw = "r" in prefix.lower()
    while position < len(source):
        if source[position] == "\\" and not raw:
            position += 2
        elif source.startswith(quote, position):
            return position + len(quote)
        else:
            position += 1
    return position
