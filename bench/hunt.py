"""What the hunt costs: events taken in a second, seconds to judge, and what its memory and its checkpoint take.

Laws: the traffic is made from a seed: accounts that ask unevenly, mostly text of their own, some public prompts and
questions, and one campaign; it is told in batches in the order of time and judged every few hours of it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import psutil
from numpy.typing import NDArray

from proxy.hunter.event import Asked, Event
from proxy.hunter.hunt import Hunt
from proxy.hunter.terms import Terms

_SEED = 1
_BATCH = 2_048
_START = 1_790_000_000.0
_DAY_S = 86_400.0
_TERMS = (Terms("campaign", 10, 8, 7 * _DAY_S, 0.95),)
_PRINTS = 64  # of an exchange, as many as are followed
_PUBLIC, _PUBLIC_SHARE = 300, 0.3  # prompts that many send
_QUESTIONS, _QUESTION_SHARE = 20_000, 0.25  # that several ask
_CAMPAIGN_SHARE, _CAMPAIGN_PER_DAY = 0.02, 26.0
_ASKED, _WANTED = Asked("large"), Asked("large", trace_elicitation=0.9)


class Hunted(NamedTuple):
    """What one run took; `found` is how much of the campaign was named, `others` how many accounts besides."""

    events_per_second: float
    judge_s: float  # the longest
    rss_mb: float
    checkpoint_mb: float
    checkpoint_s: float
    found: float
    others: int


async def hunt_costs(exchanges: int = 300_000, accounts: int = 10_000) -> dict[str, float]:
    """Return what a hunt over two days costs."""
    return hunted(exchanges, accounts, days=2.0, judgings=8)._asdict()


def hunted(exchanges: int, accounts: int, *, days: float, judgings: int) -> Hunted:
    """Let one hunt see so many exchanges of so many accounts, and return what that took."""
    hunt, process = Hunt(_TERMS), psutil.Process()
    seeing, judging, rss = 0.0, 0.0, process.memory_info().rss
    due = 1
    for events in _batches(exchanges, accounts, days):
        began = time.perf_counter()
        hunt.see(events)
        seeing += time.perf_counter() - began
        if events[-1].at >= _START + due * days * _DAY_S / judgings:
            judging, due = max(judging, _judged(hunt, events[-1].at)), due + 1
            rss = max(rss, process.memory_info().rss)
    judging = max(judging, _judged(hunt, _START + days * _DAY_S))
    began = time.perf_counter()
    checkpoint = len(hunt.to_bytes())
    wrote = time.perf_counter() - began
    rss = max(rss, process.memory_info().rss)
    named = {name for finding in hunt.findings.values() for name in finding.members}
    guilty = {name for name in named if name.startswith("c")}
    most = max(1, int(accounts * _CAMPAIGN_SHARE))
    return Hunted(
        exchanges / seeing, judging, rss / 1e6, checkpoint / 1e6, wrote, len(guilty) / most, len(named) - len(guilty)
    )


def _judged(hunt: Hunt, now: float) -> float:
    began = time.perf_counter()
    hunt.judge(now)
    return time.perf_counter() - began


def _batches(exchanges: int, accounts: int, days: float) -> Iterator[list[Event]]:
    rng = np.random.default_rng(_SEED)
    guilty = max(1, int(accounts * _CAMPAIGN_SHARE))
    part = min(0.3, guilty * _CAMPAIGN_PER_DAY * days / exchanges)
    volume = rng.lognormal(0, 1.2, accounts).cumsum()
    opened = _START - rng.exponential(200 * _DAY_S, accounts + guilty)
    opened[accounts:] = _START - rng.random(guilty) * 10 * _DAY_S
    public, asked = _texts(rng, _PUBLIC, 30), _texts(rng, _QUESTIONS, 16)
    own = rng.integers(1, 2**63, (accounts, 12)).astype(np.uint64)
    prompt_of = np.where(rng.random(accounts) < _PUBLIC_SHARE, rng.zipf(1.5, accounts) % _PUBLIC, -1)
    template = _texts(rng, 1, 30)[0]
    span = days * _DAY_S
    for start in range(0, exchanges, _BATCH):
        count = min(_BATCH, exchanges - start)
        at = _START + span * (start + np.arange(count)) / exchanges
        who = np.searchsorted(volume, rng.random(count) * volume[-1])
        turns = rng.random(count) < part
        who[turns] = accounts + (start + np.flatnonzero(turns)) % guilty
        fresh = rng.integers(1, 2**63, (count, _PRINTS)).astype(np.uint64)
        popular = np.where(rng.random(count) < _QUESTION_SHARE, rng.zipf(1.3, count) % _QUESTIONS, -1)
        network = rng.integers(0, 3, count)
        events = []
        for n, (number, moment) in enumerate(zip(who.tolist(), at.tolist(), strict=True)):
            prints, member = fresh[n], number >= accounts
            if member:
                prints[:30] = template
            else:
                prints[:12] = own[number]
                if (prompt := prompt_of[number]) >= 0:
                    prints[12:42] = public[prompt]
                if (question := popular[n]) >= 0:
                    prints[48:] = asked[question]
            events.append(_event(number, member, moment, float(opened[number]), int(network[n]), np.unique(prints)))
        yield events


def _event(number: int, member: bool, at: float, opened: float, network: int, prints: NDArray[np.uint64]) -> Event:
    name = f"{'c' if member else 'a'}{number}"
    place = f"proxy-{number % 50}" if member else f"{number if number % 5 else number // 50}-{network}"
    return Event(
        at=at,
        account=name,
        tenant=f"t{number}",
        opened=opened,
        peer=place,
        prefix=f"net-{place}",
        agent=f"agent-{number % 7 if not member else 0}",
        links=(("payment", f"card-{number % 40}" if member else f"own-{number}"),),
        dialect="openai.chat",
        asked=_WANTED if member else _ASKED,
        input_tokens=600,
        output_tokens=1500 if member else 100 + 37 * (number % 11),
        reasoning_tokens=0,
        effect="allow",
        delivered=True,
        prints=prints,
        question=int(prints[-1]),
    )


def _texts(rng: np.random.Generator, count: int, prints: int) -> NDArray[np.uint64]:
    return rng.integers(1, 2**63, (count, prints)).astype(np.uint64)
