"""Makes connections to the servers of a store: plain, behind TLS, or by a socket.

Laws:
- A connection has no deadline, as its lane has one for each call; nothing is tried again.
- Passwords and certificates are read from their files when a connection is made, so changing them needs no restart.
  While files cannot be used, such as half of a new pair, those read before stay in use.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from redis.asyncio.connection import Connection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from proxy.errors import ConfigurationError
from proxy.log import get
from proxy.settings.store_address import Access, Host, Place
from proxy.store.bounded_parser import BoundedParser
from proxy.store.lane import Wire


class _TlsConnection(Connection):
    """A connection over a ready context: redis-py's own class reads the files again for each connection."""

    def __init__(self, context: ssl.SSLContext, server_name: str | None, **parts: Any) -> None:  # noqa: ANN401 - redis-py's
        super().__init__(**parts)
        self._context = context
        self._server_name = server_name or self.host

    def _connection_arguments(self) -> Mapping[str, Any]:
        return {**super()._connection_arguments(), "ssl": self._context, "server_hostname": self._server_name}


class Wires:
    """Makes connections to the servers of one place, with its credentials. Reads files: call it in a thread.

    Raises ConfigurationError if they cannot be used.
    """

    def __init__(self, place: Place, access: Access) -> None:
        self._place = place
        self._access = access
        self._stamps = _stamps(access)
        self._context = _context(access) if place.tls else None
        self._unusable = ""  # what is wrong with the present files

    def to(self, host: Host) -> Wire:
        """Return a new connection to a server, not yet open."""
        self._reread()
        login = {"username": self._place.username, "password": self._place.password or self._access.password}
        return self._made(host, db=self._place.db, **login)

    def to_sentinel(self, host: Host) -> Wire:
        """Return a new connection to a sentinel, which has a password of its own."""
        self._reread()
        return self._made(host, password=self._access.sentinel_password)

    def to_socket(self) -> Wire:
        """Return a new connection to the server of a socket."""
        self._reread()
        password = self._place.password or self._access.password
        return socket_wire(self._place.path, username=self._place.username, password=password, db=self._place.db)

    def _reread(self) -> None:
        """Read the files again; those of TLS only if they changed, since an authority's may be large."""
        if self._access.reread is None:
            return
        try:
            access = self._access.reread()
            stamps = _stamps(access)
            if self._place.tls and stamps != self._stamps:
                self._context = _context(access)
        except ConfigurationError as error:
            if str(error) != self._unusable:
                self._unusable = str(error)
                get("store").warning("what opens the store was read before: the files cannot be used", error=str(error))
            return
        self._access, self._stamps, self._unusable = access, stamps, ""

    def _made(self, host: Host, **parts: Any) -> Wire:  # noqa: ANN401 - redis-py's
        name, port = host
        made: Any = (
            Connection(host=name, port=port, **parts, **_alike())
            if self._context is None
            else _TlsConnection(self._context, self._access.server_name, host=name, port=port, **parts, **_alike())
        )
        wire: Wire = made
        return wire


def socket_wire(path: str | Path, **parts: Any) -> Wire:  # noqa: ANN401 - redis-py's
    """Return a new connection to the server of a socket."""
    made: Any = UnixDomainSocketConnection(path=str(path), **parts, **_alike())
    wire: Wire = made
    return wire


def _alike() -> dict[str, Any]:
    return {
        "protocol": 2,  # no push messages, so that every reply answers a command
        "parser_class": BoundedParser,
        "driver_info": None,  # one round trip less, and nothing about us in the server's client list
        "retry": Retry(NoBackoff(), 0),
        "retry_on_error": [],
        "socket_timeout": None,
        "socket_connect_timeout": None,
    }


def _stamps(access: Access) -> list[tuple[int, ...]]:
    """Return stamps that change if a TLS file is written, replaced or linked elsewhere; nothing for no file."""
    found: list[tuple[int, ...]] = []
    for file in (access.ca_file, access.certificate_file, access.key_file):
        try:
            stat = None if file is None else file.stat()
        except OSError:
            stat = None
        found.append(() if stat is None else (stat.st_dev, stat.st_ino, stat.st_mtime_ns, stat.st_size))
    return found


def _context(access: Access) -> ssl.SSLContext:
    """Return a context that verifies the server's certificate and name, with our own certificate if there is one."""
    file = access.ca_file
    try:
        context = ssl.create_default_context(cafile=file)
        if (file := access.certificate_file) is not None:
            # With an encrypted key OpenSSL would ask the terminal; with an empty password it fails instead.
            context.load_cert_chain(file, access.key_file, password="")
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        said = getattr(error, "reason", None) or error
        raise ConfigurationError(f"{file}: cannot be used for TLS to the store: {said}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
