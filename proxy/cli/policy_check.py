"""`stillgate policy check`: everything that is wrong with packs, for people, programs and workflows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from proxy.cli.policy_patterns import pattern_problems
from proxy.cli.problems import Format, rendered
from proxy.clock import SystemClock
from proxy.documents.problem import Problem, Unreadable, has_errors
from proxy.documents.strict_yaml import read
from proxy.packs.archive import PACKS_FOLDER, PackArchive
from proxy.rules.pack.pack import Pack, Quota, Rule
from proxy.rules.pack.words import Mode
from proxy.rules.pack_file.loading import check_pack

_EXIT_PROBLEMS = 1
_EXIT_UNREADABLE = 2


def check(
    packs: Annotated[list[Path] | None, typer.Argument(metavar="PACK", help="The packs to check.")] = None,
    *,
    pack: Annotated[list[Path] | None, typer.Option("--pack", metavar="FILE", help="The same, as an option.")] = None,
    output: Annotated[Format, typer.Option("--format", help="github prints annotations for a workflow.")] = Format.TEXT,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="A proxy's data folder: warns of what has been in shadow there for 30 days."),
    ] = None,
) -> None:
    """Show everything that is wrong with packs, and with the sets of patterns beside them.

    Exit: 0 nothing but warnings, 1 problems, 2 a file cannot be read.
    """
    files = [*(packs or ()), *(pack or ())]
    if not files:
        raise typer.BadParameter("name a pack, such as policies/default.yaml")
    exit_code, now = 0, SystemClock().wall()
    problems: list[Problem] = []
    shadows = _shadows(data)
    for file in files:
        try:
            found, wrong = check_pack(read(file), str(file), now, shadows=shadows)
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
    if shown := rendered(problems, output):
        typer.echo(shown)
    raise typer.Exit(exit_code)


def _shadows(data: Path | None) -> dict[str, dict[str, float]]:
    """Return since when what a proxy's pack has in shadow is there, by the pack's name."""
    if data is None:
        return {}
    if not (data / PACKS_FOLDER).is_dir():
        raise typer.BadParameter(f"{data} has no packs that were in force", param_hint="--data")
    archive = PackArchive(data / PACKS_FOLDER)
    return {revision.name: archive.shadow for revision in archive.revisions[-1:]}


def _summary(file: str, pack: Pack) -> str:
    quotas, rules = _modes(pack.quotas), _modes(pack.rules)
    return f"{file}: {pack.name} {pack.version}, quotas: {quotas}, rules: {rules}, sha256 {pack.digest}"


def _modes(entries: Sequence[Quota | Rule]) -> str:
    modes = [entry.mode for entry in entries]
    return ", ".join(f"{modes.count(mode)} {mode}" for mode in Mode if mode in modes) or "none"
