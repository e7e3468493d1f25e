"""What a process has allocated goes into huge pages where the kernel can do that, and nothing happens where it cannot."""

from __future__ import annotations

import ctypes
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.machine.huge_pages import _places, use_huge_pages

MAPS = """\
55881796e000-558817a00000 r--p 00000000 fe:00 123456                     /usr/bin/python3.11
5588184fe000-5588189ff000 rw-p 00000000 00:00 0                          [heap]
7f0000000000-7f0000400000 rw-p 00000000 00:00 0
7f0000400000-7f0000a00000 r-xp 00000000 fe:00 123457                     /usr/lib/libpython3.11.so.1.0
7f0000a01000-7f0000bff000 rw-p 00000000 00:00 0
7f0000c00000-7f0000e00000 rw-s 00000000 00:05 99                         /dev/zero (deleted)
7f0000e00000-7f0001000000 rw-p 00000000 fe:00 123458                     /var/lib/a file
7ffe0cf97000-7ffe0cfb8000 rw-p 00000000 00:00 0                          [stack]
"""


def test_only_whole_pages_of_memory_of_its_own_are_named() -> None:
    assert list(_places(MAPS)) == [0x558818600000, 0x7F0000000000, 0x7F0000200000]


def test_what_is_in_use_goes_into_huge_pages_and_takes_no_more_memory() -> None:
    program = """
import re
from proxy.machine.huge_pages import use_huge_pages
kept = [str(number) for number in range(400_000)]
def figures():
    text = open("/proc/self/smaps_rollup").read()
    return [int(re.search(rf"^{name}: +([0-9]+) kB", text, re.M)[1]) for name in ("Rss", "AnonHugePages")]
before = figures()
print(use_huge_pages() // 1024, *before, *figures(), kept == [str(number) for number in range(400_000)])
"""
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - words of our own
    collapsed, rss, huge, rss_after, huge_after = map(int, ran.stdout.split()[:5])
    assert ran.stdout.split()[5] == "True"
    release = re.match(r"(\d+)\.(\d+)", platform.release())
    able = release is not None and (int(release[1]), int(release[2])) >= (6, 1)
    if able and Path("/sys/kernel/mm/transparent_hugepage/enabled").exists():
        assert huge_after - huge >= 0.75 * collapsed > 0, "as much of some thirty megabytes as there are huge pages for"
    assert rss_after - rss < 8_192


def test_what_was_freed_goes_back_and_is_not_filled_again() -> None:
    program = """
import re
from proxy.machine.huge_pages import use_huge_pages
made = [bytes(4096) for _ in range(25_000)]
kept = made[::40]
del made
def rss():
    return int(re.search("^Rss: +([0-9]+) kB", open("/proc/self/smaps_rollup").read(), re.M)[1])
before = rss()
use_huge_pages()
print(before, rss(), set(kept) == {bytes(4096)})
"""
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - words of our own
    before, after, whole = ran.stdout.split()
    assert whole == "True"
    assert int(after) < int(before) - 80_000, "of some 100,000 kB"


def test_where_it_cannot_be_done_nothing_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert use_huge_pages(tmp_path / "no maps here") == 0
    (tmp_path / "maps").write_text("ffff000000000000-ffff000000200000 rw-p 00000000 00:00 0\n")  # the kernel's
    assert use_huge_pages(tmp_path / "maps") == 0
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    assert use_huge_pages() == 0
