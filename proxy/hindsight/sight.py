"""What two packs can be asked about the records of a third, which may be one of the two.

Law: a rule that reads what the record cannot say is left out of both packs, so that it never makes a difference that
nobody knows of. A record says the fields that cost nothing to know, and those and the signals that the pack in force
read, and nothing of others; it never says names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from proxy.fields import FieldTable
from proxy.hindsight.recorded_world import SIGNALS, RecordedFlags, RecordedSignals
from proxy.rules.conditions import fields_of
from proxy.rules.engine import Engine
from proxy.rules.flags import Flags
from proxy.rules.pack import Condition, Mode, Pack


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two packs at work on records of one other."""

    engine: Engine
    signals: RecordedSignals


@dataclass(frozen=True, slots=True)
class Sight:
    """Both sides; `untold` are the rules, and the exemptions that cap rungs, which the records cannot tell about."""

    by: Pack
    old: Side
    new: Side
    untold: frozenset[str]


def sight(by: Pack, old: Pack, new: Pack, books: tuple[Flags, Flags], table: FieldTable) -> Sight:
    """Return what can be asked about records that the pack `by` wrote; each side has its book of flags."""
    recorded = frozenset(Engine(by, table, RecordedSignals(by), RecordedFlags(), Mode.ENFORCE).recorded)
    names = {signal.digest: signal.name for signal in by.signals}
    seen = [
        {signal.name: names[signal.digest] for signal in pack.signals if signal.digest in names} for pack in (old, new)
    ]
    untold = frozenset({*_untold(old, recorded, seen[0]), *_untold(new, recorded, seen[1])})
    return Sight(
        by,
        old=_side(old, untold, seen[0], books[0], table),
        new=_side(new, untold, seen[1], books[1], table),
        untold=untold,
    )


def _side(pack: Pack, untold: frozenset[str], names: Mapping[str, str], flags: Flags, table: FieldTable) -> Side:
    rules = tuple(rule for rule in pack.rules if rule.id not in untold)
    exemptions = tuple(entry for entry in pack.exemptions if entry.id not in untold)
    signals = RecordedSignals(pack, names)
    return Side(Engine(replace(pack, rules=rules, exemptions=exemptions), table, signals, flags, Mode.ENFORCE), signals)


def _untold(pack: Pack, recorded: frozenset[str], names: Mapping[str, str]) -> Iterator[str]:
    def is_told(condition: Condition) -> bool:
        return all(
            name.removeprefix(SIGNALS) in names if name.startswith(SIGNALS) else name in recorded
            for name in fields_of(condition)
        )

    for rule in pack.rules:
        if rule.mode is not Mode.OFF and not is_told(rule.when):
            yield rule.id
    for exemption in pack.exemptions:
        if not is_told(exemption.match):
            yield exemption.id
            yield from exemption.rules
