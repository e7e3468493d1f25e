"""What no record can tell of a pack's conditions: those that read what names somebody, or what had to be shortened.

Law: whether such a condition held is taken from the record, and said; it is never worked out from a default.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from proxy.decisions.logged import Logged
from proxy.fields import FieldTable
from proxy.rules.conditions.condition import AllOf, Condition, Not, fields_of
from proxy.rules.explain import Explained, Explanation, Fate, Outcome, Step
from proxy.rules.pack.pack import Pack
from proxy.rules.pack.words import Mode

_HELD: Final = AllOf(())
_DID_NOT: Final = Not(_HELD)


@dataclass(frozen=True, slots=True)
class Told:
    """A pack in which every condition can be asked; `rules` and `exemptions` say which fields kept theirs from it.

    `either` are those of the rules that were spared, met or not: an exemption was used that spares others too.
    `missing` are the fields that have to count as unknown, so that a rule which failed then fails again.
    """

    pack: Pack
    rules: Mapping[str, tuple[str, ...]]
    exemptions: Mapping[str, tuple[str, ...]]
    either: frozenset[str]
    missing: frozenset[str]

    def notes(self, logged: Logged) -> Iterator[str]:
        """Yield what has to be said about it; where nothing was flagged, no exemption made a difference."""
        flagged = logged.shadow.fired or logged.failed or logged.exempt or logged.counted or logged.shadow_counted
        for what, untold in (("rule", self.rules), ("exemption", self.exemptions if flagged else {})):
            for name, fields in untold.items():
                read = ", ".join(fields)
                then = "spared, met or not" if what == "rule" and name in self.either else "taken as it came out"
                yield f"{what} {name} reads {read}, which its record does not hold (whole): {then}"

    def explained(self, explanation: Explanation, pack: Pack) -> Explanation:
        """Return an explanation with these rules as they are in the pack, and why nothing more is known of them."""
        given = {rule.id: rule for rule in pack.rules}

        def whole(entry: Explained) -> Explained:
            fields = self.rules.get(entry.rule.id)
            if fields is None:
                return entry
            says, fate = f"a condition on {', '.join(fields)}", entry.fate
            step = Step(says, entry.step.outcome, "taken from the record")
            if fate is Fate.SPARED and entry.rule.id in self.either:
                step, fate = Step(says, Outcome.UNKNOWN, "the record does not say"), Fate.EITHER
            return replace(entry, rule=given[entry.rule.id], step=step, fate=fate)

        return replace(explanation, rules=tuple(map(whole, explanation.rules)))


def told(pack: Pack, table: FieldTable, logged: Logged) -> Told:
    """Return what can be asked of the pack of a record."""
    hidden = {name for name, field in table.items() if field.private} | set(logged.shortened)
    rules = {rule.id: read for rule in pack.rules if rule.mode is not Mode.OFF and (read := _read(rule.when, hidden))}
    exemptions = {entry.id: read for entry in pack.exemptions if (read := _read(entry.match, hidden))}
    used = [entry for entry in pack.exemptions if entry.id in logged.exempt]
    spared = {rule for entry in used for rule in entry.rules}
    alone = {entry.rules[0] for entry in used if len(entry.rules) == 1 and entry.max_rung is None}
    either = frozenset(spared - alone)
    met = spared.union(logged.shadow.fired)
    failed = rules.keys() & set(logged.failed)
    asked = replace(
        pack,
        rules=tuple(
            replace(rule, when=as_then(held=rule.id in met)) if rule.id in rules.keys() - failed else rule
            for rule in pack.rules
        ),
        exemptions=tuple(
            replace(
                entry,
                match=as_then(held=entry in used) if entry.id in exemptions else entry.match,
                # What was not used spared no rule that was met.
                rules=entry.rules if entry in used else tuple(set(entry.rules) - (either & rules.keys())),
            )
            for entry in pack.exemptions
        ),
    )
    missing = frozenset(name for rule in failed for name in rules[rule])
    return Told(asked, rules, exemptions, either, missing)


def held_then(by: Pack, logged: Logged) -> dict[str, bool]:
    """Return, by id, of which exemptions of its pack a record shows that they held for it, or that they did not.

    One that was used held. One that did not keep a rule of its own from firing, or a rung above its own, did not.
    """
    found = dict.fromkeys(logged.exempt, True)
    order = [rung.name for rung in by.ladder]
    reached = {rung for rung in (logged.rung, logged.shadow.rung) if rung}
    for entry in by.exemptions:
        if entry.id in found or entry.expires <= logged.decided:
            continue
        above = () if entry.max_rung is None else order[order.index(entry.max_rung) + 1 :]
        if not reached.isdisjoint(above) or not set(entry.rules).isdisjoint(logged.shadow.fired):
            found[entry.id] = False
    return found


def _read(condition: Condition, hidden: Collection[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in fields_of(condition) if name in hidden))


def as_then(*, held: bool) -> Condition:
    """Return a condition that holds for everybody, or for nobody."""
    return _HELD if held else _DID_NOT
