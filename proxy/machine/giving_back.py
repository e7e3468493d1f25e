"""Gives freed memory back to the kernel, which GNU's C library does by itself only for large pieces.

Without it, memory that once held many large answers or bodies at a time would count as used for ever.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress


def give_back() -> None:
    """Give back free memory, in some 0.1 s for half a gigabyte; does nothing if the C library cannot."""
    with suppress(OSError, TypeError):  # another operating system
        getattr(ctypes.CDLL(None), "malloc_trim", int)(0)
