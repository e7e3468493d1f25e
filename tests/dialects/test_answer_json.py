"""An upstream's JSON with half of a surrogate pair: read, relayed and written back without losing it."""

from __future__ import annotations

import base64
import json
import time
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.dialects._answer_json import dump, dump_texts, load
from proxy.dialects.openai_chat import OpenAIChat
from proxy.errors import BadRequest, UpstreamFailed
from proxy.exchange import Call, Usage
from tests.dialects.streams import data, decode, sent

DIALECT = OpenAIChat()
USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
CUT = "wörd \ud83d"  # a hand that waved, cut off by the limit on tokens

_any_text = st.text(st.characters(codec=None), max_size=8)
_any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_any_text, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(_any_text, _any_json, max_size=3))
def test_what_was_read_is_written_with_every_character_in_it(document: dict[str, Any]) -> None:
    read = load(json.dumps({**document, "cut": CUT}).encode())
    assert read == {**document, "cut": CUT}
    assert json.loads(dump(read)) == read


@given(st.lists(_any_text | st.sampled_from([",", '","', "\n", ",\n  ", "\\", CUT]), min_size=1, max_size=5))
def test_texts_that_are_written_together_are_each_what_it_is_alone(texts: list[str]) -> None:
    written = dump_texts(texts)
    assert written == [alone for text in texts for alone in dump_texts([text])]
    assert [json.loads(each) for each in written] == texts


@pytest.mark.parametrize(
    "body",
    [
        rb'["\ud83d"]',
        rb'{"a":"\ud83d"',
        rb'{"a":"\ud83d","b":NaN}',
        rb'{"a":"\ud83d","b":-Infinity}',
        b'{"a":"\\ud83d","b":"\xff"}',
        b'{"a":"\\ud83d","b":"\n"}',
        b'{"a":"\xed\xa0\xbd"}',
        b'{"a":"\\ud83d","b":' + b"9" * 5_000 + b"}",
        rb'{"a":"\ud83d","b":1e999}',
        rb'{"a":"\ud83d","b":[-1e400]}',
        b'{"a":"\\ud83d","b":' + b"9" * 309 + b"}",
        b'{"a":"\\ud83d","b":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=lambda body: body[:40],
)
def test_what_is_wrong_besides_is_still_no_document(body: bytes) -> None:
    assert load(body) is load(body, exact=True) is None


def nested(depth: int) -> dict[str, Any]:
    inner: list[Any] = []
    for _ in range(depth - 1):
        inner = [inner]
    return {"a": inner}


def test_what_is_nested_too_deep_to_be_written_is_the_upstreams_failure() -> None:
    assert dump(nested(300)) == b'{"a":' + b"[" * 300 + b"]" * 300 + b"}"  # deeper than orjson writes
    with pytest.raises(UpstreamFailed, match="cannot be passed on"):
        dump(nested(100_000))


@pytest.mark.parametrize("escape", [r"\ud83d", r"\uDE00", r"\ude00\ud83d"])
def test_a_document_with_half_a_pair_is_relayed_as_it_came(escape: str) -> None:
    body = f'{{"choices": [{{"message": {{"content": "w\u00f6rd {escape}"}}}}], "usage": {json.dumps(USAGE)}}}'.encode()
    chunks, progress = decode(DIALECT, Call("m", stream=False, body={}), [body], streamed=False)
    assert sent(DIALECT, chunks, streamed=False) == body
    assert (progress.complete, progress.usage) == (True, Usage(7, 5))


def test_the_text_of_half_a_pair_is_counted() -> None:
    body = json.dumps({"choices": [{"message": {"content": CUT}}]}).encode()
    _, progress = decode(DIALECT, Call("m", stream=False, body={}), [body], streamed=False)
    assert progress.output_bytes == len(CUT.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n"])
def test_usage_is_taken_out_of_an_event_with_half_a_pair_and_nothing_else(end: bytes) -> None:
    choices = [{"index": 0, "delta": {"content": CUT}, "finish_reason": "length"}]
    event = data({"id": "c", "choices": choices, "usage": USAGE}).removesuffix(b"\n\n") + end
    stream = [event, b"data: [DONE]\n\n"]
    shown, _ = decode(DIALECT, Call("m", stream=True, body={}), stream, streamed=True)
    assert sent(DIALECT, shown, streamed=True) == b"".join(stream)
    hidden, progress = decode(DIALECT, Call("m", stream=True, body={}, hide_usage=True), stream, streamed=True)
    left = data({"id": "c", "choices": choices}).removesuffix(b"\n\n") + end
    assert sent(DIALECT, hidden, streamed=True) == left + stream[1]
    assert (progress.complete, progress.usage) == (True, Usage(7, 5))


def test_an_error_answer_with_half_a_pair_keeps_its_words() -> None:
    body = json.dumps({"error": {"message": f"bad prompt: {CUT}", "code": "bad"}}).encode()
    error = DIALECT.upstream_error(400, body)
    assert isinstance(error, BadRequest)
    assert (error.message, error.code) == ("bad prompt: wörd", "bad")


CHANGED = {"id": "c", "choices": [{"text": "w\u00f6rd", "n": 1, "none": None, "empty": [], "object": {}}]}


@pytest.mark.parametrize("escaped", [True, False])
@pytest.mark.parametrize(
    "manner", [{"separators": (",", ":")}, {}, {"indent": 2}, {"indent": 4}, {"indent": "\t"}], ids=str
)
@pytest.mark.parametrize("around", [b"%b", b"data: %b\n\n", b"event: x\ndata: %b\n\n", b" %b\n"])
def test_what_was_changed_is_written_in_the_manner_of_what_came(
    manner: dict[str, Any], around: bytes, *, escaped: bool
) -> None:
    came = json.dumps({"x": "\u00e9", **CHANGED}, ensure_ascii=escaped, **manner).encode()
    wanted = json.dumps(CHANGED, ensure_ascii=escaped, **manner).encode()
    assert dump(CHANGED, around % came) == wanted


@pytest.mark.parametrize("manner", [{"separators": (",", ":")}, {}, {"indent": 2}], ids=str)
@pytest.mark.parametrize("escaped", [True, False])
@pytest.mark.parametrize(
    "spelled", [["\\u003c", "\\u003e", "\\u0026"], ["\\/"], ["\\u003C", "\\u003E", "\\u0026", "\\u0027"]]
)
def test_signs_are_spelled_as_what_came_spells_them(
    manner: dict[str, Any], spelled: list[str], *, escaped: bool
) -> None:
    def written(document: dict[str, Any]) -> bytes:
        text = json.dumps(document, ensure_ascii=escaped, **manner)
        for spelling in spelled:
            text = text.replace(json.loads(f'"{spelling}"'), spelling)
        return text.encode()

    changed = {"a": "<b>R&D's</b> \\/ \\\\u0026 \\", "n": [1.5, -2]}
    assert dump(changed, written({"x": "w\u00f6rd <&>'/", **changed})) == written(changed)
    assert json.loads(written(changed)) == changed


@pytest.mark.parametrize("text", ["\\u00e9", "\\\\u00e9", "\x1b[0m", "\\/", "\\u003c", 'say "\\u00e9"'])
def test_what_only_looks_like_an_escape_tells_no_spelling(text: str) -> None:
    like = json.dumps({"code": text}, separators=(",", ":")).encode()
    assert dump({"a": "w\u00f6rd </b>"}, like) == '{"a":"w\u00f6rd </b>"}'.encode()


@pytest.mark.parametrize("like", [b"", b"data: [DONE]", b"{}", b'{"a', b"\xff\xfe", b"{" * 10_000])
def test_what_came_without_a_manner_is_written_compactly(like: bytes) -> None:
    assert dump({"a": [1, 2]}, like) == b'{"a":[1,2]}'


def test_half_a_character_is_kept_in_every_manner() -> None:
    for like in (b'{"a":"b"}', b'{"a": "b"}', b'{\n  "a": "b"}', b'{"a": "\\u00e9"}'):
        assert json.loads(dump({"cut": CUT}, like)) == {"cut": CUT}


@pytest.mark.parametrize("number", ["18446744073709551616", "-123456789012345678901234567890", "18446744073709551615"])
def test_a_number_that_no_machine_word_holds_is_written_as_it_came(number: str) -> None:
    body = b'{"input":{"a":%b,"b":0.5}}' % number.encode()
    assert dump(load(body, exact=True) or {}, body) == body


@pytest.mark.parametrize("before", [*range(-20, 2), 4 << 20])
def test_such_a_number_is_found_wherever_it_stands_in_a_large_document(before: int) -> None:
    body = b'{"a":"%b","b":18446744073709551616}' % (b"x" * ((4 << 20) + before - len(b'{"a":"","b":')))
    assert dump(load(body, exact=True) or {}) == body


def test_a_vector_or_an_image_in_base64_is_read_in_little_more_time_than_it_takes_without_its_numbers() -> None:
    """P7: the loop waits for it, in a thread too, since nothing of Python's own runs meanwhile."""
    raw = b'{"data":"%b","seed":%d}' % (base64.b64encode(Random(1).randbytes(6 << 20)), 3**60)
    whole = raw.replace(b"%d" % 3**60, b"7")
    assert load(raw, exact=True) == {**(load(raw) or {}), "seed": 3**60}
    exact, other = (min(_seconds(whole, exact=exact) for _ in range(5)) for exact in (True, False))
    assert exact < 5 * other


def _seconds(raw: bytes, *, exact: bool) -> float:
    began = time.thread_time()
    load(raw, exact=exact)
    return time.thread_time() - began
