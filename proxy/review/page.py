"""The report as one page for people; whatever the names in it, they are words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any, Final

from proxy.pages.charts import Slot, columns
from proxy.pages.markup import Html, moment, named, short, tag
from proxy.pages.whole import figures, section, table, whole
from proxy.review.report import Part
from proxy.review.values import shown

_SLOTS: Final = 96  # more would be thinner than a line
_LABELS: Final = 6
_CHARS: Final = 200


def page(parts: Sequence[Part], notes: Sequence[str], made_at: float) -> str:
    """Return the page; `notes` say what could not be read, `made_at` is Unix seconds."""
    main = (
        tag("header", tag("h1", "Decision log"), *(tag("p", short(note, 500), class_="said") for note in notes)),
        *_totals(parts),
        *(section(part.title, *_drawn(part), _table(part)) for part in parts),
    )
    return whole(
        "Decision log", main, f"Made by Stillgate, {moment(made_at)} UTC. It tells of customers: hand it on with care."
    )


def _totals(parts: Sequence[Part]) -> Iterator[Html]:
    for part in parts:
        if part.view == "counts":
            rows = [dict(zip(part.names, row, strict=True)) for row in part.rows]
            totals = ((name, sum(row[name] for row in rows)) for name in ("exchanges", "degraded", "denied"))
            yield figures((name, f"{total:,}") for name, total in totals)


def _drawn(part: Part) -> Iterator[Html]:
    """Draw effects over time, neighbouring intervals together where there are very many."""
    if part.view != "over-time" or not part.rows:
        return
    begins = [row[0] for row in part.rows]
    length = min((later - earlier for earlier, later in pairwise(begins)), default=None)
    span = int((begins[-1] - begins[0]) / length) + 1 if length else 1
    together = -(-span // _SLOTS)
    sums = [[0, 0, 0] for _ in range(-(-span // together))]
    for since, exchanges, degraded, denied, _ in part.rows:
        place = int((since - begins[0]) / length) // together if length else 0
        counted = (exchanges - degraded - denied, degraded, denied)
        sums[place] = [one + other for one, other in zip(sums[place], counted, strict=True)]
    starts = list(accumulate([length * together] * (len(sums) - 1), initial=begins[0])) if length else begins
    every = -(-len(sums) // _LABELS)
    slots = [
        Slot(
            f"{start:%m-%d %H:%M}" if place % every == 0 else "",
            f"{start:%Y-%m-%d %H:%M}: {allowed} allowed, {degraded} degraded, {denied} denied",
            [(denied, "against"), (degraded, "bar"), (allowed, "allowed")],
        )
        for place, (start, (allowed, degraded, denied)) in enumerate(zip(starts, sums, strict=True))
    ]
    yield columns("Exchanges denied, degraded and allowed, from below, UTC", slots)
    yield tag("p", "From below: denied, degraded, allowed.", class_="quiet")


def _table(part: Part) -> Html:
    if part.view == "over-time":
        part = part._replace(rows=part.rows[-_SLOTS:])
    if not part.rows:
        return tag("p", "None.", class_="quiet")
    return table([name.replace("_", " ") for name in part.names], map(_row, part.rows))


def _row(row: Iterable[Any]) -> tuple[str, ...]:
    return tuple(named(value, _CHARS) if isinstance(value, str) else short(shown(value), _CHARS) for value in row)
