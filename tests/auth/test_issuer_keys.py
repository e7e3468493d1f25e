"""The keys of an issuer over time: loaded once for all, refreshed, rotated, kept while it is away, given up at last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from proxy.auth import issuer_keys
from proxy.auth.issuer_keys import IssuerKeys, Pace
from proxy.auth.jwk_set import KeySet, read_jwks
from proxy.auth.token_reading import Fault, Refused
from proxy.clock import VirtualClock
from proxy.errors import Unavailable
from tests.auth.issuers import Held
from tests.auth.tokens import jwk, jwks, rsa_key

OLD, NEW = jwk(rsa_key(), "old"), jwk(rsa_key(1), "new")
NEVER_S = 3600.0
AWAY = "unavailable for 5 s"


def read(document: bytes) -> KeySet:
    return read_jwks(document, ["RS256"])


@asynccontextmanager
async def kept(
    source: Held, clock: VirtualClock, *, refresh: float = NEVER_S, max_age: float = 2 * NEVER_S
) -> AsyncIterator[IssuerKeys]:
    keys = IssuerKeys("corp", source, read, Pace(refresh, max_age), clock, lambda: 0.5)
    task = asyncio.create_task(keys.run())
    try:
        yield keys
        assert not task.done(), "the keeper must survive everything"
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def outcome(keys: IssuerKeys, kid: str) -> str:
    try:
        _, key = await keys.key("RS256", kid)
    except Unavailable as away:
        return f"unavailable for {away.retry_after} s"
    except Refused as refused:
        return refused.fault
    return str(key.key_id)


async def until(keys: IssuerKeys, result: str, count: int = 1) -> None:
    """Return once so many attempts came to a result."""
    async with asyncio.timeout(10):
        while keys.loads[result] < count:
            await asyncio.sleep(0.005)  # a thread reads the document


async def test_all_who_come_before_the_keys_are_there_wait_for_one_load() -> None:
    source = Held(jwks(OLD))
    async with kept(source, VirtualClock()) as keys:
        assert await asyncio.gather(*[outcome(keys, "old") for _ in range(100)]) == ["old"] * 100
    assert source.loads == 1


async def test_a_new_key_is_fetched_when_a_token_names_it_and_the_old_one_is_gone_with_its_entry() -> None:
    source, clock = Held(jwks(OLD)), VirtualClock()
    async with kept(source, clock) as keys:
        assert await outcome(keys, "old") == "old"
        source.document = jwks(OLD, NEW)
        assert await asyncio.gather(*[outcome(keys, "new") for _ in range(50)]) == ["new"] * 50
        assert source.loads == 2
        assert await outcome(keys, "old") == "old"
        source.document = jwks(NEW)
        clock.advance(60)
        assert await outcome(keys, "newest") == Fault.UNKNOWN_KEY
        assert await outcome(keys, "old") == Fault.UNKNOWN_KEY, "nobody need look for it again"


async def test_invented_names_make_one_load_a_minute_at_most() -> None:
    """K-05."""
    source, clock = Held(jwks(OLD)), VirtualClock()
    async with kept(source, clock) as keys:
        assert await outcome(keys, "old") == "old"
        assert await outcome(keys, "invented") == Fault.UNKNOWN_KEY
        for number in range(2_000):
            assert await outcome(keys, f"invented-{number}") == "unavailable for 60.0 s"
        assert await outcome(keys, "invented") == Fault.UNKNOWN_KEY
        assert source.loads == 2
        clock.advance(59)
        assert await outcome(keys, "invented") == Fault.UNKNOWN_KEY
        assert await outcome(keys, "another") == "unavailable for 1.0 s"
        assert source.loads == 2
        clock.advance(1)
        assert await outcome(keys, "another") == Fault.UNKNOWN_KEY
        assert source.loads == 3


async def test_a_new_key_is_not_refused_because_somebody_invented_names_just_before() -> None:
    """K-05, K-06: its tokens may be good, so they are to be sent again."""
    source, clock = Held(jwks(OLD)), VirtualClock()
    async with kept(source, clock) as keys:
        assert await outcome(keys, "old") == "old"
        assert await outcome(keys, "invented") == Fault.UNKNOWN_KEY
        source.document = jwks(OLD, NEW)
        assert await outcome(keys, "new") == "unavailable for 60.0 s"
        clock.advance(60)
        assert await outcome(keys, "new") == "new"


async def test_of_keys_that_are_read_every_few_seconds_the_last_look_says_enough() -> None:
    source, clock = Held(jwks(OLD)), VirtualClock()
    async with kept(source, clock, refresh=2.0) as keys:
        for number in range(20):
            assert await outcome(keys, f"invented-{number}") == Fault.UNKNOWN_KEY


async def test_many_names_that_were_looked_for_are_not_all_remembered() -> None:
    source, clock = Held(jwks(OLD)), VirtualClock()
    async with kept(source, clock) as keys:
        for number in range(issuer_keys._MISSING_MAX + 10):
            keys._miss(f"invented-{number}")
        assert len(keys._missing) == issuer_keys._MISSING_MAX


async def test_a_document_that_did_not_change_leaves_the_very_same_set() -> None:
    source, clock = Held(jwks(OLD)), VirtualClock()
    async with kept(source, clock) as keys:
        before, _ = await keys.key("RS256", "old")
        clock.advance(100)
        assert await outcome(keys, "invented") == Fault.UNKNOWN_KEY
        assert (keys.loads["loaded"], keys.loads["unchanged"], keys.age) == (1, 1, 0.0)
        assert keys.current is before
        source.document = jwks(OLD, NEW)
        clock.advance(100)
        assert await outcome(keys, "new") == "new"
        assert keys.current is not before


@pytest.mark.parametrize(
    "broken", [None, RuntimeError("canary"), b"", b"<html>", jwks(), jwks({**OLD, "use": "enc"}), b"[" * 300_000]
)
async def test_while_it_is_away_or_broken_the_last_good_keys_go_on_until_they_are_too_old(
    broken: bytes | Exception | None, caplog: pytest.LogCaptureFixture
) -> None:
    """K-06."""
    source, clock = Held(jwks(OLD)), VirtualClock()
    async with kept(source, clock, max_age=100) as keys:
        assert await outcome(keys, "old") == "old"
        source.document = broken
        clock.advance(99)
        assert await outcome(keys, "new") == AWAY  # it may be good: nobody can tell
        assert keys.loads["failed"] == 1
        assert "cannot be loaded; the last good ones go on" in caplog.text
        assert "canary" not in caplog.text, "its words may quote the document"
        assert await outcome(keys, "old") == "old"
        clock.advance(2)
        assert keys.current is None
        assert await outcome(keys, "old") == AWAY
        assert await outcome(keys, "new") == AWAY


async def test_operators_are_told_once_that_keys_cannot_be_loaded_and_once_that_they_are_too_old(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source, clock = Held(jwks(OLD)), VirtualClock()
    keys = IssuerKeys("corp", source, read, Pace(300, 600), clock, lambda: 0.5)
    for _ in range(2):
        source.document = jwks(OLD)
        await keys._attempt()
        source.document = None
        caplog.clear()
        for passed in (300, 200, 200, 200):
            clock.advance(passed)
            await keys._attempt()
        assert ["the last good ones go on" in told for told in caplog.messages] == [True, False]
        assert "its tokens are refused until they can" in caplog.messages[1]


async def test_without_any_keys_it_is_unavailable_and_well_again_by_itself() -> None:
    source = Held()
    async with kept(source, VirtualClock(), refresh=0.02) as keys:
        assert await asyncio.gather(*[outcome(keys, "old") for _ in range(10)]) == [AWAY] * 10
        await until(keys, "failed", 3)
        source.document = jwks(OLD)
        await until(keys, "loaded")
        assert await outcome(keys, "old") == "old"
        assert keys.age == 0.0


async def test_a_source_that_hangs_keeps_nobody_waiting_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issuer_keys, "_WAIT_S", 0.05)

    class Hanging(Held):
        async def load(self) -> bytes:
            if self.loads:
                await asyncio.Event().wait()
            return await super().load()

    clock = VirtualClock()
    async with kept(Hanging(jwks(OLD)), clock, max_age=100) as keys:
        assert await outcome(keys, "old") == "old"
        assert await outcome(keys, "new") == AWAY
        assert await outcome(keys, "old") == "old"
        clock.advance(101)
        assert await outcome(keys, "old") == AWAY


async def test_keys_are_refreshed_in_time_without_anybody_asking() -> None:
    source, clock = Held(jwks(OLD)), VirtualClock()
    async with kept(source, clock, refresh=0.02) as keys:
        await until(keys, "unchanged", 3)
        source.document = jwks(NEW)
        await until(keys, "loaded", 2)
        assert keys.current is not None
        assert keys.current.find("RS256", "old") is None


async def test_failures_are_tried_again_later_and_later_and_never_at_one_beat() -> None:
    source = Held()
    keys = IssuerKeys("corp", source, read, Pace(300, 600), VirtualClock(), iter([1.0, 0.0] * 10).__next__)
    pauses = []
    for _ in range(8):
        await keys._attempt()
        pauses.append(keys._pause())
    assert pauses == [1.0, 1.0, 4.0, 4.0, 16.0, 16.0, 60.0, 30.0]
    source.document = jwks(OLD)
    await keys._attempt()
    assert [keys._pause(), keys._pause()] == [330.0, 270.0]
