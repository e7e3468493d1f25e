"""`stillgate log samples list | show`: what is kept of exchanges for those who review."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from proxy.cli.admin_client import AdminClient
from proxy.cli.options import AsJson, Config, Data, told_plainly
from proxy.cli.printing import cell, escaped, print_json, print_table
from proxy.cli.verbs import group
from proxy.decisions.reading import LogReader, log_files
from proxy.errors import ConfigurationError
from proxy.keyed.sample_keys import SampleKey, load_private
from proxy.samples.answer_text import answer_text
from proxy.samples.envelope import Envelope, Unreadable, unseal
from proxy.samples.excerpt import Content
from proxy.samples.files import Reader

samples = group(
    {"list": "proxy.cli.log_samples:list_all", "show": "proxy.cli.log_samples:show"},
    help="Read the sealed samples of exchanges: which there are, and, with the private key, what one says.",
)

_Exchange = Annotated[str, typer.Argument(metavar="EXCHANGE_ID", help="The exchange, as the decision log names it.")]


def list_all(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files of samples, or folders of them.")],
    as_json: AsJson = False,
) -> None:
    """List samples: exchange, when it was accepted, length, and the key that each is sealed to.

    This needs no key. Exit code 1 if some lines are not samples.
    """
    with told_plainly():
        reader = Reader.of(paths)
        found = [_row(envelope) for envelope in reader.envelopes()]
    if as_json:
        print_json({"samples": found, "malformed": reader.malformed})
    else:
        table = Table("exchange", "accepted", "bytes", "sealed to")
        for row in found:
            table.add_row(*(cell(row[name]) for name in ("exchange", "time", "bytes", "sealed_to")))
        print_table(table)
    if reader.malformed:
        typer.echo(f"{reader.malformed} lines are not samples and were passed over", err=True)
        raise typer.Exit(1)


def show(
    exchange: _Exchange,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH...", help="Files of samples, or folders; without any, a running proxy is asked."),
    ] = None,
    *,
    key: Annotated[Path, typer.Option("--key", metavar="FILE", help="The private key of samples.")],
    why: Annotated[
        str, typer.Option("--why", help="The reason, for the log of changes of the proxy that is asked.")
    ] = "",
    log: Annotated[
        list[Path] | None,
        typer.Option("--log", metavar="PATH", help="Decision logs, to check that it is the sample that was taken."),
    ] = None,
    as_json: AsJson = False,
    config: Config = None,
    data: Data = None,
) -> None:
    """Show what a sample says; exit code 1 if there is none, it does not open, or the log does not know it.

    A running proxy hands it out sealed, and records who asked for it and why. That files were read directly is
    recorded nowhere. Characters that a terminal would obey are shown as escapes.
    """
    with told_plainly():
        private = load_private(key)
        found = list(Reader.of(paths).envelopes(exchange)) if paths else _asked(config, data, exchange, why)
        if not found:
            raise Unreadable(f"there is no sample of {exchange}")
        envelope, content = _opened(found, private)
        known = None if log is None else _is_known(log, envelope)
    if as_json:
        print_json({**_row(envelope), "known_to_log": known, **content.document()})
    else:
        for line in _as_text(envelope, content, known=known):
            typer.echo(line)
    if known is False:
        raise typer.Exit(1)


def _asked(config: Path | None, data: Path | None, exchange: str, why: str) -> list[Envelope]:
    if not why:
        raise ConfigurationError("a proxy that is asked for a sample records why: say --why, or name files")
    if not re.fullmatch("[A-Za-z0-9_]{1,80}", exchange):
        raise ConfigurationError(f"{exchange!r} is not the id of an exchange")
    answer = AdminClient.of(config, data).ask("POST", f"/samples/{exchange}/read", {"reason": why})
    return [
        Envelope(each["exchange"], each["time"], each["key"], base64.b64decode(each["sealed"]))
        for each in answer["samples"]
    ]


def _opened(found: Sequence[Envelope], private: SampleKey) -> tuple[Envelope, Content]:
    """Return the one that opens. Raises Unreadable, as the last one says, if none does."""
    for envelope in found[:-1]:
        try:
            return envelope, unseal(envelope, private)
        except Unreadable:
            continue
    return found[-1], unseal(found[-1], private)


def _is_known(logs: Sequence[Path], envelope: Envelope) -> bool:
    """Tell whether a decision log has a line about this very sample."""
    wanted = {"kind": "sample", "id": envelope.exchange, "digest": envelope.digest}
    return any(wanted.items() <= row.items() for row in LogReader(log_files(logs)).rows())


def _row(envelope: Envelope) -> dict[str, Any]:
    return {
        "exchange": envelope.exchange,
        "time": envelope.time,
        "sealed_to": envelope.key,
        "bytes": len(envelope.sealed),
        "digest": envelope.digest,
    }


def _as_text(envelope: Envelope, content: Content, *, known: bool | None) -> Iterator[str]:
    yield f"{escaped(envelope.exchange)}: {escaped(envelope.time)}, {escaped(content.dialect)}"
    if known is not None:
        yield "the decision log says that this is its sample" if known else "the decision log knows no such sample"
    for role, where, text in content.request.beginning:
        yield from _said(f"{role} {where}", text)
    if not content.request.whole:
        yield "[characters left out]"
    for role, where, text in content.request.end:
        yield from _said(f"{role} {where}", text)
    if content.answer is not None:
        yield from _said("answer", answer_text(content.dialect, content.answer))
        if not content.answer_whole:
            yield "[the rest is left out]"


def _said(heading: str, text: str) -> Iterator[str]:
    """Yield what somebody else wrote, each line set in so that it cannot pass for one of ours."""
    yield f"{escaped(heading)}:"
    for line in text.split("\n"):
        yield f"  {escaped(line)}"
