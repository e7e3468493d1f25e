"""What is loaded is what one save wrote, whole, or nothing."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from proxy.clock import VirtualClock
from proxy.errors import StoreUnavailable
from proxy.hunting import checkpoints
from proxy.hunting.checkpoints import (
    CHECKPOINTS_TABLE,
    STATE_TABLE,
    Checkpoint,
    CheckpointLost,
    Checkpoints,
    FileCheckpoints,
    StoreCheckpoints,
)
from proxy.store.base import Row
from proxy.store.memory import MemoryStore
from tests.rig.unwritable import unwritable

FIRST = Checkpoint("5-1", b"\x00\n" * 40)
SECOND = Checkpoint("9-0", b"another state")


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(VirtualClock())


@pytest.fixture(params=["file", "store"])
def kept(
    request: pytest.FixtureRequest, store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Checkpoints:
    monkeypatch.setattr(checkpoints, "_PIECE_BYTES", 7)
    return FileCheckpoints(tmp_path / "hunter" / "state") if request.param == "file" else StoreCheckpoints(store)


def left(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir()]


async def names(store: MemoryStore, table: str) -> list[str]:
    return [name async for name, _ in store.scan(table)]


async def test_the_last_one_is_loaded(kept: Checkpoints) -> None:
    assert await kept.load() is None
    for checkpoint in (FIRST, SECOND, Checkpoint("", b"")):
        await kept.save(checkpoint)
        assert await kept.load() == checkpoint


async def test_old_pieces_go(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "_PIECE_BYTES", 7)
    for _ in range(3):
        await StoreCheckpoints(store).save(FIRST)
    assert await names(store, CHECKPOINTS_TABLE) == ["3"]
    assert len(await names(store, STATE_TABLE)) == 12


async def test_a_save_that_was_cut_short_leaves_the_one_before_and_is_cleared_by_the_next(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "_PIECE_BYTES", 7)
    kept = StoreCheckpoints(store)
    await kept.save(FIRST)
    write, left = store.write, 4

    async def dies(rows: list[Row], *, only_new: bool = False) -> bool:
        nonlocal left
        left -= 1
        if left < 0:
            raise StoreUnavailable("cut")
        return await write(rows, only_new=only_new)

    monkeypatch.setattr(store, "write", dies)
    with pytest.raises(StoreUnavailable):
        await kept.save(FIRST._replace(position="6-0"))
    monkeypatch.setattr(store, "write", write)
    assert await kept.load() == FIRST
    await kept.save(SECOND)
    assert await kept.load() == SECOND
    assert await names(store, CHECKPOINTS_TABLE) == ["3"]
    assert await names(store, STATE_TABLE) == ["3-0", "3-1"]


async def test_of_two_that_write_at_once_one_is_told(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = StoreCheckpoints(store)

    async def none_yet(_: StoreCheckpoints) -> dict[int, dict[str, object]]:
        return {}

    monkeypatch.setattr(StoreCheckpoints, "_heads", none_yet)
    await kept.save(FIRST)
    with pytest.raises(CheckpointLost):
        await kept.save(SECOND)


async def test_what_is_damaged_is_not_loaded(
    store: MemoryStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    in_store, in_file = StoreCheckpoints(store), FileCheckpoints(tmp_path / "state")
    await in_store.save(FIRST)
    await store.write([Row(STATE_TABLE, "1-0", b"other")])
    assert await in_store.load() is None
    await store.write([Row(STATE_TABLE, "1-0", None)])
    assert await in_store.load() is None
    await in_file.save(FIRST)
    whole = (tmp_path / "state").read_bytes()
    for damaged in (whole[:-1], b"", b"x" + whole, whole.replace(b"\x00", b"\x01", 1)):
        (tmp_path / "state").write_bytes(damaged)
        assert await in_file.load() is None
    assert "begins anew" in caplog.text


async def test_a_file_that_cannot_be_written_is_said_so() -> None:
    with unwritable() as folder, pytest.raises(CheckpointLost, match="Permission denied"):
        await FileCheckpoints(folder / "state").save(SECOND)


async def test_of_one_that_finds_no_room_nothing_is_left_on_the_disk(tmp_path: Path) -> None:
    kept = FileCheckpoints(tmp_path / "state")
    await kept.save(FIRST)
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, unlimited[1]))
    try:
        with pytest.raises(CheckpointLost, match="File too large"):
            await kept.save(Checkpoint("9-0", b"x" * 100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert left(tmp_path) == ["state"]
    assert await kept.load() == FIRST
