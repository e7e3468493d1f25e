"""Counts exchanges in the signals of a pack, and puts the counts among their fields, where rules read them.

Laws: the present exchange counts, even if it is denied; no signal reads another; nothing here awaits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

from proxy.exchange import Exchange
from proxy.fields import FieldTable, When
from proxy.rules.conditions.compiling import compile_condition
from proxy.rules.conditions.condition import Holds, fields_of
from proxy.rules.pack.pack import Signal
from proxy.rules.pack.words import Scope
from proxy.rules.signals.signals import Counter, Signals


class _Signal(NamedTuple):
    field: str  # by which rules read it
    distinct: str
    where: Holds
    counter: Counter


class _Scope(NamedTuple):
    """The signals that count by the same key, so that the key is looked up once for all of them."""

    key: Callable[[Exchange], str | None]
    signals: tuple[_Signal, ...]


class SignalCounts:
    """The signals of one pack: early ones count when an exchange is decided, late ones read its answer."""

    def __init__(self, wanted: Sequence[Signal], table: FieldTable, signals: Signals) -> None:
        self.names = tuple(f"signals.{signal.name}" for signal in wanted)
        # Signals with the same definition share a counter, which must count an exchange once.
        first: dict[Counter, str] = {}
        counted: list[tuple[Signal, Counter]] = []
        same: list[tuple[str, str]] = []
        for signal in wanted:
            counter = signals.counter(signal)
            if counter in first:
                same.append((f"signals.{signal.name}", f"signals.{first[counter]}"))
            else:
                first[counter] = signal.name
                counted.append((signal, counter))
        self._same = tuple(same)
        self._early = _by_scope([(signal, counter) for signal, counter in counted if not _reads_answer(signal, table)])
        self._late = _by_scope([(signal, counter) for signal, counter in counted if _reads_answer(signal, table)])

    def count(self, exchange: Exchange, now: float) -> None:
        """Count an exchange whose request is known, and put all counts among its fields; `now` is Unix seconds."""
        fields = exchange.fields
        for key_of, signals in self._early:
            key = key_of(exchange)
            for name, distinct, where, counter in signals:
                if key is None:
                    fields[name] = 0
                elif where(fields):
                    fields[name] = counter.add(key, _members(fields, distinct), now)
                else:
                    fields[name] = counter.count(key, now)
        for key_of, signals in self._late:
            key = key_of(exchange)
            for name, _, _, counter in signals:
                fields[name] = 0 if key is None else counter.count(key, now)
        for name, first in self._same:
            fields[name] = fields[first]

    def learn(self, exchange: Exchange, now: float) -> None:
        """Count in the late signals; the counts in the exchange's fields stay as the rules saw them."""
        fields = exchange.fields
        for key_of, signals in self._late:
            key = key_of(exchange)
            for _, distinct, where, counter in signals:
                if key is not None and where(fields):
                    counter.add(key, _members(fields, distinct), now)


# The key that an exchange counts under, by scope; None without ties to a template or cluster. Both worlds share the
# counts, so ties in shadow alone do not count: they would change what enforced rules see.
_KEYS: Mapping[Scope, Callable[[Exchange], str | None]] = {
    Scope.KEY: attrgetter("principal.key_id"),
    Scope.ACCOUNT: attrgetter("principal.account"),
    Scope.TENANT: attrgetter("principal.tenant"),
    Scope.TEMPLATE: lambda exchange: exchange.ties.template or None,
    Scope.CLUSTER: lambda exchange: exchange.ties.cluster or None,
    Scope.MODEL: lambda exchange: exchange.call.model if exchange.call is not None else "",
    Scope.GLOBAL: lambda _: "",
}


def _by_scope(counted: Iterable[tuple[Signal, Counter]]) -> tuple[_Scope, ...]:
    groups = groupby(sorted(counted, key=lambda each: each[0].per), key=lambda each: each[0].per)
    return tuple(_Scope(_KEYS[scope], tuple(_compiled(*each) for each in group)) for scope, group in groups)


def _compiled(signal: Signal, counter: Counter) -> _Signal:
    return _Signal(f"signals.{signal.name}", signal.distinct, compile_condition(signal.where), counter)


def _members(fields: Mapping[str, Any], distinct: str) -> Sequence[str]:
    if not distinct:
        return ()
    value = fields[distinct]
    return value if isinstance(value, tuple) else (str(value),)


def _reads_answer(signal: Signal, table: FieldTable) -> bool:
    """Tell whether a signal reads a field that is known only at the end of an exchange."""
    names = [*fields_of(signal.where), *([signal.distinct] if signal.distinct else [])]
    return any(table[name].when is When.ANSWER for name in names)
