"""`stillgate log verify`: whether a decision log is what was written.

Exit codes: 0 it is, as far as its last checkpoints reach; 1 it is not; 2 wrong usage, or a file that cannot be read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from proxy.cli.options import AsJson
from proxy.cli.printing import cell, escaped, print_json, print_table
from proxy.cli.progress import reading_log
from proxy.decisions.reading import log_files
from proxy.errors import ConfigurationError
from proxy.verifying.findings import Damage, Report
from proxy.verifying.notes import Keys, NoteError
from proxy.verifying.verify import verify as verified

_EXIT_DAMAGED = 1
_EXIT_UNREADABLE = 2
_SHOWN = 50


def verify(
    paths: Annotated[list[Path], typer.Argument(help="Files of logs, or folders of them; all of one deployment.")],
    key: Annotated[list[str], typer.Option(help="A public key that is trusted, or a file that holds one.")],
    checkpoints: Annotated[
        list[Path] | None,
        typer.Option(help="A file of checkpoints that was kept elsewhere; it shows whether the end was cut off."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Verify that nothing in a decision log was changed, taken out, put in, moved or made anew.

    Names the first bad line, what was done to it, and how many lines no checkpoint vouches for yet. Exit code 1 if
    something is wrong.
    """
    try:
        files = log_files(paths)
    except ConfigurationError as error:
        raise typer.BadParameter(str(error)) from None
    keys = Keys()
    for text in key:
        _trust(keys, text)
    with reading_log(files) as on_bytes:
        try:
            report = verified(files, keys, checkpoints or [], on_bytes)
        except OSError as error:
            raise typer.BadParameter(f"{error.filename}: cannot be read: {error.strerror}") from None
    if as_json:
        print_json(_document(report))
    else:
        _show(report)
    if report.findings:
        only_unread = all(finding.damage is Damage.UNREADABLE for finding in report.findings)
        raise typer.Exit(_EXIT_UNREADABLE if only_unread else _EXIT_DAMAGED)


def _trust(keys: Keys, text: str) -> None:
    """Trust a key, or what a file holds; what is a key is none, so that no file can lie in its way."""
    try:
        try:
            keys.trust(text)
        except NoteError:
            keys.trust(Path(text).read_text(encoding="utf-8"))
    except (NoteError, OSError, ValueError):
        raise typer.BadParameter(f"{text}: is not a log's public key; `stillgate log key` prints it") from None


def _document(report: Report) -> dict[str, Any]:
    findings = [
        {
            "damage": finding.damage,
            "file": escaped(str(finding.place.file)) if finding.place else "",
            "line": finding.place.line if finding.place else 0,
            "writer": finding.writer,
            "seq": finding.seq,
            "sentence": escaped(finding.sentence),
        }
        for finding in report.findings
    ]
    return {"lines": report.lines, "chains": [chain._asdict() for chain in report.chains], "findings": findings}


def _show(report: Report) -> None:
    table = Table("writer", "lines", "from", "to", "lost", "checkpoints", "vouched for to", "behind it")
    for chain in report.chains:
        table.add_row(*(cell(value) for value in chain))
    print_table(table)
    for finding in report.findings[:_SHOWN]:
        where = f"{finding.place}: " if finding.place else ""
        whose = f" ({finding.writer} {finding.seq})" if finding.writer else ""
        typer.echo(escaped(f"{where}{finding.damage}: {finding.sentence}{whose}"))
    if len(report.findings) > _SHOWN:
        typer.echo(f"and {len(report.findings) - _SHOWN} more")
    if not report.findings:
        typer.echo(f"{report.lines} lines, nothing wrong")
