"""The campaigns that one process knows: their prompts, their accounts, and whom else they reach.

Laws:
- Nothing here awaits or knows a pack: `containment` applies what the pack says of a campaign.
- Memory is bounded: when it is full, at some 100 MB, the campaigns that were updated longest ago are evicted, and
  counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from proxy.exchange import Principal
from proxy.keyed.link_names import PEER, PEER_PREFIX, LinkNames
from proxy.rules.campaigns.known import KnownCampaign
from proxy.rules.campaigns.template_index import TemplateIndex, distinct
from proxy.rules.pack.pack import Contain

CAMPAIGNS_MAX = 1_000
# Eight of the largest campaigns known, which had 25,000 accounts; at about 250 bytes each.
ACCOUNTS_MAX = 200_000
PRINTS_MAX = 200_000  # at about 80 bytes each
LINKS_MAX = 200_000  # at about 130 bytes each


class Match(NamedTuple):
    """A template that a prompt matches, and the campaign that it belongs to."""

    template: str
    campaign: str


class CampaignBook:
    """All campaigns that this process knows; `names` makes the names of what links a caller to members."""

    def __init__(self, names: LinkNames) -> None:
        self.evicted = 0  # campaigns let go although they had not ended
        self._names = names
        self._known: dict[str, KnownCampaign] = {}
        self._clusters: dict[str, tuple[str, ...]] = {}  # by account
        self._prints: dict[str, list[NDArray[np.uint64]]] = {}  # of each campaign's templates
        self._templates: list[Match] = []  # in the order of the index
        self._index: TemplateIndex | None = None  # None: made when it is next needed

    def __len__(self) -> int:
        """Return how many campaigns are known."""
        return len(self._known)

    def __contains__(self, campaign: str) -> bool:
        """Tell whether a campaign is known."""
        return campaign in self._known

    def hear(self, known: KnownCampaign) -> None:
        """Take a campaign as it stands now, in place of what was known of it."""
        before = self._known.get(known.id)
        self._known[known.id] = known
        if before is None or before.templates != known.templates:
            self._prints[known.id] = [distinct(template) for template in known.templates]
            self._index = None
        members = frozenset[str]() if before is None else before.accounts
        self._join(known.id, known.accounts - members)
        self._leave(known.id, members - known.accounts)
        self._make_room(known.id)

    def forget(self, campaign: str) -> None:
        """Drop a campaign; one that is not known is no error."""
        known = self._known.pop(campaign, None)
        if known is not None:
            del self._prints[campaign]
            self._index = None
            self._leave(campaign, known.accounts)

    def end(self, now: float) -> list[KnownCampaign]:
        """Drop the campaigns that have ended, and return them."""
        ended = [known for known in self._known.values() if known.until <= now]
        for known in ended:
            self.forget(known.id)
        return ended

    def get(self, campaign: str) -> KnownCampaign:
        """Return a campaign. Raises KeyError."""
        return self._known[campaign]

    def matches(self, prints: NDArray[np.uint64]) -> list[Match]:
        """Return the templates that a prompt matches, best first; its `prints` are sorted and distinct."""
        index = self._index
        if index is None:
            index = self._made_index()
        return [self._templates[number] for number in index.matches(prints)]

    def called(self, template: str) -> list[Match]:
        """Return the campaigns that have a template of this id, the last updated first."""
        return [
            Match(template, known.id)
            for known in self._latest_first(self._known)
            if any(each.id == template for each in known.templates)
        ]

    def clusters(self, account: str) -> Sequence[str]:
        """Return all campaigns of which an account is a member, the last updated first."""
        found = self._clusters.get(account, ())
        return found if len(found) < 2 else [known.id for known in self._latest_first(found)]

    def reached(self, campaign: str, principal: Principal, peer: str, contain: Contain | None) -> bool:
        """Tell whether flags on a campaign's templates count for a caller at the address `peer`.

        They count for members, and for others as `contain` says.
        """
        known = self._known[campaign]
        if principal.account in known.accounts:
            return True
        if contain is None or principal.account in known.spared:
            return False
        within = contain.opened_within_ms / 1000
        if within and known.opened_close(principal.created_at, within):
            return True
        return any(
            name in known.shared.get(kind, ())
            for kind in contain.sharing
            if (name := self._link(kind, principal.attributes, peer))
        )

    def _link(self, kind: str, attributes: Mapping[str, str], peer: str) -> str:
        if kind == PEER:
            return self._names.peer(peer)[0]
        if kind == PEER_PREFIX:
            return self._names.peer(peer)[1]
        return self._names.name(kind, attributes.get(kind, ""))

    def _latest_first(self, campaigns: Sequence[str] | Mapping[str, KnownCampaign]) -> list[KnownCampaign]:
        known = [self._known[campaign] for campaign in campaigns]
        return sorted(known, key=lambda each: (-each.updated_at, each.id))

    def _made_index(self) -> TemplateIndex:
        latest = self._latest_first(self._known)
        self._templates = [Match(template.id, known.id) for known in latest for template in known.templates]
        self._index = TemplateIndex(
            [template for known in latest for template in known.templates],
            [prints for known in latest for prints in self._prints[known.id]],
        )
        return self._index

    def _join(self, campaign: str, accounts: frozenset[str]) -> None:
        alone = (campaign,)  # one tuple shared by all
        for account in accounts:
            others = self._clusters.get(account)
            self._clusters[account] = alone if others is None else (*others, campaign)

    def _leave(self, campaign: str, accounts: frozenset[str]) -> None:
        for account in accounts:
            others = tuple(other for other in self._clusters[account] if other != campaign)
            if others:
                self._clusters[account] = others
            else:
                del self._clusters[account]

    def _make_room(self, campaign: str) -> None:
        """Evict the campaigns updated longest ago until the rest fits; the one just heard stays."""
        while len(self._known) > 1 and self._is_full():
            stalest = min(
                (known for known in self._known.values() if known.id != campaign),
                key=lambda each: (each.updated_at, each.id),
            )
            self.forget(stalest.id)
            self.evicted += 1

    def _is_full(self) -> bool:
        known = self._known.values()
        return (
            len(known) > CAMPAIGNS_MAX
            or sum(len(each.accounts) + len(each.spared) for each in known) > ACCOUNTS_MAX
            or sum(len(template.prints) for each in known for template in each.templates) > PRINTS_MAX
            or sum(len(names) for each in known for names in each.shared.values()) > LINKS_MAX
        )
