"""How far accounts use the prints of a group: in how many exchanges, and how many prints one exchange has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from proxy.hunter.accounts import Accounts
from proxy.hunter.background import Background
from proxy.hunter.chance import Floats
from proxy.hunter.ids import Keys, Numbers
from proxy.hunter.postings import Postings
from proxy.hunter.suspects import Suspect

# What an account has to have used to count as a user: half of what is typical for one exchange.
_USED = 0.5
# What the accounts of a group send as a habit: prints of so many of them at least. The same public question that a few
# of them happen to ask is none.
_HABIT_PART = 0.05
_HABIT_LEAST = 3
# Of a print's users, how many are of the group, against the group's most own prints: public text that its accounts
# send as well, as others do, is not what joins them.
_OWN_PART = 0.5


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
    owner_of = np.full(len(postings.prints), -1, np.int32)
    owner_of[numbers[known]] = owners[known]
    prints, users, times = postings.users_of(owner_of >= 0)
    group_of = owner_of[prints]
    order = np.argsort(group_of, kind="stable")
    ends = np.cumsum(np.bincount(group_of, minlength=len(groups))) if len(groups) else np.zeros(0, np.int64)
    all_keys = postings.print_keys()
    found: list[Texts] = []
    for group, rows in zip(groups, np.split(order, ends[:-1]) if len(groups) else [], strict=True):
        found.append(_used(prints[rows], users[rows], times[rows], group, accounts, all_keys))
    return found


def _used(prints: Numbers, users: Numbers, times: Numbers, group: Suspect, accounts: Accounts, all_keys: Keys) -> Texts:
    by_core = np.isin(users, group.core)
    common, counts = np.unique(prints[by_core], return_counts=True)
    used, users_of = np.unique(prints, return_counts=True)
    part = counts / users_of[np.searchsorted(used, common)]
    own = part >= _OWN_PART * np.quantile(part, 0.9) if len(common) else counts > 0
    order = np.argsort(-counts, kind="stable")
    order = order[(own & (counts >= max(_HABIT_LEAST, _HABIT_PART * len(group.core))))[order]]
    habits = common[order]
    by_habit = np.isin(prints, habits)
    who, place = np.unique(users[by_habit], return_inverse=True)
    total = np.bincount(place, weights=times[by_habit], minlength=len(who))
    exchanges = accounts.rows["exchanges"][who]
    mean = total / np.maximum(exchanges, 1)
    core = np.isin(who, group.core)
    typical = max(1.0, float(np.quantile(mean[core], 0.75))) if core.any() else 1.0
    times_used = np.minimum(total / typical, exchanges)
    enough = times_used >= _USED
    keys = all_keys[habits]
    joins = bool(2 * int((core & enough).sum()) > len(group.core))
    return Texts(who[enough].astype(np.int32), times_used[enough], typical, joins, keys)
