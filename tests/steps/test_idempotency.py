"""Promises about calls that carry an `Idempotency-Key`: Q-10, in one process or several on one store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from proxy.clock import VirtualClock
from proxy.errors import BadRequest, ProxyError, StoreAway, StoreRefused, StoreUnavailable
from proxy.exchange import Exchange, Principal
from proxy.steps.idempotency import Claims, key_of
from proxy.store.base import Claim, Claimed, Conclusion
from proxy.store.memory import MemoryStore

SECRET = b"k" * 32
BODY, ANOTHER = b'{"model":"m","prompt":"hello"}', b'{"model":"m","prompt":"hello!"}'
HALF_A_MINUTE, A_DAY = 30.0, 86_400.0


class Shaky(MemoryStore):
    """The reference store, with a way to it that can fail before a call or before its reply."""

    before: StoreUnavailable | None = None
    after: StoreUnavailable | None = None
    meanwhile: Callable[[], None] = staticmethod(lambda: None)

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self.gone: set[str] = set()  # buckets whose server of a cluster is away, and with it every call that names one
        self.broken: set[str] = set()  # buckets with which a call fails as no store does
        self.claimed: list[int] = []
        self.told, self.failed = asyncio.Event(), asyncio.Event()

    async def claim(self, claims: Sequence[Claim]) -> list[Claimed]:
        self._reach(claims)
        found = await super().claim(claims)
        self.claimed.append(len(claims))
        self.meanwhile()
        if self.after is not None:
            raise self.after
        return found

    async def conclude(self, conclusions: Sequence[Conclusion]) -> None:
        self._reach(conclusions)
        await super().conclude(conclusions)
        self.told.set()
        if self.after is not None:
            raise self.after

    def _reach(self, named: Sequence[Claim | Conclusion]) -> None:
        if self.before is not None:
            self.failed.set()
            raise self.before
        if any(each.bucket in self.gone for each in named):
            raise StoreAway("a server that is needed is away")
        if any(each.bucket in self.broken for each in named):
            raise ZeroDivisionError


class Ground:
    """Two processes on one store, and the exchanges of their callers."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.store = Shaky(self.clock)
        self.here, self.there = Claims(self.store, SECRET), Claims(self.store, SECRET)
        self._exchanges = 0

    async def claim(
        self, claims: Claims, key: str = "key", body: bytes = BODY, *, caller: str = "k1", dialect: str = "openai.chat"
    ) -> Claim:
        """Return the claim of a new exchange, not made yet."""
        self._exchanges += 1
        principal = Principal(caller, "account", "tenant", "plan", 0.0, {})
        exchange = Exchange(f"ex_{self._exchanges}", dialect, "", "", "", 0.0, principal)
        return await claims.of(exchange, key, body)

    async def begin(self, claims: Claims, key: str = "key", body: bytes = BODY, **who: str) -> Claim:
        """Return the claim of an exchange that runs."""
        claim = await self.claim(claims, key, body, **who)
        assert await claims.make(claim) is None
        return claim

    async def refusal(self, claims: Claims, key: str = "key", body: bytes = BODY, **who: str) -> ProxyError:
        """Return why an exchange may not run; it ends, which must leave no trace."""
        claim = await self.claim(claims, key, body, **who)
        error = await claims.make(claim)
        assert error is not None
        claims.end(claim, answered=False)
        await claims.tell()
        return error

    async def end(self, claims: Claims, claim: Claim, *, answered: bool) -> None:
        claims.end(claim, answered=answered)
        await claims.tell()


@pytest.fixture
async def ground() -> Ground:
    return Ground()


def headers(*values: str) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict([("idempotency-key", value) for value in values]))


@pytest.mark.parametrize("key", ["a", "~" * 255, '"8e03978e-40d5-43dd-bc93-6894a57f9324"', "{0.__class__}"])
def test_a_key_is_taken_as_it_is(key: str) -> None:
    assert key_of(headers(key)) == key
    assert key_of(headers()) == ""


@pytest.mark.parametrize(
    "values", [[""], ["a" * 256], ["a b"], ["\xe9"], ["\udce9"], ["a\tb"], ["a\x7f"], ["same", "same"], ["", ""]]
)
def test_what_is_no_key_is_refused(values: list[str]) -> None:
    with pytest.raises(BadRequest) as refused:
        key_of(headers(*values))
    assert (refused.value.status, refused.value.code) == (400, "invalid_idempotency_key")


async def test_a_call_that_runs_is_not_run_twice_and_its_client_may_come_back(ground: Ground) -> None:
    await ground.begin(ground.here)
    for claims in (ground.here, ground.there):
        error = await ground.refusal(claims)
        assert (error.status, error.code, error.headers) == (409, "idempotency_key_in_use", {})
        assert error.retry_after is not None


async def test_a_call_that_was_answered_is_not_run_again_for_a_day(ground: Ground) -> None:
    await ground.end(ground.here, await ground.begin(ground.here), answered=True)
    for passed in (0, A_DAY - 1):
        ground.clock.advance(passed)
        error = await ground.refusal(ground.there)
        assert (error.status, error.code, error.retry_after) == (409, "idempotency_key_answered", None)
        assert error.headers == {"x-should-retry": "false"}
    ground.clock.advance(1)
    await ground.begin(ground.there)


async def test_what_was_answered_before_a_process_ends_is_told_at_its_end(ground: Ground) -> None:
    claim = await ground.begin(ground.here)
    ground.here.end(claim, answered=True)
    await ground.here.close()
    ground.clock.advance(2 * HALF_A_MINUTE)
    assert (await ground.refusal(ground.there)).code == "idempotency_key_answered"
    ground.here.end(await ground.begin(ground.here, "another"), answered=True)
    ground.store.before = StoreAway("cut")
    await ground.here.close()  # it ends although nobody can be told


async def test_a_call_that_was_not_answered_is_run_again_at_once(ground: Ground) -> None:
    for claims in (ground.here, ground.there) * 2:
        await ground.end(claims, await ground.begin(claims), answered=False)
    await ground.begin(ground.there, body=ANOTHER)


@pytest.mark.parametrize("answered", [None, True])
async def test_another_body_or_api_under_the_same_key_is_refused_for_good(
    ground: Ground, *, answered: bool | None
) -> None:
    claim = await ground.begin(ground.here)
    if answered is not None:
        await ground.end(ground.here, claim, answered=answered)
    for body, dialect in ((ANOTHER, "openai.chat"), (BODY, "openai.completions"), (BODY * 100_000, "openai.chat")):
        error = await ground.refusal(ground.there, body=body, dialect=dialect)
        assert (error.status, error.code) == (409, "idempotency_key_reused")
        assert error.headers == {"x-should-retry": "false"}


async def test_a_key_is_its_callers_own(ground: Ground) -> None:
    await ground.end(ground.here, await ground.begin(ground.here), answered=True)
    await ground.begin(ground.here, body=ANOTHER, caller="k2")
    await ground.begin(ground.here, "another")


async def test_the_store_is_told_digests_that_say_nothing_without_our_secret(ground: Ground) -> None:
    claims = [
        await ground.claim(ground.here),
        await ground.claim(Claims(ground.store, b"another secret")),
        await ground.claim(ground.here, caller="k2"),
        await ground.claim(ground.here, "another"),
    ]
    assert len({claim.bucket for claim in claims}) == len({claim.about for claim in claims}) == 4
    assert {(len(claim.bucket), len(claim.about)) for claim in claims} == {(32, 16)}
    large = [(await ground.claim(ground.here, body=body)).about for body in (BODY * 100_000, BODY * 100_000, BODY)]
    assert large[0] == large[1] != large[2] == claims[0].about


async def test_what_an_earlier_version_answered_is_known(ground: Ground) -> None:
    claim = await ground.claim(ground.here)
    assert (claim.bucket, claim.about.hex()) == (
        "88fef2d2c7d932103cad2cec82351b22",
        "ddba40fa68fe0396e570349e7b716132",
    )


async def test_what_runs_for_long_keeps_its_key_and_a_process_that_died_loses_it_within_a_minute(
    ground: Ground,
) -> None:
    """L-03."""
    lasting = await ground.begin(ground.here, "lasting")
    await ground.begin(ground.there, "dead")
    for _ in range(10):
        ground.clock.advance(HALF_A_MINUTE)
        await ground.here.renew()
    assert (await ground.refusal(ground.there, "lasting")).code == "idempotency_key_in_use"
    await ground.begin(ground.here, "dead")
    await ground.end(ground.here, lasting, answered=True)
    ground.clock.advance(2 * HALF_A_MINUTE)
    await ground.here.renew()
    assert (await ground.refusal(ground.there, "lasting")).code == "idempotency_key_answered"


async def test_what_runs_keeps_its_key_by_itself_also_once_the_store_was_away(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.steps.idempotency._RENEW_S", 0.001)
    await ground.begin(ground.here)
    working = asyncio.create_task(ground.here.run())
    for _ in range(6):
        ground.clock.advance(HALF_A_MINUTE)
        ground.store.before = StoreUnavailable("away")
        ground.store.failed.clear()
        async with asyncio.timeout(5):
            await ground.store.failed.wait()
            ground.store.before = None
            ground.store.claimed.clear()
            while 1 not in ground.store.claimed:
                await asyncio.sleep(0.001)
    assert (await ground.refusal(ground.there)).code == "idempotency_key_in_use"
    working.cancel()


async def test_what_ends_while_others_are_renewed_is_not_claimed_anew(ground: Ground) -> None:
    running = [await ground.begin(ground.here, f"key-{number}") for number in range(300)]
    ground.store.claimed.clear()

    def end_all() -> None:
        for claim in running:
            ground.here.end(claim, answered=False)

    ground.store.meanwhile = end_all
    await ground.here.renew()
    assert ground.store.claimed == [256, 0]


@pytest.mark.parametrize("failure", [StoreAway("away"), StoreRefused("its memory is full", frozenset({0}), {})])
async def test_while_the_store_is_away_a_call_with_a_key_is_refused_and_nothing_is_left_of_it(
    ground: Ground, failure: StoreUnavailable
) -> None:
    """R-06, R-10: however many there are, none waits to be told of."""
    ground.store.before = failure
    claim = await ground.claim(ground.here)
    refused = await ground.here.make(claim)
    assert refused is not None
    assert (refused.status, refused.retry_after, refused.headers) == (503, 2, {})
    ground.here.end(claim, answered=False)
    await ground.here.tell()  # there is nothing to tell, or this would raise
    ground.store.before = None
    await ground.begin(ground.there)


async def test_a_claim_whose_reply_was_lost_is_taken_back(ground: Ground) -> None:
    """R-04."""
    ground.store.after = StoreUnavailable("lost")
    claim = await ground.claim(ground.here)
    refused = await ground.here.make(claim)
    assert refused is not None
    assert refused.status == 503
    ground.here.end(claim, answered=False)
    with pytest.raises(StoreUnavailable):
        await ground.here.tell()
    ground.store.after = None
    await ground.begin(ground.there)
    await ground.here.tell()  # once more, as its reply was lost: the next one's claim stays
    assert (await ground.refusal(ground.here)).code == "idempotency_key_in_use"


async def test_what_was_answered_while_the_store_went_away_is_told_once_it_is_back(ground: Ground) -> None:
    claim = await ground.begin(ground.here)
    ground.store.before = StoreUnavailable("away")
    ground.here.end(claim, answered=True)
    await ground.here.close()  # it fails nobody
    ground.clock.advance(10 * HALF_A_MINUTE)
    ground.store.before = None
    working = asyncio.create_task(ground.here.run())
    async with asyncio.timeout(5):
        await ground.store.told.wait()
    working.cancel()
    assert (await ground.refusal(ground.there)).code == "idempotency_key_answered"


async def test_a_key_whose_server_of_a_cluster_is_away_holds_up_no_other(ground: Ground) -> None:
    ended = [await ground.begin(ground.here, f"key-{number}") for number in range(300)]
    running = [await ground.begin(ground.here, key) for key in ("cut off", "lasting")]
    ground.store.gone |= {ended[0].bucket, running[0].bucket}
    for claim in ended:
        ground.here.end(claim, answered=True)
    with pytest.raises(StoreAway):
        await ground.here.tell()
    for _ in range(3):
        ground.clock.advance(HALF_A_MINUTE)
        with pytest.raises(StoreAway):
            await ground.here.renew()
    for number in range(1, 300):
        assert (await ground.refusal(ground.there, f"key-{number}")).code == "idempotency_key_answered"
    assert (await ground.refusal(ground.there, "lasting")).code == "idempotency_key_in_use"
    ground.store.gone.clear()
    await ground.here.tell()
    assert (await ground.refusal(ground.there, "key-0")).code == "idempotency_key_answered"


async def test_a_fault_of_ours_is_not_taken_for_a_store_that_is_away(ground: Ground) -> None:
    ended = [await ground.begin(ground.here, f"key-{number}") for number in range(3)]
    for claim in ended:
        ground.here.end(claim, answered=True)
    ground.store.gone.add(ended[0].bucket)
    ground.store.broken.add(ended[1].bucket)
    with pytest.raises(ZeroDivisionError):
        await ground.here.tell()
    assert (await ground.refusal(ground.there, "key-2")).code == "idempotency_key_answered"
