"""How the processes of a deployment start: what the parent tells its children, and what each of them does alike.

Law: no part of a worker is imported here: the parent and the hunter start without any.
"""

from __future__ import annotations

import errno
import hashlib
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from proxy.config import Settings
from proxy.errors import ConfigurationError
from proxy.secrets import read_secret_file
from proxy.settings.store_address import Access

_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
_PROGRAM = Path(__file__).parent
_Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]  # as `socket.getaddrinfo` gives it


def program_digest(folder: Path) -> str:
    """Return a digest of the names and contents of a program's files: written anew unchanged, they have the same."""
    told = hashlib.sha256()
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(set(folders) - {"__pycache__"})
        for name in sorted(name for name in names if not name.startswith(".")):  # hidden ones are an editor's
            path = Path(place, name)
            content = b""
            with suppress(OSError):  # a file that cannot be read, or is gone, is of no use to Python
                content = path.read_bytes() if path.is_file() else b""  # a named pipe would be waited for
            told.update(b"%b\0%d\0" % (os.fsencode(path.relative_to(folder)), len(content)))
            told.update(content)
    return told.hexdigest()


@dataclass(frozen=True, slots=True)
class Start:
    """What a child is told: what the parent has read, made and set up."""

    settings: str  # as `handed`, with the stand-in as upstream if it runs; a change takes a restart of all
    log_level: str
    worker: int
    store_url: str
    pack_digest: str
    pack: str  # as `handed`
    patterns: str  # the pattern sets, as `handed`
    host: str
    port: int
    secret: str = ""  # the id of the master secret that was in force when the parent started
    program: str = field(default_factory=partial(program_digest, _PROGRAM))  # of the parent, when it started

    def to_json(self) -> dict[str, Any]:
        """Return what `told` reads."""
        return asdict(self)

    @classmethod
    def told(cls, document: Mapping[str, Any]) -> Start:
        """Return what the parent told. Raises ConfigurationError if its program is not this one: values may differ."""
        if document.get("program") != program_digest(_PROGRAM):
            raise ConfigurationError(
                "the program's files are not those that the parent started from: restart `stillgate serve`"
            )
        return cls(**document)


def store_access(settings: Settings) -> Access:
    """Return the credentials and TLS files for a shared store. Raises ConfigurationError."""
    tls = settings.store_tls
    password, sentinel_password = (
        None if file is None else read_secret_file(file)
        for file in (settings.store_password_file, settings.sentinel_password_file)
    )
    return Access(
        password=password,
        sentinel_password=sentinel_password,
        ca_file=tls.ca_file,
        certificate_file=tls.certificate_file,
        key_file=tls.key_file,
        server_name=tls.server_name,
        reread=partial(store_access, settings),
    )


def url_of(host: str, port: int) -> str:
    """Return the URL of an address, which has brackets if it is one of IPv6."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a bound socket that shares its address with the sockets of other workers.

    One for :: takes IPv4 as well, as the system's default is.
    """
    return _bound(_found(host, port)[0], shared=True)


def own_sockets(host: str, port: int) -> list[socket.socket]:
    """Return a bound socket for each address that a host has on this machine; nobody else may be listening there.

    Raises ConfigurationError.
    """
    bound: list[socket.socket] = []
    try:
        addresses = _found(host, port)
        for each in addresses:
            try:
                bound.append(_bound(each, shared=False))
            except OSError as error:  # a name such as localhost has an IPv6 address even where there is no IPv6
                if error.errno not in _NOT_HERE or (each is addresses[-1] and not bound):
                    raise
    except OSError as error:
        for one in bound:
            one.close()
        raise _cannot_listen(host, port, error) from None
    return bound


@contextmanager
def held_address(host: str, port: int) -> Iterator[tuple[str, int]]:
    """Hold the address that the workers share; nobody else may be listening on it already."""
    try:
        if port:
            # Without SO_REUSEPORT this fails if anybody listens there, another Stillgate included.
            with _bound(_found(host, port)[0], shared=False) as alone:
                alone.listen()
        held = listening_socket(host, port)
    except OSError as error:
        raise _cannot_listen(host, port, error) from None
    with held:
        # The text includes the zone, if the address needs one.
        text, number = socket.getnameinfo(held.getsockname(), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
        yield text, int(number)


def _found(host: str, port: int) -> Sequence[_Address]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys(found))  # two lines of /etc/hosts may say the same


def _bound(found: _Address, *, shared: bool) -> socket.socket:
    family, kind, protocol, _, address = found
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound


def _cannot_listen(host: str, port: int, error: OSError) -> ConfigurationError:
    return ConfigurationError(f"cannot listen on {host} port {port}: {error.strerror}")
