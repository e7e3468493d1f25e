"""The packs that were in force, by digest, and who put each there: what replays and rollbacks go back to.

Laws: an archived file never changes, and is whole or absent; only the parent process writes; the pack in force is never
dropped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from proxy.documents.problem import YamlProblems
from proxy.documents.strict_yaml import read
from proxy.errors import ConfigurationError
from proxy.files.whole_file import write_whole
from proxy.log import get
from proxy.rules.pack.pack import Pack
from proxy.rules.pack.words import Mode
from proxy.rules.pack_file.loading import check_pack

PACKS_FOLDER = "packs"
_INDEX = "index.json"
_MOST = 50


class Note(NamedTuple):
    """How a pack came into force: when (Unix seconds), by what means, and by whom and why if a person did it."""

    time: float
    how: str
    who: str = ""
    why: str = ""


class Revision(NamedTuple):
    """One pack that was in force, and when it last came into force."""

    digest: str
    name: str
    version: str
    note: Note

    def to_json(self) -> dict[str, Any]:
        """Return what the index and the command line show."""
        return {"digest": self.digest, "name": self.name, "version": self.version, **self.note._asdict()}


def archived_file(folder: Path, digest: str) -> Path:
    """Return the path of the pack with this digest."""
    return folder / f"{digest}.yaml"


def load_archived(folder: Path, digest: str) -> Pack:
    """Load the pack with this digest. Raises ConfigurationError if it is missing or not as it was archived."""
    file = archived_file(folder, digest)
    data = read(file)
    if hashlib.sha256(data).hexdigest() != digest:
        raise ConfigurationError(f"{file}: was changed since it was archived")
    pack, problems = check_pack(data, str(file))
    if pack is None:
        raise YamlProblems(problems)
    return pack


class PackArchive:
    """The archive as the parent process keeps it: up to 50 packs, the latest ones."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.revisions: list[Revision] = []  # the one that came into force last is last
        self.shadow: dict[str, float] = {}  # since when each entry is in shadow: `rule:ID`, `quota:ID`, `campaign:ID`
        self._read_index()

    @classmethod
    def begun_with(cls, folder: Path, pack: Pack, data: bytes, wall: float) -> PackArchive:
        """Open the archive and put the pack of a start into it; a pack already in force keeps its note.

        If all is in order nothing is written, so a restart serves even on a full disk. Raises ConfigurationError if the
        pack cannot be archived.
        """
        try:
            archive = cls(folder)
            # A restart with the same pack keeps the note of whoever put it there.
            notes = [revision.note for revision in archive.revisions[-1:] if revision.digest == pack.digest]
            archive.keep(pack, data, notes[0] if notes else Note(wall, "start"))
        except OSError as error:
            place = error.filename or folder  # an error in writing has no file name
            raise ConfigurationError(f"{place}: the pack cannot be archived: {error.strerror}") from None
        return archive

    def keep(self, pack: Pack, data: bytes, note: Note) -> None:
        """Archive a pack that comes into force. Raises OSError; then nothing has changed."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(archived_file(self.folder, pack.digest), data)
        revisions = [revision for revision in self.revisions if revision.digest != pack.digest]
        revisions.append(Revision(pack.digest, pack.name, pack.version, note))
        dropped, revisions = revisions[:-_MOST], revisions[-_MOST:]
        shadow = {name: self.shadow.get(name, note.time) for name in in_shadow(pack)}
        index = {"revisions": [revision.to_json() for revision in revisions], "shadow": shadow}
        _write(self.folder / _INDEX, orjson.dumps(index, option=orjson.OPT_INDENT_2))
        self.revisions, self.shadow = revisions, shadow
        for revision in dropped:
            archived_file(self.folder, revision.digest).unlink(missing_ok=True)

    def find(self, digest: str) -> Revision:
        """Return the one revision whose digest begins so. Raises ConfigurationError if there is none or several."""
        found = [revision for revision in self.revisions if revision.digest.startswith(digest)]
        if len(found) != 1:
            raise ConfigurationError(f"{len(found) or 'no'} revisions have a digest that begins with {digest!r}")
        return found[0]

    def _read_index(self) -> None:
        try:
            index = orjson.loads((self.folder / _INDEX).read_bytes())
            self.revisions = [_revision(entry) for entry in index["revisions"]]
            self.shadow = {str(name): float(time) for name, time in index["shadow"].items()}
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            # The index is for people only; the proxy serves without it.
            self.revisions, self.shadow = [], {}
            get("packs").error("the index of packs cannot be read and begins anew", error=repr(error))


def in_shadow(pack: Pack) -> list[str]:
    """Name what a pack has in shadow."""
    named = [("rule", entry.id, entry.mode) for entry in pack.rules]
    named += [("quota", entry.id, entry.mode) for entry in pack.quotas]
    named += [("campaign", entry.id, entry.mode) for entry in pack.campaigns]
    return [f"{kind}:{name}" for kind, name, mode in named if mode is Mode.SHADOW]


def _write(path: Path, data: bytes) -> None:
    """Make a file hold this data; if it does already, no disk space is needed. Raises OSError."""
    with suppress(OSError):  # one that cannot be read is replaced
        if path.read_bytes() == data:
            return
    write_whole(path, data)


def _revision(entry: Mapping[str, Any]) -> Revision:
    note = Note(float(entry["time"]), str(entry["how"]), str(entry["who"]), str(entry["why"]))
    return Revision(str(entry["digest"]), str(entry["name"]), str(entry["version"]), note)
