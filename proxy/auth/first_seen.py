"""When an account was first seen, for accounts whose opening nobody told us."""

from __future__ import annotations

from proxy.store.base import Row, Store

ACCOUNTS_TABLE = "accounts"  # account -> when it was first seen


async def first_seen(store: Store, account: str, now: float) -> float:
    """Return when the account was first seen, this moment if it is new. Raises StoreUnavailable.

    So a second key, or another token, does not make an old account young.
    """
    now = round(now, 3)
    if await store.write([Row(ACCOUNTS_TABLE, account, b"%.3f" % now)], only_new=True):
        return now
    value = await store.read(ACCOUNTS_TABLE, account)
    return float(value) if value is not None else now
