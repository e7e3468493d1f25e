from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from proxy.documents.problem import YamlProblems
from proxy.packs.watch import look, look_until_still, pack_of


def test_the_same_content_has_the_same_digest_wherever_its_links_lead(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "b").write_bytes(b"x")
    (tmp_path / "link").symlink_to("a")
    first = look(tmp_path / "link")
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to("b")
    second = look(tmp_path / "link")
    assert first.digest == second.digest
    assert (first.place, second.place) == (str(tmp_path / "a"), str(tmp_path / "b"))


def test_whatever_cannot_be_read_is_a_sight_with_its_reason(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for name, reason in (
        ("pipe", "not a file"),
        ("loop", "symbolic links"),
        ("away/pack.yaml", "No such file"),
        (".", "not a file"),
        ("x" * 300, "too long"),
    ):
        sight = look(tmp_path / name)
        assert sight.data is None
        assert reason in sight.digest, sight
        with pytest.raises(YamlProblems, match="cannot be read"):
            pack_of(sight, tmp_path / name)


def test_no_more_of_a_huge_file_is_read_than_tells_that_it_is_too_large(tmp_path: Path) -> None:
    (tmp_path / "huge").write_bytes(b"#" * 5_000_000)
    sight = look(tmp_path / "huge")
    assert sight.data is not None
    assert len(sight.data) == (1 << 20) + 1
    with pytest.raises(YamlProblems, match="larger than"):
        pack_of(sight, tmp_path / "huge")


async def test_a_file_that_changes_is_looked_at_until_it_holds_still(tmp_path: Path) -> None:
    file = tmp_path / "pack"
    file.write_bytes(b"")
    looking = asyncio.create_task(look_until_still(file, "known"))
    for number in range(6):
        await asyncio.sleep(0.05)
        file.write_bytes(b"x" * number)
    assert (await looking).data == b"x" * 5


async def test_a_file_that_never_holds_still_is_taken_as_it_is_after_a_while(tmp_path: Path) -> None:
    file = tmp_path / "pack"
    file.write_bytes(b"x")
    looking = asyncio.create_task(look_until_still(file, "known"))
    async with asyncio.timeout(10):
        while not looking.done():
            with file.open("ab") as growing:
                growing.write(b"x")
            await asyncio.sleep(0.01)
    assert looking.result().data
