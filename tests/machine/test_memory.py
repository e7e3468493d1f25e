"""How full memory is, read from files that look like the kernel's: row D-10."""

from __future__ import annotations

import asyncio
import os
import resource
from pathlib import Path

import psutil
import pytest

from proxy.machine.memory import Kernel, Memory
from proxy.machine.memory_watch import MemoryWatch

PAGE = os.sysconf("SC_PAGE_SIZE")


class Fake:
    """A machine's /proc and /sys/fs/cgroup, written by hand."""

    def __init__(self, folder: Path, membership: str) -> None:
        self.kernel = Kernel(folder / "proc", folder / "cgroup")
        self.write("proc/self/cgroup", membership)

    def write(self, name: str, text: str) -> None:
        path = self.kernel.proc.parent / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def second(self, group: str, limit: str, used: int, files: int = 0) -> None:
        """Write a control group of version 2."""
        self.write(f"cgroup/{group}/memory.max", f"{limit}\n")
        self.write(f"cgroup/{group}/memory.current", f"{used}\n")
        self.write(f"cgroup/{group}/memory.stat", f"anon 1\ninactive_file {files}\nactive_file 0\n")

    def first(self, group: str, limit: int, used: int, files: int = 0) -> None:
        """Write a control group of version 1."""
        self.write(f"cgroup/memory/{group}/memory.limit_in_bytes", f"{limit}\n")
        self.write(f"cgroup/memory/{group}/memory.usage_in_bytes", f"{used}\n")
        self.write(f"cgroup/memory/{group}/memory.stat", f"total_inactive_file 0\ntotal_active_file {files}\n")

    def process(self, pid: int, mapped: int, resident: int, shared: int) -> None:
        """Write what a process takes, in pages."""
        self.write(f"proc/{pid}/statm", f"{mapped} {resident} {shared} 1 0 1 0\n")


@pytest.fixture(autouse=True)
def boundless(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shell that runs the tests may have a limit of its own."""
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    monkeypatch.setattr(resource, "getrlimit", lambda _: unlimited)


def test_pages_of_files_do_not_fill_a_group(tmp_path: Path) -> None:
    fake = Fake(tmp_path, "0::/\n")
    fake.second("", "1000", 950, files=500)
    assert Memory(kernel=fake.kernel).share([]) == 0.45


def test_the_nearest_limit_counts_of_a_group_and_those_around_it(tmp_path: Path) -> None:
    fake = Fake(tmp_path, "0::/pod/app\n")
    fake.second("pod/app", "1000", 100)
    fake.second("pod", "2000", 1900)
    fake.second("", "max", 10**9)
    assert Memory(kernel=fake.kernel).share([]) == 0.95


def test_a_group_without_a_limit_has_no_share(tmp_path: Path) -> None:
    fake = Fake(tmp_path, "0::/app\n")
    fake.second("app", "max", 100)
    assert Memory(kernel=fake.kernel).share([]) is None


def test_version_1_is_read_where_it_has_the_memory(tmp_path: Path) -> None:
    fake = Fake(tmp_path, "5:cpu:/x\n4:memory:/app\n0::/\n")
    fake.first("app", 1000, 900, files=200)
    fake.first("", 9223372036854771712, 10**9)
    assert Memory(kernel=fake.kernel).share([]) == 0.7


@pytest.mark.parametrize("path", ["/host/only/12ab", "/../elsewhere"])
def test_a_path_of_the_host_means_our_own_root(tmp_path: Path, path: str) -> None:
    fake = Fake(tmp_path, f"4:memory:{path}\n")
    fake.write("elsewhere/memory.limit_in_bytes", "1")
    fake.first("", 1000, 600)
    assert Memory(kernel=fake.kernel).share([]) == 0.6


def test_all_processes_together_count_against_the_setting_and_each_against_its_address_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = Fake(tmp_path, "")
    fake.process(7, mapped=100, resident=30, shared=10)
    fake.process(8, mapped=500, resident=60, shared=20)
    assert Memory(100 * PAGE, fake.kernel).share([7, 8, 9]) == 0.6
    monkeypatch.setattr(resource, "getrlimit", lambda _: (625 * PAGE, 625 * PAGE))
    assert Memory(100 * PAGE, fake.kernel).share([7, 8, 9]) == 0.8
    assert Memory(kernel=fake.kernel).share([9]) is None


@pytest.mark.parametrize("limit", ["", "many", "0", "-1"])
def test_what_cannot_be_read_sets_no_limit(tmp_path: Path, limit: str) -> None:
    fake = Fake(tmp_path, "0::/\n")
    fake.second("", limit, 100)
    assert Memory(kernel=fake.kernel).share([]) is None
    assert Memory(kernel=Kernel(tmp_path / "none", tmp_path / "none")).share([1]) is None


def test_what_the_kernel_says_of_this_process_can_be_read(tmp_path: Path) -> None:
    share = Memory(1 << 30, Kernel(cgroups=tmp_path)).share([os.getpid()])
    own = psutil.Process().memory_info()
    assert share == pytest.approx((own.rss - own.shared) / (1 << 30), rel=0.1)


async def test_the_mark_is_passed_at_ninety_percent_and_left_at_eighty_five(tmp_path: Path) -> None:
    fake = Fake(tmp_path, "0::/\n")
    told: asyncio.Queue[bool] = asyncio.Queue()
    fake.second("", "1000", 0)
    watch = MemoryWatch(Memory(kernel=fake.kernel), list, told.put)
    seen = []
    for used in (899, 900, 899, 850, 849, 899, 950):
        fake.second("", "1000", used)
        watch.look()
        seen.append(watch.full)
    assert seen == [False, True, True, True, False, False, True]
    assert watch.snapshot()["stillgate_memory_share"] == [((), 0.95, ())]
    running = asyncio.create_task(watch.run())
    assert await told.get() is True
    running.cancel()
