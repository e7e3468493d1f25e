"""What people do about findings: look at them, dismiss them, confirm them; the admin side and the hunter use it.

Laws: every decision names who made it and why, in a row that only people write. A dismissal is written before its
consequences follow: if they are cut short, another dismissal, or the hunter, completes them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from proxy.clock import Clock
from proxy.errors import ConfigurationError
from proxy.hunter.finding import Finding
from proxy.hunter.finding_rows import (
    DECISIONS_TABLE,
    FINDINGS_TABLE,
    MEMBERS_TABLE,
    Decision,
    Head,
    Said,
    decision_row,
    piece_name,
    read_decision,
    read_head,
    read_piece,
    standing,
    with_members,
)
from proxy.log import get
from proxy.rules.campaigns.flags import is_of
from proxy.rules.campaigns.store import CampaignStore
from proxy.rules.flags.flag import Flag, FlagKey
from proxy.rules.flags.store import FlagRegistry
from proxy.rules.pack.words import Subject
from proxy.store.base import Store

# How often a finding is read at most, if it is published anew while its members are being read.
_TRIES = 5


class Standing(NamedTuple):
    """A finding without its members, and what people said about it, oldest first."""

    head: Head
    decisions: tuple[Decision, ...]

    @property
    def said(self) -> Said | None:
        """What all decisions together say; None if nobody decided."""
        return standing(self.decisions)


class CampaignRegistry:
    """The findings of all hunters, as they stand in the store."""

    def __init__(self, store: Store, flags: FlagRegistry, clock: Clock) -> None:
        self._store = store
        self._flags = flags
        self._clock = clock

    async def all(self) -> list[Standing]:
        """Return all findings, the newest first."""
        decisions = await self.decisions()
        found = []
        async for name, value in self._store.scan(FINDINGS_TABLE):
            with _readable(FINDINGS_TABLE, name):
                found.append(Standing(read_head(value), tuple(decisions.get(name, ()))))
        return sorted(found, key=lambda one: (-one.head.finding.found_at, one.head.finding.id))

    async def decisions(self) -> dict[str, list[Decision]]:
        """Return what people decided, by finding, oldest first."""
        found: dict[str, list[Decision]] = {}
        async for name, value in self._store.scan(DECISIONS_TABLE):
            with _readable(DECISIONS_TABLE, name):
                finding_id, decision = read_decision(name, value)
                found.setdefault(finding_id, []).append(decision)
        return {finding_id: sorted(entries, key=lambda entry: entry.at) for finding_id, entries in found.items()}

    async def show(self, finding_id: str) -> tuple[Standing, Finding]:
        """Return one finding with its members.

        Raises KeyError for an unknown one, and ConfigurationError if it keeps changing while it is read.
        """
        for _ in range(_TRIES):
            value = await self._store.read(FINDINGS_TABLE, finding_id)
            if value is None:
                raise KeyError(finding_id)
            head = read_head(value)
            names = [piece_name(finding_id, head.generation, number) for number in range(head.pieces)]
            pieces = await asyncio.gather(*(self._store.read(MEMBERS_TABLE, name) for name in names))
            if None not in pieces:
                break
        else:
            raise ConfigurationError("the finding is changing too fast to be read; try again")
        decisions = tuple((await self.decisions()).get(finding_id, ()))
        whole = with_members(head, [read_piece(piece) for piece in pieces if piece is not None])
        return Standing(head, decisions), whole

    async def dismiss(self, finding_id: str, who: str, why: str) -> int:
        """Record that a finding is wrong, lift its flags everywhere, and return how many were lifted.

        It does not come back by itself. Dismissing it again lifts any flags that are left. Raises as `show` does.
        """
        _, finding = await self.show(finding_id)
        decision = Decision(Said.DISMISSED, who, self._clock.wall(), why)
        await self._store.write([decision_row(finding_id, decision)])
        return await self.undo(finding, decision)

    async def undo(self, finding: Finding, decision: Decision) -> int:
        """Lift every flag of a dismissed finding, those of former members too, and return how many were lifted."""
        await CampaignStore(self._store).retract(finding.id)
        belongs = _flags_of(finding)
        return await self._flags.lift_all(
            lambda key, flag: belongs(key, flag) or is_of(flag, finding.id),
            decision.by,
            decision.why,
        )

    async def confirm(self, finding_id: str, who: str, why: str) -> int:
        """Record that a finding is right, confirm its flags, and return how many were confirmed.

        Raises as `show` does, and ConfigurationError if it was dismissed or this person has confirmed it before.
        """
        standing, finding = await self.show(finding_id)
        if standing.said is Said.DISMISSED:
            raise ConfigurationError(f"{finding_id} was dismissed, which cannot be taken back")
        confirmed = await self._flags.confirm_all(_flags_of(finding), who, why)
        if not confirmed and any(entry.by == who for entry in standing.decisions):
            raise ConfigurationError(f"{who} has confirmed this campaign already")
        await self._store.write([decision_row(finding_id, Decision(Said.CONFIRMED, who, self._clock.wall(), why))])
        return confirmed


@contextmanager
def _readable(table: str, name: str) -> Iterator[None]:
    """Log and skip a row that cannot be read, so that the other rows still count."""
    try:
        yield
    except ValueError as error:
        get("campaigns").error("a row cannot be read", table=table, row=name, error=str(error))


def _flags_of(finding: Finding) -> Callable[[FlagKey, Flag], bool]:
    """Return a test for the flags of a finding: those that its rule raised on what belongs to it."""
    names: dict[Subject, frozenset[str]] = {
        Subject.CLUSTER: frozenset({finding.id}),
        Subject.TEMPLATE: frozenset(template.id for template in finding.templates),
        Subject.ACCOUNT: frozenset(finding.members),
        Subject.TENANT: frozenset(member.tenant for member in finding.members.values()),
    }
    rule = finding.rule
    return lambda key, flag: flag.rule == rule and key.name in names[key.subject]
