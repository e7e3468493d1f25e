"""Known campaigns for tests, and prompts that match their templates."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proxy.exchange import Principal
from proxy.rules.campaigns.known import KnownCampaign, KnownTemplate

DAY_S = 86_400
NOW = 1_790_000_000.0
NAMES_KEY = b"n" * 32


def prints(seed: int, count: int = 60) -> tuple[int, ...]:
    """Return the prints of a text; those of another seed have none in common."""
    bits = random.Random(seed).getrandbits
    return tuple(sorted(bits(64) for _ in range(count)))


def sample(*parts: Iterable[int]) -> NDArray[np.uint64]:
    """Return the prints of a prompt."""
    return np.unique(np.array([value for part in parts for value in part], np.uint64))


def template(name: str, seed: int, least: int = 20) -> KnownTemplate:
    return KnownTemplate(name, prints(seed), least)


def campaign(name: str = "c-1", **changes: Any) -> KnownCampaign:
    """Return one that began ten days ago, whose three members opened their accounts in the five days before that."""
    began = NOW - 10 * DAY_S
    given = {
        "rule": "extraction",
        "templates": (template("t-1", 1),),
        "accounts": frozenset({"m-1", "m-2", "m-3"}),
        "opened_from": began - 5 * DAY_S,
        "opened_to": began,
        "began": began,
        "shared": {},
        "updated_at": NOW,
        "until": NOW + 14 * DAY_S,
        **changes,
    }
    return KnownCampaign(name, **given)


def caller(account: str = "outsider", age_days: float = 900, **attributes: str) -> Principal:
    return Principal(f"k-{account}", account, f"org-{account}", "free", NOW - age_days * DAY_S, attributes)
