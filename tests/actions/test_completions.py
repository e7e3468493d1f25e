"""Completions of texts: an answer that goes on in the middle of anything is not marked, and a tag may be open already."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from proxy.actions import ACTIONS
from proxy.actions.base import AnswerAction
from proxy.exchange import Chunk
from tests.actions.calls import COMPLETIONS, EXCHANGE, TOOLS, completion
from tests.dialects.streams import cut, read_by_a_client
from tests.marks.texts import PROSE
from tests.rig.speech import COMPLETIONS as SPEECH
from tests.rig.speech import data

ASKED = "Write a long text about a town by the sea."


async def answered(name: str, value: Any, text: str, *, size: int = 0, **members: Any) -> tuple[str, bool]:
    """Return the text of an answer that an action worked on, and whether it changed; with a size it is a stream."""
    call = completion(**members)
    action = ACTIONS[name].read(value).begin(replace(EXCHANGE, call=call), TOOLS)
    assert await action.on_call(call) is call
    assert isinstance(action, AnswerAction)
    streamed = bool(size)
    transform = action.on_answer(COMPLETIONS.wire(streamed=streamed))
    decoder = COMPLETIONS.decoder(call, streamed=streamed, every=True)
    assert SPEECH.events is not None
    pieces = [text[at : at + size] for at in range(0, len(text), size)] if streamed else []
    body = b"".join(SPEECH.events(pieces, "m", (1, 2))) if streamed else data(SPEECH.document(text, "m", (1, 2)))[6:]
    chunks = [
        chunk
        for piece in [*cut(body, [*range(0, len(body), 300)]), b""]
        for chunk in (decoder.feed(piece) if piece else decoder.finish())
    ]
    left = [*(made for chunk in chunks for made in transform.feed(chunk)), *transform.end()]
    out = b"".join(COMPLETIONS.encode(chunk, streamed=streamed) for chunk in left)
    return SPEECH.heard(read_by_a_client(out if streamed else b"data: " + out)), transform.changed


@pytest.mark.parametrize(
    "prompt",
    [
        ASKED,
        f"{ASKED}\n\n",
        ["First, write about a town by the sea!", "Then about the sea itself."],
        "Q: What is there to see?\nA:",
        "### Response:\n",
        "She asked him: \u201cWhat is it that you want of me?\u201d",
    ],
)
async def test_a_text_that_begins_anew_is_marked_alike_in_both_forms(prompt: Any) -> None:
    whole, changed = await answered("mark", {}, PROSE, prompt=prompt)
    assert changed
    assert whole != PROSE
    for size in (3, 20, 500):
        assert await answered("mark", {}, PROSE, size=size, prompt=prompt) == (whole, True)


@pytest.mark.parametrize(
    "members",
    [
        {"prompt": '{"text": "'},
        {"prompt": "def f(x):\n    "},
        {"prompt": "if it is so:\n    pass\nelse:"},
        {"prompt": "Look:\n```\nimport this and that now."},
        {"prompt": "The town lies by the"},
        {"prompt": [ASKED, "The town lies by the"]},
        {"prompt": [1, 2, 3]},
        {"prompt": None},
        {"prompt": ASKED, "echo": True},
        {"prompt": ASKED, "suffix": "The end."},
    ],
)
async def test_what_may_be_anything_is_left_as_it_came(members: dict[str, Any]) -> None:
    assert await answered("mark", {}, PROSE, **members) == (PROSE, False)
    assert await answered("mark", {}, PROSE, size=20, **members) == (PROSE, False)


@pytest.mark.parametrize("size", [0, 1, 7, 1_000])
@pytest.mark.parametrize(
    ("prompt", "text", "left"),
    [
        ("What is 2 + 2?\n<think>", "a secret</think> Four.", " Four."),
        ("Think in <r> tags.", "<r>a secret</r> Four.", " Four."),
        ("What is 2 + 2?", "Four, <think>a secret</think>as 3 < 4.", "Four, as 3 < 4."),
        ("What is 2 + 2?", "Four, as 3 < 4.", "Four, as 3 < 4."),
    ],
)
async def test_reasoning_in_tags_is_withheld_also_where_the_prompt_opened_them(
    size: int, prompt: str, text: str, left: str
) -> None:
    assert await answered("withhold", "reasoning", text, size=size, prompt=prompt) == (left, left != text)


async def test_what_a_server_says_once_more_beside_a_text_gives_nothing_away() -> None:
    call = completion(prompt="What is 2 + 2?")
    action = ACTIONS["withhold"].read("reasoning").begin(replace(EXCHANGE, call=call), TOOLS)
    assert isinstance(action, AnswerAction)
    transform = action.on_answer(COMPLETIONS.wire(streamed=True))
    choice = {"index": 0, "text": "<think>a secret</think>Four.", "finish_reason": None, "token_ids": [1, 2]}
    copy = {"token_id": 3, "content": choice["text"]}  # as Together has it
    (out,) = transform.feed(Chunk(b"...", {"choices": [{**choice, "delta": copy}]}))
    assert out.data == {"choices": [{**choice, "text": "Four.", "token_ids": None, "delta": None}]}
