"""What another pack would have said about a log's exchanges: which rules fire or not, who stands on another rung.

Laws:
- The engine that serves customers judges by both packs, with the fields and counts of the record.
- Flags are those that rules raise within the log, each with its lifetime, by the clock of the log.
- What cannot be known is counted as such, never as "the same".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from proxy.decisions.logged import Logged
from proxy.exchange import Exchange
from proxy.fields import FieldTable
from proxy.hindsight.recorded_world import exchange_at, fields_at, unknown_then
from proxy.hindsight.sight import Side, Sight, sight
from proxy.hindsight.sights import Sights
from proxy.rules.engine import Judgement
from proxy.rules.flags.book import FlagBook
from proxy.rules.flags.flag import World
from proxy.rules.pack.pack import Pack
from proxy.rules.pack.words import Mode

_NOWHERE: Final = -1
CUT: Final = "fields cut from the record"
NO_PACK: Final = "recorded by a pack that is not here"
OTHER_TYPE: Final = "a field of another type"
UNTOLD: Final = "a rule or exemption reads what was not recorded"


class RuleChange(NamedTuple):
    """In how many exchanges a rule fires only with the new pack, and only with the old one, in one world."""

    rule: str
    world: World
    starts: int
    stops: int


class Move(NamedTuple):
    """How many accounts have this highest rung with the old pack and that one with the new; empty is none."""

    old: str
    new: str
    accounts: int


@dataclass(slots=True)
class _Account:
    old: int = _NOWHERE
    new: int = _NOWHERE
    uncertain: bool = False


@dataclass(slots=True)
class Compared:
    """What came of it. Every exchange is one of `same`, `different`, `unknown` and `not_judged`.

    `unknown` says why; `untold` has in how many exchanges each rule or exemption could not be asked and might have
    mattered, including those that differ anyway. `unlike` counts exchanges for which a pack says something else now
    than when it judged them. `uncertain` are accounts with an exchange that could not be fully judged. `epochs` are the
    months whose pseudonyms occur.
    """

    exchanges: int = 0
    same: int = 0
    different: int = 0
    not_judged: int = 0
    unlike: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    untold: Counter[str] = field(default_factory=Counter)
    rules: list[RuleChange] = field(default_factory=list)
    accounts: int = 0
    moves: list[Move] = field(default_factory=list)
    uncertain: int = 0
    forgotten: int = 0
    epochs: set[str] = field(default_factory=set)


def compare(
    old: Pack, new: Pack, log: Iterable[Logged], table: FieldTable, archived: Callable[[str], Pack | None]
) -> Compared:
    """Compare two packs over a log in its order; `archived` finds the pack of a digest, if it can be had."""
    comparing = _Comparing(old, new, table, archived)
    for logged in log:
        comparing.take(logged)
    return comparing.finish()


class _Comparing:
    """Both packs going through a log; memory grows with its accounts and live flags, not with its length."""

    def __init__(self, old: Pack, new: Pack, table: FieldTable, archived: Callable[[str], Pack | None]) -> None:
        self._packs = (old, new)
        self._table = table
        self._books = (FlagBook(), FlagBook())
        self._sights = Sights(self._packs, archived, self._sight)
        self._found = Compared()
        self._accounts: dict[str, _Account] = {}
        self._starts: Counter[tuple[str, World]] = Counter()
        self._stops: Counter[tuple[str, World]] = Counter()
        self._orders = [{rung.name: number for number, rung in enumerate(pack.ladder)} for pack in self._packs]

    def take(self, logged: Logged) -> None:
        """Ask both packs about one exchange."""
        found = self._found
        found.exchanges += 1
        found.epochs.add(logged.epoch)
        if not logged.judged:
            found.not_judged += 1
            return
        account = self._accounts.setdefault(logged.account, _Account())
        if logged.cut:
            self._cannot_tell(account, CUT)
        elif (seen := self._sights.of(logged)) is None:
            self._cannot_tell(account, NO_PACK)
        else:
            self._compare(logged, seen, account)

    def finish(self) -> Compared:
        """Return what came of it."""
        found = self._found
        changed = sorted({*self._starts, *self._stops})
        found.rules = [RuleChange(*key, self._starts[key], self._stops[key]) for key in changed]
        found.accounts = len(self._accounts)
        found.uncertain = sum(account.uncertain for account in self._accounts.values())
        names = [["", *(rung.name for rung in pack.ladder)] for pack in self._packs]
        moved = Counter((names[0][each.old + 1], names[1][each.new + 1]) for each in self._accounts.values())
        found.moves = [Move(*move, count) for move, count in sorted(moved.items()) if move[0] != move[1]]
        found.forgotten = sum(book.evicted for book in self._books)
        return found

    def _compare(self, logged: Logged, seen: Sight, account: _Account) -> None:
        try:
            fields = fields_at(logged, self._table)
        except ValueError:
            self._cannot_tell(account, OTHER_TYPE)
            return
        unknown = unknown_then(seen.by, logged, fields, Mode.ENFORCE)
        sides = (seen.old, seen.new)
        exchanges = [exchange_at(logged, dict(fields), unknown) for _ in sides]  # each side adds its own counts
        old, new = judged = [_judge(side, logged, each) for side, each in zip(sides, exchanges, strict=True)]
        untold = seen.untold.union(*map(seen.doubts, sides, exchanges))
        account.old = max(account.old, self._orders[0].get(old.enforced.rung, _NOWHERE))
        account.new = max(account.new, self._orders[1].get(new.enforced.rung, _NOWHERE))
        account.uncertain |= any(side.may_cap(each.enforced.rung) for side, each in zip(sides, judged, strict=True))
        self._found.untold.update(untold)
        self._found.unlike += self._is_unlike(logged, judged, untold)
        differs = self._note(World.ENFORCED, old.fired, new.fired)
        differs |= self._note(World.SHADOW, old.shadow_fired, new.shadow_fired)
        if differs:
            self._found.different += 1
            account.uncertain |= bool(untold)
        elif untold:
            self._cannot_tell(account, UNTOLD)
        else:
            self._found.same += 1

    def _is_unlike(self, logged: Logged, judged: Sequence[Judgement], untold: AbstractSet[str]) -> bool:
        """Tell whether one of the packs made this record, but says something else now."""
        for pack, judgement in zip(self._packs, judged, strict=True):
            if pack.digest == logged.pack_digest:
                return judgement.shadow_fired != tuple(rule for rule in logged.shadow.fired if rule not in untold)
        return False

    def _note(self, world: World, old: Collection[str], new: Collection[str]) -> bool:
        self._starts.update((rule, world) for rule in new if rule not in old)
        self._stops.update((rule, world) for rule in old if rule not in new)
        return set(old) != set(new)

    def _cannot_tell(self, account: _Account, why: str) -> None:
        account.uncertain = True
        self._found.unknown[why] += 1

    def _sight(self, by: Pack, hidden: frozenset[str], held: Mapping[str, bool]) -> Sight:
        return sight(by, *self._packs, self._books, self._table, hidden, held)


def _judge(side: Side, logged: Logged, exchange: Exchange) -> Judgement:
    side.signals.recorded = logged.fields
    return side.engine.judge(exchange, logged.decided)
