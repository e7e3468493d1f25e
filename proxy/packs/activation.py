"""Puts a pack at the settings' path for a person: checked first, replaced as a whole, the old content archived.

Law: a file on a read-only mount, or behind links that somebody else swaps, is left to its owner to change.
"""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

from proxy.documents.problem import Problem, YamlProblems
from proxy.documents.strict_yaml import read
from proxy.errors import ConfigurationError
from proxy.files.whole_file import write_whole
from proxy.handing import handed
from proxy.packs.archive import archived_file
from proxy.packs.keeper import PackKeeper
from proxy.rules.pack_file.loading import check_pack

_NOT_OURS = {
    errno.EROFS: "lies on a read-only mount",
    errno.EACCES: "lies in a folder that the proxy may not write to",
    errno.EPERM: "lies in a folder that the proxy may not write to",
    errno.EBUSY: "is a mount of its own",
}
NEW = "the new pack"  # not the path's name: another pack lies there, without this problem
_KUBERNETES_LINK = "..data"
_WHOSE = "change it where it comes from, and the proxy follows within seconds"


class Activation:
    """Changes the pack of one deployment, and returns the warnings about the new one."""

    def __init__(self, packs: PackKeeper) -> None:
        self._packs = packs

    async def activate(self, data: bytes, who: str, why: str) -> list[Problem]:
        """Bring a pack into force. Raises ConfigurationError if it is broken, or the path is somebody else's."""
        return await self._put(data, "activate", who, why)

    async def rollback(self, digest: str | None, who: str, why: str) -> list[Problem]:
        """Bring an earlier pack into force: the one whose digest begins with `digest`, or with None the last one.

        Raises ConfigurationError if there is none, or for the reasons of `activate`.
        """
        archive = self._packs.archive
        if digest is not None:
            revision = archive.find(digest)
        elif len(archive.revisions) > 1:
            revision = archive.revisions[-2]
        else:
            raise ConfigurationError("there is no earlier pack to go back to")
        file = archived_file(archive.folder, revision.digest)
        data = read(file)
        if hashlib.sha256(data).hexdigest() != revision.digest:
            raise ConfigurationError(f"{file}: was changed since it was archived")
        return await self._put(data, "rollback", who, why)

    async def _put(self, data: bytes, how: str, who: str, why: str) -> list[Problem]:
        path = self._packs.path
        warnings: list[Problem] = []

        def write() -> None:
            pack, problems = check_pack(data, NEW, offered=self._packs.offered)
            if pack is None:
                raise YamlProblems(problems)
            handed(pack)  # raises for one that no start could hand to its workers
            warnings.extend(problems)
            put_in_place(path, data)

        await self._packs.change(write, how, who, why)
        return warnings


def put_in_place(path: Path, data: bytes) -> None:
    """Replace a file whole, its permissions kept. Raises ConfigurationError if it is not ours to replace."""
    try:
        if path.is_symlink() or _KUBERNETES_LINK in path.parts:
            target = os.path.realpath(path)
            raise ConfigurationError(f"{path}: is a link to {target}, as a ConfigMap makes it; {_WHOSE}")
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
        write_whole(path, data, mode=mode)
    except OSError as error:
        if error.errno in _NOT_OURS:
            raise ConfigurationError(f"{path}: {_NOT_OURS[error.errno]}; {_WHOSE}") from None
        raise ConfigurationError(f"{path}: cannot be written: {error.strerror}") from None
