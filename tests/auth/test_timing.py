"""How long a wrong key takes says nothing about right ones (G-16)."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from math import sqrt
from time import perf_counter_ns

from proxy.auth.api_key import PREFIX, KeyRequest, _base62, _check_digits
from proxy.auth.key_cache import KeyCache
from proxy.auth.key_registry import KeyRegistry
from proxy.clock import VirtualClock
from proxy.errors import Unauthenticated
from proxy.store.mark import ensure_mark
from proxy.store.memory import MemoryStore

SAMPLES = 10_000
BEYOND_CHANCE = 3.29  # standard deviations: in a thousand comparisons of equals, one is so far off
DIGEST_KEY = b"d" * 32


def well_made(start: str, dice: random.Random) -> str:
    """Return a secret of our form, checksum and all, whose digits begin so."""
    body = start + _base62(dice.getrandbits(160), 27)[len(start) :]
    return PREFIX + body + _check_digits(body)


async def took(cache: KeyCache, secret: str) -> int:
    began = perf_counter_ns()
    try:
        await cache.authenticate(secret)
    except Unauthenticated:
        return perf_counter_ns() - began
    raise AssertionError("a wrong key opened")


def deviation(ours: list[int], theirs: list[int]) -> float:
    """Return by how many standard deviations the ranks of two samples differ (Mann and Whitney's U).

    Equals share the middle of their ranks: clocks count in steps, so that there are many of them.
    """
    n, m = len(ours), len(theirs)
    mine, both = Counter(ours), Counter(ours + theirs)
    total, below = 0.0, 0
    for value in sorted(both):
        total += mine[value] * (below + (both[value] + 1) / 2)
        below += both[value]
    return abs(total - n * (n + m + 1) / 2) / sqrt(n * m * (n + m + 1) / 12)


async def test_a_key_that_is_nearly_right_takes_no_other_time() -> None:
    """Of three measurements one is within chance: a difference that is there would be in each."""
    clock, dice = VirtualClock(), random.Random(16)
    store = MemoryStore(clock)
    await ensure_mark(store, dice.randbytes)
    registry = KeyRegistry(store, DIGEST_KEY, clock, dice.randbytes)
    valid = (await registry.create(KeyRequest("acme", "acme"))).secret
    cache = KeyCache(store, DIGEST_KEY, clock, 60.0)
    follow = asyncio.create_task(cache.follow())
    await asyncio.sleep(0)
    await cache.authenticate(valid)
    kinds: dict[str, tuple[Callable[[], str], Callable[[], str]]] = {
        "its first 20 digits": (lambda: well_made(valid[4:24], dice), lambda: well_made("", dice)),
        "its first 20 digits, and another checksum": (
            lambda: well_made(valid[4:24], dice)[:-1] + "!",
            lambda: well_made("", dice)[:-1] + "!",
        ),
    }
    for name, (near, far) in kinds.items():
        found = []
        for _ in range(3):
            times: tuple[list[int], list[int]] = ([], [])
            secrets = [(near(), 0) for _ in range(SAMPLES)] + [(far(), 1) for _ in range(SAMPLES)]
            dice.shuffle(secrets)
            for secret, whose in secrets:
                times[whose].append(await took(cache, secret))
            found.append(deviation(*times))
            if found[-1] < BEYOND_CHANCE:
                break
        assert found[-1] < BEYOND_CHANCE, f"{name} can be told by time: {found}"
    follow.cancel()
    await asyncio.gather(follow, return_exceptions=True)


def test_what_differs_is_found() -> None:
    dice = random.Random(1)
    slow, fast = ([round(dice.gauss(mean, 400)) for _ in range(SAMPLES)] for mean in (2_030, 2_000))
    assert deviation(slow, fast) > BEYOND_CHANCE


def test_what_is_alike_is_not_found_however_coarse_the_clock() -> None:
    dice = random.Random(1)
    ours, theirs = ([dice.choice((2_000, 2_010, 2_020)) for _ in range(SAMPLES)] for _ in range(2))
    assert deviation(ours, theirs) < BEYOND_CHANCE
