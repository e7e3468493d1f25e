"""A breaker: what fails again and again is left alone, tried by one for all, and no tenant alone makes it rest."""

from __future__ import annotations

from proxy.clock import VirtualClock
from proxy.upstream.breaker import Breaker


def test_five_failures_on_end_make_it_rest_until_one_that_tries_for_all_succeeds() -> None:
    clock, rests = VirtualClock(), list[float]()
    breaker = Breaker(clock, on_rest=lambda: rests.append(clock.monotonic()))
    for _ in range(4):
        breaker.failed()
    breaker.worked()
    for _ in range(4):
        breaker.failed()
        assert breaker.lets_through()
    breaker.failed()
    assert (breaker.lets_through(), breaker.rest, len(rests)) == (False, 10.0, 1)
    clock.advance(9.5)
    assert (breaker.lets_through(), breaker.rest) == (False, 0.5)
    clock.advance(0.5)
    assert [breaker.lets_through() for _ in range(3)] == [True, False, False]
    breaker.failed()
    breaker.failed()  # one that was on its way still
    assert (breaker.lets_through(), len(rests)) == (False, 2)
    clock.advance(10)
    assert breaker.lets_through()
    breaker.worked()
    assert [breaker.lets_through() for _ in range(3)] == [True, True, True]
    assert (breaker.rest, len(rests)) == (0.0, 2)


def test_what_one_tenant_asks_for_makes_it_rest_for_nobody() -> None:
    breaker = Breaker(VirtualClock(), tenants=2)
    for _ in range(1000):
        breaker.failed("one")
    assert breaker.lets_through()
    breaker.failed("other")
    assert not breaker.lets_through()


def test_what_nobody_asked_for_counts_without_others() -> None:
    breaker = Breaker(VirtualClock(), tenants=2)
    for _ in range(4):
        breaker.failed("one")
    breaker.failed()
    assert not breaker.lets_through()


def test_one_that_tries_for_all_and_leaves_holds_up_nobody_for_long() -> None:
    """Else who leaves at once, again and again, shuts for all what is back."""
    clock = VirtualClock()
    breaker = Breaker(clock)
    breaker.left(clock.monotonic())
    for _ in range(5):
        breaker.failed()
    breaker.left(clock.monotonic())  # one that did not try for all
    assert breaker.rest == 10.0
    clock.advance(10)
    assert breaker.lets_through()
    breaker.left(clock.monotonic())
    assert (breaker.lets_through(), breaker.rest) == (False, 1.0)
    clock.advance(1)
    assert [breaker.lets_through() for _ in range(2)] == [True, False]
    breaker.failed()
    breaker.left(clock.monotonic())
    assert breaker.rest == 10.0
