"""Tokens from the wire to a principal, with real keys: what opens, every attack that does not, and what is remembered."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from traceback import extract_tb
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm

from proxy.auth import jwt as door
from proxy.auth import trusted
from proxy.auth.jwt import Tokens
from proxy.clock import VirtualClock
from proxy.errors import ProxyError, Unavailable
from proxy.store.memory import MemoryStore
from tests.auth.issuers import issuer
from tests.auth.tokens import ISS, Json, claims, craft, jwk, jwks, key_for, rsa_key, sign
from tests.store.cuttable import Cuttable

NOW = VirtualClock().wall()
GOOD = claims(NOW)
RSA, PUBLIC = rsa_key(), rsa_key().public_key()
PEM = PUBLIC.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
DER = PUBLIC.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


class Ground:
    """Tokens over one issuer's file of keys, its clock and its store."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.clock = VirtualClock()
        self.store = Cuttable(self.clock)
        self.file = folder / "jwks.json"
        self.publish(jwk(RSA), jwk(key_for("ES256"), "ec"))
        entry = issuer(folder, **({} if "secret_file" in settings else {"jwks_file": "jwks.json"}), **settings)
        (folder / "other.json").write_bytes(jwks(jwk(rsa_key(1))))
        other = issuer(folder, issuer="https://other.example.com", jwks_file="other.json")
        issuers = {"corp": entry, "other": other}
        self.tokens = Tokens(issuers, self.store, self.clock, b"k" * 32, lambda: 0.5)

    def publish(self, *keys: Json) -> None:
        self.file.write_bytes(jwks(*keys))

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Ground]:
        tasks = [asyncio.create_task(work) for work in self.tokens.work()]
        yield self
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def status(self, token: str) -> int:
        """Return 200 for what opens, else the status; whatever is wrong with a token has the same words."""
        error = None
        try:
            await self.tokens.authenticate(token)
        except ProxyError as refusal:
            error = refusal
        if error is None:
            return 200
        assert (
            error.message == {401: "The token is not valid.", 503: "Tokens cannot be checked right now."}[error.status]
        )
        assert (error.status == 503) == (error.retry_after is not None)
        return error.status

    def count(self, metric: str, *labels: str) -> float:
        return self.tokens.numbers().get((metric, labels), 0)

    def refusals(self) -> dict[str, int]:
        found: Counter[str] = Counter()
        for (name, labels), value in self.tokens.numbers().items():
            if name == "stillgate_token_refusals_total":
                found[labels[1]] += int(value)
        return found


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[Ground]:
    async with Ground(tmp_path).open() as ground:
        yield ground


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512", "PS256", "PS512", "ES256", "ES384", "ES512", "EdDSA"])
async def test_a_token_of_each_algorithm_opens(tmp_path: Path, algorithm: str) -> None:
    async with Ground(tmp_path, algorithms=[algorithm]).open() as ground:
        ground.publish(jwk(key_for(algorithm)))
        principal = await ground.tokens.authenticate(sign(GOOD, key_for(algorithm), algorithm))
        assert (principal.key_id, principal.account) == ("corp corp~alice corp~alice", "corp~alice")
        assert (principal.tenant, principal.plan, principal.attributes) == ("corp~alice", "default", {})


@pytest.mark.parametrize("kid", [None, "k1"])
async def test_a_shared_secret_opens_with_its_algorithms_only(tmp_path: Path, kid: str | None) -> None:
    (tmp_path / "secret").write_bytes(b"s" * 64 + b"\n")
    async with Ground(tmp_path, algorithms=["HS256"], secret_file="secret").open() as ground:
        assert await ground.status(sign(GOOD, b"s" * 64, "HS256", kid=kid)) == 200
        assert await ground.status(sign(GOOD, b"t" * 64, "HS256", kid=kid)) == 401
        assert await ground.status(sign(GOOD, b"s" * 64, "HS512", kid=kid)) == 401
        assert await ground.status(sign(GOOD, RSA, "RS256", kid=kid)) == 401
        assert ground.refusals() == {"signature": 1, "algorithm": 2}


def _unsigned(algorithm: Any) -> list[str]:
    header = {"alg": algorithm, "kid": "k1"}
    return [craft(header, GOOD, None), craft(header, GOOD, b"", "HS256")]


TOKEN = sign(GOOD, RSA)
HEAD, BODY, SIGNATURE = TOKEN.split(".")
ATTACKS: dict[str, list[str]] = {
    # K-01
    "alg none": [token for name in ("none", "None", "NONE", "nOnE", "", None, 0, ["RS256"]) for token in _unsigned(name)],
    "no alg": [craft({"kid": "k1"}, GOOD, RSA)],
    "HS256 with the public key": [
        sign(GOOD, secret, "HS256") for secret in (PEM, PEM.strip(), DER, json.dumps(jwk(RSA)).encode(), jwk(RSA)["n"].encode())
    ],
    "RS256 that says it is HS256": [craft({"alg": "HS256", "kid": "k1"}, GOOD, RSA)],
    "RS256 that says it is another": [craft({"alg": name, "kid": "k1"}, GOOD, RSA) for name in ("PS256", "ES256", "RS384")],
    "another that says it is RS256": [craft({"alg": "RS256", "kid": "k1"}, GOOD, RSA, name) for name in ("PS256", "RS512")],
    "the key of another type": [craft({"alg": name, "kid": "ec"}, GOOD, key_for("ES256"), "ES256") for name in ("RS256", "ES256")],
    "an unknown algorithm": [craft({"alg": "RS1", "kid": "k1"}, GOOD, RSA)],
    # K-04
    "another issuer": [sign({**GOOD, "iss": iss}, RSA) for iss in ("https://login.example.com", f"{ISS}x", "", None, 7, [ISS])],
    "the key of another issuer": [sign({**GOOD, "iss": "https://other.example.com"}, RSA), sign(GOOD, rsa_key(1))],
    "another audience": [sign(claims(NOW, aud="staging"), RSA)],
    "expired": [sign(claims(NOW - 1000), RSA)],
    "in the future": [sign(claims(NOW + 1000), RSA)],
    "for ever": [sign(claims(NOW, exp=NOW + 1e9), RSA), sign(claims(NOW, exp=None), RSA)],
    # K-05
    "a kid that is a path, a query or a URL": [
        sign(GOOD, RSA, kid=kid)
        for kid in ("../../../../dev/null", "' UNION SELECT 'k1", "https://evil.example.com/jwks", "k1\0", "K1", "*", "")
    ],
    "a key of its own": [
        sign(GOOD, rsa_key(2), jwk=jwk(rsa_key(2))),
        sign(GOOD, rsa_key(2), jku="https://evil.example.com/jwks.json", kid="evil"),
        sign(GOOD, rsa_key(2), x5u="https://evil.example.com/cert.pem", x5c=["MIIB"]),
    ],
    # K-03
    "changed": [
        f"{HEAD}.{sign({**GOOD, 'sub': 'admin'}, rsa_key(2)).split('.')[1]}.{SIGNATURE}",
        f"{HEAD}.{BODY}.{SIGNATURE[:-4]}", f"{HEAD}.{BODY}.{SIGNATURE}AAAA", f"{HEAD}.{BODY}.AAAA",
        f"{HEAD}.{BODY}.{SIGNATURE[:-1]}{'B' if SIGNATURE[-1] == 'A' else 'A'}",
    ],
    "two subjects": [sign(json.dumps(GOOD).encode()[:-1] + b', "sub": "bob"}', RSA)],
    "no text for a subject": [sign({**GOOD, "sub": sub}, RSA) for sub in (7, None, ["alice"], {"a": 1})],
    "huge": [f"{'e' * 4000}y.{'e' * 2000}.{'e' * 2000}"],
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
async def test_an_attack_gets_the_same_words_as_every_other(ground: Ground, attack: str) -> None:
    tokens = ATTACKS[attack]
    assert [await ground.status(token) for token in tokens] == [401] * len(tokens)
    assert await ground.status(TOKEN) == 200
    assert sum(ground.refusals().values()) == len(tokens)
    assert ground.count("stillgate_tokens_cached") == 1


async def test_a_refusal_carries_nothing_of_the_token(ground: Ground) -> None:
    for token in (sign(GOOD, rsa_key(1)), TOKEN[:-5], "eyJ.secret.secret"):
        with pytest.raises(ProxyError) as caught:
            await ground.tokens.authenticate(token)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__
        assert not any(part in repr(caught.value) + str(caught.value.__context__) for part in token.split("."))


async def test_refusing_again_and_again_keeps_nothing_more(ground: Ground) -> None:
    bad = sign(GOOD, rsa_key(1))
    depths = []
    for _ in range(5):
        with pytest.raises(ProxyError) as caught:
            await ground.tokens.authenticate(bad)
        assert caught.value.__context__ is not None
        depths.append(len(extract_tb(caught.value.__context__.__traceback__)))
    assert depths[1:] == depths[1:2] * 4


async def test_a_repeated_token_is_verified_once(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    verified = []
    verify = RSAAlgorithm.verify

    def counted(self: RSAAlgorithm, *args: Any) -> bool:
        verified.append(args)
        return verify(self, *args)

    monkeypatch.setattr(RSAAlgorithm, "verify", counted)
    principals = [await ground.tokens.authenticate(TOKEN) for _ in range(5)]
    assert len(verified) == 1
    assert all(principal is principals[0] for principal in principals)
    assert [await ground.status(sign(GOOD, rsa_key(1))) for _ in range(5)] == [401] * 5
    assert len(verified) == 2
    ground.clock.advance(11)
    assert await ground.status(sign(GOOD, rsa_key(1))) == 401
    assert len(verified) == 3
    assert ground.refusals() == {"signature": 6}


async def test_a_remembered_token_ends_with_its_exp_to_the_second_also_when_the_clock_jumps(ground: Ground) -> None:
    """K-11."""
    assert await ground.status(TOKEN) == 200
    ground.clock.advance(599)
    assert await ground.status(TOKEN) == 200
    ground.clock.advance(1)
    assert await ground.status(TOKEN) == 401
    assert ground.refusals() == {"expired": 1}


async def test_a_remembered_token_ends_with_its_key(ground: Ground) -> None:
    """K-11: two valid keys, then the old one is taken out of the file."""
    newer = sign(GOOD, rsa_key(3), kid="k3")
    assert await ground.status(TOKEN) == 200
    ground.publish(jwk(RSA), jwk(rsa_key(3), "k3"))
    assert [await ground.status(newer), await ground.status(TOKEN)] == [200, 200]
    ground.publish(jwk(rsa_key(3), "k3"))
    ground.clock.advance(60)
    assert await ground.status(sign(GOOD, RSA, kid="unknown")) == 401
    assert [await ground.status(newer), await ground.status(TOKEN)] == [200, 401]


async def test_a_file_that_changes_is_read_again_without_anybody_asking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trusted, "_FILE_REFRESH_S", 0.02)
    async with Ground(tmp_path).open() as ground:
        assert await ground.status(TOKEN) == 200
        ground.file.write_bytes(b'{"keys": [')  # half written
        async with asyncio.timeout(10):
            while not ground.count("stillgate_issuer_loads_total", "corp", "failed"):
                await asyncio.sleep(0.005)  # a thread reads the file
        assert await ground.status(TOKEN) == 200
        ground.publish(jwk(rsa_key(3)))
        async with asyncio.timeout(10):
            while ground.count("stillgate_issuer_loads_total", "corp", "loaded") < 2:
                await asyncio.sleep(0.005)
        assert await ground.status(TOKEN) == 401
        assert await ground.status(sign(GOOD, rsa_key(3))) == 200


async def test_a_remembered_token_ends_when_the_keys_are_too_old(tmp_path: Path) -> None:
    async with Ground(tmp_path, max_age_seconds=400).open() as ground:
        assert await ground.status(TOKEN) == 200
        ground.file.unlink()
        ground.clock.advance(399)
        assert await ground.status(TOKEN) == 200
        ground.clock.advance(2)
        assert await ground.status(TOKEN) == 503
        assert ground.refusals() == {}
        assert ground.count("stillgate_issuer_keys_age_seconds", "corp") == 401


async def test_keys_that_never_came_get_older_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Without a number there is nothing that an alert could see, and every token is refused."""
    ground = Ground(tmp_path)
    ground.file.unlink()
    async with ground.open():
        assert await ground.status(TOKEN) == 503
        ground.clock.advance(4000)
        assert ground.count("stillgate_issuer_keys_age_seconds", "corp") == 4000
    assert "keys cannot be loaded; its tokens are refused until they can" in caplog.text


async def test_what_is_not_valid_yet_is_looked_at_again(ground: Ground) -> None:
    early = sign(claims(NOW, nbf=NOW + 31), RSA)
    assert await ground.status(early) == 401
    ground.clock.advance(1)
    assert await ground.status(early) == 200


async def test_what_is_remembered_is_bounded_and_refusals_evict_nobody(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "_KNOWN_LIMIT", 3)
    monkeypatch.setattr(door, "_REFUSED_LIMIT", 3)
    first = await ground.tokens.authenticate(TOKEN)
    for number in range(20):
        assert await ground.status(f"{HEAD}.{BODY}.{number:04}") == 401
    assert ground.count("stillgate_tokens_cached") == 1
    assert len(ground.tokens._refused) == 3
    for number in range(20):
        assert await ground.status(sign(claims(NOW, jti=str(number)), RSA)) == 200
        assert await ground.tokens.authenticate(TOKEN) is first  # used all the time, so it stays
    assert ground.count("stillgate_tokens_cached") == 3


async def test_tokens_that_begin_alike_are_of_different_callers(ground: Ground) -> None:
    """K-07."""
    subjects = [f"{'a' * 100}{number}" for number in range(5)]
    tokens = [sign({"sub": subject, **claims(NOW, sub=None)}, RSA) for subject in subjects]
    assert len({token[:120] for token in tokens}) == 1
    found = [(await ground.tokens.authenticate(token)).account for token in [*tokens, *tokens]]
    assert found == [f"corp~{subject}" for subject in subjects] * 2


async def test_an_account_is_as_old_as_its_first_token_unless_a_claim_tells(tmp_path: Path) -> None:
    async with Ground(tmp_path, claims={"created_at": "opened"}).open() as ground:
        first = await ground.tokens.authenticate(TOKEN)
        ground.clock.advance(300)
        second = await ground.tokens.authenticate(sign(claims(NOW, jti="2"), RSA))
        told = await ground.tokens.authenticate(sign(claims(NOW, opened=5), RSA))
        assert (first.created_at, second.created_at, told.created_at) == (NOW, NOW, 5.0)


async def test_without_the_store_only_accounts_whose_age_is_told_or_known_get_in(tmp_path: Path) -> None:
    async with Ground(tmp_path, claims={"created_at": "opened"}).open() as ground:
        assert await ground.status(TOKEN) == 200
        ground.store.away = True
        assert await ground.status(TOKEN) == 200
        assert await ground.status(sign(claims(NOW, opened=5), RSA)) == 200
        assert await ground.status(sign(claims(NOW, jti="2"), RSA)) == 503
        with pytest.raises(Unavailable) as away:
            await ground.tokens.authenticate(sign(claims(NOW, jti="2"), RSA))
        assert away.value.code == "keys_unavailable"
        assert await ground.status(sign(claims(NOW, jti="2"), rsa_key(1))) == 401


async def test_a_refusal_is_forgotten_also_of_a_token_that_is_sent_all_the_time(ground: Ground) -> None:
    """Its issuer may have made a new key under the old one's name."""
    renewed = sign(GOOD, rsa_key(3))
    assert await ground.status(renewed) == 401
    ground.publish(jwk(rsa_key(3)))
    ground.clock.advance(6)
    assert [await ground.status(sign(GOOD, RSA, kid="unknown")), await ground.status(renewed)] == [401, 401]
    ground.clock.advance(6)
    assert await ground.status(renewed) == 200


async def test_what_looks_like_a_token_is_taken_for_one_and_no_key_is(ground: Ground) -> None:
    assert ground.tokens.takes(TOKEN)
    assert not ground.tokens.takes("sk-another-gateways-key")


async def test_without_issuers_nothing_is_taken_for_a_token() -> None:
    clock = VirtualClock()
    assert not Tokens({}, MemoryStore(clock), clock, b"k" * 32, lambda: 0.5).takes(TOKEN)
