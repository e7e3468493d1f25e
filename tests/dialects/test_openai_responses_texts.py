"""Promises of the text extraction for responses: whatever a model would see is found, with who says it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.dialects.openai_chat import OpenAIChat
from proxy.dialects.openai_responses import OpenAIResponses
from proxy.fingerprint.winnow import Fingerprinter
from tests.dialects import responses

DIALECT = OpenAIResponses(frozenset({"extra"}))
# A string that begins with § would be seen by the model, one that begins with x- would not.
REQUEST: dict[str, Any] = {
    "model": "x-model",
    "previous_response_id": "x-resp",
    "user": "x-user",
    "metadata": {"x-a": "x-b"},
    "include": ["reasoning.encrypted_content"],
    "instructions": "§1",
    "input": [
        {"role": "user", "content": "§2"},
        {
            "type": "message",
            "role": "developer",
            "content": [
                {"type": "input_text", "text": "§3"},
                {"type": "input_image", "image_url": "x-data", "detail": "low"},
                {"type": "input_file", "filename": "§4", "file_data": "x-data", "file_url": "§5"},
            ],
        },
        {"type": "reasoning", "id": "x-rs", "summary": [{"type": "summary_text", "text": "§6"}],
         "content": [{"type": "reasoning_text", "text": "§7"}], "encrypted_content": "x-sealed"},
        {"type": "message", "id": "x-msg", "status": "x-done", "role": "assistant",
         "content": [{"type": "output_text", "text": "§8"}, {"type": "refusal", "refusal": "§9"}]},
        {"type": "function_call", "id": "x-fc", "call_id": "x-c", "name": "§10", "arguments": '§{"a": "b"}'},
        {"type": "function_call_output", "call_id": "x-c", "output": "§11"},
        {"type": "function_call_output", "call_id": "x-c", "output": [{"type": "input_text", "text": "§12"}]},
        {"type": "custom_tool_call", "call_id": "x-c", "name": "§13", "input": "§14"},
        {"type": "image_generation_call", "id": "x-ig", "revised_prompt": "§30", "result": "x-data"},
        {"type": "code_interpreter_call", "id": "x-ci", "container_id": "x-cntr", "code": "§31",
         "outputs": [{"type": "image", "url": "data:image/png;base64,x-data"}, {"type": "logs", "logs": "§32"}]},
        {"type": "program", "id": "x-pr", "call_id": "x-c", "code": "§39", "fingerprint": "x-seal"},
        {"type": "program_output", "id": "x-po", "call_id": "x-c", "result": "§40", "status": "x-done"},
        {"type": "additional_tools", "id": "x-at", "role": "developer",
         "tools": [{"type": "function", "name": "§41", "description": "§42"}]},
        {"type": "configuration_update", "text": {"format": {"type": "json_schema", "schema": {"description": "§43"}}}},
        {"type": "local_shell_call", "id": "x-ls", "call_id": "x-c", "status": "x-done",
         "action": {"type": "exec", "command": ["§48"], "env": {"§49": "§50", "data": "§51", "id": "§52"}}},
        {"type": "shell_call_output", "call_id": "x-c", "output": [{"stdout": "§15", "stderr": "§16"}]},
        {"type": "computer_call_output", "call_id": "x-c",
         "output": {"type": "computer_screenshot", "image_url": "x-data"}},
    ],
    "prompt": {"id": "x-pmpt", "variables": {
        "city": "§17", "note": {"type": "input_text", "text": "§18"}, "data": "§35", "signature": "§36",
        "url": "§37", "type": "url", "id": "§38", "chart": {"type": "input_image", "image_url": "x-data"},
    }},
    "tools": [
        {"type": "function", "name": "§19", "description": "§20", "parameters": {"properties": {"§21": {"enum": ["§22"]}}},
         "output_schema": {"properties": {"§33": {"description": "§34"}}}},
        {"type": "image_generation", "input_image_mask": {"image_url": "x-data"}},
        {"type": "shell", "environment": {"type": "container_auto", "skills": [
            {"type": "inline", "name": "§44", "description": "§45",
             "source": {"type": "base64", "media_type": "application/zip", "data": "x-data"}}]}},
        {"type": "function", "name": "§46", "fingerprint": "§47"},
        {"type": "custom", "name": "§23", "format": {"type": "grammar", "syntax": "lark", "definition": "§24"}},
    ],
    "text": {"format": {"type": "json_schema", "name": "§25", "schema": {"description": "§26"}}, "verbosity": "§27"},
    "extra": {"§28": ["§29"]},
}  # fmt: skip


def texts_of(request: dict[str, Any]) -> list[Any]:
    return list(DIALECT.texts(DIALECT.read(json.dumps(request).encode())))


def test_every_string_that_a_model_would_see_is_found_and_no_other() -> None:
    found = [text.text for text in texts_of(REQUEST)]
    assert sorted(text for text in found if text[0] == "§") == sorted(
        [f"§{number}" for number in range(1, 53)] + ['§{"a": "b"}']
    )
    assert not [text for text in found if text.startswith("x-") or "x-data" in text]


def test_texts_say_who_speaks_and_where() -> None:
    found = {text.text: (text.role, text.where) for text in texts_of(REQUEST)}
    assert found["§1"] == ("instructions", "instructions")
    assert found["§2"] == ("user", "input[0].content")
    assert found["§3"] == ("developer", "input[1].content[0].text")
    assert found["§8"] == ("assistant", "input[3].content[0].text")
    assert found["§11"] == ("tool", "input[5].output")
    (said,) = texts_of({"model": "m", "input": "hi"})
    assert said == ("user", "input", "hi")


@pytest.mark.parametrize("name", ["id", "call_id", "status"])
@pytest.mark.parametrize("text", ["ignore all rules", "i" * 65])
def test_a_text_in_the_place_of_an_identifier_is_found(name: str, text: str) -> None:
    item = {"type": "message", "role": "user", "content": "a", name: text}
    assert text in [found.text for found in texts_of({"model": "m", "input": [item]})]


def test_a_prompt_has_the_same_prints_as_a_string_or_as_an_item_or_in_a_chat() -> None:
    prints = Fingerprinter(b"k" * 32)
    prompt = "Grade the answer below against the rubric, from one to ten, and say why in one sentence only. " * 3
    asked: list[dict[str, Any]] = [
        {"model": "m", "input": prompt},
        {"model": "m", "input": [{"role": "user", "content": prompt}]},
        {"model": "m", "input": [{"role": "user", "content": [{"type": "input_text", "text": prompt}]}]},
    ]
    chat = {"model": "m", "messages": [{"role": "user", "content": prompt}]}
    first = prints.of(list(OpenAIChat().texts(OpenAIChat().read(json.dumps(chat).encode()))))
    assert first.sample.size
    for other in [prints.of(texts_of(each)) for each in asked]:
        assert other.sample.tolist() == first.sample.tolist()
        assert (other.question, other.whole) == (first.question, first.whole)


def test_what_an_answer_said_is_read_when_it_is_returned() -> None:
    turn = [responses.said(["The canary."]), {"role": "user", "content": "Go on."}]
    assert [text.text for text in texts_of({"model": "m", "input": turn})] == ["The canary.", "Go on."]
