"""Who hangs together with whom: each member stands in one group, by the most telling thing it shares with others.

Laws: the same members give the same groups, whatever their order; what nearly all of them share tells none of them
apart and makes no group; there are never more groups and ties than a drawing can hold, and what is left out is counted.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from proxy.hunter.finding import CLIENT, OPENED, Member
from proxy.keyed.link_names import PEER, PEER_PREFIX

# From an attribute that an operator named, such as payment, to what strangers share by chance.
_LAST = (PEER, PEER_PREFIX, CLIENT, OPENED)
_NEARLY_ALL = 0.8
GROUPS_MOST = 40
_TIES_MOST = 150
_PAIRS_OF = 6  # groups that one value ties to each other pair by pair; of more, each to the largest

Link = tuple[str, str]


class Sharing(NamedTuple):
    """One kind of thing that is shared: by how many members, by how many values, and by how many in the largest."""

    kind: str
    accounts: int
    values: int
    largest: int


class Group(NamedTuple):
    """Members that share one value; `link` is None for those that share nothing of the kind, or for the rest."""

    link: Link | None
    accounts: tuple[str, ...]


class Tie(NamedTuple):
    """Two groups, by their places, whose members share something else: its kind, and how many values of it."""

    first: int
    second: int
    kind: str
    values: int


class Groups(NamedTuple):
    """The groups, largest first; `loose` share no value but the common ones, `rest` are in `more` smaller groups."""

    groups: tuple[Group, ...]
    loose: Group
    rest: Group
    more: int
    ties: tuple[Tie, ...]
    common: tuple[Link, ...]
    sharing: tuple[Sharing, ...]


def what(kind: str) -> str:
    """Return a kind in words for people."""
    return {PEER: "address", PEER_PREFIX: "network", CLIENT: "client program", OPENED: "day of opening"}.get(kind, kind)


def group(members: Sequence[Member]) -> Groups:
    """Return who hangs together."""
    holders = Counter(link for member in members for link in set(member.links))
    common = frozenset(link for link, times in holders.items() if times > _NEARLY_ALL * len(members))
    order = _order(holders)
    by_link: defaultdict[Link | None, list[str]] = defaultdict(list)
    for member in members:
        telling = [link for link in member.links if link not in common]
        home = min(telling, key=lambda link: (order[link[0]], -holders[link], link), default=None)
        by_link[home].append(member.account)
    loose = Group(None, tuple(sorted(by_link.pop(None, ()))))
    found = [Group(link, tuple(sorted(accounts))) for link, accounts in by_link.items()]
    found.sort(key=lambda entry: (-len(entry.accounts), entry.link or ("", "")))
    shown, rest = found[:GROUPS_MOST], found[GROUPS_MOST:]
    return Groups(
        groups=tuple(shown),
        loose=loose,
        rest=Group(None, tuple(account for entry in rest for account in entry.accounts)),
        more=len(rest),
        ties=_ties(shown, members, common),
        common=tuple(sorted(common)),
        sharing=_sharing(holders, members, order),
    )


def _order(holders: Mapping[Link, int]) -> dict[str, int]:
    """Return the rank of each kind, the most telling first."""
    covered: Counter[str] = Counter()
    for (kind, _), times in holders.items():
        covered[kind] += times
    kinds = sorted(covered, key=lambda kind: (_LAST.index(kind) + 1 if kind in _LAST else 0, -covered[kind], kind))
    return {kind: rank for rank, kind in enumerate(kinds)}


def _sharing(holders: Mapping[Link, int], members: Sequence[Member], order: Mapping[str, int]) -> tuple[Sharing, ...]:
    having = Counter(kind for member in members for kind in {kind for kind, _ in member.links})
    sizes: defaultdict[str, list[int]] = defaultdict(list)
    for (kind, _), times in holders.items():
        sizes[kind].append(times)
    return tuple(
        Sharing(kind, having[kind], len(sizes[kind]), max(sizes[kind])) for kind in sorted(sizes, key=order.__getitem__)
    )


def _ties(groups: Sequence[Group], members: Sequence[Member], common: frozenset[Link]) -> tuple[Tie, ...]:
    """Return what else ties groups together; who was opened on one day, or uses one client, is tied by nothing yet."""
    place = {account: number for number, entry in enumerate(groups) for account in entry.accounts}
    homes = {entry.link for entry in groups}
    having: defaultdict[Link, set[int]] = defaultdict(set)
    for member in members:
        if (number := place.get(member.account)) is not None:
            for link in member.links:
                if link not in common and link not in homes and link[0] not in (CLIENT, OPENED):
                    having[link].add(number)
    found: Counter[tuple[int, int, str]] = Counter()
    for (kind, _), numbers in having.items():
        places = sorted(numbers)
        pairs = combinations(places, 2) if len(places) <= _PAIRS_OF else ((places[0], other) for other in places[1:])
        found.update((first, second, kind) for first, second in pairs)
    strongest = sorted(found.items(), key=lambda entry: (-entry[1], entry[0]))[:_TIES_MOST]
    return tuple(Tie(first, second, kind, values) for (first, second, kind), values in strongest)
