"""Tokens of the admin side: what is stored of them, whom they stand for, who may make which."""

from __future__ import annotations

import random
from itertools import product
from typing import Any

import pytest

from proxy.auth import api_key
from proxy.auth.admin import (
    DIGESTS_TABLE,
    PREFIX,
    TOKENS_TABLE,
    AdminToken,
    Caller,
    Forbidden,
    Role,
    TokenRegistry,
    TokenRequest,
)
from proxy.auth.api_key import minted_here
from proxy.clock import VirtualClock
from proxy.errors import ConfigurationError
from proxy.store.base import Row
from proxy.store.memory import MemoryStore

DIGEST_KEY = b"t" * 32
ROOT = Caller("root", Role.OPERATOR, by_token=False)


@pytest.fixture
def store(clock: VirtualClock) -> MemoryStore:
    return MemoryStore(clock)


@pytest.fixture
def registry(store: MemoryStore, clock: VirtualClock) -> TokenRegistry:
    return TokenRegistry(store, DIGEST_KEY, clock, random.Random(5).randbytes)


@pytest.mark.parametrize(("mine", "other"), list(product(Role, Role)))
def test_each_role_includes_the_ones_before_it(mine: Role, other: Role) -> None:
    order = [Role.REVIEWER, Role.AUTHOR, Role.OPERATOR]
    assert mine.covers(other) is (order.index(mine) >= order.index(other))


async def test_a_token_stands_for_its_person_and_role(registry: TokenRegistry) -> None:
    made = await registry.create(TokenRequest("alice", Role.REVIEWER), ROOT)
    assert made.secret.startswith(PREFIX)
    assert minted_here(made.secret, PREFIX)
    assert await registry.authenticate(made.secret) == Caller("alice", Role.REVIEWER, by_token=True)


async def test_a_token_that_an_earlier_version_made_stands_for_whom_it_stood(
    registry: TokenRegistry, store: MemoryStore
) -> None:
    name = "e139afa9e27a852746fc5e25c215071ecd13a41cc9e90d0f50d965d24d4daca8"
    token = (
        b'{"name":"alice","role":"reviewer","created_at":1700000000.0,"digest":"%b","expires_at":null,"disabled":%b}'
    )
    for disabled, found in ((b"false", Caller("alice", Role.REVIEWER, by_token=True)), (b"true", None)):
        await store.write(
            [
                Row("admin_tokens", "alice", token % (name.encode(), disabled)),
                Row("admin_token_digests", name, b"alice"),
            ]
        )
        assert await registry.authenticate(f"{PREFIX}9uhbdHwNmGzyGY9pN47dZRyEF9n43RbUd") == found


async def test_neither_the_secret_nor_a_digest_without_our_key_is_stored_or_shown(
    registry: TokenRegistry, store: MemoryStore
) -> None:
    made = await registry.create(TokenRequest("alice", Role.REVIEWER), ROOT)
    rows = [row for table in (TOKENS_TABLE, DIGESTS_TABLE) async for row in store.scan(table)]
    assert len(rows) == 2
    kept = b" ".join(name.encode() + value for name, value in rows)
    assert made.secret.encode() not in kept
    assert api_key.digest(made.secret, b"").encode() not in kept
    assert made.token.digest not in str(made.token.view())


def changed(secret: str) -> list[str]:
    """Return what is almost a secret: each character another, one too few, one too many, another prefix."""
    others = [
        secret[:at] + ("0" if secret[at] != "0" else "1") + secret[at + 1 :] for at in range(len(PREFIX), len(secret))
    ]
    return [*others, secret[:-1], secret + "0", api_key.PREFIX + secret[len(PREFIX) :], "", PREFIX, PREFIX + "é" * 33]


async def test_what_is_almost_a_token_opens_nothing(registry: TokenRegistry) -> None:
    secret = (await registry.create(TokenRequest("alice", Role.OPERATOR), ROOT)).secret
    never_made = api_key.mint(random.Random(6).randbytes, PREFIX)
    for attempt in (*changed(secret), never_made):
        assert await registry.authenticate(attempt) is None


async def test_a_revoked_token_opens_nothing_from_the_next_use_on(registry: TokenRegistry) -> None:
    secret = (await registry.create(TokenRequest("alice", Role.AUTHOR), ROOT)).secret
    assert (await registry.revoke("alice")).disabled
    assert await registry.authenticate(secret) is None


async def test_a_token_ends_at_its_expiry(registry: TokenRegistry, clock: VirtualClock) -> None:
    secret = (await registry.create(TokenRequest("alice", Role.AUTHOR, clock.wall() + 60), ROOT)).secret
    clock.advance(59)
    assert await registry.authenticate(secret) is not None
    clock.advance(1)
    assert await registry.authenticate(secret) is None


@pytest.mark.parametrize("ended_by", ["revocation", "expiry"])
async def test_a_name_can_be_given_again_once_its_token_opens_nothing_and_the_old_one_stays_dead(
    registry: TokenRegistry, store: MemoryStore, clock: VirtualClock, ended_by: str
) -> None:
    old = (await registry.create(TokenRequest("alice", Role.AUTHOR, clock.wall() + 60), ROOT)).secret
    with pytest.raises(ConfigurationError, match="alice has a token already"):
        await registry.create(TokenRequest("alice", Role.REVIEWER), ROOT)
    if ended_by == "revocation":
        await registry.revoke("alice")
    else:
        clock.advance(60)
    new = (await registry.create(TokenRequest("alice", Role.REVIEWER), ROOT)).secret
    assert await registry.authenticate(old) is None
    assert await registry.authenticate(new) == Caller("alice", Role.REVIEWER, by_token=True)
    assert len([row async for row in store.scan(DIGESTS_TABLE)]) == 1


async def test_a_token_whose_name_another_one_took_in_a_race_opens_nothing(
    registry: TokenRegistry, store: MemoryStore
) -> None:
    made = await registry.create(TokenRequest("alice", Role.OPERATOR), ROOT)
    rows = [row async for row in store.scan(DIGESTS_TABLE)]
    await registry.revoke("alice")
    await registry.create(TokenRequest("alice", Role.REVIEWER), ROOT)
    await store.write([Row(DIGESTS_TABLE, name, value) for name, value in rows])  # what a loser of the race would leave
    assert await registry.authenticate(made.secret) is None


@pytest.mark.parametrize(("mine", "asked"), list(product(Role, Role)))
async def test_nobody_makes_a_token_with_a_wider_role_than_their_own(
    registry: TokenRegistry, mine: Role, asked: Role
) -> None:
    """G-10, on its own ground: whatever routes exist."""
    caller = Caller("mallory", mine, by_token=True)
    if mine.covers(asked):
        assert (await registry.create(TokenRequest("bob", asked), caller)).token.role is asked
        return
    with pytest.raises(Forbidden):
        await registry.create(TokenRequest("bob", asked), caller)
    assert [token async for token in registry.tokens()] == []


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ({}, "name: must be"),
        ({"name": "alice"}, "role: must be one of reviewer, author, operator"),
        ({"name": "alice", "role": "root"}, "role: must be"),
        ({"name": "alice", "role": ["reviewer"]}, "role: must be"),
        ({"name": "alice", "role": None}, "role: must be"),
        ({"name": "", "role": "author"}, "name: must be"),
        ({"name": "a/b", "role": "author"}, "name: must be"),
        ({"name": "a b", "role": "author"}, "name: must be"),
        ({"name": ".a", "role": "author"}, "name: must be"),
        ({"name": "a" * 65, "role": "author"}, "name: must be"),
        ({"name": "alice\n", "role": "author"}, "name: must be"),
        ({"name": "alice", "role": "author", "expires_at": "never"}, "expires_at: must be"),
        ({"name": "alice", "role": "author", "expires_at": True}, "expires_at: must be"),
        ({"name": "alice", "role": "author", "expires_at": -1}, "expires_at: must be"),
        ({"name": "alice", "role": "author", "disabled": False}, "unknown field 'disabled'"),
        ({"name": "alice", "role": "author", "digest": "0"}, "unknown field 'digest'"),
    ],
)
def test_a_request_that_is_not_exact_is_refused_by_the_field_at_fault(document: dict[str, Any], complaint: str) -> None:
    """G-11."""
    with pytest.raises(ConfigurationError, match=complaint):
        TokenRequest.read(document)


async def test_a_token_that_would_be_dead_at_birth_is_not_made(registry: TokenRegistry, clock: VirtualClock) -> None:
    with pytest.raises(ConfigurationError, match="expires_at: is past"):
        await registry.create(TokenRequest("alice", Role.AUTHOR, clock.wall()), ROOT)


async def test_a_person_without_a_token_is_a_key_error(registry: TokenRegistry) -> None:
    with pytest.raises(KeyError):
        await registry.revoke("nobody")


def test_a_token_survives_the_store() -> None:
    token = AdminToken("alice", Role.AUTHOR, 1.5, "d", 9.0, disabled=True)
    assert AdminToken.from_bytes(token.to_bytes()) == token
