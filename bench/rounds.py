"""Interleaved rounds: bare, ours, then ours, bare, and so on, so that what disturbs the machine disturbs both."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from bench.load import Script, flowing
from bench.stage import Proxy

BARE, OURS = "bare", "ours"
# Before a turn is measured its traffic runs for this part of the turn, so that caches and leases are as in the midst
# of work.
_LEAD_IN = 0.15


class Kind(NamedTuple):
    """One kind of load: its name, what is sent, by how many clients, and what part of a full turn it takes."""

    name: str
    script: Script
    concurrency: int
    part: float = 1.0


class Turn(NamedTuple):
    """What one proxy did in one measured turn; seconds of wall time and of CPU."""

    exchanges: int
    pieces: int
    seconds: float
    cpu_seconds: float
    load_cpu_seconds: float  # of the clients and the upstream together
    durations_ns: tuple[int, ...]


Turns = dict[tuple[str, str], list[Turn]]  # (kind, proxy) -> its turns


class Reading(NamedTuple):
    """Clocks and counters at one moment."""

    exchanges: int
    pieces: int
    wall: float
    cpu: float
    load_cpu: float


async def run_rounds(
    kinds: list[Kind], proxies: Mapping[str, Proxy], rounds: int, seconds: float, on_turn: Callable[[str], None]
) -> tuple[Turns, dict[str, int]]:
    """Return the turns of all rounds but the first, which warms up, and all exchanges that each proxy answered."""
    turns: Turns = {(kind.name, name): [] for kind in kinds for name in proxies}
    answered = dict.fromkeys(proxies, 0)
    for number in range(rounds + 1):
        for kind in kinds:
            for name in sorted(proxies, reverse=number % 2 == 1):
                on_turn(f"{kind.name}: {name}")
                turn, exchanges = await _turn(proxies[name], kind, seconds * kind.part)
                answered[name] += exchanges
                if number > 0:
                    turns[kind.name, name].append(turn)
    return turns, answered


async def _turn(proxy: Proxy, kind: Kind, seconds: float) -> tuple[Turn, int]:
    async with flowing(proxy.port, kind.script, kind.concurrency) as flow:

        def read() -> Reading:
            now = time.perf_counter()
            return Reading(flow.exchanges, flow.pieces, now, proxy.cpu_seconds(), time.process_time())

        await flow.go_on(seconds * _LEAD_IN)
        before = read()
        await flow.go_on(seconds)
        after = read()
    turn = Turn(
        exchanges=after.exchanges - before.exchanges,
        pieces=after.pieces - before.pieces,
        seconds=after.wall - before.wall,
        cpu_seconds=after.cpu - before.cpu,
        load_cpu_seconds=after.load_cpu - before.load_cpu,
        durations_ns=tuple(flow.durations_ns[before.exchanges : after.exchanges]),
    )
    return turn, flow.exchanges
