"""What an upstream is told besides the body, and what of its answer's head is believed."""

from __future__ import annotations

import pytest

from proxy.dialects import dialects
from proxy.upstream.model_api import Origin
from tests.rig.scripted_upstream import ScriptedUpstream, Send, http
from tests.upstream.test_pool import CHAT, JSON, ONE, calling, on_uvloop

MESSAGES = dialects(frozenset())["/v1/messages"]


@on_uvloop
async def test_a_call_has_our_headers_and_those_that_were_passed_on_and_no_others(upstream: ScriptedUpstream) -> None:
    unsafe = {"x-line": "a\r\nx-evil: b", "x-lone": "a\nb", "x-nul": "a\0b", "x-tab": "a\tb", "x-text": "caf\u00e9"}
    begun: list[str] = []
    async with calling(upstream.url) as origin:
        for stream in (False, True):
            answer = await origin.post(
                CHAT, {"x-request-id": " !~", **unsafe}, b"{}", stream=stream, begun=lambda: begun.append("")
            )
            assert await answer.read_at_most(9) == b"{}"
            assert (answer.status, answer.content_type, answer.encoded) == (200, "application/json", False)
            answer.close()
    host = upstream.url.removeprefix("http://")
    for request, accepted in zip(upstream.requests, ("application/json", "text/event-stream"), strict=True):
        assert (
            request.raw
            == (
                f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
                f"Accept: {accepted}\r\nAccept-Encoding: identity\r\nUser-Agent: stillgate\r\nVia: 1.1 stillgate\r\n"
                "authorization: Bearer canary-secret\r\nx-request-id:  !~\r\nContent-Length: 2\r\n\r\n{}"
            ).encode()
        )
    assert len(begun) == 2


@on_uvloop
async def test_each_dialect_shows_our_credential_as_its_api_wants_it(upstream: ScriptedUpstream) -> None:
    async with calling(upstream.url) as origin:
        for dialect in (CHAT, MESSAGES, CHAT):
            (await origin.post(dialect, {}, b"{}", stream=False)).close()
    shown = [b"\r\nx-api-key: canary-secret\r\n" in request.raw for request in upstream.requests]
    assert shown == [False, True, False]
    assert "canary" not in repr(Origin("default", upstream.url, "canary-secret", 1, 1, 1, 1, 1))


@on_uvloop
async def test_the_path_of_an_upstream_is_sent_as_its_settings_have_it(upstream: ScriptedUpstream) -> None:
    async with calling(upstream.url + "/deployments/a%2fb/") as origin:
        (await origin.post(CHAT, {}, b"{}", stream=False)).close()
    assert upstream.requests[0].raw.startswith(b"POST /deployments/a%2fb/v1/chat/completions HTTP/1.1\r\n")


@on_uvloop
async def test_how_long_an_answer_asks_to_be_left_alone_is_read_from_its_head(upstream: ScriptedUpstream) -> None:
    upstream.default = lambda _: (Send(http(503, [*JSON, ("Content-Length", "0"), ("Retry-After", "7")], b"")),)
    async with calling(upstream.url) as origin:
        answer = await origin.post(CHAT, {}, b"{}", stream=False)
        assert (answer.status, answer.wait(0.0)) == (503, 7.0)
        answer.close()


@pytest.mark.parametrize(
    ("headers", "kind", "encoded"),
    [
        ([("Content-Type", "text/event-stream; charset=utf-8")], "text/event-stream; charset=utf-8", False),
        ([("Content-Type", "application/json")], "application/json", False),
        ([("Content-Type", "text/html; a=b c")], "", False),
        ([("Content-Type", "nothing")], "", False),
        ([], "", False),
        ([*JSON, ("Content-Encoding", "identity")], "application/json", False),
        ([*JSON, ("Content-Encoding", " Identity ")], "application/json", False),
        ([*JSON, ("Content-Encoding", "gzip")], "application/json", True),
        ([*JSON, ("Content-Encoding", "br")], "application/json", True),
    ],
)
@on_uvloop
async def test_a_type_that_is_none_is_not_passed_on_and_a_packed_body_is_known_as_one(
    upstream: ScriptedUpstream, headers: list[tuple[str, str]], kind: str, *, encoded: bool
) -> None:
    upstream.default = lambda _: (Send(http(200, [*headers, ("Content-Length", "2")], b"{}")),)
    async with calling(upstream.url) as origin:
        answer = await origin.post(CHAT, {}, b"{}", stream=False)
        assert (answer.content_type, answer.encoded) == (kind, encoded)
        answer.close()


@on_uvloop
async def test_of_an_error_only_what_was_asked_for_is_read(upstream: ScriptedUpstream) -> None:
    upstream.default = lambda _: (Send(ONE[:-2]), Send(b"{"), Send(b"}"))
    async with calling(upstream.url) as origin:
        answer = await origin.post(CHAT, {}, b"{}", stream=False)
        assert await answer.read_at_most(0) == b""
        assert await answer.read_at_most(100) == b"{}"
        assert await answer.read() == b""
