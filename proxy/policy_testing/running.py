"""Runs the cases of pack tests and says of each how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from proxy.policy_testing.expectations import Mismatch, compare
from proxy.policy_testing.loading import Suite
from proxy.policy_testing.requests import Asked
from proxy.policy_testing.schema import CaseEntry, Step
from proxy.policy_testing.world import Minds, Observed, World
from proxy.rules.pack.pack import Pack


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One case with the file that it stands in; each is only itself."""

    # Left out of the repr, which asyncio makes of a task's result at each signal handler: a file of tests is long.
    suite: Suite = field(repr=False)
    number: int  # in its file, from 0

    @property
    def entry(self) -> CaseEntry:
        """What the file says."""
        return self.suite.content.cases[self.number]


Watch = Callable[[Case, Observed], None]  # is told of every send


@dataclass(frozen=True, slots=True)
class Failure:
    """The first expectation of a case that was not met, at a step and a send of it, both counted from 1."""

    step: int
    line: int
    send: int
    of: int
    at: float  # Unix seconds, virtual
    mismatch: Mismatch

    def sentence(self) -> str:
        """Return the failure as one line."""
        moment = datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
        which = f", send {self.send} of {self.of}" if self.of > 1 else ""
        key, expected, got, hint = self.mismatch
        sentence = f"step {self.step}{which}, at {moment}Z: {key}: expected {expected}, got {got}"
        return f"{sentence} - {hint}" if hint else sentence


@dataclass(frozen=True, slots=True)
class Result:
    """How one case ended."""

    case: Case
    failure: Failure | None
    sends: int

    @property
    def path(self) -> Path:
        """The file of the case."""
        return self.case.suite.path


class Runner:
    """Runs cases, each in a world of its own."""

    def __init__(self, minds: Minds) -> None:
        self.table = minds.table
        self._minds = minds

    def run(self, pack: Pack, cases: Iterable[Case], watch: Watch | None = None) -> Iterator[Result]:
        """Yield the result of each case as it ends."""
        with asyncio.Runner() as loop:
            for case in cases:
                yield loop.run(self._case(pack, case, watch))

    async def _case(self, pack: Pack, case: Case, watch: Watch | None) -> Result:
        content = case.suite.content
        world = World(pack, content.start, content.fixtures, self._minds)
        asked = {step.send: Asked(content.fixtures.requests[step.send]) for step in case.entry.steps if step.send}
        sends = 0
        for number, step in enumerate(case.entry.steps):
            if step.advance is not None:
                await world.advance(step.advance)
            if step.send is None or step.who is None:
                continue
            for turn in range(step.times):
                if turn and step.every:
                    await world.advance(step.every)
                observed = await world.send(step.who, asked[step.send], step.first + turn, step.takes)
                sends += 1
                if watch is not None:
                    watch(case, observed)
                mismatch = compare(step.expect, observed)
                if mismatch is not None:
                    return Result(case, _failure(case, number, step, turn, world.now, mismatch), sends)
        return Result(case, None, sends)


def cases_of(suites: Sequence[Suite]) -> list[Case]:
    """Return all cases of files, in their order."""
    return [Case(suite, number) for suite in suites for number in range(len(suite.content.cases))]


def _failure(case: Case, number: int, step: Step, turn: int, now: float, mismatch: Mismatch) -> Failure:
    return Failure(number + 1, case.suite.line(case.number, number), turn + 1, step.times, now, mismatch)
