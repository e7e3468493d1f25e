"""A campaign and its templates as the gateway has to know them, to be told from process to process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


class KnownTemplate(NamedTuple):
    """The prints of one template, and how many of them a prompt must have to match it."""

    id: str
    prints: tuple[int, ...]
    least: int


@dataclass(frozen=True, slots=True)
class KnownCampaign:
    """A campaign as the gateway has to know it; `rule` is the entry of a pack's `campaigns:` that it meets.

    `accounts` are its members: the cluster, whose id is the campaign's. Its accounts were opened between `opened_from`
    and `opened_to` (0 if nobody knows), and it `began` with its first exchange. `shared` are the names that link its
    members, as `LinkNames` makes them, by attribute; "peer" and "peer_prefix" are addresses and their networks.
    `spared` are accounts that were seen with its prompts and do not belong: nothing reaches them. Times are Unix
    seconds; from `until` on it is not known any more, whoever is left to say so.
    """

    id: str
    rule: str
    templates: tuple[KnownTemplate, ...]
    accounts: frozenset[str]
    opened_from: float
    opened_to: float
    began: float
    shared: Mapping[str, frozenset[str]]
    updated_at: float
    until: float
    spared: frozenset[str] = frozenset()

    def opened_close(self, opened: float, within: float) -> bool:
        """Tell whether an account was opened so many seconds before or after those of the members, or the beginning.

        Of the time between the members' first account and the beginning no more than `within` counts: one old account
        among them, bought or robbed, is not to widen the campaign's reach over those who were customers before.
        """
        if opened <= 0:
            return False
        first = self.opened_from or self.began
        first = max(min(first, self.began), self.began - within)
        return first - within <= opened <= max(self.began, self.opened_to) + within
