"""What probes a model is asked for no more, or less of it, and is not in the answer whatever the upstream sends."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from proxy.actions.base import Action, AnswerAction
from proxy.actions.drop import Drop
from proxy.exchange import Call, Chunk
from tests.actions.calls import CHAT, COMPLETIONS, EXCHANGE, MESSAGES, TOOLS, body, chat, completion, embedding, message
from tests.dialects.streams import chat_chunk

COARSE = [{"logprobs": {"top": 1, "decimals": 1}}]


def alternative(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}


def figures(first: float, second: float, top: int = 3) -> dict[str, Any]:
    tops = [alternative(f"t{number}", first - number / 7) for number in range(top)]
    return {
        "content": [
            {**alternative("t0", first), "top_logprobs": tops},
            {**alternative("x", second), "top_logprobs": []},
        ],
        "refusal": None,
    }


ROUND = {
    "content": [
        {**alternative("t0", -0.3), "top_logprobs": [alternative("t0", -0.3)]},
        {**alternative("x", -1.8), "top_logprobs": []},
    ],
    "refusal": None,
}


def begun(value: Any, call: Call) -> Action:
    return Drop.read(value).begin(replace(EXCHANGE, call=call), TOOLS)


def answered(value: Any, call: Call, document: dict[str, Any], *, streamed: bool) -> tuple[dict[str, Any], bool]:
    """Return what becomes of an answer to a call, and whether that is a change; what came is not mutated."""
    action = begun(value, call)
    assert isinstance(action, AnswerAction)
    transform = action.on_answer(CHAT.wire(streamed=streamed))
    before = json.dumps(document)
    (out,) = transform.feed(Chunk(before.encode(), document))
    assert not [*transform.end()]
    assert json.dumps(document) == before
    assert (out.raw is None) == transform.changed
    assert out.data is not None
    return out.data, transform.changed


def document(logprobs: Any, *, streamed: bool) -> dict[str, Any]:
    made = chat_chunk({"content": "t0x"})
    if not streamed:
        made["choices"][0]["message"] = made["choices"][0].pop("delta")
    made["choices"][0]["logprobs"] = logprobs
    return made


@pytest.mark.parametrize(
    ("value", "call", "changed"),
    [
        (COARSE, chat(logprobs=True, top_logprobs=5), {"top_logprobs": 1}),
        (COARSE, chat(logprobs=True, top_logprobs=1), {}),
        (COARSE, chat(logprobs=True), {}),
        (COARSE, chat(), {}),
        ([{"logprobs": {"decimals": 2}}], chat(logprobs=True, top_logprobs=5), {}),
        (["logit_bias", *COARSE], chat(logprobs=True, logit_bias={"1": 2}), {"logit_bias": None}),
        (["logprobs"], message(), {}),
        (COARSE, completion(logprobs=5), {"logprobs": 1}),
        (COARSE, completion(logprobs=0), {}),
        (["top_logprobs"], completion(logprobs=5), {"logprobs": 0}),
        (["logprobs"], completion(logprobs=0), {"logprobs": None}),
        (["logprobs", "logit_bias"], completion(logit_bias={"1": 2}), {"logit_bias": None}),
        ([{"embeddings": {"decimals": 2}}], embedding(), {}),
    ],
)
async def test_no_more_alternatives_are_asked_for_than_are_kept(value: Any, call: Call, changed: Any) -> None:
    assert await body("drop", value, call) == changed


PROBE = chat(logprobs=True, top_logprobs=5)


@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "document"])
@pytest.mark.parametrize(
    ("value", "left"),
    [
        (COARSE, ROUND),
        ([{"logprobs": {"top": 2}}], figures(-0.34567, -1.81, top=2)),
        (["logprobs"], None),
        (["top_logprobs"], figures(-0.34567, -1.81, top=0)),
    ],
)
def test_an_answer_has_no_more_figures_than_are_left_whatever_the_upstream_sends(
    value: Any, left: Any, *, streamed: bool
) -> None:
    fine = document(figures(-0.34567, -1.81), streamed=streamed)
    assert answered(value, PROBE, fine, streamed=streamed) == (document(left, streamed=streamed), True)


@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "document"])
@pytest.mark.parametrize(
    ("value", "logprobs"), [(COARSE, ROUND), (COARSE, None), (["logprobs"], None), (COARSE, {"content": []})]
)
def test_an_answer_that_has_no_more_is_left_byte_for_byte(value: Any, logprobs: Any, *, streamed: bool) -> None:
    given = document(logprobs, streamed=streamed)
    assert answered(value, PROBE, given, streamed=streamed) == (given, False)


@pytest.mark.parametrize(("value", "left"), [(COARSE, -0.3), (["top_logprobs"], -0.34567)])
def test_the_figures_of_a_prompt_that_is_repeated_are_the_same_ones(value: Any, left: float) -> None:
    action = begun(value, completion(logprobs=5, echo=True))
    assert isinstance(action, AnswerAction)
    tokens = {
        "17": {"logprob": -0.34567, "rank": 2},
        "5": {"logprob": -0.1, "rank": 1},
        "6": {"logprob": -3, "rank": 3},
    }
    choice = {"index": 0, "text": "hi", "logprobs": None, "prompt_logprobs": [None, tokens]}  # as vLLM has them
    (out,) = action.on_answer(COMPLETIONS.wire(streamed=False)).feed(Chunk(b"...", {"choices": [choice]}))
    kept = {"17": {"logprob": left, "rank": 2}}
    if value is COARSE:
        kept["5"] = {"logprob": -0.1, "rank": 1}
    assert out.data == {"choices": [{**choice, "prompt_logprobs": [None, kept]}]}


def test_a_certain_token_is_rounded_to_a_plain_zero() -> None:
    made, _ = answered(COARSE, PROBE, document({"content": [alternative("t", -0.0001)]}, streamed=True), streamed=True)
    assert json.dumps(made["choices"][0]["logprobs"]["content"][0]["logprob"]) == "0.0"


@pytest.mark.parametrize("strange", [1, "x", [1, 2.34], {"top_logprobs": {"a": -0.123}}, {"content": [None, "x"]}])
def test_whatever_stands_in_place_of_figures_does_no_harm(strange: Any) -> None:
    made, _ = answered(COARSE, PROBE, document(strange, streamed=True), streamed=True)
    assert ".123" not in json.dumps(made)


@pytest.mark.parametrize(
    ("value", "call"),
    [
        (["logprobs"], chat()),
        (COARSE, chat(logit_bias={"1": 2})),
        (["logit_bias"], PROBE),
        (["logprobs"], message()),
        (["logprobs"], completion()),
        (["logprobs"], embedding()),
        ([{"embeddings": {"decimals": 2}}], PROBE),
    ],
)
def test_an_answer_without_figures_asked_for_is_not_even_read(value: Any, call: Call) -> None:
    assert not isinstance(begun(value, call), AnswerAction)


def test_a_message_of_the_other_api_passes_as_it_came() -> None:
    wire = MESSAGES.wire(streamed=False)
    assert wire.coarse({"x": 1.23}, 1, 1) == {"x": 1.23}
