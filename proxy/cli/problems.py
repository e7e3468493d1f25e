"""How what is wrong with files is printed: for people, programs and workflows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

from proxy.cli.printing import json_text
from proxy.documents.problem import Problem


class Format(StrEnum):
    """How problems are printed."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"


def rendered(problems: Sequence[Problem], output: Format) -> str:
    """Return problems as text, as JSON or as a workflow's annotations; empty for none as text."""
    if output is Format.JSON:
        return json_text([_as_document(problem) for problem in problems], 2)
    if output is Format.GITHUB:
        return "\n".join(_annotation(problem) for problem in problems)
    return "\n".join(problem.render() for problem in problems)


def _as_document(problem: Problem) -> dict[str, str | int]:
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "severity": problem.severity.value,
        "message": problem.message,
        "suggestion": problem.suggestion,
    }


def _annotation(problem: Problem) -> str:
    """Return a workflow command; GitHub wants the percent sign, line ends, colons and commas escaped."""
    place = f"file={_escaped(problem.file, ':,')},line={max(problem.line, 1)},col={max(problem.column, 1)}"
    return f"::{problem.severity} {place}::{_escaped(problem.sentence(), ())}"


def _escaped(text: str, also: Iterable[str]) -> str:
    for char in ("%", "\r", "\n", *also):
        text = text.replace(char, f"%{ord(char):02X}")
    return text
