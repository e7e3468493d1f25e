"""The hunter's turns on the reference store, and on a real one with two processes and a kill -9."""

from __future__ import annotations

import asyncio
import itertools
import sys
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, Self

import pytest

from proxy.clock import SystemClock
from proxy.errors import StoreUnavailable
from proxy.hunter.event import Event
from proxy.hunter.finding import Finding
from proxy.hunter.terms import Terms
from proxy.hunter.wire import encode
from proxy.hunting import chase as chase_module
from proxy.hunting import hunter as hunter_module
from proxy.hunting.campaigns import CampaignRegistry
from proxy.hunting.checkpoints import (
    CHECKPOINTS_TABLE,
    Checkpoint,
    CheckpointLost,
    Checkpoints,
    FileCheckpoints,
    StoreCheckpoints,
)
from proxy.hunting.core import Kind
from proxy.hunting.hunter import Hunter, Pace
from proxy.hunting.process import hunting
from proxy.hunting.telling import EVENTS_STREAM
from proxy.rules.campaigns import rows as campaign_rows
from proxy.rules.campaigns.store import CampaignStore
from proxy.rules.flags.flag import Flag, FlagKey, World
from proxy.rules.flags.rows import flag_row
from proxy.rules.flags.store import FlagRegistry
from proxy.rules.pack.words import Mode, Subject
from proxy.store import open_store
from proxy.store.base import Held, Hold, Row, Store, Tail
from proxy.store.memory import MemoryStore
from proxy.telemetry.snapshot import Snapshot
from tests.hunter.events import event
from tests.hunting.fake_hunt import QUICK, FakeHunt, pack
from tests.rig.clocks import SettableSystem
from tests.rig.valkey import Valkey, command
from tests.rig.waiting import until
from tests.rules.campaigns.known import campaign

YEAR = 366 * 86_400.0
SLOW = Pace(judge=0.05, checkpoint=1000.0, poll=0.01)  # makes nothing safe but what is new


class Cuttable(MemoryStore):
    """The reference store with a line that can be cut."""

    away = False
    refused = 0  # wishes for the lease

    async def follow(self, stream: str, after: str, most: int) -> Tail:
        if self.away:
            raise StoreUnavailable("cut")
        return await super().follow(stream, after, most)

    async def hold(self, holds: Sequence[Hold]) -> list[Held]:
        if self.away:
            self.refused += 1
            raise StoreUnavailable("cut")
        return await super().hold(holds)


@pytest.fixture
def store() -> Cuttable:
    return Cuttable(SystemClock())


def registry_of(store: Store) -> CampaignRegistry:
    clock = SystemClock()
    return CampaignRegistry(store, FlagRegistry(store, clock), clock)


async def tell(store: Store, first: int, *accounts: str) -> None:
    events = [event(account, tenant=f"t-{account}", prints=(first, 2**63)) for account in accounts]
    op = f"{first}-{accounts}-{time.monotonic()}"
    await store.append(EVENTS_STREAM, encode(events, time.time()), 1 << 20, op)  # noqa: TID251 - as the clock has it


@asynccontextmanager
async def hunter_on(
    store: Store, *, pace: Pace = QUICK, checkpoints: Checkpoints | None = None, kind: Kind = FakeHunt
) -> AsyncIterator[Hunter]:
    how: dict[str, Any] = {"kind": kind, "pace": pace, "checkpoints": checkpoints, "max_mode": Mode.ENFORCE}
    async with hunting(store, pack(), SystemClock(), **how) as hunter:
        yield hunter


async def found(store: Store, count: int = 1, accounts: int = 0) -> list[Finding]:
    """Wait for so many findings, with so many accounts in all, and return them whole."""

    async def enough() -> bool:
        heads = [standing.head for standing in await registry_of(store).all()]
        return len(heads) >= count and sum(head.accounts for head in heads) >= accounts

    await until(enough)
    registry = registry_of(store)
    return [(await registry.show(standing.head.finding.id))[1] for standing in await registry.all()]


def number(snapshot: Snapshot, name: str, *labels: str) -> float:
    return next(float(sample.value) for sample in snapshot[name] if sample.labels == labels)


async def test_what_was_told_is_seen_and_what_is_found_is_published(store: Cuttable) -> None:
    async with hunter_on(store) as hunter:
        await tell(store, 1, "a", "b")
        await tell(store, 1, "c")
        await tell(store, 2, "a", "b")
        (campaign,) = await found(store)
        assert (campaign.rule, sorted(campaign.members)) == ("extraction", ["a", "b", "c"])
        await tell(store, 1, "d")
        (grown,) = await found(store, accounts=4)
        assert grown.id == campaign.id
        snapshot = hunter.snapshot()
        assert number(snapshot, "stillgate_hunter_active") == 1
        assert number(snapshot, "stillgate_hunter_events_total") == 6
        assert number(snapshot, "stillgate_findings", "open") == 1
        assert number(snapshot, "stillgate_hunter_lag_seconds") < 5


class Slow(FakeHunt):
    """A core that takes longer to judge than there is time between two judgings."""

    judged: ClassVar[list[tuple[float, float]]] = []  # begin and end of each

    def judge(self, now: float) -> list[Finding]:
        began = time.monotonic()
        while time.monotonic() < began + 0.1:
            pass
        self.judged.append((began, time.monotonic()))
        return super().judge(now)


async def test_a_judging_that_takes_longer_than_its_turn_leaves_as_much_time_for_the_rest(store: Cuttable) -> None:
    def four() -> bool:
        return len(Slow.judged) >= 4

    async with hunter_on(store, kind=Slow):
        await until(four)
    pairs = list(itertools.pairwise(Slow.judged[:4]))
    assert [later - end >= end - began for (began, end), (later, _) in pairs] == [True] * 3


async def test_of_two_one_is_active_and_a_stop_hands_over_at_once(store: Cuttable) -> None:
    async with hunter_on(store) as first:
        await until(lambda: first.active)
        async with hunter_on(store) as second:
            await tell(store, 1, "a", "b", "c")
            (campaign,) = await found(store)
            assert (first.active, second.active) == (True, False)
            first.stop()
            await until(lambda: second.active, within=3)
            await tell(store, 1, "d")
            assert [entry.id for entry in await found(store, accounts=4)] == [campaign.id]


@pytest.mark.parametrize("kept", ["file", "store"])
async def test_a_restart_goes_on_where_the_last_one_was(store: Cuttable, tmp_path: Path, kept: str) -> None:
    def checkpoints() -> Checkpoints:
        return FileCheckpoints(tmp_path / "hunter" / "state") if kept == "file" else StoreCheckpoints(store)

    async with hunter_on(store, checkpoints=checkpoints()):
        await tell(store, 1, "a", "b", "c")
        (campaign,) = await found(store)
        await tell(store, 2, "x", "y")
    await tell(store, 2, "z")
    async with hunter_on(store, checkpoints=checkpoints()):
        both = await found(store, count=2)
    assert {entry.id for entry in both} > {campaign.id}
    assert len(both) == 2
    assert sum(entry.exposure.exchanges for entry in both) == 6


class Lagging(Cuttable):
    """One that can lose its last entry, as a server does that takes over before it has all."""

    async def lose_checkpoints(self) -> None:
        heads = [name async for name, _ in self.scan(CHECKPOINTS_TABLE)]
        await self.write([Row(CHECKPOINTS_TABLE, name, None) for name in heads])

    def lose(self) -> None:
        stream = self._streams[EVENTS_STREAM]
        stream.entries.pop()
        stream.last -= 1


async def test_events_that_the_store_lost_make_no_other_count_twice() -> None:
    """R-11: those since the last checkpoint come again, and no hunter knows which of them it has seen."""
    store = Lagging(SystemClock())

    async def seen(count: int) -> None:
        await until(lambda: number(hunter.snapshot(), "stillgate_hunter_events_total") == count)

    async with hunter_on(store, pace=SLOW._replace(judge=1000.0)) as hunter:
        for count, account in enumerate("abc", 1):
            await tell(store, 1, account)
            await seen(count)
        store.lose()
        await seen(5)
        assert number(hunter.snapshot(), "stillgate_hunter_gaps_total") == 1
        await tell(store, 1, "d")
        await seen(6)
    (campaign,) = await found(store)
    assert (sorted(campaign.members), campaign.exposure.exchanges) == (["a", "b", "d"], 3)


async def test_a_hunter_whose_store_lost_events_and_checkpoint_keeps_what_it_found() -> None:
    store = Lagging(SystemClock())
    async with hunter_on(store, pace=SLOW) as hunter:
        await tell(store, 1, "a", "b", "c")
        (campaign,) = await found(store)
        for count, account in enumerate("xy", 4):
            await tell(store, 2, account)
            await until(lambda: number(hunter.snapshot(), "stillgate_hunter_events_total") == count)  # noqa: B023
        await store.lose_checkpoints()
        store.lose()
        await until(lambda: number(hunter.snapshot(), "stillgate_hunter_gaps_total") == 1)
        await tell(store, 1, "d")
        (grown,) = await found(store, accounts=4)
    assert (grown.id, sorted(grown.members)) == (campaign.id, ["a", "b", "c", "d"])


async def test_what_is_safe_goes_from_the_stream(store: Cuttable) -> None:
    async with hunter_on(store):
        await tell(store, 1, "a", "b", "c")

        async def gone() -> bool:
            return (await store.follow(EVENTS_STREAM, "", 10)).entries == ()

        await until(gone)


async def test_a_death_between_making_safe_and_publishing_loses_no_finding(
    store: Cuttable, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = chase_module.Chase._publish

    async def dies(self: Any, findings: Any) -> None:
        if findings:
            raise StoreUnavailable("gone just now")
        await published(self, findings)

    monkeypatch.setattr(chase_module.Chase, "_publish", dies)
    async with hunter_on(store, pace=SLOW):
        await tell(store, 1, "a", "b", "c")

        async def safe() -> bool:
            return await StoreCheckpoints(store).load() is not None

        await until(safe)
        assert await registry_of(store).all() == []
    monkeypatch.undo()
    async with hunter_on(store, pace=SLOW):
        assert len(await found(store)) == 1


async def test_a_dismissed_finding_loses_its_flags_and_does_not_come_back(store: Cuttable) -> None:
    clock = SystemClock()
    registry, flags = registry_of(store), FlagRegistry(store, clock)
    async with hunter_on(store) as hunter:
        await tell(store, 1, "a", "b", "c")
        (campaign,) = await found(store)
        rows = []
        for world, (subject, name) in [
            (world, on)
            for world in World
            for on in [
                (Subject.CLUSTER, campaign.id),
                (Subject.TEMPLATE, "tpl-1"),
                (Subject.ACCOUNT, "a"),
                (Subject.ACCOUNT, "z"),
            ]
        ]:
            flag = Flag("campaign", 80, clock.wall(), clock.wall() + 3600, "extraction")
            rows.append(flag_row(FlagKey(world, subject, name, "campaign"), flag))
        await store.write(rows)
        assert await registry.confirm(campaign.id, "rita", "looks right") == 3
        assert await registry.dismiss(campaign.id, "rita", "a public prompt") == 3
        assert {key.name async for key, _ in flags.list()} == {"z"}
        await until(lambda: number(hunter.snapshot(), "stillgate_findings", "dismissed") == 1)
        await tell(store, 1, "d", "e", "f")
        await tell(store, 2, "d", "e", "f")
        assert len(await found(store, count=2)) == 2
        assert (await registry.show(campaign.id))[0].head.accounts == 3
    async with hunter_on(store):
        await tell(store, 1, "g", "h", "i")
        await tell(store, 3, "g", "h", "i")
        after = await found(store, count=3)
    assert [sorted(entry.members) for entry in after if entry.id == campaign.id] == [["a", "b", "c"]]
    assert len(after) == 3


async def test_a_finding_that_is_too_large_for_gateways_keeps_no_other_back(
    store: Cuttable, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(campaign_rows, "ACCOUNTS_MAX", 3)
    async with hunter_on(store, kind=FakeHunt) as hunter:
        await tell(store, 1, "a", "b", "c", "d")
        await tell(store, 2, "e", "f", "g")
        first, second = await found(store, count=2)
        assert {len(first.members), len(second.members)} == {3, 4}
        assert hunter.active
    async with hunter_on(store):
        await tell(store, 3, "e", "f", "g")
        await found(store, count=3)
    assert "has 4 accounts, 3 are the most" in caplog.text


class Letting(FakeHunt):
    """A core that lets go of a finding once it has a fourth account: `into` another one, or for good."""

    into = False

    def judge(self, now: float) -> list[Finding]:
        found = super().judge(now)
        gone = [finding.id for finding in found if len(finding.members) == 4]
        for finding_id in gone:
            del self._found[finding_id]
        self.merged |= set(gone) if self.into else set()
        return [finding for finding in found if finding.id not in gone]


@pytest.mark.parametrize("into", [False, True])
async def test_a_finding_stays_to_be_decided_about_unless_it_is_a_part_of_another(
    store: Cuttable, monkeypatch: pytest.MonkeyPatch, into: bool
) -> None:
    monkeypatch.setattr(Letting, "into", into)
    async with hunter_on(store, kind=Letting) as hunter:
        await tell(store, 1, "a", "b", "c")
        (campaign,) = await found(store)
        await tell(store, 1, "d")
        await until(lambda: number(hunter.snapshot(), "stillgate_hunter_events_total") == 4)
    left = [] if into else [campaign.id]
    assert [standing.head.finding.id for standing in await registry_of(store).all()] == left
    assert [known.id async for known in CampaignStore(store).list()] == left


class Joined(FakeHunt):
    """A core whose checkpoint was written when its findings had become a part of another one, but none was taken back."""

    @classmethod
    def from_bytes(cls, data: bytes, terms: Sequence[Terms]) -> Self:
        made = super().from_bytes(data, terms)
        made.merged, made._found, made.seen = set(made._found), {}, {}
        return made


@pytest.mark.parametrize("dismissed", [False, True])
async def test_what_became_a_part_of_another_is_taken_back_by_whoever_takes_over(
    store: Cuttable, *, dismissed: bool
) -> None:
    async with hunter_on(store):
        await tell(store, 1, "a", "b", "c")
        (campaign,) = await found(store)
    if dismissed:
        await registry_of(store).dismiss(campaign.id, "rita", "a public prompt")
    async with hunter_on(store, kind=Joined) as hunter:
        await until(lambda: hunter.active)
        await tell(store, 2, "d", "e", "f")
        await found(store, count=2 if dismissed else 1)
    left = {standing.head.finding.id for standing in await registry_of(store).all()}
    assert (campaign.id in left) is dismissed, "what people decided about stays to be seen"


class Losing(FakeHunt):
    """A core that finds that the account `c` does not belong once there are five."""

    def judge(self, now: float) -> list[Finding]:
        for accounts in self.seen.values():
            if len(accounts) == 5:
                del accounts["c"]
        return super().judge(now)


async def test_an_account_that_left_is_freed_too_when_its_finding_is_dismissed(store: Cuttable) -> None:
    flags = FlagRegistry(store, SystemClock())

    async def flagged() -> bool:
        return "c" in {key.name async for key, _ in flags.list(subject=Subject.ACCOUNT)}

    async with hunter_on(store, kind=Losing):
        await tell(store, 1, "a", "b", "c")
        (campaign,) = await found(store)
        await tell(store, 1, "d", "e")
        await until(flagged)
        await registry_of(store).dismiss(campaign.id, "rita", "a public prompt")
        assert [key.name async for key, _ in flags.list()] == []


async def test_flags_of_the_entry_that_a_finding_met_before_go_with_its_dismissal_too(store: Cuttable) -> None:
    clock = SystemClock()
    async with hunter_on(store):
        await tell(store, 1, "a", "b", "c")
        (campaign,) = await found(store)
        rows = []
        for name, reason in [
            ("before", f"campaign {campaign.id}: 3 accounts by then"),
            ("other", "campaign c-9: 3 accounts"),
        ]:
            flag = Flag("campaign", 80, clock.wall(), clock.wall() + 3600, "earlier-entry", reason)
            rows.append(flag_row(FlagKey(World.ENFORCED, Subject.ACCOUNT, name, "campaign"), flag))
        await store.write(rows)
        await registry_of(store).dismiss(campaign.id, "rita", "a public prompt")
        assert [key.name async for key, _ in FlagRegistry(store, clock).list()] == ["other"]


async def test_another_pack_brings_its_own_thresholds(store: Cuttable) -> None:
    async with hunter_on(store) as hunter:
        await tell(store, 1, "a", "b")
        await until(lambda: number(hunter.snapshot(), "stillgate_hunter_events_total") == 2)
        assert await registry_of(store).all() == []
        hunter.adopt(pack(min_accounts=2))
        assert len(await found(store)) == 1


async def test_while_the_store_is_away_nobody_is_active_and_afterwards_it_goes_on(
    store: Cuttable, caplog: pytest.LogCaptureFixture
) -> None:
    async with hunter_on(store) as hunter:
        await tell(store, 1, "a", "b")
        await until(lambda: hunter.active)
        store.away = True
        await until(lambda: not hunter.active)
        store.away = False
        await tell(store, 1, "c")
        (campaign,) = await found(store)
        assert campaign.exposure.exchanges == 3
    assert "the store is away" in caplog.text


async def test_who_is_not_active_any_more_tells_of_no_findings(store: Cuttable) -> None:
    """What another hunter has since found, or people decided, would be hidden by a maximum over both."""
    async with hunter_on(store) as hunter:
        await tell(store, 1, "a", "b", "c")
        await found(store)
        await until(lambda: number(hunter.snapshot(), "stillgate_findings", "open") == 1)
        store.away = True
        await until(lambda: not hunter.active)
        snapshot = hunter.snapshot()
        assert (snapshot["stillgate_findings"], number(snapshot, "stillgate_hunter_checkpoint_bytes")) == ([], 0)
        store.away = False
        await until(lambda: hunter.active)
        await until(lambda: bool(hunter.snapshot()["stillgate_findings"]))


async def test_each_time_the_store_is_away_is_told_once(
    store: Cuttable, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hunter_module, "TURN_S", 0.01)
    async with hunter_on(store) as hunter:
        for times in (1, 2):
            await until(lambda: hunter.active and not hunter._waits)
            store.away, store.refused = True, 0
            await until(lambda: store.refused > 10)
            store.away = False
            assert caplog.text.count("the store is away") == times


async def test_what_cannot_be_read_or_used_is_counted_and_passed_over(
    store: Cuttable, caplog: pytest.LogCaptureFixture
) -> None:
    async with hunter_on(store) as hunter:
        await store.append(EVENTS_STREAM, b"garbage", 1 << 20, "g")
        await tell(store, 1, "poison", "b")
        await tell(store, 1, "a", "b", "c")
        await found(store)
        assert number(hunter.snapshot(), "stillgate_hunter_malformed_total") == 3
    assert "a batch of events cannot be used" in caplog.text


async def test_events_that_were_dropped_unread_are_told_of(store: Cuttable, caplog: pytest.LogCaptureFixture) -> None:
    await tell(store, 1, "a")
    await StoreCheckpoints(store).save(Checkpoint("1", FakeHunt([]).to_bytes()))
    for account in "bcd":
        await store.append(EVENTS_STREAM, encode([event(account, prints=(1,))], 1.0), 1, account)
    async with hunter_on(store) as hunter:
        await until(lambda: number(hunter.snapshot(), "stillgate_hunter_gaps_total") == 1)
    assert "events were dropped" in caplog.text


async def test_a_state_that_is_of_no_use_is_left_for_a_new_beginning(
    store: Cuttable, caplog: pytest.LogCaptureFixture
) -> None:
    await StoreCheckpoints(store).save(Checkpoint("7", b"no json"))
    async with hunter_on(store):
        await tell(store, 1, "a", "b", "c")
        await found(store)
    assert "the hunter begins anew" in caplog.text


async def test_what_was_dismissed_does_not_come_back_after_a_new_beginning(store: Cuttable) -> None:
    registry = registry_of(store)
    async with hunter_on(store) as hunter:
        await tell(store, 1, "a", "b", "c")
        (campaign,) = await found(store)
        await registry.dismiss(campaign.id, "rita", "a public prompt")
        await until(lambda: number(hunter.snapshot(), "stillgate_findings", "dismissed") == 1)
    await StoreCheckpoints(store).save(Checkpoint("", b"of another version"))
    async with hunter_on(store):
        await tell(store, 1, "d", "e", "f")
        await tell(store, 2, "d", "e", "f")
        after = await found(store, count=2)
    assert [entry.id for entry in after if entry.templates[0].id == "tpl-1"] == [campaign.id]


class Failing(FileCheckpoints):
    """A disk that is full."""

    async def save(self, checkpoint: Checkpoint) -> None:
        del checkpoint
        raise CheckpointLost("no space left")


async def test_a_checkpoint_that_cannot_be_written_keeps_no_finding_back(
    store: Cuttable, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with hunter_on(store, checkpoints=Failing(tmp_path / "state")) as hunter:
        await tell(store, 1, "a", "b", "c")
        await found(store)
        assert number(hunter.snapshot(), "stillgate_hunter_checkpoint_failures_total") >= 1
        assert (await store.follow(EVENTS_STREAM, "", 10)).entries
    assert "no space left" in caplog.text


async def test_after_kill_9_another_process_takes_over_within_ten_seconds_and_repeats_nothing(tmp_path: Path) -> None:
    with Valkey(tmp_path / "s", port=0) as server:
        store = await open_store(server.url, clock=SystemClock())
        processes = []
        for _ in range(2):
            processes.append(
                await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "tests.hunting.fake_hunt", server.url, stdout=asyncio.subprocess.PIPE
                )
            )
            if len(processes) == 1:
                assert processes[0].stdout is not None
                async with asyncio.timeout(20):
                    assert (await processes[0].stdout.readline()).startswith(b"active")
        try:
            await tell(store, 1, "a", "b", "c")
            await tell(store, 2, "x", "y")
            (campaign,) = await found(store)
            await tell(store, 1, "d")
            processes[0].kill()
            died = time.monotonic()
            assert processes[1].stdout is not None
            async with asyncio.timeout(20):
                said = (await processes[1].stdout.readline()).split()
            assert said[0] == b"active"
            assert float(said[1]) - died < 10
            await tell(store, 2, "z")
            both = await found(store, count=2, accounts=7)
            assert len(both) == 2
            assert campaign.id in {entry.id for entry in both}
            assert sum(entry.exposure.exchanges for entry in both) == 7
        finally:
            for process in processes:
                if process.returncode is None:
                    process.kill()
                await process.wait()
            await store.close()


async def test_what_a_hunter_knows_is_published_again_after_the_store_was_emptied(tmp_path: Path) -> None:
    with Valkey(tmp_path / "s", port=0) as server:
        store = await open_store(server.url, clock=SystemClock())
        try:
            async with hunter_on(store, checkpoints=FileCheckpoints(tmp_path / "state")):
                await tell(store, 1, "a", "b", "c")
                (campaign,) = await found(store)
                await asyncio.to_thread(command, server.url, "FLUSHALL")

                async def known() -> bool:
                    return [each.id async for each in CampaignStore(store).list()] == [campaign.id]

                await until(known, within=20)
                assert [entry.id for entry in await found(store)] == [campaign.id]
        finally:
            await store.close()


async def test_a_clock_that_was_set_ahead_and_back_ends_no_campaign_and_lets_none_last(
    store: Cuttable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """L-10: one that the core has forgotten is in force as long as before, one that it knows from then on."""
    monkeypatch.setattr(hunter_module, "_SWEEP_S", 0.02)
    clock, now = SettableSystem(), time.time()  # noqa: TID251 - as the clock has it
    await CampaignStore(store).publish(campaign("c-idle", until=now + 60))

    async def ends() -> dict[str, float]:
        return {known.id: known.until - now async for known in CampaignStore(store).list()}

    async def far() -> bool:
        return max((await ends()).values()) > YEAR

    async def right() -> bool:
        return not await far()

    async with hunting(store, pack(), clock, kind=FakeHunt, max_mode=Mode.ENFORCE, pace=QUICK) as hunter:
        await until(lambda: hunter.active)
        clock.ahead = 10 * YEAR
        await tell(store, 1, "a", "b", "c")
        await until(far)
        clock.ahead = 0.0
        await until(right)
        assert (await ends())["c-idle"] == pytest.approx(60)


class Noting(FakeHunt):
    """A core that notes when exchanges were."""

    moments: ClassVar[list[float]] = []

    def see(self, events: Sequence[Event]) -> None:
        self.moments.extend(event.at for event in events)
        super().see(events)


async def test_exchanges_that_were_told_by_a_clock_that_is_ahead_count_as_those_of_now(store: Cuttable) -> None:
    """L-10: the last exchange of a campaign would be next year's, and it would not be told of any more until then."""
    Noting.moments.clear()
    now = time.time()  # noqa: TID251 - as the clock has it
    events = [event(f"acme-{number}", at=now + YEAR - number) for number in range(3)]
    async with hunter_on(store, kind=Noting):
        await store.append(EVENTS_STREAM, encode(events, now + YEAR), 1 << 20, "op")
        await until(lambda: len(Noting.moments) == 3)
    assert [round(moment - now) for moment in Noting.moments] == pytest.approx([0, -1, -2], abs=5)


async def test_rows_that_are_no_findings_do_not_stop_a_hunter(store: Cuttable) -> None:
    async with hunter_on(store):
        await tell(store, 1, "a", "b", "c")
        (campaign,) = await found(store)
        await store.write([Row("findings", campaign.id, b"{}")])
        await tell(store, 1, "d")
        assert max((await found(store))[0].members) == "d"


async def test_whose_core_is_stuck_lets_another_take_over_and_its_lag_rises(
    store: Cuttable, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, freed = threading.Event(), threading.Event()

    class Stuck(FakeHunt):
        def judge(self, now: float) -> list[Finding]:
            stuck.set()
            freed.wait(60)
            return super().judge(now)

    monkeypatch.setattr(hunter_module, "_STUCK_S", 0.5)
    async with hunter_on(store, kind=Stuck) as first:
        try:
            await until(stuck.is_set)
            async with hunter_on(store) as second:
                await until(lambda: second.active, within=15.0)
                lag = number(first.snapshot(), "stillgate_hunter_lag_seconds")
                assert number(first.snapshot(), "stillgate_hunter_active") == 0
                assert number(second.snapshot(), "stillgate_hunter_active") == 1
                assert lag > 0.5
                await asyncio.sleep(0.01)
                assert number(first.snapshot(), "stillgate_hunter_lag_seconds") > lag
                freed.set()
                await until(lambda: not first.active)
        finally:
            freed.set()
