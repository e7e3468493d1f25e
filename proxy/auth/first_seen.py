"""When an account was first seen, for accounts whose opening date nobody told us."""

from __future__ import annotations

from proxy.auth.api_key import CLOCKS_APART_S
from proxy.store.base import Row, Store

_ACCOUNTS_TABLE = "accounts"  # account -> when it was first seen


async def first_seen(store: Store, account: str, now: float) -> float:
    """Return when the account was first seen, this moment if it is new. Raises StoreUnavailable.

    So a second key, or another token, does not make an old account young. A time in the future was noted by a wrong
    clock, and would keep the account new until long after that: such an account counts as first seen now.
    """
    now = round(now, 3)
    row = Row(_ACCOUNTS_TABLE, account, b"%.3f" % now)
    if await store.write([row], only_new=True):
        return now
    value = await store.read(_ACCOUNTS_TABLE, account)
    seen = now if value is None else float(value)
    if seen <= now + CLOCKS_APART_S:
        return seen
    await store.write([row])
    return now
