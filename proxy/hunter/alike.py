"""Which groups are one campaign: by the text that they send, or by the pool that their cards and addresses are from.

Law: a group is compared only with groups with which it has accounts or tokens in common. Comparing all with all would
take half a million comparisons in a round if a thousand findings are known.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from proxy.fingerprint.distinct import distinct
from proxy.hunter.background import Background
from proxy.hunter.chance import SUSPICIOUS, excess_of
from proxy.hunter.holders import Holders
from proxy.hunter.named import Named
from proxy.hunter.pools import NEIGHBOURS
from proxy.hunter.suspects import Suspect
from proxy.hunter.texts import Texts

_SAME_TEXT = 0.8  # of one group's members must send the other's text, too


class Known:
    """The groups with a finding, to tell which of them another group is a part of."""

    def __init__(self, entries: Iterable[Named], accounts: int, usual: Background) -> None:
        self._entries: list[Named] = []
        self._accounts = accounts
        self._usual = usual
        self._senders, self._owners = Holders(), Holders()
        for entry in entries:
            self.add(entry)

    def add(self, entry: Named) -> None:
        """Take one more."""
        place = len(self._entries)
        self._entries.append(entry)
        self._senders.add(place, entry.used.users)
        for tokens in self._usual.joining.values():
            held = distinct(tokens[entry.members])
            self._owners.add(place, held[held > 0])

    def whole_of(self, part: Named) -> Suspect | None:
        """Return the first group that is the same campaign as `part`, None if there is none."""
        near = set(senders_of(part, self._senders))
        for tokens in self._usual.joining.values():
            near.update(np.flatnonzero(self._owners.counts(distinct(tokens[part.members]))).tolist())
        for place in sorted(near):
            entry = self._entries[place]
            if same_text(entry, part, self._accounts) or hang_together(entry, part, self._usual):
                return entry.group
        return None


def senders_of(entry: Named, senders: Holders) -> list[int]:
    """Return those groups in `senders` whose text nearly all members of this one send."""
    return np.flatnonzero(senders.counts(entry.members) >= _SAME_TEXT * len(entry.members)).tolist()


def same_text(one: Named, other: Named, accounts: int) -> bool:
    """Tell whether two groups send one text: nearly all of each send the other's, too. `accounts` counts all accounts.

    One direction is not enough: the common part of two texts, as of one library, is sent by all who send either.
    """
    return one.used.joins and other.used.joins and _send(one, other.used, accounts) and _send(other, one.used, accounts)


def _send(group: Named, text: Texts, accounts: int) -> bool:
    users = np.zeros(accounts, np.bool_)
    users[text.users] = True
    return int(users[group.members].sum()) >= _SAME_TEXT * len(group.members)


def hang_together(one: Named, other: Named, usual: Background) -> bool:
    """Tell whether the second group shares too many of its cards or addresses with the first for chance."""
    for kind, tokens in usual.joining.items():
        mine = tokens[other.members]
        known, shared = mine > 0, np.isin(mine, tokens[one.members])
        if excess_of(int((known & shared).sum()), int(known.sum()), max(usual.linked[kind], NEIGHBOURS)) >= SUSPICIOUS:
            return True
    return False
