from __future__ import annotations

import random
from typing import Any

import pytest

from proxy.auth.api_key import PREFIX, KeyRecord, KeyRequest, digest, mint, well_formed
from proxy.errors import ConfigurationError

KEY = b"k" * 32
RANDOM = random.Random(7).randbytes


def test_a_minted_secret_is_well_formed_and_long_enough() -> None:
    secrets = {mint(RANDOM) for _ in range(1000)}
    assert len(secrets) == 1000
    assert all(well_formed(secret) and len(secret) == 37 for secret in secrets)


def test_a_secret_has_160_random_bits_all_of_which_can_be_told_from_it() -> None:
    asked: list[int] = []

    def random_bytes(count: int) -> bytes:
        asked.append(count)
        return RANDOM(count)

    assert mint(random_bytes)
    assert asked == [20]
    drawn = [bytes(20), b"\xff" * 20, *((1 << bit).to_bytes(20, "big") for bit in range(160))]
    given = iter(drawn)
    assert len({mint(lambda _: next(given))[: -len("check1")] for _ in drawn}) == len(drawn)


def test_any_changed_character_breaks_the_checksum() -> None:
    secret = mint(RANDOM)
    for position in range(len(PREFIX), len(secret)):
        changed = secret[:position] + ("0" if secret[position] != "0" else "1") + secret[position + 1 :]
        assert not well_formed(changed)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "sgk_",
        "short",
        "sgk_" + "0" * 33,
        "sgk_" + "é" * 33,
        "x" * 513,
        "has space in the middle of it",
        "a\x00" * 20,
    ],
)
def test_what_cannot_be_a_key_is_not_looked_up(secret: str) -> None:
    assert not well_formed(secret)


def test_secrets_that_share_a_long_beginning_have_different_digests() -> None:
    """K-07."""
    assert digest("a" * 64 + "1", KEY) != digest("a" * 64 + "2", KEY)
    assert digest("same", KEY) != digest("same", b"other" * 8)
    assert digest("\ud800", KEY) != digest("\ud801", KEY)  # no text of UTF-8, but one that a file of JSON can hold


def test_a_record_survives_the_store() -> None:
    record = KeyRecord("key_1", "a", "t", "p", 1.5, 2.5, "wxyz", 99.0, False, (("payment", "card"),))
    assert KeyRecord.from_bytes(record.to_bytes()) == record


@pytest.mark.parametrize(("now", "usable"), [(0.0, True), (9.999, True), (10.0, False)])
def test_a_key_ends_at_its_expiry(now: float, usable: bool) -> None:
    record = KeyRecord("key_1", "a", "t", "p", 0, 0, "", expires_at=10.0)
    assert record.usable_at(now) is usable
    assert not record.revoked().usable_at(now)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({}, "account"),
        ({"account": ""}, "account"),
        ({"account": "a b"}, "account"),
        ({"account": "a\n"}, "account"),
        ({"account": "a", "role": "admin"}, "role"),
        ({"account": "a", "tenant": 3}, "tenant"),
        ({"account": "a", "created_at": "yesterday"}, "created_at"),
        ({"account": "a", "expires_at": True}, "expires_at"),
        ({"account": "a", "expires_at": -1}, "expires_at"),
        ({"account": "a", "attributes": ["x"]}, "attributes"),
        ({"account": "a", "attributes": {"payment": 3}}, "attributes"),
        ({"account": "a", "attributes": {str(n): "" for n in range(17)}}, "attributes"),
        ({"account": "a", "attributes": {"payment": "x" * 257}}, "attributes"),
        ({"account": "a", "attributes": {"pay ment": "x"}}, "attributes"),
        ({"account": "a", "attributes": {"payment": "x", "peer": "x"}}, "attributes: peer is what callers"),
        ({"account": "a", "attributes": {"peer_prefix": "x"}}, "attributes: peer_prefix is what callers"),
        ({"account": "a", "secret": "too-short"}, "secret"),
        ({"account": "a", "secret": ["x" * 22]}, "secret"),
        ({"account": "a", "secret": "sgk_" + "0" * 33}, "secret"),
    ],
)
def test_a_bad_request_for_a_key_names_the_field(data: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        KeyRequest.read(data)


def test_a_request_for_a_key_is_taken_as_it_is_said() -> None:
    said = {"account": "a", "tenant": "t", "plan": "p", "created_at": 5, "expires_at": 7.5, "secret": "x" * 22}
    asked = KeyRequest.read({**said, "attributes": {"payment": "card", "age": "x" * 256}})
    assert asked == KeyRequest("a", "t", "p", 5.0, 7.5, (("age", "x" * 256), ("payment", "card")), "x" * 22)
    assert KeyRequest.read({"account": "a"}) == KeyRequest("a", "a", "default")


def test_a_secret_is_in_no_representation_that_is_stored_or_shown() -> None:
    secret = mint(RANDOM)
    record = KeyRecord("key_1", "a", "t", "p", 0, 0, secret[-4:])
    assert secret[:-4] not in repr(record)
    assert secret[:-4] not in str(record.view())
    assert secret[:-4].encode() not in record.to_bytes()
