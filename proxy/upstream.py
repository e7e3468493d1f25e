"""The HTTP side that faces the model API: our credential, no redirects, no cookies, no proxies, no retries.

Laws: a connection goes only to the configured origin; a header goes only if it is named; a connection with more on it
than the answer that was read is not used again, so that nothing of it reaches another exchange.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.client_proto import ResponseHandler
from multidict import CIMultiDict
from yarl import URL

from proxy.answers import VIA
from proxy.dialects.base import Dialect
from proxy.errors import UpstreamFailed, UpstreamTimeout

_CONTENT_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+(\s*;\s*[A-Za-z0-9-]+=[A-Za-z0-9_.-]+)*")
# Larger heads than any model API sends are refused while they are read.
_MAX_LINE_BYTES = 16_384
# One read gives at most about twice this much, which bounds what one stream keeps in memory.
_READ_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Origin:
    """Where one upstream is and how long it may take; seconds."""

    name: str
    url: str
    secret: str
    connect: float
    first_byte: float
    idle: float
    total: float
    connections: int


class UpstreamReset(UpstreamFailed):
    """The upstream's connection broke while its answer was read."""

    code = "upstream_reset"


class _Connection(ResponseHandler):
    """aiohttp's connection, with three gaps closed that hostile bytes get through (measured with 3.14)."""

    def is_connected(self) -> bool:
        """Tell whether the next call may use it; what came behind the last answer would pass for the next one's."""
        return super().is_connected() and not self.should_close

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        """Fail the body as well: whoever reads it would wait for ever for what follows a malformed chunk."""
        body = self._payload
        super().set_exception(exc, *(() if exc_cause is None else (exc_cause,)))
        if body is not None and not body.is_eof() and body.exception() is None:
            known = isinstance(exc, (aiohttp.ClientError, TimeoutError))
            body.set_exception(exc if known else aiohttp.ClientPayloadError("malformed"))

    def limit_idleness(self, seconds: float) -> None:
        """Bound the time until the next bytes, whichever they are; what we hold back ourselves does not count."""
        self.read_timeout = seconds
        if not self._reading_paused:
            self.start_timeout()


class _Connector(aiohttp.TCPConnector):
    def __init__(self, limit: int) -> None:
        super().__init__(limit=limit, limit_per_host=0, use_dns_cache=True)
        make: type[ResponseHandler] = _Connection
        self._factory = partial(make, loop=asyncio.get_running_loop())


class UpstreamAnswer:
    """An answer whose head came; read its body with `read` until it returns nothing, then `close`."""

    __slots__ = ("_response", "content_type", "length", "retry_after", "status")

    def __init__(self, response: aiohttp.ClientResponse, idle: float) -> None:
        self._response = response
        self.status = response.status
        content_type = response.headers.get("Content-Type", "")
        self.content_type = content_type if _CONTENT_TYPE.fullmatch(content_type) else ""
        self.length = response.content_length
        connection = response.connection and response.connection.protocol
        if isinstance(connection, _Connection):
            connection.limit_idleness(idle)

    @property
    def encoded(self) -> bool:
        """Whether the body is compressed, although identity was asked for."""
        return self._response.headers.get("Content-Encoding", "identity").strip().lower() not in ("identity", "")

    async def read(self) -> bytes:
        """Return what came since the last read, b"" at the end. Raises UpstreamTimeout or UpstreamReset."""
        try:
            return await self._response.content.readany()
        except TimeoutError:
            raise UpstreamTimeout("The model API stopped answering.") from None
        except (aiohttp.ClientError, OSError):
            raise UpstreamReset("The model API broke off its answer.") from None

    async def read_at_most(self, size: int) -> bytes:
        """Return up to about `size` bytes of the body: what an error's words need."""
        parts = []
        while size > 0 and (part := await self.read()):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def close(self) -> None:
        """Let the connection go: back to the pool if the answer was read to its end, closed otherwise."""
        self._response.close() if not self._response.content.at_eof() else self._response.release()


class Upstream:
    """One configured model API; use it as an async context manager."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._urls: dict[str, URL] = {}
        self._headers: dict[tuple[str, bool], CIMultiDict[str]] = {}
        self._session = aiohttp.ClientSession(
            connector=_Connector(origin.connections),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=origin.connect, ceil_threshold=60),
            trust_env=False,
            auto_decompress=False,
            raise_for_status=False,
            read_bufsize=_READ_BYTES,
            max_line_size=_MAX_LINE_BYTES,
            max_field_size=_MAX_LINE_BYTES,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )

    @property
    def name(self) -> str:
        """The name it has in the settings."""
        return self._origin.name

    @property
    def total_seconds(self) -> float:
        """How long an exchange with it may take in all."""
        return self._origin.total

    def headers(self, dialect: Dialect, *, stream: bool) -> CIMultiDict[str]:
        """Return a copy of the headers that every call of a dialect carries, our credential among them."""
        headers = self._headers.get((dialect.name, stream))
        if headers is None:
            headers = CIMultiDict(dialect.default_headers)
            headers.update(
                {
                    "Content-Type": "application/json",
                    "Accept": "text/event-stream" if stream else "application/json",
                    "Accept-Encoding": "identity",
                    "User-Agent": "stillgate",
                    "Via": VIA,
                }
            )
            headers.update(dialect.credential_headers(self._origin.secret))
            self._headers[dialect.name, stream] = headers
        return headers.copy()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def post(self, path: str, headers: Mapping[str, str], body: bytes) -> UpstreamAnswer:
        """Send a call and return once the answer's head is there.

        `path` is one of our own constants. Raises UpstreamTimeout or UpstreamFailed, in words that name no host.
        """
        url = self._urls.get(path)
        if url is None:
            url = self._urls[path] = URL(self._origin.url.rstrip("/") + path, encoded=True)
        try:
            # Over all of it: the wait for a free connection, the body's way up, a head that comes in drops.
            async with asyncio.timeout(self._origin.connect + self._origin.first_byte):
                response = await self._session.post(url, data=body, headers=headers, allow_redirects=False)
        except TimeoutError:
            raise UpstreamTimeout("The model API did not answer in time.") from None
        except aiohttp.ClientConnectorError:
            raise UpstreamFailed("The model API cannot be reached.") from None
        except (aiohttp.ClientError, OSError, ValueError):
            raise UpstreamFailed("The model API did not give a valid answer.") from None
        return UpstreamAnswer(response, self._origin.idle)
