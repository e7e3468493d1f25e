"""Requests that two parsers could read in two ways: one error each, then the connection ends (H-01, H-05 to H-16, B-01).

Every row is sent with a good key, and a good request in the same write behind it: nothing of either may go upstream.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from json import dumps
from typing import Any

import pytest
import pytest_asyncio

from tests.end_to_end.scene import CHAT, Scene, chat, staged

pytestmark = pytest.mark.asyncio(loop_scope="module")
BODY = dumps(chat()).encode()
KEY = b"{key}"  # where a row wants the good key


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with staged(tmp_path_factory.mktemp("framing")) as scene:
        yield scene


def head(*lines: str, start: str = f"POST {CHAT} HTTP/1.1", host: str | None = "Host: a", end: str = "\r\n") -> bytes:
    usual = [start, *([host] if host else []), "Authorization: Bearer {key}", "Content-Type: application/json"]
    return "".join(line + end for line in [*usual, *lines, ""]).encode("latin-1")


def sized(*lines: str, **how: Any) -> bytes:
    return head(f"Content-Length: {len(BODY)}", *lines, **how) + BODY


def coded(coding: str, *lines: str) -> bytes:
    return head(f"Transfer-Encoding: {coding}", *lines) + b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)


def chunked(body: bytes) -> bytes:
    return head("Transfer-Encoding: chunked") + body


def in_chunks(size: str) -> bytes:
    return chunked(size.encode("latin-1") + b"\r\n" + BODY + b"\r\n0\r\n\r\n")


HEX = f"{len(BODY):x}"
ROWS = {
    "H-01 both lengths": sized("Transfer-Encoding: chunked"),
    "H-01 both lengths, chunked body": head("Content-Length: 4", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "H-01 two equal lengths": sized(f"Content-Length: {len(BODY)}"),
    "H-01 two different lengths": sized("Content-Length: 1"),
    "H-01 a list of lengths": head(f"Content-Length: {len(BODY)}, {len(BODY)}") + BODY,
    "H-01 a length with a sign": head(f"Content-Length: +{len(BODY)}") + BODY,
    "H-01 a negative length": head("Content-Length: -1") + BODY,
    "H-01 a hexadecimal length": head("Content-Length: 0x10") + BODY,
    "H-01 a length beyond 64 bits": head("Content-Length: 18446744073709551617") + BODY,
    "H-01 an empty length": head("Content-Length: ") + BODY,
    "H-05 HTTP/0.9": sized(start=f"POST {CHAT} HTTP/0.9"),
    "H-05 no version": b"GET /v1/models\r\n\r\n",
    "H-05 HTTP/1.2": sized(start=f"POST {CHAT} HTTP/1.2"),
    "H-05 HTTP/2.0": sized(start=f"POST {CHAT} HTTP/2.0"),
    "H-05 HTTP/2.0 without a body": head(start="GET /v1/models HTTP/2.0"),
    "H-05 HTTP/1.2 without a body": head(start="GET /v1/models HTTP/1.2"),
    "H-05 HTTP/11": sized(start=f"POST {CHAT} HTTP/11"),
    "H-05 lower-case http": sized(start=f"POST {CHAT} http/1.1"),
    "H-05 absolute form": sized(start=f"POST http://a{CHAT} HTTP/1.1"),
    "H-05 absolute form, another host": sized(start=f"POST http://b.example{CHAT} HTTP/1.1"),
    "H-05 absolute form without a body": head(start="GET http://a/v1/models HTTP/1.1"),
    "H-08 chunked in HTTP/1.0": coded("chunked").replace(b"HTTP/1.1", b"HTTP/1.0"),
    "H-10 the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "H-12 CONNECT": head(start="CONNECT a:443 HTTP/1.1"),
    "H-12 CONNECT to a path": sized(start=f"CONNECT {CHAT} HTTP/1.1"),
    "H-12 an unknown method": sized(start=f"FETCH {CHAT} HTTP/1.1"),
    "H-12 a lower-case method": sized(start=f"post {CHAT} HTTP/1.1"),
    "H-12 OPTIONS *": head(start="OPTIONS * HTTP/1.1"),
    "H-14 0x1": in_chunks(f"0x{HEX}"),
    "H-14 plus": in_chunks(f"+{HEX}"),
    "H-14 minus": in_chunks("-1"),
    "H-14 an underscore": in_chunks("1_0"),
    "H-14 17 digits": in_chunks("1" + "0" * 16),
    "H-14 empty": in_chunks(""),
    "H-14 a leading space": in_chunks(f" {HEX}"),
    "H-14 a trailing space": in_chunks(f"{HEX} "),
    "H-14 no digits": in_chunks("g"),
    "H-14 a chunk longer than its size": chunked(b"1\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "H-13 a bare line feed after the size": chunked(f"{HEX}\n".encode() + BODY + b"\r\n0\r\n\r\n"),
    "H-13 a bare carriage return in an extension": in_chunks(f"{HEX};a=\rb"),
    "H-13 a line feed in an extension": in_chunks(f"{HEX};\n"),
    "H-15 a trailer that folds": chunked(f"{HEX}\r\n".encode() + BODY + b"\r\n0\r\nA: b\r\n c\r\n\r\n"),
    "H-16 two hosts": sized("Host: a"),
    "H-16 two hosts without a body": head("Host: b", start="GET /v1/models HTTP/1.1"),
    "H-16 no host": sized(host=None),
    "H-16 an empty host": sized(host="Host:"),
    "H-16 an empty host without a body": head(host="Host:", start="GET /v1/models HTTP/1.1"),
    "B-05 user info in the host": sized(host="Host: a@b"),
    "B-05 a path in the host": sized(host="Host: a/v1/x?"),
    "B-05 a space in the host": sized(host="Host: a b"),
    "B-05 a host in Unicode": sized(host="Host: \xe4"),
    "B-05 a list of hosts": sized(host="Host: a,b"),
    "B-05 a port that is none": sized(host="Host: a:b"),
    "B-05 a port of too many digits": sized(host="Host: a:123456"),
    "B-05 two ports": sized(host="Host: a:80:80"),
    "B-05 a port without a host": sized(host="Host: :80"),
    "B-05 an address without its bracket": sized(host="Host: [::1"),
    "B-05 a name in brackets": sized(host="Host: [localhost]"),
    "B-05 a name behind brackets": sized(host="Host: [::1]a"),
    "H-16 a folded header": sized("X-A: b", "\tc"),
    "H-16 a folded header with a space": sized("X-A: b", " c"),
    "H-16 a space before the colon": sized("Transfer-Encoding : chunked"),
    "H-16 a tab before the colon": sized("X-A\t: b"),
    "H-16 a space before the first header": sized(host=" Host: a"),
    "H-16 a header without a colon": sized("X-A"),
    "H-16 an empty name": sized(": b"),
    "H-16 NUL in a value": sized("X-A: b\0c"),
    "H-16 NUL in a name": sized("X\0A: b"),
    "H-16 NUL in the target": sized(start=f"POST {CHAT}\0 HTTP/1.1"),
    "H-16 a bare carriage return in a value": sized("X-A: b\rX-B: c"),
    "H-16 a bare line feed in a value": sized("X-A: b\nX-B: c"),
    "H-16 bare line feeds all over": sized(end="\n"),
    "H-16 bare carriage returns all over": sized(end="\r"),
    "H-16 DEL in a value": sized("X-A: b\x7f"),
    "H-16 a control character in a name": sized("X\x01A: b"),
    "H-16 obs-text in a name": sized("X\xe4: b"),
    "H-16 a tab in the request line": sized(start=f"POST\t{CHAT} HTTP/1.1"),
    "H-16 a space in the target": sized(start=f"POST {CHAT} x HTTP/1.1"),
    "TE , chunked": coded(",chunked"),
    "TE , chunked with nothing in it": head("Transfer-Encoding: ,chunked") + b"0\r\n\r\n",
    "TE chunked,": coded("chunked,"),
    "TE twice in one": coded("chunked, chunked"),
    "TE twice in two": coded("chunked", "Transfer-Encoding: chunked"),
    "TE identity": coded("identity"),
    "TE identity then chunked": coded("identity, chunked"),
    "TE gzip, chunked": coded("gzip, chunked"),
    "TE chunked, gzip": coded("chunked, gzip"),
    "TE xchunked": coded("xchunked"),
    "TE with a vertical tab": coded("\x0bchunked"),
    "TE quoted": coded('"chunked"'),
    "TE with a parameter": coded("chunked;q=1"),
    "TE empty": coded(""),
    "B-01 two bearers": sized("Authorization: Bearer {key}"),
    "B-01 another bearer": sized("Authorization: Bearer x"),
    "B-01 another bearer first": sized().replace(b"Host: a\r\n", b"Host: a\r\nAuthorization: Bearer x\r\n"),
    "B-01 bearer and x-api-key": sized("x-api-key: {key}"),
    "B-01 bearer and another x-api-key": sized("X-Api-Key: x"),
    "B-01 two x-api-keys": sized("X-Api-Key: {key}").replace(b"Authorization: Bearer", b"x-api-key:"),
    "B-01 two in one line": sized().replace(b"Bearer {key}", b"Bearer {key}, Bearer {key}"),
    "B-01 an empty x-api-key as well": sized("x-api-key:"),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    "no HTTP at all": b"\x00\xff\xfe\r\n\r\n",
    "H-10 a WebSocket frame": b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58\r\n\r\n",
    "B-10 a header of 9 kB": sized("X-A: " + "b" * 9000),
    "B-10 a header name of 9 kB": sized("X" * 9000 + ": b"),
    "B-10 a target of 9 kB": sized(start=f"POST {CHAT}?{'a' * 9000} HTTP/1.1"),
    "B-10 130 headers": sized(*(f"X-{number}: b" for number in range(130))),
    "B-10 9 headers of 8 kB": sized(*(f"X-{number}: {'b' * 8000}" for number in range(9))),
    "B-10 100 headers of 8 kB": sized(*(f"X-{number}: {'b' * 8000}" for number in range(100))),
    "B-10 a head of 1 MB": sized(*(f"X-{number}: {'b' * 8000}" for number in range(128))),
}


@pytest.mark.parametrize("name", ROWS)
async def test_a_doubtful_request_is_one_error_and_the_end_of_its_connection(scene: Scene, name: str) -> None:
    raw = ROWS[name].replace(KEY, scene.key.encode())
    for at_once in (False, True):
        answer = await scene.refused(raw, at_once=at_once, accepted=False)
        assert answer.status in {400, 401, 404, 405, 431, 505}, answer
    await scene.at_peace()


LATER = {
    "a size that is none": b"0x5\r\nabcde\r\n0\r\n\r\n",
    "a chunk longer than its size": b"1\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a size of 17 digits": b"1" + b"0" * 16 + b"\r\n" + BODY,
    "a bare line feed": f"{HEX}\n".encode() + BODY + b"\r\n0\r\n\r\n",
    "a trailer without a colon": f"{HEX}\r\n".encode() + BODY + b"\r\n0\r\nA\r\n\r\n",
}


@pytest.mark.parametrize("begun", [b"", b"1\r\n{\r\n"], ids=["at once", "after a good chunk"])
@pytest.mark.parametrize("name", LATER)
async def test_a_body_that_is_badly_framed_while_it_is_awaited_is_refused_at_once(
    scene: Scene, name: str, begun: bytes
) -> None:
    """H-14: its head was good, so somebody waits for more of it, and the time that a body may take is long."""
    raw = head("Transfer-Encoding: chunked", "Expect: 100-continue").replace(KEY, scene.key.encode())
    calls = scene.calls
    async with await scene.connect() as client:
        await client.send(raw)
        assert (await client.response()).status == 100
        await client.send(begun)
        await client.send(LATER[name] + scene.ordinary())
        answer = scene.witness.saw(await client.response())
        assert (answer.status, answer.header("connection")) == (400, "close")
        assert await client.to_end() == b""
    assert scene.calls == calls
    await scene.at_peace()
