"""Streams with `drop` and `mark` at work, beside the same streams left alone by the same process."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.load import BenchError, Script
from bench.rounds import OURS, Kind, Turn, run_rounds
from bench.stage import Cores, import_keys, stillgate
from bench.traffic import CHUNKS
from bench.upstream import CannedUpstream

PACK = Path(__file__).with_name("degraded.yaml")
LEFT_ALONE, DEGRADED = "left_alone", "degraded"
_KEYS = 100
_CLIENTS = 16


async def degraded(
    upstream: CannedUpstream, rounds: int, seconds: float, cores: Cores, on_turn: Callable[[str], None]
) -> dict[str, Any]:
    """Return chunks per second and CPU time per stream of both, and their ratios.

    Raises BenchError if streams were not changed although actions were at work.
    """
    with tempfile.TemporaryDirectory(prefix="stillgate-bench-") as name:
        folder = Path(name)
        async with stillgate(folder, upstream.url, cores, PACK) as proxy:
            plain = Script.of(await import_keys(folder, "plain", _KEYS), stream=True, logprobs=True)
            marked = Script.of(await import_keys(folder, "marked", _KEYS), stream=True, logprobs=True, changed=True)
            kinds = [Kind(LEFT_ALONE, plain, _CLIENTS), Kind(DEGRADED, marked, _CLIENTS)]
            turns, _ = await run_rounds(kinds, {OURS: proxy}, rounds, seconds, on_turn)
    if len(marked.seen) < 2:
        raise BenchError("no stream was changed although actions were at work")
    rate = _medians(turns, lambda turn: turn.exchanges * CHUNKS / turn.seconds)
    cpu_us = _medians(turns, lambda turn: turn.cpu_seconds / turn.exchanges * 1e6)
    return {
        "ratio": rate[DEGRADED] / rate[LEFT_ALONE],
        "cpu_ratio": cpu_us[LEFT_ALONE] / cpu_us[DEGRADED],
        "per_second": rate,
        "cpu_us": cpu_us,
    }


def _medians(turns: dict[tuple[str, str], list[Turn]], figure: Callable[[Turn], float]) -> dict[str, float]:
    return {kind: statistics.median(map(figure, turns[kind, OURS])) for kind in (LEFT_ALONE, DEGRADED)}
