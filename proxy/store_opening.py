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


def master_of(settings: Settings) -> tuple[Master, bool]:
    """Return the master secret, and whether it was made just now. Raises ConfigurationError."""
    anew = not settings.master_secret.exists()
    return load_or_create_master(settings.master_secret), anew


@asynccontextmanager
async def opened(settings: Settings, url: str, clock: Clock, master: Master, *, anew: bool) -> AsyncIterator[Store]:
    """Open the store and close it at the end; `anew` as `master_of` says it.

    Raises ConfigurationError if it must not be used as it is, StoreUnavailable if it is away and the settings need it.
    """
    required = not settings.starts_without_store
    store = await open_store(url, clock=clock, access=store_access(settings), deadline=PATIENTLY_S, required=required)
    try:
        if store.numbers().get("stillgate_store_append_only") == 0:
            get("parent").warning("the store keeps no append-only file: keys, quotas and flags end with its process")
        with nullcontext() if required else suppress(StoreUnavailable):
            await ensure_mark(store, secrets.token_bytes)
            await ensure_secret(store, master.derive(Purpose.STORE), settings.master_secret, anew=anew)
        yield store
    finally:
        await store.close()
