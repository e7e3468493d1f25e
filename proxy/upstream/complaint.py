"""Tells operators why calls to a model API fail; clients and records have that in general words only.

Law: it complains once a minute at most, however many calls fail: no exchange is logged here.
"""

from __future__ import annotations

from collections.abc import Callable

from proxy.log import get

_QUIET_S = 60.0
# Faults of a request, or limits: the client's answer and the record tell those.
_TOLD = frozenset({200, 400, 404, 408, 413, 422, 429})
_OUTAGE = 500  # from here on the client is told the status too


class Complaint:
    """The complaints about one upstream, by its name in the settings; `now` returns seconds that only grow."""

    def __init__(self, name: str, now: Callable[[], float]) -> None:
        self._name = name
        self._now = now
        self._quiet_until = float("-inf")
        self._logger = get("upstreams")

    def of(self, why: str) -> None:
        """Say why a call failed."""
        now = self._now()
        if now >= self._quiet_until:
            self._quiet_until = now + _QUIET_S
            self._logger.warning("calls to a model API fail", upstream=self._name, why=why)

    def of_status(self, status: int) -> None:
        """Complain of a status that refuses our credential or address, such as 401, 402, 403 and redirects."""
        if status not in _TOLD and status < _OUTAGE:
            self.of(f"answered with status {status}")
