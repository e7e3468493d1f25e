"""One of the hunters on a store: takes the lease when it is free, and hunts while it holds it.

Laws: only the holder of the lease reads, publishes and writes. When the lease is lost, what was not saved is dropped,
and read again from the stream. The core runs in one thread of its own, one call at a time, while the event loop renews
the lease; if a call takes far longer than any should, renewing stops, so that another hunter takes over.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from proxy.errors import StoreUnavailable
from proxy.hunting.chase import Chase, EventsLost, Parts
from proxy.hunting.lease import TURN_S
from proxy.log import get
from proxy.rules.pack.pack import Pack
from proxy.telemetry.snapshot import Snapshot
from proxy.threads import ready_threads

# The largest part of the time that goes into writing checkpoints: a large state takes long.
_CHECKPOINT_SHARE = 0.05
_SWEEP_S = 3600.0
# Far longer than judging, writing or reading the largest state takes.
_STUCK_S = 600.0

T = TypeVar("T")


class Pace(NamedTuple):
    """How often the hunter judges and makes its state safe, in seconds."""

    judge: float = 30.0
    checkpoint: float = 60.0
    poll: float = 0.5


class Hunter:
    """One of the hunters on a store; active while it holds the lease."""

    def __init__(self, parts: Parts, pack: Pack, pace: Pace) -> None:
        self.active = False
        self._parts = parts
        self._pack = pack
        self._pace = pace
        self._stopping = asyncio.Event()
        self._waits = False  # whether it was logged that the store is away
        self._thread = ready_threads(1, "hunter")
        self._busy_since: float | None = None  # when the core's present call began, by the monotonic clock
        self._logger = get("hunter")

    @property
    def pack(self) -> Pack:
        """The pack whose campaigns are looked for."""
        return self._pack

    def adopt(self, pack: Pack) -> None:
        """Look for the campaigns of another pack from the next turn on."""
        self._pack = pack

    def stop(self) -> None:
        """Make `run` end after the present turn, with everything saved."""
        self._stopping.set()

    def snapshot(self) -> Snapshot:
        """Return the numbers as they are now."""
        self._parts.tally.put("stillgate_hunter_active", float(self.active and self._parts.lease.held))
        if self._is_stuck():
            self._parts.tally.put("stillgate_hunter_lag_seconds", self._busy())
        return self._parts.tally.snapshot()

    async def run(self) -> None:
        """Hunt whenever the lease can be had, until `stop`; survives a store that is away."""
        parts = self._parts
        try:
            while not self._stopping.is_set():
                try:
                    if await parts.lease.take():
                        await self._hunt()
                    self._waits = False
                except StoreUnavailable:
                    if not self._waits:
                        self._logger.warning("the store is away; the hunter waits")
                    self._waits = True
                await self._rest(TURN_S)
        finally:
            with contextlib.suppress(StoreUnavailable):
                await parts.lease.give_back()
            self._thread.shutdown(wait=False, cancel_futures=True)

    async def _hunt(self) -> None:
        """Be the active hunter until the lease is lost or `stop` was called. Raises StoreUnavailable."""
        keeping = asyncio.create_task(self._parts.lease.keep(self._answers))
        try:
            self.active = True
            self._logger.info("this hunter is active")
            chase = await Chase.begin(self._parts, self._pack, self._off)
            await self._parts.publisher.sweep()
            self._waits = False
            turn = self._pace.judge
            now = self._parts.clock.monotonic
            judge_at, save_at, sweep_at = now() + turn, now() + self._pace.checkpoint, now() + _SWEEP_S
            while self._parts.lease.held and not self._stopping.is_set():
                await chase.follow_pack(self._pack)
                await chase.learn()
                if now() >= judge_at:
                    began = now()
                    await chase.judge()
                    # A judging that takes longer than its turn leaves as much time to read what was told meanwhile.
                    judge_at = now() + max(turn, now() - began)
                if now() >= save_at:
                    save_at = now() + max(self._pace.checkpoint, await chase.save() / _CHECKPOINT_SHARE)
                if now() >= sweep_at:
                    await self._parts.publisher.sweep()
                    sweep_at = now() + _SWEEP_S
                try:
                    more = await chase.read()
                except EventsLost:
                    self._logger.error("the store lost events that were read; going on from the last checkpoint")  # noqa: TRY400
                    chase = await Chase.begin(self._parts, self._pack, self._off)
                    continue
                if not more:
                    await self._rest(self._pace.poll)
            if self._parts.lease.held:
                await chase.judge()
                await chase.save()
        finally:
            self.active = False
            # The lag is the next hunter's to tell: a maximum over both would show this one's old value.
            self._parts.tally.put("stillgate_hunter_lag_seconds", 0)
            self._parts.tally.put("stillgate_hunter_checkpoint_bytes", 0)
            self._parts.tally.forget("stillgate_findings")
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    async def _rest(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _off(self, work: Callable[..., T], *arguments: Any) -> T:  # noqa: ANN401 - of whatever function
        """Run a function that touches the core in the core's thread."""
        self._busy_since = self._parts.clock.monotonic()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
        finally:
            self._busy_since = None

    def _busy(self) -> float:
        """Return for how many seconds the core's present call has been running."""
        return 0.0 if self._busy_since is None else self._parts.clock.monotonic() - self._busy_since

    def _is_stuck(self) -> bool:
        return self._busy() > _STUCK_S

    def _answers(self) -> bool:
        """Tell whether the core is not stuck; log it if it is."""
        if self._is_stuck():
            self._logger.error("the hunter's core does not answer; another may take over", seconds=round(self._busy()))
            return False
        return True
