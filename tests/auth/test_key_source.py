"""Keys over HTTP from a server that misbehaves, and from files."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from proxy.auth import key_source
from proxy.auth.jwk_set import MAX_BYTES
from proxy.auth.key_source import FileSource, SourceFailed, WebSource

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/{any:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    try:
        yield f"{'http' if tls is None else 'https'}://127.0.0.1:{runner.addresses[0][1]}"
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


async def test_a_server_that_cannot_show_who_it_is_is_not_asked(tmp_path: Path) -> None:
    asked = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(body=b"{}")

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(_self_signed(tmp_path))
    async with serving(answer, tls) as url:
        assert await why(WebSource(url)) == "could not be reached: ClientConnectorCertificateError"
    assert asked == []


def _self_signed(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)  # noqa: TID251 - a certificate's validity is wall time
    certificate = (
        x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number(), now, now + dt.timedelta(days=1)
        )
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    pem = serialization.Encoding.PEM
    path.write_bytes(key.private_bytes(pem, *plain) + certificate.public_bytes(pem))
    return path


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
