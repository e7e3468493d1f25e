"""What can be wrong with a log, and where."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import NamedTuple


class Damage(StrEnum):
    """The kinds of damage."""

    EDITED = "edited"
    DELETED = "deleted"
    INSERTED = "inserted"
    REORDERED = "reordered"
    CUT = "cut"
    TORN = "torn"
    REWRITTEN = "rewritten without key"
    UNENDED = "begun without end"
    WRITER_MISSING = "a writer missing"
    UNREADABLE = "unreadable"


class Place(NamedTuple):
    """A line of a file, counted from 1; 0 stands for the file as a whole."""

    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else str(self.file)


class Finding(NamedTuple):
    """One damage: of what kind, at which line, of whose chain, and what it is, as a sentence."""

    damage: Damage
    place: Place | None
    writer: str
    seq: int
    sentence: str


class Told(NamedTuple):
    """What is known of one writer's chain.

    `lost` counts lines that found no room when they were to be written, as the numbers say; `vouched` is the number of
    the last line that a checkpoint covers, and `tail` how many lines came behind it.
    """

    writer: str
    lines: int
    first: int
    last: int
    lost: int
    checkpoints: int
    vouched: int
    tail: int


class Report(NamedTuple):
    """The result: the chains, and everything that is wrong, the first one first."""

    chains: tuple[Told, ...]
    findings: tuple[Finding, ...]

    @property
    def lines(self) -> int:
        """How many lines belong to the chains."""
        return sum(chain.lines for chain in self.chains)
