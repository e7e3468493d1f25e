"""A core that takes accounts for a campaign once enough of them share a first print; each finding gets an id at random.

So a finding that was found anew after a death is one with a second id. Run as a program it is a hunter process on a
store: `python -m tests.hunting.fake_hunt URL`; it says `active` once it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, Self

from proxy.clock import SystemClock
from proxy.hunter.event import Event
from proxy.hunter.finding import Evidence, Exposure, Finding, Member, Reach, Template
from proxy.hunter.terms import Terms
from proxy.hunting.hunter import Pace
from proxy.rules.pack.pack import Campaign, FlagSpec, Pack
from proxy.rules.pack.words import Mode, Subject
from proxy.store import open_store

QUICK = Pace(judge=0.05, checkpoint=0.2, poll=0.01)


def finding(finding_id: str = "camp-1", accounts: Sequence[str] = ("a", "b"), **changes: Any) -> Finding:
    members = {
        account: Member(account, f"t-{account}", 100.0, 5, 10, 50, 2.5, ("shares a template with 9 others",))
        for account in accounts
    }
    made: dict[str, Any] = {
        "id": finding_id,
        "rule": "extraction",
        "found_at": 1000.0,
        "updated_at": 2000.0,
        "first_at": 100.0,
        "last_at": 1990.0,
        "confidence": 0.97,
        "sought": "reasoning traces",
        "members": members,
        "templates": (Template("tpl-1", (2**64 - 1, 5), 2),),
        "evidence": (Evidence("text", 4.5, "2 accounts of 2 tenants share a template", {"accounts": 2.0}),),
        "exposure": Exposure(10, 9, 1000, 100, 8),
        "reach": Reach(1.0, 2.0, 100.0, {"payment": frozenset({"aa", "bb"})}),
        "hours": tuple(range(24)),
    }
    return Finding(**{**made, **changes})


class FakeHunt:
    """See the module."""

    def __init__(self, terms: Sequence[Terms]) -> None:
        self.terms = list(terms)
        self.seen: dict[int, dict[str, int]] = {}  # first print -> account -> events
        self.ids: dict[int, str] = {}
        self.honest: set[int] = set()
        self.merged: set[str] = set()
        self._found: dict[str, Finding] = {}

    @property
    def held(self) -> int:
        return sum(sum(accounts.values()) for accounts in self.seen.values())

    @property
    def findings(self) -> Mapping[str, Finding]:
        return self._found

    def see(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.account == "poison":
                raise RuntimeError("cannot take this")
            first = int(event.prints[0]) if len(event.prints) else 0
            accounts = self.seen.setdefault(first, {})
            accounts[event.account] = accounts.get(event.account, 0) + 1

    def judge(self, now: float) -> list[Finding]:
        del now
        changed = []
        for first, accounts in self.seen.items():
            met = [terms.rule for terms in self.terms if len(accounts) >= terms.min_accounts]
            if not met or first in self.honest:
                continue
            finding_id = self.ids.setdefault(first, f"camp-{secrets.token_hex(4)}")
            exposure = Exposure(sum(accounts.values()), 0, 0, 0, 0)
            templates = (Template(f"tpl-{first}", (first,), 1),)
            new = finding(finding_id, sorted(accounts), rule=met[0], exposure=exposure, templates=templates)
            if self._found.get(finding_id) != new:
                self._found[finding_id] = new
                changed.append(new)
        return changed

    def dismiss(self, finding_id: str) -> None:
        del self._found[finding_id]
        self.honest |= {first for first, known in self.ids.items() if known == finding_id}

    def excuse(self, finding: Finding) -> None:
        self.honest |= {template.prints[0] for template in finding.templates}

    def confirm(self, finding_id: str) -> None:
        self._found[finding_id]

    def adopt(self, terms: Sequence[Terms]) -> None:
        self.terms = list(terms)

    def to_bytes(self) -> bytes:
        seen = {str(first): accounts for first, accounts in self.seen.items()}
        ids = {str(first): known for first, known in self.ids.items()}
        return json.dumps([seen, ids, sorted(self.honest), list(self._found)]).encode()

    @classmethod
    def from_bytes(cls, data: bytes, terms: Sequence[Terms]) -> Self:
        made = cls(terms)
        seen, ids, honest, found = json.loads(data)
        made.seen = {int(first): accounts for first, accounts in seen.items()}
        made.ids = {int(first): known for first, known in ids.items()}
        made.honest = set(honest)
        made.judge(0)
        made._found = {known: entry for known, entry in made._found.items() if known in found}
        return made


def pack(min_accounts: int = 3, mode: Mode = Mode.ENFORCE) -> Pack:
    flag = FlagSpec("campaign", (Subject.TEMPLATE, Subject.CLUSTER, Subject.ACCOUNT), 80, 86_400_000)
    campaign = Campaign("extraction", mode, min_accounts, 2, 86_400_000, 0.9, flag, None)
    return Pack("p", "1", "o", f"{min_accounts:064}", (), campaigns=(campaign,))


async def _main(url: str) -> None:
    from proxy.hunting.process import hunting  # noqa: PLC0415 - the tests of the parts need no process

    clock = SystemClock()
    store = await open_store(url, clock=clock)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with hunting(store, pack(), clock, kind=FakeHunt, pace=QUICK, checkpoints=None, max_mode=Mode.ENFORCE) as one:
        while not one.active and not stop.is_set():
            await asyncio.sleep(0.01)
        print("active", time.monotonic(), flush=True)  # noqa: T201 - to the test that started it
        await stop.wait()
        one.stop()
    await store.close()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_main(sys.argv[1]))
