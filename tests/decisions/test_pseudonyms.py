"""Pseudonyms: stable within an epoch, unlinkable across kinds and epochs."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import get_args

import pytest

from proxy.clock import VirtualClock
from proxy.decisions.pseudonyms import KEY_BYTES, TABLE, Kind, Pseudonyms, ensure_epoch, epoch_of
from proxy.errors import StoreUnavailable
from proxy.exchange import Principal
from proxy.store.base import Row
from proxy.store.memory import MemoryStore

KINDS: tuple[Kind, ...] = get_args(Kind)
PRINCIPAL = Principal("key_1", "acct-1", "org-1", "pro", 0.0, {})


def test_a_value_has_one_name_under_a_key_and_another_under_the_next() -> None:
    november, again, december = Pseudonyms("2026-11", b"1" * 32), Pseudonyms("2026-11", b"1" * 32), b"2" * 32
    assert november.name("account", "acct-1") == again.name("account", "acct-1")
    assert november.name("account", "acct-1") != Pseudonyms("2026-12", december).name("account", "acct-1")


def test_the_same_text_has_unrelated_names_in_every_kind() -> None:
    names = [Pseudonyms("2026-11", b"1" * 32).name(kind, "same") for kind in KINDS]
    assert len({name[:2] for name in names}) == len(KINDS)
    assert len({name[2:] for name in names}) == len(KINDS)
    assert all(len(name) == 34 for name in names)


def test_kind_and_value_cannot_be_confused() -> None:
    names = Pseudonyms("2026-11", b"1" * 32)
    assert names.name("key", "a\0b")[2:] != names.name("key", "ab")[2:]


@pytest.mark.parametrize("value", ["\udc80", "\ud800\udc00", "é", "x" * 1_000_000])
def test_any_text_can_be_named(value: str) -> None:
    assert Pseudonyms("2026-11", b"1" * 32).name("user_agent", value).startswith("u_")


def test_nothing_has_an_empty_name() -> None:
    names = Pseudonyms("2026-11", b"1" * 32).names(PRINCIPAL, "192.0.2.1", "")
    assert names.user_agent == ""
    assert names.peer.startswith("p_")


def test_a_caller_that_was_forgotten_gets_the_same_names_again() -> None:
    pseudonyms = Pseudonyms("2026-11", b"1" * 32)
    first = pseudonyms.names(PRINCIPAL, "192.0.2.1", "curl")
    for number in range(5_000):
        pseudonyms.names(PRINCIPAL, str(number), "curl")
    assert pseudonyms.names(PRINCIPAL, "192.0.2.1", "curl") == first
    assert pseudonyms._caller.cache_info().currsize <= 4_096


@pytest.mark.parametrize(
    ("wall", "epoch"),
    [(0.0, "1970-01"), (1_764_547_199.999, "2025-11"), (1_764_547_200.0, "2025-12"), (1_767_225_600.0, "2026-01")],
)
def test_an_epoch_is_a_calendar_month_in_utc(wall: float, epoch: str) -> None:
    assert epoch_of(wall) == epoch


async def test_all_replicas_share_the_key_that_the_first_one_made() -> None:
    store = MemoryStore(VirtualClock())
    first = await ensure_epoch(store, "2026-11", lambda size: b"1" * size)
    second = await ensure_epoch(store, "2026-11", lambda size: b"2" * size)
    assert first == second == b"1" * KEY_BYTES
    assert await store.read(TABLE, "2026-11") == first


class DistantStore(MemoryStore):
    """A store whose answers take a turn of the loop, as those of a real one do."""

    async def read(self, table: str, name: str) -> bytes | None:
        value = await super().read(table, name)
        await asyncio.sleep(0)
        return value


async def test_replicas_that_race_for_a_new_month_end_up_with_one_key() -> None:
    store = DistantStore(VirtualClock())
    fills = [partial(_filled, filler) for filler in range(5)]
    keys = await asyncio.gather(*(ensure_epoch(store, "2026-11", fill) for fill in fills))
    assert set(keys) == {_filled(0, KEY_BYTES)}


def _filled(filler: int, size: int) -> bytes:
    return bytes([filler]) * size


async def test_a_malformed_key_is_not_used() -> None:
    store = MemoryStore(VirtualClock())
    await store.write([Row(TABLE, "2026-11", b"short")])
    with pytest.raises(StoreUnavailable):
        await ensure_epoch(store, "2026-11", lambda size: b"1" * size)
