"""From turns to figures: medians over rounds, ratios of ours to the bare pass-through, and the document kept."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.load import BenchError
from bench.rounds import BARE, OURS, Turn, Turns
from bench.traffic import CHUNKS

_PROXIES = (BARE, OURS)


def throughput(turns: Turns, kind: str, per_exchange: int = 1) -> dict[str, Any]:
    """Return the figures of one kind of load: rates per second of wall time, CPU microseconds per exchange.

    `per_exchange` is how many units of the rate one exchange makes: chunks of a stream.
    """
    rate = _medians(turns, kind, lambda turn: turn.exchanges * per_exchange / turn.seconds)
    cpu_us = _medians(turns, kind, lambda turn: turn.cpu_seconds / turn.exchanges * 1e6)
    return {
        "ratio": rate[OURS] / rate[BARE],
        "cpu_ratio": cpu_us[BARE] / cpu_us[OURS],
        "added_cpu_us": cpu_us[OURS] - cpu_us[BARE],
        "per_second": rate,
        "cpu_us": cpu_us,
        "core_share": _medians(turns, kind, lambda turn: turn.cpu_seconds / turn.seconds),
        "reads": _medians(turns, kind, lambda turn: turn.pieces / turn.exchanges),
        "load_cpu_us": _medians(turns, kind, lambda turn: turn.load_cpu_seconds / turn.exchanges * 1e6),
    }


def streamed(turns: Turns, kind: str) -> dict[str, Any]:
    """Return the figures of streams: the rate is in chunks, CPU time is per stream of all its chunks."""
    return throughput(turns, kind, CHUNKS)


def latency(turns: Turns, kind: str) -> dict[str, Any]:
    """Return what one client at a time waits, in microseconds over all rounds, and what of that we add."""
    found: dict[str, Any] = {}
    for proxy in _PROXIES:
        waits = [duration / 1000 for turn in turns[kind, proxy] for duration in turn.durations_ns]
        if len(waits) < 100:
            raise BenchError(f"{len(waits)} exchanges with {proxy} are too few to tell a p99")
        cuts = statistics.quantiles(waits, n=100, method="inclusive")
        found[proxy] = {"p50_us": cuts[49], "p99_us": cuts[98]}
    return {**found, "added": {name: found[OURS][name] - found[BARE][name] for name in ("p50_us", "p99_us")}}


def waterfall(steps: Mapping[str, float], found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the steps beside the CPU time that ours really took more than the bare one, as `throughput` found it."""
    total, measured_us = sum(steps.values()), found["added_cpu_us"]
    return {"steps_us": dict(steps), "sum_us": total, "measured_us": measured_us, "rest_us": measured_us - total}


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{name: version(name) for name in ("stillgate", "aiohttp", "uvloop", "orjson")},
    }


def rounded(value: Any) -> Any:  # noqa: ANN401 - JSON of any shape
    """Return a document with no more digits than the figures deserve."""
    if isinstance(value, float):
        return round(value, 3) if abs(value) < 10 else round(value, 1)
    if isinstance(value, dict):
        return {name: rounded(entry) for name, entry in value.items()}
    return value


def _medians(turns: Turns, kind: str, figure: Callable[[Turn], float]) -> dict[str, float]:
    for proxy in _PROXIES:
        if not all(turn.exchanges and turn.cpu_seconds for turn in turns[kind, proxy]):
            raise BenchError(f"a turn of {kind} with {proxy} was too short to measure anything")
    return {proxy: statistics.median(map(figure, turns[kind, proxy])) for proxy in _PROXIES}


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
