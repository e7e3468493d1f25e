"""An answer that nothing was done to reaches the client as the upstream's own bytes, however unusual they are."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import pytest_asyncio

from tests.end_to_end.scene import Scene, staged
from tests.rig.raw_client import chunk, post
from tests.rig.scripted_upstream import Close, Script, Send, body_answer, http, sse_answer
from tests.rig.speech import CHAT, COMPLETIONS, COUNT, EMBEDDINGS, MESSAGES, RESPONSES, Speech

pytestmark = pytest.mark.asyncio(loop_scope="module")

DOCUMENTS: list[tuple[Speech, bytes]] = [
    (CHAT, b'{"choices":[]}'),
    (CHAT, b' \r\n{ "choices" : [ ] ,\t"usage":{"prompt_tokens":1,"completion_tokens":2} }\n\n'),
    (CHAT, rb'{"choices":[{"message":{"content":"\u00e9\uD83D\uDE00\/ <b>","extra":1.0e+2}}],"x":[],"x":{}}'),
    (CHAT, '{"choices":[{"message":{"content":"æøå 漢字 \u2028 \x7f"}}],"n":12345678901234567890}'.encode()),
    (CHAT, rb'{"choices":[{"message":{"content":"cut off in an emoji \ud83d"},"finish_reason":"length"}]}'),
    (CHAT, b'{"choices":[{"message":{"content":"' + b"long " * 60_000 + b'"}}]}'),
    (MESSAGES, b'{"type":"message","content":[{"type":"thinking","thinking":"hm","signature":"Eq+/="}]}'),
    (MESSAGES, rb'{"type":"message","content":[{"type":"text","text":"\ud83d"}],"stop_reason":"max_tokens"}'),
    (COMPLETIONS, rb'{"choices":[{"text":"\u00e9\ud83d","logprobs":{"tokens":["a"],"top_logprobs":[{"a":-1.0e+2}]}}]}'),
    (RESPONSES, rb'{"id":"r", "status":"completed","output":[{"content":[{"text":"\u00e9\/"}]}],"x":[],"n":1.0e+2}'),
    (EMBEDDINGS, b'{ "data" : [{"embedding":[1,-0.0,1.0e-5]}],"usage":{"prompt_tokens":1}}\n'),
    (EMBEDDINGS, b'{"data":[{"embedding":"' + b"AAAA" * 99_000 + b'"}],"usage":{"prompt_tokens": 1}}'),
    (COUNT, b'{"input_tokens": 2095,\r\n"context_management":null}'),
    (MESSAGES, b'{\n  "type": "message",\n  "content": [],\n  "usage": {"input_tokens": 1, "output_tokens": 0}\n}'),
]
CHAT_EVENTS = [
    b'data: {"choices":[{"index":0,"delta":{"role":"assistant"}}],"usage":null}\n\n',
    b": keep-alive\n\n",
    b'id: 7\r\nretry: 10\r\ndata: {"choices":[{"index":0,"delta":{"content":"\xc3\xa9\\u00e9"}}]}\r\n\r\n',
    b'event: odd\ndata: {"choices":[{"index":0,\ndata: "delta":{"content":"two lines"}}]}\n\n',
    b'data:{"choices":[],"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}}\n\n',
    b"data: [DONE]\n\n",
]
MESSAGE_EVENTS = [
    b'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":11}}}\n\n',
    b'event: ping\ndata: {"type": "ping"}\n\n',
    b'event:content_block_delta\ndata:{"type":"content_block_delta","delta":{"thinking":"hm"}}\n\n',
    b'event: something_new\ndata: {"type":"something_new","a":  1}\n\n',
    b'event: message_delta\ndata: {"type":"message_delta","delta":{},"usage":{"output_tokens":7}}\n\n',
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
]
RESPONSE_EVENTS = [
    b'event: response.created\ndata: {"type":"response.created", "response":{"id":"r","usage":null},"sequence_number":0}\n\n',
    b": keep-alive\n\n",
    b'event:response.output_text.delta\ndata:{"type":"response.output_text.delta","delta":"\xc3\xa9\\u00e9"}\r\n\r\n',
    b'event: something_new\ndata: {"type":"something_new","a":  1}\n\n',
    b'event: x\ndata: {"type":"response.completed","response":{"usage":{"input_tokens":11,"output_tokens": 7}}}\n\n',
]
TEXT_EVENTS = [
    b'data: {"choices":[{"index":0,"text":"\xc3\xa9\\u00e9"}],"usage":null}\n\n',
    b": keep-alive\n\n",
    b'data:{"choices":[],"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}}\r\n\r\n',
    b"data: [DONE]\n\n",
]
STREAMS: list[tuple[Speech, dict[str, Any], Sequence[bytes]]] = [
    (CHAT, {"stream_options": {"include_usage": True}}, CHAT_EVENTS),
    (CHAT, {}, [CHAT_EVENTS[1], CHAT_EVENTS[2], CHAT_EVENTS[3], CHAT_EVENTS[5]]),
    (COMPLETIONS, {"stream_options": {"include_usage": True}}, TEXT_EVENTS),
    (MESSAGES, {}, MESSAGE_EVENTS),
    (RESPONSES, {}, RESPONSE_EVENTS),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with staged(tmp_path_factory.mktemp("parity")) as scene:
        yield scene
        await scene.at_peace()


def to_the_close(body: bytes) -> Script:
    return (Send(http(200, [("Content-Type", "application/json"), ("Connection", "close")], body)), Close())


def in_two_chunks(body: bytes) -> Script:
    head = http(200, [("Content-Type", "application/json; charset=utf-8"), ("Transfer-Encoding", "chunked")])
    return (Send(head + chunk(body[:5])), Send(chunk(body[5:]) + chunk(b"")))


def with_a_length(body: bytes) -> Script:
    return body_answer(200, body, "application/json")


@pytest.mark.parametrize("framed", [with_a_length, in_two_chunks, to_the_close])
@pytest.mark.parametrize(("speech", "body"), DOCUMENTS)
async def test_a_document_is_passed_on_byte_for_byte(scene: Scene, speech: Speech, body: bytes, framed: Any) -> None:
    """S-02."""
    scene.upstream.script(framed(body))
    answer = await scene.ask(post(speech.path, speech.ask("hi"), [scene.bearer]), dialect=speech.family)
    assert answer.status == 200
    assert answer.body == body
    assert answer.header("content-length") == str(len(body))
    assert answer.header("content-type") == "application/json"


@pytest.mark.parametrize("size", [1, 7, 1_000_000])
@pytest.mark.parametrize(("speech", "asked", "events"), STREAMS)
async def test_a_stream_is_passed_on_byte_for_byte_wherever_it_was_cut(
    scene: Scene, speech: Speech, asked: dict[str, Any], events: Sequence[bytes], size: int
) -> None:
    """S-02."""
    body = b"".join(events)
    scene.upstream.script(sse_answer([body[start : start + size] for start in range(0, len(body), size)]))
    body_of = {**speech.ask("hi"), **asked, "stream": True}
    answer = await scene.ask(post(speech.path, body_of, [scene.bearer]), dialect=speech.family)
    assert answer.status == 200
    assert answer.body == body


async def test_what_was_taken_out_of_a_stream_is_the_usage_and_nothing_else(scene: Scene) -> None:
    scene.upstream.script(sse_answer(CHAT_EVENTS))
    answer = await scene.ask(post(CHAT.path, {**CHAT.ask("hi"), "stream": True}, [scene.bearer]))
    sent = scene.upstream.requests[-1].json()
    assert sent == {**CHAT.ask("hi"), "stream": True, "stream_options": {"include_usage": True}}
    first, *rest = CHAT_EVENTS
    written = json.dumps({"choices": json.loads(first[6:])["choices"]}, separators=(",", ":"))
    assert answer.body == b"".join([f"data: {written}\n\n".encode(), *rest[:3], rest[-1]])


def any_value(dice: random.Random, depth: int) -> str:
    """Write a JSON value as somebody's printer might: spaces, escapes and numbers in any of their forms."""
    space = dice.choice(["", "", " ", "\n  ", "\t", "\r\n"])
    kind = dice.randrange(8 if depth else 6)
    if kind == 6:
        return (
            f"[{space}" + f",{space}".join(any_value(dice, depth - 1) for _ in range(dice.randrange(4))) + f"{space}]"
        )
    if kind == 7:
        members = [f"{any_text(dice)}{space}:{space}{any_value(dice, depth - 1)}" for _ in range(dice.randrange(4))]
        return f"{{{space}" + f",{space}".join(members) + f"{space}}}"
    numbers = ["0", "-0.0", "1E+2", "1.50", "12345678901234567890", "1e-7", "0.1000"]
    return dice.choice([any_text(dice), any_text(dice), dice.choice(numbers), "true", "null"])


def any_text(dice: random.Random) -> str:
    pieces = [
        "a",
        "é",
        "漢",
        "\U0001f600",
        r"\u00e9",
        r"\uD83D\uDE00",
        r"\/",
        r"\"",
        r"\\",
        r"\n",
        "\u2028",
        "\x7f",
        "<b>",
        "data: x",
    ]
    return '"' + "".join(dice.choice(pieces) for _ in range(dice.randrange(12))) + '"'


async def assert_any_shape_is_passed_on(scene: Scene, seed: int) -> None:
    """Pass a document or a stream of a shape on that nobody has thought of; what the API needs is in it somewhere."""
    dice = random.Random(seed)
    needed = {
        CHAT: '"choices":[]',
        MESSAGES: '"type":"message","content":[]',
        RESPONSES: '"output":[],"status":"completed"',
    }
    speech = dice.choice(list(needed))
    ends = {CHAT: "data: [DONE]", MESSAGES: 'data: {"type":"message_stop"}'}
    ends[RESPONSES] = 'data: {"type":"response.completed","response":{"usage":null}}'
    asked = speech.ask("hi")
    if dice.random() < 0.5:
        more = "".join(f",{any_text(dice)}: {any_value(dice, 3)}" for _ in range(dice.randrange(4)))
        body = f"{{ {needed[speech]}{more} }}{dice.choice(['', ' ', chr(10)])}".encode()
        scene.upstream.script(dice.choice([with_a_length, in_two_chunks, to_the_close])(body))
    else:
        asked["stream"] = True
        if speech is CHAT:
            asked["stream_options"] = {"include_usage": True}
        end = dice.choice(["\n", "\r\n"])
        lines = [
            *(
                f"{dice.choice(['data: ', 'data:', 'id: ', ': ', 'event: x', 'retry: 1'])}"
                for _ in range(dice.randrange(9))
            ),
            "",
        ]
        events = [f'data: {{"x":{any_value(dice, 2)}}}'.replace("\n", " ").replace("\r", " ") + end * 2 for _ in lines]
        whole = [line + end * 2 + told for line, told in zip(lines, events, strict=True)]
        body = ("".join(whole) + ends[speech] + end * 2).encode()
        cuts = sorted(dice.randrange(len(body) + 1) for _ in range(dice.randrange(6)))
        pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True) if a < b]
        scene.upstream.script(sse_answer(pieces))
    answer = await scene.ask(post(speech.path, asked, [scene.bearer]), dialect=speech.family)
    assert (answer.status, answer.body) == (200, body), seed


async def test_answers_of_any_shape_are_passed_on_byte_for_byte(scene: Scene) -> None:
    """S-02."""
    for seed in range(120):
        await assert_any_shape_is_passed_on(scene, seed)


@pytest.mark.soak
async def test_very_many_answers_of_any_shape_are_passed_on_byte_for_byte(scene: Scene) -> None:
    """S-02."""
    for seed in range(1_000, 4_000):
        await assert_any_shape_is_passed_on(scene, seed)
