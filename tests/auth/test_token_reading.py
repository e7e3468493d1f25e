from __future__ import annotations

from base64 import urlsafe_b64encode
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.auth.api_key import mint
from proxy.auth.token_reading import Fault, Refused, looks_like_token, read_token
from tests.auth.tokens import claims, craft, rsa_key, sign

GOOD = claims(1_700_000_000.0)
HEAD = {"alg": "RS256", "kid": "k1"}


def fault(token: str) -> Fault:
    with pytest.raises(Refused) as caught:
        read_token(token)
    return caught.value.fault


def test_a_tokens_parts_are_read() -> None:
    text = sign(GOOD, rsa_key(), jku="https://evil.example.com/jwks.json", jwk={"kty": "oct", "k": "eA"})
    token = read_token(text)
    assert token.claims == GOOD
    assert token.signed + b"." + urlsafe_b64encode(token.signature).rstrip(b"=") == text.encode()
    assert (token.header["alg"], token.header["kid"]) == ("RS256", "k1")


def test_a_number_may_have_what_64_bits_take() -> None:
    assert read_token(craft(HEAD, b'{"n":' + b"9" * 20 + b"}", rsa_key())).claims == {"n": 10**20 - 1}


def test_no_key_of_ours_looks_like_a_token_and_every_token_does() -> None:
    assert not looks_like_token(mint(lambda count: b"\xff" * count))
    assert not looks_like_token("sk-an.imported.key-of-another-gateway")
    assert not looks_like_token("eye-and-hand-another-gateways-key")
    assert looks_like_token(sign(GOOD, rsa_key()))
    assert looks_like_token("eyJhbGciOiJSU0EtT0FFUCJ9.a.b.c.d")  # an encrypted one, which is refused as malformed


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("eyJ", Fault.MALFORMED),
        ("eyJhIjoxfQ.eyJhIjoxfQ", Fault.MALFORMED),
        ("eyJhIjoxfQ.eyJhIjoxfQ.", Fault.MALFORMED),  # K-01: unsigned
        ("eyJhIjoxfQ..c2ln", Fault.MALFORMED),
        ("eyJhIjoxfQ.e30.a.b.c", Fault.MALFORMED),  # K-03: encrypted
        ("eyJhIjoxfQ==.e30.c2ln", Fault.MALFORMED),
        ("eyJhIjoxfQ.e3+/.c2ln", Fault.MALFORMED),
        ("eyJhIjoxf.e.c2ln", Fault.MALFORMED),
        ("eyJhIjoxfR.e30.c2ln", Fault.MALFORMED),  # the same bytes in other letters
        ("eyJhIjoxfQ.e30.c2l", Fault.MALFORMED),
        ("eyJhIjoxfQ.e30.c", Fault.MALFORMED),
        (craft(b"[]", GOOD, rsa_key()), Fault.MALFORMED),
        (craft(HEAD, b'"text"', rsa_key()), Fault.MALFORMED),
        (craft(HEAD, b'{"sub":"a","sub":"b"}', rsa_key()), Fault.MALFORMED),  # K-03
        (craft(HEAD, b'{"sub":"a","s\\u0075b":"b"}', rsa_key()), Fault.MALFORMED),
        (craft(HEAD, b'{"a":{"b":1,"b":2}}', rsa_key()), Fault.MALFORMED),
        (craft(b'{"alg":"RS256","alg":"none"}', GOOD, rsa_key()), Fault.MALFORMED),
        (craft(HEAD, b'{"exp":NaN}', rsa_key()), Fault.MALFORMED),
        (craft(HEAD, b'{"exp":Infinity}', rsa_key()), Fault.MALFORMED),
        (craft(HEAD, b'{"exp":' + b"9" * 5000 + b"}", rsa_key()), Fault.MALFORMED),
        (craft(HEAD, b'{"n":' + b"9" * 21 + b"}", rsa_key()), Fault.MALFORMED),
        (craft(HEAD, b'{"sub":"\xff"}', rsa_key()), Fault.MALFORMED),
        (craft(HEAD, "\ufeff{}".encode(), rsa_key()), Fault.MALFORMED),
        (craft(HEAD, b"[" * 5000, rsa_key()), Fault.MALFORMED),
        (sign(GOOD, rsa_key(), crit=["exp"]), Fault.HEADER),  # K-01
        (sign(GOOD, rsa_key(), crit=[]), Fault.HEADER),
        (sign(GOOD, rsa_key(), b64=False), Fault.HEADER),  # K-03
        (sign(GOOD, rsa_key(), b64=True), Fault.HEADER),
        (sign(GOOD, rsa_key(), kid=7), Fault.HEADER),
        (sign(GOOD, rsa_key(), kid=["k1"]), Fault.HEADER),
    ],
)
def test_what_could_be_read_in_two_ways_or_not_at_all_is_refused(token: str, expected: Fault) -> None:
    assert fault(token) is expected


@given(st.text(st.sampled_from('eyJ.-_=[]{}"0a\u00e9'), max_size=60))
def test_whatever_comes_is_a_token_or_refused(text: str) -> None:
    with suppress(Refused):
        read_token(text)
