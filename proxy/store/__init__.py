"""Where counters, keys and flags live: the kinds of store, by what names them in the settings."""

from __future__ import annotations

from proxy.clock import Clock
from proxy.settings.store_address import NO_ACCESS, Access
from proxy.store.base import Store
from proxy.store.memory import MemoryStore
from proxy.without import in_parts, without

# How long a customer's request waits for the store, in seconds; and how long a person does, who changes much at once.
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
    Raises ConfigurationError if the server must not be used as it is, StoreUnavailable if it cannot be reached. Where
    it is not `required`, it is looked for again and again instead.
    """
    if url_or_kind == "memory":
        return MemoryStore(clock)
    in_parts("redis")  # five megabytes more, for clients and commands: connections are what is used of it
    in_parts("redis.asyncio")
    # Loaded here and not above: it takes as long as all else that a verb needs, and most verbs open no store.
    with without("opentelemetry"):  # three megabytes more, for figures of the driver's own
        from proxy.store.redis import RedisStore  # noqa: PLC0415 - see above

    return await RedisStore.connect(url_or_kind, access=access, deadline=deadline, required=required)
