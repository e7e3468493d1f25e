"""Hears what people decide about findings, and keeps which of these decisions the hunter has yet to learn."""

from __future__ import annotations

from collections.abc import Sequence

from proxy.hunter.finding_rows import DECISIONS_TABLE, Decision, Said, standing
from proxy.hunting.campaigns import CampaignRegistry


class Decisions:
    """A follower of the store's feed (see `follow_feed`); `known` has all decisions, by finding.

    `begun` changes when all findings should be published again: the feed began anew, so the store may have lost them,
    or the clock, by which they end, was set back.
    """

    def __init__(self, registry: CampaignRegistry) -> None:
        self.begun = 0
        self.known: dict[str, list[Decision]] = {}
        self._fresh: dict[str, None] = {}
        self._registry = registry

    async def begin(self) -> None:
        """Read all decisions."""
        await self._read()
        self.begun += 1

    async def hear(self, rows: Sequence[tuple[str, str]]) -> None:
        """Read all decisions again if one changed: people decide only a few times a day."""
        if any(table == DECISIONS_TABLE for table, _ in rows):
            await self._read()

    def caught_up(self, at: float) -> None:
        """Do nothing: what was decided stays decided."""

    def take(self) -> list[str]:
        """Return the findings whose decisions changed since the last call."""
        fresh, self._fresh = self._fresh, {}
        return list(fresh)

    def all_anew(self) -> None:
        """Count every decision as new, since the hunter went back to an earlier state."""
        self._fresh.update(dict.fromkeys(self.known))

    def said(self, finding_id: str) -> Said | None:
        """Return what people's decisions about a finding come to, None if there are none."""
        return standing(self.known.get(finding_id, ()))

    def dismissal(self, finding_id: str) -> Decision:
        """Return the last dismissal of a finding that was dismissed."""
        return [entry for entry in self.known[finding_id] if entry.said is Said.DISMISSED][-1]

    async def _read(self) -> None:
        found = await self._registry.decisions()
        self._fresh.update(dict.fromkeys(name for name, said in found.items() if said != self.known.get(name)))
        self.known = found
