"""The bounds of a hunt at full size: a week of ten million exchanges, and a million accounts within an hour."""

from __future__ import annotations

import resource
import sys

import numpy as np
import pytest

from bench.hunt import hunted
from proxy.hunter.event import Asked
from proxy.hunter.hunt import ACCOUNTS_MOST
from tests.hunter.campaigns import fixed
from tests.hunter.events import event
from tests.hunter.traffic import World, in_order, ordinary, run

_GIB = 2**30
_MOST_BYTES = 2 * _GIB
_FLOOD, _AT_ONCE = 1_000_000, 2_000


def _peak_bytes() -> int:
    """Return the most memory that this process ever had, between two looks as well."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


@pytest.mark.soak
def test_ten_million_exchanges_of_a_hundred_thousand_accounts_take_less_than_two_gibibytes() -> None:
    took = hunted(10_000_000, 100_000, days=7, judgings=14)
    assert took.rss_mb * 1e6 < _MOST_BYTES, took
    assert took.found > 0.9, took
    assert took.others == 0, took


@pytest.mark.soak
@pytest.mark.parametrize("same_text", [False, True])
def test_a_million_accounts_within_an_hour_take_less_than_two_gibibytes_and_lose_no_campaign(same_text: bool) -> None:
    world = World(1)
    ordinary(world)
    fixed(world)
    told = in_order(world)
    outcome = run(told, world.guilty)
    assert outcome.named == world.guilty
    hunt, rng = outcome.hunt, np.random.default_rng(1)
    begin = told[-1].at
    same = np.unique(rng.integers(1, 2**63, 64).astype(np.uint64))
    most = 0
    for start in range(0, _FLOOD, _AT_ONCE):
        prints = rng.integers(1, 2**63, (_AT_ONCE, 64)).astype(np.uint64)
        hunt.see(
            [
                event(
                    f"flood-{number}",
                    tenant=f"flood-{number}",
                    at=begin + 3600 * number / _FLOOD,
                    opened=begin - number,
                    peer=f"peer-{number}",
                    prefix=f"net-{number // 100}",
                    agent=f"agent-{number}",
                    links=(("payment", f"card-{number}"),),
                    question=number,
                    asked=Asked(),
                )._replace(prints=same if same_text else np.unique(prints[number - start]))
                for number in range(start, start + _AT_ONCE)
            ]
        )
        if start % (50 * _AT_ONCE) == 0:
            hunt.judge(begin + 3600 * start / _FLOOD)
            most = max(most, _peak_bytes())
    hunt.judge(begin + 3600)
    most = max(most, _peak_bytes())
    assert most < _MOST_BYTES
    assert len(hunt._accounts) <= 1.1 * ACCOUNTS_MOST + _AT_ONCE
    named = {name for finding in hunt.findings.values() for name in finding.members}
    assert named >= world.guilty
