"""Keys over HTTP from a server that misbehaves, and from files."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from proxy.auth import key_source
from proxy.auth.jwk_set import MAX_BYTES
from proxy.auth.key_source import FileSource, SourceFailed, WebSource

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/{any:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]  # a real server has sockets
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


async def why(source: WebSource | FileSource) -> str:
    with pytest.raises(SourceFailed) as caught:
        await source.load()
    assert "127.0.0.1" not in str(caught.value)
    return str(caught.value)


async def test_a_document_is_fetched_whole_and_nothing_is_told_but_that_we_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    seen = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers)
        return web.Response(body=b"x" * MAX_BYTES, headers={"Set-Cookie": "a=b"})

    async with serving(answer) as url:
        source = WebSource(f"{url}/jwks?p=1")
        assert [len(await source.load()) for _ in range(2)] == [MAX_BYTES] * 2
    for headers in seen:
        assert headers.keys() == {"Host", "Accept", "Accept-Encoding", "User-Agent"}
        assert headers["Accept-Encoding"] == "identity"


async def test_a_redirect_is_not_followed() -> None:
    asked = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        raise web.HTTPFound("/elsewhere")

    async with serving(answer) as url:
        assert await why(WebSource(f"{url}/jwks")) == "answered with status 302"
    assert asked == ["/jwks"]


@pytest.mark.parametrize("announced", [True, False])
async def test_ten_megabytes_are_not_read(announced: bool) -> None:
    """K-06."""
    sent = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(headers={"Content-Length": str(10 << 20)} if announced else {})
        await response.prepare(request)
        while sent < 10 << 20:
            await response.write(b"x" * 65_536)
            sent += 65_536
        return response

    async with serving(answer) as url:
        assert await why(WebSource(url)) == "answered with more than 262144 bytes"
    assert sent < 8 << 20


async def test_compression_that_was_not_asked_for_is_refused() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=b"x", headers={"Content-Encoding": "gzip"})

    async with serving(answer) as url:
        assert await why(WebSource(url)) == "answered with compression, which was not asked for"


async def test_a_slow_issuer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_source, "_TIMEOUT", aiohttp.ClientTimeout(total=0.2))
    gone = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"{")
        await gone.wait()
        return response

    async with serving(answer) as url:
        assert await why(WebSource(url)) == "did not answer in time"
        gone.set()


async def test_nobody_there_and_an_answer_cut_short_are_failures() -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"{")
        assert request.transport is not None
        request.transport.abort()
        return response

    async with serving(cut) as url:
        assert await why(WebSource(url)) == "could not be reached: ClientPayloadError"
    assert await why(WebSource(url)) == "could not be reached: ClientConnectorError"


async def test_a_file_is_read_as_it_is_now(tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    source = FileSource(file)
    assert await why(source) == "there is no such file"
    file.write_bytes(b"one")
    assert await source.load() == b"one"
    file.write_bytes(b"two")
    assert await source.load() == b"two"
    file.write_bytes(b"x" * (MAX_BYTES + 1))
    assert await why(source) == "is larger than 262144 bytes"
    file.unlink()
    os.mkfifo(file)
    assert await why(source) == "there is no such file"
