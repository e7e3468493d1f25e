"""Promises about large documents: they are read piece by piece while they come, as one that is read at once."""

from __future__ import annotations

import itertools
import json
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.dialects import _answers, _passed_over
from proxy.dialects._answer_json import load, value
from proxy.dialects._answers import DocumentDecoder
from proxy.dialects._passed_over import PassedOver
from proxy.dialects.anthropic_messages import AnthropicMessages
from proxy.dialects.base import ChunkDecoder
from proxy.dialects.openai_chat import OpenAIChat
from proxy.dialects.openai_completions import OpenAICompletions
from proxy.dialects.openai_responses import OpenAIResponses
from proxy.dialects.tagged import TaggedDecoder
from proxy.errors import UpstreamFailed
from proxy.exchange import Chunk, Progress, Usage
from proxy.keyed.issued_ids import IssuedIds
from tests.dialects import responses
from tests.dialects.reads import counted
from tests.dialects.streams import cut

NAMES = ("logprobs", "embedding", "top_logprobs", "content", "a", 'say "logprobs":[', "logprobs ", 'x\\"logprobs')
CHAT = OpenAIChat()
MESSAGES = AnthropicMessages()
CALL = CHAT.read(b'{"model":"m","messages":[{"role":"user","content":"hi"}]}')

_text = st.sampled_from(["", "a", '"', "\\", '\\"', "[", "]},{", ',"logprobs":[1,', "é€😀", "\n"]) | st.text(max_size=5)
_leaf = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
_value = st.recursive(
    _leaf | _text,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.sampled_from(NAMES) | _text, inner, max_size=4),
    max_leaves=30,
)
_documents = st.dictionaries(st.sampled_from(NAMES), _value | st.lists(_value, max_size=12), max_size=5)
_manners = st.sampled_from(
    [
        {"separators": (",", ":")},
        {},
        {"indent": 2},
        {"ensure_ascii": False},
        {"indent": "\t", "separators": (" ,", " : ")},
    ]
)


@pytest.fixture(autouse=True, scope="module")
def _small() -> Any:
    """Look at every few bytes, so that documents of some hundred bytes are as large ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_passed_over, "AT_ONCE_BYTES", 64)
        patch.setattr(DocumentDecoder.__init__, "__defaults__", (_answers.MAX_DOCUMENT_BYTES, 64))
        patch.setattr(_passed_over, "_PIECE_BYTES", 16)
        patch.setattr(_passed_over, "_LEAST_BYTES", 0)
        yield


def split(document: bytes, seed: int) -> list[bytes]:
    """Cut a document anywhere, into pieces that are long or short."""
    places = Random(seed)
    return cut(document, [places.randrange(1 << 20) for _ in range(seed % 4 * 10)])


def read(document: bytes, seed: int, *, keep: bool = False) -> dict[str, Any] | None:
    """Return what is read of a document that comes in pieces."""
    over = PassedOver(keep=keep)
    for piece in split(document, seed):
        over.feed(piece)
    return over.read(document)


def bare(node: Any) -> Any:
    """Return a document without anything that may be passed over."""
    if isinstance(node, dict):
        return {name: bare(value) for name, value in node.items() if not name.endswith(("logprobs", "embedding"))}
    return [bare(item) for item in node] if isinstance(node, list) else node


def doubled(document: dict[str, Any], **manner: Any) -> bytes:
    """Return a document in which each member stands twice."""
    once = json.dumps(document, **manner).strip()
    return f"{once[:-1]},{once[1:]}".encode() if document else once.encode()


@settings(deadline=None)
@given(_documents, _manners, st.booleans(), st.integers(0, 99))
def test_nothing_but_log_probabilities_is_passed_over(
    document: dict[str, Any], manner: dict[str, Any], twice: bool, seed: int
) -> None:
    raw = doubled(document, **manner) if twice else json.dumps(document, **manner).encode()
    assert bare(read(raw, seed)) == bare(load(raw))
    assert repr(read(raw, seed, keep=True)) == repr(load(raw, exact=True))


@settings(deadline=None, max_examples=400)
@given(
    _documents,
    _manners,
    st.integers(0, 99),
    st.lists(
        st.tuples(st.integers(0, 10_000), st.integers(0, 2), st.sampled_from(list(b'",[]{}:\\ x1\n\xff'))), max_size=2
    ),
)
def test_what_is_no_json_is_none_without_what_is_passed_over(
    document: dict[str, Any], manner: dict[str, Any], seed: int, faults: list[tuple[int, int, int]]
) -> None:
    raw = bytearray(json.dumps({"logprobs": [1, [2], {"a": "b"}], **document}, **manner).encode())
    for place, removed, byte in faults:
        at = place % (len(raw) + 1)
        raw[at : at + removed] = bytes([byte])
    assert bare(read(bytes(raw), seed)) == bare(load(bytes(raw)))
    assert repr(read(bytes(raw), seed, keep=True)) == repr(load(bytes(raw), exact=True))


@pytest.mark.parametrize(
    "elements", [b"1,", b"1,2,", b",", b",1", b"1,,2", b"1 2,3", b'{"a":},1', b"[1},2", b"01,1", b"1,2\xff"]
)
@pytest.mark.parametrize("spaces", [0, 3, 300_000])
def test_elements_that_are_none_are_no_json(elements: bytes, spaces: int) -> None:
    raw = b'{"a":"%b","logprobs":{"content":[%b%b]}}' % (b"x" * 99, elements, b" " * spaces)
    for seed in range(10):
        assert read(raw, seed) is read(raw, seed, keep=True) is None


def test_arrays_of_a_few_elements_are_read_with_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """To cut out half a million of them took three seconds, for which nobody else was served."""
    monkeypatch.setattr(_passed_over, "_PIECE_BYTES", 32_768)
    monkeypatch.setattr(_passed_over, "_LEAST_BYTES", 1024)
    names = itertools.count(1)
    monkeypatch.setattr(_passed_over, "token_urlsafe", lambda _: f"cut {next(names)}")
    document = {"many": [{"logprobs": [1, 2]}] * 30_000, "logprobs": list(range(1_000))}
    assert read(json.dumps(document).encode(), 3, keep=True) == document
    assert next(names) == 2


@pytest.mark.parametrize("before", range(32_000, 33_000, 110))
def test_an_array_of_which_a_few_elements_come_first_is_whole(monkeypatch: pytest.MonkeyPatch, before: int) -> None:
    monkeypatch.setattr(_passed_over, "_PIECE_BYTES", 32_768)
    monkeypatch.setattr(_passed_over, "_LEAST_BYTES", 1024)
    elements = [*range(100), "x" * 40_000, 1, "y" * 40_000, *range(20_000)]
    document = {"before": "x" * before, "logprobs": elements, "a": {"embedding": elements[::-1]}}
    raw = json.dumps(document).encode()
    over = PassedOver(keep=True)
    for start in range(0, len(raw), 4_096):
        over.feed(raw[start : start + 4_096])
    assert over.read(raw) == document


def test_what_is_nested_deeper_than_log_probabilities_is_read_whole() -> None:
    deep = [1, [[[[[[[[["a"]]]]]]]]], 2]
    raw = json.dumps({"logprobs": [deep, deep], "b": 3}).encode()
    assert read(raw, 0) == {"logprobs": [deep, deep], "b": 3}


def test_half_of_a_surrogate_pair_is_passed_over_with_the_rest() -> None:
    raw = b'{"logprobs":[%b],"b":3}' % b",".join([rb'{"token":"\ud83d"}'] * 9)
    assert read(raw, 0) == {"logprobs": [{"token": "\ud83d"}], "b": 3}
    assert read(raw, 0, keep=True) == {"logprobs": [{"token": "\ud83d"}] * 9, "b": 3}


@pytest.mark.parametrize("number", [b"1e999", b"-1e400", b"1" * 400, b"9" * 309 + b".5", b"1" * 308 + b"e-9"])
def test_a_number_too_large_is_refused_or_not_wherever_half_of_a_surrogate_pair_is_passed_over(number: bytes) -> None:
    for inside, beside in [(number, b"0"), (b"0", number)]:
        raw = rb'{"logprobs":["\ud83d",%b,1,2],"b":%b}' % (inside, beside)
        once = raw.replace(rb"\ud83d", b"")
        for keep in (False, True):
            assert (read(raw, 0, keep=keep) is None) is (load(raw) is None) is (load(once) is None), keep


def figures(count: int) -> list[dict[str, Any]]:
    """Return log-probabilities of so many tokens, as OpenAI's API has them."""

    def figure(text: str) -> dict[str, Any]:
        return {"token": text, "logprob": -1.25, "bytes": list(text.encode())}

    texts = [' "', "}]},{", "]", "é", "logprobs"]
    return [{**figure(texts[n % 5]), "top_logprobs": [figure(text) for text in texts]} for n in range(count)]


def completion(count: int, **more: Any) -> dict[str, Any]:
    said = {"role": "assistant", "content": "word " * count}
    choice = {"index": 0, "message": said, "logprobs": {"content": figures(count), "refusal": None}}
    return {"id": "chatcmpl-1", "model": "m", "choices": [{**choice, "finish_reason": "stop"}], **more}


USAGE = {"prompt_tokens": 7, "completion_tokens": 40, "total_tokens": 47}
TEXTS = {"tokens": ["a"] * 40, "token_logprobs": [-1.5] * 40, "top_logprobs": [{"a": -1.5, "[": -2}] * 40}
OUTPUT = [responses.thought(), responses.said(["word "] * 40, figures=True), responses.called()]
ECHOED = {"id": "cmpl-1", "model": "m", "choices": [{"index": 0, "text": "a" * 40, "logprobs": TEXTS}], "usage": USAGE}


def decoded(decoder: ChunkDecoder, raw: bytes, seed: int) -> tuple[list[Chunk], Progress]:
    for piece in split(raw, seed):
        assert decoder.feed(piece) == []
    return decoder.finish(), decoder.progress


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("dialect", "body", "document"),
    [
        (CHAT, None, completion(40, usage=USAGE)),
        (CHAT, None, completion(40)),
        (CHAT, None, completion(40, usage=USAGE, error={"type": "server_error"})),
        (OpenAICompletions(), b'{"model":"m","prompt":"hi"}', ECHOED),
        (OpenAICompletions(), b'{"model":"m","prompt":"hi"}', {**ECHOED, "usage": None}),
        (OpenAIResponses(), b'{"model":"m","input":"hi"}', responses.response(OUTPUT)),
        (OpenAIResponses(), b'{"model":"m","input":"hi"}', responses.response(OUTPUT, usage=None)),
    ],
    ids=["usage", "estimate", "error", "text", "text-estimate", "response", "response-estimate"],
)
def test_a_large_answer_is_told_of_as_one_that_is_read_at_once(
    dialect: Any, body: bytes | None, document: dict[str, Any], seed: int
) -> None:
    raw = json.dumps(document).encode()
    call = CALL if body is None else dialect.read(body)
    (chunk,), progress = decoded(dialect.decoder(call, streamed=False), raw, seed)
    (whole,), known = decoded(dialect.decoder(call, streamed=False, every=True), raw, seed)
    assert (chunk.raw, progress) == (raw, known)
    assert whole.data == document
    assert bare(chunk.data) == bare(document)
    assert len(json.dumps(chunk.data)) * 2 < len(raw)


def test_what_is_tagged_in_a_large_answer_is_read_again_as_it_then_is() -> None:
    dialect, ids = OpenAIResponses(), IssuedIds(b"k" * 32, "acme", "default", frozenset())
    call = dialect.read(b'{"model":"m","input":"hi"}')
    assert call.gives is not None
    for text in ("word ", "\ndata:", "data:"):
        raw = json.dumps(responses.response([responses.said([text] * 40, figures=True)]), indent=2).encode()
        inner = dialect.decoder(call, streamed=False, every=True)
        (chunk,), _ = decoded(TaggedDecoder(inner, call.gives, ids, every=True), raw, 3)
        assert chunk.raw is not None
        assert chunk.raw != raw
        assert chunk.data == json.loads(chunk.raw)


@pytest.mark.parametrize("name", ["logprobs", "embedding"])
def test_what_a_model_of_anthropics_api_wrote_counts_whatever_its_names(name: str) -> None:
    """The arguments of a call are an object there, with names of the caller's; without a usage they are counted."""
    used = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {name: ["word " * 40] * 40}}
    raw = json.dumps({"type": "message", "model": "m", "content": [used], "stop_reason": "tool_use"}).encode()
    call = MESSAGES.read(b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}')
    (chunk,), progress = decoded(MESSAGES.decoder(call, streamed=False), raw, 3)
    assert (chunk.raw, progress.complete) == (raw, True)
    assert progress.output_bytes > 40 * 40 * 5


def test_an_answer_cut_off_is_no_valid_json() -> None:
    raw = json.dumps(completion(3)).encode()
    for end in range(len(raw)):
        with pytest.raises(UpstreamFailed, match="not valid JSON"):
            decoded(CHAT.decoder(CALL, streamed=False), raw[:end], end)


@pytest.mark.parametrize("every", [False, True])
def test_no_more_of_a_large_answer_is_read_at_once_than_of_a_small_one(
    every: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P7: nothing else runs while JSON is read, which takes half a second for as much."""
    monkeypatch.setattr(DocumentDecoder.__init__, "__defaults__", (_answers.MAX_DOCUMENT_BYTES, 262_144))
    monkeypatch.setattr(_passed_over, "_PIECE_BYTES", 32_768)
    seen: list[int] = []
    monkeypatch.setattr(_passed_over, "load", counted(load, seen))
    monkeypatch.setattr(_passed_over, "value", counted(value, seen))
    raw = json.dumps(completion(20_000, usage=USAGE)).encode()
    decoder = CHAT.decoder(CALL, streamed=False, every=every)
    for start in range(0, len(raw), 65_536):
        decoder.feed(raw[start : start + 65_536])
    (chunk,) = decoder.finish()
    assert (chunk.raw, decoder.progress.usage) == (raw, Usage(7, 40))
    assert len(raw) * 0.9 < sum(seen) < len(raw) * 1.1
    assert max(seen) < 524_288
