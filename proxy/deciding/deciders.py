"""Keeps what outlives a pack (counters, flags, leases, detectors) and joins it with one pack at a time."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import secrets
from collections.abc import Coroutine, Sequence
from functools import cache, partial
from typing import Any

from proxy.actions.base import Ask, ModelFacts, Tools
from proxy.clock import Clock, Steadiness
from proxy.config import Settings
from proxy.deciding.decider import Decider
from proxy.deciding.snapshot import Remembered
from proxy.detectors import build, field_table
from proxy.detectors.base import Storing
from proxy.errors import StoreUnavailable
from proxy.fingerprint.winnow import Fingerprinter
from proxy.hunting.telling import TOLD_FIELDS
from proxy.keyed.link_names import LinkNames
from proxy.patterns.pattern_set import PatternSet
from proxy.rules.campaigns.book import CampaignBook
from proxy.rules.campaigns.containment import Containment
from proxy.rules.campaigns.sync import CampaignSync
from proxy.rules.engine import Engine
from proxy.rules.flags.book import FlagBook
from proxy.rules.flags.sync import FlagSync
from proxy.rules.pack.pack import Pack, hunts
from proxy.rules.pack.words import Mode
from proxy.rules.quotas.quotas import Quotas
from proxy.rules.signals.book import SignalBook
from proxy.rules.signals.sync import SignalSync
from proxy.secrets import Master, Purpose
from proxy.store.base import Store
from proxy.store.feed_follower import follow_feed
from proxy.store.loss import StoreLoss
from proxy.store.memory import MemoryStore

_FLUSH_S = 1.0
_SWEEP_S = 3600.0


class Deciders:
    """The memory of one process; what `work` returns must run as long as it is used, `close` gives leases back.

    `ask` asks helper models. Raises ConfigurationError.
    """

    def __init__(
        self,
        settings: Settings,
        pack: Pack,
        store: Store,
        clock: Clock,
        master: Master,
        patterns: Sequence[PatternSet],
        ask: Ask | None = None,
    ) -> None:
        holder, numbers = secrets.token_hex(6), itertools.count()

        def op() -> str:
            return f"{holder}-{next(numbers)}"

        key = master.derive(Purpose.MEMBERS)
        self._store = store
        public_ids, others = frozenset(settings.public_ids), cache(master.others)
        self._tools = Tools(clock, cache(master.derive), _facts(settings), public_ids, ask=ask, others=others)
        self._clock = clock
        self._max_mode = Mode(settings.max_mode)
        self._first = self._quotas = Quotas(
            pack, store, clock, holder, op, processes=settings.replicas * settings.workers
        )
        self._loss = StoreLoss(store, self._first.rebuild)
        self._signals = SignalBook(key, shared=True)
        self._signal_sync = SignalSync(self._signals, store, clock, op)
        self._flags = FlagBook(shared=True)
        self._flag_sync = FlagSync(self._flags, store, clock)
        self._campaigns = CampaignBook(LinkNames(master.derive(Purpose.LINKS)))
        self._campaign_sync = CampaignSync(self._campaigns, store, clock)
        self._fingerprinter = Fingerprinter(master.derive(Purpose.PRINTS))
        self._table = field_table()
        self._remembered_at: float | None = None
        released = {name: at for name, model in settings.models.items() if (at := model.released_at) is not None}
        self._detectors = build(store, master.derive(Purpose.SEALS), released, patterns)

    async def begin(self, remembered: Remembered | None) -> None:
        """Read the flags and campaigns that are in the store, once, before anything is decided.

        If the store is away, those of the snapshot do. Raises StoreUnavailable if there is none either.
        """
        try:
            await self._flag_sync.begin()
            await self._campaign_sync.begin()
        except StoreUnavailable:
            if remembered is None:
                raise
            self._remembered_at = remembered.at
            past = MemoryStore(self._clock)
            await past.write(remembered.rows)
            await self._flag_sync.recall(past)
            await self._campaign_sync.recall(past)

    def compile(self, pack: Pack) -> Engine:
        """Return a pack's engine. Takes a second for 1,000 rules, so a thread calls it while customers are served."""
        return Engine(pack, self._table, self._signals, self._flags, self._max_mode)

    def put_to_work(self, engine: Engine) -> Decider:
        """Return the decider of a pack from now on; counts go on where their definition is unchanged."""
        pack = engine.pack
        self._quotas = self._quotas.adopt(pack)
        self._signals.keep_only(frozenset(signal.digest for signal in pack.signals))
        told = TOLD_FIELDS if hunts(pack, self._max_mode) else frozenset()
        wanted = engine.reads.union(engine.recorded, told)
        needed = [detector for detector in self._detectors if any(field.name in wanted for field in detector.fields)]
        containment = Containment(pack, self._campaigns, self._max_mode)
        prints = partial(self._fingerprinter.of_each, max_letters=pack.max_letters)
        fingerprint = prints if told or containment.looks else None
        return Decider(engine, self._quotas, needed, self._table, self._tools, containment, fingerprint, told)

    def numbers(self) -> dict[str, float]:
        """Return how much is kept here and how the store fares, by the names of the metrics."""
        return {
            **self._store.numbers(),
            **self._loss.numbers(),
            "stillgate_snapshot_age_seconds": self._age_of_what_is_remembered(),
            "stillgate_signal_keys": self._signals.keys,
            "stillgate_signals_dropped_total": self._signals.dropped,
            "stillgate_flags": len(self._flags),
            "stillgate_flags_evicted_total": self._flags.evicted,
            "stillgate_campaigns": len(self._campaigns),
            "stillgate_campaigns_evicted_total": self._campaigns.evicted,
        }

    def _age_of_what_is_remembered(self) -> float:
        if self._remembered_at is None or self._flag_sync.in_step:
            return 0.0
        return self._clock.wall() - self._remembered_at

    def local_answers(self) -> dict[tuple[str, tuple[str, ...]], float]:
        """Return how often limits were decided without the store, by the metric's name and its labels."""
        return {("stillgate_local_limits_total", key): count for key, count in self._first.local_answers.items()}

    def work(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """Return what has to run: what trades leases, counts, flags and campaigns with the store."""
        return (
            self._first.run(),
            follow_feed(self._store, self._clock, self._loss),
            self._signal_sync.run(),
            self._flag_sync.run(),
            self._campaign_sync.run(),
            self._store_what_detectors_learn(),
        )

    async def close(self) -> None:
        """Give back what is held and tell what was counted and flagged, as far as the store can be reached."""
        with contextlib.suppress(StoreUnavailable):
            await self._flag_sync.flush()
            await self._signal_sync.flush()
            await self._flush_detectors()
        await self._first.close()

    async def _flush_detectors(self) -> None:
        for detector in self._detectors:
            if isinstance(detector, Storing):
                await detector.flush()

    async def _store_what_detectors_learn(self) -> None:
        """Flush detectors every second, and delete what is too old once an hour, at a moment of this process's own.

        In the hour after the clock was set nothing is deleted: by a wrong clock all is too old.
        """
        steadiness = Steadiness(self._clock)
        sweep_at = self._clock.monotonic() + random.uniform(0, _SWEEP_S)  # noqa: S311 - so that few sweep at a time
        while True:
            await asyncio.sleep(_FLUSH_S)
            with contextlib.suppress(StoreUnavailable):
                await self._flush_detectors()
                if not steadiness.set_within(_SWEEP_S) and self._clock.monotonic() >= sweep_at:
                    sweep_at = self._clock.monotonic() + _SWEEP_S
                    for detector in self._detectors:
                        if isinstance(detector, Storing):
                            await detector.sweep(self._clock.wall())


def _facts(settings: Settings) -> dict[str, ModelFacts]:
    speaks = {name: frozenset[str](upstream.dialects) for name, upstream in settings.upstreams.items()}
    first: dict[tuple[str, str], str] = {}  # for each model of an upstream, the first of its names here
    return {
        name: ModelFacts(
            model.max_output_tokens,
            speaks.get(model.upstream, frozenset()),
            model.upstream,
            first.setdefault((model.upstream, model.known_as or name), name),
        )
        for name, model in sorted(settings.models.items())
    }
