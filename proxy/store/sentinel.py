"""Finds the primary that sentinels know by a name, again for each connection, so that a failover is followed.

They are also asked while a connection lasts: in a partition the old primary may go on answering us.

Laws: all sentinels are asked at once and none is waited for long; the newest configuration that they tell counts, once
most of them have answered.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from proxy.settings.store_address import Host
from proxy.store.lane import Wire
from proxy.store.resp import nonsense, packed
from proxy.store.wires import Wires

_ASK_S = 0.5


class _Said(NamedTuple):
    epoch: int
    primary: Host


class Sentinels:
    """The sentinels of one store; `moves` counts how often they named another primary than before."""

    def __init__(self, wires: Wires, hosts: Sequence[Host], name: str) -> None:
        self.moves = 0
        self._wires = wires
        self._hosts = hosts
        self._name = name
        self._known: _Said | None = None
        # What each connection was made by: one to the new primary may be opened while others are to the old one.
        self._made: WeakKeyDictionary[Any, _Said] = WeakKeyDictionary()

    async def find(self) -> Wire:
        """Return a connection to the primary, yet to be opened. Raises ConnectionError if no sentinel knows it."""
        newest = await self._newest()
        if self._known is not None and newest.primary != self._known.primary:
            self.moves += 1
        self._known = newest
        wire = self._wires.to(newest.primary)
        self._made[wire] = newest
        return wire

    async def moved(self) -> bool:
        """Tell whether a connection is open to a server that, by a newer configuration, is not the primary any more."""
        try:
            newest = await self._newest()
        except ConnectionError:
            return False
        return any(
            wire.is_connected and newest.epoch > said.epoch and newest.primary != said.primary
            for wire, said in list(self._made.items())
        )

    async def _newest(self) -> _Said:
        said: list[_Said] = []
        failed: BaseException | None = None
        asking = {asyncio.ensure_future(self._ask(host)) for host in self._hosts}
        try:
            while asking and 2 * len(said) <= len(self._hosts):
                done, asking = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
                for one in done:
                    if (error := one.exception()) is None:
                        said.append(one.result())
                    else:
                        failed = error
        finally:
            for one in asking:
                one.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
        if not said:
            raise ConnectionError(f"no sentinel knows where {self._name} is: {str(failed) or failed!r}") from failed
        return max(said)

    async def _ask(self, host: Host) -> _Said:
        wire = self._wires.to_sentinel(host)
        try:
            async with asyncio.timeout(_ASK_S):
                await wire.connect()
                await wire.send_packed_command(packed("SENTINEL", "MASTER", self._name), check_health=False)
                return _read(await wire.read_response())
        finally:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(_ASK_S):
                    await wire.disconnect()


def _read(reply: object) -> _Said:
    if not isinstance(reply, list) or not all(isinstance(part, bytes) for part in reply):
        raise nonsense()
    facts = dict(zip(reply[::2], reply[1::2], strict=False))
    try:
        return _Said(int(facts[b"config-epoch"]), (facts[b"ip"].decode(), int(facts[b"port"])))
    except (KeyError, ValueError) as error:
        raise nonsense() from error
