"""The embedded store's folder: the locks on it, the place of its socket, its way to the disk.

Laws: everything here blocks, so the event loop calls it in a thread.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import stat
import tempfile
from pathlib import Path

from proxy.errors import ConfigurationError

# A socket's path must be shorter than 108 bytes on Linux and 104 on macOS, its closing zero included.
_SOCKET_PATH_BYTES = 103


def open_lock(path: Path) -> int:
    """Open a lock file, made if need be; not yet locked, and closed in programs that this process starts."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def try_lock(file: int) -> bool:
    """Lock an open file if nobody else has; the kernel unlocks it when the last process that has it open is gone."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_free(path: Path) -> bool:
    """Return whether nobody holds the lock of a file."""
    file = open_lock(path)
    try:
        return try_lock(file)
    finally:
        os.close(file)


def socket_path(folder: Path) -> Path:
    """Return where the socket is: in the folder, or under the temporary directory if that path is too long for one.

    There it lies in a directory that only this user can enter, under a name that the next start finds again.
    """
    path = folder / "valkey.sock"
    if len(os.fsencode(path)) <= _SOCKET_PATH_BYTES:
        return path
    private = Path(tempfile.gettempdir()) / f"stillgate-{os.getuid()}"
    path = private / f"{hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:24]}.sock"
    if len(os.fsencode(path)) > _SOCKET_PATH_BYTES:
        raise ConfigurationError(f"the path {path} is too long for a socket; choose a shorter TMPDIR or data folder")
    private.mkdir(mode=0o700, exist_ok=True)
    found = private.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise ConfigurationError(f"{private} must be a directory that only this user can enter")
    return path


def sync(folder: Path) -> None:
    """Bring what the server has written to the disk."""
    for path in (folder / "appendonlydir").glob("*"):
        # A file may just have been replaced; a disk that fails shows in the server's own writes.
        with contextlib.suppress(OSError):
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(file)
            finally:
                os.close(file)
