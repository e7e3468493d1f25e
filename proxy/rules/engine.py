"""The engine: what the rules, flags and the ladder of a pack say to one exchange, in both worlds at once.

Laws:
- Every rule is evaluated and none ends the evaluation; flags are committed after all rules ran, so order means nothing.
- The shadow world is the enforced one plus the rules in shadow, with its own flags; a shadow rule never changes what is
  enforced. Signals are shared and count the present exchange, denied ones too.
- A condition that fails is not false: it counts as its rule's `on_error` says, and is reported.
- Nothing here awaits or opens anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from proxy.exchange import Exchange
from proxy.fields import Cost, FieldTable, When
from proxy.rules.cel import CelCondition, ConditionFailed
from proxy.rules.conditions import Holds, compile_condition, fields_of
from proxy.rules.flags import Flag, Flags, World
from proxy.rules.ladder import NOWHERE, Ladder, Standing
from proxy.rules.pack import Exemption, Mode, OnError, Pack, Rule, Scope, Signal, Subject
from proxy.rules.reasons import compile_reason, names_in
from proxy.rules.signals import Counter, Signals


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a pack says to one exchange.

    `fired` are the rules that raised a flag, by world; `exempt` the exemptions that kept a rule or a rung from acting,
    `failed` the rules whose condition failed, `reasons` one sentence for each rule that fired and is enforced.
    """

    enforced: Standing
    shadow: Standing
    fired: tuple[str, ...] = ()
    shadow_fired: tuple[str, ...] = ()
    exempt: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()


NO_JUDGEMENT = Judgement(NOWHERE, NOWHERE)
_NEVER = float("inf")


class _Rule(NamedTuple):
    rule: Rule
    holds: Holds
    reason: Any
    reads: frozenset[str]

    def met_by(self, exchange: Exchange) -> bool:
        """Tell whether the condition holds. Raises ConditionFailed, also if a field that it reads is unknown."""
        if exchange.unknown and exchange.unknown & self.reads:
            raise ConditionFailed("a field that it reads is unknown")
        return self.holds(exchange.fields)


class _Signal(NamedTuple):
    field: str  # by which rules read it
    key: Callable[[Exchange], str | None]
    distinct: str
    where: Holds
    counter: Counter


class _Exemption(NamedTuple):
    exemption: Exemption
    holds: Holds


class Engine:
    """One pack, compiled; `judge` is called once an exchange, `learn` once when it has ended."""

    def __init__(self, pack: Pack, table: FieldTable, signals: Signals, flags: Flags, max_mode: Mode) -> None:
        self.pack = pack
        self._flags = flags
        self._max_mode = max_mode
        self._rules = tuple(
            _Rule(rule, compile_condition(rule.when), compile_reason(rule.reason), frozenset(fields_of(rule.when)))
            for rule in pack.rules
            if capped(rule.mode, max_mode) is not Mode.OFF
        )
        self._conditions = tuple((compiled, compiled.holds) for compiled in self._rules)
        expressions = [holds for _, holds in self._conditions if isinstance(holds, CelCondition)]
        self._givens = tuple(dict.fromkeys(expression.givens for expression in expressions))
        self._first_expiry = min((rule.expires for rule in pack.rules if rule.expires is not None), default=_NEVER)
        self._early = tuple(_compiled(signal, signals) for signal in pack.signals if not _late(signal, table))
        self._late = tuple(_compiled(signal, signals) for signal in pack.signals if _late(signal, table))
        self._exemptions = tuple(
            _Exemption(exemption, compile_condition(exemption.match)) for exemption in pack.exemptions
        )
        self._ladder = Ladder(pack.ladder)
        # The fields that anything in the pack reads, for which detectors are run; and what the record holds: those and
        # all that cost nothing, so that another pack can be tried on it.
        read = frozenset(_read_fields(pack))
        self.reads = read & table.keys()
        free = {name for name, field in table.items() if field.cost is Cost.FREE}
        shown = sorted(name for name in self.reads | free if not table[name].private)
        self.recorded = (*shown, *(f"signals.{signal.name}" for signal in pack.signals))

    def judge(self, exchange: Exchange, now: float) -> Judgement:
        """Evaluate everything for one exchange, whose fields are there; signals are added to them.

        `now` is Unix seconds.
        """
        fields = exchange.fields
        self._count(self._early, exchange, now)
        for signal in self._late:
            key = signal.key(exchange)
            fields[signal.field] = 0 if key is None else signal.counter.count(key, now)
        met, failed = self._met(exchange, now)
        if not met and not failed and not self._flagged(exchange, now):
            return NO_JUDGEMENT
        exempt = [entry for entry in self._exemptions if entry.exemption.expires > now and entry.holds(fields)]
        spared = {rule for entry in exempt for rule in entry.exemption.rules}
        fired = [compiled for compiled in met if compiled.rule.id not in spared]
        used = {entry.exemption.id for entry in exempt for compiled in met if compiled.rule.id in entry.exemption.rules}
        return self._stand(exchange, now, fired, failed, exempt, used)

    def learn(self, exchange: Exchange, now: float) -> None:
        """Count what only the end of the exchange tells; the fields known by then are in `exchange.fields`.

        The counts in there stay as the rules saw them: that is what the record says.
        """
        if not self._late:
            return
        seen = {signal.field: exchange.fields[signal.field] for signal in self._late if signal.field in exchange.fields}
        self._count(self._late, exchange, now)
        exchange.fields.update(seen)

    def _met(self, exchange: Exchange, now: float) -> tuple[list[_Rule], list[str]]:
        """Return the rules whose condition holds, or counts as if it did, and the ids of those that failed."""
        fields = exchange.fields
        for givens in self._givens:
            givens.put_up(fields)
        if not exchange.unknown and now < self._first_expiry:
            try:
                return [compiled for compiled, holds in self._conditions if holds(fields)], []
            except ConditionFailed:
                pass  # one of them fails: then each is asked by itself
        met: list[_Rule] = []
        failed: list[str] = []
        for compiled in self._rules:
            rule = compiled.rule
            if rule.expires is not None and now >= rule.expires:
                continue
            try:
                if not compiled.met_by(exchange):
                    continue
            except ConditionFailed:
                failed.append(rule.id)
                if rule.on_error is OnError.SKIP:
                    continue
            met.append(compiled)
        return met, failed

    def _stand(
        self,
        exchange: Exchange,
        now: float,
        fired: Sequence[_Rule],
        failed: Sequence[str],
        exempt: Sequence[_Exemption],
        used: set[str],
    ) -> Judgement:
        """Commit the flags of the rules that fired, and read what they come to with those that were there."""
        reasons: list[str] = []
        names: dict[World, list[str]] = {World.ENFORCED: [], World.SHADOW: []}
        for rule, _, reason, _ in fired:
            words = reason(exchange.fields)
            flag = Flag(rule.flag.name, rule.flag.score, now, now + rule.flag.ttl_ms / 1000, rule.id, words)
            worlds: tuple[World, ...] = (World.SHADOW,)
            if capped(rule.mode, self._max_mode) is Mode.ENFORCE:
                worlds = (World.ENFORCED, World.SHADOW)
                reasons.append(words)
            for subject in rule.flag.on:
                if name := subject_name(subject, exchange):
                    for world in worlds:
                        self._flags.put(world, subject, name, flag)
            for world in worlds:
                names[world].append(rule.id)
        caps = [entry.exemption for entry in exempt if entry.exemption.max_rung is not None]
        enforced, capping = self._ladder.stand(self._live(World.ENFORCED, exchange, now), caps)
        shadow, _ = self._ladder.stand(self._live(World.SHADOW, exchange, now), caps)
        used.update(capping)
        return Judgement(
            enforced=enforced if self._max_mode is Mode.ENFORCE else enforced.without_rungs(),
            shadow=shadow,
            fired=tuple(names[World.ENFORCED]),
            shadow_fired=tuple(names[World.SHADOW]),
            exempt=tuple(sorted(used)),
            failed=tuple(failed),
            reasons=tuple(reasons),
        )

    def _flagged(self, exchange: Exchange, now: float) -> bool:
        return bool(self._live(World.SHADOW, exchange, now) or self._live(World.ENFORCED, exchange, now))

    def _live(self, world: World, exchange: Exchange, now: float) -> dict[str, Flag]:
        """Return the live flags that count for an exchange; of one name the one with the highest score."""
        live: dict[str, Flag] = {}
        principal = exchange.principal
        for subject, name in (
            (Subject.ACCOUNT, principal.account),
            (Subject.TENANT, principal.tenant),
            (Subject.TEMPLATE, exchange.template),
            (Subject.CLUSTER, exchange.cluster),
        ):
            if name and (flags := self._flags.on(world, subject, name, now)):
                for flag in flags.values():
                    known = live.get(flag.name)
                    if known is None or flag.score > known.score:
                        live[flag.name] = flag
        return live

    @staticmethod
    def _count(signals: Sequence[_Signal], exchange: Exchange, now: float) -> None:
        fields = exchange.fields
        for name, key_of, distinct, where, counter in signals:  # none of them reads another
            key = key_of(exchange)
            if key is None:
                fields[name] = 0
            elif where(fields):
                fields[name] = counter.add(key, _members(fields, distinct), now)
            else:
                fields[name] = counter.count(key, now)


def capped(mode: Mode, most: Mode) -> Mode:
    """Return a mode, or the deployment's cap if that is weaker: off < shadow < enforce."""
    return min(mode, most, key=(Mode.OFF, Mode.SHADOW, Mode.ENFORCE).index)


def subject_name(subject: Subject, exchange: Exchange) -> str:
    """Return the account, tenant, template or cluster of an exchange, empty if it has none."""
    match subject:
        case Subject.ACCOUNT:
            return exchange.principal.account
        case Subject.TENANT:
            return exchange.principal.tenant
        case Subject.TEMPLATE:
            return exchange.template
        case Subject.CLUSTER:
            return exchange.cluster


def _read_fields(pack: Pack) -> Iterator[str]:
    for rule in pack.rules:
        yield from fields_of(rule.when)
        yield from names_in(rule.reason)
    for signal in pack.signals:
        yield from fields_of(signal.where)
        yield signal.distinct
    for exemption in pack.exemptions:
        yield from fields_of(exemption.match)


# Whose count an exchange belongs to; None for a template or cluster it is not in.
_KEYS: Mapping[Scope, Callable[[Exchange], str | None]] = {
    Scope.KEY: lambda exchange: exchange.principal.key_id,
    Scope.ACCOUNT: lambda exchange: exchange.principal.account,
    Scope.TENANT: lambda exchange: exchange.principal.tenant,
    Scope.TEMPLATE: lambda exchange: exchange.template or None,
    Scope.CLUSTER: lambda exchange: exchange.cluster or None,
    Scope.MODEL: lambda exchange: exchange.call.model if exchange.call is not None else "",
    Scope.GLOBAL: lambda _: "",
}


def _members(fields: Mapping[str, Any], distinct: str) -> Sequence[str]:
    if not distinct:
        return ()
    value = fields[distinct]
    return value if isinstance(value, tuple) else (str(value),)


def _compiled(signal: Signal, signals: Signals) -> _Signal:
    where = compile_condition(signal.where)
    return _Signal(f"signals.{signal.name}", _KEYS[signal.per], signal.distinct, where, signals.counter(signal))


def _late(signal: Signal, table: FieldTable) -> bool:
    """Tell whether a signal reads what only the end of an exchange tells."""
    names = [*fields_of(signal.where), *([signal.distinct] if signal.distinct else [])]
    return any(table[name].when is When.ANSWER for name in names)
