"""What the dialects of all APIs have in common: requests are read strictly, and chunks go on as they came."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from proxy.dialects import strict_json
from proxy.dialects._answers import encode
from proxy.dialects._request import accepted_names
from proxy.exchange import Call


class Endpoint(ABC):
    """One path of an API; `allow` names further top-level members that requests may have."""

    known: ClassVar[frozenset[str]]  # the members that requests may have anyway

    def __init__(self, allow: frozenset[str] = frozenset()) -> None:
        self._accepted = accepted_names(self.known, allow)

    def read(self, body: bytes) -> Call:
        """Read a request strictly."""
        return self.call(strict_json.read(body))

    @abstractmethod
    def call(self, document: dict[str, Any]) -> Call:
        """Check a document that was read strictly."""

    encode = staticmethod(encode)
