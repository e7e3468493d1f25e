"""Tells what became of a chain from the places where it is broken.

A changed line still names the line before it, but the next line names its old content: so it is the line before a
break. Only if its own link was changed, too, are there two breaks, and it stands alone between them. A number that is
not greater than that of the line before it also breaks a link.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from proxy.verifying.chains import BEGINNING, Chain, Stretch
from proxy.verifying.findings import Damage, Finding


def breaks(chain: Chain, vouching: frozenset[int], renamed: frozenset[int]) -> Iterator[Finding]:
    """Yield what is wrong with the links of one chain.

    `vouching` are the numbers of lines that are checkpoints as they were signed, `renamed` those of lines that were
    found under another writer's name.
    """
    ends = {stretch.last_digest: stretch for stretch in chain.stretches}
    for stretches in _by_file(chain):
        yield from _within(chain, stretches, ends, vouching, renamed)
        if stretches[0].first.seq - 1 not in renamed:
            yield from _begin(chain, stretches[0], ends)


def _by_file(chain: Chain) -> list[list[Stretch]]:
    files: dict[object, list[Stretch]] = {}
    for stretch in chain.stretches:
        files.setdefault(stretch.place.file, []).append(stretch)
    return list(files.values())


def _begin(chain: Chain, first: Stretch, ends: dict[bytes, Stretch]) -> Iterator[Finding]:
    """Yield what is wrong with the way in which a file goes on from others."""
    rival = next(other for other in chain.stretches if other.first.prev == first.first.prev)
    if first.first.prev == BEGINNING:
        if rival is not first:
            yield _finding(chain, Damage.REWRITTEN, first, "the chain begins a second time here")
        return
    if first.first.prev in ends:
        if rival.place.file is not first.place.file:
            what = f"{rival.place} goes on from the same line: one of the two files is a copy"
            yield _finding(chain, Damage.INSERTED, first, what)
        return
    if first.strays:
        place = first.place_of(first.strays[0])
        yield Finding(Damage.EDITED, place, chain.writer, first.first.seq - 1, "this is no longer a line")
        return
    if first.first.seq == 1:
        yield _finding(chain, Damage.EDITED, first, "this line was changed: nothing comes before number 1")
        return
    before = max((other.last_seq for other in chain.stretches if other.last_seq < first.first.seq), default=0)
    missing = _numbers(before + 1, first.first.seq - 1)
    if before:
        yield _finding(chain, Damage.DELETED, first, f"{missing} missing between the files")
    else:
        yield _finding(chain, Damage.CUT, first, f"{missing} not here: the log begins in its middle")


def _within(
    chain: Chain,
    stretches: list[Stretch],
    ends: dict[bytes, Stretch],
    vouching: frozenset[int],
    renamed: frozenset[int],
) -> Iterator[Finding]:
    """Yield what is wrong at the breaks within one file."""
    inserted = _inserted(stretches, ends)
    alone: Stretch | None = None  # was found to be changed itself
    moved = False
    for number, (one, two) in enumerate(pairwise(stretches)):
        after = stretches[number + 2] if number + 2 < len(stretches) else None
        if two.strays:
            place = two.place_of(two.strays[0])
            yield Finding(Damage.EDITED, place, chain.writer, one.last_seq + 1, "this is no longer a line")
        elif one is alone or one in inserted or (two.first.seq - 1 in renamed and two.first.seq - 2 == one.last_seq):
            continue
        elif two in inserted:
            yield _finding(chain, Damage.INSERTED, two, "these lines do not belong here")
        elif two.first.prev == BEGINNING or ends.get(two.first.prev, one) is not one:
            if not moved:
                yield _finding(chain, Damage.REORDERED, two, "the lines from here on stood elsewhere")
            moved = True
        elif two.first.prev == one.last_digest or _changed_itself(two, after, vouching):
            alone = two
            yield _finding(chain, Damage.EDITED, two, "this line was changed")
        elif two.first.seq == one.before_last + 2:
            yield Finding(Damage.EDITED, one.last_place, chain.writer, one.before_last + 1, "this line was changed")
        elif two.first.seq > one.last_seq + 1:
            missing = _numbers(one.last_seq + 1, two.first.seq - 1)
            yield _finding(chain, Damage.DELETED, two, f"{missing} missing before this line")
        else:
            yield _finding(chain, Damage.INSERTED, two, f"number {two.first.seq} comes again")


def _inserted(stretches: list[Stretch], ends: dict[bytes, Stretch]) -> list[Stretch]:
    """Return what stands between two stretches that belong together, and belongs to neither."""
    found = []
    for one, two, three in zip(stretches, stretches[1:], stretches[2:], strict=False):
        if ends.get(three.first.prev) is one and two.first.prev not in ends:
            found.append(two)
    return found


def _changed_itself(two: Stretch, after: Stretch | None, vouching: frozenset[int]) -> bool:
    """Tell whether a lone line between two breaks, or the last one behind a break, had its own link changed."""
    if two.lines != 1:
        return False
    if after is None:
        return two.first.kind == "checkpoint" and two.first.seq not in vouching
    return after.first.seq == two.first.seq + 1


def _finding(chain: Chain, damage: Damage, stretch: Stretch, sentence: str) -> Finding:
    return Finding(damage, stretch.place, chain.writer, stretch.first.seq, sentence)


def _numbers(first: int, last: int) -> str:
    return f"number {first} is" if first == last else f"numbers {first} to {last} are"
