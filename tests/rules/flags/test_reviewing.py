"""What people say of flags: all hear of it, and it counts for the flag that they saw."""

from __future__ import annotations

import pytest

from proxy.clock import VirtualClock
from proxy.errors import ConfigurationError
from proxy.rules.flags.flag import World
from proxy.rules.flags.rows import CONFIRMATIONS_TABLE, row_name
from proxy.rules.flags.store import FlagRegistry
from proxy.rules.pack.words import Subject
from proxy.store.base import Row
from proxy.store.memory import MemoryStore
from tests.rules.flags.replicas import KEY, Replica, settle


async def test_what_is_lifted_is_gone_everywhere_and_comes_back_only_when_raised_anew(
    pair: tuple[Replica, Replica], registry: FlagRegistry, clock: VirtualClock
) -> None:
    a, b = pair
    a.put()
    await settle(a, b)
    await registry.confirm(KEY, "ann", "right")
    clock.advance(1)
    await registry.lift(KEY, "bob", "a research account")
    await settle(a, b)
    assert [a.get(), b.get()] == [None, None]
    shown = await registry.show(KEY)
    assert (shown.flag, shown.lift and shown.lift.by) == (None, "bob")
    clock.advance(1)
    b.put(score=25)
    await settle(a, b)
    flag = a.get()
    assert flag is not None
    assert (flag.score, flag.times, flag.confirmed_by) == (25, 1, ())
    assert (await registry.show(KEY)).flag == flag


async def test_a_raise_that_is_told_late_does_not_bring_a_lifted_flag_back(
    pair: tuple[Replica, Replica], registry: FlagRegistry, clock: VirtualClock
) -> None:
    a, b = pair
    await settle(a, b)
    a.put()
    await a.turn()
    b.put()  # not told yet
    clock.advance(1)
    await registry.lift(KEY, "bob", "mistaken")
    await b.sync.flush()
    await settle(b, a)
    assert [a.get(), b.get(), (await registry.show(KEY)).flag] == [None, None, None]
    again = Replica(a.store, clock)
    await again.sync.begin()
    assert again.get() is None
    assert [key async for key, _ in registry.list()] == []


async def test_a_person_confirms_a_flag_once_and_all_hear_of_it(
    pair: tuple[Replica, Replica], registry: FlagRegistry, clock: VirtualClock
) -> None:
    a, b = pair
    a.put()
    await settle(a, b)
    assert (await registry.confirm(KEY, "ann", "saw it")).confirmed_by == ("ann",)
    with pytest.raises(ConfigurationError):
        await registry.confirm(KEY, "ann", "again")
    assert (await registry.confirm(KEY, "bob", "so do I")).confirmed_by == ("ann", "bob")
    await settle(a, b)
    assert [flag and flag.confirmed_by for flag in (a.get(), b.get())] == [("ann", "bob")] * 2
    again = Replica(b.store, clock)
    await again.sync.begin()
    assert again.get() == a.get()
    assert [entry.why for entry in (await registry.show(KEY)).confirmations] == ["saw it", "so do I"]


async def test_a_confirmation_that_went_while_nobody_listened_counts_no_more(clock: VirtualClock) -> None:
    store = MemoryStore(clock)
    a = Replica(store, clock)
    a.put()
    await settle(a)
    await FlagRegistry(store, clock).confirm(KEY, "ann", "saw it")
    await settle(a)
    assert [flag.confirmed_by for flag in a.book.on(*KEY[:3], clock.wall()).values()] == [("ann",)]
    await store.write([Row(CONFIRMATIONS_TABLE, row_name(KEY, "ann"), None)])
    await a.sync.begin()
    assert [flag.confirmed_by for flag in a.book.on(*KEY[:3], clock.wall()).values()] == [()]


async def test_a_confirmation_of_an_earlier_flag_counts_for_no_later_one(
    pair: tuple[Replica, Replica], registry: FlagRegistry, clock: VirtualClock
) -> None:
    a, b = pair
    a.put(ttl=10)
    await settle(a, b)
    await registry.confirm(KEY, "ann", "saw it")
    await settle(a, b)
    clock.advance(20)
    a.put(ttl=10)
    await settle(a, b)
    assert (await registry.show(KEY)).confirmations == ()
    assert [flag and flag.confirmed_by for flag in (a.get(), b.get())] == [()] * 2
    assert (await registry.confirm(KEY, "ann", "saw it again")).confirmed_by == ("ann",)


async def test_flags_are_listed_by_world_subject_and_name(
    pair: tuple[Replica, Replica], registry: FlagRegistry
) -> None:
    a, _ = pair
    keys = [
        KEY,
        KEY._replace(world=World.SHADOW),
        KEY._replace(subject=Subject.TENANT),
        KEY._replace(name="other", flag="relay"),
    ]
    for key in keys:
        a.put(key)
    await a.turn()
    assert {key async for key, _ in registry.list()} == set(keys)
    assert {key async for key, _ in registry.list(world=World.SHADOW)} == {keys[1]}
    assert {key async for key, _ in registry.list(subject=Subject.ACCOUNT, name="acme")} == set(keys[:2])
    assert {key async for key, _ in registry.list(name="other")} == {keys[3]}


@pytest.mark.parametrize("what", ["show", "lift", "confirm"])
async def test_a_flag_that_is_not_there_is_a_key_error(registry: FlagRegistry, what: str) -> None:
    with pytest.raises(KeyError):
        await (registry.show(KEY) if what == "show" else getattr(registry, what)(KEY, "ann", "why"))
