"""A sample opens with the private key, as it was sealed, for the exchange that it was taken of; else not at all."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import ConfigurationError
from proxy.keyed.sample_keys import SampleKey
from proxy.samples.envelope import Envelope, Sealer, Unreadable, unseal
from tests.samples.said import SAID, keys

TIME = "2026-11-26T10:00:00.000Z"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[SampleKey, SampleKey]:
    return keys(tmp_path_factory.mktemp("keys"))


def test_what_was_sealed_comes_back_through_its_line(pair: tuple[SampleKey, SampleKey]) -> None:
    envelope = Sealer(pair[0]).seal("ex_1", TIME, SAID)
    line = envelope.line()
    assert (line.count(b"\n"), line.isascii()) == (1, True)
    assert Envelope.read(line) == envelope
    assert unseal(envelope, pair[1]) == SAID


def test_no_two_samples_are_sealed_alike(pair: tuple[SampleKey, SampleKey]) -> None:
    sealer = Sealer(pair[0])
    first, second = (sealer.seal("ex_1", TIME, SAID) for _ in range(2))
    assert first.sealed[:32] != second.sealed[:32]  # each has an ephemeral key of its own
    assert first.digest != second.digest


def test_every_byte_that_is_changed_and_every_cut_keeps_it_shut(pair: tuple[SampleKey, SampleKey]) -> None:
    envelope = Sealer(pair[0]).seal("ex_1", TIME, SAID)
    sealed = envelope.sealed
    for place in range(0, len(sealed), 7):
        edited = sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]
        for damaged in (edited, sealed[:place]):
            with pytest.raises(Unreadable, match="does not open"):
                unseal(envelope._replace(sealed=damaged), pair[1])


def test_it_is_bound_to_its_exchange_and_moment(pair: tuple[SampleKey, SampleKey]) -> None:
    envelope = Sealer(pair[0]).seal("ex_1", TIME, SAID)
    for moved in (envelope._replace(exchange="ex_2"), envelope._replace(time="2026-11-26T10:00:00.001Z")):
        with pytest.raises(Unreadable, match="belongs to another exchange"):
            unseal(moved, pair[1])


def test_another_key_is_told_which_one_it_is_sealed_to(pair: tuple[SampleKey, SampleKey], tmp_path: Path) -> None:
    _, other = keys(tmp_path)
    envelope = Sealer(pair[0]).seal("ex_1", TIME, SAID)
    with pytest.raises(Unreadable, match=f"sealed to the key {pair[0].id}, this is {other.id}"):
        unseal(envelope, other)
    with pytest.raises(Unreadable, match="does not open"):
        unseal(envelope._replace(key=other.id), other)


def test_a_key_of_zeros_is_refused_before_anything_is_sealed_to_it() -> None:
    with pytest.raises(ConfigurationError, match="nothing can be sealed to this key"):
        Sealer(SampleKey("00000000", bytes(32)))


@pytest.mark.parametrize(
    "content",
    [
        b"no json",
        b"[]",
        b"{}",
        json.dumps({**SAID.document(), "answer": 7}).encode(),
        json.dumps({**SAID.document(), "request": {"beginning": [["user"]], "end": [], "whole": True}}).encode(),
        json.dumps({**SAID.document(), "request": {"beginning": [["a", "b", 7]], "end": [], "whole": True}}).encode(),
    ],
)
def test_what_somebody_else_sealed_is_no_sample(pair: tuple[SampleKey, SampleKey], content: bytes) -> None:
    suite = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
    bound = json.dumps(["stillgate.sample", 1, "ex_1", TIME, pair[0].id], separators=(",", ":")).encode()
    sealed = suite.encrypt(content, X25519PublicKey.from_public_bytes(pair[0].raw), bound)
    with pytest.raises(Unreadable):
        unseal(Envelope("ex_1", TIME, pair[0].id, sealed), pair[1])
    ours = suite.encrypt(json.dumps(SAID.document()).encode(), X25519PublicKey.from_public_bytes(pair[0].raw), bound)
    assert unseal(Envelope("ex_1", TIME, pair[0].id, ours), pair[1]) == SAID  # that is all there is to the format


@given(
    st.binary(max_size=200) | st.from_regex(rb'\{"v":[0-9],"exchange":"x","time":"t","key":"k"(,"sealed":"[^"]*")?\}')
)
def test_a_line_that_is_no_sample_is_a_value_error(line: bytes) -> None:
    try:
        envelope = Envelope.read(line)
    except ValueError:
        return
    assert json.loads(line)["sealed"] == b64encode(envelope.sealed).decode()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("7", "is not a sample"),
        ("[]", "is not a sample"),
        ("{}", "is not a sample"),
        ('{"v":1,"exchange":"x","time":"t","key":"k"}', "is not a sample"),
        ('{"v":1,"exchange":"x","time":"t","key":"k","sealed":"AAAA","more":1}', "is not a sample"),
        ('{"v":1,"exchange":7,"time":"t","key":"k","sealed":"AAAA"}', "is not a sample"),
        ('{"v":true,"exchange":"x","time":"t","key":"k","sealed":"AAAA"}', "is not a sample"),
        ('{"v":1,"exchange":"x","time":"t","key":"k","sealed":"AAA"}', "is not a sample"),
        ('{"v":1,"exchange":"x","time":"t","key":"k","sealed":"AA!A="}', "is not a sample"),
        ('{"v":2,"exchange":"x","time":"t","key":"k","sealed":"AAAA"}', "is a sample of another version"),
    ],
)
def test_what_is_no_sample_is_told_from_one_of_another_version(line: str, why: str) -> None:
    with pytest.raises(ValueError, match=f"^{why}$"):
        Envelope.read(line.encode())
    assert Envelope.read(b'{"v":1,"exchange":"x","time":"t","key":"k","sealed":"AAAA"}').sealed == bytes(3)
