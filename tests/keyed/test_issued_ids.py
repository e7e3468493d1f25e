"""Promises about ids of what an upstream keeps: a tenant gets back what it was given, and nobody else's."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.dialects.anthropic_messages import AnthropicMessages
from proxy.dialects.base import Dialect
from proxy.dialects.openai_chat import OpenAIChat
from proxy.dialects.openai_responses import OpenAIResponses
from proxy.dialects.strict_json import write
from proxy.dialects.tagged import TaggedDecoder
from proxy.errors import BadRequest
from proxy.exchange import Call
from proxy.keyed.issued_ids import IssuedIds, taken
from tests.dialects.streams import event

KEY = b"k" * 32
IDS = IssuedIds(KEY, "acme", "default", frozenset({"pmpt_public"}))
OTHERS = {
    "another tenant": IssuedIds(KEY, "eve", "default", frozenset()),
    "another upstream": IssuedIds(KEY, "acme", "second", frozenset()),
    "names that join alike": IssuedIds(KEY, "acmed", "efault", frozenset()),
    "another key": IssuedIds(b"x" * 32, "acme", "default", frozenset()),
}
DIALECT = OpenAIResponses()
CHAT, MESSAGES = OpenAIChat(), AnthropicMessages()


def call_of(**members: Any) -> Call:
    return DIALECT.read(write({"model": "m", "input": "hi", **members}))


@given(st.from_regex(r"[A-Za-z0-9._:+/=-]{6,1024}", fullmatch=True))
def test_what_a_tenant_was_given_it_can_return(given_id: str) -> None:
    shown = IDS.give(given_id)
    assert shown.startswith(given_id)
    assert IDS.take(shown) == given_id
    assert IDS.give(given_id) == shown  # on every replica and in every event


@pytest.mark.parametrize("ids", OTHERS.values(), ids=OTHERS)
def test_what_it_was_not_given_it_cannot(ids: IssuedIds) -> None:
    assert IDS.take(ids.give("resp_0a1b2c")) is None


_GIVEN = IDS.give("resp_0a1b2c")


def test_what_was_given_is_good_after_an_upgrade_too() -> None:
    assert IDS.take("resp_0a1b2c_sgoGQbpXsy2vMQ0EOSKunu") == "resp_0a1b2c"


@pytest.mark.parametrize(
    "shown",
    [
        "",
        "resp_0a1b2c",
        _GIVEN[:-1],
        _GIVEN + "A",
        _GIVEN[:-1] + ("A" if _GIVEN[-1] != "A" else "B"),
        "r" + _GIVEN,
        _GIVEN.replace("resp", "resq"),
        IDS.give(_GIVEN) + _GIVEN,
        _GIVEN[-23:],
        "résp_0a1b2c" + _GIVEN[-23:],
        "resp_0a1b2c_sgéééééééééééééééééééé",
        "resp_0a1b2c\ud800" + _GIVEN[-23:],
        "x" * 10_000,
    ],
)
def test_what_was_changed_is_nothing(shown: str) -> None:
    assert IDS.take(shown) is None


def test_a_public_id_is_everybodys_and_stays_as_it_is() -> None:
    assert IDS.give("pmpt_public") == IDS.take("pmpt_public") == "pmpt_public"
    assert OTHERS["another tenant"].take("pmpt_public") is None


@pytest.mark.parametrize("given_id", ["", "five5", "a b c d e f", "é" * 9, "x" * 1_025, 'a"b"c"d'])
def test_what_looks_like_no_id_is_passed_on_as_it_is(given_id: str) -> None:
    assert IDS.give(given_id) == given_id


def test_a_call_goes_upstream_with_the_upstreams_own_ids() -> None:
    item = {"type": "message", "role": "assistant", "content": "yes"}
    asked = call_of(
        previous_response_id=_GIVEN,
        prompt={"id": "pmpt_public"},
        input=[
            {"type": "item_reference", "id": IDS.give("msg_0a1b2c")},
            {**item, "id": IDS.give("msg_9a8b7c")},
            {**item, "id": "made-up-elsewhere"},
            {"role": "user", "content": "hi"},
        ],
    )
    before = write(asked.body)
    sent = taken(asked, IDS).body
    assert sent["previous_response_id"] == "resp_0a1b2c"
    assert sent["prompt"] == {"id": "pmpt_public"}
    assert [each.get("id") for each in sent["input"]] == ["msg_0a1b2c", "msg_9a8b7c", None, None]
    assert sent["input"][2] == item
    assert write(asked.body) == before, "the call itself stays as it was"


@pytest.mark.parametrize(
    ("members", "param", "code"),
    [
        ({"previous_response_id": "{}"}, "previous_response_id", "previous_response_not_found"),
        ({"conversation": "{}"}, "conversation", "upstream_state"),
        ({"conversation": {"id": "{}"}}, "conversation.id", "upstream_state"),
        ({"prompt": {"id": "{}"}}, "prompt.id", "upstream_state"),
        ({"input": [{"type": "item_reference", "id": "{}"}]}, "input[0].id", "upstream_state"),
        ({"input": [{"type": "reasoning", "id": "{}", "summary": []}]}, "input[0].id", "upstream_state"),
        (
            {"tools": [{"type": "file_search", "vector_store_ids": ["{}"]}]},
            "tools[0].vector_store_ids[0]",
            "upstream_state",
        ),
        ({"tools": [{"type": "code_interpreter", "container": "{}"}]}, "tools[0].container", "upstream_state"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "{}"}]}]},
            "input[0].content[0].file_id",
            "upstream_state",
        ),
    ],
)
def test_somebody_elses_id_is_refused_in_the_words_for_one_that_never_was(
    members: dict[str, Any], param: str, code: str
) -> None:
    def refusal(shown: str) -> BadRequest:
        body = write({"model": "m", "input": "hi", **members}).replace(b"{}", shown.encode())
        with pytest.raises(BadRequest) as refused:
            taken(DIALECT.read(body), IDS)
        return refused.value

    foreign = refusal(OTHERS["another tenant"].give("resp_0a1b2c"))
    never = refusal(IDS.give("resp_0a1b2c")[:-4] + "AAAA")
    bare = refusal("resp_0a1b2c")
    for error in (foreign, never, bare):
        assert (error.status, error.code, error.param) == (400, code, param)
        assert re.sub("'.*'", "", error.message) == re.sub("'.*'", "", foreign.message)


@pytest.mark.parametrize(
    ("shown", "told"),
    [
        ("resp_0a1b2c", "resp_0a1b2c"),
        ("r" * 128, "r" * 128),
        ("r" * 129, ""),
        ("no id, but words of a client's", ""),
        ("short", ""),
    ],
)
def test_a_refusal_names_a_response_only_if_it_could_be_one(shown: str, told: str) -> None:
    with pytest.raises(BadRequest) as refused:
        taken(call_of(previous_response_id=shown), IDS)
    assert refused.value.message == f"Previous response with id '{told}' not found."


def test_a_call_that_names_nothing_is_the_very_same() -> None:
    asked = call_of()
    assert taken(asked, IDS) is asked


FILE = {"type": "file", "file_id": "file-public"}


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        (CHAT, {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "{}"}}]}]}),
        (
            MESSAGES,
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {**FILE, "file_id": "{}"}}]}]},
        ),
        (MESSAGES, {"messages": [{"role": "user", "content": [{"type": "container_upload", "file_id": "{}"}]}]}),
        (MESSAGES, {"container": "{}"}),
        (MESSAGES, {"container": {"id": "{}"}}),
    ],
)
def test_what_settings_list_as_public_may_be_named_in_every_api(dialect: Dialect, body: dict[str, Any]) -> None:
    ids = IssuedIds(KEY, "acme", "default", frozenset({"file-public"}))
    asked = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], **body}

    def read(shown: str) -> Call:
        return dialect.read(write(asked).replace(b"{}", shown.encode()))

    assert taken(read("file-public"), ids).body == read("file-public").body
    assert taken(read(ids.give("file-own")), ids).body == read("file-own").body
    for shown in ("file-own", OTHERS["another tenant"].give("file-own")):
        with pytest.raises(BadRequest, match="state kept at the upstream"):
            taken(read(shown), ids)


def test_a_container_in_which_code_ran_is_given_to_its_tenant() -> None:
    code = [{"type": "code_execution_20250825", "name": "code_execution"}]
    asked: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    assert MESSAGES.read(write(asked)).gives is None
    search = [{"type": "web_search_20260209", "name": "web_search"}]  # which has code sift what it finds
    for members in ({"tools": code}, {"tools": search}, {"container": "container_0a1b2c"}):
        gives = MESSAGES.read(write({**asked, **members})).gives
        assert gives is not None
        container = {"id": "container_0a1b2c", "expires_at": "2026-01-01T00:00:00Z"}
        for document in (
            {"type": "message", "id": "msg_1", "container": container},
            {"type": "message_start", "message": {"id": "msg_1", "container": container}},
            {"type": "message_delta", "delta": {"container": container}},
        ):
            assert list(gives(document)) == ["container_0a1b2c"]
        for odd in ({}, {"container": None}, {"delta": 5}, {"message": {"container": {"id": 5}}}):
            assert list(gives(odd)) == []


@pytest.mark.parametrize(
    "block",
    [
        {
            "type": "bash_code_execution_tool_result",
            "tool_use_id": "srvtoolu_1",
            "content": {
                "type": "bash_code_execution_result",
                "stdout": "",
                "stderr": "",
                "return_code": 0,
                "content": [{"type": "bash_code_execution_output", "file_id": "file_0a1b2c"}],
            },
        },
        {"type": "container_upload", "file_id": "file_0a1b2c"},
    ],
)
def test_a_file_that_code_made_comes_back_with_the_turn(block: dict[str, Any]) -> None:
    asked: dict[str, Any] = {
        "model": "m",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"type": "code_execution_20250825", "name": "code_execution"}],
    }
    call = MESSAGES.read(write(asked))
    assert call.gives is not None
    said = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": f"word {number}"}}
        for number in range(40)
    ]
    events = [*said, {"type": "content_block_start", "index": 1, "content_block": block}, *said]
    message = {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "made"}, block]}
    for streamed, body in ((True, b"".join(map(event, events))), (False, write(message))):
        decoder = TaggedDecoder(MESSAGES.decoder(call, streamed=streamed), call.gives, IDS, every=False)
        out = b"".join(chunk.raw or b"" for chunk in [*decoder.feed(body), *decoder.finish()])
        assert out == body.replace(b"file_0a1b2c", IDS.give("file_0a1b2c").encode())
    returned = {**asked, "messages": [*asked["messages"], {"role": "assistant", "content": json.loads(out)["content"]}]}
    assert taken(MESSAGES.read(write(returned)), IDS).body["messages"][1]["content"] == message["content"]
    with pytest.raises(BadRequest, match="state kept at the upstream"):
        taken(MESSAGES.read(write(returned)), OTHERS["another tenant"])
