"""A deployment in use, with faults of store, upstream and customers, and packs that change: row L-12, I1 to I8."""

from __future__ import annotations

import json
import os
import statistics
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.end_to_end.soaking import PACK, SETTINGS, Soak
from tests.end_to_end.test_store_away import away

SEED = 20261126
_SETTLED = 1 / 3  # of the laps: until then caches fill
_MB = 1e6
LAP_S = 30


@asynccontextmanager
async def soak(folder: Path) -> AsyncIterator[Soak]:
    async with away(folder, more=SETTINGS, pack=PACK) as (scene, store):
        yield await Soak.begin(scene, store, SEED)


async def test_what_always_holds_holds_under_load_and_faults(tmp_path: Path) -> None:
    async with soak(tmp_path) as load:
        laps = [await load.lap(seconds=2, rate=100) for _ in range(2)]
    assert {"200", "500", "401", "400", "left"} <= set().union(*(lap.statuses for lap in laps))
    assert sum(lap.statuses["200"] for lap in laps) > sum(lap.exchanges for lap in laps) / 2


@pytest.mark.soak
async def test_half_an_hour_at_200_a_second_leaves_memory_and_descriptors_as_they_were(tmp_path: Path) -> None:
    minutes = float(os.environ.get("SOAK_MINUTES", "30"))  # fewer than three tell nothing of memory
    async with soak(tmp_path) as load:
        laps = []
        for _ in range(round(minutes * 2)):
            laps.append(await load.lap(seconds=LAP_S, rate=200))
            sys.stdout.write(json.dumps(laps[-1]._asdict()) + "\n")
            sys.stdout.flush()
    settled = laps[int(len(laps) * _SETTLED) :]
    assert _slope([lap.rss / _MB for lap in settled]) * 20 < 1.0, "resident memory grows by over 1 MB in ten minutes"
    # A connection to the model rests for a while after whatever made many go out at once.
    assert statistics.median(lap.fds for lap in settled) <= laps[0].fds + 8
    assert max(lap.late for lap in laps) < LAP_S / 10, "this machine could not send what was asked for"


def _slope(values: list[float]) -> float:
    """Return by how much a value grows a lap: the median over all pairs (Theil and Sen), which one lap cannot move."""
    slopes = sorted((b - a) / (j - i) for i, a in enumerate(values) for j, b in enumerate(values) if j > i)
    return slopes[len(slopes) // 2]
