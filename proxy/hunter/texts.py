"""What a group sends as a habit, and how far accounts use that: in how many exchanges, how many prints one has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from proxy.fingerprint.distinct import among
from proxy.hunter.accounts import Accounts
from proxy.hunter.background import Background
from proxy.hunter.chance import Floats, quantile
from proxy.hunter.ids import Keys, Numbers
from proxy.hunter.postings import Postings
from proxy.hunter.suspects import Suspect, as_keys
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
_GROWTH = 8  # a group's habits are looked for again when it is larger by an eighth
_FEW = 4  # times as many accounts as uses: then to sort the uses is less than to go through all accounts

Uses = tuple[Numbers, Numbers, Numbers]  # prints, users and times


@dataclass(frozen=True, slots=True)
class Texts:
    """`users` are accounts in order, `exchanges` how many of theirs have the text; `typical` the prints in one.

    `repeated` is how many of theirs have the same part of it, the one that each sends most: no more than that where it
    is made anew for each, and no less where they send other work besides.

    `joins` says that the text is what the group has in common: most of it use it.
    """

    users: Numbers
    exchanges: Floats
    repeated: Floats
    typical: float
    joins: bool
    keys: Keys  # the most used first

    def of(self, accounts: Numbers) -> Floats:
        """Return the exchanges of these accounts, 0 for those that use nothing."""
        return self._of(self.exchanges, accounts)

    def sent_by(self, accounts: Numbers) -> Floats:
        """Return how often these accounts sent the text or the same part of it, 0 for those that use nothing."""
        return np.maximum(self.of(accounts), self.repeated_by(accounts))

    def repeated_by(self, accounts: Numbers) -> Floats:
        """Return how often these accounts sent the part of the text that each sent most."""
        return self._of(self.repeated, accounts)

    def _of(self, values: Floats, accounts: Numbers) -> Floats:
        if not len(self.users):
            return np.zeros(len(accounts))
        places = np.minimum(np.searchsorted(self.users, accounts), len(self.users) - 1)
        return np.where(self.users[places] == accounts, values[places], 0.0)

    def outsiders(self, members: Numbers, usual: Background) -> float:
        """Return the share of ordinary accounts that use the text and are no members, with some doubt added."""
        strangers = len(self.users) - int(np.count_nonzero(among(members, self.users)))
        return (strangers + 1.0) / (float(np.count_nonzero(usual.ordinary)) + 2.0)


def used_texts(postings: Postings, groups: Sequence[Suspect], accounts: Accounts) -> list[Texts]:
    """Return for each group who sends what it sends as a habit."""
    due = [group for group in groups if _grown(group, postings)]
    all_keys, in_core = postings.print_keys(), np.zeros(len(accounts), np.bool_)
    for group, uses in _uses_of(postings, [as_keys(group.keys) for group in due], due):
        in_core[group.core] = True
        group.habits = all_keys[_habits(uses, in_core, len(group.core))]
        group.chosen_at = _sizes(group, postings)
        in_core[group.core] = False
    found: list[Texts] = []
    for group, uses in _uses_of(postings, [group.habits for group in groups], groups):
        in_core[group.core] = True
        found.append(_used(uses, group, in_core, accounts))
        in_core[group.core] = False
    return found


def uses_of_habits(group: Suspect, postings: Postings) -> int:
    """Return how often the habits of a group were sent, by whomever."""
    numbers = postings.numbers(group.habits)
    return int(postings.prints["uses"][numbers[numbers >= 0]].sum())


def senders_of_habits(group: Suspect, postings: Postings) -> int:
    """Return how many accounts sent the habits of a group that most of it have, each counted once for each of these.

    Of a text that is worded ever anew, its own accounts soon have sent these, and go on to begin with others.
    """
    numbers = postings.numbers(group.habits[:_MOST_SENT])
    return int(postings.prints["users"][numbers[numbers >= 0]].sum())


def _grown(group: Suspect, postings: Postings) -> bool:
    """Tell whether a group is so much larger, or smaller, that its habits may be others; or has none yet.

    A campaign of thousands sends tens of thousands of prints, of which a few are habits: to look at all of them takes
    a hundred times as long.
    """
    return any(
        now * _GROWTH >= then * (_GROWTH + 1) or now * (_GROWTH + 1) <= then * _GROWTH
        for now, then in zip(_sizes(group, postings), group.chosen_at, strict=True)
    )


def _sizes(group: Suspect, postings: Postings) -> tuple[int, int, int]:
    """Return how many accounts and prints a group has, and how often its habits were sent."""
    return len(group.core), len(group.keys), uses_of_habits(group, postings)


def _uses_of(postings: Postings, keys: Sequence[Keys], groups: Sequence[Suspect]) -> Iterator[tuple[Suspect, Uses]]:
    """Yield each group with the uses of its keys, in the order of the prints."""
    if not groups:
        return
    numbers = postings.numbers(np.concatenate(keys))
    owners = np.repeat(np.arange(len(groups), dtype=np.int32), [len(part) for part in keys])
    numbers, owners = numbers[numbers >= 0], owners[numbers >= 0]
    ends = np.searchsorted(owners, np.arange(len(groups) + 1))
    users = np.concatenate([np.zeros(1, np.int64), postings.prints["users"][numbers].cumsum(dtype=np.int64)])
    sizes = np.diff(users[ends]).astype(np.int32)
    for part in in_parts(np.arange(len(groups)), sizes, _USERS_AT_ONCE, len(groups)):
        first, last = int(part[0]), int(part[-1]) + 1
        owner_of = np.full(len(postings.prints), -1, np.int32)
        mine = slice(ends[first], ends[last])
        owner_of[numbers[mine]] = owners[mine] - first
        uses = postings.users_of(owner_of >= 0)
        yield from zip(groups[first:last], _by_group(uses, owner_of, last - first), strict=True)


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


def _habits(uses: Uses, in_core: NDArray[np.bool_], core: int) -> Numbers:
    """Return the prints that a group sends as a habit and others do not, the most used first."""
    prints, users, times = uses
    starts = np.flatnonzero(np.diff(prints, prepend=-1))  # of each print's rows, which are together
    if not len(starts):
        return prints
    users_of = np.diff(starts, append=len(prints))
    mine = in_core[users]
    by_core = np.add.reduceat(mine, starts, dtype=np.int64)
    sent = np.add.reduceat(np.where(mine, times, 0), starts, dtype=np.int64)
    common = np.flatnonzero(by_core)
    counts = by_core[common]
    own = _own(counts / users_of[common], sent[common])
    order = np.argsort(-counts, kind="stable")
    order = order[(own & (counts >= max(_HABIT_LEAST, _HABIT_PART * core)))[order]]
    habits: Numbers = prints[starts[common[order]]]
    return habits


def _used(uses: Uses, group: Suspect, in_core: NDArray[np.bool_], accounts: Accounts) -> Texts:
    _, users, times = uses
    who, total, most = _summed(users, times, len(accounts))
    exchanges = accounts.rows["exchanges"][who]
    mean = total / np.maximum(exchanges, 1)
    core = in_core[who]
    typical = max(1.0, quantile(mean[core], 0.75)) if core.any() else 1.0
    times_used = np.minimum(total / typical, exchanges)
    enough = times_used >= _USED
    joins = bool(2 * int((core & enough).sum()) > len(group.core))
    return Texts(who[enough].astype(np.int32), times_used[enough], most[enough], typical, joins, group.habits)


def _own(part: Floats, sent: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which prints are what joins a group; `part` of their users are of it, who `sent` them so often."""
    if not len(part):
        return np.zeros(0, np.bool_)
    most = min(_MOST_SENT, len(sent))
    often = sent >= _OFTEN_PART * np.partition(sent, -most)[-most]
    own: NDArray[np.bool_] = often & (part >= _OWN_PART * quantile(part[often], 0.9))
    return own


def _summed(users: Numbers, times: Numbers, accounts: int) -> tuple[NDArray[np.intp], Floats, Floats]:
    """Return who is among the users, in order, with the sum of the times of each, and the highest."""
    if len(users) * _FEW < accounts:
        known, place = np.unique(users, return_inverse=True)
        who = known.astype(np.intp)
    else:
        who, place = np.arange(accounts), users.astype(np.intp)
    total = np.bincount(place, weights=times, minlength=len(who)).astype(np.float64)
    most = np.zeros(len(who))
    np.maximum.at(most, place, times.astype(np.float64))
    used = np.flatnonzero(total)  # an account used a print at least once
    return who[used], total[used], most[used]
