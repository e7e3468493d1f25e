"""Promises of the strict reader: what may be read in two ways is refused, and what is read is what is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from proxy.dialects import strict_json
from proxy.errors import BadRequest, TooLarge

_REFUSED = {
    "nothing": b"",
    "a space": b" ",
    "an array": b"[]",
    "a string": b'"a"',
    "a number": b"1",
    "null": b"null",
    "true": b"true",
    "a byte order mark": b'\xef\xbb\xbf{"a":1}',
    "a mark alone": b"\xef\xbb\xbf",
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "UTF-16 without a mark": '{"a":1}'.encode("utf-16-le"),
    "UTF-32": '{"a":1}'.encode("utf-32"),
    "Latin-1": b'{"a":"\xe9"}',
    "an overlong slash": b'{"a":"\xc0\xaf"}',
    "an overlong NUL": b'{"a":"\xc0\x80"}',
    "a surrogate in bytes": b'{"a":"\xed\xa0\x80"}',
    "CESU-8": b'{"a":"\xed\xa0\xbd\xed\xb8\x80"}',
    "beyond Unicode": b'{"a":"\xf4\x90\x80\x80"}',
    "a torn character": b'{"a":"\xe2\x82',
    "half a pair": rb'{"a":"\ud800"}',
    "the other half": rb'{"a":"\uDFFF"}',
    "a pair the wrong way round": rb'{"a":"\ude00\ud83d"}',
    "half a pair in a key": rb'{"\ud800":1}',
    "half a pair after a whole one": rb'{"a":"\ud83d\ude00\ud83d"}',
    "a key twice": b'{"a":1,"a":1}',
    "a key twice, once escaped": rb'{"model":1,"mod\u0065l":2}',
    "a key twice, with spaces": b'{"a": 1, "b": 2, "a": 1}',
    "a key twice, with quotes around": rb'{"a": "\\\"", "b": "\\", "b": "\\"}',
    "2^64 after spaces": b'{"a": 18446744073709551616}',
    "a key twice, deeper": b'{"a":{"b":1,"b":2}}',
    "a key twice, in a list": b'{"a":[[{"b":1,"c":0,"b":2}]]}',
    "an empty key twice": b'{"":1,"":2}',
    "NaN": b'{"a":NaN}',
    "Infinity": b'{"a":Infinity}',
    "minus Infinity": b'{"a":-Infinity}',
    "nan": b'{"a":nan}',
    "a float too large": b'{"a":1e400}',
    "a negative float too large": b'{"a":-1e400}',
    "a float too small": b'{"a":1e-400}',
    "-2^63 - 1": b'{"a":-9223372036854775809}',
    "2^64": b'{"a":18446744073709551616}',
    "5,000 digits": b'{"a":' + b"9" * 5_000 + b"}",
    "5,000 decimals": b'{"a":0.' + b"9" * 5_000 + b"}",
    "a plus": b'{"a":+1}',
    "a leading zero": b'{"a":01}',
    "a negative leading zero": b'{"a":-01}',
    "a point alone": b'{"a":.5}',
    "nothing after the point": b'{"a":1.}',
    "nothing after the exponent": b'{"a":1e}',
    "a sign alone": b'{"a":-}',
    "a hexadecimal number": b'{"a":0x10}',
    "an underscore": b'{"a":1_000}',
    "full-width digits": '{"a":\uff11}'.encode(),
    "a trailing comma": b'{"a":1,}',
    "a trailing comma in a list": b'{"a":[1,]}',
    "a leading comma": b'{,"a":1}',
    "a double comma": b'{"a":[1,,2]}',
    "a missing comma": b'{"a":1 "b":2}',
    "a missing colon": b'{"a" 1}',
    "a missing value": b'{"a":}',
    "a bare key": b"{a:1}",
    "single quotes": b"{'a':1}",
    "a comment": b'{"a":1/*c*/}',
    "a line comment": b'{"a":1}//c',
    "something after the end": b'{"a":1}{"b":2}',
    "a NUL after the end": b'{"a":1}\x00',
    "a form feed": b'{\x0c"a":1}',
    "a no-break space": '{\u00a0"a":1}'.encode(),
    "a newline in a string": b'{"a":"\n"}',
    "a NUL in a string": b'{"a":"\x00"}',
    "an unknown escape": rb'{"a":"\x41"}',
    "a short escape": rb'{"a":"\u12"}',
    "a signed escape": rb'{"a":"\u+041"}',
    "a backslash at the end": b'{"a":"\\',
    "an open string": b'{"a":"b',
    "an open object": b'{"a":1',
    "an open list": b'{"a":[1',
    "a bracket of the other kind": b'{"a":[1}',
    "True": b'{"a":True}',
    "undefined": b'{"a":undefined}',
    "65 levels": b'{"a":' + b"[" * 64 + b"]" * 64 + b"}",
    "65 levels of objects": b'{"a":' * 64 + b"{}" + b"}" * 64,
    "300 closed levels": b'{"a":' + b"[" * 300 + b"]" * 300 + b"}",
    "300 closed levels and spaces": b'{"a": ' + b"[" * 300 + b"]" * 300 + b"}",
    "100,000 brackets": b"[" * 100_000,
    "100,000 closed brackets": b"[" * 100_000 + b"]" * 100_000,
    "50,000 objects": b'{"a":' * 50_000,
}

_READ: dict[str, tuple[bytes, dict[str, Any]]] = {
    "an empty object": (b"{}", {}),
    "space around": (b' \t\r\n{ "a" : 1 }\n', {"a": 1}),
    "the largest integer": (b'{"a":18446744073709551615}', {"a": 2**64 - 1}),
    "the smallest integer": (b'{"a":-9223372036854775808}', {"a": -(2**63)}),
    "an integer beyond a float": (b'{"a":9007199254740993}', {"a": 2**53 + 1}),
    "a float": (b'{"a":-1.5e-3}', {"a": -0.0015}),
    "zeros": (b'{"a":[0,-0.0,0e5,0.000E400]}', {"a": [0, 0.0, 0.0, 0.0]}),
    "an exponent": (b'{"a": 1e5, "b": 1E-7}', {"a": 100_000.0, "b": 1e-7}),
    "escapes": (rb'{"a": "\/\u0061\"\\", "\u0062": "\\\\\""}', {"a": '/a"\\', "b": '\\\\"'}),
    "a pair": (rb'{"a":"\ud83d\ude00"}', {"a": "😀"}),
    "an escaped backslash before ud800": (rb'{"a":"\\ud800"}', {"a": r"\ud800"}),
    "an escaped NUL": (rb'{"a":"\u0000"}', {"a": "\0"}),
    "a mark inside": ('{"a":"\ufeff"}'.encode(), {"a": "\ufeff"}),
    "keys that differ in case": (b'{"a":1,"A":2}', {"a": 1, "A": 2}),
    "equal keys in two objects": (b'{"a":{"b":1},"c":{"b":1}}', {"a": {"b": 1}, "c": {"b": 1}}),
    "64 levels": (b'{"a":' * 63 + b"{}" + b"}" * 63, json.loads('{"a":' * 63 + "{}" + "}" * 63)),
    "many brackets in a string": (b'{"a":"' + b"[" * 1_000 + b'"}', {"a": "[" * 1_000}),
}

_documents = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**64 - 1)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
        max_leaves=20,
    ),
)


@pytest.mark.parametrize("body", _REFUSED.values(), ids=_REFUSED.keys())
def test_what_could_be_read_in_two_ways_is_a_bad_request(body: bytes) -> None:
    with pytest.raises(BadRequest) as caught:
        strict_json.read(body)
    assert caught.value.status == 400


def _called(levels: int, body: bytes) -> str:
    """Return why a body is refused when it is read so many calls deeper."""
    if levels:
        return _called(levels - 1, body)
    with pytest.raises(BadRequest) as refused:
        strict_json.read(body)
    return refused.value.message


@pytest.mark.parametrize(
    ("body", "why"),
    [
        *((b'{"a":' + b"[" * levels + b"}", "deeper than 64") for levels in (65, 300, 900, 990, 1_500, 50_000)),
        (b"[" * 900 + b'{"a":1}', "deeper than 64"),
        (b'{"a":' + b"[" * 40 + b"}", "not valid JSON"),
        (b'{"a":"' + b"[" * 900 + b'" "b"}', "not valid JSON"),
    ],
)
def test_why_a_body_is_refused_does_not_hang_on_how_deep_its_reader_is_called(body: bytes, why: str) -> None:
    for levels in (0, 100, 400, 700):
        assert why in _called(levels, body)


@pytest.mark.parametrize(("body", "document"), _READ.values(), ids=_READ.keys())
def test_what_is_plain_json_is_read(body: bytes, document: dict[str, Any]) -> None:
    assert strict_json.read(body) == document


@settings(deadline=None, max_examples=50)
@given(_documents, st.booleans())
def test_what_was_read_is_what_is_written(document: dict[str, Any], ascii_only: bool) -> None:
    read = strict_json.read(json.dumps(document, ensure_ascii=ascii_only).encode())
    assert read == document
    assert strict_json.read(strict_json.write(read)) == document


@settings(deadline=None)
@given(
    _documents,
    st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", " :\t")]),
    st.text(alphabet='{}[]":,\\u ea1', max_size=3),
)
def test_a_document_is_read_alike_in_either_way(
    document: dict[str, Any], separators: tuple[str, str], more: str
) -> None:
    """A member more may repeat a key, and what stands in it may look like the document's own signs."""
    inner = json.dumps(document, separators=separators)
    body = f'{{"a":{inner},{json.dumps(more)}:{json.dumps(more)}}}'
    expected = {"a": document, more: more}
    if more == "a":
        with pytest.raises(BadRequest):
            strict_json.read(body.encode())
    else:
        assert strict_json.read(body.encode()) == expected


@settings(deadline=None)
@given(st.binary() | st.text(alphabet='{}[]":,\\u0d81e-. nrtaflsN', max_size=40).map(str.encode))
@example(b'{"a":"\\ud8"}')
def test_no_bytes_raise_anything_but_a_refusal(body: bytes) -> None:
    try:
        document = strict_json.read(body)
    except (BadRequest, TooLarge):
        return
    assert document == json.loads(body)


@pytest.mark.parametrize(
    "body",
    [b'{"s3cret": s3cret}', b'{"a":"s3cret', b'{"s3cret":1,"s3cret":2}', b'["s3cret"]', rb'{"a":"s3cret\ud800"}'],
)
def test_a_refusal_repeats_nothing_of_the_body(body: bytes) -> None:
    with pytest.raises(BadRequest) as caught:
        strict_json.read(body)
    assert "s3cret" not in caught.value.message


def test_a_refusal_says_where() -> None:
    with pytest.raises(BadRequest, match="line 2, column 8"):
        strict_json.read(b'{"a":1,\n "b" : }')


@pytest.mark.parametrize(
    "make",
    [
        lambda: b'{"a":[' + b",".join([b"[]"] * 1_000_000) + b"]}",
        lambda: b'{"a":[' + b",".join([b"1"] * 1_000_000) + b"]}",
        lambda: b"{" + b",".join(b'"%d":1' % number for number in range(300_000)) + b"}",
        lambda: b'{"a":[' + b'"",' * 300_000 + b'""]}',
        lambda: b'{"a":' + b'"' * 500_000 + b"," * 300_000 + b"}",
    ],
    ids=["empty lists", "numbers", "members", "strings", "quotes"],
)
def test_a_body_of_too_many_values_is_never_built(make: Callable[[], bytes]) -> None:
    body = make()
    with pytest.raises(TooLarge):
        strict_json.read(body)


@pytest.mark.parametrize(
    "document",
    [
        {"a": ",:[{" * 200_000},
        {"a": '","' * 100_000},
        {"a": '"', "b": "," * 300_000},
        {"a": "\\", "b": "," * 300_000},
        {"a": '\\"\\', "b": "," * 300_000},
        {"a": '"\\' * 99_999 + "," * 300_000},
    ],
)
def test_separators_in_strings_do_not_count_as_values(document: dict[str, str]) -> None:
    assert strict_json.read(json.dumps(document).encode()) == document


def test_as_many_values_as_allowed_are_read() -> None:
    count = strict_json.MAX_VALUES - 10
    assert len(strict_json.read(b'{"a":[' + b"1," * count + b"1]}")["a"]) == count + 1
