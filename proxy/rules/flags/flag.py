"""Flags: marks with a score and a lifetime on accounts, tenants, templates and clusters, in two worlds.

Laws:
- The enforced world never sees what shadow rules raised.
- Raising a flag again renews it: its score becomes that of the rule that raised it last (of one exchange's rules, the
  highest), its end the later one, and who confirmed it stays. So flags raised by one exchange come to the same in any
  order. After its end it is another flag.
- Nothing here awaits.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple, Protocol

from proxy.rules.pack.words import Subject

# Clocks of processes that differ by more are wrong.
CLOCKS_APART_S = 3600.0


class World(StrEnum):
    """Which rules count: the enforced ones, or those and the ones in shadow."""

    ENFORCED = "enforced"
    SHADOW = "shadow"


class Lifted(NamedTuple):
    """That a flag was taken away at a moment, and until when a raise before that could have been in force.

    If a clock far ahead had raised it, `through` is when by that clock: whoever has it still is not to tell it again,
    and what is raised meanwhile by a right clock counts.
    """

    at: float
    until: float
    through: float = 0.0


class Flag(NamedTuple):
    """One live mark. Times are Unix seconds.

    `rule` raised it last, for the `times`th time; `renewed_at` is when, 0 if that was the first time. `confirmed_by`
    are the people who confirmed it.
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
        """Tell whether it was raised before one of its name was lifted."""
        last = self.last_raised
        return last <= lifted.at or last == lifted.through or now + CLOCKS_APART_S < last <= lifted.through

    def renewed(self, by: Flag) -> Flag:
        """Return what the flag becomes when it is raised again."""
        if self.expires_at <= by.raised_at:
            return by
        return _joined(self, by, self.times + by.times)

    def merged(self, other: Flag) -> Flag:
        """Return what two processes know of one flag together."""
        if self.expires_at <= other.raised_at:
            return other
        if other.expires_at <= self.raised_at:
            return self
        return _joined(self, other, max(self.times, other.times))


def _joined(one: Flag, other: Flag, times: int) -> Flag:
    # A flagged account renews its flags with every request.
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
    """What identifies a flag: its world, what it is on, whose name that is, and the flag's own name."""

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
