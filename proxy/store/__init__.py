"""Where counters, keys and flags live: opens the kind of store that the settings name."""

from __future__ import annotations

from proxy.clock import Clock
from proxy.settings.store_address import NO_ACCESS, Access
from proxy.store.base import Store
from proxy.store.memory import MemoryStore
from proxy.without import in_parts, without

# How many seconds a customer's request waits for the store, and how many a person does, who may change much at once.
SOON_S, PATIENTLY_S = 0.25, 1.0


async def open_store(
    url_or_kind: str,
    *,
    clock: Clock,
    access: Access = NO_ACCESS,
    deadline: float = SOON_S,
    required: bool = True,
) -> Store:
    """Open a store: `memory`, on this clock, or a URL (see `store_address`), on the server's own time.

    The embedded store is started by the parent process (`proxy.store.embedded`); workers open its unix:// URL.
    Raises ConfigurationError if the server must not be used as it is, StoreUnavailable if it cannot be reached. If it
    is not `required`, the store keeps trying to reach it instead.
    """
    if url_or_kind == "memory":
        return MemoryStore(clock)
    in_parts("redis")  # saves five megabytes of clients and commands: only connections are used
    in_parts("redis.asyncio")
    # Imported here: it takes as long as all else that a command needs, and most commands open no store.
    with without("opentelemetry"):  # saves three megabytes for the driver's own metrics
        from proxy.store.redis import RedisStore  # noqa: PLC0415 - see above

    return await RedisStore.connect(url_or_kind, access=access, deadline=deadline, required=required)
