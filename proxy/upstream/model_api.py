"""The HTTP side that faces the model API: our credential, no redirects, no cookies, no proxies, no retries.

Laws: a connection goes only to the configured origin; a header goes only if it is named here or by the dialect.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from yarl import URL

from proxy.clients.answers import VIA
from proxy.dialects.base import Dialect
from proxy.errors import Unavailable, UpstreamFailed, UpstreamTimeout
from proxy.upstream.complaint import Complaint
from proxy.upstream.connection import AnswerHead, BrokenAnswer, UpstreamConnection
from proxy.upstream.pool import Pool
from proxy.upstream.retry_after import wait_asked
from proxy.upstream.room import NoRoom, Room

# RFC 9110, section 8.3.1: a parameter's value may be quoted, and none need follow a semicolon. Spaces are HTTP's own:
# with others an answer's head could not be written.
_WORD = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_QUOTED = r'"(?:[\t !#-\[\]-~]|\\[\t -~])*"'
_CONTENT_TYPE = re.compile(rf"{_WORD}/{_WORD}[ \t]*(?:;[ \t]*(?:{_WORD}=(?:{_WORD}|{_QUOTED})[ \t]*)?)*")
_USUAL_TYPE = "application/json"
# Header values with any other character are left out: they could end their line, or be read in two ways.
_SAFE_VALUE = re.compile(r"[\x20-\x7e]*")
_SWEEP_S = 0.25
_SUCCESS = 200
# How many large answers may come in at once, in all and of one tenant; each may take twice its longest length of 32 MB,
# or 64 for embeddings. Each upstream has its own places, so a slow one does not make others' answers wait.
_LARGE, _LARGE_OF_ONE = 16, 8
_LARGE_PATIENCE_S = 86_400.0  # longer than any exchange
_RETRY_S = 1


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Origin:
    """Where one upstream is, how long it may take in seconds, and how many connections to it there may be at once.

    One tenant may have `connections_of_one`, and besides `waiting_of_one` calls that wait for `patience` at most.
    """

    name: str
    url: str
    secret: str = field(repr=False)
    connect: float
    first_byte: float
    idle: float
    total: float
    connections: int
    connections_of_one: int | None = None  # None: all
    waiting_of_one: int = 256
    patience: float = 30.0


class UpstreamUnreachable(UpstreamFailed):
    """No connection to the upstream can be had."""


class UpstreamConnectTimeout(UpstreamTimeout, UpstreamUnreachable):
    """No connection to the upstream can be had in time."""


class UpstreamReset(UpstreamFailed):
    """The upstream's connection broke while its answer was read."""

    code = "upstream_reset"


class UpstreamAnswer:
    """An answer whose head came; read its body with `read` until it returns nothing, then `close`.

    `large` has the upstream's places for large answers that are kept until they are whole.
    """

    __slots__ = ("_connection", "_head", "_idle", "_pool", "content_type", "encoded", "ended", "large", "status")

    def __init__(self, head: AnswerHead, connection: UpstreamConnection, pool: Pool, idle: float, large: Room) -> None:
        self._connection = connection
        self._pool = pool
        self._idle = idle
        self.large = large
        self.ended = False  # nothing more is to be read
        self._head = head
        self.status = head.status
        kind, encoding = head.content_type, head.content_encoding
        self.content_type = kind if kind == _USUAL_TYPE or _CONTENT_TYPE.fullmatch(kind) else ""
        # Whether the body is compressed, although identity was asked for.
        self.encoded = bool(encoding) and encoding.strip().lower() not in ("identity", "")

    def wait(self, now: float) -> float | None:
        """Return how many seconds, bounded, an error asks us to leave the upstream alone; None if it does not."""
        return wait_asked(self._head.retry_after, self._head.retry_after_ms, now)

    async def read(self) -> bytes:
        """Return what came since the last read, b"" at the end. Raises UpstreamTimeout or UpstreamReset.

        Only the time that passes in here counts as a pause of the answer. At the end the connection is let go: while
        the client is still sent the rest, another call may use it.
        """
        if self.ended:
            return b""
        connection = self._connection
        try:
            data = await connection.read(self._idle)
        except TimeoutError:
            raise UpstreamTimeout("The model API stopped answering.") from None
        except BrokenAnswer:
            raise UpstreamReset("The model API broke off its answer.") from None
        if connection.read_to_end:
            self.close()
        return data

    async def read_at_most(self, size: int) -> bytes:
        """Return up to about `size` bytes of the body, as for an error's words."""
        parts = []
        while size > 0 and (part := await self.read()):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def close(self) -> None:
        """Let the connection go, once: back to the pool if the answer was read to its end, closed otherwise."""
        if not self.ended:
            self.ended = True
            self._pool.give(self._connection)


class Upstream:
    """One configured model API; `watch` must run as long as it is used, `close` ends it."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._url = URL(origin.url, encoded=True)
        room = Room(
            origin.connections, origin.connections_of_one or origin.connections, origin.waiting_of_one, origin.patience
        )
        self._pool = Pool(self._url, room, origin.connect)
        self._large = Room(_LARGE, _LARGE_OF_ONE, origin.connections, _LARGE_PATIENCE_S)
        self._heads: dict[tuple[str, bool], str] = {}
        self._complaint = Complaint(origin.name, asyncio.get_running_loop().time)

    @property
    def name(self) -> str:
        """The name it has in the settings."""
        return self._origin.name

    @property
    def total_seconds(self) -> float:
        """How long an exchange with it may take in all."""
        return self._origin.total

    async def watch(self) -> None:
        """End waits that take too long, until cancelled."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            self._pool.sweep()

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()

    async def post(
        self,
        dialect: Dialect,
        headers: Mapping[str, str],
        body: bytes,
        *,
        stream: bool,
        tenant: str = "",
        begun: Callable[[], None] = _nothing,
    ) -> UpstreamAnswer:
        """Send a tenant's call and return once the answer's head is there.

        `headers` are sent besides our own; `begun` is called once there is room for the call. Raises Unavailable if
        there is no room, UpstreamUnreachable if there is no connection, UpstreamTimeout if it takes too long, and else
        UpstreamFailed, in words that name no host.
        """
        lines = self._head(dialect, stream=stream) + "".join(
            [f"{name}: {value}\r\n" for name, value in headers.items() if _SAFE_VALUE.fullmatch(value)]
        )
        call = f"{lines}Content-Length: {len(body)}\r\n\r\n".encode("ascii") + body
        # One limit from the moment there is room to the whole head: a body that goes up slowly, a head that comes in
        # drops.
        within = self._origin.connect + self._origin.first_byte
        try:
            connection = await self._pool.take(tenant, within, begun)
        except NoRoom:
            message, status = "Too many requests wait for the model right now.", dialect.overloaded_status
            raise Unavailable(message, code="overloaded", status=status, retry_after=_RETRY_S) from None
        except TimeoutError:
            self._complaint.of("no connection in time")
            raise UpstreamConnectTimeout("The model API did not answer in time.") from None
        except (OSError, ValueError) as error:
            self._complaint.of(f"no connection: {error}")
            raise UpstreamUnreachable("The model API cannot be reached.") from None
        try:
            connection.send(call)
            head = await connection.head()
            answer = UpstreamAnswer(head, connection, self._pool, self._origin.idle, self._large)
        except BaseException as error:
            self._pool.give(connection)
            if isinstance(error, TimeoutError):
                raise UpstreamTimeout("The model API did not answer in time.") from None
            if isinstance(error, BrokenAnswer):
                self._complaint.of("no valid answer")
                raise UpstreamFailed("The model API did not give a valid answer.") from None
            raise
        if answer.status != _SUCCESS:
            self._complaint.of_status(answer.status)
        return answer

    def _head(self, dialect: Dialect, *, stream: bool) -> str:
        """Return the lines that every call of a dialect has, our credential among them."""
        head = self._heads.get((dialect.name, stream))
        if head is None:
            lines = {
                "Host": self._url.host_port_subcomponent or "",
                "Content-Type": "application/json",
                "Accept": "text/event-stream" if stream else "application/json",
                "Accept-Encoding": "identity",
                "User-Agent": "stillgate",
                "Via": VIA,
                **dialect.credential_headers(self._origin.secret),
            }
            path = self._url.raw_path.rstrip("/") + dialect.path
            head = f"POST {path} HTTP/1.1\r\n" + "".join([f"{name}: {value}\r\n" for name, value in lines.items()])
            self._heads[dialect.name, stream] = head
        return head
