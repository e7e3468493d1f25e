"""The way to the servers of a cluster, each of which has some of the 16,384 slots that keys fall into.

Laws:
- A call's commands go to all their servers at once, those for the same server together.
- A command that a server redirects did not run there: it is sent on to the server named, within its deadline. Nothing
  else is sent twice.
- Nothing is sent at all if a needed server is known to be away: what the others granted would be lost.
- The map of slots is asked of any server that answers: at the start, when one redirects, and while one is away. A
  server cut off from the others knows only an old map: it is believed only if no other answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import AskError, ClusterDownError, MovedError, TryAgainError

from proxy.errors import StoreAway, StoreUnavailable
from proxy.settings.store_address import Host
from proxy.store.lane import Lane, Wire
from proxy.store.link import OPEN_S, Link
from proxy.store.resp import nonsense, packed, raise_first_error
from proxy.store.server import Fitness, FitWire
from proxy.store.way import Command, run_on
from proxy.store.wires import Wires

_AT_ONCE = 5  # redirections that are followed at once: two servers may point to each other for a while
_TRY_AGAIN_S = 0.01
_LAST_PART = 0.3  # of a deadline; nothing is sent in it: a server without time to answer would count as away
_LOOK_S = 0.25  # between two requests for the map of slots
_WHERE = (packed("CLUSTER", "INFO"), packed("CLUSTER", "SLOTS"))


_Place = tuple[Link, bool]  # a server, and whether the command needs ASKING, for a slot that it does not have yet


class Cluster:
    """The servers of one cluster; `hosts` are those to ask first."""

    def __init__(self, wires: Wires, hosts: Sequence[Host], fitness: Fitness, deadline: float) -> None:
        self._moves = 0
        self._opens = 0  # of breakers of servers that were dropped
        self._wires = wires
        self._hosts = hosts
        self._fitness = fitness
        self._deadline = deadline
        self._loop = asyncio.get_running_loop()
        self._links: dict[Host, Link] = {}
        self._slots: dict[int, Host] = {}
        self._doubt = asyncio.Event()
        self._tending = self._loop.create_task(self._tend())
        self._leaving: set[asyncio.Task[None]] = set()

    @property
    def links(self) -> Sequence[Link]:
        """See `Way.links`."""
        return tuple(self._links.values())

    @property
    def moves(self) -> int:
        """See `Way.moves`: how often slots were found with another server than before."""
        return self._moves

    @property
    def opens(self) -> int:
        """See `Way.opens`."""
        return self._opens + sum(link.opens for link in self.links)

    def link(self, key: str) -> Link:
        """See `Way.link`."""
        host = self._slots.get(key_slot(key.encode()))
        if host is None:
            self._doubt.set()
            raise StoreUnavailable("no server of the cluster has the slot of a key")
        return self._link(host)

    async def open(self, expires: float) -> None:
        """See `Way.open`; every server must be reachable and fit."""
        self._doubt.set()  # so that `_tend` looks until the cluster is found, even if this fails
        await self._look(expires)
        lanes = [link.current() for link in self.links]
        await asyncio.gather(*(lane.ask([packed("PING")], expires) for lane in lanes))

    async def run(self, commands: Sequence[Command], expires: float, script: bytes | None = None) -> list[Any]:
        """See `Way.run`."""
        replies: list[Any] = [None] * len(commands)
        places: dict[int, _Place] = {index: (self.link(command.key), False) for index, command in enumerate(commands)}
        for turn in itertools.count():
            sent = {index: (place, commands[index].data) for index, place in places.items()}
            try:
                answered = await self._send(sent, expires, script)
            except StoreAway as error:
                if len(places) < len(commands):
                    raise _in_part(error) from error.__cause__
                raise
            elsewhere: dict[int, _Place] = {}
            for index, reply in answered.items():
                replies[index] = reply
                if (place := self._elsewhere(places[index][0], commands[index].key, reply)) is not None:
                    elsewhere[index] = place
            places = elsewhere
            if not places or expires - self._loop.time() < self._deadline * _LAST_PART:
                break
            if turn >= _AT_ONCE or any(isinstance(replies[index], TryAgainError) for index in places):
                await asyncio.sleep(_TRY_AGAIN_S)
        return replies

    async def _send(
        self, commands: Mapping[int, tuple[_Place, bytes]], expires: float, script: bytes | None
    ) -> dict[int, Any]:
        """Send commands to their places, all at once, and return the replies. Raises StoreUnavailable if one fails."""
        groups: dict[_Place, list[int]] = {}
        for index, (place, _) in commands.items():
            place[0].current()  # raises if it is away, before anything is sent
            groups.setdefault(place, []).append(index)
        answers = await asyncio.gather(
            *(
                run_on(link, [commands[index][1] for index in indexes], expires, script, asking=asking)
                for (link, asking), indexes in groups.items()
            ),
            return_exceptions=True,
        )
        replies: dict[int, Any] = {}
        for indexes, answer in zip(groups.values(), answers, strict=True):
            if isinstance(answer, BaseException):
                self._doubt.set()
                if isinstance(answer, StoreAway) and len(groups) > 1:  # its server failed just now
                    raise _in_part(answer) from answer.__cause__
                raise answer
            replies.update(zip(indexes, answer, strict=True))
        return replies

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """See `Way.watched`."""
        try:
            yield
        except StoreUnavailable as error:
            if isinstance(error.__cause__, MovedError | ClusterDownError):
                self._doubt.set()
            raise

    async def close(self) -> None:
        """See `Way.close`."""
        self._tending.cancel()
        await asyncio.wait([self._tending])
        await asyncio.gather(*(link.close() for link in self.links), *self._leaving)

    def _elsewhere(self, link: Link, key: str, reply: object) -> tuple[Link, bool] | None:
        """Return the place where a command must be sent again after this reply; None if it was answered."""
        match reply:
            case MovedError():
                host = self._named(link, reply)
                self._moves += self._slots.get(reply.slot_id) != host
                self._slots[reply.slot_id] = host
                self._doubt.set()
                return self._link(host), False
            case AskError():
                return self._link(self._named(link, reply)), True
            case TryAgainError():
                return self.link(key), False
            case ClusterDownError():
                self._doubt.set()
        return None

    def _named(self, link: Link, error: AskError) -> Host:
        """Return the server that a redirection names; without a host, the host of the server that redirects."""
        return (error.host or next(host for host, one in self._links.items() if one is link)[0], error.port)

    def _link(self, host: Host) -> Link:
        link = self._links.get(host)
        if link is None:
            link = self._links[host] = Link(lambda: FitWire(self._finding(host), self._fitness.check), self._deadline)
        return link

    def _finding(self, host: Host) -> Callable[[], Awaitable[Wire]]:
        async def find() -> Wire:
            return self._wires.to(host)

        return find

    async def _tend(self) -> None:
        """Ask for the map of slots again whenever it is in doubt, until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._doubt.wait()
            if self._doubt.is_set() or not self._links or any(link.away for link in self.links):
                self._doubt.clear()
                with contextlib.suppress(StoreUnavailable):
                    await self._look(self._loop.time() + OPEN_S)
                await asyncio.sleep(_LOOK_S)

    async def _look(self, expires: float) -> None:
        """Ask servers for the map of slots, one after the other, first those known to answer."""
        known = [host for host, link in self._links.items() if not link.away]
        failed: StoreUnavailable | None = None
        doubtful: dict[int, Host] = {}
        for host in dict.fromkeys([*known, *self._hosts, *self._links]):
            lane = Lane(self._wires.to(host), OPEN_S)
            try:
                info, reply = await lane.submit(_WHERE, min(expires, self._loop.time() + OPEN_S / 2))
                raise_first_error([reply])
                slots = _slots(reply, host)
            except StoreUnavailable as error:
                failed = error
                continue
            finally:
                await lane.abort()
            if not isinstance(info, bytes) or b"cluster_state:fail" not in info:  # asking may be forbidden
                self._take(slots)
                return
            doubtful = doubtful or slots
        if not doubtful:
            raise failed or StoreUnavailable("there is no server to ask")
        self._take(doubtful)

    def _take(self, slots: dict[int, Host]) -> None:
        """Take a new map of slots, and drop servers that have none."""
        if self._slots and any(slots.get(slot, host) != host for slot, host in self._slots.items()):
            self._moves += 1
        self._slots = slots
        hosts = set(slots.values())
        for host in hosts:
            self._link(host)
        for host in self._links.keys() - hosts:
            link = self._links.pop(host)
            self._opens += link.opens
            leaving = self._loop.create_task(link.close())
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)


def _in_part(error: StoreAway) -> StoreUnavailable:
    """Return the error for a call that other servers may have done in part."""
    return StoreUnavailable(str(error))


def _slots(reply: object, asked: Host) -> dict[int, Host]:
    """Return the primary of each slot; one without a host has that of the server asked."""
    slots: dict[int, Host] = {}
    try:
        for first, last, (host, port, *_), *_replicas in reply:  # type: ignore[attr-defined] # it is looked at below
            primary = ((host or b"").decode() or asked[0], int(port))
            if not 0 <= first <= last < REDIS_CLUSTER_HASH_SLOTS:
                raise nonsense()
            slots.update(dict.fromkeys(range(first, last + 1), primary))
    except (ValueError, TypeError, AttributeError) as error:
        raise nonsense() from error
    if not slots:
        raise StoreUnavailable("a server of the cluster knows no slots")
    return slots
