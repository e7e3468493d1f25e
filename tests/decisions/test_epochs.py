"""The keys of epochs: one for all replicas, and what is left of a month whose key was destroyed."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from pathlib import Path

import pytest

from proxy import recording
from proxy.clock import VirtualClock
from proxy.decisions.epochs import KEY_BYTES, TABLE, EpochForgotten, Epochs, ensure_epoch, epoch_of
from proxy.decisions.pseudonyms import Pseudonyms
from proxy.decisions.record import Recorder
from proxy.errors import ConfigurationError, StoreUnavailable
from proxy.recording import follow_epoch, follow_epochs, open_recorder
from proxy.store.base import Row
from proxy.store.memory import MemoryStore
from proxy.verifying.notes import Keys
from proxy.verifying.verify import verify
from tests.decisions.chained import write_log
from tests.decisions.endings import exchange

OCTOBER = 1_792_000_000.0  # in October 2026
MONTH = 31 * 86_400.0


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


class CutStore(MemoryStore):
    """A store that is away."""

    async def read(self, table: str, name: str) -> bytes | None:
        raise StoreUnavailable(f"cut: {table} {name}")


async def test_after_the_erasure_drill_the_log_verifies_and_names_nobody(tmp_path: Path) -> None:
    """A-10: with the key an account's lines are found and joined, without it by nothing that is left."""
    clock = VirtualClock(OCTOBER)
    store = MemoryStore(clock)
    path = tmp_path / "decisions" / "log.jsonl"
    path.parent.mkdir()
    key = await write_log(path, 30, clock=clock, record=await open_recorder(store, clock, required=True))
    rows = [row for row in map(json.loads, path.read_bytes().splitlines()) if row["kind"] == "exchange"]

    async def found() -> int:
        secrets = [value async for _, value in store.scan(TABLE)]
        names = {Pseudonyms("", secret).name("account", exchange().principal.account) for secret in secrets}
        return sum(row["account"] in names for row in rows)

    assert await found() == len(rows) == 30
    clock.advance(MONTH)
    await ensure_epoch(store, epoch_of(clock.wall()), lambda size: b"n" * size)
    await Epochs(store, clock, None).forget("2026-10")
    assert await found() == 0
    keys = Keys()
    keys.trust(key)
    assert verify([path], keys, (), lambda _: None).findings == ()


async def test_no_key_is_made_anew_for_an_epoch_that_was_forgotten() -> None:
    """A-10: a clock that was set back gets names that nobody else has, and keeps them while it stays there."""
    clock = VirtualClock(OCTOBER + MONTH)
    store = MemoryStore(clock)
    await ensure_epoch(store, "2026-10", lambda size: b"1" * size)
    erased: list[bool] = []

    async def erase() -> None:
        erased.append(await store.read(TABLE, "2026-10") != b"1" * KEY_BYTES)

    for times in (1, 2):  # whoever is not sure asks again
        await Epochs(store, clock, erase).forget("2026-10")
        assert erased == [True] * times, "the files hold it until then"
    with pytest.raises(EpochForgotten):
        await ensure_epoch(store, "2026-10", lambda size: b"2" * size)
    back = VirtualClock(OCTOBER)
    recorder = await open_recorder(store, back, required=True)
    names = recorder.pseudonyms
    assert names.epoch == "2026-10 forgotten"
    assert names.name("account", "a") != Pseudonyms("", b"1" * 32).name("account", "a")
    await follow_epoch(recorder, store, back)
    assert recorder.pseudonyms is names
    back.advance(MONTH)
    await follow_epoch(recorder, store, back)
    assert recorder.pseudonyms.epoch == "2026-11"


@pytest.mark.parametrize("epoch", ["2026-11", "2026-12", "2026-13", "2026-1", "", "october", "2026-10 forgotten"])
async def test_what_is_no_month_that_is_over_is_not_forgotten(epoch: str) -> None:
    clock = VirtualClock(OCTOBER + MONTH)
    store = MemoryStore(clock)
    await store.write([Row(TABLE, epoch, b"1" * KEY_BYTES)])
    with pytest.raises(ConfigurationError):
        await Epochs(store, clock, None).forget(epoch)
    assert await store.read(TABLE, epoch) == b"1" * KEY_BYTES


async def test_a_month_is_over_when_every_writer_has_let_go_of_it() -> None:
    """A-10."""
    clock = VirtualClock(1_793_491_200.0)  # the first second of November 2026
    store = MemoryStore(clock)
    await ensure_epoch(store, "2026-10", lambda size: b"1" * size)
    with pytest.raises(ConfigurationError, match="not over"):
        await Epochs(store, clock, None).forget("2026-10")
    clock.advance(60)
    await Epochs(store, clock, None).forget("2026-10")


async def test_an_epoch_that_never_had_a_key_cannot_be_forgotten() -> None:
    with pytest.raises(KeyError):
        await Epochs(MemoryStore(VirtualClock()), VirtualClock(OCTOBER), None).forget("2026-01")


@pytest.mark.parametrize("away", [True, False])
async def test_a_writer_lets_go_of_a_month_that_is_over_even_without_the_store(away: bool) -> None:
    """A-10: what it names meanwhile has names of its own, and as few of them as can be."""
    clock = VirtualClock(OCTOBER)
    recorder = Recorder("1", Pseudonyms("2026-10", b"1" * 32), clock)
    store = CutStore(clock) if away else MemoryStore(clock)
    await follow_epoch(recorder, store, clock)
    assert recorder.pseudonyms.epoch == "2026-10"
    clock.advance(MONTH)
    await follow_epoch(recorder, store, clock)
    names = recorder.pseudonyms
    assert names.epoch == ("2026-11 without the store" if away else "2026-11")
    await follow_epoch(recorder, store, clock)
    assert recorder.pseudonyms is names
    await follow_epoch(recorder, MemoryStore(clock), clock)
    assert recorder.pseudonyms.epoch == "2026-11"


async def test_a_running_writer_looks_by_itself_whether_its_month_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """A-10."""
    monkeypatch.setattr(recording, "CHECK_S", 0.01)
    clock = VirtualClock(OCTOBER)
    store = MemoryStore(clock)
    recorder = await open_recorder(store, clock, required=True)
    following = asyncio.create_task(follow_epochs(recorder, store, clock))
    async with asyncio.timeout(10):
        for month in ("2026-11", "2026-12"):
            clock.advance(MONTH)
            while recorder.pseudonyms.epoch != month:
                await asyncio.sleep(0.01)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
