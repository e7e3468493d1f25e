"""What a detector is: a small plug-in that adds facts about one exchange, and never denies or alters anything.

Laws: `inspect` is pure, needs no event loop and may run in a thread; it costs time linear in the request. Whatever is
remembered between exchanges is read in `look_up` and learned in `learn`, on the loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Protocol, runtime_checkable

from proxy.exchange import Answered, Exchange
from proxy.fields import Field, Value


class Detector(Protocol):
    """One detector; one object per process."""

    fields: ClassVar[tuple[Field, ...]]

    def inspect(self, exchange: Exchange) -> Mapping[str, Value]:
        """Return the fields that the request alone tells; those left out keep their default.

        `exchange.call` is there. `exchange.texts` may be empty unless a field that the pack reads has `Cost.TEXT`, so a
        field made of them declares that. Whatever the request holds, this raises nothing.
        """
        ...


class Remembering(Detector, Protocol):
    """A detector that compares with what it saw before."""

    async def look_up(self, exchange: Exchange) -> Mapping[str, Value]:
        """Return the fields that need memory. Raises StoreUnavailable, which leaves the defaults and is counted."""
        ...

    def learn(self, exchange: Exchange, answered: Answered) -> Mapping[str, Value]:
        """Take note of how the exchange ended, and return the fields that only its end tells; must not await."""
        ...


@runtime_checkable
class Storing(Protocol):
    """What a remembering detector has too if replicas share its memory through the store."""

    async def flush(self) -> None:
        """Write what was learned; the host calls it every second or so, and before it ends. Raises StoreUnavailable."""
        ...

    async def sweep(self, now: float) -> int:
        """Delete rows that are too old to mean anything, and return how many; `now` is Unix seconds.

        One process of the deployment calls it every hour or so. Raises StoreUnavailable.
        """
        ...
