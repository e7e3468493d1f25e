"""Verifies the files of logs together: links, checkpoints, what other writers and other places say, begun and ended."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from proxy.verifying.breaks import breaks
from proxy.verifying.chains import Chain, Line, Stray
from proxy.verifying.findings import Damage, Finding, Place, Report, Told
from proxy.verifying.kept import kept_lines
from proxy.verifying.lines import Reading, beginning, exchange_id
from proxy.verifying.notes import Keys, NoteError, Position, UnknownKey, read_checkpoint, split_notes


class _Unknown(NamedTuple):
    """A checkpoint that is signed by no key that was known when it was read."""

    line: Line
    data: bytes
    place: Place
    chain: Chain
    why: str


class Verifier:
    """Takes files in, one after the other, and tells at the end what they are worth.

    `keys` are the public keys that are trusted at first; a log may hand over to others.
    """

    def __init__(self, keys: Keys, on_bytes: Callable[[int], None]) -> None:
        self._keys = keys
        self._on_bytes = on_bytes
        self._chains: dict[bytes, Chain] = {}
        self._findings: list[Finding] = []
        self._vouching: dict[str, set[int]] = {}
        self._said: list[tuple[Position, Place]] = []
        self._doubtful: list[Finding] = []  # checkpoints that are not what was signed
        self._firsts: list[bytes] = []  # the first line of each file
        self._torn: list[tuple[Finding, bytes]] = []  # files that end in the middle of a line, and what there is of it
        self._unknown: list[_Unknown] = []  # checkpoints signed by a key that another line may yet hand over to

    def read(self, file: Path, size: int) -> None:
        """Take a file of a log in, which had `size` bytes when the files were first looked at."""
        strays: list[Stray] = []
        first = b""
        try:
            with Reading(file, size, self._on_bytes) as reading:
                for found in reading:
                    if isinstance(found, Stray):
                        strays.append(found)
                        continue
                    line, data = found
                    if not first:
                        first = data
                        self._firsts.append(data)
                    chain = self._chains.get(line.writer)
                    if chain is None:
                        chain = self._chains[line.writer] = Chain(line.writer.decode(errors="replace"))
                    if line.kind == "repair":
                        _forgive(data, strays)
                    chain.take(line, file, strays)
                    self._look(line, data, Place(file, line.number), chain)
                    reading.follow(chain)
        except OSError as error:
            why = f"it cannot be read: {error.strerror}"
            self._findings.append(Finding(Damage.UNREADABLE, Place(file, 0), "", 0, why))
        self._strays(file, strays)

    def compare(self, file: Path, lines: Iterable[str]) -> None:
        """Take checkpoints in that were kept elsewhere, in lines of a file, once the files of the log are in."""
        self._look_again()
        for number, note in enumerate(split_notes(lines), start=1):
            place = Place(file, number)
            try:
                said = read_checkpoint(self._keys.opened(note))
            except NoteError as error:
                self._findings.append(Finding(Damage.REWRITTEN, place, "", 0, f"note {number}: {error}"))
                continue
            self._said += [(other, place) for other in said.others]
            self._said.append((Position(said.writer, said.seq - 1, said.prev), place))

    def report(self) -> Report:
        """Return what all of it comes to."""
        self._look_again()
        renamed = list(self._renamed())
        found = [*self._findings, *self._unfinished(), *self._unsigned(), *renamed]
        for chain in self._chains.values():
            numbers = frozenset(finding.seq for finding in renamed if finding.writer == chain.writer)
            found += breaks(chain, frozenset(self._vouching.get(chain.writer, ())), numbers)
        found += self._forged({finding.place for finding in found})
        found += self._differing()
        return Report(tuple(map(_told, self._chains.values())), tuple(sorted(dict.fromkeys(found), key=_order)))

    def _look(self, line: Line, data: bytes, place: Place, chain: Chain) -> None:
        """See to what a line says beyond its link."""
        match line.kind:
            case "checkpoint":
                self._checkpoint(line, data, place, chain)
            case "begin":
                chain.begun[exchange_id(data)] = (place, line.seq)
            case "exchange" if chain.begun:
                chain.begun.pop(exchange_id(data), None)
            case "start" | "gap":  # another process goes on
                for exchange, (where, seq) in chain.begun.items():
                    name = exchange.decode(errors="replace")
                    what = f"the degraded exchange {name} has no end: its process was killed"
                    self._findings.append(Finding(Damage.UNENDED, where, chain.writer, seq, what))
                chain.begun.clear()

    def _checkpoint(self, line: Line, data: bytes, place: Place, chain: Chain) -> None:
        try:
            row = json.loads(data)
            if row["handover"]:
                self._keys.hand_over(row["handover"])
            said = read_checkpoint(self._keys.opened(row["note"]))
            if _as_written(row) != data or (said.writer, said.seq, said.prev) != (
                chain.writer,
                line.seq,
                line.prev.hex(),
            ):
                raise NoteError("the line says something else than its note")
            if (said.time, said.version) != (row["time"], row["stillgate"]):
                raise NoteError("the line says something else than its note")
        except UnknownKey as error:
            self._unknown.append(_Unknown(line, data, place, chain, str(error)))
            return
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            why = str(error) if isinstance(error, NoteError) else "it is not a checkpoint as it was written"
            self._doubtful.append(Finding(Damage.EDITED, place, chain.writer, line.seq, why))
            return
        self._vouching.setdefault(chain.writer, set()).add(line.seq)
        chain.checkpoints += 1
        chain.vouched = max(chain.vouched, line.seq)
        if not line.late:  # else it may name lines that came when their file had been read already
            self._said += [(other, place) for other in said.others]

    def _look_again(self) -> None:
        """See to checkpoints again as long as keys become known for them."""
        left = 0
        while len(self._unknown) != left:
            unknown, self._unknown = self._unknown, []
            left = len(unknown)
            for one in unknown:
                self._checkpoint(one.line, one.data, one.place, one.chain)

    def _unfinished(self) -> Iterator[Finding]:
        """Yield the files that end in the middle of a line, but for one that was moved away from a full disk: the line
        is written again, whole, as the first of the next file.
        """
        for finding, begun in self._torn:
            if not begun or not any(first.startswith(begun) for first in self._firsts):
                yield finding

    def _unsigned(self) -> Iterator[Finding]:
        """Yield the first checkpoint of each writer whose key nobody vouches for."""
        told: set[str] = set()
        for one in self._unknown:
            if one.chain.writer not in told:
                told.add(one.chain.writer)
                yield Finding(Damage.REWRITTEN, one.place, one.chain.writer, one.line.seq, one.why)

    def _forged(self, broken: set[Place | None]) -> Iterator[Finding]:
        """Yield checkpoints that nobody signed so: where lines behind one hang on to it, they were all made anew."""
        last = {chain.stretches[-1].last_place for chain in self._chains.values()}
        for finding in self._doubtful:
            changed = finding.place in broken or finding.place in last
            yield finding if changed else finding._replace(damage=Damage.REWRITTEN)

    def _strays(self, file: Path, strays: list[Stray]) -> None:
        """Report lines without a link that no break explains; the others are found there."""
        stretches = [stretch for chain in self._chains.values() for stretch in chain.stretches]
        explained = {stray for stretch in stretches if stretch.place.file is file for stray in stretch.strays}
        for stray in strays:
            place = Place(file, stray.number)
            if not stray.ended:
                what = "the file ends in the middle of a line"
                self._torn.append((Finding(Damage.TORN, place, "", 0, what), stray.begun))
            elif stray not in explained:
                self._findings.append(Finding(Damage.INSERTED, place, "", 0, "this is not a line of a log"))

    def _renamed(self) -> Iterator[Finding]:
        """Yield lines that stand where they belong, but under another writer's name: it was changed.

        The first line of a chain hangs on to nothing; it is before one that has the next number and lacks its own.
        """
        ends = {stretch.last_digest: chain for chain in self._chains.values() for stretch in chain.stretches}
        orphans = {
            (stretch.place.file, stretch.place.line - 1, stretch.first.seq - 1): chain
            for chain in self._chains.values()
            if (stretch := chain.stretches[0]).first.prev not in ends
        }
        for chain in list(self._chains.values()):
            first = chain.stretches[0]
            owner = ends.get(first.first.prev) or orphans.get((*first.place, first.first.seq))
            if owner is not None and owner is not chain and first.lines == 1 and len(chain.stretches) == 1:
                del self._chains[first.first.writer]
                yield Finding(Damage.EDITED, first.place, owner.writer, first.first.seq, "this line was changed")

    def _differing(self) -> Iterator[Finding]:
        """Yield where the log is not what a checkpoint of another writer, or one that was kept elsewhere, says."""
        chains = {chain.writer: chain for chain in self._chains.values()}
        told: set[tuple[str, Damage]] = set()
        for said, place in self._said:
            if said.seq == 0:
                continue
            chain = chains.get(said.writer)
            finding = _missing(said, place) if chain is None else _compared(said, place, chain)
            if finding is not None and (said.writer, finding.damage) not in told:
                told.add((said.writer, finding.damage))
                yield finding


def verify(files: Sequence[Path], keys: Keys, kept: Sequence[Path], on_bytes: Callable[[int], None]) -> Report:
    """Verify files together, and against files of checkpoints that were kept elsewhere. Raises OSError for those.

    They may grow meanwhile: only what was said before the first of them is read has to be found there.
    """
    verifier = Verifier(keys, on_bytes)
    with ExitStack() as stack:
        notes = [stack.enter_context(kept_lines(file)) for file in kept]
        files = _in_order(files)
        sizes = [_size(file) for file in files]
        for file, size in zip(files, sizes, strict=True):
            verifier.read(file, size)
        for file, lines in zip(kept, notes, strict=True):
            verifier.compare(file, lines)
    return verifier.report()


def _in_order(files: Sequence[Path]) -> list[Path]:
    """Return files so that each writer's come as it wrote them; numbers behind their names put the newest first."""
    begins = [beginning(file) for file in files]
    writers = list(dict.fromkeys(writer for writer, _ in begins))
    order = sorted(range(len(files)), key=lambda at: (writers.index(begins[at][0]), begins[at][1]))
    return [files[at] for at in order]


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:  # that it cannot be read is told when it should be
        return 0


def _missing(said: Position, place: Place) -> Finding:
    what = f"{said.writer} had come to number {said.seq}, and nothing of it is here"
    return Finding(Damage.WRITER_MISSING, place, said.writer, said.seq, what)


def _compared(said: Position, place: Place, chain: Chain) -> Finding | None:
    last = max(stretch.last_seq for stretch in chain.stretches)
    if said.seq > last:
        what = f"it ends at number {last}, and a checkpoint ({place}) knows of number {said.seq}"
        return Finding(Damage.CUT, chain.stretches[-1].last_place, chain.writer, last, what)
    found = chain.digest_of(said.seq)
    if found is not None and not bytes.fromhex(said.digest).startswith(found):
        what = f"number {said.seq} is not the line that a checkpoint ({place}) vouches for"
        return Finding(Damage.REWRITTEN, chain.stretches[0].place, chain.writer, said.seq, what)
    return None


def _forgive(repair: bytes, strays: list[Stray]) -> None:
    """Forgive the unfinished line that a repair record tells of."""
    try:
        size = json.loads(repair)["torn_bytes"]
    except (ValueError, KeyError, RecursionError):
        return
    for stray in reversed(strays):
        if stray.size == size:
            strays.remove(stray)
            return


def _as_written(row: object) -> bytes:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode()


def _told(chain: Chain) -> Told:
    first, last = chain.stretches[0].first.seq, max(stretch.last_seq for stretch in chain.stretches)
    tail = chain.behind(chain.vouched)
    return Told(chain.writer, chain.lines, first, last, chain.lost, chain.checkpoints, chain.vouched, tail)


def _order(finding: Finding) -> tuple[bool, str, int, str]:
    """Order by place; an exchange without an end comes last, since it may be only what another damage left."""
    place = finding.place
    unended = finding.damage is Damage.UNENDED
    return (unended, str(place.file) if place else "", place.line if place else 0, finding.damage)
