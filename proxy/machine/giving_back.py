"""Gives memory that was freed back to the kernel, which GNU's C library does of large pieces alone.

Without it, what once took the pieces of many large answers or bodies at a time would count as used for good.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress


def give_back() -> None:
    """Give back what is free, some 0.1 s for half a gigabyte; where the C library knows no way nothing happens."""
    with suppress(OSError, TypeError):  # another operating system
        getattr(ctypes.CDLL(None), "malloc_trim", int)(0)
