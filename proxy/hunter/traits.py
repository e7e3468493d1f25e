"""What the two opinions on who belongs to a case, `membership` and `mixture`, take for how much a trait says."""

from __future__ import annotations

from typing import Final

import numpy as np

from proxy.hunter.chance import Floats

MOST_OF_TRAIT: Final = 3.0  # nats
# Text is why anybody is asked at all: who sends it much less than the members is most likely a passer-by.
MOST_BY_TEXT: Final = 6.0
# A member's traits are known from the others: so many made-up usual ones keep small cases from being sure.
DOUBT: Final = 2.0
# In which part of its exchanges an account sends the case's text, and how often that is so of accounts that came by it:
# by far most of them send it now and then. Those who do not belong to a case cannot be asked: the best of them do.
_SHARES = np.array([0.1, 0.3, 0.6, 0.9])
PASSERS_BY = np.array([0.7, 0.15, 0.08, 0.04, 0.03])


def capped(weights: Floats) -> Floats:
    """Return weights of which none is more than a trait may say."""
    found: Floats = np.maximum(np.minimum(weights, MOST_OF_TRAIT), -MOST_OF_TRAIT)
    return found


def by_text(compared: Floats) -> Floats:
    """Return the weights of what each sends of the text, which may say more against somebody than for him."""
    found: Floats = np.maximum(np.minimum(compared, MOST_OF_TRAIT), -MOST_BY_TEXT)
    return found


def shares_of(uses: Floats, exchanges: np.ndarray) -> np.ndarray:
    """Return in which part of its exchanges each sends the text, as a place in `PASSERS_BY`."""
    shares: np.ndarray = np.searchsorted(_SHARES, np.clip(uses / exchanges, 0, 1))
    return shares


def parts_of(parts: Floats, inside: np.ndarray) -> Floats:
    """Return which part of what each sends is the text, against most of those inside: of these it counts as all."""
    most = median(parts[inside]) if inside.any() else 1.0
    found: Floats = np.minimum(1.0, parts / most) if most > 0 else np.ones(len(parts))
    return found


def median(values: Floats) -> float:
    """Return the median of some numbers; numpy's own takes ten times as long to begin."""
    low, high = (len(values) - 1) // 2, len(values) // 2
    ordered = np.partition(values, (low, high))
    return float((ordered[low] + ordered[high]) / 2)
