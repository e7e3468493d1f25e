"""Every dialect reads what is JSON and nothing else, as a body and anywhere in one, and sends on what it read (J-01)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.dialects import dialects, strict_json
from proxy.errors import BadRequest
from tests.dialects.json_cases import BYTES, FREE, INVALID, VALID, is_json, mutants
from tests.rig.speech import CHAT, MESSAGES, RESPONSES, Speech

DIALECTS = dialects()
# Where a value is looked at, where it is passed on, and where it stands for a text.
PLACES = [
    (speech, place)
    for speech in (CHAT, RESPONSES, MESSAGES)
    for place in ("body", "metadata", "model", speech.reads, f"{speech.reads}[0]", f"{speech.reads}[0].content")
]


def placed(speech: Speech, place: str, value: bytes) -> bytes:
    """Put the text of a value, JSON or not, into a request."""
    if place == "body":
        return value
    member, _, within = place.partition("[0]")
    inner = b'[{"role":"user","content":@}]' if within else b"[@]" if "[0]" in place else b"@"
    document = {**speech.ask("hi"), member: "@@"}
    return json.dumps(document).encode().replace(b'"@@"', inner.replace(b"@", value))


def read(speech: Speech, body: bytes) -> Any:
    """Read a body as the dialect does; None if it is refused. What goes upstream must be what was read."""
    dialect = DIALECTS[speech.path]
    try:
        call = dialect.read(body)
    except BadRequest:
        return None
    assert strict_json.read(dialect.write(call)) == call.body
    return call.body


def test_the_cases_are_what_the_recogniser_takes_them_for() -> None:
    assert [text for text in VALID if not is_json(text)] == []
    assert [text for text in INVALID if is_json(text)] == []
    assert [text for text in FREE if not is_json(text)] == []


@pytest.mark.parametrize(("speech", "place"), PLACES, ids=lambda part: getattr(part, "name", part))
def test_what_is_no_json_is_refused_wherever_it_stands(speech: Speech, place: str) -> None:
    """J-01, J-04."""
    for case in [text.encode() for text in INVALID] + BYTES:
        assert read(speech, placed(speech, place, case)) is None, case


@pytest.mark.parametrize("speech", [CHAT, RESPONSES, MESSAGES], ids=lambda speech: speech.name)
def test_what_is_json_goes_on_as_it_was_read(speech: Speech) -> None:
    """J-01, J-05: forwarded is parsed, whole numbers stay whole, and what others may read otherwise is refused."""
    for text in VALID:
        asked = read(speech, placed(speech, "metadata", text.encode()))
        assert repr(asked["metadata"]) == repr(json.loads(text)), text
    for text in FREE:
        asked = read(speech, placed(speech, "metadata", text.encode()))
        assert asked is None or repr(asked["metadata"]) == repr(json.loads(text)), text


def judge(count: int, seed: int) -> tuple[int, int]:
    """Compare the reader with the recogniser; return how many texts were JSON, and how many of them were taken."""
    valid = taken = 0
    for text in mutants(count, seed):
        grammatical = is_json(text)
        valid += grammatical
        try:
            document = strict_json.read(text.encode())
        except BadRequest as error:
            # What is JSON may be refused for what it says, never for how it is written.
            if grammatical and "not valid JSON" in error.message:
                pytest.fail(text)
        else:
            assert grammatical, text
            assert repr(document) == repr(json.loads(text)), text
            taken += 1
    return valid, taken


def test_a_reader_and_a_recogniser_agree_about_what_is_nearly_json() -> None:
    """J-01."""
    valid, taken = judge(4_000, seed=8259)
    assert 1_000 < taken <= valid < 3_500


@pytest.mark.soak
def test_a_reader_and_a_recogniser_agree_about_very_much_that_is_nearly_json() -> None:
    """J-01."""
    for seed in range(50):
        judge(20_000, seed)
