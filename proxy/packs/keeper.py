"""Keeps the pack in force: takes a good new one; if the new one is broken, leaves the old one running and says so.

Laws:
- One change at a time. A pack comes into force only after it was loaded as a whole and archived.
- Whatever is wrong with a file, reading it never ends this process, and nothing of it is used.
- Problems are logged once for each content, however often it is seen.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

from proxy.clock import Clock
from proxy.documents.problem import YamlProblems
from proxy.errors import ConfigurationError
from proxy.handing import HandedPack, handed
from proxy.log import get
from proxy.packs.archive import Note, PackArchive
from proxy.packs.patterns import patterns_digest
from proxy.packs.watch import POLL_S, Sight, look, look_until_still, pack_of
from proxy.rules.pack.pack import Pack
from proxy.rules.pack_file.offered import Offered
from proxy.telemetry.metrics import Reload
from proxy.telemetry.snapshot import Sample, Snapshot

_TOLD = 64  # contents whose problems were logged
_OTHER_PATTERNS = "the pattern sets beside the pack differ from those in force, and come into force at the next start"


class Failure(NamedTuple):
    """The last attempt, if it failed: when (Unix seconds), at what, and every problem with its place."""

    time: float
    digest: str
    problems: tuple[str, ...]


class PackKeeper:
    """The pack in force of one deployment.

    `switch` has every worker use the pack; it may be called again with the same pack for workers that could not.
    `handed` is the pack as they get it. `patterns` is the digest of the pattern sets that they started with, `offered`
    is what the settings offer: a pack whose ladder names a model not among them cannot be used.
    """

    def __init__(
        self,
        path: Path,
        sight: Sight,
        pack: Pack,
        archive: PackArchive,
        clock: Clock,
        switch: Callable[[HandedPack], Awaitable[None]],
        patterns: str,
        offered: Offered,
    ) -> None:
        self.path = path
        self.pack = pack
        self.handed = HandedPack(pack.digest, handed(pack))
        self.archive = archive
        self.failure: Failure | None = None
        self.patterns = patterns
        self.offered = offered
        self._beside = patterns  # of those that lie beside the pack now
        self._place = sight.place
        self._tried = sight.digest  # what was seen last, good or bad
        self._clock = clock
        self._switch = switch
        self._changing = asyncio.Lock()
        self._asked = asyncio.Event()
        self._results: Counter[Reload] = Counter()
        self._told: deque[str] = deque(maxlen=_TOLD)
        self._logger = get("packs")

    def ask(self) -> None:
        """Have the file read now, even if it looks unchanged; may be called by a signal handler."""
        self._asked.set()

    async def run(self) -> None:
        """Follow the file until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._asked.wait()
            how = "signal" if self._asked.is_set() else "file"
            self._asked.clear()
            self._compare(await asyncio.to_thread(patterns_digest, self.path))
            async with self._changing:
                if how == "signal":
                    await self._take(
                        await asyncio.to_thread(look, self.path), Note(self._clock.wall(), how), again=True
                    )
                else:
                    sight = await look_until_still(self.path, self._tried)
                    await self._take(sight, Note(self._clock.wall(), how))
                await self._switch(self.handed)

    async def change(self, write: Callable[[], None], how: str, who: str, why: str) -> None:
        """Have `write` replace the file, in a thread, and bring the new content into force.

        Raises ConfigurationError if it does not come into force.
        """
        async with self._changing:
            await asyncio.to_thread(write)
            sight = await asyncio.to_thread(look, self.path)
            await self._take(sight, Note(self._clock.wall(), how, who, why), again=True)
            await self._switch(self.handed)
            if self.failure is not None:
                raise ConfigurationError("\n".join(self.failure.problems))

    def notes(self) -> list[str]:
        """Return what an operator should know although requests are served."""
        notes = []
        if self.failure is not None:
            notes.append(
                "the pack at the settings' path cannot be used; the one before it goes on (stillgate policy status)"
            )
        if self._beside != self.patterns:
            notes.append(_OTHER_PATTERNS)
        return notes

    def snapshot(self) -> Snapshot:
        """Return the numbers about reloads."""
        return {
            "stillgate_patterns_differ": [Sample((), float(self._beside != self.patterns))],
            "stillgate_pack_reload_failed": [Sample((), float(self.failure is not None))],
            "stillgate_pack_reloads_total": [Sample((result,), self._results[result]) for result in Reload],
        }

    def status(self) -> dict[str, Any]:
        """Return what is in force, how it got there, and what was wrong with the last attempt if it failed."""
        pack, now = self.pack, self._clock.wall()
        revisions = [revision.to_json() for revision in reversed(self.archive.revisions)]
        since = revisions[0] if revisions else {}
        return {
            "pack": {"name": pack.name, "version": pack.version, "owner": pack.owner, "digest": pack.digest},
            "since": {name: since.get(name) for name in ("time", "how", "who", "why")},
            "path": str(self.path),
            "file": self._place,
            "patterns": {"digest": self.patterns, "differ": self._beside != self.patterns},
            "failure": self.failure and self.failure._asdict(),
            "shadow": [
                {"kind": name.partition(":")[0], "id": name.partition(":")[2], "since": time, "seconds": now - time}
                for name, time in sorted(self.archive.shadow.items(), key=lambda item: item[1])
            ],
            "revisions": revisions,
        }

    def _compare(self, beside: str) -> None:
        """Note whether the pattern sets beside the pack have changed; a running proxy does not take them."""
        if beside not in {self._beside, self.patterns}:
            self._logger.warning(_OTHER_PATTERNS)
        self._beside = beside

    async def _take(self, sight: Sight, note: Note, *, again: bool = False) -> None:
        """Bring the content seen into force if it is good and different."""
        if sight.digest == self._tried and not again:
            self._place = sight.place if self.failure is None else self._place
            return
        self._tried = sight.digest
        if sight.digest == self.pack.digest:
            self._done(sight, Reload.UNCHANGED)
            return
        try:
            pack = await asyncio.to_thread(pack_of, sight, self.path, self.offered)
            text = await asyncio.to_thread(handed, pack)
            await asyncio.to_thread(self.archive.keep, pack, sight.data or b"", note)
        except YamlProblems as broken:
            self._fail(sight, note, tuple(problem.render() for problem in broken.problems))
        except ConfigurationError as error:
            self._fail(sight, note, (str(error),))
        except OSError as error:
            self._fail(sight, note, (f"{error.filename or self.archive.folder}: cannot be archived: {error.strerror}",))
            self._tried = ""  # the disk may have room again
        except Exception as error:
            self._logger.exception("a pack could not be loaded")
            self._fail(sight, note, (f"{self.path}: could not be loaded: {type(error).__name__}",))
        else:
            self.pack, self.handed = pack, HandedPack(pack.digest, text)
            self._done(sight, Reload.LOADED)
            self._logger.info("a pack came into force", **_words(pack), how=note.how, who=note.who, why=note.why)

    def _done(self, sight: Sight, result: Reload) -> None:
        if self.failure is not None and result is Reload.UNCHANGED:
            self._logger.info("the file holds the pack in force again", **_words(self.pack))
        self._place = sight.place
        self.failure = None
        self._results[result] += 1

    def _fail(self, sight: Sight, note: Note, problems: tuple[str, ...]) -> None:
        self.failure = Failure(note.time, sight.digest, problems)
        self._results[Reload.FAILED] += 1
        if sight.digest not in self._told:
            self._told.append(sight.digest)
            self._logger.error("the new pack is broken; the old one goes on", problems=problems, **_words(self.pack))


def _words(pack: Pack) -> dict[str, str]:
    return {"pack": pack.name, "version": pack.version, "digest": pack.digest}
