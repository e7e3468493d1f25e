"""What a finding says: which line of which file, and which number of which chain."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.clock import VirtualClock
from proxy.decision import Effect, Verdict
from proxy.decisions.checkpoints import Terms
from proxy.decisions.journal import Journal
from proxy.decisions.target import FileTarget
from proxy.verifying.findings import Damage, Place
from tests.decisions.bindings import sealed
from tests.decisions.chained import DIGEST, write_log
from tests.decisions.endings import STARTED, ending, exchange, recorder
from tests.verifying.damaged import checked


async def test_an_edited_line_is_named_by_its_place_and_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "decisions" / "log.jsonl"
    path.parent.mkdir()
    key = await write_log(path, 60)
    first = path.rename(path.with_name("log-1.jsonl"))
    before = first.read_bytes().count(b"\n")
    await write_log(path, 60)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[19] = lines[19].replace(b'"allow"', b'"admit"')
    path.write_bytes(b"".join(lines))
    (finding,) = checked(first, path, key=key).findings
    assert (finding.damage, finding.place, finding.seq) == (Damage.EDITED, Place(path, 20), before + 20)


async def test_a_line_before_the_last_checkpoint_is_the_edited_one_and_not_the_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    key = await write_log(path, 60)
    *lines, edited, checkpoint = path.read_bytes().splitlines(keepends=True)
    assert b'"kind":"checkpoint"' in checkpoint
    path.write_bytes(b"".join([*lines, edited.replace(b'"time":"2', b'"time":"3'), checkpoint]))
    (finding,) = checked(path, key=key).findings
    assert (finding.damage, finding.place) == (Damage.EDITED, Place(path, len(lines) + 1))


async def test_where_no_checkpoint_ends_a_log_the_line_before_the_last_is_the_edited_one(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    key = await write_log(path, 60)
    lines = path.read_bytes().splitlines(keepends=True)
    last = max(number for number, line in enumerate(lines) if b'"kind":"exchange"' in line)
    lines[last - 1] = lines[last - 1].replace(b'"time":"2', b'"time":"3')
    path.write_bytes(b"".join(lines[: last + 1]))
    (finding,) = checked(path, key=key).findings
    assert (finding.damage, finding.place) == (Damage.EDITED, Place(path, last))


@pytest.mark.parametrize("damage", Damage)
def test_the_page_for_operators_names_each_damage(damage: Damage) -> None:
    page = Path(__file__).parents[2] / "deploy" / "operating.md"
    assert f"`{damage}`" in " ".join(page.read_text(encoding="utf-8").split())


async def test_of_two_exchanges_that_began_before_any_ended_the_one_without_an_end_is_named(tmp_path: Path) -> None:
    """P2."""
    path, clock = tmp_path / "log.jsonl", VirtualClock(STARTED)
    binding = sealed(path, clock, Terms(lines=50, seconds=3600))
    journal = Journal.open(FileTarget(path), binding, recorder(clock), clock, DIGEST)
    first, second = (exchange(id=f"ex_{name:024x}") for name in range(2))
    for begun in (first, second):
        await journal.begin(begun, Verdict(Effect.DEGRADE), DIGEST)
    journal.record(ending(first))
    assert await journal.close()
    key = await write_log(path, 5)
    (finding,) = checked(path, key=key).findings
    begins = [number for number, line in enumerate(path.read_bytes().splitlines(), 1) if second.id.encode() in line]
    assert (finding.damage, finding.place) == (Damage.UNENDED, Place(path, begins[0]))
    assert second.id in finding.sentence
