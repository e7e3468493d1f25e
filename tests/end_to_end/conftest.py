"""A running proxy in front of a scripted upstream, and a witness of what its clients got."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.rig.invariants import Witness, assert_invariants
from tests.rig.process import Stillgate
from tests.rig.scripted_upstream import ScriptedUpstream


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream() as upstream:
        yield upstream


@pytest.fixture
def witness() -> Witness:
    return Witness()


@pytest.fixture
async def gate(tmp_path: Path, upstream: ScriptedUpstream, witness: Witness) -> AsyncIterator[Stillgate]:
    """One worker in front of `upstream`; what must always hold is asserted once the test is through."""
    async with Stillgate.start(tmp_path, upstream_url=upstream.url) as gate:
        yield gate
        await assert_invariants(witness, upstream, gate)
