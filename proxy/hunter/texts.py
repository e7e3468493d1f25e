"""How far accounts use the prints of a group: in how many exchanges, and how many prints one exchange has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from proxy.hunter.accounts import Accounts
from proxy.hunter.background import Background
from proxy.hunter.chance import Floats
from proxy.hunter.ids import Keys, Numbers
from proxy.hunter.postings import Postings
from proxy.hunter.suspects import Suspect
from proxy.hunter.suspicions import in_parts

# What an account has to have used to count as a user: half of what is typical for one exchange.
_USED = 0.5
# What the accounts of a group send as a habit: prints of so many of them at least. The same public question that a few
# of them happen to ask is none.
_HABIT_PART = 0.05
_HABIT_LEAST = 3
# Of a print's users, how many are of the group, against the group's most own prints: public text that its accounts
# send as well, as others do, is not what joins them.
_OWN_PART = 0.5
# And how often they send it, against what they send most: a template goes with each request, or takes turns with some
# others; what stands in a few of the questions of a public collection does not, however many of them ask one.
_OFTEN_PART = 0.1
_MOST_SENT = 8  # prints
_USERS_AT_ONCE = 1 << 20  # of the prints of several groups, that are looked at together
_FEW = 4  # times as many accounts as uses: then to sort the uses is less than to go through all accounts

Uses = tuple[Numbers, Numbers, Numbers]  # prints, users and times


@dataclass(frozen=True, slots=True)
class Texts:
    """`users` are accounts in order, `exchanges` how many of theirs have the text; `typical` the prints in one.

    `joins` says that the text is what the group has in common: most of it use it.
    """

    users: Numbers
    exchanges: Floats
    typical: float
    joins: bool
    keys: Keys  # the most used first

    def of(self, accounts: Numbers) -> Floats:
        """Return the exchanges of these accounts, 0 for those that use nothing."""
        if not len(self.users):
            return np.zeros(len(accounts))
        places = np.minimum(np.searchsorted(self.users, accounts), len(self.users) - 1)
        return np.where(self.users[places] == accounts, self.exchanges[places], 0.0)

    def outsiders(self, members: Numbers, usual: Background) -> float:
        """Return the share of ordinary accounts that use the text and are no members, with some doubt added."""
        strangers = int(np.isin(self.users, members, invert=True).sum())
        return (strangers + 1.0) / (float(usual.ordinary.sum()) + 2.0)


def used_texts(
    postings: Postings, keys: Keys, owners: Numbers, groups: Sequence[Suspect], accounts: Accounts
) -> list[Texts]:
    """Return for each group who uses its prints; `owners` has the number of each print's group."""
    numbers = postings.numbers(keys)
    known = numbers >= 0
    numbers, owners = numbers[known], owners[known]
    order = np.argsort(owners, kind="stable")
    numbers, owners = numbers[order], owners[order]
    ends = np.searchsorted(owners, np.arange(len(groups) + 1))
    users = np.concatenate([np.zeros(1, np.int64), postings.prints["users"][numbers].cumsum(dtype=np.int64)])
    sizes = np.diff(users[ends]).astype(np.int32)
    in_core = np.zeros(len(accounts), np.bool_)
    found: list[Texts] = []
    for part in in_parts(np.arange(len(groups)), sizes, _USERS_AT_ONCE, len(groups)):
        first, last = int(part[0]), int(part[-1]) + 1
        owner_of = np.full(len(postings.prints), -1, np.int32)
        mine = slice(ends[first], ends[last])
        owner_of[numbers[mine]] = owners[mine] - first
        uses = postings.users_of(owner_of >= 0)
        for group, used in zip(groups[first:last], _by_group(uses, owner_of, last - first), strict=True):
            in_core[group.core] = True
            found.append(_used(used, group, in_core, accounts, postings.print_keys()))
            in_core[group.core] = False
    return found


def _by_group(uses: Uses, owner_of: Numbers, count: int) -> Iterator[Uses]:
    """Return the uses of the prints of each group, in the order of the prints."""
    if count == 1:
        yield uses
        return
    group_of = owner_of[uses[0]]
    ends = np.cumsum(np.bincount(group_of, minlength=count))
    for rows in np.split(np.argsort(group_of, kind="stable"), ends[:-1]):
        prints, users, times = uses
        yield prints[rows], users[rows], times[rows]


def _used(uses: Uses, group: Suspect, in_core: NDArray[np.bool_], accounts: Accounts, all_keys: Keys) -> Texts:
    prints, users, times = uses
    starts = np.flatnonzero(np.diff(prints, prepend=-1))  # of each print's rows, which are together
    used, users_of = prints[starts], np.diff(starts, append=len(prints))
    by_core = np.add.reduceat(in_core[users], starts, dtype=np.int64) if len(starts) else users_of
    common = np.flatnonzero(by_core)
    counts = by_core[common]
    own = _own(counts / users_of[common], _uses_by_core(uses, starts, in_core)[common])
    order = np.argsort(-counts, kind="stable")
    order = order[(own & (counts >= max(_HABIT_LEAST, _HABIT_PART * len(group.core))))[order]]
    habits = common[order]
    of_habit = np.zeros(len(used), np.bool_)
    of_habit[habits] = True
    by_habit = np.repeat(of_habit, users_of)
    who, total = _summed(users[by_habit], times[by_habit], len(accounts))
    exchanges = accounts.rows["exchanges"][who]
    mean = total / np.maximum(exchanges, 1)
    core = in_core[who]
    typical = max(1.0, float(np.quantile(mean[core], 0.75))) if core.any() else 1.0
    times_used = np.minimum(total / typical, exchanges)
    enough = times_used >= _USED
    joins = bool(2 * int((core & enough).sum()) > len(group.core))
    return Texts(who[enough].astype(np.int32), times_used[enough], typical, joins, all_keys[used[habits]])


def _uses_by_core(uses: Uses, starts: NDArray[np.intp], in_core: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return how often the core used each print."""
    _, users, times = uses
    mine = np.where(in_core[users], times, 0)
    by_core: NDArray[np.int64] = np.add.reduceat(mine, starts, dtype=np.int64) if len(starts) else mine
    return by_core


def _own(part: Floats, sent: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which prints are what joins a group; `part` of their users are of it, who `sent` them so often."""
    if not len(part):
        return np.zeros(0, np.bool_)
    most = min(_MOST_SENT, len(sent))
    often = sent >= _OFTEN_PART * np.partition(sent, -most)[-most]
    own: NDArray[np.bool_] = often & (part >= _OWN_PART * np.quantile(part[often], 0.9))
    return own


def _summed(users: Numbers, times: Numbers, accounts: int) -> tuple[NDArray[np.intp], Floats]:
    """Return who is among the users, in order, and the times of each together."""
    if len(users) * _FEW < accounts:
        who, place = np.unique(users, return_inverse=True)
        return who.astype(np.intp), np.bincount(place, weights=times, minlength=len(who)).astype(np.float64)
    total = np.bincount(users, weights=times, minlength=accounts).astype(np.float64)
    used = np.flatnonzero(total)  # an account used a print at least once
    return used, total[used]
