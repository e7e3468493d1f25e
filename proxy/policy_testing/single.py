"""Judges one request by a pack, with counters and flags as somebody says they stand, and explains the judgement."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from proxy.documents.problem import nearest, quoted
from proxy.documents.strict_yaml import core_scalar
from proxy.errors import ConfigurationError
from proxy.fields import FieldTable, Kind, Value
from proxy.policy_testing.requests import Asked
from proxy.policy_testing.schema import AccountFixture, Fixtures, RequestFixture
from proxy.policy_testing.world import Minds, Observed, World
from proxy.rules.conditions.operands import WrongOperand, check_possible
from proxy.rules.explain import Explanation, explain
from proxy.rules.flags.flag import Flag, Flags
from proxy.rules.flags.flag import World as Side
from proxy.rules.pack.pack import Campaign, Pack, Rule, Signal
from proxy.rules.pack.words import Mode, Subject
from proxy.rules.signals.signals import Counter, Signals

_SIGNALS = "signals."
_CALLER = "caller"
_LIFE_S = 60.0  # of a flag that is said to be there


@dataclass(frozen=True, slots=True)
class Question:
    """One request: the caller, the body, and what is set: fields, and signals as the rules are to see them.

    `flags` names flags that are live on the account; `now` is Unix seconds.
    """

    account: AccountFixture
    body: Mapping[str, Any]
    dialect: str
    now: float
    given: Mapping[str, Value]
    flags: Sequence[str]


class Answer(NamedTuple):
    """What became of it, and why."""

    observed: Observed
    explanation: Explanation


def ask(pack: Pack, minds: Minds, question: Question) -> Answer:
    """Judge the request. Raises ConfigurationError for a flag that the pack does not know, or an unreadable body."""
    account = question.account.model_copy(update={"account": question.account.account or _CALLER})
    counts = {name: value for name, value in question.given.items() if name.startswith(_SIGNALS)}
    request = RequestFixture.model_validate(
        {
            "dialect": question.dialect,
            "body": dict(question.body),
            "fields": {name: value for name, value in question.given.items() if name not in counts},
        }
    )
    live = list(_flags(pack, question))

    def flags() -> Flags:
        book = minds.flags()
        for side, flag in live:
            book.put(side, Subject.ACCOUNT, str(account.account), flag)
        return book

    def signals() -> Signals:
        return _Stated(minds.signals(), {name: value for name, value in counts.items() if isinstance(value, int)})

    async def send() -> Observed:
        world = World(
            pack, question.now, Fixtures(accounts={_CALLER: account}), minds._replace(signals=signals, flags=flags)
        )
        return await world.send(_CALLER, Asked(request), 0, 0.0)

    observed = asyncio.run(send())
    if not observed.fields:
        raise ConfigurationError(f"the request would be refused as it is: {observed.message}")
    explained = explain(pack, observed.fields, observed.judgement, question.now, unknown=observed.unknown)
    return Answer(observed, explained)


def _flags(pack: Pack, question: Question) -> Iterator[tuple[Side, Flag]]:
    """Yield the flags that are said to be there, in the worlds that can have them, with the most that they count."""
    entries: tuple[Rule | Campaign, ...] = (*pack.rules, *pack.campaigns)
    for name in question.flags:
        _known(name, [entry.flag.name for entry in entries], "flag")
        for side in Side:
            scores = [
                entry.flag.score
                for entry in entries
                if entry.flag.name == name and (side is Side.SHADOW or entry.mode is not Mode.SHADOW)
            ]
            if scores:
                before = question.now - _LIFE_S  # so that a rule which raises it now gives it its score
                yield side, Flag(name, max(scores), before, question.now + _LIFE_S, "", "said to be there")


def read_given(entries: Iterable[str], pack: Pack, table: FieldTable) -> dict[str, Value]:
    """Read NAME=VALUE pairs, values as YAML would have them, lists parted by commas; signals are whole numbers.

    Raises ConfigurationError for a name that is none, or a value of another type or that the field never has.
    """
    signals = [_SIGNALS + signal.name for signal in pack.signals]
    given: dict[str, Value] = {}
    for entry in entries:
        name, _, text = entry.partition("=")
        _known(name, [*table, *signals], "field or signal")
        kind = table[name].kind if name in table else Kind.NUMBER
        given[name] = _value(name, text, kind, whole=name in signals)
        if name in table:
            try:
                check_possible(table[name], given[name])
            except WrongOperand as error:
                raise ConfigurationError(str(error) + _meant(error.suggestion)) from None
    return given


def _value(name: str, text: str, kind: Kind, *, whole: bool) -> Value:
    if kind is Kind.TEXT:
        return text
    if kind is Kind.LIST:
        return tuple(item for item in text.split(",") if item)
    wanted: type | tuple[type, ...] = bool if kind is Kind.BOOLEAN else int if whole else (int, float)
    try:
        value = core_scalar(text)
    except ValueError:
        value = None
    if not isinstance(value, wanted) or (isinstance(value, bool) and kind is not Kind.BOOLEAN):
        what = "a whole number" if whole else f"a {kind}"
        raise ConfigurationError(f"{name} should be {what}, not {quoted(text)}")
    return value  # type: ignore[return-value]  # as just checked


def _known(name: str, names: Iterable[str], what: str) -> None:
    choices = list(names)
    if name not in choices:
        raise ConfigurationError(f"unknown {what} {quoted(name)}" + _meant(nearest(name, choices)))


def _meant(close: str) -> str:
    return f" - did you mean {close!r}?" if close else ""


class _Stated:
    """Counters of which some stand where somebody says they do, this request included."""

    def __init__(self, others: Signals, counts: Mapping[str, int]) -> None:
        self._others = others
        self._counts = counts

    def counter(self, signal: Signal) -> Counter:
        """Return the counter of a definition."""
        count = self._counts.get(_SIGNALS + signal.name)
        return self._others.counter(signal) if count is None else _Standing(count)

    def keep_only(self, digests: frozenset[str]) -> None:
        """Drop the counters of definitions that no pack has any more."""
        self._others.keep_only(digests)


class _Standing:
    """A count that stands still."""

    def __init__(self, standing: int) -> None:
        self._standing = standing

    def add(self, key: str, members: Sequence[str], now: float) -> int:
        """Return the count."""
        del key, members, now
        return self._standing

    def count(self, key: str, now: float) -> int:
        """Return the count."""
        del key, now
        return self._standing
