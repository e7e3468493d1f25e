"""Every pack that ships has tests of its own that leave nothing out and pin every number."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.policy_testing.examining import examine
from proxy.policy_testing.production import production_runner
from proxy.policy_testing.report import as_text
from proxy.rules.pack_loading import load_pack

PACKS = sorted((Path(__file__).parent.parent / "policies").glob("*.yaml"))


@pytest.mark.timeout(900)  # thousands of requests for each of hundreds of nudged numbers
@pytest.mark.parametrize("path", PACKS, ids=lambda path: path.stem)
def test_every_pack_that_ships_is_covered_and_pinned_by_its_tests(path: Path) -> None:
    report = examine(path, load_pack(path), production_runner(path), coverage=True, mutate=True)
    assert report.passed, "\n".join(as_text(report))
