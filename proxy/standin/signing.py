"""Signatures of thinking blocks: nobody can put words into the model's mouth and have them taken for its thoughts."""

from __future__ import annotations

import base64
import hashlib
import hmac


class ThoughtSigner:
    """Signs and checks thinking text with a key that lives as long as the process."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def sign(self, thinking: str) -> str:
        """Return the signature in base64."""
        return base64.b64encode(hmac.digest(self._key, thinking.encode(), hashlib.sha256)).decode()

    def is_ours(self, thinking: str, signature: str) -> bool:
        """Tell whether this process signed exactly this text."""
        return hmac.compare_digest(self.sign(thinking).encode(), signature.encode())
