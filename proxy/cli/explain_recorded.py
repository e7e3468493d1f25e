"""`stillgate policy explain EXCHANGE_ID`: why a recorded exchange was decided as it was, by the pack of that moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import typer

from proxy.cli.explanation import decision_lines, flag_lines, judgement_document, pack_document, rule_lines
from proxy.cli.options import told_unusable
from proxy.cli.printing import escaped, print_json
from proxy.cli.reading_logs import read_with_progress, unread
from proxy.config import Settings, load_settings
from proxy.decisions.logged import Logged, read_logged
from proxy.decisions.reading import LogReader
from proxy.detectors import field_table
from proxy.errors import ConfigurationError
from proxy.hindsight.rejudging import Again, NotReproducible, check_reproducible, judge_again
from proxy.packs.archive import PACKS_FOLDER, load_archived
from proxy.rules.pack.pack import Pack
from proxy.rules.pack.words import Mode, Subject

_EXIT_NOT_REPRODUCED = 1
_INDENT = 2


class _Found(NamedTuple):
    """What a log has of an exchange, or why that is no use; `unread` is what could not be read on the way."""

    logged: Logged | None
    why: str
    unread: list[str]

    def required(self) -> Logged:
        """Return the record. Raises NotReproducible if there is none."""
        if self.logged is None:
            raise NotReproducible(self.why)
        return self.logged


def explain_recorded(
    exchange_id: str, logs: Sequence[Path], config: Path | None, data: Path | None, *, as_json: bool
) -> None:
    """Print it and exit: 0 reproduced, 1 not found or not reproducible, 2 a file cannot be used."""
    with told_unusable():
        settings = load_settings(config, {"data": data})
        with read_with_progress(logs or [settings.decisions_folder]) as reader:
            found = _find(reader, exchange_id)
    for line in found.unread:
        typer.echo(line, err=True)
    try:
        logged = found.required()
        pack = _pack_of(logged, settings)
        again = judge_again(pack, field_table(), logged, Mode(settings.max_mode))
    except NotReproducible as why:
        _print_why_not(exchange_id, found.logged, str(why), as_json=as_json)
        raise typer.Exit(_EXIT_NOT_REPRODUCED) from None
    if as_json:
        print_json(_as_document(pack, logged, again), _INDENT)
    else:
        for line in _as_text(pack, logged, again):
            typer.echo(escaped(line))
    raise typer.Exit(_EXIT_NOT_REPRODUCED if again.differences else 0)


def _find(reader: LogReader, exchange_id: str) -> _Found:
    """Look for the terminal record of an exchange; it has one at most."""
    why = f"there is no record of {exchange_id} in {', '.join(map(str, reader.files))}"
    for row in reader.rows():
        if row.get("id") != exchange_id:
            continue
        if row["kind"] == "exchange":
            try:
                return _Found(read_logged(row), "", unread(reader))
            except ValueError as wrong:
                return _Found(None, f"the record of {exchange_id} is not a valid record: {wrong}", unread(reader))
        if row["kind"] == "begin":
            why = f"{exchange_id} began, degraded, and has no record of its end: it still runs, or its process died"
    return _Found(None, why, unread(reader))


def _pack_of(logged: Logged, settings: Settings) -> Pack:
    check_reproducible(logged)
    try:
        return load_archived(settings.data / PACKS_FOLDER, logged.pack_digest)
    except ConfigurationError as error:
        raise NotReproducible(f"its pack {logged.pack_digest} cannot be read from the archive: {error}") from None


def _print_why_not(exchange_id: str, logged: Logged | None, why: str, *, as_json: bool) -> None:
    if as_json:
        recorded = None if logged is None else _recorded(logged)
        print_json({"exchange": exchange_id, "reproduced": False, "why": why, "recorded": recorded}, _INDENT)
        return
    if logged is not None:
        typer.echo(escaped(f"{exchange_id}: {logged.stamp}"))
        typer.echo(escaped(f"{logged.effect}, by {logged.by}" if logged.by else str(logged.effect)))
        for reason in logged.reasons:
            typer.echo(escaped(f"  {reason}"))
    typer.echo(escaped(f"not reproduced: {why}"), err=True)


def _as_text(pack: Pack, logged: Logged, again: Again) -> Iterator[str]:
    yield f"{logged.id}: {logged.stamp}, by {pack.name} {pack.version} ({pack.digest})"
    yield from decision_lines(logged.effect, logged.by, logged.actions, again.explanation)
    if logged.by in {quota.id for quota in pack.quotas} and logged.reasons:
        yield f"quota {logged.by}: {logged.reasons[0]}"
    if logged.shadow.denied_by:
        yield f"quotas in shadow that would have denied it: {', '.join(logged.shadow.denied_by)}"
    yield from flag_lines(again.judgement)
    for subject, name in _tied(logged):
        yield f"{subject}: {name}"
    yield from rule_lines(again.explanation)
    yield ""
    for note in again.notes:
        yield f"note: {note}"
    for what, recorded, now in again.differences:
        yield f"differs: {what}: {', '.join(recorded) or 'none'} in the record, {', '.join(now) or 'none'} now"
    if not again.differences:
        yield f"reproduced: the rules that fire are those of the record: {', '.join(logged.fired) or 'none'}"


def _tied(logged: Logged) -> Iterator[tuple[str, str]]:
    """Yield the cluster and the template whose flags and budgets counted for it, by which a campaign is found."""
    ties, shadow = logged.ties, logged.shadow_ties
    for subject, name, in_shadow in (
        (Subject.CLUSTER, ties.cluster, shadow.cluster),
        (Subject.TEMPLATE, ties.template, shadow.template),
    ):
        if name:
            yield subject, name
        if in_shadow not in ("", name):
            yield f"{subject} in shadow", in_shadow


def _as_document(pack: Pack, logged: Logged, again: Again) -> dict[str, Any]:
    return {
        "exchange": logged.id,
        "reproduced": not again.differences,
        "pack": pack_document(pack),
        "effect": again.done.effect,
        "by": again.done.by,
        "actions": again.done.actions,
        **judgement_document(again.explanation),
        "fired": again.judgement.fired,
        "shadow_fired": again.judgement.shadow_fired,
        "failed": again.judgement.failed,
        "fields": dict(again.fields),
        "differences": [difference._asdict() for difference in again.differences],
        "notes": again.notes,
        "recorded": _recorded(logged),
    }


def _recorded(logged: Logged) -> dict[str, Any]:
    """Return what the record says itself."""
    return {
        "time": logged.stamp,
        "pack_digest": logged.pack_digest,
        "effect": logged.effect,
        "by": logged.by,
        "reasons": logged.reasons,
        "actions": logged.actions,
        "rung": logged.rung,
        "score": logged.score,
        "fired": logged.fired,
        "flags": logged.flags,
        "ties": logged.ties._asdict(),
        "waiting": logged.waiting,
        "exempt": logged.exempt,
        "failed": logged.failed,
        "shadow": {**logged.shadow._asdict(), "ties": logged.shadow_ties._asdict()},
        "status": logged.status,
        "code": logged.code,
        "fields": dict(logged.fields),
        "truncated": logged.cut,
    }
