"""The way to one server: a lane that is made anew when it breaks, and a breaker for a server that is away.

Laws:
- While the breaker is open every call fails at once: no customer waits for a server that is known to be away.
- It opens when a call was not answered in time, when no connection could be made, and when answers were slow for half a
  second on end. A connection that worked and was closed is first made anew: the next one shows whether the server went
  away or another took over.
- Calls that fail while it is open say why the last try failed: a wrong certificate is not a server that is down.
- One probe at a time looks whether the server is back, at random moments, so that a thousand processes do not come back
  at once. The probe's connection is then the one used.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from proxy.errors import StoreAway, StoreUnavailable
from proxy.store.lane import Lane, Wire
from proxy.store.resp import nonsense, packed

# Connecting may take longer than an answer: a TLS handshake over a network needs several round trips.
OPEN_S = 2.0

# An answer that took more than this part of its deadline is slow: customers notice.
_SLOW_PART = 0.4
_SLOW_S = 0.5
_SLOW_LEAST = 3  # slow answers; one or two may be our own loop's fault

# How long a probe may take (or twice as long as the last successful connecting), and how long it waits for the next
# one: a server that is back is found within two seconds.
_PROBE_S = 0.7
_RENEW_S = 0.25
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 0.5


class Link:
    """The connections to one server; `wire` makes each of them, `deadline` is an ordinary call's, in seconds."""

    def __init__(self, wire: Callable[[], Wire], deadline: float) -> None:
        self.opens = 0  # how often the breaker opened
        self.renewals = 0  # how often connections were dropped because another server may be the right one
        self._renewed = float("-inf")
        self._wire = wire
        self._slow = deadline * _SLOW_PART
        self._open_s = max(OPEN_S, deadline)
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._lanes: set[Lane] = set()
        self._slow_since: float | None = None
        self._slow_answers = 0
        self._probe: asyncio.Task[None] | None = None
        self._cause: BaseException | None = None  # why the last try failed, while the breaker is open
        self._opened_in = 0.0  # seconds that the last successful connecting took
        self._lane = self._made(self)

    @property
    def away(self) -> bool:
        """Whether the breaker is open."""
        return self._probe is not None

    def current(self) -> Lane:
        """Return the lane of all calls, made anew if it broke. Raises StoreUnavailable while the breaker is open."""
        self._check()
        if self._lane.broken_at is not None:
            self._opened_in = self._lane.opened_in or self._opened_in
            self._lane = self._made(self)
        return self._lane

    def another(self) -> Lane:
        """Return a lane for a caller that waits long; its failures do not count against the server."""
        self._check()
        return self._made(None)

    async def renew(self) -> None:
        """Close every connection, because another server may be the right one now; at most once in a while."""
        now = self._loop.time()
        if not self.away and now - self._renewed >= _RENEW_S:
            self._renewed = now
            self.renewals += 1
            await asyncio.gather(*(lane.abort() for lane in self._lanes))

    def answered(self, seconds: float) -> None:
        """See `Watcher.answered`."""
        if seconds <= self._slow:
            self._slow_since = None
            return
        now = self._loop.time()
        if self._slow_since is None:
            self._slow_since, self._slow_answers = now - seconds, 0
        self._slow_answers += 1
        if self._slow_answers >= _SLOW_LEAST and now - self._slow_since >= _SLOW_S:
            self.failed(None)

    def failed(self, cause: BaseException | None) -> None:
        """See `Watcher.failed`."""
        if self._probe is None and not self._closed:
            self.opens += 1
            self._cause = cause
            self._slow_since = None
            self._probe = self._loop.create_task(self._look())

    async def close(self) -> None:
        """Wait for the calls in flight, end lanes that wait long, and close every connection."""
        self._closed = True
        if self._probe is not None:
            self._probe.cancel()
            await asyncio.wait([self._probe])
        await self._lane.close()
        for lane in list(self._lanes):
            await lane.abort()

    def _check(self) -> None:
        if self._closed:
            raise StoreUnavailable("the store was closed")
        if self._probe is not None:
            raise StoreAway("the store is away") from self._cause

    def _made(self, watcher: Link | None) -> Lane:
        self._lanes = {lane for lane in self._lanes if not lane.ended}
        lane = Lane(self._wire(), self._open_s, watcher)
        self._lanes.add(lane)
        return lane

    async def _look(self) -> None:
        """Try to reach the server until it answers promptly; its connection then takes over."""
        pause = 0.0
        patience = min(max(_PROBE_S, 2 * (self._lane.opened_in or self._opened_in)), self._open_s)
        while True:
            lane = self._made(None)
            try:
                await self._answers(lane, patience)
            except StoreUnavailable as error:
                self._cause = error.__cause__ or self._cause  # no cause if nothing came: keep the one before
                await lane.abort()
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - so that few come at a time
                pause = min(max(2 * pause, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
                continue
            await self._lane.abort()
            lane.watcher = self
            self._lane, self._probe, self._cause = lane, None, None
            return

    async def _answers(self, lane: Lane, patience: float) -> None:
        """Ask the server twice; the second answer must be prompt, as the first includes connecting."""
        for seconds in (patience, self._slow):
            replies = await lane.ask([packed("PING")], self._loop.time() + seconds)
            if replies != [b"PONG"]:
                raise nonsense()
