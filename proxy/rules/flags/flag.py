"""Flags: marks with a score and a lifetime on accounts, tenants, templates and clusters, in two worlds.

Laws:
- The enforced world never sees what shadow rules raised.
- Raising a flag again renews it: it takes the score of the rule that raised it last (of one exchange's rules, the
  highest score) and the later end, and keeps its confirmations. So the order of an exchange's rules changes nothing.
  A raise after its end makes a new flag.
- Nothing here awaits.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple, Protocol

from proxy.rules.pack.words import Subject

# If clocks of processes differ by more than this, one of them is wrong.
CLOCKS_APART_S = 3600.0


class World(StrEnum):
    """Which rules count: the enforced ones, or those and the ones in shadow."""

    ENFORCED = "enforced"
    SHADOW = "shadow"


class Lifted(NamedTuple):
    """A flag was lifted `at` this time; `until` is when the last raise before that would have ended.

    If a clock far ahead had raised it, `through` is the time of that raise by that clock: so whoever still has the flag
    does not tell it again, and yet what a right clock raises meanwhile counts.
    """

    at: float
    until: float
    through: float = 0.0


class Flag(NamedTuple):
    """One live mark. Times are Unix seconds.

    `rule` raised it last, and that was raise number `times`; `renewed_at` is its time, 0 if it was the first.
    `confirmed_by` are the people who confirmed it.
    """

    name: str
    score: int
    raised_at: float
    expires_at: float
    rule: str
    reason: str = ""
    times: int = 1
    confirmed_by: tuple[str, ...] = ()
    renewed_at: float = 0.0

    @property
    def last_raised(self) -> float:
        """When it was raised last."""
        return self.renewed_at or self.raised_at

    def is_lifted(self, lifted: Lifted, now: float) -> bool:
        """Tell whether the flag was last raised before it was lifted."""
        last = self.last_raised
        return last <= lifted.at or last == lifted.through or now + CLOCKS_APART_S < last <= lifted.through

    def renewed(self, by: Flag) -> Flag:
        """Return the flag after it was raised again as `by`."""
        if self.expires_at <= by.raised_at:
            return by
        return _joined(self, by, self.times + by.times)

    def merged(self, other: Flag) -> Flag:
        """Return one flag from what two processes know of it."""
        if self.expires_at <= other.raised_at:
            return other
        if other.expires_at <= self.raised_at:
            return self
        return _joined(self, other, max(self.times, other.times))


def _joined(one: Flag, other: Flag, times: int) -> Flag:
    # Written for speed: a flagged account renews its flags with every request.
    last, last_raised = one, one.last_raised
    if last_raised <= (others := other.last_raised):
        last_raised = others
        last = other if one.last_raised < others else max(one, other, key=_weight)
    raised_at = min(other.raised_at, one.raised_at)
    confirmed_by = one.confirmed_by
    if other.confirmed_by:
        confirmed_by = tuple(sorted({*confirmed_by, *other.confirmed_by}))
    return Flag(
        last.name,
        last.score,
        raised_at,
        max(other.expires_at, one.expires_at),
        last.rule,
        last.reason,
        times,
        confirmed_by,
        last_raised if last_raised > raised_at else 0.0,
    )


def _weight(flag: Flag) -> tuple[int, str, str]:
    return flag.score, flag.rule, flag.reason


class FlagKey(NamedTuple):
    """What identifies a flag: its world, the kind and name of what it is on, and the flag's own name."""

    world: World
    subject: Subject
    name: str
    flag: str


class Flags(Protocol):
    """The flags that one process knows."""

    def on(self, world: World, subject: Subject, name: str, now: float) -> Mapping[str, Flag]:
        """Return the live flags on one account, tenant, template or cluster, by flag name."""
        ...

    def knows(self, name: str) -> bool:
        """Tell whether any flag on an account, tenant, template or cluster of this name may be known."""
        ...

    def put(self, world: World, subject: Subject, name: str, flag: Flag) -> None:
        """Set a flag, or renew it."""
        ...
