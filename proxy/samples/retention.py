"""Deletes samples when their time is over, and finds one for a reviewer; the parent process alone does either.

Laws: a day's file is deleted as a whole, whether samples are still taken or not. The number of deleted samples goes
into the log of changes, but if that cannot be written, they are deleted all the same. None is deleted for its age in
the hour after the clock was set: by a wrong clock all are too old.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from proxy.clock import Clock, Steadiness
from proxy.config import Settings
from proxy.decisions.change_log import Change, ChangeLog
from proxy.decisions.epochs import is_forgotten
from proxy.decisions.writer import LogUnavailable
from proxy.errors import StoreUnavailable
from proxy.log import get
from proxy.samples.envelope import Envelope
from proxy.samples.files import DayFile, Reader, day_files
from proxy.store.base import Store

CHECK_S: Final = 600.0
_STEADY_S: Final = 3600.0
_CHUNK_BYTES: Final = 1 << 20


class Retention:
    """The samples of one proxy as its parent process sees them; keep `run` running while it lives."""

    def __init__(self, settings: Settings, store: Store, changes: ChangeLog, clock: Clock) -> None:
        self._folder = settings.samples_folder
        self._days = settings.decision_log.samples.retention_days
        self._store = store
        self._changes = changes
        self._clock = clock
        self._steadiness = Steadiness(clock)
        self._turn = asyncio.Lock()

    async def run(self) -> None:
        """Delete what is due now and every ten minutes, until cancelled."""
        while True:
            await self.sweep()
            await asyncio.sleep(CHECK_S)

    async def sweep(self) -> None:
        """Delete files that are too old, or of a month that was forgotten; what cannot be deleted is told and kept."""
        try:
            async with self._turn:
                await self._sweep()
        except OSError as error:
            get("samples").error("samples cannot be deleted", error=str(error))

    def find(self, exchange: str) -> list[Envelope]:
        """Return the samples of an exchange; there is one at most, unless somebody put in another. Reads every file."""
        files = day_files(self._folder)
        return list(Reader([file.path for file in files]).envelopes(exchange))

    async def _sweep(self) -> None:
        files = await asyncio.to_thread(day_files, self._folder)
        over = [] if self._steadiness.set_within(_STEADY_S) else [file for file in files if self._is_over(file.day)]
        await self._delete(over, f"older than {self._days} days")
        months: dict[str, list[DayFile]] = {}
        for file in files:
            if file not in over:
                months.setdefault(f"{file.day:%Y-%m}", []).append(file)
        for month, of_month in months.items():
            if await self._is_forgotten(month):
                await self._delete(of_month, f"the month {month} was forgotten")

    def _is_over(self, day: dt.date) -> bool:
        """Tell whether a day's first sample will be too old at the next sweep.

        A file of a future day, made by a wrong clock, counts as over, too: it would otherwise stay for long.
        """
        age = dt.datetime.fromtimestamp(self._clock.wall() + CHECK_S, dt.UTC).date() - day
        return not -1 <= age.days < self._days

    async def _is_forgotten(self, month: str) -> bool:
        with suppress(StoreUnavailable):
            return await is_forgotten(self._store, month)
        return False

    async def _delete(self, files: Sequence[DayFile], why: str) -> None:
        if not files:
            return
        span = f"of {files[0].day} to {files[-1].day}"
        change = Change("stillgate", "", "process", "samples.delete", f"{len(files)} files {span}", why)

        async def delete() -> int:
            return await asyncio.to_thread(_removed, files)

        try:
            await self._changes.make(change, delete, lambda count: f"{count} samples in {len(files)} files {span}")
        except LogUnavailable:
            count = await delete()
            get("samples").error("samples were deleted, which cannot be recorded", samples=count, why=why)


def _removed(files: Sequence[DayFile]) -> int:
    """Delete files; return how many samples they held."""
    count = 0
    for file in files:
        with suppress(FileNotFoundError):
            with file.path.open("rb") as lines:
                while chunk := lines.read(_CHUNK_BYTES):
                    count += chunk.count(b"\n")
            file.path.unlink()
    return count
