"""Looks up where a host is, in a thread of its own: a name server that does not answer holds up nobody else.

The event loop's own look-ups share two threads, each held until the name server is given up on, long after whoever
asked: with one name that nobody answers for, no other host, not even the store, would be found any more.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from threading import Thread
from typing import Any

# As `getaddrinfo` gives it: family, kind, protocol, canonical name and the address.
Address = tuple[int, int, int, str, tuple[Any, ...]]


class NameLookup:
    """The addresses of one host and port, asked for once at a time, for all who wait for them together."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._loop = asyncio.get_running_loop()
        self._asked: asyncio.Future[list[Address] | Exception] | None = None
        self._known: list[Address] | None = None
        with suppress(OSError, ValueError):  # then it is a name, and no address already
            self._known = self._found(socket.AI_NUMERICHOST)

    async def addresses(self) -> list[Address]:
        """Return them as they are now. Raises OSError, or ValueError for what is no name."""
        if self._known is not None:
            return self._known
        asked = self._asked or self._begun()
        await asyncio.wait([asked])
        found = asked.result()
        if isinstance(found, Exception):
            raise type(found)(*found.args)  # each who waits has one of its own
        return found

    def _begun(self) -> asyncio.Future[list[Address] | Exception]:
        asked: asyncio.Future[list[Address] | Exception] = self._loop.create_future()
        try:
            Thread(target=self._ask, args=(asked,), name="name-lookup", daemon=True).start()
        except RuntimeError as error:  # there may be no more threads; the next who asks tries again
            raise OSError(str(error)) from None
        self._asked = asked
        return asked

    def _ask(self, asked: asyncio.Future[list[Address] | Exception]) -> None:
        found: list[Address] | Exception
        try:
            found = self._found()
        except (OSError, ValueError) as error:
            found = error.with_traceback(None)
        with suppress(RuntimeError):  # the loop has ended meanwhile
            self._loop.call_soon_threadsafe(self._answer, asked, found)

    def _answer(self, asked: asyncio.Future[list[Address] | Exception], found: list[Address] | Exception) -> None:
        self._asked = None
        asked.set_result(found)

    def _found(self, flags: int = 0) -> list[Address]:
        return list(socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM, flags=flags))
