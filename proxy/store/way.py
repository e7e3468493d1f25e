"""The way to the server of a key: one server for all keys, or, in `cluster`, one for each slot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, Protocol

from redis.exceptions import NoScriptError, ReadOnlyError, ResponseError

from proxy.store.lane import Wire
from proxy.store.link import Link
from proxy.store.resp import packed

# Seconds between checks whether the server is still the primary: each opens a connection to every sentinel.
_WATCH_S = 2.0


class Command(NamedTuple):
    """A command as bytes, and a key that says which server it is for."""

    key: str
    data: bytes


class Way(Protocol):
    """Sends commands to where their keys are."""

    @property
    def links(self) -> Sequence[Link]:
        """The links to all servers."""
        ...

    @property
    def moves(self) -> int:
        """How often another server became the primary."""
        ...

    @property
    def opens(self) -> int:
        """How often a breaker opened, including those of servers that were dropped since."""
        ...

    def link(self, key: str) -> Link:
        """Return the link to a key's server. Raises StoreUnavailable if there is none."""
        ...

    async def run(self, commands: Sequence[Command], expires: float, script: bytes | None = None) -> list[Any]:
        """Return one reply for each command, error replies as values; `script` is loaded where it is not known."""
        ...

    async def open(self, expires: float) -> None:
        """Return once there is a way. Raises StoreUnavailable."""
        ...

    def watched(self) -> AbstractContextManager[None]:
        """Heed what a server's errors say about its keys, for a caller that asks on a lane of its own."""
        ...

    async def close(self) -> None:
        """Wait for the calls in flight and close every connection."""
        ...


class Primaries(Protocol):
    """Knows which server is the primary."""

    @property
    def moves(self) -> int:
        """How often another one was found than before."""
        ...

    async def moved(self) -> bool:
        """Tell whether a connection is open to a server that is not the primary any more."""
        ...


class OneServer:
    """The way to a single server; `primaries`, if given, knows when another one has taken its place."""

    def __init__(self, wire: Callable[[], Wire], deadline: float, primaries: Primaries | None) -> None:
        self._link = Link(wire, deadline)
        self._primaries = primaries
        self._watching = None if primaries is None else asyncio.create_task(self._watch(primaries))

    @property
    def links(self) -> Sequence[Link]:
        """See `Way.links`."""
        return (self._link,)

    @property
    def moves(self) -> int:
        """See `Way.moves`."""
        return self._link.renewals if self._primaries is None else self._primaries.moves

    @property
    def opens(self) -> int:
        """See `Way.opens`."""
        return self._link.opens

    def link(self, key: str) -> Link:
        """See `Way.link`."""
        del key
        return self._link

    async def run(self, commands: Sequence[Command], expires: float, script: bytes | None = None) -> list[Any]:
        """See `Way.run`."""
        return await run_on(self._link, [command.data for command in commands], expires, script)

    async def open(self, expires: float) -> None:
        """See `Way.open`."""
        await self._link.current().ask([packed("PING")], expires)

    def watched(self) -> AbstractContextManager[None]:
        """See `Way.watched`."""
        return nullcontext()

    async def close(self) -> None:
        """See `Way.close`."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        await self._link.close()

    async def _watch(self, primaries: Primaries) -> None:
        """Leave a server that is no longer the primary, even if it answers; runs until cancelled."""
        while True:
            await asyncio.sleep(_WATCH_S)
            if not self._link.away and await primaries.moved():
                await self._link.renew()


async def run_on(
    link: Link, commands: Sequence[bytes], expires: float, script: bytes | None, *, asking: bool = False
) -> list[Any]:
    """Return one reply for each command; `asking` says that the server does not have their slot yet.

    A script that the server does not know did not run there: load it and go on.
    """
    lane = link.current()
    each = [packed("ASKING"), b""] if asking else [b""]
    replies = (await lane.submit(_filled(each, commands), expires))[len(each) - 1 :: len(each)]
    for reply in replies:
        if isinstance(reply, ResponseError):
            break
    else:
        return replies
    unknown = [index for index, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
    if unknown and script is not None:
        load = packed("SCRIPT", "LOAD", script)
        loaded, *again = await lane.submit([load, *_filled(each, [commands[index] for index in unknown])], expires)
        for index, reply in zip(unknown, again[len(each) - 1 :: len(each)], strict=True):
            replies[index] = loaded if isinstance(loaded, ResponseError) else reply
    if any(isinstance(reply, ReadOnlyError) for reply in replies):
        await link.renew()
    return replies


def _filled(each: Sequence[bytes], commands: Sequence[bytes]) -> list[bytes]:
    """Return the parts of `each` for every command, with the command in place of the empty part."""
    return [part or command for command in commands for part in each]
