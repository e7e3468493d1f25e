"""Opens the store of a deployment, and makes sure that it is used with this deployment's secret."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress

from proxy.clock import Clock
from proxy.config import Settings
from proxy.errors import StoreUnavailable
from proxy.log import get
from proxy.secrets import Master, Purpose, load_or_create_master
from proxy.start import store_access
from proxy.store import PATIENTLY_S, open_store
from proxy.store.base import Store
from proxy.store.mark import ensure_mark, ensure_secret


@asynccontextmanager
async def opened(settings: Settings, url: str, clock: Clock) -> AsyncIterator[tuple[Store, Master]]:
    """Open the store and close it at the end; yield it with the master secret, which is made if there is none.

    It is made only once the store is there and can note it: otherwise the store would later refuse this secret.

    Raises ConfigurationError if either must not be used as it is, StoreUnavailable if the store is away and the
    settings need it.
    """
    required = not settings.starts_without_store
    store = await open_store(url, clock=clock, access=store_access(settings), deadline=PATIENTLY_S, required=required)
    try:
        if store.numbers().get("stillgate_store_append_only") == 0:
            get("parent").warning("the store keeps no append-only file: keys, quotas and flags end with its process")
        anew = not settings.master_secret.exists()
        master = load_or_create_master(settings.master_secret)
        for kept in master.old:
            get("parent").warning(
                "what was made under an old master secret is still accepted; end that with: stillgate secrets retire",
                id=kept.id,
                since=kept.since,
            )
        with nullcontext() if required else suppress(StoreUnavailable):
            await ensure_mark(store, secrets.token_bytes)
            await ensure_secret(store, master.derive(Purpose.STORE), settings.master_secret, anew=anew)
        yield store, master
    finally:
        await store.close()
