"""Samples go when their time is over: by age, by a wrong clock's date, and with a month that is forgotten."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from proxy.clock import VirtualClock
from proxy.config import load_settings
from proxy.decisions.change_log import ChangeLog
from proxy.decisions.epochs import KEY_BYTES, TABLE, Epochs
from proxy.decisions.target import FileTarget
from proxy.samples import retention
from proxy.samples.retention import Retention
from proxy.store.base import Row
from proxy.store.memory import MemoryStore
from tests.decisions.bindings import sealed
from tests.rig.clocks import Settable

NOON = 1_792_929_600.0  # 2026-10-25T12:00:00Z


class Kept:
    """Samples of a proxy, and its log of changes."""

    def __init__(self, folder: Path, clock: VirtualClock, store: MemoryStore, retention: Retention) -> None:
        self.folder, self.clock, self.store, self.retention = folder, clock, store, retention

    def of(self, *days: str, worker: int = 0, lines: int = 2) -> None:
        (self.folder / "samples").mkdir(exist_ok=True)
        for day in days:
            (self.folder / "samples" / f"samples-{worker}-{day}.jsonl").write_text("{}\n" * lines)

    def days(self) -> list[str]:
        return sorted(path.name[10:-6] for path in (self.folder / "samples").iterdir())

    def changes(self) -> list[dict[str, Any]]:
        path = self.folder / "decisions" / "admin.jsonl"
        lines = [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []
        return [line for line in lines if line["kind"] == "admin"]


@asynccontextmanager
async def kept(folder: Path, days: int = 7, clock: VirtualClock | None = None) -> AsyncIterator[Kept]:
    clock = clock or VirtualClock(NOON)
    assert dt.datetime.fromtimestamp(NOON, dt.UTC).isoformat() == "2026-10-25T12:00:00+00:00"
    store = MemoryStore(clock)
    log = folder / "decisions" / "admin.jsonl"
    changes = ChangeLog(FileTarget(log), sealed(log, clock), "1", clock, lambda: "id")
    settings = load_settings(None, {"data": folder, "decision_log.samples.retention_days": days})
    yield Kept(folder, clock, store, Retention(settings, store, changes, clock))
    await changes.close()


async def test_what_may_be_too_old_goes_and_how_much_is_recorded(tmp_path: Path) -> None:
    async with kept(tmp_path) as found:
        found.of("2026-10-25", "2026-10-19", "2026-10-18", "2026-09-01")
        found.of("2026-10-18", worker=1, lines=5)
        await found.retention.sweep()
        assert found.days() == ["2026-10-19", "2026-10-25"]
        begun, done = found.changes()
        assert [done[name] for name in ("who", "role", "via", "action", "object", "why", "result")] == [
            *("stillgate", "", "process", "samples.delete"),
            *("9 samples in 3 files of 2026-09-01 to 2026-10-18", "older than 7 days", "done"),
        ]
        assert begun["result"] == "begun"
        await found.retention.sweep()
        assert len(found.changes()) == 2
        found.clock.advance(86_400)
        await found.retention.sweep()
        assert found.days() == ["2026-10-25"]


async def test_a_running_proxy_deletes_what_is_due_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "CHECK_S", 0.01)
    async with kept(tmp_path) as found:
        found.of("2026-10-25", "2026-10-19", "2026-10-18")
        running = asyncio.create_task(found.retention.run())
        async with asyncio.timeout(10):
            while len(found.days()) > 2:
                await asyncio.sleep(0.01)
            found.clock.advance(86_400)
            while len(found.days()) > 1:
                await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert found.days() == ["2026-10-25"]


async def test_a_date_to_come_is_a_wrong_clocks_and_goes_too(tmp_path: Path) -> None:
    """L-10."""
    async with kept(tmp_path) as found:
        found.of("2026-10-26", "2026-10-27", "2036-10-25")
        await found.retention.sweep()
        assert found.days() == ["2026-10-26"]


async def test_the_samples_of_a_forgotten_month_go_with_it(tmp_path: Path) -> None:
    async with kept(tmp_path, days=60) as found:
        found.of("2026-09-01", "2026-09-30", "2026-10-01")
        await found.store.write([Row(TABLE, month, bytes(KEY_BYTES)) for month in ("2026-09", "2026-10")])
        await found.retention.sweep()
        assert len(found.days()) == 3
        await Epochs(found.store, found.clock, None).forget("2026-09")
        await found.retention.sweep()
        assert found.days() == ["2026-10-01"]
        assert found.changes()[-1]["why"] == "the month 2026-09 was forgotten"


async def test_a_log_of_changes_that_cannot_be_written_keeps_no_sample_alive(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with kept(tmp_path) as found:
        found.of("2026-10-01", "2026-10-25")
        (tmp_path / "decisions").write_text("no folder")
        await found.retention.sweep()
        assert found.days() == ["2026-10-25"]
    assert "samples were deleted, which cannot be recorded" in caplog.text


async def test_without_samples_there_is_nothing_to_do_and_a_broken_folder_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with kept(tmp_path) as found:
        await found.retention.sweep()
        assert found.changes() == []
        (tmp_path / "samples").write_text("no folder")
        await found.retention.sweep()
    assert "samples cannot be deleted" in caplog.text


async def test_in_the_hour_after_a_clock_was_set_none_goes_by_its_age(tmp_path: Path) -> None:
    """L-10: by one that is years ahead for a minute, all are too old."""
    clock = Settable(NOON)
    async with kept(tmp_path, clock=clock) as found:
        found.of("2026-10-25", "2026-10-18")
        clock.ahead = 10 * 366 * 86_400.0
        await found.retention.sweep()
        clock.advance(600)
        await found.retention.sweep()
        assert found.days() == ["2026-10-18", "2026-10-25"]
        clock.ahead = 0.0
        await found.retention.sweep()
        clock.advance(3590)
        await found.retention.sweep()
        assert found.days() == ["2026-10-18", "2026-10-25"]
        clock.advance(11)
        await found.retention.sweep()
        assert found.days() == ["2026-10-25"]
