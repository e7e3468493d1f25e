"""The HTTP side that faces clients: its connections, how many there may be, and their deadlines.

Laws, enforced once a second:
- Nothing waits for a client for ever: there are header, body, idle and write-stall deadlines.
- Answers that wait for their clients to take them do not fill memory.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from heapq import heapify, heappop, heapreplace
from typing import NamedTuple

from aiohttp.web_request import BaseRequest
from aiohttp.web_server import Server

from proxy.clients.answers import Answer, Reply
from proxy.clients.connection import Connection, Deadlines
from proxy.clients.unsent import unsent

_SWEEP_S = 1.0
# A client may take as long as it likes for an answer that it takes this fast; below, its deadline comes nearer.
_TAKEN_BYTES_PER_SECOND = 16_384
# How much of all answers may wait for clients: at that pace one of 64 MB, the largest there is, waits for an hour.
_HELD_BYTES = 512 << 20
_HELD_BYTES_IN_NEED = 64 << 20  # while memory is full


class Caps(NamedTuple):
    """How many connections may be open at once: in all, and from one address or, with IPv6, one network."""

    total: int
    per_peer: int


class Listener(Server):
    """Accepts connections for one handler; `sweep` must run as long as it is used.

    `on_refused` is told why a connection is turned away or cut: `too_many_connections`; `slow_` and the deadline that
    passed; or `slow_answer`, if too much waited for clients.
    """

    def __init__(
        self,
        handler: Callable[[BaseRequest], Awaitable[Reply]],
        *,
        on_error: Callable[[Connection, int, BaseException | None], Answer],
        on_refused: Callable[[str], None],
        deadlines: Deadlines,
        caps: Caps,
    ) -> None:
        # Cancels the handler when its client leaves; without this that is noticed at the next write only.
        super().__init__(handler, handler_cancellation=True)  # type: ignore[arg-type]  # only ours calls it
        self.handler = handler
        self.on_error = on_error
        self._on_refused = on_refused
        self._deadlines = deadlines
        self._caps = caps
        self._open: set[Connection] = set()
        self._per_peer: Counter[str] = Counter()
        self.memory_full = False

    def __call__(self) -> Connection:
        """Make the protocol object of a connection that was just accepted."""
        return Connection(self, self._deadlines.idle)

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, connection: Connection) -> bool:
        """Count a connection in, unless a cap is reached."""
        if len(self._open) >= self._caps.total or self._per_peer[connection.place] >= self._caps.per_peer:
            self._on_refused("too_many_connections")
            return False
        self._open.add(connection)
        self._per_peer[connection.place] += 1
        return True

    def forget(self, connection: Connection) -> None:
        """Count a connection out."""
        if connection in self._open:
            self._open.discard(connection)
            self._per_peer[connection.place] -= 1
            if not self._per_peer[connection.place]:
                del self._per_peer[connection.place]

    async def sweep(self) -> None:
        """Cut what is overdue, once a second, until cancelled."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            now = self._loop.time()
            for connection in list(self._open):
                deadline = _overdue(connection, now, self._deadlines)
                if deadline is not None:
                    self._on_refused(f"slow_{deadline}")
                    connection.cut()
            self._make_room(now)

    def _make_room(self, now: float) -> None:
        """While too much waits, cut the connection that burdens most, of the tenant whose connections do."""

        def burden(connection: Connection) -> float:
            return connection.held_bytes * (now - connection.held_since)

        held = [connection for connection in self._open if connection.held_bytes]
        over = sum(each.held_bytes for each in held) - (_HELD_BYTES_IN_NEED if self.memory_full else _HELD_BYTES)
        if over <= 0:
            return
        tenants: dict[str, list[Connection]] = {}
        burdens: dict[str, float] = {}
        for each in sorted(held, key=burden):
            tenants.setdefault(each.tenant, []).append(each)
            burdens[each.tenant] = burdens.get(each.tenant, 0.0) + burden(each)
        heaviest = [(-weight, tenant) for tenant, weight in burdens.items()]  # a heap, the heaviest tenant first
        heapify(heaviest)
        while over > 0:
            weight, tenant = heaviest[0]
            connection = tenants[tenant].pop()
            over -= connection.held_bytes
            if tenants[tenant]:
                heapreplace(heaviest, (weight + burden(connection), tenant))
            else:
                heappop(heaviest)
            self._on_refused("slow_answer")
            connection.abort()

    @property
    def unsent(self) -> bool:
        """Whether a client has still to take a part of any answer."""
        return any(each.wire is not None and each.wire.get_write_buffer_size() for each in self._open)

    def close_idle(self) -> None:
        """Close every connection that answers nothing right now; the others close after their answer."""
        for connection in list(self._open):
            connection.force_close() if connection.idle else connection.close()

    def abort_all(self) -> None:
        """Cut every connection that is still open."""
        for connection in list(self._open):
            connection.abort()


def _overdue(connection: Connection, now: float, deadlines: Deadlines) -> str | None:
    """Return which deadline has passed, if any."""
    wire = connection.wire
    if wire is not None and (connection.stalled_since is not None or wire.is_closing()):
        # Unwritten bytes keep a closing connection open too, and too few of them never make the transport pause.
        since, left = connection.stalled_since or now, unsent(wire)
        took = max(0, connection.unsent - left)
        connection.stalled_since, connection.unsent = min(now, since + took / _TAKEN_BYTES_PER_SECOND), left
        if now - connection.stalled_since > deadlines.write_stall:
            return "write_stall"
    if connection.body_deadline is not None:
        return "body" if now > connection.body_deadline else None
    if connection.idle and connection.header_since is not None and now - connection.header_since > deadlines.header:
        return "header"
    return None
