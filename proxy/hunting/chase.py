"""What the active hunter does in each turn: read events, learn people's decisions, judge, publish, save a checkpoint.

Laws:
- A checkpoint holds the state and the position in the stream together. A new finding is saved before it is published,
  and a loaded checkpoint's findings are published again: a crash never loses a finding or gives it a second id.
- A dismissed finding is not published, whatever the core says. One without a decision stays visible, and acts while its
  flags last, even if the core has forgotten it; only a finding that was merged into another is withdrawn.
- Events that the core cannot take are counted and skipped: a batch that makes it fail must not come back for ever.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from proxy.clock import Clock
from proxy.errors import ConfigurationError
from proxy.hunter.finding import Finding
from proxy.hunter.finding_rows import Said
from proxy.hunter.wire import Batch, decode, in_time
from proxy.hunting.campaigns import CampaignRegistry
from proxy.hunting.checkpoints import Checkpoint, CheckpointLost, Checkpoints
from proxy.hunting.core import Core, Kind, terms_of
from proxy.hunting.decisions import Decisions
from proxy.hunting.lease import Lease
from proxy.hunting.publishing import Publisher
from proxy.hunting.telling import EVENTS_STREAM
from proxy.log import get
from proxy.rules.flags.sync import FlagSync
from proxy.rules.pack.pack import Pack
from proxy.rules.pack.words import Mode
from proxy.store.base import Store
from proxy.telemetry.tally import Tally

# Batches in one read: up to four megabytes, and half a second of the core's work on ordinary ones.
_READ = 16
# A dismissal younger than this may have crossed with the publishing of a hunter that has died since.
_YOUNG_S = 3600.0
_OPEN = "open"


@dataclass(frozen=True, slots=True)
class Parts:
    """What a hunter is put together from."""

    store: Store
    clock: Clock
    tally: Tally
    lease: Lease
    checkpoints: Checkpoints
    registry: CampaignRegistry
    decisions: Decisions
    publisher: Publisher
    flags: FlagSync
    max_mode: Mode
    kind: Kind


class Off(Protocol):
    """Runs a function that touches the core in the core's thread."""

    async def __call__(self, work: Any, *arguments: Any) -> Any:  # noqa: ANN401 - any function and its result
        """Return what `work` returns."""
        ...


class EventsLost(Exception):
    """The store lost events that were read since the last checkpoint, and gives earlier ones again."""


class Chase:
    """A core, the position up to which it has read, and how much of both is saved; made by `begin`."""

    def __init__(self, parts: Parts, pack: Pack, core: Core, position: str, off: Off) -> None:
        self._parts = parts
        self._pack = pack
        self._core = core
        self._position = self._safe_position = position
        self._off = off
        self._safe = frozenset(core.findings)  # ids that a checkpoint holds
        self._published: set[str] = set()  # ids, without those dismissed since
        self._begun = parts.decisions.begun  # its value when all findings were last published
        self._changed = False  # since the last checkpoint
        self._logger = get("hunter")

    @classmethod
    async def begin(cls, parts: Parts, pack: Pack, off: Off) -> Chase:
        """Go on from the last checkpoint: apply all that people decided and publish its findings again."""
        checkpoint = await parts.checkpoints.load()
        terms, core, position = terms_of(pack, parts.max_mode), None, ""
        if checkpoint is not None:
            try:
                core, position = await off(parts.kind.from_bytes, checkpoint.state, terms), checkpoint.position
            except Exception:  # noqa: BLE001 - what it stumbled over is in the state, and would be there again
                get("hunter").exception("the checkpoint cannot be used; the hunter begins anew")
        parts.publisher.pack = pack
        await parts.decisions.begin()
        parts.decisions.all_anew()
        chase = cls(parts, pack, core or parts.kind(terms), position, off)
        await chase.learn()
        await chase._publish(list(chase._core.findings.values()))
        # A hunter that died, or lost the store, may not have withdrawn these.
        await chase._withdraw(one for one in chase._core.merged if parts.decisions.said(one) is not Said.DISMISSED)
        return chase

    async def follow_pack(self, pack: Pack) -> None:
        """Judge by this pack from now on; nothing happens if it is the present one."""
        if pack is not self._pack:
            self._pack = self._parts.publisher.pack = pack
            await self._off(self._core.adopt, terms_of(pack, self._parts.max_mode))
            self._changed = True

    async def learn(self) -> None:
        """Tell the core what people decided, and undo what was published of findings that they dismissed.

        Publish all findings again if the store may have lost them.
        """
        decisions = self._parts.decisions
        for finding_id in decisions.take():
            said, self._changed = decisions.said(finding_id), True
            if said is None:
                continue
            try:
                await self._off(self._core.dismiss if said is Said.DISMISSED else self._core.confirm, finding_id)
            except KeyError:
                if said is Said.DISMISSED:
                    await self._excuse(finding_id)
            if said is Said.DISMISSED:
                self._published.discard(finding_id)  # it stays visible, as `decisions` knows it
                await self._undo(finding_id)
        if decisions.begun != self._begun:
            self._begun = decisions.begun
            await self._publish(list(self._core.findings.values()))
        self._count()

    async def read(self) -> bool:
        """Read new events and return whether there may be more. Raises EventsLost: then begin another `Chase`."""
        tally, wall = self._parts.tally, self._parts.clock.wall
        found = await self._parts.store.follow(EVENTS_STREAM, self._position, _READ)
        if found.cut:
            tally.count("stillgate_hunter_gaps_total")
            if found.anew and await self._can_go_back():
                raise EventsLost
            self._logger.error("events were dropped before they were read; raise hunter.stream_bytes if that goes on")
        sent_at = wall()
        for entry in found.entries:
            batch: Batch = await self._off(decode, entry)
            tally.count("stillgate_hunter_malformed_total", amount=batch.malformed)
            sent_at = batch.sent_at or sent_at
            try:
                await self._off(self._core.see, in_time(batch, wall()))
            except Exception:
                self._logger.exception("a batch of events cannot be used")
                tally.count("stillgate_hunter_malformed_total", amount=len(batch.events))
            else:
                tally.count("stillgate_hunter_events_total", amount=len(batch.events))
        tally.put("stillgate_hunter_lag_seconds", max(0.0, wall() - sent_at))
        self._changed = self._changed or found.position != self._position
        self._position = found.position
        return len(found.entries) == _READ

    async def judge(self) -> None:
        """Publish the findings that are new or have changed, after saving the new ones."""
        clock = self._parts.clock
        began = clock.monotonic()
        try:
            findings: list[Finding] = await self._off(self._core.judge, clock.wall())
        except Exception:
            self._logger.exception("the hunter could not judge")
            return
        self._parts.tally.observe("stillgate_hunter_judge_seconds", clock.monotonic() - began)
        self._changed = self._changed or bool(findings)
        new = [finding for finding in findings if finding.id not in self._safe]
        for finding in new:
            self._logger.info("a campaign was found", finding=finding.id, accounts=len(finding.members))
        if new:
            await self.save()
        await self._publish(findings)
        await self._withdraw(self._published.intersection(self._core.merged))
        self._count()

    async def save(self) -> float:
        """Save state and position, drop the events they cover from the stream, and return how many seconds it took."""
        parts = self._parts
        began = parts.clock.monotonic()
        if not self._changed:
            return 0.0
        state: bytes = await self._off(self._core.to_bytes)
        if not parts.lease.held:
            return 0.0
        try:
            await parts.checkpoints.save(Checkpoint(self._position, state))
        except CheckpointLost as lost:
            parts.tally.count("stillgate_hunter_checkpoint_failures_total")
            self._logger.error("the checkpoint could not be written", error=str(lost))  # noqa: TRY400 - says it all
        else:
            self._safe = frozenset(self._core.findings)
            self._safe_position = self._position
            self._changed = False
            parts.tally.put("stillgate_hunter_checkpoint_bytes", len(state))
            await parts.store.trim(EVENTS_STREAM, self._position)
        return parts.clock.monotonic() - began

    async def _can_go_back(self) -> bool:
        """Tell whether there is an earlier state to go on from; the store may have lost the checkpoint too."""
        if self._position == self._safe_position:
            return False
        return not self._safe_position or await self._parts.checkpoints.load() is not None

    async def _publish(self, findings: Sequence[Finding]) -> None:
        for finding in findings:
            if not self._parts.lease.held:
                return
            if self._parts.decisions.said(finding.id) is not Said.DISMISSED:
                try:
                    await self._parts.publisher.publish(finding)
                except ValueError as error:  # people see it and its flags stand; go on with the other findings
                    self._logger.error("gateways cannot be told of a campaign", error=str(error))  # noqa: TRY400
                self._published.add(finding.id)

    async def _withdraw(self, merged: Iterable[str]) -> None:
        """Take back findings that were merged into another one."""
        for finding_id in merged:
            if self._parts.lease.held and finding_id not in self._core.findings:
                await self._parts.publisher.withdraw(finding_id)
                self._published.discard(finding_id)

    async def _excuse(self, finding_id: str) -> None:
        """Tell the core of a dismissed finding that it does not know, perhaps because it began anew."""
        try:
            _, finding = await self._parts.registry.show(finding_id)
        except (KeyError, ValueError, ConfigurationError):
            self._logger.info("a finding that was dismissed is not known any more", finding=finding_id)
        else:
            await self._off(self._core.excuse, finding)

    async def _undo(self, finding_id: str) -> None:
        """Lift flags that this or another hunter may have raised while the dismissal was on its way."""
        decision = self._parts.decisions.dismissal(finding_id)
        if self._parts.clock.wall() - decision.at > _YOUNG_S:
            return
        with contextlib.suppress(KeyError, ValueError, ConfigurationError):
            _, finding = await self._parts.registry.show(finding_id)
            await self._parts.flags.flush()
            await self._parts.registry.undo(finding, decision)

    def _count(self) -> None:
        decisions = self._parts.decisions
        ids = self._core.findings.keys() | decisions.known.keys() | self._published
        found = Counter(str(decisions.said(finding_id) or _OPEN) for finding_id in ids)
        for state in (_OPEN, *Said):
            self._parts.tally.put("stillgate_findings", found[state], (state,))
