"""What the last look at each group found, and which groups have to be looked at again.

A look takes time that grows with what a group sends. A small group is looked at in every round; a large one when it has
grown by a fiftieth, so that each of its exchanges pays for looking at fifty. A finding that goes on is also looked at
when it has to be told again, and when somebody new sends its text, who stays contained until seen to be a stranger. Now
and then all groups are looked at, since what is usual changes, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from proxy.hunter.accounts import Accounts
from proxy.hunter.finding import Finding
from proxy.hunter.named import Named
from proxy.hunter.postings import Postings
from proxy.hunter.suspects import Suspect
from proxy.hunter.texts import Texts, senders_of_habits, uses_of_habits

_GROWTH = 50
_SMALL = 100_000  # uses of prints: some two thousand exchanges


class _Look(NamedTuple):
    found: Named
    members: int  # that it kept: some of those found may fit another group better
    size: int
    senders: int  # of the prints that most of its members send


class Looks:
    """The last look at each group that has members."""

    def __init__(self) -> None:
        self._last: dict[str, _Look] = {}
        self._overdue: dict[str, Finding] = {}  # findings that were looked at as overdue, as last told

    def forget(self) -> None:
        """Let every group be looked at again."""
        self._last, self._overdue = {}, {}

    def renew(
        self, groups: Iterable[Suspect], overdue: Callable[[Finding], bool], postings: Postings, accounts: Accounts
    ) -> None:
        """Have findings that should have been told again by now looked at, once each, if they go on."""
        for group in groups:
            last, told = self._last.get(group.id), group.finding
            if last is None or told is None or self._overdue.get(group.id) is told or not overdue(told):
                continue
            if _size(group, postings, accounts) > last.size:
                self._overdue[group.id] = told
                del self._last[group.id]

    def due(self, group: Suspect, postings: Postings, accounts: Accounts) -> bool:
        """Tell whether a group has to be looked at."""
        last = self._last.get(group.id)
        if last is None or last.size < _SMALL:
            return True
        joined = len(group.core) - last.members  # added by suspicions since
        new = _size(group, postings, accounts) - last.size
        if joined * _GROWTH >= last.members or new * _GROWTH >= last.size:
            return True
        return group.finding is not None and senders_of_habits(group, postings) > last.senders

    def last(self, group: Suspect) -> Named:
        """Return what was found of a group that is not due."""
        return self._last[group.id].found._replace(fresh=False)

    def texts(self, group: Suspect) -> Texts | None:
        """Return who sent the habits of a group at the last look, None if there was none."""
        last = self._last.get(group.id)
        return None if last is None else last.found.used

    def note(self, found: list[Named], kept: list[Named], postings: Postings, accounts: Accounts) -> list[Named]:
        """Note what was found in a round, and what was kept of it; return this, `fresh` where either is new."""
        by_id = {entry.group.id: entry for entry in found}
        looks: dict[str, _Look] = {}
        told: list[Named] = []
        for entry in kept:
            before, count = self._last.get(entry.group.id), len(entry.members)
            if entry.fresh or before is None:
                size, senders = _size(entry.group, postings, accounts), senders_of_habits(entry.group, postings)
                looks[entry.group.id] = _Look(by_id[entry.group.id], count, size, senders)
            else:
                looks[entry.group.id] = before._replace(members=count)
            told.append(entry if before is None or before.members == count else entry._replace(fresh=True))
        self._last = looks
        return told


def _size(group: Suspect, postings: Postings, accounts: Accounts) -> int:
    return uses_of_habits(group, postings) or int(accounts.rows["exchanges"][group.core].sum())
