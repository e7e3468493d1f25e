"""How full memory is: of all processes of a deployment together, by whichever limit is nearest.

Laws:
- Only the kernel's own files are read here, which never wait for a disk; what cannot be read sets no limit.
- In a control group, pages of files do not count: the kernel reclaims them before it kills anything.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

_UNLIMITED_BYTES = 1 << 60  # version 1 writes "no limit" as about 2^63


class Kernel(NamedTuple):
    """Where the kernel tells of processes and of control groups."""

    proc: Path = Path("/proc")
    cgroups: Path = Path("/sys/fs/cgroup")


class _Version(NamedTuple):
    """How one version of control groups names what is needed."""

    limit: str
    used: str
    files: tuple[str, ...]  # of memory.stat: pages of files


_V1 = _Version("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_inactive_file", "total_active_file"))
_V2 = _Version("memory.max", "memory.current", ("inactive_file", "active_file"))
_KERNEL = Kernel()


class Memory:
    """The limits that hold for this process and those it starts; `most_bytes` is one more, for all of them together."""

    def __init__(self, most_bytes: int | None = None, kernel: Kernel = _KERNEL) -> None:
        self._most = most_bytes
        self._proc = kernel.proc
        self._groups = list(_groups(kernel))
        soft, _ = resource.getrlimit(resource.RLIMIT_AS)
        self._address_space = None if soft == resource.RLIM_INFINITY else soft  # of each process

    def share(self, pids: Iterable[int]) -> float | None:
        """Return how much of the nearest limit is used, 1.0 for all of it; None if there is none that can be told."""
        shares = [share for group in self._groups if (share := _share_of_group(*group)) is not None]
        sizes = [size for pid in pids if (size := _size(self._proc / str(pid) / "statm")) is not None]
        if sizes and self._most is not None:
            shares.append(sum(size.own for size in sizes) / self._most)
        if sizes and self._address_space:
            shares.append(max(size.mapped for size in sizes) / self._address_space)
        return max(shares, default=None)


class _Size(NamedTuple):
    mapped: int
    own: int  # what it has in memory and shares with no file


def _size(statm: Path) -> _Size | None:
    try:
        mapped, resident, shared = (int(pages) for pages in statm.read_text().split()[:3])
    except (OSError, ValueError):  # it has just ended
        return None
    page = os.sysconf("SC_PAGE_SIZE")
    return _Size(mapped * page, (resident - shared) * page)


def _groups(kernel: Kernel) -> Iterator[tuple[Path, _Version]]:
    """Yield the control groups that this process is in and that may have a limit, the innermost first."""
    try:
        lines = (kernel.proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root, version = (kernel.cgroups / "memory", _V1) if controllers else (kernel.cgroups, _V2)
        # In a container the path may be the host's, which cannot be seen here: then the root is our own group.
        seen = ".." not in path and (root / path.lstrip("/")).is_dir()
        folder = root / path.lstrip("/") if seen else root
        for group in (folder, *folder.parents):
            if (group / version.limit).is_file():
                yield group, version
            if group == root:
                break


def _share_of_group(group: Path, version: _Version) -> float | None:
    try:
        limit = (group / version.limit).read_text().strip()
        if limit == "max" or not 0 < int(limit) < _UNLIMITED_BYTES:
            return None
        used = int((group / version.used).read_text())
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return max(0, used - sum(int(stat.get(name, 0)) for name in version.files)) / int(limit)
    except (OSError, ValueError):
        return None
