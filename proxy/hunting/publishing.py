"""Makes a finding known: its rows for people, its flags, and what gateways must know of it.

Law: publishing a finding again only updates its numbers, so doing it once too often does no harm.
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
# For so long after a clock was set it is not trusted to tell what has ended.
_DOUBTED_S = 3600.0


class Publisher:
    """Publishes findings by the pack in force; flags are raised in `flags`, which a `FlagSync` shares."""

    def __init__(self, store: Store, flags: Flags, pack: Pack, max_mode: Mode, clock: Clock) -> None:
        self.pack = pack
        self._store = store
        self._flags = flags
        self._campaigns = CampaignStore(store)
        self._max_mode = max_mode
        self._clock = clock
        self._steadiness = Steadiness(clock)
        self._told: dict[str, frozenset[str]] = {}  # a campaign's accounts, as last published

    async def publish(self, finding: Finding) -> None:
        """Write a finding's rows in place of its old ones, then raise its flags and tell gateways.

        New members are written first; the head puts them into force, and the old ones are deleted with it. Raises
        StoreUnavailable, and ValueError if the campaign is too large to tell gateways of.
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
        """Take back a finding that was merged into another one. Raises StoreUnavailable."""
        before = await self._before(finding_id)
        if before is not None:
            await self._store.write([Row(FINDINGS_TABLE, finding_id, None), *_members_of(before)])
        await self._campaigns.retract(finding_id)
        self._told.pop(finding_id, None)

    async def sweep(self) -> None:
        """Delete what gateways were told of campaigns that ended long ago. Raises StoreUnavailable.

        For an hour after a start, or after the clock was set, none counts as ended: by a wrong clock all would.
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
        """Return the pack's active entry for a finding; None if only an earlier pack had one: then nothing follows."""
        return next((entry for entry in self.pack.campaigns if entry.id == rule and entry.mode is not Mode.OFF), None)


def _members_of(head: Head) -> Sequence[Row]:
    names = (piece_name(head.finding.id, head.generation, number) for number in range(head.pieces))
    return [Row(MEMBERS_TABLE, name, None) for name in names]
