from __future__ import annotations

import pytest

from proxy.clock import VirtualClock
from proxy.standin.pace import Frame, Pace

FRAMES: list[Frame] = [(b"start", False), (b"a", True), (b"", True), (b"b", True), (b"end", False)]


class Paper:
    """Notes what is written and when."""

    def __init__(self, clock: VirtualClock, write_s: float = 0.0) -> None:
        self.lines: list[tuple[float, bytes]] = []
        self._clock = clock
        self._write_s = write_s
        self._began = clock.monotonic()

    async def write(self, data: bytes) -> None:
        self.lines.append((round(self._clock.monotonic() - self._began, 6), data))
        self._clock.advance(self._write_s)


async def written(first_token_s: float, tokens_per_second: float, write_s: float = 0.0) -> list[tuple[float, bytes]]:
    clock = VirtualClock(0.0)

    async def sleep(seconds: float) -> None:
        clock.advance(seconds)

    paper = Paper(clock, write_s)
    await Pace(first_token_s, tokens_per_second, clock, sleep).write(paper, FRAMES)
    return paper.lines


async def test_without_limits_nothing_waits() -> None:
    assert await written(0, 0) == [(0, b"start"), (0, b"a"), (0, b"b"), (0, b"end")]


async def test_the_first_token_and_each_further_one_come_at_their_time_hidden_ones_included() -> None:
    assert await written(0.5, 10) == [(0, b"start"), (0.5, b"a"), (0.7, b"b"), (0.7, b"end")]


async def test_a_slow_write_does_not_shift_the_tokens_after_it() -> None:
    assert await written(0.5, 10, write_s=0.05) == [(0, b"start"), (0.5, b"a"), (0.7, b"b"), (0.75, b"end")]


async def test_with_a_late_first_token_only_the_rest_comes_at_once() -> None:
    assert await written(0.5, 0) == [(0, b"start"), (0.5, b"a"), (0.5, b"b"), (0.5, b"end")]


@pytest.mark.parametrize(
    ("first_s", "speed", "tokens", "expected"),
    [(0.5, 10, 11, 1.5), (0.5, 0, 11, 0.5), (0, 10, 1, 0), (0.5, 10, 0, 0.5)],
)
async def test_a_document_waits_as_long_as_its_stream_would_take(
    first_s: float, speed: float, tokens: int, expected: float
) -> None:
    clock = VirtualClock(0.0)

    async def sleep(seconds: float) -> None:
        clock.advance(seconds)

    await Pace(first_s, speed, clock, sleep).hold(tokens)
    assert clock.monotonic() == pytest.approx(expected)
