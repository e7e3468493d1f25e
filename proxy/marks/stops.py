"""Keeps the request's stop sequences out of marked text: a model never writes one, so a mark must not.

Law: only a sequence that a change itself would bring about counts, now or with the text that may follow, so that
sequences which never occur keep no mark away.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from proxy.marks.joints import COMMA, STOP, Joint
from proxy.marks.runs import Piece
from proxy.marks.table import Wording
from proxy.marks.writing import article_for, written

_MOST = 16  # sequences that are looked for, as many as OpenAI's dialects take
_MOST_CHARS = 256  # of one sequence


class Stops:
    """The stop sequences of one answer, and the end of what has gone out of it."""

    def __init__(self, sequences: Collection[str]) -> None:
        usable = [sequence for sequence in sequences if 0 < len(sequence) <= _MOST_CHARS]
        self._sequences = usable[:_MOST]
        self._longest = max(map(len, self._sequences), default=0)
        self._tail = ""

    def went(self, text: str) -> str:
        """Note what goes out, and return it."""
        if self._longest:
            self._tail = (self._tail + text)[-self._longest :]
        return text

    def come(self, out: Sequence[str], now: Iterable[Piece], instead: Iterable[Piece]) -> bool:
        """Tell whether a sequence comes about if `instead` stands in place of `now`, after what is to go `out`."""
        if not self._longest:
            return False
        before = (self._tail + "".join(out[-self._longest :]))[-self._longest :]
        old, new = before + "".join(map(str, now)), before + "".join(map(str, instead))
        # The shortest end of the new text that the old one does not have.
        ends = enumerate(zip(old[::-1], new[::-1], strict=False))
        same = next((at for at, (one, other) in ends if one != other), min(len(old), len(new)))
        end = new[-same - 1 :] if same < len(new) else ""
        return any(new.count(one) > old.count(one) or _begins(one, new, end) for one in self._sequences)


def _begins(sequence: str, text: str, end: str) -> bool:
    """Tell whether a text ends with a beginning of a sequence that contains `end`: the rest may follow."""
    at = sequence.find(end) if end else -1
    while at >= 0:
        if text.endswith(sequence[: at + len(end)]):
            return True
        at = sequence.find(end, at + 1)
    return False


def reworded(pieces: Iterable[Piece], at: int, found: Wording, chosen: Wording) -> list[Piece]:
    """Return pieces with another wording for the one that begins there, and the article before it, if any, to match."""
    now = list(pieces)
    end = at + len(found.words)
    article = [Piece(each.gap, each.lead, article_for(each.core, chosen), each.trail) for each in now[:at]]
    return [*article, *written(now[at:end], chosen), *now[end:]]


def joined(piece: Piece, behind: Iterable[Piece], joint: Joint) -> list[Piece]:
    """Return a piece and those after it with the joint between them the other way."""
    first, *rest = behind
    if joint.what in (COMMA, STOP):
        trail = {COMMA: "" if joint.there else COMMA, STOP: ";" if joint.there else "."}[joint.what]
        core = first.core
        if joint.what is STOP:
            core = core[0].lower() + core[1:] if joint.there else core[0].upper() + core[1:]
        first = Piece(first.gap, first.lead, core, first.trail)
        return [Piece(piece.gap, piece.lead, piece.core, trail), first, *rest]
    if not joint.there:
        return [piece, Piece(" ", "", joint.what, ""), first, *rest]
    return [piece, *(Piece(first.gap, each.lead, each.core, each.trail) for each in rest[:1]), *rest[1:]]
