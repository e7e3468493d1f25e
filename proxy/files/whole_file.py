"""Replaces a file whole, so that neither a reader nor a crash ever finds a part of it."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(file: Path, *parts: bytes, mode: int = 0o600) -> None:
    """Write a file so that readers, also after a crash, find the old content or the new, nothing between.

    Raises OSError; then it leaves nothing behind, as others, such as the decision log, need the disk's space.
    """
    draft = file.with_name(f".{file.name}.new")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as out:
            os.fchmod(out.fileno(), mode)
            out.writelines(parts)
            out.flush()
            os.fsync(out.fileno())
        draft.replace(file)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
