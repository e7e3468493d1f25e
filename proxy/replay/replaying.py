"""Replays traffic: blocks of lines in, decisions and findings out, on a clock that the lines move.

Laws:
- The same lines give the same decisions and findings, however many processes read them, and even if some come up to an
  hour late, or twice: a repeated line is answered as it was the first time, and counts once.
- Nothing sleeps, and nothing outside of this process decides anything.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from proxy.clock import VirtualClock
from proxy.decisions.logged import Logged
from proxy.fingerprint.winnow import Prints
from proxy.replay.hunting import Hunting
from proxy.replay.judging import Judging
from proxy.replay.order import LATE_S, InOrder
from proxy.replay.recorded import CannotTell, RecordedJudging
from proxy.replay.seen import Batch, Line, Other, Seen, Unreadable
from proxy.replay.summary import Summary
from proxy.replay.writing import InLines, decision_row, error_row

_Key = tuple[object, ...]
_Waiting = tuple[Seen | Logged, Prints | None]  # until its turn
_NOT_JUDGED = "no pack was asked about it"


@dataclass(frozen=True, slots=True)
class Stage:
    """All that takes part in a replay; `clock` is at or before the first line's time."""

    clock: VirtualClock
    judging: Judging
    recorded: RecordedJudging
    hunting: Hunting | None
    decisions: InLines
    summary: Summary


class Replay:
    """One replay, from the first line to the last."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._order: InOrder[_Waiting] = InOrder()
        self._known: dict[_Key, dict[str, Any]] = {}  # what was answered within the last hour
        self._ages: deque[tuple[float, _Key]] = deque()

    def run(self, batches: Iterable[Batch]) -> Summary:
        """Replay everything and return what came of it.

        Nothing here ever waits, so cancelling a task, as `asyncio.run` does for Ctrl-C, would not stop it.
        """
        loop = asyncio.new_event_loop()
        try:
            return loop.run_until_complete(self._run(batches))
        finally:
            loop.close()

    async def _run(self, batches: Iterable[Batch]) -> Summary:
        stage, order = self._stage, self._order
        summary = stage.summary
        number = 0
        for batch in batches:
            for line, prints in _with_prints(batch):
                turns: Sequence[tuple[float, int, _Waiting]] = ()
                if isinstance(line, Seen):
                    turns = order.add(number, line.at, (line, prints))
                elif isinstance(line, Logged):
                    turns = order.add(number, line.decided, (line, prints))
                else:
                    self._pass(number, line)
                number += 1
                for turn in turns:
                    await self._take(*turn)
        for turn in order.rest():
            await self._take(*turn)
        if stage.hunting is not None:
            stage.hunting.finish(stage.clock.wall())
        stage.decisions.finish()
        summary.lines = number
        summary.late, summary.jumped, summary.jumps = order.late, order.jumped, order.jumps
        summary.untold = stage.recorded.untold
        return summary

    def _pass(self, number: int, line: Unreadable | Other) -> None:
        """Note a line that is no exchange."""
        stage = self._stage
        if isinstance(line, Unreadable):
            stage.summary.note_unreadable(number, line.why)
            stage.decisions.put(number, error_row("", line.why))
        else:
            stage.summary.passed += 1
            stage.decisions.put(number, None)

    async def _take(self, at: float, number: int, waiting: _Waiting) -> None:
        """Decide about one exchange whose turn has come."""
        stage, summary = self._stage, self._stage.summary
        self._move_to(at)
        line, prints = waiting
        key: _Key = (line.at, line.caller.account, line.twin) if isinstance(line, Seen) else (line.id,)
        row = self._known.get(key)
        if row is not None:
            summary.duplicates += 1
            stage.decisions.put(number, row | {"duplicate": True})
            return
        if isinstance(line, Seen):
            row = await self._exchange(line, prints)
        else:
            row = await self._record(line, number)
        self._known[key] = row
        self._ages.append((at, key))
        stage.decisions.put(number, row)

    async def _exchange(self, seen: Seen, prints: Prints | None) -> dict[str, Any]:
        stage = self._stage
        if seen.request is None:
            stage.summary.refused += 1
            return error_row(seen.caller.account, seen.refused)
        judged = await stage.judging.judge(seen, seen.request, prints)
        if stage.hunting is not None and prints is not None:
            stage.hunting.note(judged)
        return self._counted(decision_row(judged.exchange, judged.decision))

    async def _record(self, logged: Logged, number: int) -> dict[str, Any]:
        if not logged.judged:
            self._stage.summary.refused += 1
            return error_row(logged.account, _NOT_JUDGED)
        try:
            return self._counted(decision_row(*await self._stage.recorded.judge(logged)))
        except CannotTell as why:
            self._stage.summary.note_unreadable(number, str(why))
            return error_row(logged.account, str(why))

    def _counted(self, row: dict[str, Any]) -> dict[str, Any]:
        summary = self._stage.summary
        summary.effects[row["effect"]] += 1
        if row["by"] is not None:
            summary.by[row["by"]] += 1
            for action in row["actions"]:
                summary.actions[action] += 1
        if len(row) > 4:
            summary.fired.update(row.get("fired", ()))
            if rung := row.get("shadow_rung"):
                summary.shadow_rungs[rung] += 1
        return row

    def _move_to(self, at: float) -> None:
        clock, summary = self._stage.clock, self._stage.summary
        if at > (now := clock.wall()):
            clock.advance(at - now)
        summary.began = summary.began or at
        summary.ended = at
        ages, known = self._ages, self._known
        while ages and ages[0][0] < at - LATE_S:
            del known[ages.popleft()[1]]
        if self._stage.hunting is not None:
            self._stage.hunting.reach(at)


def _with_prints(batch: Batch) -> Iterator[tuple[Line, Prints | None]]:
    if batch.prints is None:
        for line in batch.lines:
            yield line, None
        return
    start = 0
    for place, (line, end, single) in enumerate(zip(batch.lines, batch.ends, batch.single, strict=True)):
        # A copy: a view would keep the prints of the whole block for as long as the hunter keeps one of them.
        sample = batch.prints[start:end].copy()
        yield line, Prints(sample, *single, batch.every.get(place, sample))
        start = end
