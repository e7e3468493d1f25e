"""Promises about handles of withheld reasoning: their tenant's alone, whole or nothing, and never a bomb."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import TooLarge, UpstreamFailed
from proxy.keyed.sealed_reasoning import MAX_BLOCK_BYTES, PREFIX, SealedReasoning

KEY = b"k" * 32
BLOCK = {"type": "thinking", "thinking": "first the one, then the other", "signature": "c2VhbA=="}


def of(tenant: str, key: bytes = KEY) -> SealedReasoning:
    return SealedReasoning(key, tenant)


@given(st.dictionaries(st.text(), st.text() | st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.none()))
def test_what_was_sealed_is_opened_by_every_replica(block: dict[str, Any]) -> None:
    handle = of("acme").seal(block)
    assert handle.startswith(PREFIX)
    assert of("acme").open(handle) == block


@pytest.mark.parametrize(
    ("handle", "block"),
    [
        (
            "sgr1.JGVG2cEXnar+u5e0kXo08AoEQQIphoZF8ZHmtdM3yX+04lDoQN13zM0GaHQ6V2iG+kScFeWMknh4XH29lws=",
            {"thinking": "so"},
        ),
        (
            "sgr1.lPl6wXyNONlc1iJmkXo08AoEQQIphoZF8ZHmtROC/ENKnhaKaqlw5eVpwBdlFZvF/KpqdmwKj971llEaJ3U8qfIXglPhHz573OaX",
            {"thinking": "one, " * 20},
        ),
    ],
    ids=["plain", "pressed"],
)
def test_a_conversation_goes_on_after_an_upgrade(handle: str, block: dict[str, Any]) -> None:
    assert of("acme").open(handle) == block


def test_a_handle_tells_nothing_of_its_block() -> None:
    handle = of("acme").seal(BLOCK)
    raw = base64.b64decode(handle.removeprefix(PREFIX))
    for word in (b"first", b"thinking", b"c2VhbA==", b"acme"):
        assert word not in raw
    assert handle != of("acme").seal(BLOCK)


def test_another_tenants_handle_is_not_opened_and_is_known_for_what_it_is() -> None:
    handle = of("acme").seal(BLOCK)
    thief = of("eve")
    assert thief.open(handle) is None
    assert thief.foreign
    elsewhere = of("acme", b"x" * 32)
    assert elsewhere.open(handle) is None
    assert not elsewhere.foreign


def test_whatever_is_changed_in_a_handle_is_noticed() -> None:
    handle = of("acme").seal(BLOCK)
    raw = bytearray(base64.b64decode(handle.removeprefix(PREFIX)))
    for place in range(len(raw)):
        raw[place] ^= 1
        reader = of("acme")
        assert reader.open(PREFIX + base64.b64encode(raw).decode()) is None
        assert not reader.foreign
        raw[place] ^= 1
    owner = slice(12, 28)
    raw[owner] = base64.b64decode(of("eve").seal(BLOCK).removeprefix(PREFIX))[owner]
    assert of("eve").open(PREFIX + base64.b64encode(raw).decode()) is None, "given to oneself"
    for changed in (f"{handle}\n", f"{PREFIX}-{handle.removeprefix(PREFIX)}", f"{handle[:40]} {handle[40:]}"):
        assert of("acme").open(changed) is None, "letters that lenient readers skip"


@given(st.text() | st.binary().map(lambda raw: PREFIX + base64.b64encode(raw).decode()) | st.text().map(PREFIX.__add__))
def test_what_is_no_handle_is_not_opened(handle: str) -> None:
    assert of("acme").open(handle) is None


@pytest.mark.parametrize("unit", ["a thought, {}; ", "é{}"])
def test_a_block_may_be_as_long_as_a_model_thinks_and_no_longer(unit: str) -> None:
    room = MAX_BLOCK_BYTES - len(b'{"thinking":""}')
    prose = "".join(map(unit.format, range(200_000))).encode()[:room].decode(errors="ignore")
    longest = {"thinking": prose.ljust(len(prose) + room - len(prose.encode()))}
    assert of("acme").open(of("acme").seal(longest)) == longest
    with pytest.raises(UpstreamFailed):
        of("acme").seal({"thinking": longest["thinking"] + "x"})


def test_a_short_handle_never_holds_a_long_text() -> None:
    handle = of("acme").seal({"thinking": "x" * 1_000_000})
    assert len(handle) > 1_000_000
    prose = of("acme").seal({"thinking": "A word and a number: " + " ".join(map(str, range(20_000)))})
    assert len(prose) < 100_000


def test_the_blocks_of_one_request_are_bounded() -> None:
    handle = of("acme").seal({"thinking": "x" * 1_000_000})
    reader = of("acme")
    for _ in range(16):
        assert reader.open(handle)
    with pytest.raises(TooLarge):
        reader.open(handle)


def test_half_a_character_is_sealed_and_refused_when_it_returns() -> None:
    handle = of("acme").seal({"thinking": "\ud83d"})
    assert of("acme").open(handle) is None


def test_only_what_an_api_has_in_a_block_is_kept() -> None:
    handle = of("acme").seal({**BLOCK, "deep": [[[]]], "wide": {}})
    assert of("acme").open(handle) == BLOCK
