"""A TCP or Unix forwarder to stand before the store or the upstream, whose fault is switched while it runs.

Laws:
- A fault acts on every byte delivered after it was set, on connections that live already too.
- Counts within a fault (after n bytes) begin anew, on each connection, when a fault is set.
- No byte is changed but by `Garbage`; an end or a reset of one side becomes the same on the other.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple, Self
from urllib.parse import urlsplit

PIECE = 65536
Way = Literal["request", "reply"]
Then = Literal["go on", "end", "reset"]
Arrivals = asyncio.Queue[tuple[float, bytes]]


class Latency(NamedTuple):
    """Deliver each piece so many seconds after it came; throughput stays."""

    reply: float = 0.0
    request: float = 0.0


class LostReply(NamedTuple):
    """Forward the request and swallow the answer; with `reset`, break the connection once the answer came."""

    reset: bool = False


class ResetAfter(NamedTuple):
    """Let so many bytes of one way pass, then RST both sides; 0 lets none of them pass."""

    size: int
    way: Way = "reply"


class HalfClose(NamedTuple):
    """Let so many bytes of the reply pass, then end that way; the client may go on sending."""

    after: int = 0


class BlackHole(NamedTuple):
    """Accept and say nothing, swallow all, ends too; a connection accepted meanwhile never reaches the target."""


class Slices(NamedTuple):
    """Forward in pieces of `size` bytes; between processes only a `pause` in seconds keeps them apart."""

    size: int
    pause: float = 0.0


class Garbage(NamedTuple):
    """Answer each request with these bytes instead of the target's."""

    data: bytes


class Refuse(NamedTuple):
    """Close the listener and break every connection, as if the process had died; the address stays ours."""


Fault = Latency | LostReply | ResetAfter | HalfClose | BlackHole | Slices | Garbage | Refuse


def _judge(fault: Fault | None, way: Way, data: bytes, passed: int, *, owed: bool) -> tuple[bytes, Then]:
    """Say what becomes of a piece: the bytes to deliver, and what follows.

    `passed` bytes of this way came before it under this fault; `owed` says that no answer came since the request.
    """
    match fault:
        case BlackHole():
            return b"", "go on"
        case LostReply(reset) if way == "reply":
            return b"", "reset" if reset else "go on"
        case Garbage(other) if way == "reply":
            return other if owed else b"", "go on"
        case ResetAfter(size, which) if which == way:
            return data[: max(0, size - passed)], "reset" if passed + len(data) >= size else "go on"
        case HalfClose(size) if way == "reply":
            return data[: max(0, size - passed)], "end" if passed + len(data) >= size else "go on"
    return data, "go on"


class FaultProxy:
    """Forwards to `target`, a URL with host and port or `unix:///path`, from an address of the same kind.

    `url` is the target's with our address in it. `struck` is set once the present fault acted. `connections` counts
    what was accepted, `delivered` the bytes of each way, `dropped` the bytes swallowed.
    """

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target)
        self._unix = Path(f"{self._target.path}.faulty") if self._target.scheme == "unix" else None
        self._fault: Fault | None = None
        self._links: set[asyncio.Task[None]] = set()
        self._defects: list[BaseException] = []
        self.port = 0
        self.struck = asyncio.Event()
        self.connections = self.dropped = 0
        self.delivered: dict[Way, int] = {"request": 0, "reply": 0}

    async def __aenter__(self) -> Self:
        self._bind()
        self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._close()
        while self._links:
            await asyncio.wait(self._links)
        if self._unix:
            self._unix.unlink(missing_ok=True)
        if self._defects:
            raise BaseExceptionGroup("connections ended by a defect of the rig", self._defects)

    @property
    def url(self) -> str:
        if self._unix:
            return f"unix://{self._unix}" + (f"?{self._target.query}" if self._target.query else "")
        user, at, _ = self._target.netloc.rpartition("@")
        return self._target._replace(netloc=f"{user}{at}127.0.0.1:{self.port}").geturl()

    @property
    def open_connections(self) -> int:
        return len(self._links)

    @property
    def fault(self) -> Fault | None:
        return self._fault

    @fault.setter
    def fault(self, fault: Fault | None) -> None:
        was, self._fault = self._fault, fault
        self.struck.clear()
        if isinstance(fault, Refuse) and not isinstance(was, Refuse):
            self._close()
            self._bind()  # bound and not listening, a socket refuses and keeps the port from others
            self.struck.set()
        elif isinstance(was, Refuse) and not isinstance(fault, Refuse):
            self._listen()

    def _socket(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX if self._unix else socket.AF_INET)
        sock.setblocking(False)
        if not self._unix:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted sockets inherit it
        return sock

    def _bind(self) -> None:
        self._listener = self._socket()
        if self._unix:
            self._unix.unlink(missing_ok=True)
            self._listener.bind(str(self._unix))
            return
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]

    def _listen(self) -> None:
        self._listener.listen(1024)
        asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def _close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._listener)
        self._listener.close()
        for link in self._links:
            link.cancel()

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        client.setblocking(False)
        self.connections += 1
        link = asyncio.create_task(self._link(client))
        self._links.add(link)
        link.add_done_callback(partial(self._ended, client))

    def _ended(self, client: socket.socket, link: asyncio.Task[None]) -> None:
        client.close()  # open still if the task was cancelled before its first step
        self._links.discard(link)
        if not link.cancelled() and (defect := link.exception()):
            self._defects.append(defect)

    async def _link(self, client: socket.socket) -> None:
        """Serve one connection; it ends by RST on both sides unless both of them ended in order."""
        loop = asyncio.get_running_loop()
        target = self._socket()
        in_order = False
        try:
            if isinstance(self._fault, BlackHole):
                self.struck.set()
                while data := await loop.sock_recv(client, PIECE):
                    self.dropped += len(data)
            else:
                unix = self._target.path
                await loop.sock_connect(target, unix if self._unix else (self._target.hostname, self._target.port))
                there, back = _Pump(self, "request", client, target), _Pump(self, "reply", target, client)
                there.other, back.other = back, there
                async with asyncio.TaskGroup() as ways:
                    for step in (there.receive, there.deliver, back.receive, back.deliver):
                        ways.create_task(step())
            in_order = True
        except* OSError:
            pass  # one side is away or was reset, and the other learns it below
        finally:
            for sock in (client, target):
                if not in_order:
                    with suppress(OSError):  # a Unix socket knows no RST
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.close()


class _Pump:
    """One way of a connection. Receiving and delivering are two tasks, so that delays overlap.

    `owed` says that this way has delivered nothing since the other did.
    """

    def __init__(self, proxy: FaultProxy, way: Way, source: socket.socket, sink: socket.socket) -> None:
        self._proxy = proxy
        self._way = way
        self._source = source
        self._sink = sink
        self._arrivals: Arrivals = asyncio.Queue(64)
        self.other = self
        self.owed = False

    async def receive(self) -> None:
        loop = asyncio.get_running_loop()
        data = b"not yet the end"
        while data:
            data = await loop.sock_recv(self._source, PIECE)
            await self._arrivals.put((loop.time(), data))

    async def deliver(self) -> None:
        under: Fault | None = None
        passed = 0
        then: Then = "go on"
        while then != "end":
            arrived, data = await self._arrivals.get()
            fault = self._proxy.fault
            if fault is not under:
                under, passed = fault, 0
            await self._delay(fault, arrived)
            if data:
                then = await self._piece(fault, data, passed)
            elif not isinstance(fault, BlackHole):
                then = "end"
            passed += len(data)
        self._sink.shutdown(socket.SHUT_WR)
        while data:
            _, data = await self._arrivals.get()
            self._proxy.dropped += len(data)

    async def _piece(self, fault: Fault | None, data: bytes, passed: int) -> Then:
        kept, then = _judge(fault, self._way, data, passed, owed=self.owed)
        self.owed, self.other.owed = False, True
        if kept != data or then != "go on" or isinstance(fault, Slices):
            self._proxy.struck.set()
        self._proxy.dropped += len(data) if isinstance(fault, Garbage) and kept != data else len(data) - len(kept)
        self._proxy.delivered[self._way] += len(kept)
        size, pause = fault if isinstance(fault, Slices) else (PIECE, 0.0)
        for start in range(0, len(kept), size):
            await asyncio.get_running_loop().sock_sendall(self._sink, kept[start : start + size])
            await asyncio.sleep(pause)
        if then == "reset":
            raise ConnectionResetError
        return then

    async def _delay(self, fault: Fault | None, arrived: float) -> None:
        if isinstance(fault, Latency) and (delay := fault.reply if self._way == "reply" else fault.request):
            self._proxy.struck.set()
            await asyncio.sleep(arrived + delay - asyncio.get_running_loop().time())
