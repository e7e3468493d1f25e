"""The engine: what the rules, flags and ladder of a pack say about one exchange, in both worlds at once.

Laws:
- All rules are always evaluated, and flags are raised after all rules ran, so the order of rules means nothing.
- The shadow world is the enforced one plus the rules in shadow, with its own flags; a shadow rule never changes what is
  enforced. Both worlds share the signals, which count the present exchange, also if it is then denied.
- A condition that fails is not false: it counts as its rule's `on_error` says, and is reported.
- Nothing here awaits or opens anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from proxy.exchange import NO_TIES, Exchange, Ties
from proxy.fields import Cost, FieldTable
from proxy.rules.conditions.cel import CelCondition, ConditionFailed
from proxy.rules.conditions.cel_together import Together
from proxy.rules.conditions.compiling import compile_condition
from proxy.rules.conditions.condition import Holds, fields_of
from proxy.rules.flags.flag import Flag, Flags, World
from proxy.rules.ladder import NOWHERE, Ladder, Standing
from proxy.rules.pack.pack import Exemption, Pack, Rule
from proxy.rules.pack.words import Mode, OnError, Subject
from proxy.rules.reasons import compile_reason, names_in
from proxy.rules.signals.counts import SignalCounts
from proxy.rules.signals.signals import Signals


class Judgement(NamedTuple):
    """What a pack says about one exchange.

    `fired` are the rules that raised a flag, by world; `exempt` are the exemptions that kept a rule or a rung from
    acting in either world; `failed` are the rules whose condition failed; `reasons` has one sentence for each enforced
    rule that fired.
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
# Every exchange reads these: a member of an enumeration takes four times as long to look up as a module's name.
_ENFORCED, _SHADOW = World.ENFORCED, World.SHADOW
_ACCOUNT, _TENANT, _TEMPLATE, _CLUSTER = Subject.ACCOUNT, Subject.TENANT, Subject.TEMPLATE, Subject.CLUSTER


class _Rule(NamedTuple):
    rule: Rule
    holds: Holds
    reason: Any
    reads: frozenset[str]

    def met_by(self, exchange: Exchange) -> bool:
        """Tell whether the condition holds. Raises ConditionFailed if it fails or a field that it reads is unknown."""
        if exchange.unknown and exchange.unknown & self.reads:
            raise ConditionFailed("a field that it reads is unknown")
        return self.holds(exchange.fields)


class _Exemption(NamedTuple):
    exemption: Exemption
    holds: Holds


class Engine:
    """One pack, compiled; `judge` is called once an exchange, `learn` once when it has ended."""

    def __init__(self, pack: Pack, table: FieldTable, signals: Signals, flags: Flags, max_mode: Mode) -> None:
        self.pack = pack
        self._flags = flags
        self._max_mode = max_mode
        self._enforces = max_mode is Mode.ENFORCE
        self._rules = tuple(
            _Rule(rule, compile_condition(rule.when), compile_reason(rule.reason), frozenset(fields_of(rule.when)))
            for rule in pack.rules
            if capped(rule.mode, max_mode) is not Mode.OFF
        )
        self._conditions = tuple(
            (compiled, compiled.holds) for compiled in self._rules if not isinstance(compiled.holds, CelCondition)
        )
        expressions = [(rule, rule.holds) for rule in self._rules if isinstance(rule.holds, CelCondition)]
        self._expressions = tuple(rule for rule, _ in expressions)
        self._together = Together([holds for _, holds in expressions])
        self._first_expiry = min((rule.expires for rule in pack.rules if rule.expires is not None), default=_NEVER)
        self._signals = SignalCounts(pack.signals, table, signals)
        self._exemptions = tuple(
            _Exemption(exemption, compile_condition(exemption.match)) for exemption in pack.exemptions
        )
        self._ladder = Ladder(pack.ladder)
        # `reads`: the fields that the pack reads, for which detectors run. `recorded`: what the record holds of them,
        # and of all fields that cost nothing, so that another pack can be tried on it.
        read = frozenset(_read_fields(pack))
        self.reads = read & table.keys()
        free = {name for name, field in table.items() if field.cost is Cost.FREE}
        shown = sorted(name for name in self.reads | free if not table[name].private)
        self.counts = self._signals.names
        self.recorded = (*shown, *self.counts)

    def judge(self, exchange: Exchange, now: float) -> Judgement:
        """Evaluate the pack on one exchange, whose fields are set; signals are added to them.

        `now` is Unix seconds.
        """
        self._signals.count(exchange, now)
        met, failed = self._met(exchange, now)
        if not met and not failed and not self._flagged(exchange, now):
            return NO_JUDGEMENT
        exempt = [entry for entry in self._exemptions if entry.exemption.expires > now and entry.holds(exchange.fields)]
        if not exempt:
            return self._stand(exchange, now, met, failed, exempt, set())
        spared = {rule for entry in exempt for rule in entry.exemption.rules}
        fired = [compiled for compiled in met if compiled.rule.id not in spared]
        used = {entry.exemption.id for entry in exempt for compiled in met if compiled.rule.id in entry.exemption.rules}
        return self._stand(exchange, now, fired, failed, exempt, used)

    def learn(self, exchange: Exchange, now: float) -> None:
        """Count in signals that read an exchange's end; the fields known only then are in `exchange.fields` by now."""
        self._signals.learn(exchange, now)

    def _met(self, exchange: Exchange, now: float) -> tuple[list[_Rule], list[str]]:
        """Return the rules whose condition holds, or counts as if it did, and the ids of those where it failed."""
        if self._expressions:
            self._together.put_up(exchange.fields)
        if not exchange.unknown and now < self._first_expiry:
            try:
                return self._all_met(exchange.fields), []
            except ConditionFailed:
                pass  # a condition failed: then evaluate each by itself
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

    def _all_met(self, fields: Mapping[str, Any]) -> list[_Rule]:
        """Return the rules whose condition holds. Raises ConditionFailed if any condition fails."""
        met = [compiled for compiled, holds in self._conditions if holds(fields)]
        if self._expressions and (bits := self._together(fields)):
            met += (compiled for bit, compiled in enumerate(self._expressions) if bits >> bit & 1)
            met.sort(key=self._rules.index)
        return met

    def _stand(
        self,
        exchange: Exchange,
        now: float,
        fired: Sequence[_Rule],
        failed: Sequence[str],
        exempt: Sequence[_Exemption],
        used: set[str],
    ) -> Judgement:
        """Raise the flags of the rules that fired, and find where all live flags lead, in both worlds."""
        reasons: list[str] = []
        enforced_rules: list[str] = []
        for rule, _, reason, _ in fired:
            words = reason(exchange.fields)
            flag = Flag(rule.flag.name, rule.flag.score, now, now + rule.flag.ttl_ms / 1000, rule.id, words)
            worlds: tuple[World, ...] = (_SHADOW,)
            if capped(rule.mode, self._max_mode) is Mode.ENFORCE:
                worlds = (_ENFORCED, _SHADOW)
                reasons.append(words)
                enforced_rules.append(rule.id)
            for world in worlds:
                for subject in rule.flag.on:
                    if name := subject_name(subject, exchange, world):
                        self._flags.put(world, subject, name, flag)
        caps = [entry.exemption for entry in exempt if entry.exemption.max_rung is not None]
        live, shadow_live = self._live(_ENFORCED, exchange, now), self._live(_SHADOW, exchange, now)
        enforced, capping = self._ladder.stand(live, caps)
        shadow, would_cap = (enforced, capping) if live == shadow_live else self._ladder.stand(shadow_live, caps)
        used.update(capping, would_cap)
        return Judgement(
            enforced if self._enforces else enforced.without_rungs(),
            shadow,
            tuple(enforced_rules),
            tuple([rule.id for rule, *_ in fired]),
            tuple(sorted(used)),
            tuple(failed),
            tuple(reasons),
        )

    def _flagged(self, exchange: Exchange, now: float) -> bool:
        on, knows = self._flags.on, self._flags.knows
        principal = exchange.principal
        if exchange.shadow_ties is NO_TIES and not knows(principal.account) and not knows(principal.tenant):
            return False
        for subject, name in _subjects(exchange, exchange.shadow_ties):  # the shadow world counts enforced flags, too
            if on(_SHADOW, subject, name, now) or on(_ENFORCED, subject, name, now):
                return True
        ties = exchange.ties
        return ties is not exchange.shadow_ties and any(
            on(_ENFORCED, subject, name, now) for subject, name in _subjects(exchange, ties)
        )

    def _live(self, world: World, exchange: Exchange, now: float) -> dict[str, Flag]:
        """Return the live flags that count for an exchange, by name: for each name the one with the highest score."""
        live: dict[str, Flag] = {}
        on = self._flags.on
        for subject, name in _subjects(exchange, exchange.ties if world is _ENFORCED else exchange.shadow_ties):
            for flag_name, flag in on(world, subject, name, now).items():
                known = live.get(flag_name)
                if known is None or flag.score > known.score:
                    live[flag_name] = flag
        return live


def capped(mode: Mode, most: Mode) -> Mode:
    """Return a mode, or the deployment's cap if that is weaker: off < shadow < enforce."""
    return min(mode, most, key=(Mode.OFF, Mode.SHADOW, Mode.ENFORCE).index)


def subject_name(subject: Subject, exchange: Exchange, world: World) -> str:
    """Return the name of an exchange's account, tenant, template or cluster in one world, empty if it has none."""
    ties = exchange.ties if world is _ENFORCED else exchange.shadow_ties
    match subject:
        case Subject.ACCOUNT:
            return exchange.principal.account
        case Subject.TENANT:
            return exchange.principal.tenant
        case Subject.TEMPLATE:
            return ties.template
        case Subject.CLUSTER:
            return ties.cluster


def _subjects(exchange: Exchange, ties: Ties) -> list[tuple[Subject, str]]:
    """Return what flags that count for an exchange may be on, given its ties in one world."""
    principal = exchange.principal
    pairs = [(_ACCOUNT, principal.account), (_TENANT, principal.tenant)]
    template, cluster = ties
    if template:
        pairs.append((_TEMPLATE, template))
    if cluster:
        pairs.append((_CLUSTER, cluster))
    return pairs


def _read_fields(pack: Pack) -> Iterator[str]:
    for rule in pack.rules:
        yield from fields_of(rule.when)
        yield from names_in(rule.reason)
    for signal in pack.signals:
        yield from fields_of(signal.where)
        yield signal.distinct
    for exemption in pack.exemptions:
        yield from fields_of(exemption.match)
