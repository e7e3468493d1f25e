"""Checks whether the store is there and has our time; restarts our own if it died or its socket was removed.

Law: that it is away, and why it cannot be started, are each logged once, however long that lasts.
"""

from __future__ import annotations

import asyncio

from proxy.clock import Clock
from proxy.errors import ConfigurationError, StoreUnavailable
from proxy.log import get
from proxy.store.base import Store
from proxy.store.embedded import EmbeddedServer
from proxy.telemetry.snapshot import Sample, Snapshot

_PING_S = 0.5
_APART_S = 60.0  # a key or a flag may end so much too early or too late without harm
_NEAR_S = 50.0  # clocks agree again only below this: answers may be late, and a clock may hover at a minute for hours
_MISSED_PINGS = 2  # one may be late on a machine that is busy
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 10.0


class StoreWatch:
    """The parent's watch over the store; `server` is our own, if we run one."""

    def __init__(self, store: Store, server: EmbeddedServer | None, clock: Clock) -> None:
        self.away = False
        self._ahead = 0.0  # seconds by which our clock is ahead of the store's
        self._apart = False
        self._store = store
        self._clock = clock
        self._server = server
        self._pause = _FIRST_PAUSE_S
        self._try_at = float("-inf")  # by the loop's time
        self._told = False  # whether it was logged that our own cannot be restarted

    async def run(self) -> None:
        """Ask the store whether it is there, until cancelled."""
        missed, why = _MISSED_PINGS - 1, ""  # at the start one miss is enough, as nobody has seen it yet
        while True:
            try:
                self._compare(await self._store.ping())
                missed, why = 0, ""
            except StoreUnavailable as error:
                missed += 1
                why = why or str(error)  # keep the first reason: later on the store may not even have been asked
            away = missed >= _MISSED_PINGS
            if away and not self.away:
                get("parent").error("the store is away", error=why)
            self.away = away
            if not away:
                self._pause, self._try_at, self._told = _FIRST_PAUSE_S, float("-inf"), False
            if self._server is not None:
                if lost := await self._server.end_unreachable():
                    get("parent").error("the socket of the embedded store was removed; it is started again")
                if lost or away:
                    await self._revive(self._server)
            await asyncio.sleep(_PING_S)

    def snapshot(self) -> Snapshot:
        """Return its numbers for the metrics: idle workers do not find out whether the store is away."""
        return {
            "stillgate_store_breaker_open": [Sample((), float(self.away))],
            "stillgate_clock_ahead_seconds": [Sample((), self._ahead)],
        }

    def _compare(self, theirs: float) -> None:
        """Compare the store's time with ours: flags and keys end by each process's own clock."""
        self._ahead = self._clock.wall() - theirs
        if (abs(self._ahead) > (_NEAR_S if self._apart else _APART_S)) != self._apart:
            self._apart = not self._apart
            logger = get("parent")
            if self._apart:
                logger.error(
                    "this machine's clock differs from the store's: set it right", ahead_seconds=round(self._ahead)
                )
            else:
                logger.info("this machine's clock agrees with the store's again")

    async def _revive(self, server: EmbeddedServer) -> None:
        clock = asyncio.get_running_loop().time
        if clock() < self._try_at:
            return
        try:
            await server.start()
        except ConfigurationError as error:
            if not self._told:
                get("parent").error("the embedded store cannot be started again", error=str(error))
            self._told = True
            self._try_at = clock() + self._pause
            self._pause = min(2 * self._pause, _LONGEST_PAUSE_S)
