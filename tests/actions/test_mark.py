"""Marks in answers: one key for all who belong together, in either API, streamed or not, and nothing else is touched."""

from __future__ import annotations

import json
import random
import re
import threading
from functools import partial
from typing import Any

import pytest

from proxy.actions.base import AnswerAction, Tools
from proxy.actions.mark import Mark
from proxy.clock import VirtualClock
from proxy.dialects import dialects
from proxy.dialects.base import ChunkDecoder, Dialect
from proxy.dialects.framed import FramedDecoder
from proxy.dialects.strict_json import write
from proxy.exchange import Call, Chunk, Exchange, Principal, Ties
from proxy.marks.keys import CampaignKey
from proxy.marks.reading import agreement, read
from proxy.marks.table import Table, english, read_table
from proxy.secrets import Purpose
from proxy.wire import AsItCame
from tests.actions.calls import COMPLETIONS, HI, RESPONSES, chat, completion, message, response
from tests.actions.composing import Ladder
from tests.dialects.streams import chat_chunk, data
from tests.marks.texts import PROSE

CHAT, MESSAGES = dialects()["/v1/chat/completions"], dialects()["/v1/messages"]
DIALECTS = {"chat": CHAT, "messages": MESSAGES}
MASTER = bytes(range(32))
TOOLS = Tools(VirtualClock(), lambda purpose: MASTER if purpose is Purpose.MARKS else bytes(32))


def exchange(account: str = "a", cluster: str = "", template: str = "") -> Exchange:
    principal = Principal("k", account, "t", "free", 0.0, {})
    return Exchange("ex_1", "openai.chat", "192.0.2.1", "", "", 0.0, principal, ties=Ties(template, cluster))


def call(api: str, **members: Any) -> Call:
    body = {"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": "hi"}], **members}
    return DIALECTS[api].read(write(body))


def document(api: str, text: str) -> Chunk:
    if api == "chat":
        message = {"role": "assistant", "content": text, "tool_calls": [{"function": {"arguments": '{"a": "it is"}'}}]}
        return Chunk(b"{}", {"model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
    tool = {"type": "tool_use", "input": {"a": "it is"}}
    return Chunk(b"{}", {"model": "m", "content": [{"type": "text", "text": text}, tool], "stop_reason": "end_turn"})


def events(api: str, pieces: list[str]) -> list[Chunk]:
    if api == "chat":
        head = {"id": "c", "model": "m"}
        made: list[dict[str, Any]] = [
            {**head, "choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces
        ]
        made.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        return [Chunk(b"x", each) for each in made] + [Chunk(b"data: [DONE]\n\n")]
    made = [{"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}]
    made += [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}} for piece in pieces
    ]
    made += [{"type": "content_block_stop", "index": 0}, {"type": "message_stop"}]
    return [Chunk(b"x", each, str(each["type"])) for each in made]


def text_of(api: str, chunks: list[Chunk], *, streamed: bool) -> str:
    wire = DIALECTS[api].wire(streamed=streamed)
    return "".join(part.text for chunk in chunks for part in wire.parts(chunk) if part.kind == "text")


async def answered(
    api: str, whose: Exchange, chunks: list[Chunk], *, streamed: bool, **members: Any
) -> tuple[list[Chunk], bool]:
    action = Mark.read({}).begin(whose, TOOLS)
    await action.on_call(call(api, **members))
    assert isinstance(action, AnswerAction)
    transform = action.on_answer(DIALECTS[api].wire(streamed=streamed))
    out = [each for chunk in chunks for each in transform.feed(chunk)]
    return [*out, *transform.end()], transform.changed


@pytest.mark.parametrize("api", DIALECTS)
async def test_a_stream_and_a_document_get_the_same_mark_and_nothing_but_prose_is_changed(api: str) -> None:
    whose = exchange(cluster="c-1")
    whole, changed = await answered(api, whose, [document(api, PROSE)], streamed=False)
    expected = text_of(api, whole, streamed=False)
    assert changed
    assert expected != PROSE
    assert '"it is' in json.dumps(whole[0].data)
    for seed in range(5):
        rng = random.Random(seed)
        cuts = sorted(rng.sample(range(len(PROSE)), 40))
        pieces = [PROSE[start:end] for start, end in zip([0, *cuts], [*cuts, len(PROSE)], strict=True)]
        streamed, _ = await answered(api, whose, events(api, pieces), streamed=True)
        assert text_of(api, streamed, streamed=True) == expected


ALIKE = {"obfuscation": "aB3", "usage": None, "service_tier": "default"}
DELTA = {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "content_index": 0}
STREAMS: list[tuple[Dialect, list[dict[str, Any]], dict[str, Any]]] = [
    (
        CHAT,
        [chat_chunk({"content": piece}, **ALIKE) for piece in (PROSE[:300], PROSE[300:600])],
        {**chat_chunk({}, **ALIKE), "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    ),
    (
        COMPLETIONS,
        [
            {"id": "c", "choices": [{"index": 0, "text": piece, "finish_reason": None}], "usage": None}
            for piece in (PROSE[:300], PROSE[300:600])
        ],
        {"id": "c", "choices": [{"index": 0, "text": "", "finish_reason": "stop"}], "usage": None},
    ),
    (
        RESPONSES,
        [
            {**DELTA, "delta": piece, "logprobs": [], "obfuscation": "aB3", "sequence_number": number}
            for number, piece in enumerate((PROSE[:300], PROSE[300:600]))
        ],
        {"type": "response.output_text.done", "output_index": 0, "content_index": 0, "sequence_number": 2},
    ),
    (
        MESSAGES,
        [
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
            for piece in (PROSE[:300], PROSE[300:600])
        ],
        {"type": "content_block_stop", "index": 0},
    ),
]


@pytest.mark.parametrize(("dialect", "pieces", "last"), STREAMS)
async def test_what_was_held_back_comes_in_the_events_that_it_came_in(
    dialect: Dialect, pieces: list[dict[str, Any]], last: dict[str, Any]
) -> None:
    action = Mark.read({}).begin(exchange(), TOOLS)
    assert isinstance(action, AnswerAction)
    await action.on_call(chat())
    transform = action.on_answer(dialect.wire(streamed=True))
    came = [Chunk(b"data: " + json.dumps(each).encode(), each, str(each.get("type", ""))) for each in [*pieces, last]]
    made = [each for chunk in came for each in transform.feed(chunk)]
    made += transform.end()
    assert transform.changed
    assert len(made) == len(came)
    for one, other in zip(made, came, strict=True):
        assert form_of(dialect.encode(one, streamed=True), one.data) == form_of(other.raw or b"", other.data)


@pytest.mark.parametrize("dialect", [CHAT, RESPONSES])
@pytest.mark.parametrize("framed", [False, True])
async def test_padding_hides_the_length_of_every_text_as_before(dialect: Dialect, *, framed: bool) -> None:
    action = Mark.read({}).begin(exchange(), TOOLS)
    await action.on_call(chat())
    assert isinstance(action, AnswerAction)
    transform = action.on_answer(dialect.wire(streamed=True))
    body = b""
    for number, piece in enumerate(re.findall(r"\s*\S+", PROSE[:3000])):
        padding = {"obfuscation": f"{number:016}"[: -len(piece) % 16]}
        event = {**DELTA, "delta": piece, "logprobs": []} if dialect is RESPONSES else chat_chunk({"content": piece})
        body += data({**event, **padding})
    end = {**chat_chunk({}), "obfuscation": "x"}
    end["choices"] = [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    body += data({"type": "response.output_text.done", "output_index": 0} if dialect is RESPONSES else end)
    decoder: ChunkDecoder = dialect.decoder(chat(), streamed=True, every=True)
    if framed:
        decoder = FramedDecoder(decoder, dialect.wire(streamed=True), partial(dialect.encode, streamed=True))
    came = [*decoder.feed(body), *decoder.finish()]
    made = [*(each for chunk in came for each in transform.feed(chunk)), *transform.end()]
    assert transform.changed
    out = b"".join(dialect.encode(each, streamed=True) for each in made)
    events = [json.loads(line[6:]) for line in out.split(b"\n") if line.startswith(b"data: {")]
    deltas = [event if dialect is RESPONSES else event["choices"][0]["delta"] for event in events]
    said = [(delta.get("delta") or delta.get("content"), event) for delta, event in zip(deltas, events, strict=True)]
    assert {(len(text) + len(event["obfuscation"])) % 16 for text, event in said if text} == {0}
    assert len(said) > 100
    assert len(said[-2][0]) < 20, "nor does the last text show that it was held back"


def form_of(encoded: bytes, document: Any) -> Any:
    """Return all of an event but its values: the names of its members, and whether there is space between them."""

    def names_of(node: Any) -> Any:
        if isinstance(node, dict):
            return {name: names_of(node[name]) for name in sorted(node)}
        return [names_of(each) for each in node] if isinstance(node, list) else None

    return [b'": ' in encoded, names_of(document)]


async def test_who_belongs_together_gets_the_same_answer_and_others_another() -> None:
    async def text(**whose: str) -> str:
        out, _ = await answered("chat", exchange(**whose), [document("chat", PROSE)], streamed=False)
        return text_of("chat", out, streamed=False)

    member = await text(account="a", cluster="c-1", template="t-1")
    assert member == await text(account="b", cluster="c-1")
    contained = await text(account="c", template="t-1")
    assert contained == await text(account="d", template="t-1")
    assert len({member, contained, await text(account="a"), await text(account="b")}) == 4
    seen = agreement(read(member), CampaignKey(MASTER, "c-1"))
    assert seen.agree >= seen.places - 1
    assert seen.agree >= 30


async def test_what_the_caller_began_for_the_model_is_left_alone() -> None:
    begun = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": '{"text": "'}]
    chunks = [document("messages", PROSE)]
    out, changed = await answered("messages", exchange(), chunks, streamed=False, messages=begun)
    assert out == chunks
    assert not changed


@pytest.mark.parametrize("words", ["", " ", "Answer:", "I am glad to tell you what it is."])
async def test_words_that_are_over_before_the_answer_do_not_rid_it_of_marks(words: str) -> None:
    begun = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": words}]
    action = Mark.read({}).begin(exchange(), TOOLS)
    await action.on_call(chat(messages=begun))
    assert isinstance(action, AnswerAction)
    assert not isinstance(action.on_answer(CHAT.wire(streamed=False)), AsItCame)


@pytest.mark.parametrize(
    ("words", "marked"),
    [
        ('She turned to him and said, "I am glad to tell you.', False),
        ("She turned to him and said, “I am glad to tell you.", False),
        ('She turned to him and said, "I am glad to tell you."', True),
        ('{"title": "x", "text": "I am glad to tell you.', False),
        ('{\n  "text": "I am glad to tell you.', False),
        ('It was: "Well."\n\nI am glad to tell you.', True),
        ('def f():\n    """Return what they are glad of.', False),
        ("The call `I am glad to tell you.", False),
        ("It is **I am glad to tell you.", False),
        ('"Answer:', False),
        ("[1] I know of this.\n\nI am glad to tell you.", True),
        ("I am glad to tell you.\n", True),
    ],
)
async def test_what_goes_on_within_something_open_is_left_alone(words: str, *, marked: bool) -> None:
    begun = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": words}]
    several = ["Yes, I am very glad of it.", words]
    for asked in (chat(messages=begun), completion(prompt=words), completion(prompt=several)):
        action = Mark.read({}).begin(exchange(), TOOLS)
        await action.on_call(asked)
        assert isinstance(action, AnswerAction)
        assert isinstance(action.on_answer(CHAT.wire(streamed=False)), AsItCame) is not marked


JSON = {"format": {"type": "json_schema", "name": "n", "schema": {}}}
ASIDE: dict[str, Any] = {"role": "developer", "tools": []}
PLAIN = {"format": {"type": "text"}}


def updated(*texts: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a conversation that asks for these forms on its way, one after the other."""
    return [*HI, *({"type": "configuration_update", "text": text} for text in texts)]


FORMS: list[tuple[Call, bool]] = [
    (response(input=[*HI, {"role": "assistant", "content": '{"text": "'}]), True),
    *[
        (response(input=[*HI, {"role": "assistant", "content": '{"text": "'}, {**ASIDE, "type": kind}]), True)
        for kind in ("additional_tools", "compaction_trigger", "configuration_update")
    ],
    (chat(response_format={"type": "regex", "pattern": "It is .*"}), True),  # as Together has it
    (chat(response_format={"type": "grammar", "grammar": "root ::= [a-z ]+"}), True),  # and Fireworks
    (response(text=JSON), True),
    (response(input=[*HI, {"type": "configuration_update", "text": JSON}]), True),
    (response(input=updated(PLAIN, JSON)), True),
    (response(input=updated(PLAIN), text=JSON), False),
    (response(input=updated(JSON, PLAIN, {"format": None})), False),
    (chat(response_format={"type": "text"}), False),
    (chat(response_format={"type": "prose"}), False),  # what nobody knows is refused upstream, or means nothing there
    (chat(response_format={"type": ["json_object"]}), False),
    (message(output_config={"format": {"type": "none"}}), False),
]


@pytest.mark.parametrize(("asked", "left"), FORMS)
async def test_an_answer_in_a_form_or_begun_by_the_caller_is_left_alone(asked: Call, left: bool) -> None:
    action = Mark.read({}).begin(exchange(), TOOLS)
    await action.on_call(asked)
    assert isinstance(action, AnswerAction)
    assert isinstance(action.on_answer(CHAT.wire(streamed=False)), AsItCame) is left


@pytest.mark.parametrize(
    "asked", [chat(prompt=None), message(prompt=None), response(prompt=None), response(prompt={"id": "pmpt_1"})]
)
async def test_a_conversation_is_marked_whatever_prompt_stands_beside_it(asked: Call) -> None:
    action = Mark.read({}).begin(exchange(), TOOLS)
    await action.on_call(asked)
    assert isinstance(action, AnswerAction)
    assert not isinstance(action.on_answer(CHAT.wire(streamed=False)), AsItCame)


async def test_an_answer_without_a_place_is_not_changed_and_so_not_degraded() -> None:
    chunks = [document("chat", "```\nit is\n```")]
    out, changed = await answered("chat", exchange(), chunks, streamed=False)
    assert out == chunks
    assert not changed


@pytest.mark.parametrize(
    ("api", "asked"),
    [
        ("chat", {"stop": "it's known"}),
        ("chat", {"stop": [";", "it's known"]}),
        ("messages", {"stop_sequences": ["it's known"]}),
    ],
)
async def test_no_stop_sequence_of_the_request_is_put_into_its_answer(api: str, asked: dict[str, Any]) -> None:
    for number in range(10):
        whose = exchange(cluster=f"c-{number}")
        out, changed = await answered(api, whose, [document(api, PROSE)], streamed=False, **asked)
        assert changed
        assert "it's known" not in text_of(api, out, streamed=False)


async def test_many_answers_share_what_one_may_cost() -> None:
    action = Mark.read({}).begin(exchange(), TOOLS)
    await action.on_call(call("chat", n=4))
    assert isinstance(action, AnswerAction)
    transform = action.on_answer(CHAT.wire(streamed=False))
    long = PROSE * 8
    choices = [{"index": at, "message": {"content": long}, "finish_reason": "stop"} for at in range(4)]
    (out,) = transform.feed(Chunk(b"{}", {"choices": choices}))
    assert out.data
    texts = [choice["message"]["content"] for choice in out.data["choices"]]
    assert len(set(texts)) == 1
    assert texts[0].endswith(PROSE * 5)


@pytest.mark.parametrize(("count", "chars"), [(8, 1_500), (20, 600), (128, 375), (1_024, 46)])
async def test_each_of_many_answers_is_marked(count: int, chars: int) -> None:
    action = Mark.read({}).begin(exchange(), TOOLS)
    prompts = ["Write of bread, please, in a few words."] * count
    await action.on_call(COMPLETIONS.read(write({"model": "m", "prompt": prompts})))
    assert isinstance(action, AnswerAction)
    transform = action.on_answer(COMPLETIONS.wire(streamed=False))
    choices = [{"index": at, "text": PROSE, "finish_reason": "stop"} for at in range(count)]
    (out,) = transform.feed(Chunk(b"{}", {"choices": choices}))
    assert out.data
    (text,) = {choice["text"] for choice in out.data["choices"]}
    assert text.endswith(PROSE[chars:])
    assert (text != PROSE) is (chars > 100)


async def test_blocks_of_one_message_are_all_marked_until_it_is_long() -> None:
    whose = exchange(cluster="c-1")
    sentences = [f"{sentence}. " for sentence in PROSE.replace("\n", " ").split(". ")]
    blocks = [{"type": "text", "text": sentence} for sentence in sentences * 20]
    (out,), _ = await answered("messages", whose, [Chunk(b"{}", {"content": blocks})], streamed=False)
    assert out.data
    left = [block["text"] != came["text"] for block, came in zip(out.data["content"], blocks, strict=True)]
    long = next(at for at in range(len(blocks)) if sum(len(each["text"]) for each in blocks[:at]) > 12_000)
    assert sum(left[8:long]) > len(left[8:long]) / 3
    assert not any(left[long:])


@pytest.mark.parametrize(
    ("api", "members", "roles"),
    [
        ("chat", {}, ["system", "user"]),
        (
            "chat",
            {"messages": [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "hi"}]},
            None,
        ),
    ],
)
async def test_a_style_is_asked_for_after_the_instructions_that_are_there(
    api: str, members: dict[str, Any], roles: list[str] | None
) -> None:
    action = Mark.read({"style": True, "words": False}).begin(exchange(cluster="c-1"), TOOLS)
    assert not isinstance(action, AnswerAction)
    before = call(api, **members)
    changed = await action.on_call(before)
    assert isinstance(changed, Call)
    assert [message["role"] for message in changed.body["messages"]] == (roles or ["developer", "developer", "user"])
    assert CHAT.read(CHAT.write(changed)).body["messages"] == changed.body["messages"]
    assert before.body["messages"][-1] == changed.body["messages"][-1]


@pytest.mark.parametrize(
    "system",
    [
        None,
        "Be brief.",
        [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    ],
)
async def test_a_style_leaves_what_is_cached_of_the_instructions_as_it_was(system: Any) -> None:
    members = {} if system is None else {"system": system}
    action = Mark.read({"style": True}).begin(exchange(cluster="c-1"), TOOLS)
    changed = await action.on_call(call("messages", **members))
    assert isinstance(changed, Call)
    made = changed.body["system"]
    if isinstance(system, list):
        assert made[:-1] == system
        assert made[-1].keys() == {"type", "text"}
    else:
        assert made.startswith(system or "Where")
    assert MESSAGES.read(MESSAGES.write(changed)).body["system"] == made


async def test_styles_differ_by_campaign_and_not_within_one() -> None:
    async def style(whose: Exchange) -> str:
        changed = await Mark.read({"style": True}).begin(whose, TOOLS).on_call(call("chat"))
        assert isinstance(changed, Call)
        return str(changed.body["messages"][0]["content"])

    styles = [await style(exchange(account=f"a-{at}", cluster=f"c-{at % 20}")) for at in range(40)]
    assert styles[:20] == styles[20:]
    assert len(set(styles)) > 15


async def test_without_a_dialect_nothing_is_asked_for() -> None:
    plain = Call("m", stream=False, body={"messages": []})
    assert await Mark.read({"style": True}).begin(exchange(), TOOLS).on_call(plain) is plain


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"words": 1}, "words should be true or false"),
        ({"words": False}, "should have words, style or both"),
        ({"color": True}, "unknown key 'color'; there is style and words"),
        (True, "should be a map with style and words"),
    ],
)
def test_a_pack_that_says_nonsense_is_told_what_there_is(value: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Mark.read(value)


async def test_wordings_are_read_beside_the_loop_when_they_are_needed_first(monkeypatch: pytest.MonkeyPatch) -> None:
    read_in: list[int] = []

    def noted(text: str) -> Table:
        read_in.append(threading.get_ident())
        return read_table(text)

    monkeypatch.setattr("proxy.marks.table.read_table", noted)
    english.cache_clear()
    ladder = Ladder(("mark", {}))
    for _ in range(2):
        choice = {"index": 0, "message": {"role": "assistant", "content": PROSE}, "finish_reason": "stop"}
        answer = write({"model": "m", "choices": [choice]})
        done = await ladder.answer(CHAT, call("chat"), answer, streamed=False)
        assert done.verdict.actions == ("mark",)
    assert len(read_in) == 1
    assert read_in[0] != threading.get_ident()
