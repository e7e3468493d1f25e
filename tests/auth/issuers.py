"""An issuer as the settings have it, and a source of its keys that a test holds in its hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from proxy.auth.key_source import SourceFailed
from proxy.settings.issuers import Issuer
from tests.auth.tokens import AUDIENCE, ISS


def issuer(folder: Path = Path(), **settings: Any) -> Issuer:
    """Return the settings of an issuer, with `settings` on top; relative paths belong to `folder`."""
    plain = {"issuer": ISS, "audience": [AUDIENCE], "algorithms": ["RS256"], **settings}
    return Issuer.model_validate_json(json.dumps(plain), context={"folder": folder})


class Held:
    """A source of keys; `document` is what it has, None while it fails, an exception while it fails as none should."""

    def __init__(self, document: bytes | Exception | None = None) -> None:
        self.document = document
        self.loads = 0

    async def load(self) -> bytes:
        self.loads += 1
        if self.document is None:
            raise SourceFailed("away")
        if isinstance(self.document, Exception):
            raise self.document
        return self.document
