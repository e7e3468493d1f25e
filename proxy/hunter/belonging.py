"""Who belongs to which group: decided account by account, for all groups of a round at once.

Laws: an account belongs to one group only, the one that it fits best; groups that turn out to be one are joined into
the older one. Between two rounds of suspicions, groups are changed here and nowhere else.
"""

from __future__ import annotations

import numpy as np

from proxy.hunter.accounts import Accounts
from proxy.hunter.alike import same_text, senders_of
from proxy.hunter.background import Background, pooled
from proxy.hunter.candidates import candidates_of
from proxy.hunter.holders import Holders
from proxy.hunter.ids import Numbers
from proxy.hunter.looks import Looks
from proxy.hunter.membership import LEAST, VOLUME, judge_members, of_core
from proxy.hunter.mixture import unlike_users
from proxy.hunter.named import Named
from proxy.hunter.postings import Postings
from proxy.hunter.suspects import Suspect, Suspects
from proxy.hunter.texts import Texts, used_texts

LEAST_ACCOUNTS = 8
_POOL_LEAST = 4  # values in common; one or two are an office or an agency
# An account that fits worse than this after a second exchange with the text is spared, whatever `contain:` says; so is
# one that sent the text often and still does not belong.
_STRANGE = 1.5
_SENT_TWICE, _SENT_OFTEN = 1.5, 4.0
_SPARED_MOST = 10_000


def who_belongs(
    suspects: Suspects, looks: Looks, postings: Postings, accounts: Accounts, usual: Background
) -> list[Named]:
    """Return the groups that have members, the oldest findings first; others are dropped, or joined to these."""
    due = [group for group in suspects if looks.due(group, postings, accounts)]
    texts = {group.id: used for group, used in zip(due, used_texts(postings, due, accounts), strict=True)}
    named: list[Named] = []
    joined: list[tuple[Suspect, Suspect]] = []
    claimed, owner = np.full(len(accounts), -1), np.full(len(accounts), -1)
    best = np.zeros(len(accounts))
    for group in suspects:
        used = texts.get(group.id)
        found = looks.last(group) if used is None else _members(group, used, accounts, usual)
        if len(found.members) < LEAST_ACCOUNTS:
            if group.finding is None:
                suspects.drop(group)
            continue
        rivals = claimed[found.members]
        if 2 * int((rivals >= 0).sum()) >= len(found.members):
            # The others who came to notice by it merely sent the same public text, as many others do.
            group.core = found.members
            joined.append((named[int(np.bincount(rivals[rivals >= 0]).argmax())].group, group))
            continue
        claimed[found.members[rivals < 0]] = len(named)
        fits = found.fits
        better = fits > best[found.members]
        best[found.members[better]] = fits[better]
        owner[found.members[better]] = len(named)
        named.append(found)
    kept = [entry.of(owner[entry.members] == number) for number, entry in enumerate(named)]
    # Members who fit another group better have left; if too few remain, a finding stays as it was last told.
    kept = [entry for entry in kept if len(entry.members) >= LEAST_ACCOUNTS]
    named = looks.note(named, kept, postings, accounts)
    for entry in named:
        if entry.fresh:
            entry.group.core = entry.members
    for into, other in joined:
        suspects.merge(into, other)
    return _one_pool(_one_text(named, suspects, len(accounts)), suspects, accounts.rows["tenant"], usual)


def _one_text(named: list[Named], suspects: Suspects, accounts: int) -> list[Named]:
    """Join findings into the oldest that sends the same text.

    Accounts of one campaign that were opened at different times come to notice one after the other.
    """
    kept: list[Named] = []
    senders = Holders()  # of the texts of the findings among those kept, by their place
    for entry in named:
        told = entry.group.finding is not None
        near = senders_of(entry, senders) if told else ()
        place = next((place for place in near if same_text(kept[place], entry, accounts)), None)
        if place is None:
            if told:
                senders.add(len(kept), entry.used.users)
            kept.append(entry)
        else:
            suspects.merge(kept[place].group, entry.group)
            kept[place] = kept[place].with_those_of(entry)
            kept[place].group.core = kept[place].members
    return kept


def _one_pool(named: list[Named], suspects: Suspects, tenants: Numbers, usual: Background) -> list[Named]:
    """Join groups into the oldest that uses the same pool: who shares cards or addresses works together."""
    kept: list[Named] = []
    sizes: list[int] = []  # of their pools
    holders = Holders()
    for entry in named:
        pool = pooled(entry.members, tenants, usual)
        shared = enumerate(holders.counts(pool).tolist())
        same = (at for at, count in shared if 2 * count >= min(len(pool), sizes[at]) >= _POOL_LEAST)
        place = next(same, None)
        if place is None:
            holders.add(len(kept), pool)
            kept.append(entry)
            sizes.append(len(pool))
        else:
            suspects.merge(kept[place].group, entry.group)
    return kept


def _members(group: Suspect, used: Texts, accounts: Accounts, usual: Background) -> Named:
    """Return who belongs to a group; a member stays one as long as nothing speaks against it."""
    candidates = used.users if used.joins else group.core
    uses = used.of(candidates) if used.joins else None
    compared = candidates_of(candidates, uses, accounts, usual)
    fits, ties = judge_members(compared, group.core)
    if compared.text is not None and ties:
        fits = np.minimum(fits, unlike_users(compared, compared.text, fits >= LEAST))
    chosen = fits >= LEAST
    if group.finding is not None:
        chosen |= (fits > 0) & of_core(candidates, group.core)
    sent = used.of(candidates)
    strangers = candidates[~chosen & (((fits < _STRANGE) & (sent >= _SENT_TWICE)) | (sent >= _SENT_OFTEN))]
    volume = sum(tie.weights for tie in ties if tie.trait == VOLUME)
    how_much = accounts.rows["exchanges"][candidates] if uses is None else used.sent_by(candidates)
    alike = fits - volume >= LEAST
    pool = len(candidates) if used.joins else group.among
    strangers = strangers[:_SPARED_MOST]
    return Named(group, used, candidates, pool, ties, candidates[alike], how_much[alike], strangers).of(chosen)
