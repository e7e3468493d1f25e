"""Looks whether the store is there and has our time, and starts our own again if it died, or its socket was removed.

Law: however long it is away, and whatever keeps it from being started, the log says each once.
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
_APART_S = 60.0  # a key or a flag may end so much too soon or too late, and nobody minds
_NEAR_S = 50.0  # from then on it is right again: an answer may be late, and a clock may drift past a minute for hours
_MISSED_PINGS = 2  # one may be late on a machine that is busy
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 10.0


class StoreWatch:
    """The parent's watch over the store; `server` is our own, if we run one."""

    def __init__(self, store: Store, server: EmbeddedServer | None, clock: Clock) -> None:
        self.away = False
        self._ahead = 0.0  # our clock, of the store's
        self._apart = False
        self._store = store
        self._clock = clock
        self._server = server
        self._pause = _FIRST_PAUSE_S
        self._try_at = float("-inf")  # by the loop's time
        self._told = False  # that our own cannot be started again

    async def run(self) -> None:
        """Ask the store whether it is there, until cancelled."""
        missed, why = _MISSED_PINGS - 1, ""  # at the start nobody has seen it yet
        while True:
            try:
                self._compare(await self._store.ping())
                missed, why = 0, ""
            except StoreUnavailable as error:
                missed += 1
                why = why or str(error)  # the first; after it the store may not have been asked
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
        """Return what the metrics say of it: workers that nobody asks for anything do not find out."""
        return {
            "stillgate_store_breaker_open": [Sample((), float(self.away))],
            "stillgate_clock_ahead_seconds": [Sample((), self._ahead)],
        }

    def _compare(self, theirs: float) -> None:
        """Take note of the store's time: flags and keys go by ours, and others by theirs."""
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
