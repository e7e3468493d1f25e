"""A campaign's key, and what it prefers at each place: a fair coin for whoever does not have it.

Laws: all members of a campaign have one key; its preference depends on the place and its context only, so the same
answer is marked alike for all of them, and no wording is preferred everywhere. That the choice depends on what stands
before it, so that no word becomes more frequent, is from He et al., "CATER", 2022 (conditional watermarks).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b

from proxy.marks.place import Place

_KEY_BYTES = 16


class CampaignKey:
    """The key of one campaign, template or account, by its id; `master` is the secret of all marks."""

    __slots__ = ("_coin",)

    def __init__(self, master: bytes, campaign: str) -> None:
        key = blake2b(campaign.encode(), key=master, digest_size=_KEY_BYTES, person=b"campaign").digest()
        self._coin = blake2b(key=key, digest_size=1, person=b"place")

    def prefers(self, place: Place) -> int:
        """Return the number of the wording that is to stand at a place."""
        return self.coin(place.row, place.context, place.sides)

    def coin(self, row: str, context: str, sides: int) -> int:
        """Return a number below `sides`, a power of two."""
        coin = self._coin.copy()  # half as long as starting from the key
        coin.update(f"{row}\0{context}".encode("utf-8", "replace"))
        return coin.digest()[0] & (sides - 1)


def keys_of(masters: Mapping[str, bytes], campaigns: Iterable[str]) -> dict[str, CampaignKey]:
    """Return each campaign's keys by their name in findings: its id, followed by the master's name if that has one."""
    return {
        f"{campaign} (secret {name})" if name else campaign: CampaignKey(master, campaign)
        for campaign in campaigns
        for name, master in masters.items()
    }
