"""Promises about withheld blocks that a request returns: the original is in their place, or the request is refused."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.dialects.anthropic_count_tokens import AnthropicCountTokens
from proxy.dialects.anthropic_messages import AnthropicMessages
from proxy.dialects.strict_json import write
from proxy.errors import BadRequest
from proxy.exchange import Call
from proxy.keyed.sealed_reasoning import PREFIX, SealedReasoning

DIALECT = AnthropicMessages()
SEALED = SealedReasoning(b"k" * 32, "acme")
THOUGHT: dict[str, Any] = {"type": "thinking", "thinking": "first", "signature": "c2VhbA=="}
REDACTED: dict[str, Any] = {"type": "redacted_thinking", "data": "b3BhcXVl"}
TEXT: dict[str, Any] = {"type": "text", "text": "Four."}


def handle(block: dict[str, Any], sealed: SealedReasoning = SEALED) -> dict[str, Any]:
    return {"type": "redacted_thinking", "data": sealed.seal(block)}


def call_of(*blocks: dict[str, Any]) -> Call:
    hello = {"role": "user", "content": "Hello."}
    messages = [hello, {"role": "assistant", "content": list(blocks)}, hello]
    return DIALECT.read(write({"model": "m", "max_tokens": 9, "messages": messages}))


def test_each_handle_becomes_the_block_that_it_stands_for() -> None:
    asked = call_of(handle(THOUGHT), TEXT, handle(REDACTED), REDACTED)
    before = write(asked.body)
    restored = DIALECT.put_back(asked, SEALED)
    assert restored.body == call_of(THOUGHT, TEXT, REDACTED, REDACTED).body
    assert write(asked.body) == before, "the call itself stays as it was"
    assert DIALECT.write(restored) == write(call_of(THOUGHT, TEXT, REDACTED, REDACTED).body)


def test_a_summary_that_bears_a_handle_becomes_the_block_that_it_sums_up() -> None:
    summary = {**THOUGHT, "thinking": "in short", "signature": SEALED.seal(THOUGHT)}
    restored = DIALECT.put_back(call_of(summary, TEXT), SEALED)
    assert restored.body == call_of(THOUGHT, TEXT).body


def test_what_two_rungs_withheld_comes_back_and_what_another_proxy_did_stays() -> None:
    theirs = handle(THOUGHT, SealedReasoning(b"x" * 32, "acme"))
    restored = DIALECT.put_back(call_of(handle(handle(THOUGHT)), handle(theirs)), SEALED)
    assert restored.body == call_of(THOUGHT, theirs).body


def test_what_is_counted_has_its_blocks_back_too() -> None:
    counting = AnthropicCountTokens()
    asked, plain = (
        counting.read(write({"model": "m", "messages": [{"role": "assistant", "content": [block]}]}))
        for block in (handle(THOUGHT), THOUGHT)
    )
    assert counting.put_back(asked, SEALED) == plain


@pytest.mark.parametrize("blocks", [[TEXT], [REDACTED], [THOUGHT], [{**TEXT, "text": handle(THOUGHT)["data"]}]])
def test_a_call_without_a_handle_is_the_very_same(blocks: list[dict[str, Any]]) -> None:
    asked = call_of(*blocks)
    assert DIALECT.put_back(asked, SEALED) is asked


@pytest.mark.parametrize(
    "data",
    [
        PREFIX,
        PREFIX + "AAAA",
        PREFIX + "no base64",
        handle(THOUGHT)["data"][:-4],
        handle(THOUGHT)["data"] + "\n",
        handle(THOUGHT, SealedReasoning(b"k" * 32, "eve"))["data"],
        handle(THOUGHT, SealedReasoning(b"x" * 32, "acme"))["data"],
        handle(TEXT)["data"],  # nothing else than reasoning is put anywhere
    ],
)
def test_a_handle_that_this_tenant_was_not_given_is_refused(data: str) -> None:
    with pytest.raises(BadRequest, match=r"messages\[1\]\.content\[1\]\.data") as refused:
        DIALECT.put_back(call_of(TEXT, {"type": "redacted_thinking", "data": data}), SEALED)
    assert refused.value.param == "messages[1].content[1].data"
