"""TLS: which name a certificate must have; and whether or not an upstream says goodbye, nothing that it sent is lost."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from proxy.machine.event_loop import EventLoop
from proxy.upstream.connection import read_room
from tests.rig.authority import HERE, Authority, pem
from tests.rig.raw_client import chunk
from tests.rig.scripted_upstream import http
from tests.rig.waiting import until
from tests.upstream.test_pool import CALL, on_uvloop, pool_to, take

BODY = bytes(range(256)) * 12_000  # more than is read ahead of whoever takes it
FRAMINGS = {
    "a length": http(200, [("Content-Length", str(len(BODY)))], BODY),
    "chunks": http(200, [("Transfer-Encoding", "chunked")], chunk(BODY) + chunk(b"")),
    "the end": http(200, [("Connection", "close")], BODY),
}


@asynccontextmanager
async def answering(
    context: ssl.SSLContext, answer: bytes, *, goodbye: bool = False, stays: bool = False
) -> AsyncIterator[int]:
    """Answer each connection once and end it, with TLS's goodbye (close_notify) or by the socket's end alone.

    One that stays leaves the end to the other side.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls, asked = context.wrap_bio(incoming, outgoing, server_side=True), False
        while not asked:
            try:
                if tls.version() is None:
                    tls.do_handshake()
                asked = bool(tls.read(65_536))
            except ssl.SSLWantReadError:
                writer.write(outgoing.read())
                if not (data := await reader.read(65_536)):
                    writer.close()
                    return
                incoming.write(data)
        tls.write(answer)
        if goodbye:
            with pytest.raises(ssl.SSLWantReadError):
                tls.unwrap()
        writer.write(outgoing.read())
        await writer.drain()
        if stays:
            await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def trusted(folder: Path, monkeypatch: pytest.MonkeyPatch, name: x509.GeneralName) -> ssl.SSLContext:
    """Return what a server has that is trusted under a name."""
    authority = Authority("an authority")
    (folder / "authority.pem").write_bytes(pem(authority.certificate))
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.issue(folder, name))
    return context


@pytest.mark.parametrize("host", ["up.example", "up.example."])
def test_a_name_that_ends_in_a_dot_is_the_same_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """Where names are looked up in a list of domains first, as in Kubernetes, the dot saves all those look-ups."""
    context = trusted(tmp_path, monkeypatch, x509.DNSName("up.example"))
    asked: list[str | None] = []
    context.sni_callback = lambda _tls, name, _context: asked.append(name)
    find = socket.getaddrinfo

    def found(name: str, *how: Any, **more: Any) -> list[Any]:
        return find("127.0.0.1" if name == host else name, *how, **more)

    async def connect() -> None:
        async with answering(context, FRAMINGS["a length"], goodbye=True) as port, asyncio.timeout(5):
            with pool_to(f"https://{host}:{port}") as pool:
                pool.give(await take(pool, 5))

    monkeypatch.setattr(socket, "getaddrinfo", found)
    with asyncio.Runner(loop_factory=EventLoop) as runner:
        runner.run(connect())
    assert asked == ["up.example"]


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("goodbye", [True, False], ids=["goodbye", "no word"])
@on_uvloop
async def test_all_of_an_answer_comes_however_late_it_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, framing: str, *, goodbye: bool
) -> None:
    context = trusted(tmp_path, monkeypatch, HERE)
    async with answering(context, FRAMINGS[framing], goodbye=goodbye) as port, asyncio.timeout(10):
        with pool_to(f"https://127.0.0.1:{port}") as pool:
            connection = await take(pool, 10)
            connection.send(CALL)
            assert (await connection.head()).status == 200
            came = b""
            while data := await connection.read():
                came += data
                await asyncio.sleep(0.05)  # the upstream sends and ends as far as it can
            assert came == BODY
            pool.give(connection)


@pytest.mark.parametrize("behind", [b"", http(200)], ids=["nothing", "another answer"])
@pytest.mark.parametrize("chunked", [False, True], ids=["a length", "chunks"])
@on_uvloop
async def test_what_comes_behind_an_answer_that_fills_a_read_is_the_answer_to_no_other_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behind: bytes, *, chunked: bool
) -> None:
    """TLS has it then, in no turn of the loop yet, and the socket nothing any more."""
    size = len(read_room())
    head = [("Transfer-Encoding", "chunked")] if chunked else [("Content-Length", str(size))]
    body = bytes(size - len(http(200, head)) - chunked * (len(chunk(bytes(size // 2)) + chunk(b"")) - size // 2))
    head = head if chunked else [("Content-Length", str(len(body)))]
    answer = http(200, head, chunk(body) + chunk(b"") if chunked else body)
    assert len(answer) == size
    context = trusted(tmp_path, monkeypatch, HERE)
    async with answering(context, answer + behind, stays=True) as port, asyncio.timeout(10):
        with pool_to(f"https://127.0.0.1:{port}") as pool:
            connection = await take(pool, 10)
            connection.send(CALL)
            await connection.head()
            await until(lambda: connection._complete)
            assert await connection.read() == body
            pool.give(connection)
            assert (await take(pool, 10) is connection) == (not behind)


@on_uvloop
async def test_a_connection_on_which_a_part_of_its_call_still_waits_is_not_lent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upstream that answers by the head alone, and may read no more or end the connection for it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"X-Read: yes" in head:
            await reader.readexactly(len(body))
        writer.write(http(429, [("Content-Length", "0")]))
        await over.wait()
        writer.close()

    over, body = asyncio.Event(), 5 * BODY  # more than sockets take
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=trusted(tmp_path, monkeypatch, HERE))
    async with asyncio.timeout(10):
        with pool_to(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}") as pool:
            for read in ("yes", "no"):
                connection = await take(pool, 10)
                head = f"POST / HTTP/1.1\r\nHost: a\r\nX-Read: {read}\r\nContent-Length: {len(body)}\r\n\r\n"
                connection.send(head.encode() + body)
                assert (await connection.head()).status == 429
                assert await connection.read() == b""
                pool.give(connection)
                again = await take(pool, 10)
                assert (again is connection) == (read == "yes")
                again.abort()
                pool.give(again)
    over.set()
    server.close()
