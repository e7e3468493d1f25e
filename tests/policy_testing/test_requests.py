"""A request fixture becomes a body that its dialect reads, with everything that it names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from proxy.dialects import dialects
from proxy.policy_testing.requests import Asked
from proxy.policy_testing.running import cases_of
from proxy.policy_testing.schema import RequestFixture
from proxy.rules.pack.pack import ClientMessage, Limit, Quota
from proxy.rules.pack.words import Measure, Mode, Scope
from proxy.settings.types import DIALECTS
from tests.policy_testing.packs import EXAMPLE, HEAD, HOUR, runner, suite

READING = {dialect.name: dialect for dialect in dialects().values()}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_least_request_says_its_text_in_every_dialect(dialect: Any) -> None:
    reading = READING[dialect]
    call = reading.read(Asked(RequestFixture(dialect=dialect, text="Say {n}.")).body(7))
    assert [text.text for text in reading.texts(call)] == ["Say 7."]


@pytest.mark.parametrize(
    ("given", "body"),
    [
        (
            {"system": "Be brief.", "top_logprobs": 3, "logprobs": True},
            {"prompt": "Be brief.\n\nHello.", "logprobs": 3},
        ),
        (
            {"logprobs": True, "max_output_tokens": 9, "n": 2},
            {"prompt": "Hello.", "logprobs": 0, "max_tokens": 9, "n": 2},
        ),
        ({"stop": ("a",), "logit_bias_keys": ("5",)}, {"prompt": "Hello.", "stop": ["a"], "logit_bias": {"5": -100}}),
    ],
)
def test_a_completion_has_what_the_fixture_names_in_its_own_words(given: dict[str, Any], body: dict[str, Any]) -> None:
    asked = Asked(RequestFixture(dialect="openai.completions", **given)).body(1)
    assert READING["openai.completions"].read(asked).body == {"model": "test-model", **body}


def test_a_response_has_what_the_fixture_names_in_its_own_words() -> None:
    given: dict[str, Any] = {"system": "Be brief.", "logprobs": True, "top_logprobs": 3, "max_output_tokens": 16}
    asked = Asked(RequestFixture(dialect="openai.responses", **given, tools=("f",), stream=True)).body(1)
    assert READING["openai.responses"].read(asked).body == {
        "model": "test-model",
        "input": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello."}],
        "include": ["message.output_text.logprobs"],
        "top_logprobs": 3,
        "max_output_tokens": 16,
        "stream": True,
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}],
    }


# Two answers of ten tokens may be asked for at once, and a hundred tokens be read.
REFUSED = ClientMessage(429, "quota_exceeded", "no")
TIGHT = replace(
    EXAMPLE,
    quotas=(
        Quota("written", Scope.KEY, Mode.ENFORCE, (Limit(Measure.OUTPUT_TOKENS, 20, HOUR, exact=True),), REFUSED),
        Quota("read", Scope.KEY, Mode.ENFORCE, (Limit(Measure.INPUT_TOKENS, 100, HOUR, exact=True),), REFUSED),
    ),
)
TEXTS = """\
    count: {dialect: anthropic.count_tokens, text: a text}
    embed: {dialect: openai.embeddings, text: a text}
    write: {dialect: openai.completions, text: a text, max_output_tokens: 10, n: 2, output_tokens: 5}
cases:
"""


@pytest.mark.parametrize(
    ("steps", "passes"),
    [
        ("{as: paid, send: count, times: 100, expect: {effect: allow}}", True),
        ("{as: paid, send: embed, times: 3, expect: {effect: allow}}", True),
        ("{as: paid, send: embed, times: 100, expect: {effect: allow}}", False),
        ("{as: paid, send: write, times: 1, expect: {effect: allow}}", True),
        ("{as: paid, send: write, times: 2, expect: {effect: allow}}", False),
    ],
)
def test_a_packs_tests_charge_what_each_api_is_charged(steps: str, passes: bool) -> None:
    cases = f"  - name: one\n    steps:\n      - {steps}\n"
    (result,) = runner().run(TIGHT, cases_of([suite(cases, TIGHT, HEAD.replace("cases:\n", TEXTS))]))
    assert (result.failure is None) == passes
