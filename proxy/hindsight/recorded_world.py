"""What the engine is given to judge a recorded exchange: the fields, counts and flags that the record says it saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from proxy.decisions.logged import Logged
from proxy.exchange import Call, Exchange, Principal
from proxy.fields import Fields, FieldTable, Kind, Value
from proxy.rules.conditions.cel import ConditionFailed
from proxy.rules.conditions.compiling import compile_condition
from proxy.rules.conditions.condition import Condition, fields_of
from proxy.rules.engine import capped
from proxy.rules.flags.flag import Flag, World
from proxy.rules.pack.pack import Pack, Signal
from proxy.rules.pack.words import Mode, Subject
from proxy.rules.signals.signals import Counter

SIGNALS: Final = "signals."
_LIFE_S: Final = 60.0  # of a flag, after the time of the decision
_KINDS: Final[Mapping[Kind, tuple[type, ...]]] = {
    Kind.BOOLEAN: (bool,),
    Kind.NUMBER: (int, float),
    Kind.TEXT: (str,),
    Kind.LIST: (tuple,),
}


def fields_at(logged: Logged, table: FieldTable) -> Fields:
    """Return the fields of that moment: those in the record over the defaults.

    Raises ValueError for one that is of another type now.
    """
    for name, value in logged.fields.items():
        kind = Kind.NUMBER if name.startswith(SIGNALS) else table[name].kind if name in table else None
        if kind is not None and type(value) not in _KINDS[kind]:
            raise ValueError(f"{name} is not of type {kind} in the record")
    return {**table.defaults, **logged.fields}


def exchange_at(logged: Logged, fields: Fields, unknown: frozenset[str]) -> Exchange:
    """Return the exchange as the engine needs it; its caller is known by pseudonyms."""
    caller = Principal(logged.key, logged.account, logged.tenant, "", 0.0, {})
    call = Call(logged.model, stream=False, body={})
    return Exchange(
        id=logged.id,
        dialect=logged.dialect,
        peer="",
        user_agent="",
        client_request_id="",
        started=logged.time,
        principal=caller,
        call=call,
        fields=fields,
        unknown=unknown,
        template=logged.template,
        cluster=logged.cluster,
        ties=logged.ties,
        shadow_ties=logged.shadow_ties,
    )


def unknown_then(pack: Pack, logged: Logged, fields: Fields, max_mode: Mode) -> frozenset[str]:
    """Return the fields that a detector failed to tell then, which the record does not say itself.

    These are read only by rules whose condition failed then, and does not fail now. `pack` is the record's.
    """
    if not logged.failed:
        return frozenset()
    counted = {f"{SIGNALS}{signal.name}": 0 for signal in pack.signals} | fields
    told: set[str] = set()
    missing: set[str] = set()
    for rule in pack.rules:
        if rule.id not in logged.failed:
            is_on = capped(rule.mode, max_mode) is not Mode.OFF
            if is_on and (rule.expires is None or logged.decided < rule.expires):
                told.update(fields_of(rule.when))
        elif not _fails(rule.when, counted):
            missing.update(fields_of(rule.when))
    return frozenset(missing - told)


def _fails(condition: Condition, fields: Mapping[str, Value]) -> bool:
    try:
        compile_condition(condition)(fields)
    except ConditionFailed:
        return True
    return False


class RecordedSignals:
    """Counts that stand where the record says, its own exchange included; `recorded` is to be set before each.

    `names` says under which name the record has a signal, by the name that the pack has for it.
    """

    def __init__(self, pack: Pack, names: Mapping[str, str] | None = None) -> None:
        self.recorded: Mapping[str, Value] = {}
        given = names if names is not None else {signal.name: signal.name for signal in pack.signals}
        self._names = {signal.digest: given[signal.name] for signal in pack.signals if signal.name in given}

    def counter(self, signal: Signal) -> Counter:
        """Return the counter of a definition."""
        return _RecordedCount(self, SIGNALS + self._names.get(signal.digest, ""))

    def keep_only(self, digests: frozenset[str]) -> None:
        """Keep everything: a record has one pack."""


class _RecordedCount:
    def __init__(self, signals: RecordedSignals, name: str) -> None:
        self._signals = signals
        self._name = name

    def add(self, key: str, members: Sequence[str], now: float) -> int:
        """Return the count of the record."""
        del members
        return self.count(key, now)

    def count(self, key: str, now: float) -> int:
        """Return the count of the record, which has those at zero as all other defaults: not at all."""
        del key, now
        count = self._signals.recorded.get(self._name, 0)
        return count if isinstance(count, int) else 0


class RecordedFlags:
    """The flags that were live by the end of the decision, by world; `stand` begins another exchange.

    Flags that rules raise now are among them, since the record counts them, too. `held_back` names those that were
    raised but count less or not at all in the record: a person lifted them just then.
    """

    def __init__(self) -> None:
        self.held_back: set[str] = set()
        self._live: dict[World, dict[str, Flag]] = {World.ENFORCED: {}, World.SHADOW: {}}

    def stand(self, logged: Logged) -> None:
        """Let the flags be live that the record counts, and no others."""
        for world, counted in ((World.ENFORCED, logged.counted), (World.SHADOW, logged.shadow_counted)):
            self._live[world] = {name: _live(name, *counts, logged.decided) for name, counts in counted.items()}
        self.held_back.clear()

    def on(self, world: World, subject: Subject, name: str, now: float) -> Mapping[str, Flag]:
        """Return the flags on one subject; the record does not say on which each was live, so it is the account."""
        del name, now
        return self._live[world] if subject is Subject.ACCOUNT else {}

    def knows(self, name: str) -> bool:
        """Tell whether any flag is live."""
        del name
        return any(self._live.values())

    def put(self, world: World, subject: Subject, name: str, flag: Flag) -> None:
        """Let a flag that is live tell why it was raised."""
        del subject, name
        live = self._live[world].get(flag.name)
        if live is None or live.score < flag.score:
            self.held_back.add(flag.name)
        elif live.score == flag.score:
            self._live[world][flag.name] = flag._replace(confirmed_by=live.confirmed_by)


def _live(name: str, score: int, people: int, now: float) -> Flag:
    """Return a flag that was live; who confirmed it is not in the record, only how many did."""
    confirmed_by = tuple(map(str, range(people)))
    return Flag(name, score, now, now + _LIFE_S, "", "live before", confirmed_by=confirmed_by)
