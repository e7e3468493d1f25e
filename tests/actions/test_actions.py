"""The actions of the ladder: what each changes in a call, what it leaves alone, and what a pack may say of it."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.actions import ACTIONS
from proxy.actions.base import Rejection
from proxy.actions.clamp import Clamp
from proxy.actions.drop import Drop
from proxy.actions.reject import Reject
from proxy.dialects.strict_json import write
from proxy.exchange import Call
from tests.actions.calls import CHAT, EXCHANGE, MESSAGES, TOOLS, chat, message

PROBE = {"logprobs": True, "top_logprobs": 5, "logit_bias": {"1": 2}}


@pytest.mark.parametrize(
    ("what", "call", "left"),
    [
        (["logprobs"], chat(**PROBE), {"logit_bias"}),
        (["top_logprobs"], chat(**PROBE), {"logprobs", "logit_bias"}),
        (["logit_bias"], chat(**PROBE), {"logprobs", "top_logprobs"}),
        (["logprobs", "logit_bias"], chat(**PROBE, temperature=0.5), {"temperature"}),
        ("logit_bias", chat(logit_bias={"1": 2}), set()),
        (["logprobs"], chat(logprobs=True, top_logprobs=0), set()),
        (["logprobs"], chat(logprobs=False, top_logprobs=5), set()),
    ],
)
async def test_what_is_dropped_is_not_asked_of_the_model(what: Any, call: Call, left: set[str]) -> None:
    before = write(call.body)
    changed = await Drop.read(what).begin(EXCHANGE, TOOLS).on_call(call)
    assert isinstance(changed, Call)
    assert changed.body.keys() == {"model", "messages", *left}
    assert write(call.body) == before, "the call itself stays as it was"


@pytest.mark.parametrize(
    ("parameters", "call", "changed"),
    [
        ({"max_output_tokens": 512}, chat(max_tokens=4000), {"max_tokens": 512}),
        ({"max_output_tokens": 512}, chat(max_completion_tokens=4000), {"max_completion_tokens": 512}),
        ({"max_output_tokens": 512}, chat(), {"max_completion_tokens": 512}),
        ({"n": 1}, chat(n=4), {"n": 1}),
        ({"max_output_tokens": 9, "n": 2}, chat(n=4, max_tokens=10), {"max_tokens": 9, "n": 2}),
        ({"max_output_tokens": 512}, message(), {"max_tokens": 512}),
        (
            {"max_output_tokens": 512},
            message(thinking={"type": "enabled", "budget_tokens": 2000}),
            {"max_tokens": 512, "thinking": {"type": "disabled"}},
        ),
        (
            {"max_output_tokens": 1500},
            message(thinking={"type": "enabled", "budget_tokens": 2000}),
            {"max_tokens": 1500, "thinking": {"type": "enabled", "budget_tokens": 1499}},
        ),
    ],
)
async def test_what_asks_for_more_gets_the_bound(parameters: Any, call: Call, changed: dict[str, Any]) -> None:
    clamped = await Clamp.read(parameters).begin(EXCHANGE, TOOLS).on_call(call)
    assert isinstance(clamped, Call)
    assert clamped.body == {**call.body, **changed}
    assert clamped.max_output_tokens == changed.get("max_completion_tokens", changed.get("max_tokens"))
    assert clamped.choices == changed.get("n", call.choices)
    dialect = MESSAGES if call.length_member == "max_tokens" and "thinking" in changed else CHAT
    assert dialect.read(dialect.write(clamped)).body.items() >= changed.items()


@pytest.mark.parametrize(
    ("kind", "call"),
    [
        (Drop.read(["logprobs", "logit_bias"]), chat(temperature=1)),
        (Drop.read(["logprobs"]), chat(logprobs=False, logit_bias={"1": 2})),
        (Clamp.read({"max_output_tokens": 512, "n": 2}), chat(max_tokens=512, n=2)),
        (Clamp.read({"n": 1}), chat()),
    ],
)
async def test_a_call_that_needs_no_change_is_the_very_same(kind: Any, call: Call) -> None:
    assert await kind.begin(EXCHANGE, TOOLS).on_call(call) is call


async def test_a_rejection_has_the_status_of_the_pack() -> None:
    assert await Reject.read({}).begin(EXCHANGE, TOOLS).on_call(chat()) == Rejection(403)
    assert await Reject.read({"status": 429}).begin(EXCHANGE, TOOLS).on_call(chat()) == Rejection(429)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("drop", [], "should be a list of what can be dropped: logit_bias, logprobs and top_logprobs"),
        ("drop", ["logprob"], "should be a list"),
        ("drop", [["logprobs"]], "should be a list"),
        ("drop", {"logprobs": True}, "logprobs: should be a map"),
        ("drop", None, "should be a list"),
        ("drop", [{"logprobs": {}}], "logprobs: should have top, decimals or both"),
        ("drop", [{"logprobs": 1}], "logprobs: should be a map with decimals and top"),
        ("drop", [{"logprobs": {"top": 21}}], "logprobs: top should be a whole number from 0 to 20"),
        ("drop", [{"logprobs": {"decimals": -1}}], "logprobs: decimals should be a whole number from 0 to 6"),
        ("drop", [{"logprobs": {"tops": 1}}], "logprobs: unknown key 'tops'; there is decimals and top"),
        ("drop", ["logprobs", {"logprobs": {"top": 1}}], "either removed or kept with less detail, and once"),
        ("drop", [{"logit_bias": {"top": 1}}], "should be a list of what can be dropped"),
        ("drop", ["embeddings"], "should be a list of what can be dropped"),
        ("drop", [{"embeddings": {}}], "embeddings: should have decimals, degrees or both"),
        ("drop", [{"embeddings": 3}], "embeddings: should be a map with decimals and degrees"),
        ("drop", [{"embeddings": {"decimals": 0}}], "embeddings: decimals should be a whole number from 1 to 8"),
        ("drop", [{"embeddings": {"degrees": 90}}], "embeddings: degrees should be a number from 0.1 to 45"),
        ("drop", [{"embeddings": {"degrees": 5}}] * 2, "embeddings are kept with less detail once"),
        ("clamp", {}, "should have at least one of max_output_tokens, n, best_of, temperature, tools, images, context"),
        ("clamp", {"temperature": 1}, "temperature: should be a map with max and min"),
        ("clamp", {"temperature": {}}, "temperature: should have min, max or both"),
        ("clamp", {"temperature": {"min": 0.8, "max": 0.5}}, "temperature: should have min, max or both, min being no"),
        ("clamp", {"temperature": {"min": 1.5}}, "temperature: min should be a number from 0 to 1"),
        ("clamp", {"temperature": {"top": 1}}, "temperature: unknown key 'top'; there is max and min"),
        ("clamp", {"tools": 0}, "tools should be a whole number from 1 to 256"),
        ("clamp", {"images": -1}, "images should be a whole number from 0 to 10,000"),
        ("clamp", {"max_output_tokens": 0}, "max_output_tokens should be a whole number from 1 to 10,000,000"),
        ("clamp", {"max_output_tokens": True}, "max_output_tokens should be a whole number"),
        ("clamp", {"n": 1.5}, "n should be a whole number from 1 to 128"),
        ("withhold", "logprobs", "should be a list of what can be withheld: reasoning"),
        ("withhold", None, "should be a list of what can be withheld"),
        ("withhold", {"tags": ["plan"]}, "should have reasoning: true"),
        ("withhold", {"reasoning": True, "tags": "plan"}, "tags should be a list of at most 32 names"),
        ("withhold", {"reasoning": True, "tags": ["<plan>"]}, "tags should be a list of at most 32 names"),
        ("withhold", {"reasoning": True, "tags": ["a"] * 33}, "tags should be a list of at most 32 names"),
        ("withhold", {"reasoning": True, "sumary": {}}, "unknown key 'sumary'; there is reasoning, summary and tags"),
        ("withhold", {"reasoning": True, "summary": True}, "summary: should be a map with model, tokens and within"),
        ("withhold", {"reasoning": True, "summary": {}}, "summary: model should be the name of a model in the settin"),
        (
            "withhold",
            {"reasoning": True, "summary": {"model": "m", "tokens": 19}},
            "summary: tokens should be a whole nu",
        ),
        (
            "withhold",
            {"reasoning": True, "summary": {"model": "m", "within": "31s"}},
            "summary: within should be a time",
        ),
        ("clamp", {"tokens": 5}, "unknown key 'tokens'; there is best_of, context_tokens, images"),
        ("clamp", 512, "should be a map with best_of, context_tokens"),
        ("pace", {}, "should have first_token, tokens_per_second or both"),
        ("pace", {"first_token": 2}, "first_token should be a time such as 500ms, 2s or 1m, at most 1m"),
        ("pace", {"first_token": "2m"}, "first_token should be a time such as 500ms, 2s or 1m, at most 1m"),
        ("pace", {"first_token": "1h"}, "first_token should be a time"),
        ("pace", {"tokens_per_second": 0}, "tokens_per_second should be a number from 1 to 1000"),
        ("pace", {"tokens_per_second": True}, "tokens_per_second should be a number"),
        ("pace", {"tokens_per_second": 5, "jitter": 0.6}, "jitter should be a number from 0 to 0.5"),
        ("pace", {"tokens_per_second": 5, "hold": "10m"}, "hold should be a time such as 500ms, 2s or 1m, at most 5m"),
        ("pace", {"first": "2s"}, "unknown key 'first'; there is first_token, hold, jitter and tokens_per_second"),
        ("reroute", {}, "model should be the name of a model in the settings"),
        ("reroute", {"model": 3}, "model should be the name of a model in the settings"),
        ("reroute", {"to": "small"}, "unknown key 'to'; there is model"),
        ("challenge", {}, "url should be an https address without credentials"),
        ("challenge", {"url": "http://x.example"}, "url should be an https address"),
        ("challenge", {"url": "https://me@x.example"}, "url should be an https address"),
        ("challenge", {"url": "https://x.example/a b"}, "url should be an https address"),
        ("challenge", {"url": "https://[x.example"}, "url should be an https address"),
        ("challenge", {"url": "https://x.example", "verified_by": 3}, "verified_by should be the name of an attribute"),
        ("reject", {"status": 404}, "status should be 403 or 429"),
        ("reject", {"status": 500}, "status should be 403 or 429"),
        ("reject", {"status": 403.0}, "status should be 403 or 429"),
        ("reject", {"code": "x"}, "unknown key 'code'; there is status"),
    ],
)
def test_a_pack_that_says_nonsense_of_an_action_is_told_what_it_takes(name: str, value: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says.replace("(", r"\(")):
        ACTIONS[name].read(value)


@pytest.mark.parametrize("name", ACTIONS)
def test_every_action_says_what_it_does_and_what_shows(name: str) -> None:
    kind = ACTIONS[name]
    assert kind.name == name
    assert kind.summary.endswith(".")
    assert kind.discloses
    assert kind.never_touches
    assert all(words.endswith(".") for words in kind.parameters.values())
