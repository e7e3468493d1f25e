"""Where a store's server is, how to get a connection to it, and whether it is fit to be a store."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio.connection import Connection, UnixDomainSocketConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from proxy.errors import ConfigurationError, StoreUnavailable
from proxy.store.bounded_parser import BoundedParser
from proxy.store.lane import Wire
from proxy.store.resp import nonsense

# Scripts with a first line of flags, and `PEXPIREAT` from scripts that read the time, need 7.0.
_OLDEST_MAJOR = 7

# What a URL may carry; everything else (retries, timeouts, pools) is decided here and would be a surprise.
_URL_PARTS = frozenset(
    {"connection_class", "username", "password", "host", "port", "db", "path"}
    | {"ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname"}
)


def wires(url: str, password: str | None) -> Callable[[], Wire]:
    """Return what makes a new connection to the URL's server each time; `password` stands in for one in the URL.

    No deadline is set on the connection: its lane has one for each call. Nothing is tried again.
    """
    try:
        parts: dict[str, Any] = dict(parse_url(url))
    except ValueError as error:
        raise ConfigurationError("the store's URL must begin with redis://, rediss:// or unix://") from error
    unknown = sorted(parts.keys() - _URL_PARTS)
    if unknown:
        raise ConfigurationError(f"the store's URL has options that are not known: {', '.join(unknown)}")
    make: Any = parts.pop("connection_class", Connection)
    if make is UnixDomainSocketConnection and not parts.get("path"):
        raise ConfigurationError("the store's URL must name a socket: unix:///path/to/socket")
    if password is not None:
        parts["password"] = password

    def wire() -> Wire:
        connection: Wire = make(
            **parts,
            protocol=2,  # no push messages: every reply answers a command
            parser_class=BoundedParser,
            driver_info=None,  # one round trip less, and nothing about us in the server's client list
            retry=Retry(NoBackoff(), 0),
            retry_on_error=[],
            socket_timeout=None,
            socket_connect_timeout=None,
        )
        return connection

    return wire


async def check_server(ask: Callable[..., Awaitable[list[Any]]]) -> None:
    """Raise ConfigurationError if the server must not be used as it is; `ask` runs one command.

    A server that keeps its settings to itself is taken as it is.
    """
    await ask("PING")  # a server that still reads its data answers INFO already, but not this
    info = await _permitted(ask, "INFO", "server")
    version = re.search(rb"^redis_version:((\d+)\S*)", info[0], re.MULTILINE) if info else None
    if version and int(version[2]) < _OLDEST_MAJOR:
        found = version[1].decode("ascii", "replace")
        raise ConfigurationError(f"the store's server is version {found}; it must be Redis 7 or Valkey 7.2 at least")
    mode = re.search(rb"^(?:redis|server)_mode:(\w+)", info[0], re.MULTILINE) if info else None
    if mode and mode[1] != b"standalone":
        raise ConfigurationError(f"the store's URL leads to a {mode[1].decode()} node; name a standalone server")
    setting = await _permitted(ask, "CONFIG", "GET", "maxmemory-policy")
    if len(setting) == 2 and setting[1] != b"noeviction":
        policy = setting[1].decode("ascii", "replace")
        raise ConfigurationError(
            f"the store's server has maxmemory-policy {policy}: with its memory full it would forget keys and quotas;"
            " set maxmemory-policy noeviction"
        )


async def _permitted(ask: Callable[..., Awaitable[list[Any]]], *command: str) -> list[bytes]:
    """Return the parts of the command's reply, none if the server answered that we may not ask."""
    try:
        (reply,) = await ask(*command)
    except StoreUnavailable as error:
        if getattr(error.__cause__, "status_code", None) == "NOPERM":
            return []
        raise
    parts = reply if isinstance(reply, list) else [reply]
    if not all(isinstance(part, bytes) for part in parts):
        raise nonsense()
    return parts
