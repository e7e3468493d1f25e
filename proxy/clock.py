"""Time as an argument: the system's, or one that a test or a replay moves by hand."""

from __future__ import annotations

import time
from typing import Protocol

# A wall clock that has moved by more than this against the monotonic one was set.
_SET_S = 60.0


class Clock(Protocol):
    """Two readings, both in seconds."""

    def wall(self) -> float:
        """Return the time since the Unix epoch."""
        ...

    def monotonic(self) -> float:
        """Return a reading for durations only; it never goes back."""
        ...


class SystemClock:
    """The machine's clocks."""

    wall = staticmethod(time.time)  # noqa: TID251 - this is the Clock that others must take
    monotonic = staticmethod(time.monotonic)


class Steadiness:
    """Tells for how long the wall clock was not set, as far as it was asked: by a wrong one all may seem expired."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead = clock.wall() - clock.monotonic()
        self._since = clock.monotonic()
        self._was_set = False

    def set_within(self, seconds: float) -> bool:
        """Return whether the clock was set in the last `seconds`, and since this object was made."""
        steady = self.seconds()
        return self._was_set and steady < seconds

    def seconds(self) -> float:
        """Return for how many seconds the wall clock has kept step with the monotonic one, at most our own age."""
        now = self._clock.monotonic()
        ahead = self._clock.wall() - now
        if abs(ahead - self._ahead) > _SET_S:
            self._ahead, self._since, self._was_set = ahead, now, True
        return now - self._since


class VirtualClock:
    """A clock that stands still until it is moved; both readings move together."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._now = start

    def wall(self) -> float:
        """Return the virtual time in seconds since the Unix epoch."""
        return self._now

    def monotonic(self) -> float:
        """Return the same reading: a virtual clock never jumps."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move the clock forward; `seconds` must not be negative."""
        if seconds < 0:
            raise ValueError("a virtual clock moves forward only")
        self._now += seconds
