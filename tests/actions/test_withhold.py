"""Promises about withheld reasoning: in a document and in any split of a stream the same is left, and nothing of it leaks."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.actions.base import AnswerAction, Tools
from proxy.actions.tag_filter import LEFT_OUT
from proxy.actions.withhold import Withhold
from proxy.clock import VirtualClock
from proxy.dialects import dialects
from proxy.dialects.base import ChunkDecoder, Dialect
from proxy.dialects.framed import FramedDecoder
from proxy.dialects.strict_json import write
from proxy.errors import UpstreamFailed
from proxy.exchange import Call, Exchange, Principal
from proxy.keyed.sealed_reasoning import PREFIX, SealedReasoning
from proxy.secrets import Purpose
from proxy.wire import Transform
from tests.actions.composing import Ladder
from tests.dialects.streams import chat_chunk, cut, data, event, read_by_a_client

TOOLS = Tools(VirtualClock())
CHAT, MESSAGES = dialects()["/v1/chat/completions"], dialects()["/v1/messages"]
SECRET = "The canary sings of seventeen hidden steps, one after another."
SEAL = "c2VhbGVkLWNhbmFyeS1zaWduYXR1cmU="
PIECE = 12


def call_of(dialect: Dialect, *, stream: bool, **members: Any) -> Call:
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Think in <r>."}], **members}
    return dialect.read(write({**body, "stream": stream}))


def began(call: Call, dialect: Dialect, value: Any = "reasoning") -> Transform:
    exchange = Exchange(
        "ex", dialect.name, "192.0.2.1", "", "", 0.0, Principal("k", "a", "acme", "free", 0.0, {}), call
    )
    action = Withhold.read(value).begin(exchange, TOOLS)
    assert isinstance(action, AnswerAction)
    return action.on_answer(dialect.wire(streamed=call.stream))


def seen(dialect: Dialect, call: Call, pieces: list[bytes], transform: Transform | None = None) -> tuple[bytes, bool]:
    """Return what a client gets of an answer, and whether that counts as changed."""
    transform = transform or began(call, dialect)
    decoder: ChunkDecoder = dialect.decoder(call, streamed=call.stream, every=True)
    if call.stream and transform.takes_sayings:
        decoder = FramedDecoder(decoder, dialect.wire(streamed=True), partial(dialect.encode, streamed=True))
    chunks = [chunk for piece in [*pieces, b""] for chunk in (decoder.feed(piece) if piece else decoder.finish())]
    left = [*(made for chunk in chunks for made in transform.feed(chunk)), *transform.end()]
    return b"".join(dialect.encode(chunk, streamed=call.stream) for chunk in left), transform.changed


def assert_no_canary(out: bytes, *canaries: str) -> None:
    for canary in canaries:
        for start in range(len(canary) - PIECE + 1):
            assert canary[start : start + PIECE].encode() not in out


def tokens(text: str, size: int = 4) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def opened(handle: str) -> dict[str, Any] | None:
    return SealedReasoning(TOOLS.key(Purpose.REASONING), "acme").open(handle)


# OpenAI: one answer in both forms, and what a client makes of the stream.

PROSE = f"Yes.\n<think>{SECRET}</think> It is <b>four</b>. <R>{SECRET}</R>```\n<thinking>{SECRET}</thinking>x < y```"
LEFT = "Yes.\n It is <b>four</b>. ```\nx < y```"
USAGE = {"prompt_tokens": 3, "completion_tokens": 99, "completion_tokens_details": {"reasoning_tokens": 90}}
ARGUMENTS = json.dumps({"q": f"<think>{SECRET[:9]}</think>"})
TOOL_CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": ARGUMENTS}}


def chat_document() -> bytes:
    message = {"role": "assistant", "content": PROSE, "tool_calls": [TOOL_CALL], "reasoning_content": SECRET}
    message |= {"reasoning": SECRET, "reasoning_details": [{"type": "reasoning.encrypted", "data": SEAL}]}
    logprobs = {"content": [{"token": token, "logprob": -1} for token in tokens(SECRET + PROSE, 20)]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls", "logprobs": logprobs}
    return write({"id": "c", "object": "chat.completion", "model": "m", "choices": [choice], "usage": USAGE})


def chat_stream(size: int) -> bytes:
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    for token in tokens(SECRET, size):
        details = [{"type": "reasoning.text", "text": token, "index": 0}]
        deltas.append({"reasoning_content": token, "reasoning": token, "reasoning_details": details})
    deltas.append(
        {"role": "assistant", "content": "", "reasoning_details": [{"type": "reasoning.encrypted", "data": SEAL}]}
    )
    deltas += [{"content": token} for token in tokens(PROSE, size)]
    deltas.append({"tool_calls": [{"index": 0, **TOOL_CALL}]})
    chunks = [chat_chunk(delta) for delta in deltas]
    for chunk in chunks[1:]:
        chunk["choices"][0]["logprobs"] = {"content": [{"token": SECRET, "logprob": -1}]}
    last = chat_chunk({})
    last["choices"][0]["finish_reason"] = "tool_calls"
    return b"".join(map(data, [*chunks, last, {**chat_chunk(), "usage": USAGE}])) + b"data: [DONE]\n\n"


def assembled_chat(body: bytes) -> dict[str, Any]:
    whole: dict[str, Any] = {"content": ""}
    for chunk in read_by_a_client(body):
        whole |= {name: value for name, value in chunk.items() if name == "usage" and value}
        for choice in chunk["choices"]:
            whole["finish_reason"] = choice["finish_reason"] or whole.get("finish_reason")
            whole["logprobs"] = choice.get("logprobs") or whole.get("logprobs")
            for name, value in choice["delta"].items():
                if name == "content":
                    whole["content"] += value or ""
                else:
                    whole[name] = value
    for tool_call in whole.get("tool_calls", ()):
        tool_call.pop("index")
    return whole


def without_handle(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message that calls tools without the handle that it bears, see test_held_turns."""
    (item,) = message["reasoning_details"]
    assert item["data"].startswith(PREFIX)
    return {name: value for name, value in message.items() if name != "reasoning_details"}


@settings(deadline=None)
@given(st.integers(1, 40), st.lists(st.integers(0, 10**6), max_size=30))
def test_a_chat_stream_leaves_what_its_document_leaves(size: int, cuts: list[int]) -> None:
    document, changed = seen(CHAT, call_of(CHAT, stream=False), [chat_document()])
    assert changed
    whole = json.loads(document)
    choice = whole["choices"][0]
    expected = {"content": LEFT, "role": "assistant", "tool_calls": [TOOL_CALL]}
    assert without_handle(choice["message"]) == expected
    assert choice["logprobs"] is None
    asked = call_of(CHAT, stream=True, stream_options={"include_usage": True})
    streamed, changed = seen(CHAT, asked, cut(chat_stream(size), cuts))
    assert changed
    assert streamed.endswith(b"data: [DONE]\n\n")
    found = assembled_chat(streamed)
    ending = {"finish_reason": "tool_calls", "logprobs": None, "usage": USAGE}
    assert without_handle(found) == {**expected, **ending}
    assert whole["usage"] == USAGE
    assert_no_canary(document, SECRET, SEAL)
    assert_no_canary(streamed, SECRET, SEAL)


def test_a_chunk_that_would_carry_nothing_is_left_out() -> None:
    out, _ = seen(CHAT, call_of(CHAT, stream=True), [chat_stream(1)])
    empty = [
        chunk for chunk in read_by_a_client(out) if chunk["choices"] and not any(chunk["choices"][0]["delta"].values())
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in empty] == ["tool_calls"]
    assert len([chunk for chunk in read_by_a_client(out) if "role" in chunk["choices"][0]["delta"]]) == 1


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "name",
    [
        *("reasoning_content", "reasoning", "reasoning_details", "reasoning_steps", "thinking_blocks", "content"),
        *("thinking_content", "reasoning_signature", "redacted_reasoning_content", "reasoningContent", "cot_summary"),
    ],
)
def test_reasoning_goes_from_wherever_a_server_puts_it(name: str, *, stream: bool) -> None:
    value: Any = [{"type": "thinking", "thinking": SECRET}, {"type": "text", "text": "ok"}]
    if name != "content":
        copies = {name: [SECRET], "token_ids": [*SECRET.encode()], "cited": 1}
        value = {"content": "ok", name: SECRET, "provider_specific_fields": copies}
    holder = value if isinstance(value, dict) else {"content": value}
    if stream:
        body = data(chat_chunk(holder)) + b"data: [DONE]\n\n"
    else:
        beside = {} if name == "content" else {"delta": {name: SECRET}}
        body = write({"choices": [{"index": 0, "message": holder, **beside, "finish_reason": "stop"}]})
    out, changed = seen(CHAT, call_of(CHAT, stream=stream), [body])
    assert changed
    assert_no_canary(out, SECRET)
    assert b'"ok"' in out
    assert name == "content" or b'"cited":1' in out
    assert b"115,101,118,101,110" not in out


BESIDE: list[tuple[str, Any]] = [
    ("text", f"<think>{SECRET}</think>ok"),  # Together
    (
        "provider_specific_fields",
        {"token_ids": [*SECRET.encode()], "reasoning": SECRET},
    ),  # LiteLLM, of another server's
    ("token_ids", [*SECRET.encode()]),  # vLLM
    ("message", {"role": "assistant", "content": f"<think>{SECRET}</think>ok"}),  # Perplexity, which repeats all so far
]


@pytest.mark.parametrize(("name", "value"), BESIDE)
def test_what_a_server_says_once_more_beside_a_delta_gives_nothing_away(name: str, value: Any) -> None:
    pieces = ["<think>", *tokens(SECRET, 30), "</think>", "ok"]
    chunks = [chat_chunk({"token_id": 7, "role": "assistant", "content": piece}) for piece in pieces]
    chunks.append(chat_chunk({"token_id": 7, "reasoning": SECRET}))
    for chunk in chunks:
        chunk["choices"][0][name] = value
    out, changed = seen(CHAT, call_of(CHAT, stream=True), [*map(data, chunks), b"data: [DONE]\n\n"])
    assert changed
    assert_no_canary(out, SECRET)
    assert b"115,101,118,101,110" not in out
    assert b'"token_id":7' not in out
    assert assembled_chat(out)["content"] == "ok"


def test_a_copy_of_what_a_chunk_carries_says_what_that_becomes() -> None:
    chunks = [chat_chunk({"content": piece}) for piece in ("a", "<think>b", "</think>c", "d")]
    for chunk in chunks:
        chunk["choices"][0]["text"] = chunk["choices"][0]["delta"]["content"]
    out, _ = seen(CHAT, call_of(CHAT, stream=True), [*map(data, chunks), b"data: [DONE]\n\n"])
    assert "".join(chunk["choices"][0]["text"] for chunk in read_by_a_client(out)) == "acd"


# Anthropic: the same, with handles.

BLOCKS: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": SECRET, "signature": SEAL},
    {"type": "text", "text": PROSE},
    {"type": "redacted_thinking", "data": SEAL},
    {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"q": "<think>kept</think>"}},
    {"type": "text", "text": f"Done. <think>{SECRET}"},
    {"type": "text", "text": SECRET},
]
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": None}
READ = {"input_tokens": 3, "output_tokens": 1}


def message_document() -> bytes:
    return write({**MESSAGE, "content": BLOCKS, "stop_reason": "tool_use", "usage": {**READ, "output_tokens": 99}})


def message_stream(size: int) -> bytes:
    events: list[dict[str, Any]] = [{"type": "message_start", "message": {**MESSAGE, "content": [], "usage": READ}}]
    for index, block in enumerate(BLOCKS):
        kind, start = block["type"], block
        deltas: list[dict[str, Any]] = []
        if kind == "thinking":
            start = {**block, "thinking": "", "signature": ""}
            deltas = [{"type": "thinking_delta", "thinking": token} for token in tokens(SECRET, size)]
            deltas.append({"type": "signature_delta", "signature": SEAL})
        elif kind == "text":
            start = {**block, "text": ""}
            deltas = [{"type": "text_delta", "text": token} for token in tokens(block["text"], size)]
        elif kind == "tool_use":
            start = {**block, "input": {}}
            deltas = [
                {"type": "input_json_delta", "partial_json": part} for part in tokens(json.dumps(block["input"]), size)
            ]
        events.append({"type": "content_block_start", "index": index, "content_block": start})
        events.append({"type": "ping"})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    events.append({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 99}})
    return b"".join(map(event, [*events, {"type": "message_stop"}]))


def assembled_message(body: bytes) -> dict[str, Any]:
    """Put a message together as the official client does: blocks in the order in which they start, one at a time."""
    whole: dict[str, Any] = {}
    blocks: list[dict[str, Any]] = []
    arguments = ""
    for document in read_by_a_client(body):
        match document["type"]:
            case "message_start":
                whole = document["message"]
            case "content_block_start":
                assert document["index"] == len(blocks)
                blocks.append(document["content_block"])
                arguments = ""
            case "content_block_delta":
                assert document["index"] == len(blocks) - 1
                delta = document["delta"]
                for name in delta.keys() & {"text", "thinking", "signature"}:
                    blocks[-1][name] += delta[name]
                arguments += delta.get("partial_json", "")
            case "content_block_stop":
                assert document["index"] == len(blocks) - 1
                if arguments:
                    blocks[-1]["input"] = json.loads(arguments)
            case "message_delta":
                whole |= document["delta"]
                whole["usage"] |= document["usage"]
    return {**whole, "content": blocks}


def with_opened(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message with its handles opened."""
    content = []
    for block in message["content"]:
        if block["type"] == "redacted_thinking":
            assert block.keys() == {"type", "data"}
            assert block["data"].startswith(PREFIX)
        content.append(opened(block["data"]) if block["type"] == "redacted_thinking" else block)
    return {**message, "content": content}


@settings(deadline=None)
@given(st.integers(1, 40), st.lists(st.integers(0, 10**6), max_size=30))
def test_a_message_stream_leaves_what_its_document_leaves(size: int, cuts: list[int]) -> None:
    document, changed = seen(MESSAGES, call_of(MESSAGES, stream=False), [message_document()])
    assert changed
    whole = with_opened(json.loads(document))
    visible = [{**block, "text": text} for block, text in zip(BLOCKS[4:], ["Done. ", LEFT_OUT], strict=True)]
    assert whole["content"] == [BLOCKS[0], {"type": "text", "text": LEFT}, *BLOCKS[2:4], *visible]
    assert whole["usage"]["output_tokens"] == 99
    streamed, changed = seen(MESSAGES, call_of(MESSAGES, stream=True), cut(message_stream(size), cuts))
    assert changed
    assert with_opened(assembled_message(streamed)) == whole
    assert_no_canary(document, SECRET, SEAL)
    assert_no_canary(streamed, SECRET, SEAL)


@pytest.mark.parametrize("dialect", [CHAT, MESSAGES], ids=["chat", "messages"])
def test_an_answer_without_reasoning_passes_as_it_came(dialect: Dialect) -> None:
    said = "1 < 2, <b>bold</b>, <thinker>, a <"
    if dialect is CHAT:
        body = b"".join(data(chat_chunk({"content": token, "reasoning_content": None})) for token in said)
        body += b"data: [DONE]\n\n"
    else:
        start = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        deltas = [{"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": t}} for t in said]
        stop = {"type": "content_block_stop", "index": 0}
        head = {"type": "message_start", "message": {**MESSAGE, "content": [], "usage": READ}}
        body = b"".join(map(event, [head, start, *deltas, stop, {"type": "message_stop"}]))
    out, changed = seen(dialect, call_of(dialect, stream=True), [body])
    assert not changed, "what was only held back is no change"
    found = assembled_chat(out)["content"] if dialect is CHAT else assembled_message(out)["content"][0]["text"]
    assert found == said


STRUCTURED: list[tuple[Dialect, dict[str, Any]]] = [
    (CHAT, {"response_format": {"type": "json_object"}}),
    (CHAT, {"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {}}}}),
    (MESSAGES, {"output_config": {"format": {"type": "json_schema", "schema": {}}}}),
]


@pytest.mark.parametrize(("dialect", "asked"), STRUCTURED)
def test_structured_output_is_never_cut_but_what_the_api_marks_goes(dialect: Dialect, asked: dict[str, Any]) -> None:
    said = json.dumps({"steps": "<think>kept</think>"})
    if dialect is CHAT:
        document: dict[str, Any] = {"choices": [{"index": 0, "message": {"content": said, "reasoning": SECRET}}]}
    else:
        document = {**MESSAGE, "content": [BLOCKS[0], {"type": "text", "text": said}]}
    out, changed = seen(dialect, call_of(dialect, stream=False, **asked), [write(document)])
    assert changed
    assert b"<think>kept</think>" in out
    assert_no_canary(out, SECRET)


@settings(deadline=None)
@given(st.lists(st.integers(0, 10**6), max_size=30))
def test_what_was_thought_before_structured_output_is_cut_however_it_comes(cuts: list[int]) -> None:
    structured = json.dumps({"steps": "a <b>b</b> <think>kept</think>", "n": 3})
    said = [
        chat_chunk({"content": piece.decode()}) for piece in cut(f"<think>{SECRET}</think>{structured}".encode(), cuts)
    ]
    asked = call_of(CHAT, stream=True, response_format={"type": "json_object"})
    out, _ = seen(CHAT, asked, [*map(data, said), b"data: [DONE]\n\n"])
    assert assembled_chat(out)["content"] == structured
    assert_no_canary(out, SECRET)


@pytest.mark.parametrize(
    ("kind", "said", "left"),
    [
        ("json_object", f"<think>{SECRET}</think>", LEFT_OUT),
        ("json_object", f"Yes. <think>{SECRET}</think>", "Yes. "),
        ("json_object", f"<b>{{<think>{SECRET}</think>", "<b>{"),
        ("regex", f"<think>{SECRET}</think>{{}}", "{}"),
        ("grammar", f"{{<think>{SECRET}</think>}}", "{}"),
    ],
)
def test_a_form_that_is_asked_for_is_no_shelter(kind: str, said: str, left: str) -> None:
    document = {"choices": [{"index": 0, "message": {"content": said}}]}
    out, _ = seen(CHAT, call_of(CHAT, stream=False, response_format={"type": kind}), [write(document)])
    assert json.loads(out)["choices"][0]["message"]["content"] == left


def test_what_the_request_began_is_known_and_each_choice_begins_with_it() -> None:
    begun = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Well: <think>"}]
    said = f"{SECRET}</think>four"
    call = call_of(CHAT, stream=True, n=2, messages=begun)
    body = data(chat_chunk({"content": said}, {"content": said})) + b"data: [DONE]\n\n"
    out, _ = seen(CHAT, call, [body])
    assert [choice["delta"]["content"] for choice in read_by_a_client(out)[0]["choices"]] == ["four", "four"]
    document = {**MESSAGE, "content": [{"type": "text", "text": said}, {"type": "text", "text": "five"}]}
    out, _ = seen(MESSAGES, call_of(MESSAGES, stream=False, messages=begun), [write(document)])
    assert [block["text"] for block in json.loads(out)["content"]] == ["four", "five"]


@pytest.mark.parametrize("tag", ["think", "thinking", "thought", "reasoning", "scratchpad", "seed:think"])
def test_what_models_write_of_themselves_goes_unasked(tag: str) -> None:
    document = {"choices": [{"index": 0, "message": {"content": f"<{tag}>{SECRET}</{tag}>Four."}}]}
    out, _ = seen(CHAT, call_of(CHAT, stream=False), [write(document)])
    assert json.loads(out)["choices"][0]["message"]["content"] == "Four."


@pytest.mark.parametrize("tag", ["plan", "草稿"])
def test_a_pack_can_name_further_tags(tag: str) -> None:
    call = call_of(CHAT, stream=False)
    content = f"<{tag.title()}>{SECRET}</{tag.title()}>four"
    document = write({"choices": [{"index": 0, "message": {"content": content}}]})
    assert not seen(CHAT, call, [document])[1]
    out, changed = seen(CHAT, call, [document], began(call, CHAT, {"reasoning": True, "tags": [tag]}))
    assert changed
    assert json.loads(out)["choices"][0]["message"]["content"] == "four"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("texts", "left"),
    [
        (["a<thi", f"nk>{SECRET}</think>b"], ["a<thi", "b"]),
        (["a<think", f">{SECRET}</think>b"], ["a<think", "b"]),
        (["a<think ", f'lang="en">{SECRET}</think>b'], ["a", "b"]),
        ([f"a<think>{SECRET}</thi", "nk>b"], ["a", "b"]),
        ([f"a<think>{SECRET}</think ", ">b"], ["a", "b"]),
        (["a<", "thi", f"nk>{SECRET}</think>b"], ["a<", "thi", "b"]),
        (["a<think>b<think>c", f"</think>{SECRET}</think>d"], ["a", "d"]),
        (["a`<think>", f"{SECRET}</think>b"], ["a`", "b"]),
        (["a`<think>", "` is a tag"], ["a`", "` is a tag"]),
        (["a <", " b"], ["a <", " b"]),
    ],
)
def test_blocks_of_one_message_are_read_as_one_text(texts: list[str], left: list[str], *, stream: bool) -> None:
    blocks = [{"type": "text", "text": text} for text in texts]
    if not stream:
        body, _ = seen(MESSAGES, call_of(MESSAGES, stream=False), [write({**MESSAGE, "content": blocks})])
        assert [block["text"] for block in json.loads(body)["content"]] == left
        return
    events: list[bytes] = []
    for index, text in enumerate(texts):
        events.append(block_start(index, {"type": "text", "text": ""}))
        for letter in text:
            delta = {"type": "text_delta", "text": letter}
            events.append(event({"type": "content_block_delta", "index": index, "delta": delta}))
        events.append(event({"type": "content_block_stop", "index": index}))
    body, _ = seen(MESSAGES, call_of(MESSAGES, stream=True), [*events, STOP])
    told = [document for document in read_by_a_client(body) if document["type"] == "content_block_delta"]
    assert [
        "".join(each["delta"]["text"] for each in told if each["index"] == index) for index in range(len(texts))
    ] == left


def test_parts_of_one_choice_are_one_text() -> None:
    parts = [{"type": "text", "text": f"a<think>{SECRET}"}, {"type": "text", "text": f"{SECRET}</think>b"}]
    document = write({"choices": [{"index": 0, "message": {"content": parts}}]})
    out, _ = seen(CHAT, call_of(CHAT, stream=False), [document])
    assert [part["text"] for part in json.loads(out)["choices"][0]["message"]["content"]] == ["a", "b"]


# What no API sends.


def block_start(index: Any, block: dict[str, Any]) -> bytes:
    return event({"type": "content_block_start", "index": index, "content_block": block})


def thought(index: Any, text: str = SECRET) -> bytes:
    return event({"type": "content_block_delta", "index": index, "delta": {"type": "thinking_delta", "thinking": text}})


def texted(index: Any) -> bytes:
    return event({"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": SECRET}})


THINKING = {"type": "thinking", "thinking": "", "signature": ""}
STOP = event({"type": "message_stop"})


@pytest.mark.parametrize(
    ("events", "handles"),
    [
        ([block_start(0, THINKING), thought(0)], 1),  # never stopped
        ([block_start(0, THINKING), thought(0), block_start(0, THINKING), thought(0)], 2),  # begun twice
        ([block_start(0, THINKING), thought(1), thought(None), thought("0")], 1),  # of other blocks
        ([thought(0), thought(0)], 0),  # of none
        ([block_start(0, THINKING), *[texted(0)] * 3], 1),  # under another name
        ([block_start("0", THINKING), thought("0"), block_start([0], {"type": ["thinking"]})], 1),
        ([block_start(0, {"type": "thinking", "thinking": SECRET, "signature": 5})], 1),
        ([block_start(0, {"type": "text", "text": "a"}), thought(0)], 0),
        ([event({"type": "message_start", "message": {**MESSAGE, "content": BLOCKS[:1]}})], 1),
        ([b'event: x\ndata: {"type":"content_block_delta","delta":{"thinking":"%b"}, NaN}\n\n' % SECRET.encode()], 0),
        ([b'data: ["%b"]\n\n' % SECRET.encode(), b": a comment\n\n"], 0),
    ],
)
def test_a_hostile_stream_of_messages_gives_nothing_away(events: list[bytes], handles: int) -> None:
    out, changed = seen(MESSAGES, call_of(MESSAGES, stream=True), [*events, STOP])
    assert changed
    assert_no_canary(out, SECRET)
    assert out.count(PREFIX.encode()) == handles
    assert out.endswith(STOP)
    starts = [document for document in read_by_a_client(out) if document["type"] == "content_block_start"]
    stops = [document for document in read_by_a_client(out) if document["type"] == "content_block_stop"]
    assert len(stops) >= handles or not starts


def stopped(dialect: Dialect, said: dict[str, Any], stop: str, *, stream: bool) -> dict[str, Any]:
    """Return what tells of the end of an answer that says this and ended with a stop sequence."""
    ends: dict[str, Any] = {"stop_reason": "stop_sequence", "stop_sequence": stop}
    ended: dict[str, Any] = {"finish_reason": "stop", "stop_reason": stop, "matched_stop": stop}
    if not stream:
        whole = {**MESSAGE, "content": [{"type": kind, kind: text} for kind, text in said.items()], **ends}
        choice = {"index": 0, "message": {"role": "assistant", **said}, **ended}
        pieces = [write(whole if dialect is MESSAGES else {"model": "m", "choices": [choice]})]
    elif dialect is MESSAGES:
        pieces = []
        for index, (kind, text) in enumerate(said.items()):
            delta = {"type": f"{kind}_delta", kind: text}
            pieces += [block_start(index, {"type": kind, kind: ""})]
            pieces += [event({"type": "content_block_delta", "index": index, "delta": delta})]
            pieces += [event({"type": "content_block_stop", "index": index})]
        pieces += [event({"type": "message_delta", "delta": ends, "usage": READ}), STOP]
    else:
        pieces = [data(chat_chunk({name: text})) for name, text in said.items()]
        pieces += [data(chat_chunk(choices=[{"index": 0, "delta": {}, **ended}]))]
    body, _ = seen(dialect, call_of(dialect, stream=stream), pieces)
    last = [*read_by_a_client(body)] if stream else [json.loads(body)]
    told = [each["choices"][0] if dialect is CHAT else each.get("delta", each) for each in last]
    (found,) = [each for each in told if each.get("stop_reason") or "stop_sequence" in each or "matched_stop" in each]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"text": "The <b>answer"}, True),
        ({"text": f"<think>{SECRET}</think>The answer"}, True),
        ({"text": f"<think>{SECRET}"}, False),
        ({"text": f"Well. <r>{SECRET}"}, False),
        ({"text": f'Well. <r note="{SECRET}'}, False),
        ({"thinking": SECRET}, False),
        ({"text": "", "thinking": SECRET}, False),
        ({"thinking": SECRET, "text": "\n"}, False),
        ({"thinking": SECRET, "text": "The answer"}, True),
    ],
)
def test_a_stop_sequence_within_what_is_withheld_is_not_told(said: dict[str, str], *, told: bool, stream: bool) -> None:
    found = stopped(MESSAGES, said, "sings", stream=stream)
    assert (found["stop_reason"], found["stop_sequence"]) == ("stop_sequence", "sings" if told else None)
    names = {"text": "content", "thinking": "reasoning_content"}
    choice = stopped(CHAT, {names[kind]: text for kind, text in said.items()}, "sings", stream=stream)
    assert {choice["stop_reason"], choice["matched_stop"]} == {"sings" if told else None}
    assert choice["finish_reason"] == "stop"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("thinking", [{"thinking": SECRET}, {"redacted_thinking": "x"}])
def test_nor_one_within_reasoning_behind_a_text(thinking: dict[str, str], *, stream: bool) -> None:
    assert stopped(MESSAGES, {"text": "Let me see.", **thinking}, "sings", stream=stream)["stop_sequence"] is None


@pytest.mark.parametrize("stream", [False, True])
def test_nor_one_before_any_text_where_the_request_has_opened_a_tag(*, stream: bool) -> None:
    choice = {"index": 0, "delta" if stream else "message": {}, "finish_reason": "stop", "stop_reason": "sings"}
    call = call_of(CHAT, stream=stream)
    call.body["messages"].append({"role": "assistant", "content": "<think>"})
    whole = chat_chunk(choices=[choice])
    out, _ = seen(CHAT, call, [data(whole) if stream else write(whole)])
    assert b"sings" not in out


@pytest.mark.parametrize("stream", [False, True])
def test_of_several_answers_each_tells_its_own_stop_sequence(*, stream: bool) -> None:
    said = [{"content": f"<think>{SECRET}"}, {"content": "The song"}, {"reasoning_content": SECRET}]
    choices = [
        {"index": index, "delta" if stream else "message": each, "finish_reason": "stop", "stop_reason": f"stop{index}"}
        for index, each in enumerate(said)
    ]
    pieces = [data(chat_chunk(choices=[each])) for each in choices]
    out, _ = seen(CHAT, call_of(CHAT, stream=stream), pieces if stream else [write(chat_chunk(choices=choices))])
    assert [b"stop%d" % number in out for number in range(3)] == [False, True, False]


@pytest.mark.parametrize(
    "pieces",
    [
        [block_start(0, THINKING), *[thought(0, "x" * 100_000)] * 100],
        [block_start(index, THINKING) for index in range(10_000)],
        [block_start(0, {"type": "redacted_thinking", "data": "x" * 1_000_000})] * 6,
        [block_start(0, THINKING), *[thought(0, "\N{ROCKET}" * 50_000)] * 50],
    ],
)
def test_more_reasoning_than_any_model_thinks_ends_the_answer(pieces: list[bytes]) -> None:
    with pytest.raises(UpstreamFailed):
        seen(MESSAGES, call_of(MESSAGES, stream=True), [*pieces, STOP])


@pytest.mark.parametrize(
    "content", [[{"type": "thinking", "thinking": "x" * 5_000_000}], [{"type": "thinking"}] * 10_000]
)
def test_the_same_holds_for_a_message(content: list[dict[str, Any]]) -> None:
    with pytest.raises(UpstreamFailed):
        seen(MESSAGES, call_of(MESSAGES, stream=False), [write({**MESSAGE, "content": content})])


def test_a_stream_of_endless_choices_ends() -> None:
    for delta in ({"reasoning": "x"}, {"content": "x<"}, {"role": "assistant"}):
        chunks = [chat_chunk(delta) for _ in range(3_000)]
        for index, chunk in enumerate(chunks):
            chunk["choices"][0]["index"] = index
        with pytest.raises(UpstreamFailed):
            seen(CHAT, call_of(CHAT, stream=True), [b"".join(map(data, chunks))])


def test_events_that_cannot_be_read_are_left_out_of_a_chat_stream() -> None:
    unread = b'data: {"choices":[{"delta":{"reasoning":"%b"},"logprobs":NaN}]}\n\n' % SECRET.encode()
    out, changed = seen(CHAT, call_of(CHAT, stream=True), [unread, b": ping\n\n", b"data: [DONE]\n\n"])
    assert changed
    assert out == b": ping\n\ndata: [DONE]\n\n"


MEMBERS = [
    *(
        "choices",
        "delta",
        "message",
        "content",
        "reasoning",
        "reasoning_details",
        "logprobs",
        "provider_specific_fields",
    ),
    *("index", "type", "text", "thinking", "content_block", "signature"),
]


@pytest.mark.parametrize("dialect", [CHAT, MESSAGES], ids=["chat", "messages"])
@settings(deadline=None, max_examples=200)
@given(
    node=st.recursive(
        st.none() | st.integers(0, 3) | st.just(SECRET) | st.just(f"<think>{SECRET}"),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(MEMBERS),
                inner
                | st.sampled_from(["content_block_start", "content_block_stop", "thinking", "text", "text_delta"]),
                max_size=6,
            )
        ),
    ),
    stream=st.booleans(),
)
def test_nothing_that_comes_makes_it_fail(dialect: Dialect, node: Any, stream: bool) -> None:
    body = node if isinstance(node, dict) else {"choices": node, "content": node}
    raw = event({**body, "type": body.get("type", 1)}) if stream else write(body)
    seen(dialect, call_of(dialect, stream=stream), [raw])


async def test_the_call_itself_stays_as_it_is() -> None:
    call = call_of(CHAT, stream=False, reasoning_effort="high")
    exchange = Exchange("ex", CHAT.name, "", "", "", 0.0, Principal("k", "a", "t", "free", 0.0, {}), call)
    assert await Withhold.read("reasoning").begin(exchange, TOOLS).on_call(call) is call


async def test_no_guess_of_what_is_withheld_is_sent() -> None:
    """Usage tells how many of its tokens were right."""
    guess = {"type": "content", "content": f"<think>{SECRET}"}
    with_one, without = call_of(CHAT, stream=False, prediction=guess), call_of(CHAT, stream=False)
    done = await Ladder(("withhold", "reasoning")).answer(CHAT, with_one, ANSWERED, streamed=False)
    assert done.sent is not None
    assert done.sent.body == without.body
    assert done.verdict.actions == ("withhold",)
    plain = await Ladder(("withhold", "reasoning")).answer(CHAT, without, ANSWERED, streamed=False)
    assert plain.verdict.actions == ()


ANSWERED = write({"choices": [{"index": 0, "message": {"content": "Four."}, "finish_reason": "stop"}]})
