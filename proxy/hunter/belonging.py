"""Who belongs to which group: asked account by account, of all groups of a round at once.

Laws: an account belongs to one group only, the one that it fits best; groups that turn out to be one become the older
one. Groups are changed here and nowhere else between two rounds of suspicions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from proxy.hunter.accounts import Accounts
from proxy.hunter.background import Background, pooled
from proxy.hunter.chance import Floats
from proxy.hunter.ids import Numbers
from proxy.hunter.membership import LEAST, VOLUME, Tie, judge_members
from proxy.hunter.mixture import unlike_users
from proxy.hunter.postings import Postings
from proxy.hunter.suspects import Suspect, Suspects
from proxy.hunter.texts import Texts, used_texts

LEAST_ACCOUNTS = 8
_POOL_LEAST = 4  # values in common; one or two are an office or an agency
# Who fits worse than this after a second exchange with the text is spared, whatever `contain:` says; and so is whoever
# sent it often and still does not belong.
_STRANGE = 1.5
_SENT_TWICE, _SENT_OFTEN = 1.5, 4.0
_SPARED_MOST = 10_000


class Named(NamedTuple):
    """A group of this round, with those that belong to it."""

    group: Suspect
    used: Texts
    members: Numbers
    pool: int  # how many accounts they were chosen among
    ties: list[Tie]  # of the members
    alike: Floats  # the exchanges of those who belong by all but their volume
    strangers: Numbers  # those who sent the text more than once and do not belong

    @property
    def fits(self) -> Floats:
        """How well each member fits, in all."""
        fits: Floats = np.sum([tie.weights for tie in self.ties], axis=0)
        return fits

    def of(self, chosen: NDArray[np.bool_]) -> Named:
        """Return it with some of its members only."""
        return self._replace(
            members=self.members[chosen], ties=[Tie(tie.trait, tie.weights[chosen]) for tie in self.ties]
        )


def who_belongs(suspects: Suspects, postings: Postings, accounts: Accounts, usual: Background) -> list[Named]:
    """Return the groups that have members, the oldest findings first; others are dropped, or joined to these."""
    keys, owners, groups = suspects.keys()
    texts = used_texts(postings, keys, owners, groups, accounts)
    named: list[Named] = []
    joined: list[tuple[Suspect, Suspect]] = []
    claimed, owner = np.full(len(accounts), -1), np.full(len(accounts), -1)
    best = np.zeros(len(accounts))
    for group, used in zip(groups, texts, strict=True):
        found = _members(group, used, accounts, usual)
        if len(found.members) < LEAST_ACCOUNTS:
            if group.finding is None:
                suspects.drop(group)
            continue
        rivals = claimed[found.members]
        if 2 * int((rivals >= 0).sum()) >= len(found.members):
            joined.append((named[int(np.bincount(rivals[rivals >= 0]).argmax())].group, group))
            continue
        claimed[found.members[rivals < 0]] = len(named)
        fits = found.fits
        better = fits > best[found.members]
        best[found.members[better]] = fits[better]
        owner[found.members[better]] = len(named)
        named.append(found)
    named = [entry.of(owner[entry.members] == number) for number, entry in enumerate(named)]
    # Of some only those are left that do not fit another group better; a finding stays as it was last told.
    named = [entry for entry in named if len(entry.members) >= LEAST_ACCOUNTS]
    for entry in named:
        entry.group.core = entry.members
    for into, other in joined:  # whom the other has besides is asked in the next round
        suspects.merge(into, other)
    return _one_pool(named, suspects, accounts.rows["tenant"], usual)


def _one_pool(named: list[Named], suspects: Suspects, tenants: Numbers, usual: Background) -> list[Named]:
    """Join groups into the oldest that uses the same pool: who shares cards or addresses works together."""
    kept: list[tuple[Named, set[tuple[str, int]]]] = []
    for entry in named:
        pool = pooled(entry.members, tenants, usual)
        same = [other for other, theirs in kept if 2 * len(pool & theirs) >= min(len(pool), len(theirs)) >= _POOL_LEAST]
        if same:
            suspects.merge(same[0].group, entry.group)
        else:
            kept.append((entry, pool))
    return [entry for entry, _ in kept]


def _members(group: Suspect, used: Texts, accounts: Accounts, usual: Background) -> Named:
    """Return who belongs to a group; who was a member stays one as long as nothing speaks against it."""
    candidates = used.users if used.joins else group.core
    uses = used.of(candidates) if used.joins else None
    fits, ties = judge_members(candidates, group.core, uses, accounts, usual)
    if uses is not None and ties:
        fits = np.minimum(fits, unlike_users(candidates, fits >= LEAST, uses, accounts, usual))
    chosen = fits >= LEAST
    if group.finding is not None:
        chosen |= (fits > 0) & np.isin(candidates, group.core)
    sent = used.of(candidates)
    strangers = candidates[~chosen & (((fits < _STRANGE) & (sent >= _SENT_TWICE)) | (sent >= _SENT_OFTEN))]
    volume = sum(tie.weights for tie in ties if tie.trait == VOLUME)
    alike = (accounts.rows["exchanges"][candidates] if uses is None else uses)[fits - volume >= LEAST]
    pool = len(candidates) if used.joins else group.among
    return Named(group, used, candidates, pool, ties, alike, strangers[:_SPARED_MOST]).of(chosen)
