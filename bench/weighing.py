"""What the hunter says of every candidate that it weighs, and what is true of it, in deployments with labels.

Laws: the hunter never sees a label. A candidate is right if most of its accounts are a campaign's.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench.arena import generate
from proxy.cli.replay import run as replay
from proxy.config import load_settings
from proxy.hunter.background import Background
from proxy.hunter.case import Case
from proxy.hunter.event import Asked, Event
from proxy.hunter.evidence import certainty, confidence
from proxy.hunter.finding import Evidence, Finding
from proxy.hunter.hunt import Hunt
from proxy.hunter.named import Named
from proxy.hunter.terms import Terms
from proxy.hunting.core import terms_of
from proxy.replay.setting_up import Scene
from proxy.rules.pack.pack import Pack
from proxy.rules.pack.words import Mode
from proxy.rules.pack_file.loading import load_pack
from tests.hunter import campaigns, look_alikes
from tests.hunter.traffic import HOUR_S, PLAIN, TERMS, World, in_order, ordinary, run

JUDGED_EVERY_S = 3 * HOUR_S
# Which part of the accounts that a campaign or its look-alike adds is left, and of their exchanges.
STRENGTHS = ((1.0, 1.0), (1.0, 0.4), (0.5, 1.0), (0.5, 0.5), (0.3, 0.6))

Make = Callable[[World], None]

# A campaign or a look-alike each, and what its prompt asks for; but the campaign that is most of its deployment, which
# takes longer than all others together.
DEPLOYMENTS: tuple[tuple[Make, Asked], ...] = (
    *((make, PLAIN) for make in campaigns.CAMPAIGNS if make is not campaigns.majority),
    *((make, PLAIN) for make, _ in campaigns.AMONG_HONEST_USERS),
    (campaigns.judges_of_two_months, PLAIN),
    (campaigns.unevenly_pooled, PLAIN),
    *((make, PLAIN) for make in look_alikes.LOOK_ALIKES),
    *((make, campaigns.REASONING) for make in look_alikes.OCCASIONS),
)


class Weighing(NamedTuple):
    """One candidate at one moment; `kind` is the deployment without its seed and its strength.

    `sure` is what the terms of a pack are compared with, `told` whether it was a finding before.
    """

    kind: str
    deployment: str
    candidate: str
    sure: float
    told: bool
    members: int
    guilty: int

    @property
    def right(self) -> bool:
        """Whether most of it is a campaign's."""
        return 2 * self.guilty > self.members


class Noted(NamedTuple):
    """What a hunt said; of the `members` that it named, by name, how well each fits, and whether it is guilty."""

    weighed: list[Weighing]
    members: dict[str, tuple[float, bool]]


class Watched(Hunt):
    """A hunt that notes what it says of every candidate, and of every member of what it reports."""

    def __init__(self, terms: Sequence[Terms], kind: str, deployment: str, guilty: Collection[str]) -> None:
        super().__init__(terms)
        self._of = (kind, deployment)
        self._guilty = guilty
        self.noted = Noted([], {})

    def judge(self, now: float) -> list[Finding]:
        """Judge as a hunt does, and note who is named."""
        told = super().judge(now)
        for finding in told:
            for name, member in finding.members.items():
                self.noted.members[name] = (member.weight, name in self._guilty)
        return told

    def _weigh(
        self, named: Named, rows: Mapping[str, np.ndarray], usual: Background
    ) -> tuple[Case, Sequence[Evidence]]:
        case, evidence = super()._weigh(named, rows, usual)
        told = named.group.finding is not None
        names = list(map(case.accounts.name, case.members.tolist()))
        sure = confidence(evidence) if told else certainty(evidence)
        guilty = sum(name in self._guilty for name in names)
        self.noted.weighed.append(Weighing(*self._of, named.group.id, sure, told, len(names), guilty))
        return case, evidence


def made(seed: int) -> Iterator[Noted]:
    """Hunt in every deployment made for the tests, whole and weakened."""
    for make, asked in DEPLOYMENTS:
        for strength in STRENGTHS if make is not look_alikes.nothing else STRENGTHS[:1]:
            yield hunted(make, asked, strength, seed)


def hunted(make: Make, asked: Asked, strength: tuple[float, float], seed: int) -> Noted:
    """Hunt in one deployment made for the tests."""
    world = World(seed)
    ordinary(world)
    before = {event.account for event in world.events}
    world.asked = asked
    make(world)
    weaken(world, before, strength)
    kind = f"{make.__name__}{', asking' if asked is not PLAIN else ''}"
    hunt = Watched(TERMS, kind, f"{kind} {seed} {strength}", world.guilty)
    run(in_order(world), world.guilty, hunt=hunt, every_s=JUDGED_EVERY_S)
    return hunt.noted


def weaken(world: World, spared: Collection[str], strength: tuple[float, float]) -> None:
    """Leave a part of the accounts that are not spared, and of what those send."""
    of_accounts, of_exchanges = strength
    others = sorted({event.account for event in world.events}.difference(spared))
    left = {name for name in others if world.rng.random() < of_accounts}

    def stays(event: Event) -> bool:
        return event.account in spared or (event.account in left and world.rng.random() < of_exchanges)

    world.events = [event for event in world.events if stays(event)]


def generated(arena: Path, scenario: Path, seed: int, pack_file: Path, jobs: int) -> Noted:
    """Hunt in traffic that an arena makes, as `stillgate replay` does. Raises ArenaFailed."""
    with tempfile.TemporaryDirectory(prefix="arena-") as folder:
        generate(arena, scenario, seed, Path(folder))
        labels: dict[str, Any] = json.loads((Path(folder) / "labels.json").read_text())
        guilty = {name for name, label in labels["accounts"].items() if label["campaign"]}
        hunts: list[Watched] = []

        def hunter(pack: Pack, max_mode: Mode) -> Hunt:
            hunts.append(Watched(terms_of(pack, max_mode), scenario.stem, f"{scenario.stem} {seed}", guilty))
            return hunts[-1]

        settings = load_settings(None, {"data": Path(folder) / "data"})
        scene = Scene(pack_file, load_pack(pack_file), settings, hunter, 180.0)
        replay(scene, [Path(folder) / "traffic.jsonl"], (None, None), jobs)
        return hunts[0].noted
