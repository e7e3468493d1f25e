"""Which texts are sent as evenly as work that is dealt out by turns, and who mostly sends such a text.

Sending one accuses nobody: nightly jobs and classes are even, too. But its senders are no yardstick of what people do.
If a campaign had most of the accounts, everybody else would be measured by it, and honest users of one tool would stand
out by all in which they differ from it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from proxy.hunter.accounts import Accounts
from proxy.hunter.background import Background
from proxy.hunter.chance import SUSPICIOUS, dealt_out_each
from proxy.hunter.ids import Numbers
from proxy.hunter.postings import Postings
from proxy.hunter.uses import Uses

USES_LEAST = 3.0  # of a print by an account, on average: fewer say nothing about evenness
# The shape from which on a closer look is not needed: the variance is too large for work that is dealt out.
_UNEVEN_SHAPE = 3.0


def mark_dealt(postings: Postings, uses: Uses, tenants: Numbers, usual: Background) -> None:
    """Note which of these prints are dealt out, given every use of each; one print for each text is enough.

    The prints of a text that has just become so are looked at again soon, since its users are measured by others now.
    """
    numbers, owners = uses.numbers, uses.owners
    place, times = uses.rows[uses.once], uses.times[uses.once].astype(np.float64)
    totals = np.bincount(place, minlength=len(numbers))
    mean = np.bincount(place, times, minlength=len(numbers)) / totals
    variance = np.bincount(place, times**2, minlength=len(numbers)) / totals - mean**2
    even = (mean >= USES_LEAST) & (variance < mean + mean**2 / _UNEVEN_SHAPE)
    if even.any():
        chosen = np.flatnonzero(even[place])
        chosen = chosen[np.argsort(place[chosen] << 32 | tenants[owners[uses.once[chosen]]])]
        counts, ends = times[chosen].astype(np.int64), np.append(0, totals[even].cumsum())
        even[even] = dealt_out_each(counts, ends, usual.shape) >= SUSPICIOUS
    dealt, asked_at = postings.prints["dealt"], postings.prints["asked_at"]
    known, fresh = ~usual.yardstick, np.zeros(len(usual.yardstick), np.bool_)
    starts, ends = uses.starts, uses.ends
    for row in np.flatnonzero(even | dealt[numbers]).tolist():
        number, users = numbers[row], owners[starts[row] : ends[row]]
        if not dealt[number] and 2 * int(known[users].sum()) >= len(users):  # by another print of the text
            if 2 * int(fresh[users].sum()) >= len(users):
                asked_at[number] = 0
            continue
        if even[row] and not dealt[number]:
            asked_at[number] = 0
            fresh[users] = True
        dealt[number] = even[row]
        if even[row]:
            known[users] = True


def mostly_dealt(postings: Postings, accounts: Accounts) -> NDArray[np.bool_]:
    """Tell which accounts send a text that is dealt out in most of their exchanges."""
    _, users, times = postings.users_of(postings.prints["dealt"].copy())
    most = np.zeros(len(accounts), np.int32)
    np.maximum.at(most, users.astype(np.intp), times)  # of like types: of others it takes ten times as long
    mostly: NDArray[np.bool_] = (most > 0) & (2 * most.astype(np.int64) >= accounts.rows["exchanges"])
    return mostly
