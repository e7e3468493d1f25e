"""The connections to one model API: opened, lent to one exchange at a time, kept while they are warm.

Laws:
- A connection goes only to the configured origin, whatever the environment or an answer says.
- We end an idle connection before the other side does: a call that meets its end may have been carried out and be
  charged, so it cannot be sent again (RFC 9110, section 9.2.2).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable

from aiohappyeyeballs import start_connection
from yarl import URL

from proxy.upstream.connection import UpstreamConnection, read_room
from proxy.upstream.room import Room

# Most model APIs close idle connections after a minute or more, but common servers by default after 5 s or even 2 s.
_IDLE_S = 15.0
# Which share of the other side's idle time ours rest at most: a call takes some time on its way.
_REST_SHARE = 0.8
# A connection lost sooner teaches nothing: an upstream that restarts ends all, however short they have rested.
_LEAST_LEARNED_S = 1.0
_LEARNED_FOR_S = 600.0
# How long to wait before the next address of a host is tried too (RFC 8305, section 8).
_NEXT_ADDRESS_S = 0.25


class Pool:
    """As many connections at once as `room` allows; the last one used is used first, so that the others can rest."""

    def __init__(self, url: URL, room: Room, connect_seconds: float) -> None:
        self._host = url.raw_host or ""
        self._port = url.port or 0
        self._connect_seconds = connect_seconds
        self._tls = ssl.create_default_context() if url.scheme == "https" else None
        # Without the final dot, which keeps look-ups short: no certificate is for a name with it (RFC 6066).
        self._name = None if self._tls is None else self._host.removesuffix(".")
        self._loop = asyncio.get_running_loop()
        self._room = room
        self._idle: list[UpstreamConnection] = []
        self._rest_s = _IDLE_S
        self._rest_until = 0.0  # loop time until which a shorter rest that was learnt holds
        self._busy: set[UpstreamConnection] = set()
        self._read_room = read_room()
        self._closed = False

    async def take(self, tenant: str, within: float, begun: Callable[[], None]) -> UpstreamConnection:
        """Return a connection, to be given back, whose answer has to begin within `within` seconds.

        `begun` is called once there is room for it. Raises NoRoom, and OSError or TimeoutError if none can be opened.
        """
        await self._room.enter(tenant)
        try:
            begun()
            deadline = self._loop.time() + within
            connection = self._rested() or await self._open(deadline)
        except BaseException:
            self._room.leave(tenant)
            raise
        connection.deadline, connection.lent_to = deadline, tenant
        self._busy.add(connection)
        return connection

    def give(self, connection: UpstreamConnection) -> None:
        """Take a connection back; it is used again if its answer was read to the end and all is well with it."""
        self._busy.discard(connection)
        self._room.leave(connection.lent_to)
        if connection.usable and connection.read_to_end and not self._closed:
            connection.idle_since = self._loop.time()
            self._idle.append(connection)
        else:
            connection.abort()

    def sweep(self) -> None:
        """Expire what is overdue and close what has rested too long."""
        now = self._loop.time()
        for connection in self._busy:
            if now > connection.deadline:
                connection.expire()
        if now > self._rest_until:
            self._rest_s = _IDLE_S
        self._idle = [connection for connection in self._idle if self._warm(connection, now)]

    def close(self) -> None:
        """Close every connection; one that is lent or being opened is closed when it is given back at the latest."""
        self._closed = True
        for connection in [*self._idle, *self._busy]:
            connection.abort()
        self._idle = []

    def _rested(self) -> UpstreamConnection | None:
        now = self._loop.time()
        while self._idle:
            connection = self._idle.pop()
            if self._warm(connection, now):
                return connection
        return None

    def _warm(self, connection: UpstreamConnection, now: float) -> bool:
        """Tell whether an idle connection can be used; else close it, and learn how long the other side waited."""
        rested = now - connection.idle_since
        if not (connection.usable and connection.untouched):
            if rested > _LEAST_LEARNED_S:
                self._rest_s = min(self._rest_s, rested * _REST_SHARE)
                self._rest_until = now + _LEARNED_FOR_S
        elif rested < min(self._rest_s, connection.kept_seconds * _REST_SHARE):
            return True
        connection.abort()
        return False

    async def _open(self, deadline: float) -> UpstreamConnection:
        async with asyncio.timeout_at(min(deadline, self._loop.time() + self._connect_seconds)):
            addresses = await self._loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
            sock = await start_connection(addresses, happy_eyeballs_delay=_NEXT_ADDRESS_S, loop=self._loop)
            _, connection = await self._loop.create_connection(
                lambda: UpstreamConnection(self._loop, self._read_room),
                sock=sock,
                ssl=self._tls,
                server_hostname=self._name,
            )
        return connection
