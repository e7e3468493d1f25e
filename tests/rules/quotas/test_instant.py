"""Without leases the same is admitted and refused as with them, exchange for exchange."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.clock import VirtualClock
from proxy.deciding.decider import Reserving
from proxy.exchange import Principal, Ties
from proxy.rules.pack.pack import ClientMessage, Limit, Pack, Quota
from proxy.rules.pack.words import Measure, Mode, Scope
from proxy.rules.pack_file.loading import check_pack
from proxy.rules.quotas import instant as instant_quotas
from proxy.rules.quotas.instant import InstantQuotas
from proxy.rules.quotas.quotas import Quotas
from proxy.rules.quotas.reservation import Amounts, Denial, Reservation
from proxy.store.memory import MemoryStore

_PACK = b"""\
apiVersion: stillgate/v1
kind: PolicyPack
metadata: {name: example, version: 1.0.0, owner: tests}
quotas:
  - id: key-quota
    per: key
    mode: enforce
    limits:
      - {measure: requests, max: 3, window: 1m}
      - {measure: output_tokens, max: 500, window: 1h}
      - {measure: concurrency, max: 1}
  - id: tenant-quota
    per: tenant
    mode: enforce
    limits:
      - {measure: requests, max: 5, window: 10m}
  - id: watched
    per: account
    mode: shadow
    limits:
      - {measure: input_tokens, max: 200, window: 5m}
      - {measure: requests, max: 3, window: 10m}
  - id: per-template
    per: template
    mode: enforce
    limits:
      - {measure: requests, max: 2, window: 1d}
"""


def _pack() -> Pack:
    pack, problems = check_pack(_PACK, "example.yaml")
    assert pack, problems
    return pack


_SENDS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.7, 5.0, 31.0, 61.0, 600.0, 4000.0]),  # seconds since the one before
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from([10, 90, 250]),  # input tokens
        st.sampled_from([1, 120, 400, 501]),  # output tokens, reserved
        st.sampled_from([0, 1, 100, 700]),  # and used
        st.sampled_from(["", "", "tpl"]),
    ),
    max_size=40,
)
_PEOPLE = {
    name: Principal(f"key-{name}", f"acct-{name}", "org" if name != "c" else "other", "", 0.0, {}) for name in "abc"
}


def _shown(outcome: Reservation | Denial) -> tuple[object, ...]:
    if isinstance(outcome, Denial):
        never = outcome.refusal.retry_after < 0
        return "denied", outcome.quota.id, outcome.limit.measure, never
    return "admitted", outcome.plan.quotas, [denial.quota.id for denial in outcome.shadow]


@settings(max_examples=150, deadline=None)
@given(_SENDS)
async def test_the_same_is_refused_by_the_same_quota_as_with_leases(
    sends: list[tuple[float, str, int, int, int, str]],
) -> None:
    clock, numbers, pack = VirtualClock(), itertools.count(), _pack()
    leased = Quotas(pack, MemoryStore(clock), clock, "test", lambda: str(next(numbers)))
    both: tuple[Reserving, ...] = (leased, InstantQuotas(pack, clock))
    for pause, name, asked, reserved, used, template in sends:
        clock.advance(pause)
        await leased.tend()
        amounts = Amounts.of(asked, reserved, 0)
        outcomes = []
        for quotas in both:
            outcome = await quotas.reserve(_PEOPLE[name], "m", amounts, Ties(template), Ties(template))
            outcomes.append(_shown(outcome))
            if isinstance(outcome, Reservation):
                quotas.settle(outcome, Amounts.of(asked, used, 0))
        assert outcomes[0] == outcomes[1]
        await leased.returns.flush()


async def test_it_says_when_there_will_be_enough() -> None:
    clock = VirtualClock()
    quotas = InstantQuotas(_pack(), clock)
    for _ in range(3):
        held = await quotas.reserve(_PEOPLE["a"], "m", Amounts.of(1, 1, 0))
        assert isinstance(held, Reservation)
        quotas.settle(held, Amounts.of(1, 1, 0))
    denial = await quotas.reserve(_PEOPLE["a"], "m", Amounts.of(1, 1, 0))
    assert isinstance(denial, Denial)
    assert denial.refusal.remaining == 0
    assert 0 < denial.refusal.retry_after <= denial.refusal.reset <= 61.0
    clock.advance(denial.refusal.retry_after)
    assert isinstance(await quotas.reserve(_PEOPLE["a"], "m", Amounts.of(1, 1, 0)), Reservation)


async def test_what_counts_no_more_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instant_quotas, "_FEW_WINDOWS", 4)
    clock = VirtualClock()
    quotas = InstantQuotas(_pack(), clock)
    for number in range(20):
        caller = Principal(f"key-{number}", f"acct-{number}", f"org-{number}", "", 0.0, {})
        assert isinstance(await quotas.reserve(caller, "m", Amounts.of(1, 1, 0)), Reservation)
        clock.advance(2 * 86_400)
    assert 0 < len(quotas) <= 8


async def test_of_a_caller_of_whom_something_is_counted_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instant_quotas, "_FEW_WINDOWS", 4)
    clock = VirtualClock()
    quotas, one = InstantQuotas(_pack(), clock), Amounts.of(1, 1, 0)
    for number in range(20):
        for _ in range(3):
            caller = Principal(f"key-{number}", f"acct-{number}", f"org-{number}", "", 0.0, {})
            held = await quotas.reserve(caller, "m", one)
            assert isinstance(held, Reservation)
            quotas.settle(held, one)
        clock.advance(1.0)
    for number in range(20):
        caller = Principal(f"key-{number}", f"acct-{number}", f"org-{number}", "", 0.0, {})
        assert isinstance(await quotas.reserve(caller, "m", one), Denial)


async def test_what_is_as_much_as_the_limit_fits_again_later_and_what_is_more_never() -> None:
    quotas = InstantQuotas(_pack(), VirtualClock())
    held = await quotas.reserve(_PEOPLE["a"], "m", Amounts.of(1, 1, 0))
    assert isinstance(held, Reservation)
    quotas.settle(held, Amounts.of(1, 1, 0))
    for output, later in ((500, True), (501, False)):
        denial = await quotas.reserve(_PEOPLE["a"], "m", Amounts.of(1, output, 0))
        assert isinstance(denial, Denial)
        assert (denial.refusal.retry_after > 0) is later


async def test_time_is_counted_in_milliseconds_however_long_it_has_run() -> None:
    clock = VirtualClock()
    quotas, one = InstantQuotas(_pack(), clock), Amounts.of(1, 1, 0)
    clock.advance(10_000.0)
    for _ in range(3):
        held = await quotas.reserve(_PEOPLE["a"], "m", one)
        assert isinstance(held, Reservation)
        quotas.settle(held, one)
    clock.advance(60.95)  # the slot of a second, and the minute after it
    assert isinstance(await quotas.reserve(_PEOPLE["a"], "m", one), Denial)
    clock.advance(0.05)
    assert isinstance(await quotas.reserve(_PEOPLE["a"], "m", one), Reservation)


async def test_of_what_nothing_is_taken_hides_no_other_limit_and_settling_twice_counts_once() -> None:
    limits = tuple(Limit(measure, 10, 60_000, exact=False) for measure in (Measure.INPUT_TOKENS, Measure.OUTPUT_TOKENS))
    quota = Quota("both", Scope.KEY, Mode.ENFORCE, limits, ClientMessage(429, None, "no"))
    quotas = InstantQuotas(Pack("p", "1", "o", "0" * 64, (quota,)), VirtualClock())
    person = _PEOPLE["a"]
    assert isinstance(await quotas.reserve(person, "m", Amounts.of(0, 11, 0)), Denial)
    held = await quotas.reserve(person, "m", Amounts.of(0, 5, 0))
    assert isinstance(held, Reservation)
    for _ in range(2):
        quotas.settle(held, Amounts.of(0, 5, 0))
    assert isinstance(await quotas.reserve(person, "m", Amounts.of(0, 6, 0)), Denial)
    assert isinstance(await quotas.reserve(person, "m", Amounts.of(0, 5, 0)), Reservation)


async def test_accounts_whose_keys_have_no_names_have_counts_of_their_own() -> None:
    limit = Limit(Measure.REQUESTS, 1, 60_000, exact=False)
    quota = Quota("each", Scope.ACCOUNT, Mode.ENFORCE, (limit,), ClientMessage(429, None, "no"))
    quotas, one = InstantQuotas(Pack("p", "1", "o", "0" * 64, (quota,)), VirtualClock()), Amounts.of(1, 1, 0)
    for account in ("acct-a", "acct-b"):
        held = await quotas.reserve(Principal("", account, "org", "", 0.0, {}), "m", one)
        assert isinstance(held, Reservation)
        quotas.settle(held, one)
    assert isinstance(await quotas.reserve(Principal("", "acct-b", "org", "", 0.0, {}), "m", one), Denial)
