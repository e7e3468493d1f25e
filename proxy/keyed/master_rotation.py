"""Changes which secret of the master secret's file is in force; running processes go on with what they began with.

Laws:
- The first secret stays the first, whatever its state: names in the store are derived from it.
- The file is replaced whole, with mode 0600, by its owner only, and by one process at a time.
"""

from __future__ import annotations

import base64
import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from proxy.errors import ConfigurationError
from proxy.files.whole_file import write_whole
from proxy.secrets import MASTER_FILE_BYTES, Kept, State, new_secret, read_master_file

_Change = Callable[[Sequence[Kept]], Sequence[Kept]]


def rotate(path: Path, moment: str, *, ahead: bool = False) -> Sequence[Kept]:
    """Put the next secret in force, a new one if there is none; with `ahead`, only add a new one as the next.

    Return all secrets. Raises ConfigurationError.
    """

    def change(kept: Sequence[Kept]) -> Sequence[Kept]:
        waiting = any(each.state is State.NEXT for each in kept)
        if ahead and waiting:
            raise ConfigurationError(
                f"{path}: has a next secret already; put it in force with: stillgate secrets rotate"
            )
        if not waiting:
            kept = [*kept, Kept(State.NEXT, moment, new_secret())]
        return (
            kept
            if ahead
            else _moved(_moved(kept, State.IN_FORCE, State.OLD, moment), State.NEXT, State.IN_FORCE, moment)
        )

    return _changed(path, change)


def retire(path: Path, moment: str) -> Sequence[Kept]:
    """Stop accepting what was made under old secrets. Return all secrets. Raises ConfigurationError."""

    def change(kept: Sequence[Kept]) -> Sequence[Kept]:
        if all(each.state is not State.OLD for each in kept):
            raise ConfigurationError(f"{path}: has no old secret that could be retired")
        return _moved(kept, State.OLD, State.RETIRED, moment)

    return _changed(path, change)


def _moved(kept: Sequence[Kept], before: State, after: State, moment: str) -> Sequence[Kept]:
    return [replace(each, state=after, since=moment) if each.state is before else each for each in kept]


def _changed(path: Path, change: _Change) -> Sequence[Kept]:
    try:
        file = path.resolve(strict=True)  # a symbolic link stays one
        with _held(file):
            kept = change(read_master_file(file))
            content = b"".join(_line(each) for each in kept)
            if len(content) > MASTER_FILE_BYTES:
                raise ConfigurationError(f"{path}: is full; delete lines of retired secrets, but never the first line")
            write_whole(file, content)
    except OSError as error:
        raise ConfigurationError(f"{path}: the master secret cannot be replaced: {error.strerror}") from None
    return kept


@contextmanager
def _held(file: Path) -> Iterator[None]:
    """Keep others from changing a file meanwhile. Raises OSError, or ConfigurationError for somebody else's file."""
    while True:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if os.fstat(descriptor).st_uid != os.geteuid():
                raise ConfigurationError(f"{file}: belongs to another user, who could not read what took its place")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(descriptor), file.stat()):  # otherwise it was replaced while we waited
                yield
                return
        finally:
            os.close(descriptor)


def _line(kept: Kept) -> bytes:
    return f"{kept.state} {kept.since} ".encode() + base64.b64encode(kept.secret) + b"\n"
