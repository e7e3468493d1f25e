"""U-05: who was asked to wait waits, and others only where it is not one tenant's doing."""

from __future__ import annotations

from proxy.clock import VirtualClock
from proxy.upstream.asked_rest import AskedRest


def rests(asked: AskedRest, *tenants: str) -> list[float]:
    return [asked.rest(tenant) for tenant in tenants]


def test_one_tenant_makes_nobody_wait_but_itself_however_often_it_is_asked(clock: VirtualClock) -> None:
    asked = AskedRest(clock)
    assert [asked.asked("one", 60.0) for _ in range(100)] == [False] * 100
    assert rests(asked, "one", "other") == [60.0, 0.0]
    clock.advance(59.5)
    assert asked.rest("one") == 0.5
    clock.advance(0.5)
    assert asked.rest("one") == 0.0


def test_everybody_waits_as_long_as_two_tenants_do(clock: VirtualClock) -> None:
    asked = AskedRest(clock)
    asked.asked("one", 60.0)
    clock.advance(1)
    assert asked.asked("two", 10.0)
    assert rests(asked, "one", "two", "three") == [59.0, 10.0, 10.0]
    assert not asked.asked("three", 30.0)  # it had begun
    assert rests(asked, "one", "two", "four") == [59.0, 30.0, 30.0]
    clock.advance(30)
    assert rests(asked, "one", "two", "three", "four") == [29.0, 0.0, 0.0, 0.0]
    assert asked.asked("four", 5.0)


def test_a_success_since_says_that_it_is_not_shut_for_everybody(clock: VirtualClock) -> None:
    asked = AskedRest(clock)
    asked.asked("one", 60.0)
    clock.advance(1)
    sent = clock.monotonic()
    clock.advance(1)
    asked.worked(sent)
    assert not asked.asked("two", 60.0)
    assert rests(asked, "one", "two", "three") == [58.0, 60.0, 0.0]
    assert asked.asked("three", 60.0)


def test_what_was_on_its_way_when_it_was_asked_proves_nothing(clock: VirtualClock) -> None:
    asked = AskedRest(clock)
    sent = clock.monotonic()
    clock.advance(1)
    asked.asked("one", 60.0)
    asked.worked(sent)
    assert asked.asked("two", 60.0)
    asked.worked(sent)
    assert asked.rest("three") == 60.0


def test_who_waited_long_ago_is_forgotten(clock: VirtualClock) -> None:
    asked = AskedRest(clock)
    for number in range(1_000):
        asked.asked(f"tenant-{number}", 0.5)
        clock.advance(1)
    assert len(asked._asked) == 1
