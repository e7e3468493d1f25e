"""`stillgate policy diff`: what changes when one pack takes another's place, in its entries and for a log's callers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from proxy.cli.comparison import comparison_document, comparison_lines
from proxy.cli.options import AsJson, Config, Data, told_unusable
from proxy.cli.printing import print_json
from proxy.cli.reading_logs import read_with_progress, unread
from proxy.config import load_settings
from proxy.detectors import field_table
from proxy.errors import ConfigurationError
from proxy.hindsight.comparing import Compared, compare
from proxy.packs.archive import PACKS_FOLDER, load_archived
from proxy.rules.diff import Change, differences
from proxy.rules.pack.pack import Pack
from proxy.rules.pack_file.loading import load_pack

_EXIT_DIFFERENT = 1


def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="The pack that runs.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The pack that is to run.")],
    *,
    log: Annotated[
        list[Path] | None,
        typer.Option(
            "--log", metavar="PATH", help="A decision log, or a folder of them, to see whose rung would change."
        ),
    ] = None,
    as_json: AsJson = False,
    config: Config = None,
    data: Data = None,
) -> None:
    """Show what differs, by id: added, removed, loosened, tightened, other modes, counters that start again.

    With a log, it also shows in how many of its exchanges other rules fire, and how many accounts reach another rung;
    the packs of that time are read from the archive in the data folder. Exit: 0 nothing differs between the packs,
    1 something does, 2 a file cannot be read or used.
    """
    with told_unusable():
        packs = load_pack(old), load_pack(new)
        changes = differences(*packs)
        compared = _compared(packs, log, load_settings(config, {"data": data}).data / PACKS_FOLDER) if log else None
    if as_json:
        document: Any = [change._asdict() for change in changes]
        if compared:
            document = {"changes": document, "log": comparison_document(compared[0], *packs, compared[1])}
        print_json(document, 2)
    else:
        for change in changes:
            typer.echo(_line(change))
        if compared:
            for line in (*comparison_lines(compared[0], *packs), *compared[1]):
                typer.echo(line)
    raise typer.Exit(_EXIT_DIFFERENT if changes else 0)


def _compared(packs: tuple[Pack, Pack], logs: Sequence[Path], archive: Path) -> tuple[Compared, list[str]]:
    """Return what the log says, and what could not be read of it."""

    def archived(digest: str) -> Pack | None:
        try:
            return load_archived(archive, digest)
        except ConfigurationError:
            return None

    with read_with_progress(logs) as reader:
        return compare(*packs, reader.exchanges(), field_table(), archived), unread(reader)


def _line(change: Change) -> str:
    line = f"{change.section} {change.id}: {change.kind}"
    return f"{line}: {change.detail}" if change.detail else line
