"""What differs between two packs, entry by entry: what an author wants to know before the new one runs.

Laws: entries are matched by id and their order means nothing. Tightened means that more exchanges are refused, flagged
or acted on, or earlier; loosened means the opposite; changed, that it is not certainly either.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from proxy.rules.breadth import Breadth, breadth
from proxy.rules.pack.pack import Campaign, Exemption, FlagSpec, Limit, Pack, Quota, Rule, Rung, Signal
from proxy.rules.pack.units import window_text
from proxy.rules.pack.words import Measure, Mode


class Kind(StrEnum):
    """What became of an entry."""

    ADDED = "added"
    REMOVED = "removed"
    LOOSENED = "loosened"
    TIGHTENED = "tightened"
    MODE = "mode"
    RESET = "reset"  # its counter starts again at zero
    CHANGED = "changed"


class Change(NamedTuple):
    """One difference: the section and id of an entry, and in words its old and new state."""

    section: str
    id: str
    kind: Kind
    detail: str = ""


_Found = Iterator[tuple[Kind, str]]


def differences(old: Pack, new: Pack) -> list[Change]:
    """Return every difference, by section in the order of the language, and by id."""
    return [
        *_entries("quotas", _by_id(old.quotas), _by_id(new.quotas), _quota),
        *_entries("signals", {s.name: s for s in old.signals}, {s.name: s for s in new.signals}, _signal),
        *_entries("rules", _by_id(old.rules), _by_id(new.rules), _rule),
        *_fingerprints(old, new),
        *_entries("campaigns", _by_id(old.campaigns), _by_id(new.campaigns), _campaign),
        *_entries("ladder", {r.name: r for r in old.ladder}, {r.name: r for r in new.ladder}, _rung),
        *_entries("exemptions", _by_id(old.exemptions), _by_id(new.exemptions), _exemption),
    ]


def _by_id(entries: Iterable[Any]) -> dict[str, Any]:
    return {entry.id: entry for entry in entries}


def _fingerprints(old: Pack, new: Pack) -> Iterator[Change]:
    if old.max_letters != new.max_letters:
        yield Change("fingerprints", "max_letters", Kind.CHANGED, f"{old.max_letters:,} -> {new.max_letters:,}")


def _entries(section: str, old: Mapping[str, Any], new: Mapping[str, Any], compare: Any) -> Iterator[Change]:  # noqa: ANN401 - of one section's type
    for name in sorted({*old, *new}):
        if name not in new:
            yield Change(section, name, Kind.REMOVED)
        elif name not in old:
            yield Change(section, name, Kind.ADDED)
        else:
            yield from (Change(section, name, kind, detail) for kind, detail in compare(old[name], new[name]))


def _quota(old: Quota, new: Quota) -> _Found:
    yield from _mode(old.mode, new.mode)
    if old.per is not new.per:
        yield Kind.RESET, f"per {old.per} -> {new.per}: all its counts start again"
    before, after = ({(limit.measure, limit.window_ms): limit for limit in quota.limits} for quota in (old, new))
    gone = [limit for key, limit in before.items() if key not in after]
    come = [limit for key, limit in after.items() if key not in before]
    for limit in come:
        same = next((other for other in gone if other.measure is limit.measure), None)
        if same is None:
            yield Kind.TIGHTENED, f"limit added: {_limit(limit)}"
        else:
            gone.remove(same)
            yield Kind.RESET, f"{_limit(same)} -> {_limit(limit)}: counted anew"
    for limit in gone:
        yield Kind.LOOSENED, f"limit removed: {_limit(limit)}"
    for key in (key for key in before if key in after):
        one, other = before[key], after[key]
        if one.max != other.max:
            yield _grown(one.max, other.max, Kind.LOOSENED), f"{_limit(one)} -> {_limit(other)}"
        if one.exact != other.exact:
            yield Kind.CHANGED, f"{_limit(other)}: exact {str(other.exact).lower()}"
    yield from _changed(old, new, "disclose", "client")


def _limit(limit: Limit) -> str:
    amount = f"{limit.max / 1_000_000:,.6g} dollars" if limit.measure is Measure.COST_USD else f"{limit.max:,}"
    return f"{limit.measure} {amount}" + (f" per {window_text(limit.window_ms)}" if limit.window_ms else "")


def _signal(old: Signal, new: Signal) -> _Found:
    if old.digest != new.digest:
        parts = [name for name in ("distinct", "per", "window_ms", "where") if getattr(old, name) != getattr(new, name)]
        named = ", ".join({"distinct": "count", "window_ms": "window"}.get(name, name) for name in parts)
        yield Kind.RESET, f"{named} changed: counted anew"


def _rule(old: Rule, new: Rule) -> _Found:
    yield from _mode(old.mode, new.mode)
    yield from _condition("when", breadth(old.when, new.when), Kind.TIGHTENED)
    yield from _flag(old.flag, new.flag)
    yield from _expiry(old.expires, new.expires, Kind.TIGHTENED)
    yield from _changed(old, new, "severity", "on_error", "reason")


def _campaign(old: Campaign, new: Campaign) -> _Found:
    yield from _mode(old.mode, new.mode)
    for name in ("min_accounts", "min_tenants", "min_confidence"):
        yield from _number(name, getattr(old, name), getattr(new, name), Kind.LOOSENED)
    yield from _time("window", old.window_ms, new.window_ms, Kind.TIGHTENED)
    yield from _flag(old.flag, new.flag)
    yield from _changed(old, new, "contain")


def _flag(old: FlagSpec, new: FlagSpec) -> _Found:
    yield from _number("score", old.score, new.score, Kind.TIGHTENED)
    yield from _time("ttl", old.ttl_ms, new.ttl_ms, Kind.TIGHTENED)
    if old.name != new.name:
        yield Kind.CHANGED, f"flag {old.name} -> {new.name}"
    before, after = set(old.on), set(new.on)
    if before != after:
        kind = Kind.TIGHTENED if before < after else Kind.LOOSENED if before > after else Kind.CHANGED
        yield kind, f"on {', '.join(old.on)} -> {', '.join(new.on)}"


def _rung(old: Rung, new: Rung) -> _Found:
    yield from _number("score", old.score, new.score, Kind.LOOSENED)
    if old.approval is not new.approval:
        order = list(type(old.approval))
        kind = _grown(order.index(old.approval), order.index(new.approval), Kind.LOOSENED)
        yield kind, f"approval {old.approval} -> {new.approval}"
    yield from _changed(old, new, "do", "disclose", "client")


def _exemption(old: Exemption, new: Exemption) -> _Found:
    yield from _condition("match", breadth(old.match, new.match), Kind.LOOSENED)
    before, after = set(old.rules), set(new.rules)
    if before != after:
        kind = Kind.LOOSENED if before < after else Kind.TIGHTENED if before > after else Kind.CHANGED
        yield kind, f"rules {', '.join(old.rules) or 'none'} -> {', '.join(new.rules) or 'none'}"
    yield from _expiry(old.expires, new.expires, Kind.LOOSENED)
    yield from _changed(old, new, "max_rung", "why", "owner")


def _mode(old: Mode, new: Mode) -> _Found:
    if old is not new:
        yield Kind.MODE, f"{old} -> {new}"


def _condition(key: str, found: Breadth, wider: Kind) -> _Found:
    match found:
        case Breadth.WIDER:
            yield wider, f"{key} holds more often"
        case Breadth.NARROWER:
            yield _opposite(wider), f"{key} holds less often"
        case Breadth.UNKNOWN:
            yield Kind.CHANGED, f"{key} is another condition"


def _expiry(old: float | None, new: float | None, later: Kind) -> _Found:
    if old != new:
        yield _grown(old or float("inf"), new or float("inf"), later), "expires on another day"


def _number(name: str, old: float, new: float, more: Kind) -> _Found:
    if old != new:
        yield _grown(old, new, more), f"{name} {old} -> {new}"


def _time(name: str, old: int, new: int, longer: Kind) -> _Found:
    if old != new:
        yield _grown(old, new, longer), f"{name} {window_text(old)} -> {window_text(new)}"


def _changed(old: Any, new: Any, *names: str) -> _Found:  # noqa: ANN401 - any two entries of one type
    for name in names:
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            plain = isinstance(before, str | bool) and isinstance(after, str | bool)
            yield Kind.CHANGED, f"{name} {before} -> {after}" if plain else f"{name} changed"


def _grown(old: float, new: float, more: Kind) -> Kind:
    return more if new > old else _opposite(more)


def _opposite(kind: Kind) -> Kind:
    return Kind.LOOSENED if kind is Kind.TIGHTENED else Kind.TIGHTENED
