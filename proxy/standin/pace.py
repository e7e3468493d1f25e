"""How fast the answers come: the time to the first token and the tokens per second.

Laws: a document waits as long as its stream would take; a stream's events are written one by one, each at its time,
and the times do not drift.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from proxy.clock import Clock

Frame = tuple[
    bytes, bool
]  # the bytes of an event, empty for a token that is not shown; whether it takes a token's time
Sleep = Callable[[float], Awaitable[None]]


class Sink(Protocol):
    """What a stream is written to; `write` waits only while the client is behind."""

    async def write(self, data: bytes) -> None:
        """Take the bytes of one event."""
        ...


class Pace:
    """Holds answers back. `tokens_per_second` of 0 means as fast as possible."""

    def __init__(self, first_token_s: float, tokens_per_second: float, clock: Clock, sleep: Sleep) -> None:
        self._first_token_s = first_token_s
        self._token_s = 1 / tokens_per_second if tokens_per_second else 0.0
        self._clock = clock
        self._sleep = sleep

    async def hold(self, tokens: int) -> None:
        """Wait as long as an answer of so many tokens takes."""
        if seconds := self._first_token_s + max(tokens - 1, 0) * self._token_s:
            await self._sleep(seconds)

    async def write(self, sink: Sink, frames: Iterable[Frame]) -> None:
        """Write every event at its time."""
        if not self._first_token_s and not self._token_s:
            for data, _ in frames:
                if data:
                    await sink.write(data)
            return
        due = self._clock.monotonic() + self._first_token_s
        for data, is_token in frames:
            if is_token:
                if (wait := due - self._clock.monotonic()) > 0:
                    await self._sleep(wait)
                due += self._token_s
            if data:
                await sink.write(data)
