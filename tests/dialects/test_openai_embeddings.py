"""Promises about embeddings: what is taken, refused, seen and counted, also of answers too long to be read."""

from __future__ import annotations

import json
from typing import Any, get_type_hints

import pytest
from openai.types.embedding_create_params import EmbeddingCreateParams

from proxy.dialects.openai_embeddings import OpenAIEmbeddings
from proxy.errors import BadRequest, UpstreamFailed
from proxy.exchange import Call, Progress, Usage, Work
from proxy.wire import ALL_LANES, Kind, Part
from tests.dialects.streams import cut, decode, sent

DIALECT = OpenAIEmbeddings()
_BASE = {"model": "m", "input": "a text"}
_CALL = Call("m", stream=False, body={}, work=Work.EMBED)
_USAGE = {"prompt_tokens": 7, "total_tokens": 7}


def _body(**members: Any) -> bytes:
    return json.dumps({**_BASE, **members}).encode()


@pytest.mark.parametrize(
    ("members", "counts"),
    [
        ({}, (1, 0)),
        ({"input": ["a", "b", "c"], "dimensions": 256, "encoding_format": "base64", "user": "u"}, (3, 0)),
        ({"input": [1, 2, 3], "encoding_format": "float", "stream": False}, (1, 3)),
        ({"input": [[1, 2], [3]]}, (2, 3)),
        ({"input": ["a"] * 2_048}, (2_048, 0)),
    ],
)
def test_every_form_of_input_is_taken_and_counted(members: dict[str, Any], counts: tuple[int, int]) -> None:
    """Q-06."""
    call = DIALECT.read(_body(**members))
    assert (call.prompts, call.token_ids) == counts
    assert (call.work, call.stream, call.most_output(1_000)) == (Work.EMBED, False, 0)
    assert call.most_input(600) == 201
    written = json.loads(DIALECT.write(call))
    assert written == {name: value for name, value in {**_BASE, **members}.items() if name != "stream"}


@pytest.mark.parametrize(
    ("members", "place"),
    [
        ({"input": None}, "input"),
        ({"input": {"text": "a"}}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a"] * 2_049}, "input"),
        ({"input": [["a"]]}, "input"),
        ({"stream": True}, "stream"),
        ({"stream": 1}, "stream"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": 8_193}, "dimensions"),
        ({"encoding_format": "int8"}, "encoding_format"),
        ({"encoding_format": ["float"]}, "encoding_format"),
        ({"max_tokens": 5}, "max_tokens"),
    ],
)
def test_what_this_api_does_not_know_is_refused(members: dict[str, Any], place: str) -> None:
    """Q-06: at most 2,048 texts, each a text or tokens."""
    with pytest.raises(BadRequest) as refused:
        DIALECT.read(_body(**members))
    assert refused.value.param == place


def test_a_stream_is_refused_with_the_reason() -> None:
    with pytest.raises(BadRequest, match="embeddings come as one document"):
        DIALECT.read(_body(stream=True))


def test_every_member_that_the_official_client_sends_is_taken() -> None:
    for name in set(get_type_hints(EmbeddingCreateParams)) - {"model", "input"}:
        assert DIALECT.read(_body(**{name: None})).body[name] is None


@pytest.mark.parametrize(
    ("given", "texts"),
    [
        ("title", [("input", "input", "title")]),
        (["a", "string"], [("input", "input[0]", "a"), ("input", "input[1]", "string")]),
        ([[1, 2]], []),
    ],
)
def test_every_text_is_found_whatever_word_it_is(given: Any, texts: list[Any]) -> None:
    assert list(DIALECT.texts(DIALECT.read(_body(input=given)))) == texts


def _document(count: int = 1, **members: Any) -> dict[str, Any]:
    items = [{"object": "embedding", "index": place, "embedding": [0.25, -0.5]} for place in range(count)]
    return {"object": "list", "data": items, "model": "m", "usage": _USAGE, **members}


def _decoded(body: bytes, *, every: bool = False) -> tuple[bytes, Progress]:
    decoder = DIALECT.decoder(_CALL, streamed=False, every=every)
    for piece in cut(body, [*range(0, len(body), 9_999)]):
        assert decoder.feed(piece) == []
    return sent(DIALECT, decoder.finish(), streamed=False), decoder.progress


@pytest.mark.parametrize("count", [1, 10_000], ids=["short", "long"])
@pytest.mark.parametrize("every", [False, True])
def test_an_answer_is_passed_on_as_it_came_and_tells_what_was_read(count: int, every: bool) -> None:
    for usage, expected in ((_USAGE, Usage(7, 0)), ({"prompt_tokens": -1}, None), (None, None), ("x", None)):
        body = json.dumps(_document(count, usage=usage), indent=1).encode() + b"\n"
        out, progress = _decoded(body, every=every)
        assert (out, progress.complete, progress.usage, progress.output_bytes) == (body, True, expected, 0)


def test_a_long_answer_whose_usage_comes_first_is_charged_by_it() -> None:
    body = json.dumps({"usage": _USAGE, "model": "m", **_document(10_000)}).encode()
    assert _decoded(body)[1].usage == Usage(7, 0)


@pytest.mark.parametrize("filler", [b"", b" " * 300_000])
@pytest.mark.parametrize("body", [b"", b"<html>", b'{"data":[', b"[1]"])
def test_what_is_no_document_is_the_upstreams_failure(body: bytes, filler: bytes) -> None:
    with pytest.raises(UpstreamFailed):
        _decoded(body + filler + b"x")


def test_a_document_of_another_kind_is_not_complete() -> None:
    for body in (b"{}", b'{"data":1}', b'{"error":{"type":"e"}}', b'{"x":"%b"}' % (b"y" * 300_000)):
        assert not _decoded(body)[1].complete
    assert _decoded(b'{"error":{"type":"e"}}')[1].failed == "e"


def test_a_stream_that_nobody_asked_for_is_the_upstreams_failure() -> None:
    with pytest.raises(UpstreamFailed, match="another kind"):
        DIALECT.decoder(_CALL, streamed=True)


def test_vectors_are_found_where_they_are() -> None:
    document = _document(2)
    document["data"] += [1, {"embedding": None}, {"embedding": "AAAA"}]
    (chunk,), _ = decode(DIALECT, _CALL, [json.dumps(document).encode()], streamed=False)
    found = DIALECT.wire(streamed=False).parts(chunk)
    vectors = [Part(Kind.VECTOR, place, ("data", place, "embedding")) for place in (0, 1, 4)]
    assert found == [Part(Kind.MODEL, ALL_LANES, ("model",), "m"), *vectors]
