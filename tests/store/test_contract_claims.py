"""What every store promises of claims."""

from __future__ import annotations

import asyncio
from collections import Counter

from proxy.store.base import Claim, Claimed, Conclusion, Store
from proxy.store.claims import ClaimTable
from tests.store.ground import Ground

BUCKET = "0123456789abcdef"
ABOUT, ELSE = b"\x00\xffabout this body", b"\x00\xffabout that body"
AMPLE = 60_000
SHORT = 60  # milliseconds, short enough to see them pass


async def claim(store: Store, holder: str, about: bytes = ABOUT, ttl_ms: int = AMPLE) -> Claimed:
    (found,) = await store.claim([Claim(BUCKET, about, holder, ttl_ms)])
    return found


async def conclude(store: Store, holder: str, kept_ms: int) -> None:
    await store.conclude([Conclusion(BUCKET, ABOUT, holder, kept_ms)])


async def test_of_many_who_claim_at_once_one_has_it(ground: Ground) -> None:
    stores = [ground.store, ground.other] * 25
    found = await asyncio.gather(*(claim(store, f"holder {number}") for number, store in enumerate(stores)))
    assert Counter(found) == {Claimed.MINE: 1, Claimed.RUNNING: 49}


async def test_a_claim_says_whether_another_is_about_the_same(ground: Ground) -> None:
    assert await claim(ground.store, "first") is Claimed.MINE
    assert await claim(ground.other, "second") is Claimed.RUNNING
    assert await claim(ground.other, "second", ELSE) is Claimed.OTHER
    await conclude(ground.store, "first", AMPLE)
    assert await claim(ground.other, "second") is Claimed.DONE
    assert await claim(ground.other, "second", ELSE) is Claimed.OTHER


async def test_its_own_holder_has_it_again_as_after_a_lost_reply(ground: Ground) -> None:
    """R-04."""
    for _ in range(3):
        assert await claim(ground.store, "first") is Claimed.MINE
    assert await claim(ground.other, "second") is Claimed.RUNNING


async def test_what_was_let_go_is_free_and_what_was_done_is_not(ground: Ground) -> None:
    await claim(ground.store, "first")
    await conclude(ground.other, "first", 0)
    assert await claim(ground.store, "second", ELSE) is Claimed.MINE
    await ground.store.conclude([Conclusion(BUCKET, ELSE, "second", AMPLE)])
    for holder in ("second", "third"):
        assert await claim(ground.store, holder, ELSE) is Claimed.DONE


async def test_a_conclusion_that_is_sent_again_has_one_effect(ground: Ground) -> None:
    """R-04."""
    await claim(ground.store, "first")
    for _ in range(2):
        await conclude(ground.store, "first", 0)
    assert await claim(ground.store, "second") is Claimed.MINE
    await conclude(ground.store, "first", 0)
    assert await claim(ground.store, "third") is Claimed.RUNNING
    for _ in range(2):
        await conclude(ground.store, "second", AMPLE)
    await conclude(ground.store, "second", 0)
    assert await claim(ground.store, "third") is Claimed.DONE


async def test_nobody_concludes_the_claim_of_another(ground: Ground) -> None:
    await claim(ground.store, "first")
    for kept_ms in (0, AMPLE):
        await conclude(ground.other, "second", kept_ms)
        assert await claim(ground.other, "second") is Claimed.RUNNING


async def test_what_was_done_is_remembered_though_the_claim_was_never_heard_of(ground: Ground) -> None:
    await conclude(ground.store, "first", AMPLE)
    assert await claim(ground.other, "second") is Claimed.DONE


async def test_a_claim_that_nobody_renews_ends_and_so_does_what_was_done(ground: Ground) -> None:
    await claim(ground.store, "first", ttl_ms=SHORT)
    await ground.pass_time(SHORT)
    assert await claim(ground.other, "second", ELSE, ttl_ms=SHORT) is Claimed.MINE
    await ground.pass_time(SHORT)
    await conclude(ground.store, "first", SHORT)
    await ground.pass_time(SHORT)
    assert await claim(ground.other, "third") is Claimed.MINE


async def test_a_claim_that_is_renewed_stays(ground: Ground) -> None:
    await claim(ground.store, "first", ttl_ms=SHORT)
    assert await claim(ground.store, "first", ttl_ms=AMPLE) is Claimed.MINE
    await ground.pass_time(SHORT)
    assert await claim(ground.other, "second") is Claimed.RUNNING


async def test_each_claim_of_a_call_is_answered_on_its_own_and_in_order(ground: Ground) -> None:
    await claim(ground.store, "first")
    names = (BUCKET, "another bucket 1", BUCKET, "another bucket 2")
    found = await ground.other.claim([Claim(name, ABOUT, "second", AMPLE) for name in names])
    assert found == [Claimed.RUNNING, Claimed.MINE, Claimed.RUNNING, Claimed.MINE]
    await ground.other.conclude([Conclusion(name, ABOUT, "second", AMPLE) for name in names])
    found = await ground.store.claim([Claim(name, ABOUT, "third", AMPLE) for name in names])
    assert found == [Claimed.RUNNING, Claimed.DONE, Claimed.RUNNING, Claimed.DONE]
    assert await ground.store.claim([]) == []
    await ground.store.conclude([])


def test_in_memory_what_has_ended_does_not_pile_up() -> None:
    table = ClaimTable()
    for number in range(10_000):
        assert table.claim(Claim(f"bucket {number}", ABOUT, "first", 100), number) is Claimed.MINE
        table.conclude(Conclusion(f"bucket {number}", ABOUT, "first", 100), number)
    assert len(table) < 200
