"""What the store on a server promises where the clock of that server is set back, or another one's is behind."""

from __future__ import annotations

import hashlib

import pytest

from proxy.store.base import Ask, Claim, Claimed, Credit, Held, Hold, Note
from tests.rig.valkey import Valkey
from tests.store.ground import ServerGround
from tests.store.redis_calls import ASK, BUCKET, connected

HOUR = 3_600  # in slots of a minute's window
_UNITS, _SEEN, _STATE = (f"sg:{{{BUCKET}}}:{kind}" for kind in "wds")
# What was seen at a later time, before the clock was set back.
_SEE_LATER = (
    "local members = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES') "
    "for i = 1, #members, 2 do redis.call('ZINCRBY', KEYS[1], ARGV[1], members[i]) end "
    "local since = redis.call('HGET', KEYS[2], 'since') "
    "if since ~= '0' then redis.call('HINCRBY', KEYS[2], 'since', ARGV[1]) end "
    "return redis.call('HINCRBY', KEYS[2], 'newest', ARGV[1])"
)


async def test_no_unit_comes_back_early_and_none_is_negative(clean: Valkey) -> None:
    async with connected(clean.url) as store:
        (first,) = await store.reserve([Ask(BUCKET, 10, 60_000, 4, 4)], "first")
        ahead = first.slot + 50
        _charge(clean, ahead, 4)
        (refused,) = await store.reserve([Ask(BUCKET, 10, 60_000, 7, 7)], "too many")
        assert (refused.granted, refused.slot, refused.remaining) == (0, ahead, 6)
        assert 105_000 < refused.retry_after_ms <= 112_000
        (grant,) = await store.reserve([Ask(BUCKET, 10, 60_000, 6, 6)], "rest")
        assert (grant.granted, grant.slot) == (6, ahead)
        assert grant.lease_ms <= 1000
        await store.credit([Credit(BUCKET, 60_000, ahead, 100), Credit(BUCKET, 60_000, first.slot, 5)], "back")
        assert (await store.reserve([ASK], "look"))[0].remaining == 9


async def test_no_unit_comes_back_later_than_a_window_after_it(clean: Valkey) -> None:
    async with connected(clean.url) as store:
        (first,) = await store.reserve([Ask(BUCKET, 10, 60_000, 4, 4)], "first")
        ahead = first.slot + HOUR
        _charge(clean, ahead, 4, 3)
        (refused,) = await store.reserve([Ask(BUCKET, 10, 60_000, 4, 4)], "too many")
        assert first.slot <= refused.slot <= first.slot + 10
        assert (refused.granted, refused.remaining) == (0, 3)
        assert 0 < refused.retry_after_ms <= refused.reset_ms <= 61_000
        await store.credit([Credit(BUCKET, 60_000, ahead, 5)], "back")
        (grant,) = await store.reserve([Ask(BUCKET, 10, 60_000, 8, 8)], "rest")
        assert (grant.granted, grant.remaining) == (8, 0)
        assert 0 < int(clean.command("PTTL", _UNITS)[1:]) <= 180_000


@pytest.mark.parametrize("size", [400, 6_000])
async def test_no_member_counts_for_longer_than_a_window_after_it(clean: Valkey, size: int) -> None:
    async with connected(clean.url) as store:
        for first in range(0, size, 400):
            (total,) = await store.note([Note(BUCKET, 60_000, _members(first, first + 400))])
        later = int(clean.command("EVAL", _SEE_LATER, "2", _SEEN, _STATE, f"{HOUR}")[1:])
        assert await store.note([Note(BUCKET, 60_000, ())]) == [total]
        assert clean.command("ZCOUNT", _SEEN, f"{later - HOUR + 30}", "+inf") == b":0\r\n"
        assert await store.note([Note(BUCKET, 60_000, _members(0, size // 4))]) == [total]
        assert 0 < int(clean.command("PTTL", _SEEN)[1:]) <= 180_000


async def test_slots_of_who_died_fall_free_as_if_renewed_then(clean: Valkey) -> None:
    async with connected(clean.url) as store:
        await store.hold([Hold(BUCKET, 10, "dead", 9, 9, HOUR * 1000)])  # as 150 ms were, an hour later
        assert await store.hold([Hold(BUCKET, 10, "a", 2, 2, 150)]) == [Held(0, 9)]
        await ServerGround(store, store, [clean.url]).pass_time(200)
        assert await store.hold([Hold(BUCKET, 10, "a", 2, 2, 150)]) == [Held(2, 2)]


async def test_a_claim_of_who_died_ends_as_if_renewed_then(clean: Valkey) -> None:
    async with connected(clean.url) as store:
        await store.claim([Claim(BUCKET, b"body", "dead", HOUR * 1000)])
        assert await store.claim([Claim(BUCKET, b"body", "a", 150)]) == [Claimed.RUNNING]
        await ServerGround(store, store, [clean.url]).pass_time(200)
        assert await store.claim([Claim(BUCKET, b"body", "a", 150)]) == [Claimed.MINE]


def _charge(server: Valkey, slot: int, *units: int) -> None:
    """Charge units in a slot, and in those before it, instead of all that was charged."""
    slots = [text for age, count in enumerate(units) for text in (f"{slot - age}", f"{count}")]
    window = ("units", f"{sum(units)}", "oldest", f"{slot - len(units) + 1}", "newest", f"{slot}")
    server.command("DEL", _UNITS)
    server.command("HSET", _UNITS, *window, *slots)


def _members(first: int, last: int) -> tuple[bytes, ...]:
    return tuple(hashlib.blake2b(b"%d" % number, digest_size=8).digest() for number in range(first, last))
