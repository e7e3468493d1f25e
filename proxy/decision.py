"""What was decided about an exchange, and why, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class Effect(StrEnum):
    """What was done to an exchange."""

    ALLOW = "allow"
    DEGRADE = "degrade"
    DENY = "deny"


class Outcome(StrEnum):
    """How an exchange ended, whatever was decided."""

    ANSWERED = "answered"  # the upstream's answer reached its own end
    LOCAL = "local"  # answered by us, nothing was sent upstream
    REFUSED = "refused"  # denied, or unreadable
    UPSTREAM_ERROR = "upstream_error"  # the upstream answered with an error, at the head or in the stream
    UPSTREAM_UNREACHABLE = "upstream_unreachable"
    UPSTREAM_TIMEOUT = "upstream_timeout"
    UPSTREAM_TRUNCATED = "upstream_truncated"  # the stream ended without the dialect's end marker
    CLIENT_LEFT = "client_left"
    SHUTDOWN = "shutdown"
    FAILED = "failed"  # our own fault


class UsageSource(StrEnum):
    """Where the charged tokens come from."""

    UPSTREAM = "upstream"
    ESTIMATE = "estimate"
    NONE = "none"  # nothing was generated


class Shadow(NamedTuple):
    """What would have been decided if rules and quotas in shadow counted too.

    `denied_by` are the quotas in shadow that would have denied.
    """

    rung: str = ""
    score: int = 0
    fired: tuple[str, ...] = ()
    denied_by: tuple[str, ...] = ()


NO_SHADOW = Shadow()

# By the name of a flag: its score, and how many people confirmed it.
Counted = Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to one exchange, as the record has it.

    `by` is the id of the quota, rung or check that decided, empty for a plain allow. `actions` names what
    changed the call or the answer, `fired` the rules that raised a flag, `flags` what was live, `waiting` the rungs
    that wait for an approval, `exempt` the exemptions that were used, `failed` the rules whose condition failed.
    `shadow` is the same for the world in which rules in shadow count too. `counted` is what each of `flags` counts,
    `shadow_counted` the same for all that are live in the shadow world.
    """

    effect: Effect
    by: str = ""
    reasons: tuple[str, ...] = ()
    rung: str = ""
    score: int = 0
    actions: tuple[str, ...] = ()
    fired: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    exempt: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    shadow: Shadow = NO_SHADOW
    counted: Counted = field(default_factory=dict)
    shadow_counted: Counted = field(default_factory=dict)


ALLOWED = Verdict(Effect.ALLOW)  # a plain allow
