from __future__ import annotations

import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448

from proxy.auth.jwk_set import MAX_BYTES, Unusable, read_jwks, read_secret
from tests.auth.tokens import Json, jwk, jwks, key_for, rsa_key

ALL = ("RS256", "RS512", "PS256", "ES256", "ES384", "ES512", "EdDSA")
RSA = jwk(rsa_key())


@pytest.mark.parametrize("algorithm", ALL)
def test_a_key_verifies_the_algorithms_of_its_type_that_are_allowed_and_no_other(algorithm: str) -> None:
    keys = read_jwks(jwks(jwk(key_for(algorithm))), ALL)
    fitting = {name for name in ALL if keys.find(name, "k1") is not None}
    assert fitting == ({"RS256", "RS512", "PS256"} if algorithm[:2] in {"RS", "PS"} else {algorithm})
    for name in fitting:
        key = keys.find(name, "k1")
        assert key is not None
        assert key.algorithm_name == name
    assert read_jwks(jwks(jwk(key_for(algorithm))), [algorithm]).find("HS256", "k1") is None


def test_a_keys_own_algorithm_binds_it() -> None:
    keys = read_jwks(jwks(jwk(rsa_key(), alg="PS256")), ALL)
    assert [name for name in ALL if keys.find(name, "k1") is not None] == ["PS256"]


def test_a_kid_is_only_looked_up_and_needed_where_several_keys_fit() -> None:
    one = read_jwks(jwks(RSA, jwk(key_for("ES256"), "k2")), ALL)
    assert one.find("RS256", None) is not None
    assert one.find("RS256", "../../etc/passwd") is None  # K-05
    assert one.find("RS256", "k2") is None
    two = read_jwks(jwks(RSA, jwk(rsa_key(1), "k2")), ALL)
    assert two.find("RS256", None) is None
    first, second = two.find("RS256", "k1"), two.find("RS256", "k2")
    assert first is not None
    assert second is not None
    assert first.key != second.key


def test_a_key_without_a_name_counts_alone_only() -> None:
    alone = read_jwks(jwks(jwk(rsa_key(), None)), ALL)
    assert alone.find("RS256", None) is alone.find("RS256", "whatever") is not None
    beside = read_jwks(jwks(jwk(rsa_key(), None), jwk(rsa_key(1), "k2")), ALL)
    assert beside.find("RS256", "unknown") is None
    curve = read_jwks(jwks(jwk(key_for("ES256"), None), RSA, jwk(rsa_key(), None, alg="RSA-OAEP")), ALL)
    assert curve.find("ES256", None) is curve.find("ES256", "whatever") is not None, "the other nameless one is no use"
    with pytest.raises(Unusable):
        read_jwks(jwks(jwk(rsa_key(), None), jwk(rsa_key(1), None)), ALL)


def test_of_two_keys_under_one_name_the_first_counts() -> None:
    key = read_jwks(jwks(RSA, jwk(rsa_key(1), "k1")), ["RS256"]).find("RS256", "k1")
    assert key is not None
    assert key.key == rsa_key().public_key()


def weak(**changed: Any) -> Json:
    return {**RSA, **changed}


@pytest.mark.parametrize(
    "entry",
    [
        jwk(rsa_key(bits=1024)),
        jwk(rsa_key(), use="enc"),
        jwk(rsa_key(), use=["sig"]),
        jwk(rsa_key(), key_ops=["encrypt"]),
        jwk(rsa_key(), key_ops="verify"),
        jwk(rsa_key(), alg="RSA-OAEP"),
        jwk(rsa_key(), alg="none"),
        {**RSA, "kid": 7},
        jwk(rsa_key(), kid="k" * 513),
        *(
            jwk(rsa_key(), **{name: "AQAB"}) for name in ("d", "p", "q", "dp", "dq", "qi")
        ),  # private halves belong in none
        {**jwt.get_algorithm_by_name("RS256").to_jwk(rsa_key(), as_dict=True), "key_ops": ["verify"]},
        jwt.get_algorithm_by_name("ES256").to_jwk(key_for("ES256"), as_dict=True),
        {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I", "kid": "k1"},
        {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I", "kid": "k1", "alg": "RS256"},
        weak(n="AQAB"),
        weak(n=""),
        weak(n=5),
        weak(n="A" * 100_000),
        weak(n="!" * 300),
        weak(e="Ag"),  # even
        weak(e="AQAAAAAAAAAB"),  # 65 bits
        weak(kty="EC"),
        weak(crv="P-256"),
        {**jwk(key_for("ES256")), "crv": "P-384"},
        {**jwk(key_for("ES256")), "x": "AAAA"},
        {**jwk(key_for("ES256")), "x": jwk(key_for("ES256"))["y"]},  # not on the curve
        jwk(ec.generate_private_key(ec.SECP256K1())),
        {**jwk(key_for("EdDSA")), "crv": "Ed448"},
        {**jwk(key_for("EdDSA")), "x": "AAAA"},
        "text",
        None,
    ],
)
def test_what_is_weak_private_or_for_something_else_is_left_out(entry: Any) -> None:
    document = json.dumps({"keys": [entry, jwk(key_for("ES384"), "good")]}).encode()
    keys = read_jwks(document, ALL)
    assert len(keys) == 1
    assert keys.find("ES384", "good") is not None


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (b"", "no valid JSON"),
        (b"<html>", "no valid JSON"),
        (b"[" * 100_000, "no valid JSON"),
        (b"[]", "not a JWK set: it has no list of keys"),
        (b"{}", "not a JWK set: it has no list of keys"),
        (b'{"keys": {}}', "not a JWK set: it has no list of keys"),
        (b'{"keys": []}', "no key in it that the algorithms allow"),  # K-06: emptied
        (jwks(jwk(key_for("EdDSA"))), "no key in it that the algorithms allow"),
        (jwks(*[RSA] * 65), "more than 64 keys"),
        (b" " * (MAX_BYTES + 1), "larger than 262144 bytes"),
    ],
)
def test_a_document_without_a_usable_key_is_told_why(document: bytes, why: str) -> None:
    with pytest.raises(Unusable) as caught:
        read_jwks(document, ["RS256"])
    assert str(caught.value) == why


def test_a_shared_secret_fits_whatever_a_token_calls_it() -> None:
    keys = read_secret(b"s" * 48 + b"\n", ["HS256", "HS384"])
    assert keys.find("HS256", None) is keys.find("HS256", "k1") is not None
    assert keys.find("HS384", "k1") is not None
    assert keys.find("RS256", "k1") is None


@pytest.mark.parametrize(
    ("secret", "algorithms", "why"),
    [
        (b"short", ["HS256"], "the secret has 5 bytes, HS256 needs 32"),
        (b"s" * 48, ["HS256", "HS512"], "the secret has 48 bytes, HS512 needs 64"),
        (jwks(RSA)[10:-2], ["HS256"], "a public key or a JWK, not a secret"),
        (
            b"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----",
            ["HS256"],
            "a public key or a JWK, not a secret",
        ),
    ],
)
def test_a_secret_that_can_be_guessed_or_is_public_is_none(secret: bytes, algorithms: list[str], why: str) -> None:
    with pytest.raises(Unusable) as caught:
        read_secret(secret, algorithms)
    assert str(caught.value) == why
    assert "s" * 32 not in repr(caught.value)


def test_an_edwards_key_of_another_curve_is_left_out() -> None:
    other = ed448.Ed448PrivateKey.generate().public_key()
    with pytest.raises(Unusable):
        read_jwks(jwks(jwt.get_algorithm_by_name("EdDSA").to_jwk(other, as_dict=True)), ["EdDSA"])
