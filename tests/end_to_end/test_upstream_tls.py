"""An upstream behind TLS: its certificate and its name are checked before it gets to know anything."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import json
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography import x509

from tests.end_to_end.scene import Scene, answer, delta, staged
from tests.rig.authority import DAY, HERE, NOW, Authority, pem
from tests.rig.fault_proxy import FaultProxy
from tests.rig.raw_client import chunk
from tests.rig.scripted_upstream import ScriptedUpstream, event, http

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Secured:
    """An upstream that speaks TLS with whatever certificate it has now; `received` is what it deciphered."""

    def __init__(self) -> None:
        self.received = b""
        self.replies: list[bytes] = []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.context)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                self.received += head + await reader.readexactly(size)
                reply = self.replies.pop(0)
                writer.write(reply)
                if b"Connection: close" in reply:
                    break
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def authority() -> Authority:
    return Authority("an authority that is trusted")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def secured(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> AsyncIterator[tuple[Secured, int]]:
    secured = Secured()
    secured.context.load_cert_chain(authority.issue(tmp_path_factory.mktemp("first"), HERE))
    async with secured.listening() as port:
        yield secured, port


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, secured: tuple[Secured, int]
) -> AsyncIterator[tuple[Scene, FaultProxy]]:
    folder = tmp_path_factory.mktemp("tls")
    (folder / "authority.pem").write_bytes(pem(authority.certificate))
    command = ["env", f"SSL_CERT_FILE={folder / 'authority.pem'}", sys.executable, "-m", "proxy.cli"]
    async with ScriptedUpstream() as unused, FaultProxy(f"https://127.0.0.1:{secured[1]}") as between:
        async with staged(folder, upstream=unused, upstream_url=between.url, command=command) as scene:
            yield scene, between


OTHER = x509.IPAddress(ipaddress.ip_address("127.0.0.2"))
# Whose it is (None: the trusted one's), for which name, and until when.
WRONG: dict[str, tuple[str | None, x509.GeneralName, dt.datetime]] = {
    "of an unknown authority": ("another", HERE, NOW + DAY),
    "of an authority of the same name": ("an authority that is trusted", HERE, NOW + DAY),
    "of another address": (None, OTHER, NOW + DAY),
    "of a name, which an address is not": (None, x509.DNSName("127.0.0.1"), NOW + DAY),
    "that has expired": (None, HERE, NOW - DAY),
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_wrong_certificate_is_a_502_and_sees_no_credential(
    scene: tuple[Scene, FaultProxy], secured: tuple[Secured, int], authority: Authority, tmp_path: Path, name: str
) -> None:
    """P8, U-01: the call is not sent at all."""
    gate, between = scene
    other, subject, until = WRONG[name]
    issuer = authority if other is None else Authority(other)
    secured[0].context.load_cert_chain(issuer.issue(tmp_path, subject, until))
    received, connections = secured[0].received, between.connections
    before = len(gate.gate.records("exchange"))
    # Not the model that the next test asks: what cannot be connected to five times is left alone for a while.
    refused = await gate.ask(gate.ordinary(model="m-small"), accepted=True)
    assert refused.status == 502
    assert b"127.0.0.1" not in refused.body
    assert b"certificate" not in refused.body.lower()
    record = (await gate.gate.wait_for_records(before + 1))[-1]
    assert (record["outcome"], record["usage"]["source"]) == ("upstream_unreachable", "none")
    assert between.connections == connections + 1
    assert secured[0].received == received


async def test_a_right_certificate_is_an_upstream_like_any_other(
    scene: tuple[Scene, FaultProxy], secured: tuple[Secured, int], authority: Authority, tmp_path: Path
) -> None:
    """Answers of a known length, in chunks, and up to the end of the connection."""
    gate, _ = scene
    secured[0].context.load_cert_chain(authority.issue(tmp_path, HERE))
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    body = json.dumps(answer("y" * 3_000_000, usage=usage)).encode()
    events = [delta("Hel"), delta("lo"), event("[DONE]")]
    kind = [("Content-Type", "text/event-stream")]
    secured[0].replies = [
        http(200, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))], body),
        http(200, [*kind, ("Transfer-Encoding", "chunked")], b"".join(map(chunk, [*events, b""]))),
        http(200, [*kind, ("Connection", "close")], b"".join(events)),
    ]
    whole = await gate.ask(gate.ordinary(), accepted=True, within=10)
    assert whole.status == 200, whole
    assert (whole.status, len(whole.json()["choices"][0]["message"]["content"])) == (200, 3_000_000)
    for _ in range(2):
        streamed = await gate.ask(gate.ordinary(stream=True), accepted=True)
        assert (streamed.status, streamed.body) == (200, b"".join(events))
    assert secured[0].received.count(gate.gate.credential.encode()) == 3
