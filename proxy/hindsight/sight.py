"""What two packs can be asked about the records of a third, which may be one of the two.

Law: a rule that reads what the record cannot say is left out of both packs, so that it never makes a difference that
nobody knows of; so is one that an exemption may spare which reads such, and who meets it then is unknown. A record says
the fields that cost nothing to know, and those and the signals that the pack in force read, and nothing of others; it
never says names. An exemption that the pack in force had too need not be asked where the record shows what it did then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import NamedTuple

from proxy.exchange import Exchange
from proxy.fields import FieldTable
from proxy.hindsight.recorded_world import SIGNALS, RecordedFlags, RecordedSignals
from proxy.hindsight.untold import as_then
from proxy.rules.conditions.cel import ConditionFailed
from proxy.rules.conditions.compiling import compile_condition
from proxy.rules.conditions.condition import Holds, fields_of
from proxy.rules.engine import Engine
from proxy.rules.flags.flag import Flags
from proxy.rules.pack.pack import Exemption, Pack
from proxy.rules.pack.words import Mode


class Doubted(NamedTuple):
    """A rule that is left out because an exemption which cannot be told may spare whoever meets it."""

    rule: str
    when: Holds
    reads: frozenset[str]

    def matters(self, exchange: Exchange) -> bool:
        """Tell whether the rule is met, or fails: only then the exemption decides."""
        try:
            return bool(exchange.unknown & self.reads) or self.when(exchange.fields)
        except ConditionFailed:
            return True


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two packs at work on records of one other; `caps` are the rungs of exemptions that are left out."""

    engine: Engine
    signals: RecordedSignals
    doubted: tuple[Doubted, ...]
    caps: Mapping[str, str]

    def may_cap(self, rung: str) -> frozenset[str]:
        """Return the exemptions among those left out that may keep from this rung whoever reaches it."""
        if not rung or not self.caps:
            return frozenset()
        order = [each.name for each in self.engine.pack.ladder]
        return frozenset(name for name, most in self.caps.items() if order.index(most) < order.index(rung))


@dataclass(frozen=True, slots=True)
class Sight:
    """Both sides; `untold` are the rules that the records cannot tell about, and `sparing` names the exemptions that
    cannot be told by the rules that they may spare.
    """

    by: Pack
    old: Side
    new: Side
    untold: frozenset[str]
    sparing: Mapping[str, frozenset[str]]

    def doubts(self, side: Side, exchange: Exchange) -> frozenset[str]:
        """Return the rules that an exchange meets on a side and that may be spared, and the exemptions that say so."""
        rules = [doubted.rule for doubted in side.doubted if doubted.matters(exchange)]
        return frozenset(rules).union(*(self.sparing[rule] for rule in rules))


def read_by(*packs: Pack) -> frozenset[str]:
    """Return the names that conditions of packs read."""
    conditions = [rule.when for pack in packs for rule in pack.rules]
    conditions += [entry.match for pack in packs for entry in pack.exemptions]
    return frozenset(name for condition in conditions for name in fields_of(condition))


def sight(
    by: Pack,
    old: Pack,
    new: Pack,
    books: tuple[Flags, Flags],
    table: FieldTable,
    hidden: frozenset[str],
    held: Mapping[str, bool],
) -> Sight:
    """Return what can be asked about records that the pack `by` wrote; each side has its book of flags.

    `hidden` are fields of theirs that may have been shortened: such a text says as little as none. `held` are the
    exemptions of `by` of which they show whether they held.
    """
    old, new = (replace(pack, exemptions=tuple(_as_then(by, pack, held))) for pack in (old, new))
    recorded = frozenset(Engine(by, table, RecordedSignals(by), RecordedFlags(), Mode.ENFORCE).recorded) - hidden
    names = {signal.digest: signal.name for signal in by.signals}
    packs = [
        (pack, {signal.name: names[signal.digest] for signal in pack.signals if signal.digest in names})
        for pack in (old, new)
    ]
    untold: set[str] = set()
    exemptions: set[str] = set()
    for pack, seen in packs:
        told = recorded - {f"{SIGNALS}{signal.name}" for signal in by.signals} | {f"{SIGNALS}{name}" for name in seen}
        untold |= {
            rule.id for rule in pack.rules if rule.mode is not Mode.OFF and not told.issuperset(fields_of(rule.when))
        }
        exemptions |= {entry.id for entry in pack.exemptions if not told.issuperset(fields_of(entry.match))}
    doubtful = [entry for pack, _ in packs for entry in pack.exemptions if entry.id in exemptions]
    sparing = {
        rule: frozenset(entry.id for entry in doubtful if rule in entry.rules)
        for rule in {rule for entry in doubtful for rule in entry.rules} - untold
    }
    sides = [
        _side(pack, seen, untold, sparing.keys(), exemptions, flags, table)
        for (pack, seen), flags in zip(packs, books, strict=True)
    ]
    return Sight(by, sides[0], sides[1], frozenset(untold), sparing)


def _as_then(by: Pack, pack: Pack, held: Mapping[str, bool]) -> Iterator[Exemption]:
    """Yield the exemptions of a pack, with what is known of those that the other had too; counts may be others now."""
    given = {entry.id: entry.match for entry in by.exemptions if entry.id in held}
    for entry in pack.exemptions:
        counts = any(name.startswith(SIGNALS) for name in fields_of(entry.match))
        known = not counts and given.get(entry.id) == entry.match
        yield replace(entry, match=as_then(held=held[entry.id])) if known else entry


def _side(
    pack: Pack,
    names: Mapping[str, str],
    untold: AbstractSet[str],
    doubted: AbstractSet[str],
    exemptions: AbstractSet[str],
    flags: Flags,
    table: FieldTable,
) -> Side:
    asked = replace(
        pack,
        rules=tuple(rule for rule in pack.rules if rule.id not in untold | doubted),
        exemptions=tuple(entry for entry in pack.exemptions if entry.id not in exemptions),
    )
    signals = RecordedSignals(pack, names)
    return Side(
        Engine(asked, table, signals, flags, Mode.ENFORCE),
        signals,
        tuple(
            Doubted(rule.id, compile_condition(rule.when), frozenset(fields_of(rule.when)))
            for rule in pack.rules
            if rule.id in doubted and rule.mode is not Mode.OFF
        ),
        {
            entry.id: entry.max_rung
            for entry in pack.exemptions
            if entry.id in exemptions and entry.max_rung is not None
        },
    )
