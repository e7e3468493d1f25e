"""The course of the demonstration, and what is known of it at every moment.

Laws: everything goes through the proxy over HTTP as it would in production; what is judged at the end is what the
customers got and what the hunter reported, nothing that only the demonstration knows.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random

from proxy.clock import Clock
from proxy.demo import cast
from proxy.demo.cast import CAMPAIGN, HONEST, Customer
from proxy.demo.scene import Answer, Scene
from proxy.hunter.finding import Finding

_HONEST_PER_S = 24.0
_CALM_S = 7.0  # of honest traffic before the campaign begins: what is usual has to be known
_MEMBERS_PER_S = 6.0
_ROUNDS = 12  # at most; below what any rule asks of a single account
_FOUND_S = 30.0
_WHOLE_S = 20.0
_LOOK_S = 0.3
_AFTER_S = 4.0  # of traffic after the newcomer's request
_TOGETHER = 8  # requests under way


@dataclass
class Tally:
    """What customers of one role got."""

    answered: int = 0
    limited: int = 0
    refused: int = 0

    def take(self, answer: Answer) -> None:
        """Count an answer."""
        self.answered += answer.status == 200
        self.refused += answer.status != 200
        self.limited += answer.limited


@dataclass
class Progress:
    """How far it is; seconds count from the campaign's first request."""

    act: str = "starting"
    tallies: dict[str, Tally] = field(default_factory=lambda: {role: Tally() for role in (*HONEST, CAMPAIGN)})
    finding: Finding | None = None
    found_after_s: float | None = None
    held_after_s: float | None = None  # when the first member was answered from the ladder
    before_held: int = 0  # answers that the campaign got in full
    asked: Counter[str] = field(default_factory=Counter)  # requests of each account
    newcomer: Answer | None = None
    accounts: Counter[str] = field(default_factory=Counter)  # how many there are of each role
    accused: list[str] = field(default_factory=list)  # honest accounts among the members
    touched: set[str] = field(default_factory=set)  # honest accounts that were limited or refused

    @property
    def members_found(self) -> int:
        """How many accounts the hunter names."""
        return 0 if self.finding is None else len(self.finding.members)

    @property
    def contained(self) -> bool:
        """Whether the first request of a brand-new account of the campaign was answered from the ladder."""
        return self.newcomer is not None and self.newcomer.limited and not self.newcomer.logprobs

    @property
    def good(self) -> bool:
        """Whether the campaign was found and contained, and no honest account touched."""
        return self.finding is not None and self.contained and not self.accused and not self.touched


class Play:
    """One run. `told` is called whenever there is something to say in a line."""

    def __init__(self, scene: Scene, clock: Clock, progress: Progress, told: Callable[[str], None], seed: int) -> None:
        self._scene = scene
        self._clock = clock
        self._progress = progress
        self._told = told
        self._dice = Random(seed)  # noqa: S311 - a play, not a secret
        self._honest = cast.honest(self._dice)
        self._members = cast.campaign(self._dice)
        self._room = asyncio.Semaphore(_TOGETHER)
        self._began = 0.0

    async def run(self) -> None:
        """Play it from beginning to end."""
        everybody = [*self._honest, *self._members]
        self._progress.accounts = Counter(customer.role for customer in everybody)
        await self._scene.invite(everybody)
        async with asyncio.TaskGroup() as tasks:
            everyday = tasks.create_task(self._everyday())
            self._act(f"{len(self._honest)} honest accounts at work")
            await asyncio.sleep(_CALM_S)
            self._act(f"a campaign begins: {len(self._members)} accounts of as many organisations, taking turns")
            self._began = self._clock.monotonic()
            copying = tasks.create_task(self._copy())
            if await self._within(_FOUND_S, self._look):
                await self._within(_WHOLE_S, self._is_whole)
                self._told(f"{self._progress.members_found} of its {cast.MEMBERS} accounts are known")
                await self._join()
            copying.cancel()
            await asyncio.sleep(_AFTER_S)
            await self._look()
            everyday.cancel()

    async def _everyday(self) -> None:
        """Let honest customers ask, each as often as is its way, until cancelled."""
        weights = [customer.weight for customer in self._honest]
        async with asyncio.TaskGroup() as tasks:
            while True:
                (customer,) = self._dice.choices(self._honest, weights)
                tasks.create_task(self._ask(customer))
                await asyncio.sleep(self._dice.expovariate(_HONEST_PER_S))

    async def _copy(self) -> None:
        """Deal the campaign's work out over its accounts, until cancelled or through."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(_ROUNDS):
                for member in self._dice.sample(self._members, len(self._members)):
                    tasks.create_task(self._ask(member))
                    await asyncio.sleep(1 / _MEMBERS_PER_S)

    async def _ask(self, customer: Customer) -> Answer:
        async with self._room:
            answer = await self._scene.ask(customer, customer.writes(self._dice))
        progress = self._progress
        progress.tallies[customer.role].take(answer)
        progress.asked[customer.account] += 1
        if customer.role != CAMPAIGN:
            if answer.limited or answer.status != 200:
                progress.touched.add(customer.account)
        elif answer.limited and progress.held_after_s is None:
            progress.held_after_s = held = self._clock.monotonic() - self._began
            await self._look()  # what acts was published before: say first what it is
            self._told(f"members are answered from the ladder, {held:.1f} s after the first request")
        elif not answer.limited:
            progress.before_held += 1
        return answer

    async def _look(self) -> bool:
        """Read what the hunter reports, as a reviewer would; return whether there is a campaign."""
        progress, campaigns = self._progress, self._scene.deployment.campaigns
        standings = await campaigns.all()
        if not standings:
            return False
        findings = [(await campaigns.show(standing.head.finding.id))[1] for standing in standings]
        progress.finding = max(findings, key=lambda finding: len(finding.members))
        members = {account for finding in findings for account in finding.members}
        progress.accused = sorted(members & {customer.account for customer in self._honest})
        if progress.found_after_s is None:
            progress.found_after_s = self._clock.monotonic() - self._began
            self._act(
                f"campaign {progress.finding.id} found, {progress.found_after_s:.1f} s after its first request: "
                f"{progress.members_found} accounts"
            )
        return True

    async def _is_whole(self) -> bool:
        """Tell whether every member is known, and the ladder answers them."""
        await self._look()
        return self._progress.held_after_s is not None and self._progress.members_found >= cast.MEMBERS

    async def _join(self) -> None:
        """Let the campaign open one more account, and see what its first request gets."""
        newcomer = cast.newcomer()
        await self._scene.invite([newcomer])
        self._act(f"the campaign opens one more account, {newcomer.account}, with a card that nobody has seen")
        self._progress.newcomer = await self._ask(newcomer)
        answered = "from the ladder" if self._progress.contained else "in full"
        self._told(f"its first request is answered {answered}")

    async def _within(self, seconds: float, true: Callable[[], Awaitable[bool]]) -> bool:
        """Wait until something is true; return whether it became so in time."""
        until = self._clock.monotonic() + seconds
        while not await true():
            if self._clock.monotonic() >= until:
                return False
            await asyncio.sleep(_LOOK_S)
        return True

    def _act(self, words: str) -> None:
        self._progress.act = words
        self._told(words)
