"""A campaign and its templates as gateways must know them; passed between processes through the store."""

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
    """A campaign as gateways must know it; `rule` is the id of the entry in a pack's `campaigns:` that it meets.

    `accounts` are its members: the cluster, whose id is the campaign's. They were opened between `opened_from` and
    `opened_to` (0 if unknown); `began` is the time of its first exchange. `shared` are the names that link members, by
    attribute, as `LinkNames` makes them; "peer" and "peer_prefix" are addresses and their networks. `spared` are
    accounts that were seen with its prompts but do not belong to it: `contain` does not reach them. Times are Unix
    seconds; it ends at `until`, even if nobody is left to say so.
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
        """Tell whether an account was opened when those of the members were, give or take `within` seconds.

        That time lasts at least until the campaign began and starts at most `within` before that: one old account among
        the members, bought or stolen, must not extend the reach to earlier customers.
        """
        if opened <= 0:
            return False
        first = self.opened_from or self.began
        first = max(min(first, self.began), self.began - within)
        return first - within <= opened <= max(self.began, self.opened_to) + within
