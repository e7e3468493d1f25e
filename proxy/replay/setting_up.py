"""Builds a replay from the parts that decide in production: detectors, counters, flags, quotas and hunter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import orjson

from proxy.actions.base import Tools
from proxy.clock import VirtualClock
from proxy.config import Settings
from proxy.deciding.course import Terms
from proxy.deciding.decider import Decider
from proxy.detectors import build, field_table, patterns_beside
from proxy.detectors.content import Content
from proxy.detectors.foreign_signature import ForeignSignature
from proxy.errors import ConfigurationError
from proxy.hunter.finding import Finding
from proxy.hunting.acting import publish
from proxy.hunting.telling import TOLD_FIELDS
from proxy.keyed.link_names import LinkNames
from proxy.packs.archive import PACKS_FOLDER, load_archived
from proxy.replay.hunting import Acting, Grown, Hunter, Hunting
from proxy.replay.judging import Judging
from proxy.replay.reading import Wants
from proxy.replay.recorded import RecordedJudging
from proxy.replay.replaying import Stage
from proxy.replay.summary import Summary
from proxy.replay.writing import InLines, finding_row
from proxy.rules.campaigns.book import CampaignBook
from proxy.rules.campaigns.containment import Containment
from proxy.rules.engine import Engine
from proxy.rules.flags.book import FlagBook
from proxy.rules.pack.pack import Pack, hunts
from proxy.rules.pack.words import Mode
from proxy.rules.quotas.instant import InstantQuotas
from proxy.rules.signals.book import SignalBook
from proxy.settings.upstreams import Model
from proxy.store.memory import MemoryStore

# A fixed key of 32 bytes for each purpose: whoever replays traffic has its text, so nothing is secret here, and the
# same traffic always gives the same prints.
_SEALS_KEY: Final = b"replay: the seals of reasoning..."[:32]
_MEMBERS_KEY: Final = b"replay: members of signals......"[:32]
_PRINTS_KEY: Final = b"replay: the prints of prompts..."[:32]
_LINKS_KEY: Final = b"replay: what links accounts....."[:32]


@dataclass(frozen=True, slots=True)
class Scene:
    """What a replay is made from; `hunter` makes the hunter for a pack with campaigns, None: nothing is hunted."""

    pack_file: Path
    pack: Pack
    settings: Settings
    hunter: Callable[[Pack, Mode], Hunter] | None
    judge_every_s: float


def wants_of(scene: Scene) -> Wants:
    """Return what reading processes have to know."""
    table, pack, settings = field_table(), scene.pack, scene.settings
    engine = Engine(pack, table, SignalBook(_MEMBERS_KEY), FlagBook(), Mode(settings.max_mode))
    hunting = _hunts(scene)
    return Wants(
        fields=engine.reads | TOLD_FIELDS if hunting else engine.reads,
        patterns=patterns_beside(scene.pack_file),
        released={name: at for name, model in settings.models.items() if (at := model.released_at) is not None},
        allow=frozenset(settings.allow_parameters),
        seals_key=_SEALS_KEY,
        prints_key=_PRINTS_KEY if hunting else None,
        max_letters=pack.max_letters,
    )


def stage_of(scene: Scene, wants: Wants, decisions: IO[bytes] | None, findings: IO[bytes] | None) -> Stage:
    """Return everything that takes part, at the beginning."""
    table, pack, settings = field_table(), scene.pack, scene.settings
    clock, summary, flags = VirtualClock(0.0), Summary(), FlagBook()
    max_mode = Mode(settings.max_mode)
    engine = Engine(pack, table, SignalBook(_MEMBERS_KEY), flags, max_mode)
    # Detectors that read prompts ran when a line was read; those that remember are asked here.
    made = build(MemoryStore(clock), wants.seals_key, wants.released, (), content=Content(()))
    names = LinkNames(_LINKS_KEY)
    book = CampaignBook(names)
    containment = Containment(pack, book, max_mode) if _hunts(scene) else None
    # All but the one that remembers seals: none is ever issued here, so none may count as foreign.
    remembering = [
        each
        for each in made
        if not isinstance(each, ForeignSignature) and any(field.name in engine.reads for field in each.fields)
    ]
    decider = Decider(engine, InstantQuotas(pack, clock), remembering, table, Tools(clock), containment)
    models = {name: _terms(model) for name, model in settings.models.items()}

    def act(finding: Finding, now: float) -> None:
        publish(finding, pack, book, flags, max_mode, now)

    def tell(grown: Grown) -> None:
        summary.note_grown(grown)
        if findings is not None:
            findings.write(orjson.dumps(finding_row(grown)) + b"\n")

    hunting = None
    if scene.hunter is not None and _hunts(scene):
        acting = Acting(act, book.forget, book.end, tell)
        hunting = Hunting(scene.hunter(pack, max_mode), names, acting, scene.judge_every_s)
    return Stage(
        clock=clock,
        judging=Judging(decider, table, clock, models, _terms(Model())),
        recorded=RecordedJudging(pack, table, flags, clock, _archive(settings.data / PACKS_FOLDER)),
        hunting=hunting,
        decisions=InLines(decisions),
        summary=summary,
    )


def _hunts(scene: Scene) -> bool:
    return scene.hunter is not None and hunts(scene.pack, Mode(scene.settings.max_mode))


def _terms(model: Model) -> Terms:
    return Terms(model.max_output_tokens, model.input_picodollars, model.output_picodollars)


def _archive(folder: Path) -> Callable[[str], Pack | None]:
    def archived(digest: str) -> Pack | None:
        try:
            return load_archived(folder, digest)
        except ConfigurationError:
            return None

    return archived
