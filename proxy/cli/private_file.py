"""Writes what a verb makes that names customers: a file that only its owner can read, also where one was before."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from proxy.errors import ConfigurationError


def write_private(path: Path, data: bytes) -> None:
    """Write a file of the caller's alone; a pipe or a device stays what it is. Raises ConfigurationError."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                os.fchmod(file.fileno(), 0o600)
            file.write(data)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be written: {error.strerror}") from None
