"""The yardstick: a pass-through as one would write it with aiohttp and nothing else, made to be fast.

It reads no JSON, knows no keys, keeps no record. `python -m bench.pass_through URL` serves in front of an upstream on a
free port of the loopback and prints that port.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import uvloop
from aiohttp import web

from bench.traffic import PATH

_BODY_BYTES = 10 << 20


def client_session() -> aiohttp.ClientSession:
    """Return a client with everything turned off that costs time and that a pass-through does not need."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
        auto_decompress=False,
    )


@asynccontextmanager
async def web_server(handle: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[int]:
    """Serve one handler on a free port of the loopback and yield that port."""
    app = web.Application(client_max_size=_BODY_BYTES)
    app.router.add_post(PATH, handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def pass_through(upstream_url: str) -> AsyncIterator[int]:
    """Relay to `upstream_url` and yield the port to send to."""
    url = upstream_url + PATH

    async def relay(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {name: request.headers[name] for name in ("Authorization", "Content-Type")}
        async with session.post(url, data=body, headers=headers) as answer:
            kind = {"Content-Type": answer.headers["Content-Type"]}
            if answer.content_type != "text/event-stream":
                return web.Response(body=await answer.read(), status=answer.status, headers=kind)
            stream = web.StreamResponse(status=answer.status, headers=kind)
            await stream.prepare(request)
            while data := await answer.content.readany():
                await stream.write(data)
            await stream.write_eof()
            return stream

    async with client_session() as session, web_server(relay) as port:
        yield port


async def _serve(upstream_url: str) -> None:
    async with pass_through(upstream_url) as port:
        print(port, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop_runner:
        loop_runner.run(_serve(sys.argv[1]))
