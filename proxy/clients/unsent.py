"""How much that was written to a socket has not reached the other side yet, in the kernel's buffer too."""

from __future__ import annotations

import asyncio
import fcntl
import sys
import termios
from contextlib import suppress


def unsent(transport: asyncio.WriteTransport) -> int:
    """Return how many bytes the other side does not have yet, those in the kernel's buffer included.

    Without the latter a slow reader looks stalled: the kernel takes more only once a third of its buffer is free.
    """
    return transport.get_write_buffer_size() + _in_kernel(transport)


def _in_kernel(transport: asyncio.WriteTransport) -> int:
    with suppress(OSError, ValueError):  # it has ended, or the kernel does not tell
        waiting = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
        return int.from_bytes(waiting, sys.byteorder)
    return 0
