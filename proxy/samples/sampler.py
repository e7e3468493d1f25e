"""Takes samples: chooses exchanges on the loop, and seals and writes what they said in a thread of its own.

Laws:
- The loop hands over references and bounded copies; it never waits for the thread, nor for a disk.
- A sample that finds no room, in the queue or on the disk, is counted and lost; no exchange fails because of it.
- The choice depends on a secret and the exchange's id, so no client can foresee it, and nobody can choose afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import hashlib
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from proxy.clock import Clock
from proxy.decision import NO_SHADOW, Effect, Verdict
from proxy.decisions.ending import Ending
from proxy.exchange import Call, Exchange, Text
from proxy.keyed.sample_keys import read_public
from proxy.log import get
from proxy.samples.envelope import Envelope, Sealer
from proxy.samples.excerpt import Content, Excerpt, Heard, excerpt
from proxy.samples.files import append
from proxy.settings.samples import Samples

QUEUE_MAX: Final = 64  # samples that wait; about 20 MB at worst
_CLOSE_SECONDS: Final = 2.0
_SMALL_BYTES: Final = 16_384  # of a body whose texts may not have been read yet; those of larger ones have been
_HOUR_S: Final = 3600
_OURS: Final = frozenset({"request", "client"})  # what denies that is no quota and no rung

Texts = Callable[[Call], Iterable[Text]]  # what a dialect knows of a call


class _Taken(NamedTuple):
    """An exchange that was chosen, as the thread needs it: its texts, or how to find them."""

    exchange: str
    started: float
    dialect: str
    texts: Callable[[], Excerpt]
    heard: Heard | None


class Place(NamedTuple):
    """Where samples go: a folder, and the number of the worker whose files they are."""

    folder: Path
    worker: int


class Sampler:
    """One worker's samples; made inside a running event loop, ended by `close`.

    `texts` are how calls are read, by dialect; `on_kept` is told on the loop of each sample that is on the disk.
    """

    def __init__(
        self,
        settings: Samples,
        place: Place,
        secret: bytes,
        texts: Mapping[str, Texts],
        clock: Clock,
        on_kept: Callable[[Envelope], object],
    ) -> None:
        if settings.public_key is None:
            raise RuntimeError("there is no key to seal samples to")
        self._settings = settings
        self._place = place
        self._secret = secret
        self._texts = texts
        self._clock = clock
        self._on_kept = on_kept
        self._sealer = Sealer(read_public(settings.public_key))
        self._below = int(settings.share * 2**64)
        self._most_bytes = settings.megabytes_per_day << 20
        self._hour = -1
        self._is_full = False  # the room of this hour
        self._taken: Counter[str] = Counter()  # by account, in this hour
        self._results: Counter[str] = Counter(kept=0, no_room=0, lost=0)
        self._failing = False
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._queue: queue.SimpleQueue[_Taken | None] = queue.SimpleQueue()
        self._waiting = 0
        self._thread = threading.Thread(target=self._run, name="samples", daemon=True)
        self._thread.start()

    def listen(self, exchange: str, verdict: Verdict) -> Heard | None:
        """Return what records an answer, if its exchange is chosen."""
        return Heard(self._settings.characters) if self._is_chosen(exchange, verdict) else None

    def take(self, ending: Ending, heard: Heard | None) -> bool:
        """Hand over an exchange that has ended if it is one of those chosen; return whether it was."""
        exchange, call = ending.exchange, ending.exchange.call
        if call is None or ending.decide is None or not self._is_chosen(exchange.id, ending.verdict):
            return False
        account = exchange.principal.account
        if not self._has_room(account):
            return False
        self._waiting += 1
        self._taken[account] += 1
        texts = self._excerpt_of(exchange, call, ending.bytes_in)
        self._queue.put(_Taken(exchange.id, exchange.started, exchange.dialect, texts, heard))
        return True

    def numbers(self) -> dict[tuple[str, tuple[str, ...]], float]:
        """Return how many samples were kept and how many not, by the metric's name and labels."""
        return {("stillgate_samples_total", (result,)): count for result, count in self._results.items()}

    async def close(self) -> None:
        """Let the thread write what waits, and end it; it is left alone after `_CLOSE_SECONDS`."""
        self._queue.put(None)
        await asyncio.wait({self._ended}, timeout=_CLOSE_SECONDS)

    def _has_room(self, account: str) -> bool:
        """Tell whether one more sample of an account may be taken; count those that find no room.

        Once an hour's room is used up, nothing more is sealed in that hour, and no other account is remembered.
        """
        if (hour := int(self._clock.wall()) // _HOUR_S) != self._hour:
            self._hour, self._is_full = hour, False
            self._taken.clear()
        if self._taken[account] >= self._settings.per_account_hour:
            return False
        if self._is_full or self._waiting >= QUEUE_MAX:
            self._results["no_room" if self._is_full else "lost"] += 1
            return False
        return True

    def _excerpt_of(self, exchange: Exchange, call: Call, size: int) -> Callable[[], Excerpt]:
        """Return what finds a request's texts in the thread; a large one's are cut here, so that it need not wait."""
        most, read = self._settings.characters, self._texts[exchange.dialect]
        if exchange.texts or size > _SMALL_BYTES:
            said = excerpt(exchange.texts, most)
            return lambda: said
        return lambda: excerpt(list(read(call)), most)

    def _is_chosen(self, exchange: str, verdict: Verdict) -> bool:
        if not _kinds(verdict).intersection(self._settings.of):
            return False
        digest = hashlib.blake2b(exchange.encode(), key=self._secret, digest_size=8).digest()
        return int.from_bytes(digest) < self._below

    def _run(self) -> None:
        while (taken := self._queue.get()) is not None:
            try:
                self._tell(*self._keep(taken))
            except Exception as error:  # noqa: BLE001 - whatever it is, the next sample may be kept
                self._fail(error)
        self._on_loop(self._ended.set_result, None)

    def _keep(self, taken: _Taken) -> tuple[str, Envelope | None]:
        heard = taken.heard
        answer = None if heard is None else heard.kept.decode(errors="replace")
        content = Content(taken.dialect, taken.texts(), answer, heard is None or heard.whole)
        envelope = self._sealer.seal(taken.exchange, _rfc3339(taken.started), content)
        now = dt.datetime.fromtimestamp(self._clock.wall(), dt.UTC)
        # A day's room opens hour by hour, so that no flood can take it all.
        most = self._most_bytes * (now.hour + 1) // 24
        kept = append(self._place.folder, self._place.worker, now.date(), envelope.line(), most)
        self._failing = False
        return ("kept", envelope) if kept else ("no_room", None)

    def _fail(self, error: Exception) -> None:
        if not self._failing:
            self._failing = True
            get("samples").error("samples cannot be kept", error=repr(error))
        self._tell("lost", None)

    def _tell(self, result: str, kept: Envelope | None) -> None:
        self._on_loop(self._count, result, kept)

    def _count(self, result: str, kept: Envelope | None) -> None:
        self._results[result] += 1
        self._waiting -= 1
        self._is_full = self._is_full or result == "no_room"
        if kept is not None:
            self._on_kept(kept)

    def _on_loop(self, callback: Callable[..., None], *arguments: object) -> None:
        # If the loop is closed already, nobody counts any more.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *arguments)


def _kinds(verdict: Verdict) -> set[str]:
    """Return what an exchange is, in the words of the settings."""
    kinds = set()
    if verdict.effect is Effect.DEGRADE:
        kinds.add("degraded")
    if verdict.effect is Effect.DENY and verdict.by not in _OURS:
        kinds.add("denied")
    if verdict.fired:
        kinds.add("matched")
    if verdict.shadow != NO_SHADOW:
        kinds.add("shadow")
    return kinds


def _rfc3339(wall: float) -> str:
    """Return a time with the same milliseconds as in its record: a datetime would round them."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(int(wall))) + f".{int(wall * 1000) % 1000:03d}Z"
