"""An admin side for each test, and one that is shared by tests that change nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.admin_side.ground import Ground, running


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[Ground]:
    async with running(tmp_path) as ground:
        yield ground


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def steady(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ground]:
    """One for all the tests of a module that leave it as it was, and say so by an assert."""
    async with running(tmp_path_factory.mktemp("steady")) as ground:
        yield ground
