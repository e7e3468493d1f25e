"""How much reasoning may be taken out of one answer, and so be held and sealed."""

from __future__ import annotations

from proxy.errors import UpstreamFailed
from proxy.keyed.sealed_reasoning import MAX_BLOCK_BYTES

BLOCK_BYTES = 1_024  # what a block or an item takes besides its text: a million empty ones are an attack too


class Budget:
    """What is left of the reasoning that one answer may have, twice what one block may."""

    def __init__(self) -> None:
        self._left = 2 * MAX_BLOCK_BYTES

    def take(self, size: int) -> None:
        """Count so many bytes more. Raises UpstreamFailed if that is too much."""
        self._left -= size
        if self._left < 0:
            raise UpstreamFailed("The model API sent more reasoning than can be passed on.")
