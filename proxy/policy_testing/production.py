"""Joins the runner with what production decides with: its detectors, counters and flags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from proxy.detectors import build, field_table, joined, patterns_beside
from proxy.detectors.base import Detector
from proxy.detectors.content import Content
from proxy.patterns.sets import load_pattern_sets
from proxy.policy_testing.campaigns import KEY
from proxy.policy_testing.running import Runner
from proxy.policy_testing.world import Minds
from proxy.rules.flags.book import FlagBook
from proxy.rules.signals.book import SignalBook
from proxy.store.base import Store


def production_minds(pack_file: Path) -> Minds:
    """Return what a worker has that serves this pack, for worlds that are one process each.

    Raises YamlProblems if a set of patterns beside the pack cannot be used, ConfigurationError if none can be seen.
    """
    folder = patterns_beside(pack_file)
    content = Content(load_pattern_sets(folder) if folder is not None else ())  # for all worlds: it remembers nothing
    others = joined()

    def detectors(store: Store, released: Mapping[str, float]) -> Sequence[Detector]:
        return build(store, KEY, released, (), content=content, others=others)

    return Minds(field_table(), detectors, lambda: SignalBook(KEY), FlagBook)


def production_runner(pack_file: Path) -> Runner:
    """Return a runner that decides as production does."""
    return Runner(production_minds(pack_file))
