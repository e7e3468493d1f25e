"""Promises about completions of texts: what is taken, refused, seen and counted, and what actions find in answers."""

from __future__ import annotations

import json
from typing import Any, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types import Completion
from openai.types.completion_create_params import CompletionCreateParamsBase

from proxy.dialects.openai_completions import OpenAICompletions
from proxy.errors import BadRequest
from proxy.exchange import Call, Chunk, Usage
from proxy.wire import ALL_LANES, Kind, Part
from tests.dialects.streams import cut, data, decode, known, sent

DIALECT = OpenAICompletions()
_BASE = {"model": "m", "prompt": "Once"}
_USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
_DONE = b"data: [DONE]\n\n"


def _body(**members: Any) -> bytes:
    return json.dumps({**_BASE, **members}).encode()


def _chunk(*texts: str, **members: Any) -> dict[str, Any]:
    choices = [
        {"text": text, "index": index, "logprobs": None, "finish_reason": None} for index, text in enumerate(texts)
    ]
    return {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m", "choices": choices, **members}


@pytest.mark.parametrize(
    ("members", "counts"),
    [
        ({}, (1, 1, 1, 0, 16)),
        ({"prompt": None, "max_tokens": 0, "echo": True, "logprobs": 0}, (1, 1, 1, 0, 0)),
        ({"prompt": ["a", "b"], "n": 3, "max_tokens": 9}, (2, 3, 1, 0, 9)),
        ({"prompt": [5, 6, 7], "best_of": 4, "n": 2, "max_tokens": 9}, (1, 2, 4, 3, 9)),
        ({"prompt": [[5, 6], [7]], "suffix": "end", "logit_bias": {"1": 1}}, (2, 1, 1, 3, 16)),
        ({"prompt": "", "suffix": None, "stop": ["a"], "seed": 1, "user": "u"}, (1, 1, 1, 0, 16)),
    ],
)
def test_every_form_of_prompt_is_taken_and_counted(members: dict[str, Any], counts: tuple[int, ...]) -> None:
    """Q-06."""
    call = DIALECT.read(_body(**members))
    assert (call.prompts, call.choices, call.best_of, call.token_ids, call.max_output_tokens) == counts
    assert call.body == {**_BASE, **members}


@pytest.mark.parametrize(
    ("members", "most"), [({}, 16), ({"n": 3}, 48), ({"n": 2, "best_of": 5}, 80), ({"prompt": ["a"] * 7, "n": 2}, 224)]
)
def test_what_may_be_written_counts_every_answer_kept_or_not(members: dict[str, Any], most: int) -> None:
    """Q-05, Q-06."""
    assert DIALECT.read(_body(**members)).most_output(1_000) == most
    assert DIALECT.read(_body(**members)).most_output(8) == most / 2


@pytest.mark.parametrize(
    ("members", "place"),
    [
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [[]]}, "prompt"),
        ({"prompt": ["a", 1]}, "prompt"),
        ({"prompt": [1, "a"]}, "prompt"),
        ({"prompt": [1, -1]}, "prompt"),
        ({"prompt": [True]}, "prompt"),
        ({"prompt": [[1], ["a"]]}, "prompt"),
        ({"prompt": [1.5]}, "prompt"),
        ({"prompt": ["a"] * 1_025}, "prompt"),
        ({"prompt": ["a"] * 100, "n": 11}, "prompt"),
        ({"prompt": ["a"] * 100, "best_of": 11}, "prompt"),
        ({"n": 0}, "n"),
        ({"n": 10**9}, "n"),
        ({"best_of": 129}, "best_of"),
        ({"n": 3, "best_of": 2}, "best_of"),
        ({"logprobs": True}, "logprobs"),
        ({"logprobs": 101}, "logprobs"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"echo": 1}, "echo"),
        ({"suffix": 5}, "suffix"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {}}, "stream_options"),
        ({"stream": True, "stream_options": {"x": 1}}, "stream_options"),
        ({"stop": [1]}, "stop"),
        ({"messages": []}, "messages"),
        ({"prompt_id": "p"}, "prompt_id"),
    ],
)
def test_what_could_be_read_in_two_ways_or_costs_too_much_is_refused(members: dict[str, Any], place: str) -> None:
    """Q-05, Q-06."""
    with pytest.raises(BadRequest) as refused:
        DIALECT.read(_body(**members))
    assert refused.value.param == place


def test_every_member_that_the_official_client_sends_is_taken() -> None:
    known_members = set(get_type_hints(CompletionCreateParamsBase)) - {"model", "prompt"}
    assert known_members
    for name in known_members:
        assert DIALECT.read(_body(**{name: None})).body[name] is None


@pytest.mark.parametrize(
    ("members", "texts"),
    [
        ({}, [("prompt", "prompt", "Once")]),
        (
            {"prompt": ["a", "b"], "suffix": "c"},
            [("prompt", "prompt[0]", "a"), ("prompt", "prompt[1]", "b"), ("suffix", "suffix", "c")],
        ),
        ({"prompt": [[1, 2]], "suffix": "c", "user": "u"}, [("suffix", "suffix", "c")]),
        ({"prompt": None}, []),
    ],
)
def test_every_text_that_the_model_sees_is_found(members: dict[str, Any], texts: list[Any]) -> None:
    assert list(DIALECT.texts(DIALECT.read(_body(**members)))) == texts


@pytest.mark.parametrize(
    ("members", "written"),
    [
        ({}, {"max_tokens": 16}),
        ({"max_tokens": 5}, {"max_tokens": 5}),
        ({"max_tokens": None}, {"max_tokens": 16}),
        ({"max_tokens": 0}, {"max_tokens": 0}),
        ({"stream": True}, {"max_tokens": 16, "stream_options": {"include_usage": True}}),
    ],
)
def test_how_long_an_answer_may_be_is_said_and_the_usage_asked_for(members: dict[str, Any], written: Any) -> None:
    call = DIALECT.read(_body(**members))
    assert json.loads(DIALECT.write(call)) == {**_BASE, **members, **written}
    assert call.body == {**_BASE, **members}


_EVENTS = [
    data(_chunk("Hé")),
    data(_chunk("llo", "x")),
    b": ping\n\n",
    data(_chunk("", usage=_USAGE)),
    b"data: {\n\n",
    _DONE,
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(_EVENTS), max_size=12).map(b"".join), st.lists(st.integers(0, 10_000), max_size=6))
def test_a_stream_is_relayed_byte_for_byte(body: bytes, cuts: list[int]) -> None:
    shown = Call("m", stream=True, body={})
    chunks, progress = decode(DIALECT, shown, cut(body, cuts), streamed=True)
    assert b"".join(chunk.raw or b"" for chunk in chunks) == body
    assert known(progress) == known(decode(DIALECT, shown, [body], streamed=True)[1])


@pytest.mark.parametrize("size", [1, 10, 10_000])
def test_the_usage_that_only_we_asked_for_is_taken_out(size: int) -> None:
    body = data(_chunk("a", usage=None)) * 20 + data(_chunk(usage=_USAGE)) + _DONE
    call = Call("m", stream=True, body={}, hide_usage=True)
    chunks, progress = decode(DIALECT, call, cut(body, [*range(0, len(body), size)]), streamed=True)
    assert sent(DIALECT, chunks, streamed=True) == data(_chunk("a")) * 20 + _DONE
    assert (progress.usage, progress.complete, progress.refused) == (Usage(7, 5), True, False)


def test_a_document_tells_its_usage_or_how_much_was_written() -> None:
    call = Call("m", stream=False, body={})
    whole = _chunk("Hé", "llo")
    Completion.model_validate({**whole, "choices": [{**each, "finish_reason": "stop"} for each in whole["choices"]]})
    for usage, expected in ((_USAGE, Usage(7, 5)), (None, None)):
        _, progress = decode(DIALECT, call, [json.dumps({**whole, "usage": usage}).encode()], streamed=False)
        assert (progress.complete, progress.usage) == (True, expected)
    assert progress.output_bytes == len("Héllo".encode())
    filtered = [{**whole["choices"][0], "finish_reason": "content_filter"}]
    _, progress = decode(DIALECT, call, [json.dumps({**whole, "choices": filtered}).encode()], streamed=False)
    assert progress.refused


def _parts(document: dict[str, Any], *, streamed: bool) -> list[Part]:
    return list(DIALECT.wire(streamed=streamed).parts(Chunk(None, document)))


def test_the_parts_of_an_answer_are_found_in_both_forms() -> None:
    model, figures = Part(Kind.MODEL, ALL_LANES, ("model",), "m"), {"tokens": ["a"]}
    document = _chunk("a", "b")
    document["choices"][1] |= {"logprobs": figures, "reasoning_content": "hm", "index": 7}
    found = [
        model,
        Part(Kind.TEXT, 0, ("choices", 0, "text"), "a"),
        Part(Kind.REASONING, 7, ("choices", 1, "reasoning_content"), "hm"),
        Part(Kind.TEXT, 7, ("choices", 1, "text"), "b"),
        Part(Kind.LOGPROBS, 7, ("choices", 1, "logprobs")),
    ]
    assert _parts(document, streamed=True) == found
    ended = [*found[:2], Part(Kind.END, 0, ()), *found[2:], Part(Kind.END, 7, ())]
    assert _parts(document, streamed=False) == ended
    assert _parts(_chunk("a"), streamed=True)[1].alone
    assert not _parts(_chunk("a", usage=_USAGE), streamed=True)[1].alone
    assert DIALECT.wire(streamed=True).parts(Chunk(_DONE)) == [Part(Kind.END, ALL_LANES, ())]
    assert DIALECT.wire(streamed=True).written(Chunk(None, _chunk("Hé", "llo"))) == 6


FIGURES = {
    "tokens": ["Hi", "!"],
    "token_logprobs": [None, -0.34567],
    "top_logprobs": [None, {"!": -0.34567, "?": -1.98765, " the": -2.5}],
    "text_offset": [0, 2],
}


@pytest.mark.parametrize(
    ("most", "decimals", "changed"),
    [
        (None, None, {}),
        (2, None, {"top_logprobs": [None, {"!": -0.34567, "?": -1.98765}]}),
        (0, None, {"top_logprobs": None}),
        (1, 1, {"top_logprobs": [None, {"!": -0.3}], "token_logprobs": [None, -0.3]}),
    ],
)
def test_log_probabilities_lose_detail_in_this_apis_own_shape(most: Any, decimals: Any, changed: Any) -> None:
    assert DIALECT.wire(streamed=False).coarse(FIGURES, most, decimals) == {**FIGURES, **changed}


@pytest.mark.parametrize("strange", [1, "x", {"top_logprobs": [1, {"a": "b"}]}, {"top_logprobs": {"a": -0.123}}])
def test_whatever_stands_in_place_of_figures_does_no_harm(strange: Any) -> None:
    assert "0.123" not in json.dumps(DIALECT.wire(streamed=False).coarse(strange, 1, 1))
