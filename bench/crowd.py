"""Many streams at once, at the pace of a model: how long a client waits for the next piece of its answer."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.load import BenchError, Script, flowing
from bench.rounds import BARE, OURS
from bench.stage import Proxy
from bench.traffic import CHUNKS
from bench.upstream import CannedUpstream

STREAMS = 512
PAUSE_S = 0.02
CROWD_TURNS = (BARE, OURS, OURS, BARE)
# By then all have begun, each at another moment.
_LEAD_IN_S = 0.5  # besides the time of one stream
_STALL_S = 0.1

# One turn's gaps between two reads of an answer in seconds, sorted; streams that ended in a second; share of its core.
_Turn = tuple[Sequence[float], float, float]


async def crowd(
    proxies: Mapping[str, Proxy],
    upstream: CannedUpstream,
    script: Script,
    seconds: float,
    on_turn: Callable[[str], None],
    streams: int = STREAMS,
    pause: float = PAUSE_S,
) -> tuple[dict[str, Any], int]:
    """Return the figures of both proxies, and how many exchanges ours answered.

    Raises BenchError if a turn was too short.
    """
    turns: dict[str, list[_Turn]] = {name: [] for name in proxies}
    answered = 0
    upstream.pause = pause
    try:
        for name in CROWD_TURNS:
            on_turn(f"{streams} streams: {name}")
            turn, exchanges = await _turn(proxies[name], script, seconds, streams, CHUNKS * pause)
            turns[name].append(turn)
            answered += exchanges if name == OURS else 0
    finally:
        upstream.pause = 0.0
    return {"streams": streams, **{name: _figures(found) for name, found in turns.items()}}, answered


async def _turn(proxy: Proxy, script: Script, seconds: float, streams: int, each: float) -> tuple[_Turn, int]:
    """Measure one proxy; `each` is how long a stream takes."""
    async with flowing(proxy.port, script, streams, apart=each / streams) as flow:
        await flow.go_on(each + _LEAD_IN_S)
        gaps, exchanges, cpu = len(flow.gaps_ns), flow.exchanges, proxy.cpu_seconds()
        await flow.go_on(seconds)
        found = sorted(gap / 1e9 for gap in flow.gaps_ns[gaps:])
        rate, share = (flow.exchanges - exchanges) / seconds, (proxy.cpu_seconds() - cpu) / seconds
    if len(found) < 100:
        raise BenchError(f"{len(found)} pieces of streams are too few to tell anything")
    return (found, rate, share), flow.exchanges


def _figures(turns: Sequence[_Turn]) -> dict[str, float]:
    gaps = sorted(gap for found, _, _ in turns for gap in found)
    return {
        "gap_p50_ms": gaps[len(gaps) // 2] * 1e3,
        "gap_p99_ms": gaps[len(gaps) * 99 // 100] * 1e3,
        "gap_max_ms": gaps[-1] * 1e3,
        "stalls": sum(gap > _STALL_S for gap in gaps),
        "gaps": len(gaps),
        "per_second": statistics.mean(rate for _, rate, _ in turns),
        "core_share": statistics.mean(share for _, _, share in turns),
    }
