"""The pattern sets that a running proxy uses: read from beside the pack at its start, and the same until its end.

Laws: every worker, even a restarted one, has the sets that the proxy started with, whatever happens to their folder
meanwhile. Changed sets come into force at the next start; until then the proxy reports that they differ.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from proxy.detectors import patterns_beside
from proxy.documents.problem import Unreadable
from proxy.documents.strict_yaml import read
from proxy.errors import ConfigurationError
from proxy.patterns.pattern_set import PatternSet
from proxy.patterns.sets import check_pattern_sets, set_files

_MOST_FILES = 100
_DIFFERENT = "different"  # no digest, so no folder has it


class Patterns(NamedTuple):
    """The sets beside a pack, and the digest of their files, empty if there are none."""

    digest: str
    sets: tuple[PatternSet, ...]


def read_patterns(pack: Path) -> Patterns:
    """Read the sets beside a pack. Raises ConfigurationError if they cannot be read or used."""
    files = _files(patterns_beside(pack))
    return Patterns(_digest(files), check_pattern_sets(files))


def patterns_digest(pack: Path) -> str:
    """Return the digest of the sets that lie beside a pack now, empty if there are none; raises nothing."""
    try:
        return _digest(_files(patterns_beside(pack)))
    except ConfigurationError:
        return _DIFFERENT


def _files(folder: Path | None) -> dict[Path, bytes]:
    if folder is None:
        return {}
    try:
        paths = set_files(folder)
        if len(paths) > _MOST_FILES:
            raise ConfigurationError(f"{folder}: has more than {_MOST_FILES} pattern sets")
        for path in paths:
            if not path.is_file():  # a named pipe would be waited for
                raise ConfigurationError(f"{path}: is not a file")
        return {path: read(path) for path in paths}
    except Unreadable as unreadable:
        raise ConfigurationError(str(unreadable)) from None
    except OSError as error:
        raise ConfigurationError(f"{folder}: cannot be read: {error.strerror}") from None


def _digest(files: Mapping[Path, bytes]) -> str:
    if not files:
        return ""
    whole = hashlib.sha256()
    for path, content in files.items():
        whole.update(hashlib.sha256(path.name.encode("utf-8", "surrogateescape")).digest())
        whole.update(hashlib.sha256(content).digest())
    return whole.hexdigest()
