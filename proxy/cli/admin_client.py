"""Speaks to the admin side of a running proxy over its Unix socket."""

from __future__ import annotations

import http.client
import socket
from pathlib import Path
from typing import Any

import orjson

from proxy.config import load_settings
from proxy.data_folder import ADMIN_SOCKET
from proxy.errors import StillgateError

_TIMEOUT_S = 30.0


class AdminError(StillgateError):
    """The admin side refused, or is not there."""


class AdminClient:
    """One connection a request; `path` is the socket in the data folder."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def of(cls, config: Path | None, data: Path | None) -> AdminClient:
        """Find the socket the way `serve` does. Raises ConfigurationError for settings that cannot be read."""
        return cls(load_settings(config, {"data": data}).data / ADMIN_SOCKET)

    def ask(self, method: str, path: str, document: object = None) -> Any:  # noqa: ANN401 - JSON, as its readers expect it
        """Return the answer's JSON. Raises AdminError with the words of the admin side."""
        connection = _UnixConnection(self._path)
        try:
            body = None if document is None else orjson.dumps(document)
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            response = connection.getresponse()
            answer = orjson.loads(response.read())
        except (OSError, http.client.HTTPException, orjson.JSONDecodeError):
            raise AdminError(f"no proxy answers at {self._path}; is `stillgate serve` running?") from None
        finally:
            connection.close()
        if response.status >= 400:
            raise AdminError(_reason(answer, response.status))
        return answer


def _reason(answer: dict[str, Any], status: int) -> str:
    """Return why the admin side refused: a problem's detail, or what is missing for the proxy to be ready."""
    if missing := answer.get("missing"):
        return f"not ready: {', '.join(missing)}"
    return str(answer.get("detail", f"refused with status {status}"))


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("stillgate", timeout=_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT_S)
        self.sock.connect(str(self._path.resolve()))  # a link, if the path is too long for a socket
