"""Makes a finding known: its rows for people, its flags, and what gateways have to know of it.

Law: to publish a finding again changes nothing but its numbers, so it may be done once too often.
"""

from __future__ import annotations

from collections.abc import Sequence

from proxy.clock import Clock, Steadiness
from proxy.hunter.finding import Finding
from proxy.hunter.finding_rows import (
    FINDINGS_TABLE,
    MEMBERS_TABLE,
    Head,
    head_row,
    piece_name,
    piece_rows,
    read_head,
)
from proxy.hunting.acting import known_campaign
from proxy.rules.campaigns.flags import raise_flags
from proxy.rules.campaigns.store import CampaignStore
from proxy.rules.flags.flag import Flags
from proxy.rules.pack.pack import Campaign, Pack
from proxy.rules.pack.words import Mode
from proxy.store.base import Row, Store

# Rows of members in one script: half a megabyte.
_TOGETHER = 4
# For so long a clock that was set is not believed about what has ended.
_DOUBTED_S = 3600.0


class Publisher:
    """Publishes for the pack in force; flags are raised in `flags`, which somebody else shares."""

    def __init__(self, store: Store, flags: Flags, pack: Pack, max_mode: Mode, clock: Clock) -> None:
        self.pack = pack
        self._store = store
        self._flags = flags
        self._campaigns = CampaignStore(store)
        self._max_mode = max_mode
        self._clock = clock
        self._steadiness = Steadiness(clock)
        self._told: dict[str, frozenset[str]] = {}  # the accounts of a campaign, as gateways were told last

    async def publish(self, finding: Finding) -> None:
        """Write a finding over what was there of it, and let its consequences follow. Raises StoreUnavailable.

        The members come first under a generation of their own: the head brings them into force, and the old ones go.
        """
        before = await self._before(finding.id)
        generation = 1 if before is None else before.generation + 1
        pieces = piece_rows(finding, generation)
        for first in range(0, len(pieces), _TOGETHER):
            await self._store.write(pieces[first : first + _TOGETHER])
        rows = [head_row(finding, generation, len(pieces))]
        if before is not None:
            rows += _members_of(before)
        await self._store.write(rows)
        campaign = self._campaign(finding.rule)
        if campaign is not None:
            now = self._clock.wall()
            known = known_campaign(finding, campaign, now)
            left = self._told.get(finding.id, known.accounts) - known.accounts
            raise_flags(self._flags, known, campaign, self._max_mode, now, left)
            await self._campaigns.publish(known)
            self._told[finding.id] = known.accounts

    async def withdraw(self, finding_id: str) -> None:
        """Take back a finding that has become a part of another one. Raises StoreUnavailable."""
        before = await self._before(finding_id)
        if before is not None:
            await self._store.write([Row(FINDINGS_TABLE, finding_id, None), *_members_of(before)])
        await self._campaigns.retract(finding_id)
        self._told.pop(finding_id, None)

    async def sweep(self) -> None:
        """Delete what gateways were told of campaigns that ended long ago. Raises StoreUnavailable.

        For an hour after a start, and after the clock was set, that is left to later: by a wrong one all have ended.
        """
        steady = self._steadiness.seconds() >= _DOUBTED_S
        await self._campaigns.sweep(self._clock.wall() if steady else 0.0)

    async def _before(self, finding_id: str) -> Head | None:
        value = await self._store.read(FINDINGS_TABLE, finding_id)
        try:
            return None if value is None else read_head(value)
        except ValueError:
            return None

    def _campaign(self, rule: str) -> Campaign | None:
        """Return the entry of the pack that a finding meets; one found by an earlier pack has no more consequences."""
        return next((entry for entry in self.pack.campaigns if entry.id == rule and entry.mode is not Mode.OFF), None)


def _members_of(head: Head) -> Sequence[Row]:
    names = (piece_name(head.finding.id, head.generation, number) for number in range(head.pieces))
    return [Row(MEMBERS_TABLE, name, None) for name in names]
