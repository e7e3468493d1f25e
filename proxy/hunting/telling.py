"""Tells the hunter of exchanges: one small event at the end of each, in batches through a stream of the store.

Laws:
- No exchange waits for it: it only costs the making of its event. A full queue drops new events and counts them.
- An event holds ids, numbers, prints and keyed names of what links accounts; never a prompt, address or attribute.
- While the store is away events wait, as many as there is room for. A batch that may or may not have arrived is sent
  again under the same operation, so that it counts once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from proxy.clock import Clock
from proxy.decision import Effect, Outcome
from proxy.decisions.ending import Ending
from proxy.errors import StoreUnavailable
from proxy.exchange import Exchange, Usage
from proxy.hunter.event import Asked, Event
from proxy.hunter.wire import encode
from proxy.keyed.link_names import LinkNames
from proxy.rules.pack.pack import Pack, hunts
from proxy.rules.pack.words import Mode
from proxy.store.base import Store

EVENTS_STREAM: Final = "events"
# The fields that make an `Asked`; their detectors run for every exchange while there are campaigns to look for.
TOLD_FIELDS: Final = frozenset(
    {
        "content.trace_elicitation",
        "content.rubric_grading",
        "content.synthetic_generation",
        "content.refusal_rewrite",
        "content.identity_claim",
        "request.logprobs",
        "request.turns",
        "request.obfuscation",
    }
)

_QUEUE_MAX: Final = 20_000  # events; about 30 MB, and ten seconds of a busy worker
_BATCH_EVENTS: Final = 500
_BATCH_PRINTS: Final = 32_768  # 256 kB
_TURN_S: Final = 1.0
_TEXT_CHARS: Final = 128  # of a text that a client may have written
_KEEP_LENGTH: Final = frozenset({"drop", "mark", "pace", "withhold"})  # actions that leave an answer's usage as it is
_NO_PRINTS: Final[NDArray[np.uint64]] = np.empty(0, np.uint64)


class _Batch(NamedTuple):
    op: str
    data: bytes
    events: int


class Teller:
    """One process's way to the hunter; keep `run` running while it is used, and end with `close`.

    `op` makes ids of operations, `keep_bytes` bounds the stream in the store.
    """

    def __init__(
        self, store: Store, names: LinkNames, clock: Clock, op: Callable[[], str], keep_bytes: int, max_mode: Mode
    ) -> None:
        self.told = 0
        self.dropped = 0
        self._store = store
        self._names = names
        self._clock = clock
        self._op = op
        self._keep_bytes = keep_bytes
        self._max_mode = max_mode
        self._wanted = False
        self._queue: deque[Event] = deque()
        self._ready = asyncio.Event()
        self._sending: _Batch | None = None

    def adopt(self, pack: Pack) -> None:
        """Tell of exchanges from now on if the pack has campaigns to look for; otherwise tell of none."""
        self._wanted = hunts(pack, self._max_mode)

    def tell(self, ending: Ending) -> None:
        """Queue the event of an exchange that has ended; there is none if its request was never read."""
        if not self._wanted or ending.exchange.call is None:
            return
        if len(self._queue) >= _QUEUE_MAX:
            self.dropped += 1
            return
        self._queue.append(event_of(ending, self._names))
        if len(self._queue) == _BATCH_EVENTS:
            self._ready.set()

    def numbers(self) -> dict[str, float]:
        """Return what was told, by the names of the metrics."""
        return {"stillgate_events_told_total": self.told, "stillgate_events_dropped_total": self.dropped}

    async def run(self) -> None:
        """Send waiting events every second, or when they fill a batch, until cancelled; survives an absent store."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TURN_S):
                    await self._ready.wait()
            self._ready.clear()
            try:
                await self.flush()
            except StoreUnavailable:
                await asyncio.sleep(_TURN_S)

    async def flush(self) -> None:
        """Send all waiting events. Raises StoreUnavailable; those not sent go on waiting."""
        while self._sending is not None or self._queue:
            if self._sending is None:
                events = self._take()
                self._sending = _Batch(self._op(), encode(events, self._clock.wall()), len(events))
            batch = self._sending
            await self._store.append(EVENTS_STREAM, batch.data, self._keep_bytes, batch.op)
            self._sending = None
            self.told += batch.events

    async def close(self) -> None:
        """Send waiting events, if the store can be reached."""
        with contextlib.suppress(StoreUnavailable):
            await self.flush()

    def _take(self) -> list[Event]:
        """Take a batch from the queue, which is not empty."""
        events: list[Event] = []
        prints = 0
        while self._queue and len(events) < _BATCH_EVENTS and prints < _BATCH_PRINTS:
            events.append(self._queue.popleft())
            prints += len(events[-1].prints)
        return events


def event_of(ending: Ending, names: LinkNames) -> Event:
    """Return what the hunter is told of an exchange that has ended."""
    delivered = ending.status == 200 and (ending.outcome is Outcome.ANSWERED or ending.usage.output > 0)
    verdict = ending.verdict
    withheld = "withhold" in verdict.actions
    uncut = verdict.effect is Effect.DEGRADE and _KEEP_LENGTH.issuperset(verdict.actions)
    effect = Effect.ALLOW if uncut else verdict.effect
    return event(ending.exchange, ending.usage, effect, names, delivered=delivered, withheld=withheld)


def event(
    exchange: Exchange, usage: Usage, effect: Effect, names: LinkNames, *, delivered: bool, withheld: bool
) -> Event:
    """Return the event of an exchange whose request was read; `withheld` says whether its reasoning was withheld."""
    principal, get = exchange.principal, exchange.fields.get
    peer, prefix = names.peer(exchange.peer)
    prints, question = _prints_of(exchange)
    return Event(  # in the order of its fields: naming them takes twice as long
        exchange.started,
        principal.account,
        principal.tenant,
        principal.created_at,
        peer,
        prefix,
        names.client(exchange.user_agent),
        names.links(principal.attributes),
        exchange.dialect,
        Asked(
            "" if exchange.call is None else exchange.call.model[:_TEXT_CHARS],
            get("request.turns", 1),
            get("request.logprobs", False),
            get("content.trace_elicitation", 0.0),
            get("content.rubric_grading", 0.0),
            get("content.synthetic_generation", 0.0),
            get("content.refusal_rewrite", 0.0),
            get("content.identity_claim", "")[:_TEXT_CHARS],
            get("request.obfuscation", 0.0),
        ),
        usage.input,
        usage.output,
        0 if withheld else usage.reasoning,
        effect,
        delivered,
        prints,
        question,
    )


def _prints_of(exchange: Exchange) -> tuple[NDArray[np.uint64], int]:
    """Return the prompt's sorted prints and the print of its question; empty and 0 without fingerprints."""
    prints = exchange.prints
    return (_NO_PRINTS, 0) if prints is None else (prints.sample, prints.question)
