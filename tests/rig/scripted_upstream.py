"""A model API on a raw socket that records the bytes of every request and plays scripted answers.

Laws: what is recorded is what came, byte for byte; nothing is sent that no script says; a request counts once its head
came, whether or not its body did. Every answer it makes up itself carries `POISON`, which must never reach a client.
The builders at the end are half of the file: a script is made of them, and they are read together with its steps.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from tests.rig.raw_client import BrokenError, Head, MalformedError, Wire, chunk
from tests.rig.speech import BY_PATH

Headers = Sequence[tuple[str, str]]
WORDS = ("Hello", " from", " upstream")
POISON: Headers = (
    ("Set-Cookie", "session=canary-upstream-cookie"),
    ("Server", "canary-upstream-server"),
    ("openai-organization", "canary-upstream-organization"),
    ("anthropic-organization-id", "canary-upstream-organization"),
)


class Send(NamedTuple):
    data: bytes


class Pause(NamedTuple):
    until: asyncio.Event | float  # seconds, if it is a number


class ShutWrite(NamedTuple):
    """End our way; go on reading."""


class Close(NamedTuple):
    """Close the connection; what follows in a script is not played."""


class Reset(NamedTuple):
    """End the connection with an RST; what follows in a script is not played."""


Step = Send | Pause | ShutWrite | Close | Reset
Script = Sequence[Step]


@dataclass
class Recorded:
    """One request; `connection` is the index of the connection it came on, `raw` its bytes, chunk framing included.

    `cleared` holds the installations none of whose secrets is in it.
    """

    connection: int
    head: Head
    raw: bytes = b""
    body: bytes = b""
    complete: bool = False
    cleared: set[object] = field(default_factory=set, repr=False)

    @property
    def method(self) -> str:
        return self.head.start.split(" ")[0]

    @property
    def target(self) -> str:
        return self.head.start.split(" ")[1]

    @property
    def headers(self) -> list[tuple[str, str]]:
        return self.head.headers

    def header(self, name: str) -> str | None:
        return self.head.header(name)

    def json(self) -> Any:
        return json.loads(self.body)


Answer = Script | Callable[[Recorded], Script]


@dataclass
class Connection:
    """One accepted connection; `closed` is set when the other side's end or reset came, or when we closed."""

    index: int
    wire: Wire
    todo: asyncio.Queue[Recorded | None] = field(default_factory=asyncio.Queue)
    closed: asyncio.Event = field(default_factory=asyncio.Event)


class ScriptedUpstream:
    """Listens on a port of 127.0.0.1 inside `async with`.

    Answers come from the queue that `script` fills, then from `default`. `usage` is what default answers report, as
    input and output tokens; `reported` lists what they did report, `scripted` counts the answers from the queue.
    `malformed` holds what came and is no request.
    """

    def __init__(self) -> None:
        self.requests: list[Recorded] = []
        self.connections: list[Connection] = []
        self.malformed: list[str] = []
        self.usage = (11, 7)
        self.reported: list[tuple[int, int]] = []
        self.scripted = 0
        self.default: Answer = self._usual
        self._answers: deque[Answer] = deque()
        self._openings: deque[Script] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._begin(self._accept())
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        self._listener.close()
        for connection in self.connections:
            connection.wire.close()  # open still if its task was cancelled before its first step
        if defects := [error for error in ended if isinstance(error, Exception)]:
            raise ExceptionGroup("connections ended by a defect of the rig", defects)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def open_connections(self) -> int:
        return sum(not connection.closed.is_set() for connection in self.connections)

    def script(self, *answers: Answer, instead: bool = False) -> None:
        """Queue answers, one for each of the next requests on whatever connection; `instead` of those nobody took."""
        if instead:
            self._answers.clear()
        self._answers.extend(answers)

    def forget(self) -> None:
        """Let go of what was seen so far; no request may be on its way."""
        for kept in (self.requests, self.reported, self.malformed):
            kept.clear()
        self.scripted = 0
        for connection in self.connections:
            connection.wire.forget()

    def script_connection(self, *openings: Script) -> None:
        """Queue what the next connections do when accepted, before any request of theirs is answered."""
        self._openings.extend(openings)

    async def wait_for_requests(self, count: int, within: float = 5.0) -> list[Recorded]:
        """Return the first `count` whole requests, once they have come."""
        try:
            async with asyncio.timeout(within):
                while len(whole := [request for request in self.requests if request.complete]) < count:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"{len(whole)} of {count} requests came whole in {within} s") from None
        return whole[:count]

    async def wait_closed(self, index: int, within: float = 1.0) -> None:
        """Return once a connection was closed; an AssertionError if it was not in time."""
        try:
            async with asyncio.timeout(within):
                await self.connections[index].closed.wait()
        except TimeoutError:
            raise AssertionError(f"connection {index} is still open after {within} s") from None

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.add(asyncio.create_task(work))

    async def _accept(self) -> None:
        while True:
            sock, _ = await asyncio.get_running_loop().sock_accept(self._listener)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(len(self.connections), Wire(sock, within=None))
            self.connections.append(connection)
            self._begin(self._serve(connection))

    async def _serve(self, connection: Connection) -> None:
        receiving = asyncio.create_task(self._receive(connection))
        reset = False
        try:
            reset = await self._converse(connection)
        except OSError:
            pass  # the other side is away
        finally:
            # Only once nobody waits for the socket may its number be given to another.
            receiving.cancel()
            await asyncio.wait([receiving])
            connection.wire.reset() if reset else connection.wire.close()
            connection.closed.set()
        if not receiving.cancelled():
            receiving.result()

    async def _receive(self, connection: Connection) -> None:
        wire = connection.wire
        try:
            while True:
                head = await wire.head()
                start = wire.taken - len(head.raw)
                request = Recorded(connection.index, head)
                self.requests.append(request)
                try:
                    request.body = b"".join(await wire.body(request.head, to_end=False))
                    request.complete = True
                finally:
                    request.raw = bytes(wire.received[start : wire.taken])
                self._news.set()
                connection.todo.put_nowait(request)
        except BrokenError:
            pass
        except MalformedError as error:
            self.malformed.append(str(error))
        finally:
            connection.closed.set()
            connection.todo.put_nowait(None)

    async def _converse(self, connection: Connection) -> bool:
        """Play until the connection is to end; return whether by a reset."""
        script = self._openings.popleft() if self._openings else ()
        while True:
            for step in script:
                match step:
                    case Send(data):
                        await connection.wire.send(data)
                    case Pause(until):
                        await (until.wait() if isinstance(until, asyncio.Event) else asyncio.sleep(until))
                    case ShutWrite():
                        connection.wire.half_close()
                    case Close() | Reset():
                        return isinstance(step, Reset)
            request = await connection.todo.get()
            if request is None:
                return False
            script = self._next(request)

    def _next(self, request: Recorded) -> Script:
        answer = self.default
        if self._answers:
            answer = self._answers.popleft()
            self.scripted += 1
        return answer(request) if callable(answer) else answer

    def _usual(self, request: Recorded) -> Script:
        speech = BY_PATH.get(request.target)
        if speech is None or request.method != "POST":
            return json_answer(404, {"error": {"message": "no such path", "type": "invalid_request_error"}}, POISON)
        asked = request.json()
        self.reported.append(speech.charges(self.usage))
        if not asked.get("stream") or speech.events is None:
            return json_answer(200, speech.document("".join(WORDS), asked["model"], self.usage), POISON)
        return sse_answer(speech.events(WORDS, asked["model"], self.usage), headers=POISON)


def http(status: int | str, headers: Headers = (), body: bytes = b"") -> bytes:
    """Write an answer with these header lines and no other."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"HTTP/1.1 {status}{'' if isinstance(status, str) else ' Scripted'}\r\n{lines}\r\n".encode("latin-1") + body


def body_answer(status: int, body: bytes, content_type: str, headers: Headers = ()) -> Script:
    """Answer with a Content-Length."""
    return (Send(http(status, [("Content-Type", content_type), ("Content-Length", str(len(body))), *headers], body)),)


def json_answer(status: int, document: Any, headers: Headers = ()) -> Script:
    return body_answer(status, json.dumps(document).encode(), "application/json", headers)


def html_answer(status: int) -> Script:
    """Answer as a load balancer does, with a page that names a host."""
    page = f"<html><body><h1>{status}</h1><hr>canary-upstream-balancer/10.0.0.1</body></html>"
    return body_answer(status, page.encode(), "text/html")


def event(data: Any, name: str = "") -> bytes:
    """Write one server-sent event; text is taken as it is, anything else as JSON."""
    text = data if isinstance(data, str) else json.dumps(data)
    return f"{f'event: {name}' + chr(10) if name else ''}data: {text}\n\n".encode()


def sse_answer(events: Iterable[bytes], *, end: bool = True, chunked: bool = True, headers: Headers = ()) -> Script:
    """Send each event as one piece, chunked or up to the close; without `end` the caller says what comes instead."""
    framing = [("Transfer-Encoding", "chunked")] if chunked else [("Connection", "close")]
    head = http(200, [("Content-Type", "text/event-stream"), *framing, *headers])
    pieces = [Send(chunk(piece) if chunked else piece) for piece in events]
    ending: list[Step] = [] if not end else [Send(chunk(b""))] if chunked else [Close()]
    return (Send(head), *pieces, *ending)


def after_interim(script: Script, *statuses: int) -> Script:
    """Send interim answers such as 100 and 103 before the real one."""
    return (*(Send(http(status)) for status in statuses), *script)


def redirect(location: str, status: int = 307) -> Script:
    return body_answer(status, b"", "text/plain", [("Location", location)])


def two_lengths(status: int = 200) -> Script:
    """Answer with Content-Length and Transfer-Encoding, and what a parser of one takes for an answer to the next."""
    smuggled = http("200 OK", [("Content-Length", "7")], b"canary!")
    headers = [("Content-Type", "application/json"), ("Content-Length", "5"), ("Transfer-Encoding", "chunked")]
    return (Send(http(status, headers, chunk(b"{}") + chunk(b"") + smuggled)),)


def truncated(body: bytes, missing: int = 10) -> Script:
    """Announce more bytes than come, then close."""
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body) + missing))]
    return (Send(http(200, headers, body)), Close())
