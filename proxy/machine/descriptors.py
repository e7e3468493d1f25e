"""The process's open files: the first three are always there, and a flood of clients leaves some for what else runs."""

from __future__ import annotations

import os
import resource
import sys
from contextlib import suppress

# A worker's store connections, log, line, listener, event loop and libraries, several times over.
_SPARE = 96


def hold_standard_streams() -> None:
    """Open the null device in place of closed standard streams, before anything else takes their numbers.

    Otherwise uvloop would end the process when it has to close a descriptor of such a number.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
            os.set_inheritable(number, True)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, PTH123 - for as long as the process lives


def connections_within(wanted: int, upstream: int) -> int:
    """Return how many of `wanted` client connections may be open besides `upstream` ones, at least one.

    The process's limit is first raised as far as allowed. If descriptors are scarce, each side gets half of them.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + upstream + _SPARE
    if soft != resource.RLIM_INFINITY and soft < needed:
        most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with suppress(ValueError, OSError):  # macOS allows fewer than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    left = soft - _SPARE
    return max(1, min(wanted, left - min(upstream, left // 2)))
