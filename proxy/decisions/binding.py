"""What the writer of a log needs from whatever makes a chain of its lines."""

from __future__ import annotations

from typing import Protocol


class Binding(Protocol):
    """Makes one chain of a log's lines and vouches for it; called at the start, then only by the writer's thread."""

    @property
    def unkept(self) -> int:
        """How many checkpoints could not be kept elsewhere; any thread may ask."""
        ...

    def open(self, last_line: bytes) -> str:
        """Go on behind the last line of the log, and return the name of its writer."""
        ...

    def bind(self, line: bytes, lost: int) -> bytes:
        """Return a line as it is to be written; `lost` lines were lost since the start."""
        ...

    def due_in(self) -> float | None:
        """Return in how many seconds a checkpoint is due, 0 for now; None if no line needs one."""
        ...

    def checkpoint(self) -> bytes:
        """Return a checkpoint as it is to be written."""
        ...

    def written(self) -> None:
        """Note that all bound lines are written."""
        ...

    def remember(self) -> None:
        """Keep where the written lines end, for a start that cannot read them, and for other writers."""
        ...
