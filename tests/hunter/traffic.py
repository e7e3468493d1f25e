"""A small deployment and its ordinary traffic, made from a seed: what campaigns and their look-alikes are put into.

Laws: one seed, one traffic; prints stand for pieces of text, so that who sends the same piece has the same prints, and
nobody else has any of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from proxy.hunter.event import Asked, Event
from proxy.hunter.finding import Finding
from proxy.hunter.hunt import Hunt
from proxy.hunter.terms import Terms

HOUR_S, DAY_S = 3600.0, 86400.0
START = 1_790_000_000.0 - 1_790_000_000.0 % DAY_S
TERMS = (Terms("extraction-campaign", 10, 8, 7 * DAY_S, 0.95),)
PLAIN = Asked("large")
ZONES_H = (-8, -5, 1, 8)
# Shares of a day's use by local hour: people sleep, and work more than they play.
AWAKE = np.array([2, 1, 1, 1, 1, 2, 4, 7, 9, 10, 10, 9, 8, 9, 10, 10, 9, 8, 8, 8, 7, 6, 5, 3], np.float64)
AWAKE /= AWAKE.sum()


@lru_cache(maxsize=200_000)
def piece(name: str, count: int) -> tuple[int, ...]:
    """Return the prints of a piece of text, which are those of no other."""
    digest = blake2b(name.encode(), digest_size=64).digest() * (count // 8 + 1)
    return tuple(
        int.from_bytes(blake2b(digest[:8], digest_size=8, salt=n.to_bytes(8, "big")).digest(), "big")
        for n in range(count)
    )


@dataclass(slots=True)
class Account:
    """One account as it shows in events."""

    name: str
    tenant: str
    opened: float
    peer: str
    prefix: str
    agent: str
    payment: str
    zone_h: int = 0


@dataclass(slots=True)
class World:
    """Accounts and their exchanges; `guilty` has the accounts of the campaign, by name; `asked` goes with each prompt."""

    seed: int
    days: float = 2.0
    asked: Asked = PLAIN
    events: list[Event] = field(default_factory=list)
    guilty: set[str] = field(default_factory=set)
    rng: np.random.Generator = field(init=False)
    _fresh: int = 0

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def account(
        self,
        name: str,
        *,
        opened: float | None = None,
        tenant: str = "",
        peer: str = "",
        prefix: str = "",
        agent: str = "",
        payment: str = "",
    ) -> Account:
        """Return an account; what is not said is its own, and it was opened some time within two years."""
        if opened is None:
            opened = START - DAY_S * float(self.rng.exponential(200))
        return Account(
            name,
            tenant or f"t-{name}",
            opened,
            peer or f"peer-{name}",
            prefix or f"net-{peer or name}",
            agent or str(self.rng.choice(["sdk-a", "sdk-b", "sdk-c", "web", "curl"], p=[0.4, 0.25, 0.1, 0.2, 0.05])),
            payment or f"card-{name}",
            int(self.rng.choice(ZONES_H)),
        )

    def by_day(self, per_day: float, zone_h: int) -> NDArray[np.float64]:
        """Return the moments of somebody who sleeps, at about so many a day."""
        count = self.rng.poisson(per_day * self.days)
        hours = (self.rng.choice(24, count, p=AWAKE) - zone_h) % 24
        days = self.rng.integers(0, max(1, int(self.days)), count)
        moments: NDArray[np.float64] = START + days * DAY_S + (hours + self.rng.random(count)) * HOUR_S
        return np.sort(moments)

    def by_turns(self, accounts: int, per_day: float, *, from_h: float = 0.0) -> Iterator[tuple[int, float]]:
        """Yield account and moment of work that is dealt out by turns, around the clock."""
        span = self.days * DAY_S - from_h * HOUR_S
        total = int(accounts * per_day * span / DAY_S)
        for number, at in enumerate(np.sort(self.rng.random(total)) * span):
            yield (number + int(self.rng.integers(0, 3))) % accounts, START + from_h * HOUR_S + float(at)

    def ask(
        self,
        account: Account,
        at: float,
        *texts: tuple[str, int],
        question: str = "",
        output: float = 300.0,
        asked: Asked | None = None,
    ) -> None:
        """Note one exchange: pieces of text with the prints they have, and a question, a new one if none is given."""
        if not question:
            self._fresh += 1
            question = f"fresh-{self.seed}-{self._fresh}"
        prints = [value for name, count in (*texts, (question, 14)) for value in piece(name, count)]
        self.events.append(
            Event(
                at=float(at),
                account=account.name,
                tenant=account.tenant,
                opened=account.opened,
                peer=account.peer,
                prefix=account.prefix,
                agent=account.agent,
                links=(("payment", account.payment),),
                dialect="openai.chat",
                asked=asked or self.asked,
                input_tokens=200 + 10 * len(prints),
                output_tokens=max(1, int(output * self.rng.lognormal(0, 0.6))),
                reasoning_tokens=0,
                effect="allow",
                delivered=True,
                prints=np.unique(np.array(prints, np.uint64)),
                question=piece(question, 1)[0],
            )
        )


def ordinary(world: World) -> None:
    """Let the accounts of an ordinary deployment do what they do, before anybody else does; some 480 of them."""
    assert not world.events
    made = _ordinary(world.seed, world.days)
    world.events, world.rng, world._fresh = list(made.events), deepcopy(made.rng), made._fresh


@lru_cache(maxsize=2)
def _ordinary(seed: int, days: float) -> World:
    world = World(seed, days)
    offices = [f"office-{n}" for n in range(8)]
    _people(world, offices)
    _products(world)
    _users_of_shared_prompts(world, offices)
    return world


def _people(world: World, offices: Sequence[str]) -> None:
    """Every third sits in an office, and some were sold their account."""
    rng = world.rng
    cards = [f"reseller-{n}" for n in range(6)]
    for n in range(180):
        peer = str(rng.choice(offices)) if n % 3 == 0 else ""
        who = world.account(f"person-{n}", peer=peer, payment=str(rng.choice(cards)) if n % 10 == 0 else "")
        for at in world.by_day(rng.lognormal(0.8, 1.0), who.zone_h):
            public = f"public-{min(400, int(rng.zipf(1.6)))}" if rng.random() < 0.25 else ""
            world.ask(who, at, (f"own-{n}", 8), question=public, output=rng.choice([150, 300, 700]))


def _products(world: World) -> None:
    """Each has a template of its own, and works at night as well."""
    rng = world.rng
    for n in range(120):
        who = world.account(f"product-{n}")
        per_day, size = rng.lognormal(1.2, 1.0), rng.choice([80, 250, 900])
        for at in (
            world.by_day(per_day / 2, who.zone_h).tolist()
            + (START + rng.random(rng.poisson(per_day * world.days / 2)) * world.days * DAY_S).tolist()
        ):
            world.ask(who, at, (f"template-{n}", 24), output=size)


def _users_of_shared_prompts(world: World, offices: Sequence[str]) -> None:
    """A framework's prompt with words of their own, a coding agent's as it is, and an agency's clients."""
    rng = world.rng
    for n in range(90):
        who = world.account(f"framework-{n}")
        for at in world.by_day(rng.lognormal(0.8, 1.1), who.zone_h):
            world.ask(who, at, ("framework", 22), (f"words-{n}", 4), output=250)
    for n in range(70):
        who = world.account(f"coder-{n}", agent="coding-agent", peer=str(rng.choice(offices)) if n % 4 == 0 else "")
        for at in world.by_day(rng.lognormal(1.2, 1.0), who.zone_h):
            world.ask(who, at, ("coding-agent", 40), output=500)
    for n in range(20):
        who = world.account(f"client-{n}", payment="agency")
        for at in world.by_day(rng.lognormal(0.8, 1.0), who.zone_h):
            world.ask(who, at, (f"client-{n}", 16))


@dataclass(slots=True)
class Outcome:
    """What came of a hunt: the findings at its end, and everything that was told on the way, by judging."""

    hunt: Hunt
    told: list[tuple[float, Finding]]
    guilty: set[str]

    @property
    def named(self) -> set[str]:
        """All accounts in findings."""
        return {name for finding in self.hunt.findings.values() for name in finding.members}

    @property
    def recall(self) -> float:
        """The share of the guilty that was named."""
        return len(self.named & self.guilty) / len(self.guilty) if self.guilty else 1.0

    @property
    def innocent(self) -> set[str]:
        """Those who were named at any time and are not guilty."""
        return {name for _, finding in self.told for name in finding.members} - self.guilty

    @property
    def surest(self) -> float:
        """The highest confidence that any group has, found or not."""
        return max((group.confidence for group in self.hunt._suspects), default=0.0)


def run(
    events: Sequence[Event],
    guilty: set[str] | None = None,
    *,
    hunt: Hunt | None = None,
    every_s: float = 2 * HOUR_S,
    until: float | None = None,
) -> Outcome:
    """Tell a hunt these events in the order given, and let it judge every so often by their times."""
    hunt = hunt or Hunt(TERMS)
    told: list[tuple[float, Finding]] = []
    due = (events[0].at // every_s + 1) * every_s if events else START
    batch: list[Event] = []
    for event in events:
        if event.at >= due:
            hunt.see(batch)
            batch = []
            told += [(due, finding) for finding in hunt.judge(due)]
            due = (event.at // every_s + 1) * every_s
        batch.append(event)
    hunt.see(batch)
    told += [(due, finding) for finding in hunt.judge(until or due)]
    return Outcome(hunt, told, guilty or set())


def in_order(world: World) -> list[Event]:
    """Return all events by time."""
    return sorted(world.events, key=lambda event: event.at)
