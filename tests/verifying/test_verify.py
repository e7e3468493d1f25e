"""The verifier against logs that the product wrote and somebody damaged: rows A-01 to A-05 and A-09, promise P9."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import re
import shutil
from bisect import bisect_left
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

import pytest

from proxy.clock import VirtualClock
from proxy.decisions import signing
from proxy.verifying.findings import Damage
from proxy.verifying.notes import Keys
from proxy.verifying.verify import verify
from tests.decisions.bindings import sealed
from tests.decisions.chained import write_log
from tests.decisions.endings import STARTED
from tests.verifying.damaged import checked, damages, lines_of, linked

EARLIER = Path(__file__).with_name("earlier.jsonl")


@pytest.fixture
async def log(tmp_path: Path) -> tuple[Path, str]:
    path = tmp_path / "decisions" / "log.jsonl"
    path.parent.mkdir()
    return path, await write_log(path, 160)


async def test_a_log_that_nobody_touched_is_whole_and_vouched_for_to_its_end(log: tuple[Path, str]) -> None:
    path, key = log
    report = checked(path, key=key)
    assert report.findings == ()
    (chain,) = report.chains
    assert (chain.lines, chain.first, chain.last, chain.lost, chain.tail) == (chain.last, 1, len(lines_of(path)), 0, 0)
    assert chain.checkpoints == 4


def test_a_log_that_an_earlier_version_wrote_is_vouched_for_still() -> None:
    """It is evidence for as long as it is kept."""
    report = checked(EARLIER, key="tests/log+2f10406f+AZPniP2gmnIyAGft47V4kKrQSaiwCNShoEraKeeBeN46")
    assert report.findings == ()
    assert [(chain.lines, chain.checkpoints, chain.vouched, chain.tail) for chain in report.chains] == [(5, 1, 5, 0)]


class ReadNotes(Keys):
    """Opens each note once: of all the ways to flip a bit, few are in a note."""

    @cache  # noqa: B019 - as long as the test
    def opened(self, note: str) -> str:
        return super().opened(note)


def missed(
    path: Path, key: str, bits: int, positions: Iterable[int]
) -> list[tuple[int, int, list[tuple[Damage, int]]]]:
    """Flip bits of one byte after the other; return those of which the first finding is not at their line."""
    content = path.read_bytes()
    ends = [match.start() for match in re.finditer(b"\n", content)]
    found = []
    keys = ReadNotes()
    keys.trust(key)
    with path.open("r+b", buffering=0) as file:
        for position in positions:
            os.pwrite(file.fileno(), bytes([content[position] ^ bits]), position)
            line, told = bisect_left(ends, position) + 1, damages(verify([path], keys, (), lambda _: None))
            if not told or told[0][1] != line:
                found.append((position, line, told[:2]))
            os.pwrite(file.fileno(), content[position : position + 1], position)
    return found


@pytest.mark.parametrize("bits", [0x01, 0x80])
async def test_whichever_byte_is_flipped_the_first_finding_is_at_its_line(log: tuple[Path, str], bits: int) -> None:
    """A-01, in part: the first line, the ends of lines, where the links are, and the checkpoint at the end."""
    path, key = log
    content = path.read_bytes()
    ends = [match.start() for match in re.finditer(rb"\n", content)]
    near = {end - back for end in ends[:: len(ends) // 12] for back in (0, 1, 3, 40, 68, 72, 75, 180)}
    last = range(len(content) - 1, ends[-2], -9 - bits % 7)
    assert missed(path, key, bits, [*range(0, ends[0], 11), *sorted(near), *last]) == []


@pytest.mark.soak
async def test_every_byte_of_a_log_of_200_lines(tmp_path: Path) -> None:
    """A-01: one process a core, each with a copy."""
    path = tmp_path / "decisions" / "log.jsonl"
    path.parent.mkdir()
    key = await write_log(path, 176)
    assert len(lines_of(path)) == 200
    copies = [shutil.copy(path, tmp_path / f"{number}.jsonl") for number in range(os.cpu_count() or 1)]
    parts = [range(number, path.stat().st_size, len(copies)) for number in range(len(copies))]
    with ProcessPoolExecutor(len(copies), get_context("spawn")) as pool:
        assert [found for part in pool.map(missed, copies, repeat(key), repeat(0x01), parts) for found in part] == []


Change = Callable[[list[bytes]], list[bytes]]


@pytest.mark.parametrize(
    ("change", "damage", "line"),
    [
        (lambda lines: lines[:70] + lines[71:], Damage.DELETED, 71),
        (lambda lines: lines[:70] + lines[90:], Damage.DELETED, 71),
        (lambda lines: [*lines[:70], lines[20], *lines[70:]], Damage.INSERTED, 71),
        (lambda lines: lines[:70] + lines[60:70] + lines[70:], Damage.INSERTED, 71),
        (lambda lines: [*lines[:70], b'{"v":1,"kind":"exchange"}\n', *lines[70:]], Damage.INSERTED, 71),
        (lambda lines: [*lines[:70], lines[71], lines[70], *lines[72:]], Damage.REORDERED, 71),
        (lambda lines: lines[:70] + lines[90:110] + lines[70:90] + lines[110:], Damage.REORDERED, 71),
        (lambda lines: [*lines[:70], lines[70].replace(b'"allow"', b'"deny"'), *lines[71:]], Damage.EDITED, 71),
        (lambda lines: lines[1:], Damage.CUT, 1),
        (lambda lines: lines[90:], Damage.CUT, 1),
        (lambda lines: [*lines[:-1], lines[-1][:-20]], Damage.TORN, -1),
        (lambda lines: lines + lines[60:90], Damage.INSERTED, -1),
    ],
)
async def test_what_was_done_to_lines_is_told(log: tuple[Path, str], change: Change, damage: Damage, line: int) -> None:
    """A-02 and A-03."""
    path, key = log
    changed = change(lines_of(path))
    path.write_bytes(b"".join(changed))
    found = damages(checked(path, key=key))
    assert found[0] == (damage, line if line > 0 else found[0][1])
    assert found[0][1] <= len(changed)


async def test_a_cut_tail_is_an_unverified_one_until_a_checkpoint_from_elsewhere_is_shown(
    log: tuple[Path, str], tmp_path: Path
) -> None:
    """A-03."""
    path, key = log
    lines = lines_of(path)
    kept = tmp_path / "kept"
    notes = [json.loads(line)["note"] for line in lines if b'"kind":"checkpoint"' in line]
    kept.write_text("".join(f"{note}\n" for note in notes))
    assert checked(path, key=key, kept=(kept,)).findings == ()
    path.write_bytes(b"".join(lines[:-30]))
    report = checked(path, key=key)
    assert report.findings == ()
    assert report.chains[0].tail > 0
    assert damages(checked(path, key=key, kept=(kept,)))[0][0] is Damage.CUT
    kept.write_text(kept.read_text().replace("seq ", "seq 1"))
    assert Damage.REWRITTEN in [damage for damage, _ in damages(checked(path, key=key, kept=(kept,)))]


async def test_a_log_written_anew_without_the_key_is_no_log(log: tuple[Path, str], tmp_path: Path) -> None:
    """A-04."""
    _, key = log
    other = tmp_path / "other" / "log.jsonl"
    other.parent.mkdir()
    await write_log(other, 160)
    assert damages(checked(other, key=key))[0][0] is Damage.REWRITTEN


async def test_a_log_written_anew_with_the_key_is_known_by_a_checkpoint_from_elsewhere(
    log: tuple[Path, str], tmp_path: Path
) -> None:
    """A-04, by whoever has stolen the key: only what was kept where he cannot write tells."""
    path, key = log
    kept = tmp_path / "kept"
    notes = [json.loads(line)["note"] for line in lines_of(path) if b'"kind":"checkpoint"' in line]
    kept.write_text("".join(f"{note}\n" for note in notes))
    other = tmp_path / "other" / "log.jsonl"
    other.parent.mkdir()
    shutil.copy(tmp_path / "decisions.log.key", tmp_path / "other.log.key")
    assert await write_log(other, 160, clock=VirtualClock(STARTED + 1)) == key
    assert checked(other, key=key).findings == ()
    assert damages(checked(other, key=key, kept=(kept,))) == [(Damage.REWRITTEN, 1)]


async def test_lines_that_were_linked_anew_up_to_the_next_checkpoint_do_not_fit_it(log: tuple[Path, str]) -> None:
    path, key = log
    lines = lines_of(path)
    forged = linked(lines[99], [line.replace(b'"allow"', b'"deny"') for line in lines[100:]])
    path.write_bytes(b"".join([*lines[:100], *forged]))
    assert damages(checked(path, key=key))[0][0] is Damage.REWRITTEN


async def test_a_torn_line_with_its_repair_is_no_damage(log: tuple[Path, str]) -> None:
    """A-05: a kill in the middle of a line, and the start after it."""
    path, key = log
    content = path.read_bytes()
    path.write_bytes(content + b'{"v":1,"kind":"exch')
    assert damages(checked(path, key=key))[0][0] is Damage.TORN
    await write_log(path, 20)
    report = checked(path, key=key)
    assert report.findings == ()
    assert len(report.chains) == 1
    path.write_bytes(path.read_bytes().replace(b'"exch\n', b'"exchange\n', 1))
    assert damages(checked(path, key=key))[0][0] in {Damage.INSERTED, Damage.EDITED}


async def test_a_degraded_exchange_that_a_kill_left_without_an_end_is_found(log: tuple[Path, str]) -> None:
    """P2."""
    path, key = log
    begun = next(number for number, line in enumerate(lines_of(path)) if b'"kind":"begin"' in line and number > 100)
    path.write_bytes(b"".join(lines_of(path)[: begun + 1]))
    assert checked(path, key=key).findings == ()
    await write_log(path, 20)
    report = checked(path, key=key)
    assert damages(report) == [(Damage.UNENDED, begun + 1)]


async def test_a_chain_goes_on_over_files_compressed_or_not_in_any_order(tmp_path: Path) -> None:
    """A-02, A-09, L-09: a file that is left out is missed, and one that is there twice found; a clock may go back."""
    path = tmp_path / "decisions" / "log.jsonl"
    path.parent.mkdir()
    files = []
    for number in range(4):
        key = await write_log(path, 30, clock=VirtualClock(STARTED - 3600 * number))
        files.append(path.rename(path.with_name(f"log-{number}.jsonl")))
    packed = files[1].with_suffix(".jsonl.gz")
    packed.write_bytes(gzip.compress(files[1].read_bytes()))
    ordered = [files[3], files[0], packed, files[2]]
    report = checked(*ordered, key=key)
    assert report.findings == ()
    assert len(report.chains) == 1
    without = checked(files[0], packed, files[3], key=key)
    assert [(finding.damage, finding.place and finding.place.file) for finding in without.findings] == [
        (Damage.DELETED, files[3])
    ]
    twice = files[2].with_name("log-9.jsonl")
    twice.write_bytes(files[2].read_bytes())
    found = checked(*ordered, twice, key=key).findings
    assert [(finding.damage, finding.place and finding.place.file) for finding in found] == [(Damage.INSERTED, twice)]
    twice.write_bytes(files[0].read_bytes())
    assert damages(checked(*ordered, twice, key=key)) == [(Damage.REWRITTEN, 1)]


async def test_a_writer_whose_log_is_gone_is_missed_by_the_others(tmp_path: Path) -> None:
    folder = tmp_path / "decisions"
    folder.mkdir()
    key = await write_log(folder / "decisions-0.jsonl", 30, writer="host-0-aaaaaa")
    await write_log(folder / "decisions-1.jsonl", 30, writer="host-1-bbbbbb")
    assert checked(folder / "decisions-0.jsonl", folder / "decisions-1.jsonl", key=key).findings == ()
    found = checked(folder / "decisions-1.jsonl", key=key).findings
    assert [(finding.damage, finding.writer) for finding in found] == [(Damage.WRITER_MISSING, "host-0-aaaaaa")]
    lines = lines_of(folder / "decisions-0.jsonl")
    (folder / "decisions-0.jsonl").write_bytes(b"".join(lines[:-3]))
    found = checked(folder / "decisions-0.jsonl", folder / "decisions-1.jsonl", key=key).findings
    assert [(finding.damage, finding.writer) for finding in found] == [(Damage.CUT, "host-0-aaaaaa")]


async def test_a_log_that_grows_while_it_is_read_is_whole(tmp_path: Path) -> None:
    folder = tmp_path / "decisions"
    folder.mkdir()
    one, two, kept = folder / "decisions-0.jsonl", folder / "decisions-1.jsonl", tmp_path / "kept"

    async def grow() -> str:
        await write_log(one, 30, writer="host-0-aaaaaa")
        key = await write_log(two, 30, writer="host-1-bbbbbb")  # its checkpoint names what came into the first
        notes = [json.loads(line)["note"] for path in (one, two) for line in lines_of(path) if b'"note"' in line]
        with kept.open("a") as file:
            file.writelines(f"{note}\n" for note in notes)
        return key

    key = await grow()
    keys, grown = Keys(), list[int]()
    keys.trust(key)

    def on_bytes(read: int) -> None:
        if not grown:  # the first file is read, the second is not
            grown.append(read)
            asyncio.run(grow())

    before = one.stat().st_size
    report = await asyncio.to_thread(verify, [one, two], keys, [kept], on_bytes)
    assert one.stat().st_size > before == grown[0]
    assert report.findings == ()


async def test_a_key_that_was_handed_over_is_trusted_and_the_old_lines_stay_so(tmp_path: Path) -> None:
    """A-09."""
    path = tmp_path / "decisions" / "log.jsonl"
    path.parent.mkdir()
    first = await write_log(path, 60)
    key_file = path.parent.with_name("decisions.log.key")
    signing.rotate(key_file)
    second = await write_log(path, 60)
    signing.rotate(key_file)
    third = await write_log(path, 60)
    assert len({first, second, third}) == 3
    assert checked(path, key=first).findings == ()
    assert damages(checked(path, key=third))[0][0] is Damage.REWRITTEN
    key_file.unlink()
    sealed(path, VirtualClock(STARTED))  # a key that nobody vouches for
    signing.handover_file(key_file).unlink()
    await write_log(path, 60)
    assert damages(checked(path, key=first))[0][0] is Damage.REWRITTEN
