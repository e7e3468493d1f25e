"""Keeps what can be asked about the records of a log: made once for all records that tell alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Generic, TypeAlias, TypeVar

from proxy.decisions.logged import Logged
from proxy.hindsight.sight import read_by
from proxy.hindsight.untold import held_then
from proxy.rules.pack.pack import Pack

MOST: Final = 128  # kept at once: what records show of exemptions can be one of very many combinations

SightT = TypeVar("SightT")
# Makes one from the pack that wrote the records, the fields that may be shortened in them, and the exemptions of which
# they show whether they held.
Make: TypeAlias = Callable[[Pack, frozenset[str], Mapping[str, bool]], SightT]


class Sights(Generic[SightT]):
    """What `packs` can be asked; `archived` finds the pack of a digest, if it can be had."""

    def __init__(self, packs: tuple[Pack, ...], archived: Callable[[str], Pack | None], make: Make[SightT]) -> None:
        self._read = read_by(*packs)
        self._archived = archived
        self._make = make
        self._wrote: dict[str, Pack | None] = {pack.digest: pack for pack in packs}  # packs that wrote records
        self._kept: dict[tuple[str, frozenset[str], frozenset[tuple[str, bool]]], SightT] = {}

    def of(self, logged: Logged) -> SightT | None:
        """Return what can be asked about a record, None if the pack that wrote it cannot be had."""
        digest, hidden = logged.pack_digest, self._read.intersection(logged.shortened)
        if digest not in self._wrote:
            self._wrote[digest] = self._archived(digest)
        by = self._wrote[digest]
        if by is None:
            return None
        held = held_then(by, logged)
        key = digest, hidden, frozenset(held.items())
        if key not in self._kept:
            if len(self._kept) >= MOST:
                self._kept.clear()
            self._kept[key] = self._make(by, hidden, held)
        return self._kept[key]
