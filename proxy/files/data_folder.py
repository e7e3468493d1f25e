"""The data folder: held by one process at a time, and the places of the sockets in it.

Law: the kernel takes every lock back however its process ends, so none is ever left over.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from proxy.errors import ConfigurationError

# A socket's path must be shorter than 108 bytes on Linux and 104 on macOS, its closing zero included.
_SOCKET_PATH_BYTES = 103

_FULL = (errno.ENOSPC, errno.EDQUOT)
_LOCK = "serve.lock"
# The socket of the admin side.
ADMIN_SOCKET = "admin.sock"


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Make the data folder if there is none, and hold it for this process until the context ends.

    Raises ConfigurationError if another process holds it, whose files then stay as they are, or if it is of no use.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = open_lock(folder / _LOCK)
    except FileExistsError:
        raise ConfigurationError(f"{folder}: the data folder cannot be made: there is a file of that name") from None
    except OSError as error:
        raise _unusable(folder, error) from None
    try:
        if not _locks(lock, folder):
            raise ConfigurationError(f"another Stillgate process already runs on {folder}")
        yield
    finally:
        os.close(lock)


def _locks(lock: int, folder: Path) -> bool:
    try:
        return try_lock(lock)
    except OSError as error:  # some network file systems know no locks
        raise _unusable(folder, error) from None


def _unusable(folder: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(f"{error.filename or folder}: the data folder cannot be used: {error.strerror}")


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


def is_free(file: int) -> bool:
    """Return whether nobody holds the lock of an open file."""
    free = try_lock(file)
    if free:
        fcntl.flock(file, fcntl.LOCK_UN)
    return free


def replaced(file: int, path: Path) -> bool:
    """Return whether something else lies at the path of an open file: its folder was deleted and made anew."""
    try:
        return not os.path.samestat(os.fstat(file), path.stat())
    except OSError:
        return False


def is_missing(path: Path) -> bool:
    """Return whether nothing lies at a path, as far as that can be seen."""
    try:
        path.lstat()
    except FileNotFoundError:
        return True
    except OSError:
        pass
    return False


def socket_path(path: Path) -> Path:
    """Return where the socket of that path is: there, or under the temporary directory if it is too long for one.

    Under it, the socket lies in a directory that only this user can enter, under a name that the next start finds
    again. What counts is the real path, so that it does not matter by which links the folder is named.
    """
    path = path.parent.resolve() / path.name
    if len(os.fsencode(path)) <= _SOCKET_PATH_BYTES:
        return path
    private = Path(tempfile.gettempdir()) / f"stillgate-{os.getuid()}"
    path = private / f"{hashlib.sha256(os.fsencode(path)).hexdigest()[:24]}.sock"
    if len(os.fsencode(path)) > _SOCKET_PATH_BYTES:
        raise ConfigurationError(f"the path {path} is too long for a socket; choose a shorter TMPDIR or data folder")
    private.mkdir(mode=0o700, exist_ok=True)
    found = private.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise ConfigurationError(f"{private} must be a directory that only this user can enter")
    return path


@contextmanager
def socket_place(path: Path) -> Iterator[Path]:
    """Yield where to bind the socket of that path; nothing is there, neither before nor after.

    If that is elsewhere, a link at `path` leads there: others need not know how the place was chosen, nor share our
    temporary directory's name.
    """
    place = socket_path(path)
    _remove(path, place)
    if place.parent != path.parent.resolve():
        path.symlink_to(place)
    with _removed_after(path, place):
        yield place


@contextmanager
def announced(path: Path, status: Mapping[str, object]) -> Iterator[str]:
    """Keep a file that says where the running proxy is, for programs that started it on free ports.

    Yield why there is none: without room on the disk whoever was served is served on. Raises ConfigurationError if it
    cannot be written for another reason.
    """
    missing = ""
    try:
        announce(path, status)
    except OSError as error:
        missing = f"{path}: cannot be written: {error.strerror}"
        if error.errno not in _FULL:
            raise ConfigurationError(missing) from None
        _remove(path)  # the last one may be of another port
    with _removed_after(path):
        yield missing


def announce(path: Path, status: Mapping[str, object]) -> None:
    """Write that file. Raises OSError, and leaves nothing half written then."""
    draft = path.with_suffix(".new")
    try:
        draft.write_text(json.dumps(status))
        draft.replace(path)
    except OSError:
        _remove(draft)
        raise


@contextmanager
def _removed_after(path: Path, *others: Path) -> Iterator[None]:
    """Remove what lies at `path` and others when the context ends, unless the folder is another one by then."""
    with known(path.parent) as same:
        try:
            yield
        finally:
            if same():
                _remove(path, *others)


@contextmanager
def known(folder: Path) -> Iterator[Callable[[], bool]]:
    """Yield what says whether a folder is still the one that it was.

    Whoever runs on one that was deleted and made anew has files of the same names there.
    """
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield lambda: not replaced(file, folder)
    finally:
        os.close(file)


def _remove(*paths: Path) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
