"""What the parent does beside its children: it tells programs where they are."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from proxy.processes import supervisor
from proxy.processes.supervisor import _announced_later


async def test_where_it_is_is_not_told_in_a_folder_that_was_deleted_and_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_ROOM_S", 0.01)
    place = tmp_path / "data" / "serve.json"
    place.parent.mkdir()
    place.with_suffix(".new").symlink_to("/dev/full")
    telling = asyncio.create_task(_announced_later(place, {"pid": 1}))
    await asyncio.sleep(0)
    shutil.rmtree(place.parent)
    place.parent.mkdir()
    place.write_text("another's")
    async with asyncio.timeout(10):
        await telling
    assert place.read_text() == "another's"


async def test_where_it_is_is_told_nowhere_once_the_folder_is_gone(tmp_path: Path) -> None:
    await _announced_later(tmp_path / "gone" / "serve.json", {"pid": 1})
