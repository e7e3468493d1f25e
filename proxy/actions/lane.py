"""One lane of an answer at work: what a filter makes of its text, event by event as it came.

Laws:
- What is held back goes out later in the events that it came in, so that their number, sizes and order tell nobody that
  it was held back.
- Where a filter changes a text, what comes of it is cut as near as can be where the text was cut.
- What a filter only held back for a while is no change.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from operator import itemgetter
from typing import Final, Generic, Protocol, TypeAlias, TypeVar

# Of a text that came in one event and of which the rest is still held back; of more, that goes in one of its own.
_MOST_BEGUN_CHARS: Final = 4_096
_MOST_OWED = 4_096  # events, of which those without a text are soon too many: what is held back has fewer characters

# In place of others, of which is remembered where they are cut: the same come again and again. Not so what came in more
# events, of which thousands may have no text.
_WORDINGS, _MOST_CUTS = 1_024, 32
_END, _TEXT, _EVENT = map(itemgetter, range(3))  # of what waits

EventT = TypeVar("EventT")
# In a text, so many characters from its beginning so many characters became so many others.
Change: TypeAlias = tuple[int, int, int]


class TextFilter(Protocol):
    """Rewrites one lane's text as it comes."""

    @property
    def changes(self) -> list[Change] | None:
        """Where texts of other lengths went out since it was last emptied; None if each text is to come by itself."""
        ...

    @property
    def held(self) -> int:
        """How many characters at the end of what came are held back, in whatever words they go."""
        ...

    def feed(self, text: str) -> str:
        """Return what may go out now; what is held back is bounded."""
        ...

    def pause(self) -> str:
        """Return what was held back and may go, since something else is said before more comes, if it does."""
        ...

    def end(self) -> str:
        """Return what was held back."""
        ...


class Lane(Generic[EventT]):
    """One lane's filter and the events that wait; `changed` says whether anything else has come out than went in.

    What it returns are texts that go out, each with the event that it goes in; None: it needs one of its own.
    """

    __slots__ = ("_begun", "_came", "_filter", "_gone", "_owed", "changed")

    def __init__(self, filter_: TextFilter) -> None:
        self.changed = False
        self._filter = filter_
        self._came = self._gone = 0  # characters
        # The events that wait, each with its text and where that ends, in characters from the lane's beginning.
        self._owed: list[tuple[int, str, EventT | None]] = []
        self._begun = ""  # what goes out in the first of them, so far

    @property
    def waiting(self) -> int:
        """How many events wait."""
        return len(self._owed)

    def feed(self, texts: Sequence[str], events: Sequence[EventT]) -> Sequence[tuple[str, EventT | None]]:
        """Return what may go out now that texts came, each in an event."""
        if len(texts) > 1 and self._filter.changes is None:
            return [told for text, event in zip(texts, events, strict=True) for told in self.feed([text], [event])]
        alone = len(texts) == 1
        text = texts[0] if alone else "".join(texts)
        written = self._filter.feed(text)
        came, owed, held = self._came, self._owed, self._filter.held
        self._came = end = came + len(text)
        if alone and not owed and not held and written == text:
            self._gone = end
            return ((text, events[0]),)
        if alone:
            owed.append((end, text, events[0]))
        else:
            ends = [*accumulate(map(len, texts), initial=came)]
            owed += zip(ends[1:], texts, events, strict=True)
        return self._let_out(written, end - held)

    def pause(self) -> Sequence[tuple[str, EventT | None]]:
        """Return what was held back and may go, since something else is said before more comes, if it does."""
        written = self._filter.pause()
        return self._let_out(written, self._came - self._filter.held)

    def end(self) -> Sequence[tuple[str, EventT | None]]:
        """Return what was held back."""
        return self._let_out(self._filter.end(), self._came)

    def now(self, event: EventT, instead: EventT) -> Sequence[tuple[str, EventT | None]]:
        """Return what may go out now of the text that came last, in an event that cannot wait for the rest of it.

        That goes later, with what stands `instead`.
        """
        owed = self._owed
        if not owed or owed[-1][2] is not event:
            return ()
        end, text, _ = owed.pop()
        owed.append((end, text, instead))
        begun = self._begun if len(owed) == 1 else ""
        self._begun = self._begun[len(begun) :]
        return ((begun, event),)

    def _let_out(self, written: str, gone: int) -> Sequence[tuple[str, EventT | None]]:
        owed, began, self._gone = self._owed, self._gone, gone
        if owed and not self._begun:  # as nearly always where texts come one by one
            end, text, event = owed[0]
            if gone == began and not written and end > gone and len(owed) < _MOST_OWED:
                return ()
            if end == gone and text == written and (len(owed) == 1 or owed[1][0] > gone):
                del owed[0]
                return ((text, event),)
        # What has gone of the first event before.
        past = max(0, began - owed[0][0] + len(owed[0][1])) if owed else 0
        count = max(bisect_right(owed, gone, key=_END), len(owed) - _MOST_OWED)
        source = "".join(map(_TEXT, owed[: count + 1]))[past : past + gone - began]
        ends = [each[0] - began for each in owed[:count]]
        if written != source:
            self.changed = True
            ends = self._placed(source, written, ends, began)
        at = 0
        pieces = [written[at : (at := end)] for end in ends]
        if pieces:
            pieces[0], self._begun = self._begun + pieces[0], ""
        told = [*zip(pieces, map(_EVENT, owed), strict=False)]
        del owed[:count]
        rest = self._begun + written[at:]
        if rest and not owed:
            told.append((rest, None))
            rest = ""
        elif len(rest) > _MOST_BEGUN_CHARS:
            end, text, event = owed[0]
            told.append((rest, event))
            owed[0] = (end, text, None)
            rest = ""
        self._begun = rest
        return told

    def _placed(self, source: str, written: str, ends: Sequence[int], began: int) -> list[int]:
        """Return where the events end that ended there in a text in whose place another stands."""
        if self._filter.changes is None:
            return list(_cuts(source, written, ends))
        placed: list[int] = []
        longer = 0
        for start, came, goes in self._filter.changes:
            if start < began:  # it had the same length
                continue
            at = start - began
            placed += [end + longer for end in ends[len(placed) : bisect_right(ends, at)]]
            if within := ends[len(placed) : bisect_right(ends, at + came)]:
                there = at + longer
                cuts = _known_cuts if len(within) <= _MOST_CUTS else _cuts
                came_in = tuple([end - at for end in within])
                made = cuts(source[at : at + came], written[there : there + goes], came_in)
                placed += [there + cut for cut in made]
            longer += goes - came
        self._filter.changes.clear()
        return [*placed, *(end + longer for end in ends[len(placed) :])]


def _cuts(source: str, written: str, ends: Sequence[int]) -> tuple[int, ...]:
    """Return where a text is to be cut that stands in place of one which was cut there, so that no piece is empty.

    What both begin and end with is cut alike, and what is between them before its first blank.
    """
    if len(ends) == 1 and ends[0] == len(source):
        return (len(written),)
    most = min(len(source), len(written))
    same = _alike(source, written, most)
    alike = _alike(source[::-1], written[::-1], most - same)
    blank = written.find(" ", same, len(written) - alike)
    left = len({*ends} - {0})  # pieces that are not empty
    cut = before = 0
    cuts: list[int] = []
    for end in ends:
        if end > before:
            left -= 1
            if end >= len(source) - alike:
                place = end + len(written) - len(source)
            elif end <= same or blank < 0:
                place = min(end, len(written) - alike)
            else:
                place = blank
            cut = max(cut, min(max(place, cut + 1), len(written) - left))
        before = end
        cuts.append(cut)
    return tuple(cuts)


_known_cuts = lru_cache(_WORDINGS)(_cuts)


def _alike(one: str, other: str, most: int) -> int:
    """Return how many characters both begin with, at most so many."""
    count = 0
    for mine, its in zip(one[:most], other, strict=False):
        if mine != its:
            break
        count += 1
    return count
