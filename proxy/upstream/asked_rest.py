"""Leaves a model alone for as long as its upstream asked for.

Laws:
- Whoever was asked to wait waits. One tenant's own requests may be the reason, so others wait only while two tenants
  have been asked since the last success: neither one tenant that sends too much nor an upstream that is only near its
  limit shuts a model for everybody.
- A success counts against what was asked before its call was sent: a call already on its way then proves nothing.
- When the time is up all may try; nobody has to try for others first, since the upstream itself said when.
"""

from __future__ import annotations

from typing import NamedTuple

from proxy.clock import Clock

_TENANTS = 2


class _Asked(NamedTuple):
    at: float
    until: float


class AskedRest:
    """Who waits, and until when; monotonic seconds."""

    def __init__(self, clock: Clock) -> None:
        self._now = clock.monotonic
        self._asked: dict[str, _Asked] = {}  # by tenant
        self._worked = float("-inf")  # when the last successful call was sent
        self._until = float("-inf")  # until when everybody waits

    def rest(self, tenant: str) -> float:
        """Return how long a tenant is still to wait."""
        if not self._asked:
            return 0.0
        until = self._until
        if tenant in self._asked:
            until = max(until, self._asked[tenant].until)
        return max(0.0, until - self._now())

    def asked(self, tenant: str, seconds: float) -> bool:
        """Note that a tenant was asked to wait so many seconds; return True if from now on everybody waits."""
        now = self._now()
        self._asked = {name: asked for name, asked in self._asked.items() if asked.until > now}
        self._asked[tenant] = _Asked(now, now + seconds)
        counted = sorted((asked.until for asked in self._asked.values() if asked.at > self._worked), reverse=True)
        if len(counted) < _TENANTS:
            return False
        begins = self._until <= now
        self._until = max(self._until, counted[_TENANTS - 1])
        return begins

    def worked(self, sent: float) -> None:
        """Note that a call succeeded that was sent at this moment."""
        self._worked = max(self._worked, sent)
