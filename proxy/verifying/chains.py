"""Takes lines in and keeps, for each writer, the stretches that hang together; a broken link begins another one."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from proxy.verifying.findings import Place
from proxy.verifying.lines import Line

BEGINNING: Final = bytes(32)
_DIGEST_BYTES: Final = 8  # of each line's digest that are kept: 64 bits, against a note that names the whole one


@dataclass(slots=True)
class Stretch:
    """Lines of one writer in one file, of which each names the one before it.

    `last_line` is the number of the last one in its file, `before_last` the chain's number of the one before it.
    `strays` are the lines without a link that stand between this stretch and the one before it. `start` is the position
    of the first line in the writer's arrays.
    """

    first: Line
    place: Place
    last_seq: int
    last_digest: bytes
    last_line: int
    before_last: int
    start: int
    lines: int = 1
    strays: list[tuple[Place, Line]] = field(default_factory=list)

    @property
    def last_place(self) -> Place:
        """Where its last line is."""
        return Place(self.place.file, self.last_line)


@dataclass(slots=True)
class Chain:
    """All that was seen of one writer, in the order in which it was seen."""

    writer: str
    stretches: list[Stretch] = field(default_factory=list)
    seqs: array[int] = field(default_factory=lambda: array("q"))
    digests: array[int] = field(default_factory=lambda: array("Q"))
    lost: int = 0
    checkpoints: int = 0
    vouched: int = 0

    def take(self, line: Line, file: Path, strays: list[tuple[Place, Line]]) -> None:
        """Add a line; `strays` are those without a link that came since this writer's last line in this file."""
        stretch = self.stretches[-1] if self.stretches else None
        here = stretch is not None and stretch.place.file is file
        if stretch is not None and here and stretch.last_digest == line.prev:
            if line.seq > stretch.last_seq + 1:
                self.lost += line.seq - stretch.last_seq - 1
            stretch.before_last = stretch.last_seq
            stretch.last_seq, stretch.last_digest, stretch.last_line = line.seq, line.digest, line.number
            stretch.lines += 1
        else:
            before = stretch.last_seq if stretch is not None and here else line.seq - 1
            place = Place(file, line.number)
            begun = Stretch(line, place, line.seq, line.digest, line.number, before, len(self.seqs), strays=strays)
            self.stretches.append(begun)
        self.seqs.append(line.seq)
        self.digests.append(shortened(line.digest))

    def digest_of(self, seq: int) -> int | None:
        """Return what is kept of a line's digest, None if no such line was seen."""
        for stretch in self.stretches:
            if stretch.first.seq <= seq <= stretch.last_seq:
                found = bisect_left(self.seqs, seq, stretch.start, stretch.start + stretch.lines)
                if found < stretch.start + stretch.lines and self.seqs[found] == seq:
                    return self.digests[found]
        return None


def shortened(digest: bytes) -> int:
    """Return what is kept of a digest."""
    return int.from_bytes(digest[:_DIGEST_BYTES])
