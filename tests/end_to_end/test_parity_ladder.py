"""The same scenes in every API and form: what is seen of a prompt, and what the ladder leaves of calls and answers.

One proxy serves the file; each test has an account of its own.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.end_to_end.parity import (
    IN_EACH_FORM,
    PACK,
    SETTINGS,
    TOKENS,
    URL,
    Customer,
    body_of,
    documents,
    limits_of,
    script_of,
    without_usage,
)
from tests.end_to_end.scene import Scene, staged
from tests.rig.scripted_upstream import json_answer
from tests.rig.speech import CHAT, COMPLETIONS, COUNT, EMBEDDINGS, FORMS, MESSAGES, RESPONSES, VECTOR, Speech
from tests.rig.structured_fields import read_list

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with staged(tmp_path_factory.mktemp("parity"), SETTINGS, pack=PACK) as scene:
        yield scene
        await scene.at_peace()


PROMPT = (
    "You are a careful grader of worked solutions. Read the problem, write out every step of the reasoning that leads "
    "to the result, name the rule that each step uses, and end with a line that has the result alone. Problem: 2 + 2."
)


async def test_a_prompt_has_the_same_prints_whatever_api_it_comes_by(scene: Scene) -> None:
    prints = []
    for speech, streamed in FORMS:
        customer = await Customer.of(scene, speech, streamed=streamed)
        _, record = await customer.ask(text=PROMPT)
        prints.append(record["prints"])
    assert prints[0]
    assert all(each == prints[0] for each in prints)


async def test_a_prompt_of_tokens_has_no_prints_and_is_charged_all_the_same(scene: Scene) -> None:
    """Q-06."""
    for speech in (COMPLETIONS, EMBEDDINGS):
        customer = await Customer.of(scene, speech)
        body = without_usage(body_of(speech, streamed=False), streamed=False)
        for given in ([7] * 30_000, [[7] * 15_000] * 2):
            members: dict[str, Any] = {speech.reads: given}
            _, record = await customer.ask(script_of(body, streamed=False), **members)
            assert record["prints"] == []
            assert record["reserved"]["input_tokens"] == record["usage"]["input"] == 30_001


# What is left of the call, and which actions are recorded: those that found something to change.
DONE: dict[Speech, tuple[dict[str, Any], set[str]]] = {
    CHAT: (
        {"model": "m-small", "max_tokens": 8, "top_logprobs": 1, "logit_bias": None},
        {"drop", "clamp", "pace", "reroute"},
    ),
    RESPONSES: (
        {"model": "m-small", "max_output_tokens": 16, "top_logprobs": 1},
        {"drop", "clamp", "pace", "reroute"},
    ),
    COMPLETIONS: (
        {"model": "m-small", "max_tokens": 8, "logprobs": 1, "logit_bias": None},
        {"drop", "clamp", "pace", "reroute"},
    ),
    EMBEDDINGS: ({"model": "m-large"}, {"drop"}),
    MESSAGES: ({"model": "m-small", "max_tokens": 8}, {"clamp", "pace", "reroute"}),
    COUNT: ({"model": "m-large"}, set()),
}
PROBING: dict[Speech, dict[str, Any]] = {
    CHAT: {"logprobs": True, "top_logprobs": 5, "logit_bias": {"1": 2}},
    RESPONSES: {"include": ["message.output_text.logprobs"], "top_logprobs": 5, "max_output_tokens": 32},
    COMPLETIONS: {"logprobs": 5, "logit_bias": {"1": 2}},
}


@IN_EACH_FORM
async def test_a_flagged_caller_gets_what_the_ladder_leaves_and_it_is_on_record(
    scene: Scene, speech: Speech, streamed: bool
) -> None:
    """E-16: in every dialect and form, each degraded answer logged with rung and actions, and none that was not."""
    customer = await Customer.of(scene, speech, streamed=streamed, plan="limited")
    sent, actions = DONE[speech]
    body = body_of(speech, streamed=streamed, model=sent["model"])
    answer, record = await customer.ask(script_of(body, streamed=streamed), **PROBING.get(speech, {}))
    asked = scene.upstream.requests[-1].json()
    assert {name: asked.get(name) for name in sent} == sent
    assert set(record["actions"]) == actions
    assert (record["effect"], record["rung"]) == (("degrade", "limited") if actions else ("allow", "limited"))
    assert (record["model"], record["model_used"]) == ("m-large", sent["model"])
    assert record["reserved"]["output_tokens"] == sent.get(speech.length, 0)  # no more than the policy's cap
    assert (answer.status, answer.header("stillgate-limited")) == (200, "1" if actions else None)
    anybody = await Customer.of(scene, speech, streamed=streamed)
    plain, _ = await anybody.ask(script_of(body, streamed=streamed), **PROBING.get(speech, {}))
    assert limits_of(answer, speech) == limits_of(plain, speech) != {}  # E-15: nor does what is left tell of the clamp
    policies = [read_list(each.header("ratelimit-policy") or "") for each in (answer, plain)]
    assert policies[0] == policies[1] != []
    assert record["usage"]["source"] == "upstream"
    read = documents(answer.body, streamed=streamed)
    whole = documents(body, streamed=streamed)
    if speech is EMBEDDINGS:
        (turned,) = json.loads(speech.heard(read))
        assert turned != VECTOR
        assert turned == [round(figure, 3) for figure in turned]
        assert sum(figure * figure for figure in turned) == pytest.approx(1, abs=0.01)
    else:
        assert speech.heard(read) == speech.heard(whole)
    assert {document["model"] for document in read if "model" in document} <= {sent["model"]}
    assert (record["id"] in {begun["id"] for begun in scene.gate.records("begin")}) == bool(actions)


@pytest.mark.parametrize("form", ["float", "base64"])
async def test_vectors_of_a_flagged_caller_are_the_same_each_time_he_asks(scene: Scene, form: str) -> None:
    customer = await Customer.of(scene, EMBEDDINGS, plan="limited")
    other = await Customer.of(scene, EMBEDDINGS, plan="limited")
    script = json_answer(200, EMBEDDINGS.document(form, "m-large", TOKENS))
    first, second, others = [
        EMBEDDINGS.heard([(await each.ask(script, text=form, encoding_format=form))[0].json()])
        for each in (customer, customer, other)
    ]
    assert first == second != EMBEDDINGS.heard([EMBEDDINGS.document(form, "m-large", TOKENS)])
    assert others != first


@IN_EACH_FORM
@pytest.mark.parametrize(("plan", "rung"), [("unverified", "verify"), ("banned", "banned")])
async def test_who_is_refused_is_told_in_his_api_and_nothing_goes_upstream(
    scene: Scene, speech: Speech, streamed: bool, plan: str, rung: str
) -> None:
    customer = await Customer.of(scene, speech, streamed=streamed, plan=plan)
    calls = scene.calls
    refused, record = await customer.ask()
    assert (refused.status, scene.calls, refused.header("x-should-retry")) == (403, calls, "false")
    assert (record["effect"], record["by"], record["settled"]) == ("deny", rung, {})
    assert (URL in refused.json()["error"]["message"]) == (plan == "unverified")
    assert refused.json()["error"]["type"] == "permission_error"
