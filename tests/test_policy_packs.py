"""Every pack that ships has tests of its own that leave nothing out and pin every number."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.policy_testing.examining import examine
from proxy.policy_testing.production import production_runner
from proxy.policy_testing.report import as_text
from proxy.rules.mutate import Mutant
from proxy.rules.pack.pack import Pack, Quota
from proxy.rules.pack.words import Mode
from proxy.rules.pack_file.loading import load_pack

PACKS = sorted((Path(__file__).parent.parent / "policies").glob("*.yaml"))
SEED = 20261126
DEFAULT = next(path for path in PACKS if path.stem == "default")


def without_most_quotas(share: float) -> Callable[[Mutant], bool]:
    """Return what leaves out all but a share of the nudges of quotas, which take ten times as long as all others."""
    dice = random.Random(SEED)
    return lambda mutant: not isinstance(mutant.before, Quota) or dice.random() < share


def numbers(pack: Pack) -> list[Quota]:
    return [replace(quota, mode=Mode.OFF) for quota in pack.quotas]


@pytest.mark.timeout(900)  # thousands of requests for each of hundreds of nudged numbers
@pytest.mark.parametrize("path", PACKS, ids=lambda path: path.stem)
def test_every_pack_that_ships_is_covered_and_pinned_by_its_tests(path: Path) -> None:
    """The numbers of quotas are the same in all: a share of them is nudged in one, all of them in the long form."""
    pack = load_pack(path)
    assert numbers(pack) == numbers(load_pack(DEFAULT))
    wanted = without_most_quotas(1 / 5 if path == DEFAULT else 0)
    report = examine(path, pack, production_runner(path), coverage=True, mutate=wanted)
    assert report.passed, "\n".join(as_text(report))


@pytest.mark.soak
@pytest.mark.parametrize("path", PACKS, ids=lambda path: path.stem)
def test_every_number_of_every_pack_is_pinned_by_the_packs_own_tests(path: Path) -> None:
    report = examine(path, load_pack(path), production_runner(path), coverage=True, mutate=True)
    assert report.passed, "\n".join(as_text(report))
