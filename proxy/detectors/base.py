"""What a detector is: a small plug-in that adds facts about one exchange, and never denies or alters anything.

Laws: `inspect` is pure, needs no event loop and may run in a thread; its time is linear in the request. What is
remembered between exchanges is read in `look_up` and learned in `learn`, both on the loop.
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

        `exchange.call` is set. `exchange.texts` may be empty unless the pack reads a field of `Cost.TEXT`, so a field
        that is made of them has to declare that. Whatever the request holds, this raises nothing.
        """
        ...


class Remembering(Detector, Protocol):
    """A detector that compares an exchange with earlier ones."""

    async def look_up(self, exchange: Exchange) -> Mapping[str, Value]:
        """Return the fields that need memory. Raises StoreUnavailable, which leaves the defaults and is counted."""
        ...

    def learn(self, exchange: Exchange, answered: Answered) -> Mapping[str, Value]:
        """Note how the exchange ended, and return the fields that only its end tells; must not await."""
        ...


@runtime_checkable
class Storing(Protocol):
    """What a remembering detector has too if replicas share its memory through the store."""

    async def flush(self) -> None:
        """Write what was learned; called every second or so, and before the process ends. Raises StoreUnavailable."""
        ...

    async def sweep(self, now: float) -> int:
        """Delete rows that are too old to matter, and return how many; `now` is Unix seconds.

        Each process calls it every hour or so. Raises StoreUnavailable.
        """
        ...
