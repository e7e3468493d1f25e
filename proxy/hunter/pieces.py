"""What makes accounts send about as much as each other without anybody who deals out work among them.

Whoever sits down to a conversation, a game or the set-up of a tool sends some more exchanges before he rises, and
whoever has a list works through it: neither decides anew each time. Evenness that comes of that tells of the thing
that is used, not of one hand behind all who use it.
"""

from __future__ import annotations

import numpy as np

from proxy.distinct import distinct
from proxy.hunter.case import Case
from proxy.hunter.hours import hour_of

# A question that such a part of the accounts ask stands on a list that each works through; work that is dealt out is
# divided, even if every question is sampled several times.
_ON_A_LIST = 0.2
_ALL_BUT_BITS = np.uint64(64 - 16)
_HALF = 0.5


def exchanges_in_a_sitting(case: Case) -> float:
    """Return how many exchanges of a member there are for each hour in which it was active."""
    rows = case.rows
    sittings = len(distinct(hour_of(rows["at"]) << 32 | rows["account"]))
    return len(rows["at"]) / max(1, sittings)


def one_list(case: Case) -> bool:
    """Tell whether they work through one list, each a good part of it, as a class or the users of a benchmark do.

    That makes them even without anybody who deals out work; and work that is dealt out is divided.
    """
    questions = case.rows["question"]
    least = _ON_A_LIST * len(case.members)
    asked = np.flatnonzero(questions != 0)
    # A question that so many ask stands in as many rows, and so do all together that are alike in some bits.
    alike = (questions[asked] >> _ALL_BUT_BITS).astype(np.int64)
    asked = asked[(np.bincount(alike, minlength=1) >= least)[alike]]
    values, place = np.unique(questions[asked], return_inverse=True)
    pairs = distinct(place.astype(np.int64) << 32 | case.rows["account"][asked])
    askers = np.bincount(pairs >> 32, minlength=len(values))
    return bool((askers >= least)[place].sum() > _HALF * len(questions))
