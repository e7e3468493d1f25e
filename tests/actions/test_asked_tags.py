"""Promises about the tags that a request asks to have reasoning in: found by its words, and no others."""

from __future__ import annotations

import time
from typing import Any

import pytest

from proxy.actions.asked_tags import asked_tags, prefilled


def asking(*texts: str) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text} for text in texts]}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Think step by step inside <x> tags, then answer in <y>.", {"x"}),
        ("Put your reasoning in <r> and the result in <s>.", {"r"}),
        ("Use <r> for your reasoning and <a1> for the answer.", {"r"}),
        ("Use <r></r> for your reasoning.", {"r"}),
        ("Use <ans1> for the answer, with your thoughts in <work>.", {"work"}),
        ("Write all of your reasoning between <w> and </w>, please.", {"w"}),
        ("Show your work within the XML tags `<w>`.", {"w"}),
        ("Reply as <steps>your step-by-step reasoning</steps><out>the answer</out>", {"steps"}),
        ("Your chain of thought:\n<notes>\n...\n</notes>\nYour reply:\n<say>\n...\n</say>", {"notes"}),
        ("Fill <my_thoughts>, <innerMonologue> and <step.cot>.", {"my_thoughts", "innermonologue", "step.cot"}),
        ("THINK OUT LOUD IN <Deep>", {"deep"}),
        ("Before you answer, reflect in <r>.", {"r"}),
        ("Think carefully, then give the answer in <answer>.", set()),
        ("Give the final answer after thinking in <result>.", set()),
        ("I think List<String> is right, and so is Map<K>.", set()),
        ("I think <Foo> is a component.", set()),
        ("Think of a button that is wrapped in <Card>.", set()),
        ('Write your reasoning about the paper, and end with "Grade: <grade>".', set()),
        ("Divide the proof into clear steps within <part> tags.", {"part"}),
        ("Between them, write <reflection> and nothing else.", {"reflection"}),
        ("Think about it carefully in <x>.", {"x"}),
        ('Put your reasoning into <step n="1">, <step n="2"> and so on.', {"step"}),
        ("Translate: <comment>I think your product is great</comment>", set()),
        ("Write HTML with <b> for the reasoning.", set()),
        ("Give me the numbers in <data>. I was thinking of primes.", set()),
        ("Think. Then list the cities in <cities>.", set()),
        ("请先在<cot>标签中逐步推理,然后在<answer>中回答。", {"cot"}),
        ("请在<思考过程>里写出推理,再在<答案>里回答。", {"思考过程"}),
        ("<推理>と</推理>の間に書き、<回答>に答えてください。", {"推理"}),
        ("Escribe en <razonamiento> y responde en <respuesta>.", {"razonamiento"}),
        ("Schreib es in <Überlegungen>, dann <Antwort>.", {"überlegungen"}),
        ("Пиши в <рассуждение>, ответ в <ответ>.", {"рассуждение"}),
        ("Think step by step in <étape>.", {"étape"}),
        (f"Think step by step in <{'long-' * 40}x>.", {f"{'long-' * 40}x"}),
        ("No tags at all, only reasoning.", set()),
    ],
)
def test_tags_are_found_by_the_words_that_explain_them(text: str, found: set[str]) -> None:
    assert asked_tags(asking(text)) == found


@pytest.mark.parametrize("other", ["my_thoughts", "k"])
def test_hundreds_of_other_tags_hide_none(other: str) -> None:
    others = ", ".join(f"<{other}_{number}>" for number in range(700))
    assert "zz" in asked_tags(asking(f"There are {others}. Think step by step in <zz>."))
    assert "zz" in asked_tags(asking(f"There are {'<zz>, ' * 400}. Think step by step in <zz>. {'<zz>, ' * 400}"))


def test_every_text_of_a_request_is_read() -> None:
    body = asking("Hello.") | {
        "system": [{"type": "text", "text": "Reason in <a1>."}],
        "tools": [
            {
                "name": "t",
                "description": "Call it after thinking in <a2>.",
                "input_schema": {"properties": {"Think step by step in <a3>.": {"type": "string"}}},
            }
        ],
    }
    assert asked_tags(body) == {"a1", "a2", "a3"}


@pytest.mark.parametrize(
    "text",
    [
        *["<a " * 300_000, "<a>" * 300_000, "think in <a1>" * 100_000, ("<a>" + " " * 100) * 9_000],
        "".join(f"think in <a{n}>" for n in range(60_000)),
    ],
)
def test_a_hostile_request_takes_no_longer_than_others(text: str) -> None:
    began = time.process_time()
    assert len(asked_tags(asking(text))) <= 1_024
    assert time.process_time() - began < 0.1


def test_the_answers_beginning_is_the_last_message_if_it_is_the_assistants() -> None:
    assert prefilled(asking("<think>")) == ""
    assert prefilled({"messages": [{"role": "assistant", "content": "a <think>"}]}) == "a <think>"
    blocks = [{"type": "text", "text": "a "}, {"type": "tool_use", "input": {}}, {"type": "text", "text": "<think>"}]
    assert prefilled({"messages": [{"role": "assistant", "content": blocks}]}) == "a <think>"
    assert prefilled({"messages": []}) == prefilled({}) == prefilled({"messages": [1]}) == ""


@pytest.mark.parametrize(
    ("members", "begun"),
    [
        ({"prompt": "Q: 2+2?\nA: <think>\n"}, "<think>\n"),
        ({"prompt": "Solve it.\n<think>Let me see"}, "<think>Let me see"),
        ({"prompt": "Solve it. <r>"}, "<r>"),
        ({"prompt": "Think in <r> and then answer."}, ""),
        ({"prompt": "<r>old</r>\nNow go on:\n<r> so"}, "<r> so"),
        ({"prompt": "Solve it."}, ""),
        ({"prompt": ["Solve it.", "Solve that. <r>"]}, "<r>"),
        ({"prompt": [1, 2, 3]}, ""),
        ({"prompt": [[1, 2], [3]]}, ""),
        ({"prompt": "Solve it. <r>", "echo": True}, ""),
    ],
)
def test_a_completion_goes_on_in_the_tag_that_its_prompt_ends_in(members: dict[str, Any], begun: str) -> None:
    assert prefilled(members) == begun


def test_a_long_prompt_is_searched_for_its_last_tag_in_no_time() -> None:
    began = time.process_time()
    for hostile in ("<a> " * 100_000, "a" * 400_000, "\n \t" * 100_000, "<" * 400_000, "a:\n" * 100_000):
        prefilled({"prompt": hostile})
    assert time.process_time() - began < 1
