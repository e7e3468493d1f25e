"""The stand-in model as an HTTP server.

Laws: every answer and every refusal is in the shape of the API that was asked; a client that leaves ends its answer.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from aiohttp import HttpVersion11, web

from proxy.clock import SystemClock
from proxy.errors import MethodNotAllowed, NotFound, ProxyError, TooLarge, UnsupportedMedia
from proxy.standin.event_stream import EventStream
from proxy.standin.pace import Frame, Pace, Sink, Sleep
from proxy.standin.prose import Prose
from proxy.standin.speakers import (
    ChatSpeaker,
    CompletionsSpeaker,
    CountSpeaker,
    EmbeddingsSpeaker,
    Means,
    MessagesSpeaker,
    ResponsesSpeaker,
    Speaker,
)

_BODY_BYTES = 32 << 20  # what the real APIs take
_SHUTDOWN_S = 0.1  # aiohttp grants it twice: to end by itself, then to end when cancelled
_BACKLOG = 1024  # connections that a benchmark opens at once


@dataclass(frozen=True, slots=True)
class Options:
    """How the stand-in behaves. `seed` chooses its words; with a `credential` any other is refused."""

    first_token_ms: float = 0.0
    tokens_per_second: float = 0.0
    seed: int = 0
    credential: str | None = field(default=None, repr=False)


def make_app(options: Options, *, sleep: Sleep = asyncio.sleep) -> web.Application:
    """Return the application, for use inside a process that has a loop already.

    Give its runner `handler_cancellation=True`, or a client that leaves is noticed at the next write only.
    """
    clock = SystemClock()
    means = Means(
        options.seed, Prose(options.seed), clock, _random_id, options.credential, signing_key=secrets.token_bytes(32)
    )
    speakers: dict[str, Speaker] = {
        "/v1/chat/completions": ChatSpeaker(means),
        "/v1/responses": ResponsesSpeaker(means),
        "/v1/completions": CompletionsSpeaker(means),
        "/v1/embeddings": EmbeddingsSpeaker(means),
        "/v1/messages": MessagesSpeaker(means),
        "/v1/messages/count_tokens": CountSpeaker(means),
    }
    pace = Pace(options.first_token_ms / 1000, options.tokens_per_second, clock, sleep)
    desk = _Desk(speakers, pace)
    app = web.Application(client_max_size=_BODY_BYTES)
    for path in speakers:
        app.router.add_post(path, desk.answer)
        app.router.add_route("*", path, desk.wrong_method)
    app.router.add_get("/v1/models", desk.models, allow_head=False)
    app.router.add_route("*", "/v1/models", desk.wrong_method)
    app.router.add_route("*", "/{path:.*}", desk.no_such_path)
    return app


async def serve(
    options: Options, *, host: str, port: int, stop: asyncio.Event, on_ready: Callable[[str], None]
) -> None:
    """Serve until `stop` is set; `on_ready` is handed the URL, with the port that was found if `port` is 0.

    Raises OSError if the address cannot be bound.
    """
    runner = web.AppRunner(
        make_app(options),
        access_log=None,
        handle_signals=False,
        handler_cancellation=True,
        auto_decompress=False,
        shutdown_timeout=_SHUTDOWN_S,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=_BACKLOG).start()
        bound = runner.addresses[0][1]
        on_ready(f"http://[{host}]:{bound}" if ":" in host else f"http://{host}:{bound}")
        await stop.wait()
    finally:
        await runner.cleanup()


class _Desk:
    """The handlers, one a route."""

    def __init__(self, speakers: Mapping[str, Speaker], pace: Pace) -> None:
        self._speakers = speakers
        self._pace = pace

    async def models(self, request: web.Request) -> web.Response:
        speaker = self._asked(request)
        try:
            speaker.admit(request.headers)
        except ProxyError as error:
            return self._refuse(speaker, error)
        return web.Response(body=speaker.models(), headers=self._headers(speaker, "application/json"))

    async def wrong_method(self, request: web.Request) -> web.Response:
        error = MethodNotAllowed(f"Not allowed to {request.method} on {request.path}.")
        return self._refuse(self._asked(request), error)

    async def no_such_path(self, request: web.Request) -> web.Response:
        error = NotFound(f"Invalid URL ({request.method} {request.path}).")
        return self._refuse(self._asked(request), error)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        speaker = self._speakers[request.path]
        try:
            speaker.admit(request.headers)
            reply = speaker.answer(await _body(request))
        except ProxyError as error:
            return self._refuse(speaker, error)
        if reply.frames is None:
            await self._pace.hold(reply.tokens)
            return web.Response(body=reply.body, headers=self._headers(speaker, "application/json"))
        return await self._stream(request, reply.frames, self._headers(speaker, "text/event-stream; charset=utf-8"))

    async def _stream(
        self, request: web.Request, frames: Iterator[Frame], headers: dict[str, str]
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={**headers, "Cache-Control": "no-cache"})
        try:
            await response.prepare(request)
            transport = request.transport
            sink: Sink = response
            if transport is not None and request.version >= HttpVersion11:
                sink = EventStream(response, request, transport)
            await self._pace.write(sink, frames)
            await response.write_eof()
        except ConnectionResetError:
            pass  # the client left; there is nobody to tell
        return response

    def _asked(self, request: web.Request) -> Speaker:
        """Return the API that a request outside both must mean."""
        return self._speakers["/v1/messages" if "anthropic-version" in request.headers else "/v1/chat/completions"]

    def _headers(self, speaker: Speaker, content_type: str) -> dict[str, str]:
        return {"Content-Type": content_type, speaker.request_id_header: _random_id("req_")}

    def _refuse(self, speaker: Speaker, error: ProxyError) -> web.Response:
        headers = self._headers(speaker, "application/json")
        body = speaker.refusal(error, headers[speaker.request_id_header])
        return web.Response(status=error.status, body=body, headers=headers)


async def _body(request: web.Request) -> bytes:
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise UnsupportedMedia("The request body must not be compressed.")
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise TooLarge(f"The request body must not exceed {_BODY_BYTES} bytes.") from error


def _random_id(prefix: str) -> str:
    return prefix + secrets.token_hex(12)
