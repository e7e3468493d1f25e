"""Runs an application of the admin side on aiohttp's own server, but for requests that cannot be read.

Law: of bytes that are no HTTP nothing comes into a log or an answer, where aiohttp would put them: they may be a
credential or a part of a body. A body in which something cannot be read is not waited for.
"""

from __future__ import annotations

import asyncio

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from proxy.admin_side.documents import problem
from proxy.admin_side.patience import cut_waiting, make_room
from proxy.clients.http_handler import Framed


class Runner(web.AppRunner):
    """Runs one application."""

    __slots__ = ()

    def __init__(self, app: web.Application) -> None:
        super().__init__(app, access_log=None, handle_signals=False, auto_decompress=False)

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        server.__class__ = _Server  # aiohttp lets nobody say what its connections are made of
        return server


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - aiohttp calls it so
        cut_waiting(self)  # it would be waited for as long as for an answer of ours: a minute
        await super().shutdown(timeout)


class _Connection(Framed):
    __slots__ = ()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._manager is not None:
            make_room(self._manager)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if status < 500:
            answer = problem(status, "This is not a request that can be read as HTTP.")
        else:
            super().handle_error(request, status, exc, message)  # logs it
            answer = problem(status, "Something went wrong; the log of the proxy says what.")
        answer.force_close()
        return answer
