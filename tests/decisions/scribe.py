"""A process that keeps a decision log: `python -m tests.decisions.scribe FOLDER (endless | limited | renamed)`.

`endless` writes records until it is killed, and says so on standard output once the first hundred are in the file.
`limited` meets a full disk in the middle of a line (the file size limit of the process stands in for it), gets its
space back, and ends. `renamed` does the same, but its file is renamed while the line is unfinished.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import sys
from pathlib import Path

from proxy.clock import SystemClock, VirtualClock
from proxy.decisions.journal import Journal
from proxy.decisions.target import FileTarget
from proxy.decisions.writer import DecisionLog, LogUnavailable
from tests.decisions.bindings import Loose, sealed
from tests.decisions.endings import ending, recorder

LIMIT_BYTES = 10_000
LINES = [f"{number:05d} {'x' * 300}\n".encode() for number in range(100)]


async def endless(folder: Path) -> None:
    clock = SystemClock()
    path = folder / "log.jsonl"
    journal = Journal.open(FileTarget(path), sealed(path, clock), recorder(clock), clock, "sha256:0")
    for _ in range(99):
        journal.record(ending())
    await journal.record_first(ending())
    print("writing", flush=True)  # noqa: T201 - the parent process waits for this word
    while True:
        for _ in range(50):
            journal.record(ending())
        await asyncio.sleep(0)


async def limited(folder: Path, *, renamed: bool) -> None:
    clock = VirtualClock()
    log = DecisionLog.open(FileTarget(folder / "log"), Loose(), clock)
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT_BYTES, unlimited[1]))
    for line in LINES[:-1]:
        log.append(line)
    with contextlib.suppress(LogUnavailable):
        await log.append_durable(LINES[-1])
    if not log.failing:
        raise SystemExit("the limit was not met")
    if renamed:
        (folder / "log").rename(folder / "log.1")
        clock.advance(5)  # time to look at the file again
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    if not await log.close(deadline=10):
        raise SystemExit("not everything was written")


def main() -> None:
    folder, part = Path(sys.argv[1]), sys.argv[2]
    if part == "endless":
        asyncio.run(endless(folder))
    else:
        asyncio.run(limited(folder, renamed=part == "renamed"))


if __name__ == "__main__":
    main()
