"""The pattern sets that a running proxy uses: copied from beside the pack at its start, and the same until its end.

Laws: every worker, also one that is started again, has the sets that the proxy started with, whatever happens to their
folder meanwhile. What lies beside the pack comes into force at the next start, and until then it is said to differ.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path

from proxy.detectors import patterns_beside
from proxy.documents.problem import Unreadable
from proxy.documents.strict_yaml import read
from proxy.errors import ConfigurationError
from proxy.patterns.sets import set_files

PATTERNS_FOLDER = "patterns"
_MOST_FILES = 100
_DIFFERENT = "different"  # no digest, so no folder has it


def copy_patterns(pack: Path, data: Path) -> str:
    """Copy the sets beside a pack into the data folder; return their digest, empty if there are none.

    Raises ConfigurationError if they cannot be read or copied.
    """
    files = _files(patterns_beside(pack))
    copy, draft = data / PATTERNS_FOLDER, data / f".{PATTERNS_FOLDER}.new"
    try:
        for old in (copy, draft):
            if old.exists():
                shutil.rmtree(old)
        if not files:
            return ""
        draft.mkdir(mode=0o700)
        for name, content in files.items():
            (draft / name).write_bytes(content)
        draft.rename(copy)
    except OSError as error:
        place = error.filename or copy  # a write names none
        raise ConfigurationError(f"{place}: the pattern sets cannot be copied: {error.strerror}") from None
    return _digest(files)


def copied_patterns(data: Path, digest: str) -> Path | None:
    """Return the folder of the copy, None if there are none. Raises ConfigurationError if it was changed."""
    if not digest:
        return None
    folder = data / PATTERNS_FOLDER
    if _digest(_files(folder)) != digest:
        raise ConfigurationError(f"{folder}: was changed since it was copied")
    return folder


def patterns_digest(pack: Path) -> str:
    """Return the digest of the sets that lie beside a pack now, empty if there are none; raises nothing."""
    try:
        return _digest(_files(patterns_beside(pack)))
    except ConfigurationError:
        return _DIFFERENT


def _files(folder: Path | None) -> dict[str, bytes]:
    if folder is None:
        return {}
    try:
        paths = set_files(folder)
        if len(paths) > _MOST_FILES:
            raise ConfigurationError(f"{folder}: has more than {_MOST_FILES} pattern sets")
        for path in paths:
            if not path.is_file():  # a named pipe would be waited for
                raise ConfigurationError(f"{path}: is no file")
        return {path.name: read(path) for path in paths}
    except Unreadable as unreadable:
        raise ConfigurationError(str(unreadable)) from None
    except OSError as error:
        raise ConfigurationError(f"{folder}: cannot be read: {error.strerror}") from None


def _digest(files: Mapping[str, bytes]) -> str:
    if not files:
        return ""
    whole = hashlib.sha256()
    for name, content in files.items():
        whole.update(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest())
        whole.update(hashlib.sha256(content).digest())
    return whole.hexdigest()
