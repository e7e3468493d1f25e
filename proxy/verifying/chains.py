"""Takes lines in and keeps, for each writer, the stretches that hang together; a broken link begins another one.

Of each line sixteen bytes are kept, so that notes which come later can be compared with it; what else is kept grows
with the number of files, of breaks, of checkpoints and of exchanges that have not ended.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Final, NamedTuple

from proxy.verifying.findings import Place

BEGINNING: Final = bytes(32)
DIGEST_BYTES: Final = 16  # of each line's digest that are kept: no one finds another line with the same 128 bits


class Line(NamedTuple):
    """What a line says of itself, and its number in its file.

    `late` is true for a checkpoint that was written after the files were first looked at.
    """

    number: int
    digest: bytes
    kind: str
    writer: bytes
    seq: int
    prev: bytes
    late: bool


class Stray(NamedTuple):
    """A line that belongs to no chain, by its number in its file; `ended` is false for a last one without newline.

    Of that one `begun` is what there is, if it is no longer than a line may be.
    """

    number: int
    size: int
    ended: bool
    begun: bytes = b""


@dataclass(slots=True)
class Stretch:
    """Lines of one writer in one file, of which each names the one before it.

    `last_line` is the number of the last one in its file, `before_last` the chain's number of the one before it.
    `strays` are the lines without a link that stand between this stretch and the one before it. `run` is the first of
    the chain's runs that it is made of.
    """

    first: Line
    place: Place
    last_seq: int
    last_digest: bytes
    last_line: int
    before_last: int
    run: int
    lines: int = 1
    strays: list[Stray] = field(default_factory=list)

    @property
    def last_place(self) -> Place:
        """Where its last line is."""
        return Place(self.place.file, self.last_line)

    def place_of(self, stray: Stray) -> Place:
        """Return where a line of the same file is."""
        return Place(self.place.file, stray.number)

    def extend(self, seq: int, digest: bytes, number: int) -> None:
        """Add lines that hang on and leave no number out; the last of them is this one."""
        if seq > self.last_seq:
            self.lines += seq - self.last_seq
            self.before_last, self.last_seq, self.last_digest, self.last_line = seq - 1, seq, digest, number


@dataclass(slots=True)
class Chain:
    """All that was seen of one writer, in the order in which it was seen.

    `begun` are the degraded exchanges that have not ended yet. A run is made of lines without a number left out.
    """

    writer: str
    stretches: list[Stretch] = field(default_factory=list)
    digests: bytearray = field(default_factory=bytearray)
    run_seqs: array[int] = field(default_factory=lambda: array("q"))  # the number of each run's first line
    run_starts: array[int] = field(default_factory=lambda: array("q"))  # and which of the digests is its
    begun: dict[bytes, tuple[Place, int]] = field(default_factory=dict)
    lost: int = 0
    checkpoints: int = 0
    vouched: int = 0

    @property
    def lines(self) -> int:
        """How many lines were seen."""
        return len(self.digests) // DIGEST_BYTES

    def take(self, line: Line, file: Path, strays: list[Stray]) -> None:
        """Add a line; `strays` are those without a link that came before it in this file."""
        stretch = self.stretches[-1] if self.stretches else None
        if stretch is not None and stretch.place.file is not file:
            stretch = None
        if stretch is None or stretch.last_digest != line.prev or stretch.last_seq >= line.seq:
            since = strays[bisect_right(strays, stretch.last_line, key=_number) if stretch is not None else 0 :]
            before = line.seq - 1 if stretch is None else stretch.last_seq
            place, run = Place(file, line.number), len(self.run_seqs)
            self.stretches.append(Stretch(line, place, line.seq, line.digest, line.number, before, run, strays=since))
            self._begin_run(line.seq)
        elif line.seq == stretch.last_seq + 1:
            stretch.extend(line.seq, line.digest, line.number)
        else:
            self.lost += line.seq - stretch.last_seq - 1
            stretch.lines += 1
            stretch.before_last = stretch.last_seq
            stretch.last_seq, stretch.last_digest, stretch.last_line = line.seq, line.digest, line.number
            self._begin_run(line.seq)
        self.digests += line.digest[:DIGEST_BYTES]

    def behind(self, seq: int) -> int:
        """Return how many lines have a greater number."""
        runs = (
            (first, self._end(run) - start)
            for run, (first, start) in enumerate(zip(self.run_seqs, self.run_starts, strict=True))
        )
        return sum(max(0, min(lines, first + lines - 1 - seq)) for first, lines in runs)

    def digest_of(self, seq: int) -> bytes | None:
        """Return what is kept of a line's digest, None if no such line was seen."""
        for stretch, after in zip_longest(self.stretches, self.stretches[1:]):
            if stretch.first.seq <= seq <= stretch.last_seq:
                run = bisect_right(self.run_seqs, seq, stretch.run, after.run if after else len(self.run_seqs)) - 1
                line = self.run_starts[run] + seq - self.run_seqs[run]
                if line < self._end(run):
                    return bytes(self.digests[line * DIGEST_BYTES : (line + 1) * DIGEST_BYTES])
        return None

    def _begin_run(self, seq: int) -> None:
        self.run_seqs.append(seq)
        self.run_starts.append(self.lines)

    def _end(self, run: int) -> int:
        return self.run_starts[run + 1] if run + 1 < len(self.run_starts) else self.lines


def _number(stray: Stray) -> int:
    return stray.number
