"""What was decided about an exchange, and why, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from proxy.errors import ProxyError


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


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer of the rules to one exchange.

    `by` is the id of the quota, rung or check that decided, empty for a plain allow. `error` is set exactly when the
    effect is deny. `shadow` names what would have denied if it were enforced.
    """

    effect: Effect
    by: str = ""
    reasons: tuple[str, ...] = ()
    error: ProxyError | None = None
    shadow: tuple[str, ...] = field(default=())
