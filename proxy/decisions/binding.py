"""What the writer of a log asks of the one who makes a chain of its lines."""

from __future__ import annotations

from typing import Protocol


class Binding(Protocol):
    """What makes one chain of the lines, and vouches for it; called at the start, then by the thread only."""

    @property
    def unkept(self) -> int:
        """How many checkpoints could not be kept elsewhere; any thread may ask."""
        ...

    def open(self, last_line: bytes) -> str:
        """Go on behind the last line of the log, and return the name of its writer."""
        ...

    def bind(self, line: bytes, lost: int) -> bytes:
        """Return a line as it is to be written; so many were lost since the start."""
        ...

    def due_in(self) -> float | None:
        """Return in how many seconds a checkpoint is due, 0 for now; None if there is nothing to vouch for."""
        ...

    def checkpoint(self) -> bytes:
        """Return a checkpoint as it is to be written."""
        ...

    def written(self) -> None:
        """Take note that all that was bound is written."""
        ...

    def remember(self) -> None:
        """Note where what is written ends, for a start that cannot read it, and for others."""
        ...
