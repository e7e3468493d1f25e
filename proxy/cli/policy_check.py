"""`stillgate policy check`: everything that is wrong with packs, for people, programs and workflows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from proxy.cli.policy_patterns import pattern_problems
from proxy.clock import SystemClock
from proxy.problem import Problem, Unreadable, has_errors
from proxy.rules.pack import Mode, Pack, Quota, Rule
from proxy.rules.pack_loading import check_pack
from proxy.strict_yaml import read

_EXIT_PROBLEMS = 1
_EXIT_UNREADABLE = 2


class Format(StrEnum):
    """How problems are printed."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"


def check(
    packs: Annotated[list[Path] | None, typer.Argument(metavar="PACK", help="The packs to check.")] = None,
    *,
    pack: Annotated[list[Path] | None, typer.Option("--pack", metavar="FILE", help="The same, as an option.")] = None,
    output: Annotated[Format, typer.Option("--format", help="github prints annotations for a workflow.")] = Format.TEXT,
) -> None:
    """Show everything that is wrong with packs, and with the sets of patterns beside them.

    Exit: 0 nothing but warnings, 1 problems, 2 a file cannot be read.
    """
    files = [*(packs or ()), *(pack or ())]
    if not files:
        raise typer.BadParameter("name a pack, such as policies/default.yaml")
    exit_code, now = 0, SystemClock().wall()
    problems: list[Problem] = []
    for file in files:
        try:
            found, wrong = check_pack(read(file), str(file), now)
        except Unreadable as unreadable:
            found, wrong = None, list(unreadable.problems)
            exit_code = _EXIT_UNREADABLE
        if found:
            wrong = [*wrong, *pattern_problems(file, found)]
        if has_errors(wrong):
            exit_code = max(exit_code, _EXIT_PROBLEMS)
        if found and output is Format.TEXT:
            typer.echo(_summary(str(file), found))
        problems += wrong
    if shown := _render(problems, output):
        typer.echo(shown)
    raise typer.Exit(exit_code)


def _summary(file: str, pack: Pack) -> str:
    quotas, rules = _modes(pack.quotas), _modes(pack.rules)
    return f"{file}: {pack.name} {pack.version}, quotas: {quotas}, rules: {rules}, sha256 {pack.digest}"


def _modes(entries: Sequence[Quota | Rule]) -> str:
    modes = [entry.mode for entry in entries]
    return ", ".join(f"{modes.count(mode)} {mode}" for mode in Mode if mode in modes) or "none"


def _render(problems: Sequence[Problem], output: Format) -> str:
    if output is Format.JSON:
        return json.dumps([_as_document(problem) for problem in problems], indent=2)
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
