"""Where the store is: `embedded`, or the address of a shared server, of the sentinels that know it, or of a cluster."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

Kind = Literal["server", "socket", "sentinel", "cluster"]
Host = tuple[str, int]

_SCHEMES: dict[str, tuple[Kind, bool, int]] = {  # -> what it is, whether it takes TLS, the usual port
    "redis": ("server", False, 6379),
    "rediss": ("server", True, 6379),
    "unix": ("socket", False, 0),
    "redis+sentinel": ("sentinel", False, 26379),
    "rediss+sentinel": ("sentinel", True, 26379),
    "redis+cluster": ("cluster", False, 6379),
    "rediss+cluster": ("cluster", True, 6379),
}
_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")
_FORMS = (
    "redis://host:6379/0, unix:///run/valkey.sock, redis+sentinel://host,host2/NAME/0 or redis+cluster://host,host2"
)


class Access(NamedTuple):
    """What opens the way to a store: passwords, and the files of TLS; verified against the system's CAs without any."""

    password: str | None = None
    sentinel_password: str | None = None
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    server_name: str | None = None
    reread: Callable[[], Access] | None = None  # reads the files again, which may have changed


NO_ACCESS = Access()


class Place(NamedTuple):
    """A store's address, taken apart; `hosts` are one server, or those of which one has to answer."""

    kind: Kind
    tls: bool
    hosts: tuple[Host, ...]
    path: str  # of a socket
    name: str  # that the sentinels know the server by
    db: int
    username: str | None
    password: str | None


@dataclass(frozen=True, slots=True, repr=False)
class StoreAddress:
    """Which store: `embedded`, or the URL of a shared one, whose credentials are never shown."""

    url: str

    @property
    def shared(self) -> bool:
        """Whether other replicas may use the same store."""
        return "://" in self.url

    @property
    def has_password(self) -> bool:
        """Whether the URL itself carries a password; a user's name alone is none."""
        return self.shared and ":" in urlsplit(self.url).netloc.rpartition("@")[0]

    def __str__(self) -> str:
        scheme, separator, rest = self.url.partition("://")
        return f"{scheme}://***@{rest.rpartition('@')[2]}" if "@" in rest else f"{scheme}{separator}{rest}"

    __repr__ = __str__


def read_place(url: str) -> Place:
    """Take a shared store's URL apart. Raises ValueError that says what is wrong, without the URL."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in _SCHEMES:
        raise ValueError(f"should be embedded, or a URL such as {_FORMS}")
    kind, tls, port = _SCHEMES[scheme]
    rest, _, query = rest.partition("?")
    before, slash, path = rest.partition("/")
    login, _, hosts = before.rpartition("@")
    username, _, password = login.partition(":")
    place = Place(
        kind,
        tls,
        () if kind == "socket" else tuple(_host(part, port) for part in hosts.split(",")),
        unquote(slash + path) if kind == "socket" else "",
        "",
        _db(query, ""),
        unquote(username) or None,
        unquote(password) or None,
    )
    match kind:
        case "socket" if not path or hosts:
            raise ValueError("must name a socket by its whole path: unix:///run/valkey.sock")
        case "server" if len(place.hosts) > 1:
            raise ValueError("names several servers: write redis+cluster://, or redis+sentinel:// with their NAME")
        case "server":
            return place._replace(db=_db(query, path))
        case "sentinel":
            name, _, db = path.partition("/")
            if not _NAME.fullmatch(name):
                raise ValueError(
                    "must say by which name the sentinels know the server: redis+sentinel://host,host2/NAME"
                )
            return place._replace(name=name, db=_db(query, db))
        case "cluster" if path.strip("/") or query:
            raise ValueError("a cluster has no other database than 0: leave it out")
    return place


def _host(text: str, usual_port: int) -> Host:
    parts = urlsplit(f"//{text}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.path or parts.query or parts.fragment or port == 0:
        raise ValueError(f"should name a host and its port, such as {_FORMS}")
    return unquote(host), port or usual_port


def _db(query: str, path: str) -> int:
    options = dict(parse_qsl(query, keep_blank_values=True))
    if options.keys() - {"db"}:
        raise ValueError("takes no option but db; passwords and certificates have settings of their own")
    text = options.get("db", path.strip("/")) or "0"
    if not text.isascii() or not text.isdecimal() or len(text) > 4:
        raise ValueError("should end with the number of a database, such as redis://host:6379/0")
    return int(text)
