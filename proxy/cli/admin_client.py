"""Speaks to the admin side of a running proxy: over its Unix socket, or over its port with a token.

Law: a token comes from a file and goes to this machine or through TLS only.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import orjson

from proxy.auth.admin import PREFIX
from proxy.auth.api_key import minted_here
from proxy.config import load_settings
from proxy.errors import ConfigurationError, StillgateError
from proxy.files.data_folder import ADMIN_SOCKET
from proxy.secrets import read_secret_file
from proxy.settings.types import is_loopback

URL_VARIABLE = "STILLGATE_ADMIN_URL"
TOKEN_VARIABLE = "STILLGATE_TOKEN_FILE"  # noqa: S105 - the name of a variable that names a file
_TIMEOUT_S = 30.0


class AdminError(StillgateError):
    """The admin side refused, or is not there."""


class AdminClient:
    """One connection a request; `place` says in words where it goes."""

    def __init__(self, connect: Callable[[], http.client.HTTPConnection], place: str, token: str | None = None) -> None:
        self._connect = connect
        self._place = place
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    @classmethod
    def of(cls, config: Path | None, data: Path | None, environment: Mapping[str, str] = os.environ) -> AdminClient:
        """Find the admin side: the port that the environment names, else the socket as `serve` places it.

        Raises ConfigurationError for settings, an address or a token file that are of no use.
        """
        token = _token(Path(file)) if (file := environment.get(TOKEN_VARIABLE)) else None
        if url := environment.get(URL_VARIABLE):
            return cls(_port(url), url, token)
        path = load_settings(config, {"data": data}).data / ADMIN_SOCKET
        return cls(lambda: _UnixConnection(path), str(path), token)

    def ask(self, method: str, path: str, document: object = None, *, seconds: float = _TIMEOUT_S) -> Any:  # noqa: ANN401 - JSON, as its readers expect it
        """Return the answer's JSON, which may take so long. Raises AdminError with the words of the admin side.

        Who reads of it what is not there raises AdminError too: an older proxy may not tell that. Raises
        ConfigurationError if there are bytes in a text that are none, as from a terminal with other letters.
        """
        try:
            body = None if document is None else orjson.dumps(document)
        except TypeError:
            raise ConfigurationError("something that was given is not text in UTF-8") from None
        connection = self._connect()
        connection.timeout = seconds
        try:
            headers = {**self._headers, "Content-Type": "application/json"} if body else self._headers
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            answer = json.loads(response.read(), object_hook=_Members)
        except (OSError, http.client.HTTPException, ValueError):
            said = f"no proxy answers at {self._place}; is `stillgate serve` running, with these settings?"
            raise AdminError(said) from None
        finally:
            connection.close()
        if response.status >= 400:
            raise AdminError(_reason(answer, response.status))
        return answer


class _Members(dict[str, Any]):
    """An object of an answer."""

    def __missing__(self, name: str) -> NoReturn:
        raise AdminError(f"the proxy is of another version than this command: it does not tell {name!r}")


def _reason(answer: dict[str, Any], status: int) -> str:
    """Return why the admin side refused: a problem's detail, or what is missing for the proxy to be ready."""
    if missing := answer.get("missing"):
        return f"not ready: {', '.join(missing)}"
    detail = str(answer.get("detail", f"refused with status {status}"))
    return re.sub(r"^reason:", "--why:", detail)  # the member, by the name that the verbs give it


def _token(file: Path) -> str:
    token = read_secret_file(file)
    if not minted_here(token, PREFIX):
        raise ConfigurationError(f"{file}: holds no token of the admin side, which begins with {PREFIX}")
    return token


def _port(url: str) -> Callable[[], http.client.HTTPConnection]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    if not host or parts.path.strip("/") or parts.query or "@" in parts.netloc:
        raise ConfigurationError(f"{URL_VARIABLE}: must be an origin such as http://127.0.0.1:9090")
    if parts.scheme == "https":
        return lambda: http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_S)
    if parts.scheme != "http" or not is_loopback(host):
        raise ConfigurationError(f"{URL_VARIABLE}: must be https, or http on this machine: it carries a token")
    return lambda: http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("stillgate", timeout=_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path.resolve()))  # a link, if the path is too long for a socket
