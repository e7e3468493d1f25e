"""Reads what lies at the pack's path, however it changes: by a rename, an edit in place, a swapped link, a removal.

Law: nothing here waits for the file system on the event loop; a file is read again until it has stopped changing.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import stat
from pathlib import Path
from typing import NamedTuple

from proxy.documents.problem import Problem, Unreadable, YamlProblems
from proxy.documents.strict_yaml import read
from proxy.rules.pack.pack import Pack
from proxy.rules.pack_file.loading import check_pack
from proxy.rules.pack_file.offered import Offered

POLL_S = 1.0
# An editor, or `cp`, writes in several steps: a file that has not changed for so long is taken for whole.
_STILL_S = 0.15
# A file that never stops changing is taken as it is after so many looks: it must not keep the old pack for ever.
_MOST_LOOKS = 8


class Sight(NamedTuple):
    """What lay at the path at one moment.

    `place` is where its links lead. `digest` names the content, or why there is none; then `data` is None.
    """

    place: str
    stamp: tuple[int, ...]
    digest: str
    data: bytes | None
    problems: tuple[Problem, ...] = ()


def look(path: Path) -> Sight:
    """Look at what lies at a path; raises nothing, whatever that is."""
    place = os.path.realpath(path)
    stamp: tuple[int, ...] = ()
    try:
        found = path.stat()
        stamp = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        data = _read_file(path, found.st_mode)
    except Unreadable as unreadable:
        problems = unreadable.problems
    except OSError as error:
        problems = (Problem(str(path), 0, 0, f"cannot be read: {error.strerror}"),)
    else:
        return Sight(place, stamp, hashlib.sha256(data).hexdigest(), data)
    return Sight(place, stamp, "; ".join(problem.message for problem in problems), None, problems)


def _read_file(path: Path, mode: int) -> bytes:
    if not stat.S_ISREG(mode):  # a named pipe would be waited for
        raise OSError(errno.EINVAL, "it is not a file")
    return read(path)


async def look_until_still(path: Path, known: str) -> Sight:
    """Return what lies at the path once it has stopped changing; at once if it is what `known` names."""
    sight = await asyncio.to_thread(look, path)
    for _ in range(_MOST_LOOKS):
        if sight.digest == known:
            break
        before = sight
        await asyncio.sleep(_STILL_S)
        sight = await asyncio.to_thread(look, path)
        if sight == before:
            break
    return sight


def pack_of(sight: Sight, path: Path, offered: Offered | None = None) -> Pack:
    """Load the content seen; `offered` is what the settings offer with which it is to run, if it is.

    Raises YamlProblems with everything that is wrong with it.
    """
    if sight.data is None:
        raise Unreadable(sight.problems)
    pack, problems = check_pack(sight.data, str(path), offered=offered)
    if pack is None:
        raise YamlProblems(problems)
    return pack
