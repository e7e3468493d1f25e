"""One whole run: everything started, loaded in rounds, ended and checked; then the steps on their own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from bench.crowd import CROWD_TURNS, crowd
from bench.degraded import degraded
from bench.frames import frame_differences_us
from bench.hunt import hunt_costs
from bench.load import BenchError, Script
from bench.meter import in_turn_us
from bench.prints import prints_costs
from bench.results import latency, machine, streamed, throughput, waterfall
from bench.rounds import BARE, OURS, Kind, Turns, run_rounds
from bench.rules import rules_costs
from bench.stage import Cores, bare, import_keys, recorded_exchanges, stillgate
from bench.steps import gateway_steps
from bench.upstream import canned_upstream

_CLIENTS = 16
# Few enough that each is used many times a second, enough that none comes near the 2,000 requests a minute that the
# default pack allows; and so many that hardly one is used twice while an idle lease is kept (5 s).
_BUSY_KEYS = 100
_COLD_KEYS = 5000
_STEP_BATCHES = 200
_FRAME_ROUNDS = 7
_FRAME_S = 0.3
_KINDS = 4
_CROWD_PART = 5.0  # a stream takes more than a second
_OTHER_STAGES = 6 + len(CROWD_TURNS)

OnStage = Callable[[str], None]


class _Loaded(NamedTuple):
    turns: Turns
    crowd: dict[str, Any]
    memory: dict[str, float]


def stages(rounds: int) -> int:
    """Return how often a run says where it is."""
    return (rounds + 1) * (_KINDS + 1) * 2 + _OTHER_STAGES


async def measure(rounds: int, seconds: float, cores: Cores, on_stage: OnStage) -> dict[str, Any]:
    """Return the results of a run. Raises BenchError, OSError or TimeoutError if something could not be measured."""
    turns, many, memory = await _loaded(rounds, seconds, cores, on_stage)
    json, stream = throughput(turns, "json"), streamed(turns, "stream")
    async with canned_upstream() as upstream:
        acted_on = await degraded(upstream, rounds, seconds, cores, on_stage)
    on_stage("frames")
    frames = await frame_differences_us(_FRAME_ROUNDS, _FRAME_S)
    on_stage("steps")
    async with gateway_steps() as steps:
        plain_us, streamed_us = [await in_turn_us(each, _STEP_BATCHES) for each in steps]
    on_stage("rules")
    rules = await rules_costs()
    on_stage("prints")
    prints = await prints_costs()
    on_stage("hunt")
    hunt = await hunt_costs()
    client = {"client: ours less aiohttp's": frames["client"]}
    plain = {"server, JSON: ours less aiohttp's": frames["plain"]}
    streaming = {"server, stream: ours less aiohttp's": frames["streamed"]}
    return {
        "json": json,
        "stream": stream,
        "degraded": acted_on,
        "cold": throughput(turns, "cold"),
        "latency": latency(turns, "latency"),
        "crowd": many,
        "waterfall": {
            "json": waterfall(plain_us | plain | client, json),
            "stream": waterfall(streamed_us | streaming | client, stream),
        },
        "rules": rules,
        "prints": prints,
        "hunt": hunt,
        **memory,
        "run": {"rounds": rounds, "seconds": seconds, "clients": _CLIENTS, "keys": _BUSY_KEYS, "cold_keys": _COLD_KEYS},
        "machine": machine(),
    }


async def _loaded(rounds: int, seconds: float, cores: Cores, on_stage: OnStage) -> _Loaded:
    """Run the rounds. Raises BenchError if the decision log does not hold exactly what was answered."""
    on_stage("start")
    with tempfile.TemporaryDirectory(prefix="stillgate-bench-") as name:
        folder = Path(name)
        async with (
            canned_upstream() as upstream,
            bare(folder, upstream.url, cores) as plain,
            stillgate(folder, upstream.url, cores) as ours,
        ):
            memory = {"rss_mb": ours.rss_mb(), "bare_rss_mb": plain.rss_mb()}
            busy = await import_keys(folder, "busy", _BUSY_KEYS)
            cold = await import_keys(folder, "cold", _COLD_KEYS)
            kinds = [
                Kind("json", Script.of(busy, stream=False), _CLIENTS),
                Kind("stream", Script.of(busy, stream=True), _CLIENTS),
                Kind("latency", Script.of(busy, stream=False), 1, part=0.5),
                Kind("cold", Script.of(cold, stream=False), _CLIENTS, part=0.5),
            ]
            proxies = {BARE: plain, OURS: ours}
            turns, answered = await run_rounds(kinds, proxies, rounds, seconds, on_stage)
            streams = Script.of(busy, stream=True)
            many, exchanges = await crowd(proxies, upstream, streams, seconds * _CROWD_PART, on_stage)
            memory |= {"rss_after_load_mb": ours.rss_mb(), "bare_rss_after_load_mb": plain.rss_mb()}
        recorded = recorded_exchanges(folder)
    if recorded != answered[OURS] + exchanges:
        raise BenchError(f"{answered[OURS] + exchanges} exchanges were answered, {recorded} stand in the decision log")
    return _Loaded(turns, many, memory)
