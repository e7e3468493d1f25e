"""Limits how much reasoning may be taken out of one answer, and so be held and sealed."""

from __future__ import annotations

from proxy.errors import UpstreamFailed
from proxy.keyed.sealed_reasoning import MAX_BLOCK_BYTES

BLOCK_BYTES = 1_024  # counted for a block or an item besides its text: a million empty ones are an attack too


class Budget:
    """How much more reasoning one answer may have; it may have twice what one block may."""

    def __init__(self) -> None:
        self._left = 2 * MAX_BLOCK_BYTES

    def take(self, size: int) -> None:
        """Count `size` bytes. Raises UpstreamFailed if that is too much."""
        self._left -= size
        if self._left < 0:
            raise UpstreamFailed("The model API sent more reasoning than can be passed on.")
