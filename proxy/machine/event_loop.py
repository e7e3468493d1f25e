"""The event loop of workers: uvloop's, but each host name is looked up in a thread of its own.

uvloop's look-ups share two threads, each busy until it gives up on the name server, long after the caller did; even
connecting to an address uses one. If nobody answers for one name, an issuer's or an upstream's, no other name, nor the
store, could be reached any more.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from threading import Thread
from typing import Any

import uvloop

Found = list[Any]  # as `socket.getaddrinfo` gives it
_Asked = asyncio.Future["Found | Exception"]


class EventLoop(uvloop.Loop):
    """The loop; callers that ask for the same name at the same time share one answer."""

    def __init__(self) -> None:
        super().__init__()
        self._asked: dict[tuple[Any, ...], _Asked] = {}

    async def getaddrinfo(  # type: ignore[override]  # its stubs know other names for the same
        self,
        host: str | bytes | None,
        port: str | int | None,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002 - the standard library's name
        proto: int = 0,
        flags: int = 0,
    ) -> Found:
        """See `asyncio.loop.getaddrinfo`."""
        with suppress(OSError, ValueError):  # then it is a name, and no address already
            return socket.getaddrinfo(host, port, family, type, proto, flags | socket.AI_NUMERICHOST)
        question = (host, port, family, type, proto, flags)
        asked = self._asked.get(question) or self._begun(question)
        await asyncio.wait([asked])
        found = asked.result()
        if isinstance(found, Exception):
            raise found.__class__(*found.args)  # each caller gets an exception of its own
        return found

    def _begun(self, question: tuple[Any, ...]) -> _Asked:
        asked: _Asked = self.create_future()
        try:
            Thread(target=self._ask, args=(question, asked), name="name-lookup", daemon=True).start()
        except RuntimeError as error:  # there may be no more threads; the next who asks tries again
            raise OSError(str(error)) from None
        self._asked[question] = asked
        return asked

    def _ask(self, question: tuple[Any, ...], asked: _Asked) -> None:
        found: Found | Exception
        try:
            found = socket.getaddrinfo(*question)
        except (OSError, ValueError) as error:
            found = error.with_traceback(None)
        with suppress(RuntimeError):  # the loop has ended meanwhile
            self.call_soon_threadsafe(self._answer, question, asked, found)

    def _answer(self, question: tuple[Any, ...], asked: _Asked, found: Found | Exception) -> None:
        del self._asked[question]
        asked.set_result(found)
