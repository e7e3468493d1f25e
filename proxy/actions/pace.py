"""Lets an answer come no faster than a set pace: a pause before its first text, then so many tokens a second.

Laws:
- Only moments change, never a byte; a piece that is late anyway is not held.
- A JSON answer is one piece: it comes when the same answer would have ended as a stream.
- A pause of the model's own buys nothing: what comes in a burst after it is paced as before.
- The jitter depends on a key and the exchange, so that nobody can subtract it, and a replay repeats it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from random import Random
from typing import Any, ClassVar

from proxy.actions.base import Idle, Tools
from proxy.actions.reading import duration, members, number
from proxy.clock import Clock
from proxy.exchange import BYTES_PER_TOKEN, Call, Chunk, Exchange, Saying, Work, text_bytes
from proxy.secrets import Purpose
from proxy.wire import Wire

_JITTER = 0.2
_HOLD_S = 30.0  # half of what many load balancers and clients wait for a silent server


@dataclass(frozen=True, slots=True)
class Pace:
    """The action; seconds, and tokens a second."""

    first_token: float
    tokens_per_second: float | None
    jitter: float = _JITTER
    hold: float = _HOLD_S

    name: ClassVar[str] = "pace"
    summary: ClassVar[str] = "Lets the answer come no faster than a set pace; its bytes stay as they are."
    parameters: ClassVar[dict[str, str]] = {
        "first_token": "The least time from the request to the first text, such as 500ms or 2s; up to 1m.",
        "tokens_per_second": "Tokens a second, 1 to 1,000, of text, reasoning and tool arguments, at three bytes each.",
        "jitter": "By what share both vary at random, 0 to 0.5; 0.2 if missing.",
        "hold": "The longest that one piece is held, up to 5m; 30s if missing. A JSON answer is one piece.",
    }
    discloses: ClassVar[str] = "that the answer takes longer, not why"
    never_touches: ClassVar[str] = "anything but the moment at which a piece is sent"

    @classmethod
    def read(cls, value: Any) -> Pace:  # noqa: ANN401 - a value of a YAML file
        """Make a pace from its value in the pack."""
        given = members(value, cls.parameters)
        first, rate = duration(given, "first_token", "1m"), number(given, "tokens_per_second", 1, 1_000)
        if first is None and rate is None:
            raise ValueError("should have first_token, tokens_per_second or both")
        jitter, hold = number(given, "jitter", 0, 0.5), duration(given, "hold", "5m")
        return cls(first or 0.0, rate, _JITTER if jitter is None else jitter, hold or _HOLD_S)

    def begin(self, exchange: Exchange, tools: Tools) -> Pacing | Idle:
        """Return the action for one exchange, paced from now on; a call that writes nothing is not paced."""
        if exchange.call is not None and exchange.call.work is not Work.ANSWER:
            return Idle()
        seed = blake2b(exchange.id.encode(), key=tools.key(Purpose.PACE)).digest()
        return Pacing(self, tools.clock, Random(seed))  # noqa: S311 - the seed is keyed


class Pacing:
    """The action at work."""

    def __init__(self, pace: Pace, clock: Clock, random: Random) -> None:
        self._pace = pace
        self._clock = clock
        self._random = random
        self._began = clock.monotonic()

    async def on_call(self, call: Call) -> Call:
        """Leave the call as it is."""
        return call

    def on_answer(self, wire: Wire) -> PacedAnswer:
        """Return the transform that says when each piece may go."""
        return PacedAnswer(self._pace, self._clock, self._random, wire, self._began)


class PacedAnswer:
    """The transform; moments are monotonic seconds."""

    def __init__(self, pace: Pace, clock: Clock, random: Random, wire: Wire, began: float) -> None:
        self.changed = False
        self.takes_sayings = True
        self._pace = pace
        self._clock = clock
        self._random = random
        self._wire = wire
        self._due = began + self._uneven(pace.first_token)  # when the last piece was due; at first, the pause's end
        self._came = began  # when it came

    def feed(self, chunk: Chunk) -> Iterator[Chunk]:
        """Return the chunk with the moment before which it may not go; one without text waits for nothing."""
        if (saying := chunk.saying) is None:
            yield self._paced(chunk, self._wire.written(chunk))
            return
        for text, tail in zip(saying.texts, saying.tails, strict=True):
            one = Saying(saying.lane, [text], saying.head, [tail], saying.like)
            yield self._paced(replace(chunk, saying=one), text_bytes(text))

    def _paced(self, chunk: Chunk, size: int) -> Chunk:
        if not size:
            return chunk
        now = self._clock.monotonic()
        earliest = max(self._due, self._came)
        held_from = max(earliest, now) if self._wire.streamed else now
        self._due = min(earliest + self._uneven(self._seconds(size)), held_from + self._pace.hold)
        self._came = now
        if self._due <= now:
            return chunk
        self.changed = True
        return replace(chunk, not_before=max(chunk.not_before, self._due))

    def end(self) -> tuple[()]:
        """Return nothing: nothing was held back."""
        return ()

    def _seconds(self, size: int) -> float:
        rate = self._pace.tokens_per_second
        return size / BYTES_PER_TOKEN / rate if rate is not None else 0.0

    def _uneven(self, seconds: float) -> float:
        return seconds * (1 + self._pace.jitter * self._random.uniform(-1, 1))
