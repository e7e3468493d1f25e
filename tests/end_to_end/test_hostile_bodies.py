"""Bodies that are bombs, lie about their length, come in crumbs, or are JSON of two minds: refused unread or unharmed."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Callable
from functools import cache
from json import dumps

import psutil
import pytest
import pytest_asyncio

from tests.end_to_end.scene import CHAT, Scene, chat, sized, staged
from tests.rig.raw_client import chunk, post, request
from tests.rig.speech import SPEECHES

pytestmark = pytest.mark.asyncio(loop_scope="module")
LIMIT = 10 << 20
JSON = ("Content-Type", "application/json")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with staged(tmp_path_factory.mktemp("bodies")) as scene:
        yield scene


@cache
def bomb() -> bytes:
    return gzip.compress(bytes(100 << 20), compresslevel=9)


# Made by the test that sends them, as are all bodies that take long to make: whoever runs others need not wait.
BOMBS: dict[str, Callable[[], bytes]] = {
    "gzip": bomb,
    "gzip, gzip": lambda: gzip.compress(bomb()),
    "deflate": lambda: zlib.compress(bytes(100 << 20)),
    "br": lambda: bytes.fromhex("cf ff ff 7f f8 27 00 e2 b1 40 20 f7 fe 9f 00") * 400,
    "zstd": lambda: bytes.fromhex("28 b5 2f fd a4 00 e1 f5 05"),
    "x-gzip": bomb,
    "identity": lambda: dumps(chat()).encode(),
    "": lambda: b"{}",
    "nonsense": lambda: b"{}",
}


@pytest.mark.parametrize("coding", BOMBS)
async def test_a_compressed_body_is_refused_unread(scene: Scene, coding: str) -> None:
    """D-01, D-02, J-09."""
    raw = sized(scene, BOMBS[coding](), JSON, ("Content-Encoding", coding))
    for at_once in (False, True):
        assert (await scene.refused(raw, at_once=at_once, accepted=True)).status == 415
        nobody = raw.replace(scene.key.encode(), b"sk-nobody")
        assert (await scene.refused(nobody, at_once=at_once, accepted=False)).status == 401
    await scene.at_peace()


TYPES = {
    "text/plain": 415,
    "application/json; charset=utf-16": 415,
    "application/json; charset=utf-8; a=b": 415,
    "application/jsonx": 415,
    "application/x-www-form-urlencoded": 415,
    "multipart/form-data; boundary=a": 415,
    "application/json, text/plain": 415,
    "": 415,
    "application/json; charset=utf-8": 200,
    'Application/JSON; charset="UTF-8"': 200,
}


@pytest.mark.parametrize("kind", TYPES)
async def test_only_json_in_utf8_is_read(scene: Scene, kind: str) -> None:
    """J-08."""
    answer = await scene.ask(sized(scene, dumps(chat()).encode(), ("Content-Type", kind)), accepted=True)
    assert answer.status == TYPES[kind]
    await scene.at_peace()


async def test_a_body_of_no_type_or_of_two_is_refused(scene: Scene) -> None:
    """J-08."""
    body = dumps(chat()).encode()
    for headers in ([], [JSON, JSON], [JSON, ("Content-Type", "text/plain")]):
        answer = await scene.refused(sized(scene, body, *headers), at_once=False)
        assert answer.status in {400, 415}
    await scene.at_peace()


async def test_a_body_may_have_the_limit_and_not_a_byte_more(scene: Scene) -> None:
    """D-07."""
    empty = dumps(chat(user="")).encode()
    for size, status in ((LIMIT, 200), (LIMIT + 1, 413), (10 * LIMIT, 413)):
        body = dumps(chat(user="a" * (size - len(empty)))).encode()
        assert len(body) == size
        assert (await scene.ask(sized(scene, body, JSON), accepted=True)).status == status
        pieces = b"".join(chunk(body[at : at + 1000]) for at in range(0, size, 1000)) + chunk(b"")
        raw = request("POST", CHAT, [("Host", "a"), scene.bearer, JSON, ("Transfer-Encoding", "chunked")], pieces)
        assert (await scene.ask(raw, accepted=True)).status == status
    await scene.at_peace()


async def test_a_length_that_lies_reaches_nobody(scene: Scene) -> None:
    """D-07, H-06: too short, and the rest is a request of its own; too long, and the exchange ends with the client."""
    body = dumps(chat()).encode()
    calls = scene.calls
    short = request("POST", CHAT, [("Host", "a"), scene.bearer, JSON, ("Content-Length", "9")], body)
    assert (await scene.refused(short, at_once=True)).status == 400
    async with await scene.connect() as client:
        await client.send(sized(scene, body, JSON)[:-1])
        client.half_close()
        with pytest.raises(EOFError):
            scene.witness.saw(await client.response(), accepted=True)
    records = await scene.gate.wait_for_records(len(scene.gate.records("exchange")))
    assert scene.calls == calls
    assert records[-1]["effect"] == "deny"
    await scene.at_peace()


async def test_a_body_of_100_000_chunks_of_a_byte_is_read_without_a_stall(scene: Scene) -> None:
    """D-06."""
    body = dumps(chat(user="a" * 99_900)).encode()
    framed = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + chunk(b"")
    headers = [("Host", "a"), scene.bearer, ("Content-Type", "application/json"), ("Transfer-Encoding", "chunked")]
    answer = await scene.ask(request("POST", CHAT, headers, framed), accepted=True)
    assert answer.status == 200
    await scene.at_peace()


async def test_a_body_of_a_million_chunks_of_a_byte_costs_less_than_a_second(scene: Scene) -> None:
    """D-06: of the worker's time: before its end it is refused; and the invariants look at the loop's lag."""
    (worker,) = scene.gate.workers
    before = psutil.Process(worker).cpu_times()
    body = dumps(chat(user="a" * 999_900)).encode()
    framed = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + chunk(b"")
    headers = [("Host", "a"), scene.bearer, JSON, ("Transfer-Encoding", "chunked")]
    answer = await scene.ask(request("POST", CHAT, headers, framed), accepted=True, within=60)
    assert answer.status == 400
    after = psutil.Process(worker).cpu_times()
    assert after.user + after.system - before.user - before.system < 1
    await scene.at_peace()


async def test_chunk_extensions_and_trailers_change_nothing(scene: Scene) -> None:
    """H-13, H-15: ignored or refused, never passed on, never merged into the headers."""
    body = dumps(chat()).encode()
    headers = [("Host", "a"), scene.bearer, JSON, ("Transfer-Encoding", "chunked")]
    long = b"".join(b"1;a=%b\r\n%c\r\n" % (b"x" * 8000, byte) for byte in body)
    trailers = "Authorization: Bearer x\r\nContent-Length: 3\r\nHost: b\r\nTransfer-Encoding: chunked\r\nX-A: b"
    for framed in (
        long + b"0\r\n\r\n",
        b'%x;a="b\\"c";d\r\n%b\r\n0;e\r\n\r\n' % (len(body), body),
        b"%x\r\n%b\r\n0\r\n%b\r\n\r\n" % (len(body), body, trailers.encode()),
        b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(body), body, b"X-A: b\r\n" * 10_000),
        b"%x\r\n%b\r\n0\r\nX-A: %b\r\n\r\n" % (len(body), body, b"b" * 100_000),
        b"%032x\r\n%b\r\n0\r\n\r\n" % (len(body), body),
        b"0" * 8000 + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body),
    ):
        answer = await scene.ask(request("POST", CHAT, headers, framed))
        assert answer.status in {200, 400}
        if answer.status == 200:
            sent = scene.upstream.requests[-1]
            assert (sent.header("authorization"), sent.header("x-a")) == (f"Bearer {scene.gate.credential}", None)
            assert sent.header("transfer-encoding") is None
    await scene.at_peace()


NASTY = {
    "J-01 a list": b"[]",
    "J-02 a key twice": b'{"model": "m-small", "model": "m-large", "messages": [{"role": "user", "content": "hi"}]}',
    "J-02 a key twice, escaped": b'{"model": "m-small", "mod\\u0065l": "m-large", "messages": []}',
    "J-02 a key twice, deep": b'{"model": "m-large", "messages": [{"role": "user", "role": "system", "content": ""}]}',
    "J-03 another case": dumps(chat(Model="m-small")).encode(),
    "J-03 folds to a known one": dumps(chat(meſſages=[])).encode(),
    "J-03 NUL behind it": dumps(chat(**{"model\0": "m-small"})).encode(),
    "J-04 UTF-16": dumps(chat()).encode("utf-16"),
    "J-04 bad UTF-8": dumps(chat(user="@")).encode().replace(b"@", b"\xff"),
    "J-04 CESU-8": dumps(chat(user="@")).encode().replace(b"@", b"\xed\xa0\xbd\xed\xb8\x80"),
    "J-04 half a surrogate pair": dumps(chat(user="\ud800")).encode(),
    "J-05 NaN": dumps(chat(temperature=float("nan"))).encode(),
    "J-05 2^64": dumps(chat(seed=1 << 64)).encode(),
    "J-05 1e400": dumps(chat(temperature="@")).encode().replace(b'"@"', b"1e400"),
    "J-05 a number of 5,000 digits": dumps(chat(seed="@")).encode().replace(b'"@"', b"1" * 5000),
    "J-05 true for a number": dumps(chat(max_tokens=True)).encode(),
    "J-06 65 levels": dumps(chat(metadata="@")).encode().replace(b'"@"', b"[" * 65 + b"]" * 65),
    "J-06 30,000 levels": dumps(chat(metadata="@")).encode().replace(b'"@"', b"[" * 30_000 + b"]" * 30_000),
    "J-11 a base URL": dumps(chat(base_url="http://b.example")).encode(),
    "G-18 another's state": dumps(chat(previous_response_id="resp_1")).encode(),
}


async def test_a_body_that_is_no_json_is_refused(scene: Scene) -> None:
    """J-01. The words name a line of the client's own body, so I6, which looks for lines of ours, is not asked."""
    document = dumps(chat()).encode()
    calls = scene.calls
    for body in (b"", b"{", document[:-1], document[:-1] + b",}", document + b" {}", b"\xef\xbb\xbf" + document):
        async with await scene.connect() as client:
            answer = await client.ask(sized(scene, body, JSON))
        assert (answer.status, answer.json()["error"]["type"]) == (400, "invalid_request_error")
    assert scene.calls == calls
    await scene.at_peace()


@pytest.mark.parametrize("name", NASTY)
async def test_json_that_readers_disagree_about_is_refused(scene: Scene, name: str) -> None:
    calls = scene.calls
    for speech in SPEECHES:
        raw = sized(scene, NASTY[name], JSON, path=speech.path)
        answer = await scene.ask(raw, dialect=speech.family, accepted=True)
        assert answer.status == 400, answer
    assert scene.calls == calls
    await scene.at_peace()


MB9 = 9 << 20
WIDE: dict[str, Callable[[], str]] = {
    "deep and wide": lambda: '{"metadata":[' + ",".join(["[" * 60 + "]" * 60] * (MB9 // 121)) + "]}",
    "a million empty lists": lambda: '{"a":[' + "[]," * (MB9 // 3) + "[]]}",
    "a million keys": lambda: "{" + ",".join(f'"{number}":0' for number in range(MB9 // 10)) + "}",
    "190,000 keys": lambda: "{" + ",".join(f'"{number:040}":0' for number in range(99_000)) + "}",
    "a hundred thousand messages": lambda: (
        '{"model":"m-large","messages":[' + ",".join(['{"role":"user","content":"hi"}'] * 49_000) + "]}"
    ),
    "one long string": lambda: dumps(chat(user="a" * MB9)),
    "one long content": lambda: dumps(chat(messages=[{"role": "user", "content": "\u00e9" * (MB9 // 6)}])),
    "one long content of wide characters": lambda: dumps(
        chat(messages=[{"role": "user", "content": "\U0001f600" * (MB9 // 12)}])
    ),
    "quotes and backslashes": lambda: dumps(chat(user='\\"' * (MB9 // 4))),
    "spaces": lambda: dumps(chat()).replace("{", "{" + " " * MB9, 1),
    "numbers": lambda: '{"seed":[' + "1234567890123456789," * 190_000 + "1]}",
    "a number of 9 MB": lambda: '{"seed":' + "1" * MB9 + "}",
    "a fraction of 9 MB": lambda: '{"temperature":0.' + "1" * MB9 + "}",
    "open brackets": lambda: "[" * MB9,
    "half surrogate pairs": lambda: '{"user":"' + "\\ud800" * (MB9 // 6) + '"}',
    "a long unknown key": lambda: '{"' + "a" * MB9 + '":1}',
}


@pytest.mark.parametrize("name", WIDE)
async def test_nine_megabytes_of_any_json_do_not_hold_up_the_loop(scene: Scene, name: str) -> None:
    """J-06, P7: the invariants look at the loop's lag."""
    answer = await scene.ask(post(CHAT, WIDE[name]().encode(), [scene.bearer]), accepted=True, within=20)
    assert answer.status in {200, 400, 413, 429}, answer
    await scene.at_peace()


CROWDED = {
    "members": '{"model":"m-large","max_tokens":5,"messages":[{"role":"user","content":"a","x":['
    + "{}," * 43_000
    + "{}]}]}",
    "parts": '{"model":"m-large","max_tokens":5,"messages":[{"role":"user","content":['
    + ",".join(['{"type":"text","text":""}'] * 4900)
    + "]}]}",
}


@pytest.mark.parametrize("name", CROWDED)
async def test_many_values_in_few_bytes_do_not_hold_up_the_loop(scene: Scene, name: str) -> None:
    """P7: twelve at once, of a size that plain text of it would be read on the loop."""
    raw = post(CHAT, CROWDED[name].encode(), [scene.bearer])
    answers = await asyncio.gather(*(scene.ask(raw, accepted=True, within=20) for _ in range(12)))
    assert {answer.status for answer in answers} <= {200, 400, 429}
    await scene.at_peace()


async def test_what_was_answered_makes_room_for_more_of_the_same_account(scene: Scene) -> None:
    """D-10: more than an account may have at once, one after the other, whether it was read, refused or broke off."""
    whole = dumps(chat(user="a" * (LIMIT - 1000))).encode()
    for body, status in (
        (whole, 200),
        (dumps(chat(user="a" * (LIMIT - 1000), n=0)).encode(), 400),
        (whole + b" " * 2000, 413),
    ):
        for _ in range(5):
            answer = await scene.ask(sized(scene, body, JSON), accepted=True, within=20)
            assert answer.status == status
    async with await scene.connect() as client:
        await client.send(sized(scene, whole, JSON)[:-1])
    await scene.at_peace()
