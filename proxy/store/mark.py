"""A row that every store of ours has from its first use on: a store without it has lost everything it held."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from proxy.store.base import Row, Store

MARK: Final = ("store", "mark")
_BYTES: Final = 16


async def ensure_mark(store: Store, random_bytes: Callable[[int], bytes]) -> None:
    """Mark a store that has no mark yet. Raises StoreUnavailable."""
    await store.write([Row(*MARK, random_bytes(_BYTES).hex().encode())], only_new=True)


async def read_mark(store: Store) -> bytes | None:
    """Return the store's mark. Raises StoreUnavailable."""
    return await store.read(*MARK)
