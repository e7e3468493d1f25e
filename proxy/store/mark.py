"""Rows that every store has from its first use on: a mark, without which it has lost everything, and a sign of its
secret: used with another secret than ours, it knows none of our keys.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from proxy.errors import ConfigurationError
from proxy.store.base import Row, Store

MARK: Final = ("store", "mark")
_SECRET: Final = ("store", "secret")
_BYTES: Final = 16


async def ensure_mark(store: Store, random_bytes: Callable[[int], bytes]) -> None:
    """Mark a store that has no mark yet. Raises StoreUnavailable."""
    await store.write([Row(*MARK, random_bytes(_BYTES).hex().encode())], only_new=True)


async def ensure_secret(store: Store, sign: bytes, file: Path, *, anew: bool) -> None:
    """Make sure that a store is used with one secret only: ours, in `file`, has this one-way `sign`.

    `anew` says that ours was just made, to replace any other. Raises ConfigurationError if the store is used with
    another secret, and StoreUnavailable.
    """
    row = Row(*_SECRET, sign.hex().encode())
    if not await store.write([row], only_new=not anew) and await store.read(*_SECRET) != row.value:
        raise ConfigurationError(
            f"{file}: is not the master secret that the store was used with, so no key of a customer would open "
            "anything; put that one back, or begin with an empty store"
        )


async def read_mark(store: Store) -> bytes | None:
    """Return the store's mark. Raises StoreUnavailable."""
    return await store.read(*MARK)
