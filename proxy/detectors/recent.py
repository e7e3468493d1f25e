"""A mapping that keeps what was used last and forgets the rest, so that memory is bounded whoever calls."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

Key = TypeVar("Key")
Item = TypeVar("Item")


class Recent(Generic[Key, Item]):
    """At most `size` entries; getting or setting one makes it the newest, and the oldest goes."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[Key, Item] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key) -> Item | None:
        """Return an entry, None if there is none, or none any more."""
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    def set(self, key: Key, entry: Item) -> None:
        """Keep an entry."""
        self._entries[key] = entry
        self._entries.move_to_end(key)
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)
