"""Promises about a turn of a chat that comes back with the handle of its reasoning: it is as the model gave it, or refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.dialects.openai_chat import OpenAIChat
from proxy.dialects.strict_json import write
from proxy.errors import BadRequest
from proxy.exchange import Call
from proxy.keyed.sealed_reasoning import PREFIX, SealedReasoning

DIALECT = OpenAIChat()
SEALED = SealedReasoning(b"k" * 32, "acme")
HELD: dict[str, Any] = {
    "reasoning": "first",
    "reasoning_details": [{"type": "reasoning.text", "text": "first", "signature": "c2VhbA==", "index": 0}],
}
CALLS = [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]


def handle(held: Any = HELD, sealed: SealedReasoning = SEALED, kind: str = "turn") -> str:
    return sealed.seal({"type": kind, "held": json.dumps(held)})


def call_of(role: str = "assistant", **members: Any) -> Call:
    hello = {"role": "user", "content": "Hello."}
    said = {"role": role, "content": None, "tool_calls": CALLS, **members}
    return DIALECT.read(write({"model": "m", "messages": [hello, said, hello]}))


def details(data: str) -> list[dict[str, Any]]:
    return [{"type": "reasoning.encrypted", "data": data, "format": None, "index": 0}]


@pytest.mark.parametrize(
    "members",
    [
        {"reasoning_details": details(handle())},
        {"reasoning_details": [{"type": "reasoning.summary", "summary": "in short"}, *details(handle())]},
        {"thinking_blocks": [{"type": "redacted_thinking", "data": handle()}]},
        {"reasoning_content": handle()},
        {"reasoning": handle()},
        {"reasoning_content": f"It weighed\ntwo ways.\n{handle()}\n", "reasoning": "It weighed"},
        {"reasoning_opaque": handle()},
    ],
)
def test_the_members_that_a_handle_stands_for_are_in_its_place(members: dict[str, Any]) -> None:
    asked = call_of(**members)
    before = write(asked.body)
    restored = DIALECT.put_back(asked, SEALED)
    assert restored.body == call_of(**HELD).body
    assert write(asked.body) == before, "the call itself stays as it was"
    assert DIALECT.put_back(restored, SEALED) is restored


def test_what_two_rungs_withheld_comes_back_and_what_another_proxy_did_stays() -> None:
    theirs = {"reasoning_content": handle(sealed=SealedReasoning(b"x" * 32, "acme"))}
    for held in (HELD, theirs):
        twice = handle({"reasoning_content": handle(held)})
        assert DIALECT.put_back(call_of(reasoning_content=twice), SEALED).body == call_of(**held).body


@pytest.mark.parametrize(
    "call",
    [
        call_of(content="Four."),
        call_of(reasoning_content="It is four."),
        call_of(reasoning_content=f"{handle()} it is"),
        call_of(reasoning_content=["text"], reasoning_details="text", thinking_blocks=[handle(), {"type": []}]),
        call_of(reasoning_details=[{"type": "reasoning.text", "data": handle()}]),
        call_of(content=handle()),
        call_of("user", reasoning_content=handle()),
    ],
)
def test_a_call_without_a_handle_is_the_very_same(call: Call) -> None:
    assert DIALECT.put_back(call, SEALED) is call


WRONG = {  # by name: a handle is another one in each process
    "nothing": PREFIX,
    "too short": PREFIX + "AAAA",
    "no base64": PREFIX + "no-base64",
    "cut off": handle()[:-4],
    "another tenant's": handle(sealed=SealedReasoning(b"k" * 32, "eve")),
    "under another key": handle(sealed=SealedReasoning(b"x" * 32, "acme")),
    "of another API": handle(kind="reasoning"),
    "no reasoning": handle({"content": "nothing else than reasoning is put anywhere"}),
    "a list": handle(["reasoning"]),
    "no text": SEALED.seal({"type": "turn", "held": 4}),
    "half of a character": SEALED.seal({"type": "turn", "held": '{"reasoning":"\\ud83d"}'}),
}


@pytest.mark.parametrize("why", WRONG)
@pytest.mark.parametrize("name", ["reasoning_details", "reasoning_content"])
def test_a_handle_that_this_tenant_was_not_given_is_refused(name: str, why: str) -> None:
    data = WRONG[why]
    members: dict[str, Any] = {name: details(data) if name == "reasoning_details" else data}
    with pytest.raises(BadRequest) as refused:
        DIALECT.put_back(call_of(**members), SEALED)
    assert (refused.value.code, refused.value.param) == ("invalid_encrypted_content", f"messages[1].{name}")
