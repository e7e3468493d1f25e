from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.detectors.request_shape import RequestShape
from tests.detectors.exchanges import exchange

IMAGE = {"type": "image", "source": {"type": "base64"}}
SHOWN = {"type": "input_image", "image_url": "https://example.com/1.png"}
OUTPUT = {"type": "function_call_output", "output": [SHOWN]}
DOCUMENT = {"type": "document", "source": {"type": "content", "content": [IMAGE, {"type": "text"}]}}
FETCHED = {"type": "web_fetch_result", "url": "https://example.com", "content": DOCUMENT}
SCREENSHOT = {"type": "computer_screenshot", "image_url": "data:image/png;base64,"}
NAMESPACE = {"type": "namespace", "tools": [{}, {"type": "namespace", "tools": [{}]}, {"type": "namespace"}]}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = (
    "messages",
    "input",
    "prompt",
    "include",
    "tools",
    "functions",
    "logprobs",
    "top_logprobs",
    "logit_bias",
    "stop",
    "stop_sequences",
    "temperature",
)


@pytest.mark.parametrize(
    ("body", "field", "value"),
    [
        ({"logprobs": True, "top_logprobs": 5}, "request.logprobs", True),
        ({"logprobs": True, "top_logprobs": 5}, "request.top_logprobs", 5),
        ({"logprobs": 3}, "request.logprobs", True),
        ({"logprobs": 3}, "request.top_logprobs", 3),
        ({"logprobs": 0}, "request.logprobs", True),
        ({"logprobs": 0}, "request.top_logprobs", 0),
        ({"logit_bias": {"1": 100, "2": -100}}, "request.logit_bias_keys", ("1", "2")),
        ({"logit_bias": {"1": 100}}, "request.logit_bias_size", 1),
        ({"logit_bias": {"1" * 9000: 100}}, "request.logit_bias_keys", ("1" * 32,)),
        ({"stop": "x"}, "request.stop_sequences", 1),
        ({"stop_sequences": ["x", "y"]}, "request.stop_sequences", 2),
        ({"temperature": 0}, "request.temperature", 0.0),
        ({"tools": [{}, {}]}, "request.tools", 2),
        ({"tools": [{}, NAMESPACE]}, "request.tools", 4),
        ({"tools": [{}], "input": [{"type": "tool_search_output", "tools": [{}, NAMESPACE]}]}, "request.tools", 5),
        ({"input": [{"type": "additional_tools", "role": "developer", "tools": [{}, {}]}]}, "request.tools", 2),
        ({"input": [{"type": "additional_tools", "role": "developer"}, {"role": "user"}]}, "request.turns", 1),
        ({"messages": [{"content": "x"}, {"content": "y"}]}, "request.turns", 2),
        ({"messages": [{"content": [IMAGE, {"type": "image_url"}, {"type": "text"}]}]}, "request.images", 2),
        ({"messages": [{"content": [{"type": "tool_result", "content": [IMAGE]}]}]}, "request.images", 1),
        ({"messages": [{"role": "user", "type": "image", "content": [IMAGE] * 9}]}, "request.images", 10),
        ({"messages": [{"content": [DOCUMENT, {"type": "tool_result", "content": [DOCUMENT]}]}]}, "request.images", 2),
        ({"messages": [{"content": [{"type": "web_fetch_tool_result", "content": FETCHED}]}]}, "request.images", 1),
        ({"prompt": {"id": "p", "variables": {"chart": SHOWN, "city": "x"}}, "input": "x"}, "request.images", 1),
        ({"input": [{"type": "computer_call_output", "output": SCREENSHOT}, OUTPUT]}, "request.images", 2),
        ({"input": [{**OUTPUT, "output": [SCREENSHOT, SHOWN]}]}, "request.images", 2),
        (
            {"input": [{"type": "image_generation_call", "result": result} for result in ("AAAA", None)]},
            "request.images",
            1,
        ),
        ({"include": ["message.output_text.logprobs"]}, "request.logprobs", True),
        ({"include": ["reasoning.encrypted_content"], "top_logprobs": 3}, "request.top_logprobs", 3),
        ({"input": "x"}, "request.turns", 0),
        ({"input": [{"role": "user", "content": "x"}, {"type": "reasoning"}, OUTPUT]}, "request.turns", 1),
        ({"input": [{"role": "user", "content": [SHOWN, {"type": "input_text"}]}, OUTPUT]}, "request.images", 2),
    ],
)
def test_what_a_request_asks_for_is_counted(body: dict[str, Any], field: str, value: object) -> None:
    assert RequestShape().inspect(exchange(body=body))[field] == value


@pytest.mark.parametrize(
    ("counts", "found"),
    [
        ({}, (None, None)),
        ({"prompts": 3}, (3, None)),
        ({"prompts": 2, "token_ids": 50}, (2, 50)),
    ],
)
def test_prompts_and_what_is_given_as_tokens_are_counted(counts: dict[str, int], found: tuple[object, ...]) -> None:
    asked = exchange(body={})
    assert asked.call is not None
    asked.call = replace(asked.call, **counts)  # type: ignore[arg-type] # two of its fields
    fields = RequestShape().inspect(asked)
    assert (fields.get("request.prompts"), fields.get("request.token_ids")) == found


@given(st.text())
def test_the_length_of_the_prompt_is_in_bytes(text: str) -> None:
    assert RequestShape().inspect(exchange(text, text))["request.text_bytes"] == 2 * len(text.encode())


@given(st.dictionaries(st.sampled_from(MEMBERS), JSON), st.lists(JSON, max_size=3))
def test_every_value_has_the_type_of_its_field(body: dict[str, Any], parts: list[Any]) -> None:
    body["messages"] = [{"role": "user", "content": parts}]
    defaults = {field.name: field.default for field in RequestShape.fields}
    for name, value in RequestShape().inspect(exchange(body=body)).items():
        assert type(value) is type(defaults[name]), name
