"""Whether a server is fit to be a store: checked on every connection, since another may have taken its place."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from redis.exceptions import ResponseError

from proxy.errors import ConfigurationError
from proxy.log import get
from proxy.store.lane import Wire
from proxy.store.resp import nonsense, packed

# Scripts with a first line of flags, and `PEXPIREAT` from scripts that read the time, need 7.0.
_OLDEST_MAJOR = 7


class Fitness:
    """What is known about the servers that were connected to; `append_only` is None while unknown."""

    def __init__(self, mode: str = "standalone", *, primary: bool = False) -> None:
        self.append_only: bool | None = None
        self._mode = mode
        self._primary = primary  # whether only a primary is fit
        self._was_fit = False
        self._told = ""

    async def check(self, wire: Wire) -> None:
        """Raise ConfigurationError if the server must not be used as it is.

        A server that does not tell its settings is taken as it is. If an unfit one takes a fit one's place, callers see
        only that the store is away, so the log says why.
        """
        try:
            await self._check(wire)
        except ConfigurationError as error:
            if self._was_fit and str(error) != self._told:
                self._told = str(error)
                get("store").error("the store must not be used as it is now", why=self._told)
            raise
        self._was_fit, self._told = True, ""

    async def _check(self, wire: Wire) -> None:
        await _ask(wire, "PING")  # a server that still loads its data answers INFO, but not this
        info = await _told_of_itself(wire)
        if (version := re.search(rb"^redis_version:((\d+)\S*)", info, re.MULTILINE)) and int(
            version[2]
        ) < _OLDEST_MAJOR:
            found = version[1].decode("ascii", "replace")
            raise ConfigurationError(
                f"the store's server is version {found}; it must be Redis 7 or Valkey 7.2 at least"
            )
        mode = re.search(rb"^(?:redis|server)_mode:(\w+)", info, re.MULTILINE)
        if mode and mode[1].decode() != self._mode:
            raise ConfigurationError(f"the store's URL leads to a {mode[1].decode()} node; name a {self._mode} server")
        role = re.search(rb"^role:(\w+)", info, re.MULTILINE)
        if self._primary and role and role[1] != b"master":
            raise ConnectionError("the server that should be the primary is a replica")
        if append_only := re.search(rb"^aof_enabled:([01])", info, re.MULTILINE):
            self.append_only = append_only[1] == b"1"
        evicts = re.search(rb"^maxmemory_policy:(\S+)", info, re.MULTILINE)
        if evicts and evicts[1] != b"noeviction":
            policy = evicts[1].decode("ascii", "replace")
            raise ConfigurationError(
                f"the store's server has maxmemory-policy {policy}: with its memory full it would forget keys and"
                " quotas; set maxmemory-policy noeviction"
            )


class FitWire:
    """A connection that opens only to a server that passes a check; `find` returns the one to open."""

    def __init__(self, find: Callable[[], Awaitable[Wire]], check: Callable[[Wire], Awaitable[None]]) -> None:
        self._find = find
        self._check = check
        self._wire: Wire | None = None

    async def connect(self) -> None:
        """Find the server, connect and check it."""
        self._wire = await self._find()
        await self._wire.connect()
        await self._check(self._wire)

    async def send_packed_command(self, command: bytes, check_health: bool = True) -> None:
        """See `Wire`."""
        await self._opened.send_packed_command(command, check_health)

    async def read_response(self) -> object:
        """See `Wire`."""
        return await self._opened.read_response()

    async def disconnect(self) -> None:
        """See `Wire`."""
        if self._wire is not None:
            await self._wire.disconnect()

    @property
    def _opened(self) -> Wire:
        if self._wire is None:
            raise ConnectionError("the connection was never opened")
        return self._wire


async def _ask(wire: Wire, *command: str) -> object:
    await wire.send_packed_command(packed(*command), check_health=False)
    return await wire.read_response()


async def _told_of_itself(wire: Wire) -> bytes:
    """Return the server's INFO, nothing if it answered that we may not ask.

    CONFIG is not used: rented servers do not have it. All sections are asked for: old servers cannot select some.
    """
    try:
        info = await _ask(wire, "INFO")
    except ResponseError as error:
        if error.status_code == "NOPERM":
            return b""
        raise
    if not isinstance(info, bytes) or b":" not in info:
        raise nonsense()
    return info
