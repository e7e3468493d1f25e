"""Where an issuer's keys come from: an https URL or a file, read whole and up to the size of a set of keys.

Laws: a URL is requested without credentials, cookies, redirects, the environment's proxies or compression; a file is
read in a thread; no exception's text names a host or a path.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol

import aiohttp

from proxy.auth.jwk_set import MAX_BYTES

_TIMEOUT = aiohttp.ClientTimeout(total=5.0, connect=3.0)
_HEADERS = {
    "Accept": "application/jwk-set+json, application/json",
    "Accept-Encoding": "identity",
    "User-Agent": "stillgate",
}


class SourceFailed(Exception):
    """The keys could not be loaded; the text is for the operator."""


class Source(Protocol):
    """Where keys come from."""

    async def load(self) -> bytes:
        """Return the document as it is now. Raises SourceFailed."""
        ...


class WebSource:
    """A URL; each load opens a new connection, since minutes pass in between."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def load(self) -> bytes:
        """Fetch the document. Raises SourceFailed."""
        session = aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=_HEADERS,
            timeout=_TIMEOUT,
            trust_env=False,
            auto_decompress=False,
        )
        try:
            async with session, session.get(self._url, allow_redirects=False) as response:
                if response.status != 200:
                    raise SourceFailed(f"answered with status {response.status}")
                if response.headers.get("Content-Encoding", "identity").lower() != "identity":
                    raise SourceFailed("answered with compression, which was not asked for")
                return await _read_all(response.content)
        except TimeoutError:
            raise SourceFailed("did not answer in time") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise SourceFailed(f"could not be reached: {type(error).__name__}") from None


class FileSource:
    """A file on this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def load(self) -> bytes:
        """Read the file. Raises SourceFailed."""
        return await asyncio.to_thread(self._read)

    def _read(self) -> bytes:
        try:
            if not self._path.is_file():  # reading a named pipe would wait
                raise SourceFailed("there is no such file")
            with self._path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise SourceFailed(f"cannot be read: {error.strerror}") from None
        if len(data) > MAX_BYTES:
            raise SourceFailed(f"is larger than {MAX_BYTES} bytes")
        return data


async def _read_all(content: aiohttp.StreamReader) -> bytes:
    parts, size = [], 0
    async for part in content.iter_any():
        size += len(part)
        if size > MAX_BYTES:
            raise SourceFailed(f"answered with more than {MAX_BYTES} bytes")
        parts.append(part)
    return b"".join(parts)
