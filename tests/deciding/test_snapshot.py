"""What a start without the store begins from is whole, says how old it is, and is written when something changed."""

from __future__ import annotations

import asyncio
import resource
import stat
from pathlib import Path

import pytest

from proxy.auth.api_key import KeyRequest, digest
from proxy.auth.key_cache import KeyCache
from proxy.auth.key_registry import KeyRegistry
from proxy.clock import VirtualClock
from proxy.deciding import snapshot
from proxy.deciding.snapshot import Remembered, Unusable, read
from proxy.errors import StoreUnavailable, Unauthenticated, Unavailable
from proxy.processes import snapshot_keeper
from proxy.processes.snapshot_keeper import SnapshotKeeper
from proxy.rules.campaigns.known import KnownCampaign
from proxy.rules.campaigns.rows import CAMPAIGNS_TABLE, PARTS_TABLE, campaign_rows
from proxy.rules.campaigns.store import CampaignStore
from proxy.rules.flags.book import FlagBook
from proxy.rules.flags.flag import Flag, FlagKey, World
from proxy.rules.flags.rows import FLAGS_TABLE, Lift, flag_row, lift_row
from proxy.rules.flags.sync import FlagSync
from proxy.rules.pack.words import Subject
from proxy.store.base import FEED_ROWS, Row
from proxy.store.memory import MemoryStore
from proxy.telemetry.snapshot import Sample
from tests.auth.test_keys import Cuttable

KEY = b"k" * 32
FLAG = FlagKey(World.ENFORCED, Subject.ACCOUNT, "acme", "extraction")
NOW = 1_700_000_000.0
CAMPAIGN = KnownCampaign("c-1", "rule", (), frozenset({"a-1", "a-2"}), 0.0, 0.0, NOW, {}, NOW, NOW + 3600.0)


@pytest.fixture
def store(clock: VirtualClock) -> MemoryStore:
    return MemoryStore(clock)


@pytest.fixture
def keeper(store: MemoryStore, tmp_path: Path, clock: VirtualClock) -> SnapshotKeeper:
    return SnapshotKeeper(store, tmp_path / "snapshot", clock)


def flag(clock: VirtualClock, seconds: float) -> Flag:
    now = clock.wall()
    return Flag("extraction", 50, now, now + seconds, "rule")


async def flags_after(remembered: Remembered, clock: VirtualClock) -> list[FlagKey]:
    """The flags in force in a process that starts from what is remembered."""
    book = FlagBook(shared=True)
    past = MemoryStore(clock)
    await past.write(remembered.rows)
    sync = FlagSync(book, MemoryStore(clock), clock)
    await sync.recall(past)
    assert not sync.in_step
    return [key for key, _ in book.items(clock.wall())]


async def test_flags_are_in_force_after_a_start_from_a_snapshot_until_their_own_end(
    keeper: SnapshotKeeper, store: MemoryStore, tmp_path: Path, clock: VirtualClock
) -> None:
    """R-11: flags are not lost."""
    await store.write([flag_row(FLAG, flag(clock, 3600.0))])
    await keeper.keep()
    clock.advance(1800.0)
    remembered = read(tmp_path / "snapshot", clock.wall())
    assert clock.wall() - remembered.at == 1800.0
    assert await flags_after(remembered, clock) == [FLAG]
    clock.advance(1801.0)
    assert await flags_after(remembered, clock) == []


async def test_a_running_process_brings_it_up_to_date_again_and_again_also_after_a_full_disk(
    keeper: SnapshotKeeper, store: MemoryStore, tmp_path: Path, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "snapshot"

    async def kept() -> list[FlagKey] | None:
        try:
            return await flags_after(read(folder, clock.wall()), clock)
        except Unusable:  # half of it is written
            return None

    async def failing(told: float) -> None:
        async with asyncio.timeout(5):
            while keeper.snapshot()["stillgate_snapshot_failing"] != [Sample((), told)]:
                await asyncio.sleep(0.01)

    async def until(flags: list[FlagKey]) -> None:
        async with asyncio.timeout(5):
            while await kept() != flags:
                await asyncio.sleep(0.01)

    monkeypatch.setattr(snapshot_keeper, "_TURN_S", 0.01)
    folder.write_text("in the way")
    running = asyncio.create_task(keeper.run())
    try:
        await failing(1.0)
        folder.unlink()
        await store.write([flag_row(FLAG, flag(clock, 3600.0))])
        await until([FLAG])
        await failing(0.0)
        clock.advance(1.0)
        await store.write([lift_row(FLAG, Lift(clock.wall(), "alice", "honest", clock.wall() + 3600.0))])
        await until([])
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_flag_that_was_lifted_stays_so(
    keeper: SnapshotKeeper, store: MemoryStore, tmp_path: Path, clock: VirtualClock
) -> None:
    await store.write([flag_row(FLAG, flag(clock, 3600.0))])
    clock.advance(1.0)
    await store.write([lift_row(FLAG, Lift(clock.wall(), "alice", "honest", clock.wall() + 3600.0))])
    await keeper.keep()
    assert await flags_after(read(tmp_path / "snapshot", clock.wall()), clock) == []


async def test_a_snapshot_is_written_when_something_changed_and_said_to_be_up_to_date_else(
    keeper: SnapshotKeeper, store: MemoryStore, tmp_path: Path, clock: VirtualClock
) -> None:
    file = tmp_path / "snapshot" / "rows"
    await store.write([flag_row(FLAG, flag(clock, 3600.0))])
    await keeper.keep()
    first = file.stat().st_ino
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    clock.advance(60.0)
    await store.write([Row("other", "a", b"x")])
    await keeper.keep()
    assert file.stat().st_ino == first
    assert read(file.parent, clock.wall()).at == clock.wall()
    await store.write([Row(FLAGS_TABLE, "x", b"{}")])
    await keeper.keep()
    assert file.stat().st_ino != first
    assert len(read(file.parent, clock.wall()).rows) == 2


async def test_what_changed_while_the_feed_had_lost_its_place_is_in_it_too(
    keeper: SnapshotKeeper, store: MemoryStore, tmp_path: Path, clock: VirtualClock
) -> None:
    """Else a key that was revoked then would be good again at a start without the store."""
    await store.write([Row("keys", "name", b"usable")])
    await keeper.keep()
    await store.write([Row("keys", "name", b"revoked")])
    await store.write([Row("other", str(number), b"x") for number in range(FEED_ROWS + 1)])
    await keeper.keep()
    assert [row.value for row in read(tmp_path / "snapshot", clock.wall()).of("keys")] == [b"revoked"]


async def test_a_snapshot_that_is_not_whole_is_not_used(
    keeper: SnapshotKeeper, store: MemoryStore, tmp_path: Path, clock: VirtualClock
) -> None:
    folder = tmp_path / "snapshot"
    with pytest.raises(Unusable, match="there is none"):
        read(folder, clock.wall())
    await store.write([flag_row(FLAG, flag(clock, 3600.0))])
    await keeper.keep()
    rows, as_of = (folder / "rows").read_bytes(), (folder / "as_of").read_bytes()
    assert len(read(folder, clock.wall()).rows) == 1
    for place in range(len(rows)):
        (folder / "rows").write_bytes(rows[:place] + bytes([rows[place] ^ 1]) + rows[place + 1 :])
        with pytest.raises(Unusable):
            read(folder, clock.wall())
        (folder / "rows").write_bytes(rows[:place])
        with pytest.raises(Unusable):
            read(folder, clock.wall())
    (folder / "rows").write_bytes(rows)
    for wrong in (
        b"",
        b"{}",
        b"[]",
        as_of.replace(b'"at"', b'"when"'),
        as_of[:-1],
        as_of.replace(b'"digest":"', b'"digest":"0'),
    ):
        (folder / "as_of").write_bytes(wrong)
        with pytest.raises(Unusable):
            read(folder, clock.wall())
    (folder / "as_of").write_bytes(as_of)
    with pytest.raises(Unusable, match="how old"):
        read(folder, clock.wall() - 1.0)


async def test_a_snapshot_that_grew_too_large_leaves_the_old_one(
    keeper: SnapshotKeeper, store: MemoryStore, tmp_path: Path, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.write([flag_row(FLAG, flag(clock, 3600.0))])
    await keeper.keep()
    monkeypatch.setattr(snapshot, "BYTES_MAX", 1000)
    await store.write([Row(FLAGS_TABLE, "x", b"x" * 1000)])
    with pytest.raises(Unusable, match="more than a snapshot may have"):
        await keeper.keep()
    assert len(read(tmp_path / "snapshot", clock.wall()).rows) == 1


async def test_a_campaign_is_in_it_with_all_its_parts_or_nothing_is_written(
    keeper: SnapshotKeeper, store: MemoryStore, tmp_path: Path, clock: VirtualClock
) -> None:
    await CampaignStore(store).publish(CAMPAIGN)
    await keeper.keep()
    remembered = read(tmp_path / "snapshot", clock.wall())
    assert sorted(row.name for row in remembered.rows) == sorted(row.name for row in campaign_rows(CAMPAIGN))
    *parts, _ = campaign_rows(CAMPAIGN)
    await store.write([Row(PARTS_TABLE, part.name, None) for part in parts])
    await store.write([Row(CAMPAIGNS_TABLE, "other", b"not one that can be read")])
    with pytest.raises(StoreUnavailable):
        await keeper.keep()
    assert read(tmp_path / "snapshot", clock.wall()) == remembered


async def test_keys_of_a_snapshot_are_good_for_as_long_as_if_they_had_been_read_then(
    tmp_path: Path, clock: VirtualClock
) -> None:
    """R-01, K-10: a revocation is unknown for `auth_stale_max_seconds` at most."""
    store = Cuttable(clock)
    registry = KeyRegistry(store, KEY, clock, lambda size: b"r" * size)
    minted = await registry.create(KeyRequest("acme", "acme"))
    await SnapshotKeeper(store, tmp_path, clock).keep()
    store.away = True
    clock.advance(30.0)
    remembered = read(tmp_path, clock.wall())
    keys = KeyCache(store, KEY, clock, 60.0)
    keys.recall([(row.name, row.value or b"") for row in remembered.of("keys")], clock.wall() - remembered.at)
    assert (await keys.authenticate(minted.secret)).account == "acme"
    assert keys.age == 30.0
    with pytest.raises(Unavailable):
        await keys.authenticate("x" * 40)
    clock.advance(30.1)
    with pytest.raises(Unavailable):
        await keys.authenticate(minted.secret)
    with pytest.raises(Unauthenticated):
        await keys.authenticate("x")
    assert digest(minted.secret, KEY) in {row.name for row in remembered.rows}


def test_of_one_that_finds_no_room_nothing_is_left_on_the_disk(tmp_path: Path) -> None:
    snapshot.write_rows(tmp_path, b"rows")
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, unlimited[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            snapshot.write_rows(tmp_path, b"x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
