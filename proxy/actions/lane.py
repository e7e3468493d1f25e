"""One lane of an answer at work: what a filter makes of its text, event by event as it came.

Laws:
- What is held back goes out later in the events that it came in, so that their number, sizes and order do not tell that
  it was held back.
- Where a filter changes a text, the result is cut as near as can be to where the text was cut.
- What a filter only held back for a while is no change.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate, islice
from typing import Final, Generic, Protocol, TypeAlias, TypeVar

# How many characters of an event's text may wait for the rest of it; beyond that they go, and the rest gets an event of
# its own.
_MOST_BEGUN_CHARS: Final = 4_096
_MOST_OWED = 4_096  # events that wait; only ones without text can be so many: held characters are fewer

# How many replacements are remembered with their cuts, since the same come again and again; none of a text that came in
# more events than `_MOST_CUTS`, of which thousands may be empty.
_WORDINGS, _MOST_CUTS = 1_024, 32

EventT = TypeVar("EventT")
# A change in a text: so many characters from the text's beginning, so many characters became so many others.
Change: TypeAlias = tuple[int, int, int]


class TextFilter(Protocol):
    """Rewrites one lane's text as it comes."""

    @property
    def changes(self) -> list[Change] | None:
        """Where texts of other lengths went out since this was last emptied; None if texts must be fed one by one."""
        ...

    @property
    def held(self) -> int:
        """How many characters at the end of what came are held back, counted as they came."""
        ...

    def feed(self, text: str) -> str:
        """Return what may go out now; what is held back is bounded."""
        ...

    def pause(self) -> str:
        """Return what was held back and may go, since something else is said before more text, if any, comes."""
        ...

    def end(self) -> str:
        """Return what was held back."""
        ...


class Lane(Generic[EventT]):
    """One lane's filter and the events that wait; `changed` says whether anything else has come out than went in.

    Its methods return texts that go out, each with the event that it goes in; None: it needs a new event.
    """

    __slots__ = ("_begun", "_came", "_ends", "_events", "_filter", "_gone", "_texts", "changed")

    def __init__(self, filter_: TextFilter) -> None:
        self.changed = False
        self._filter = filter_
        self._came = self._gone = 0  # characters
        # The events that wait, the text of each, and where that ends, in characters from the lane's beginning.
        self._events: list[EventT | None] = []
        self._texts: list[str] = []
        self._ends: list[int] = []
        self._begun = ""  # what goes out in the first of them so far

    @property
    def waiting(self) -> int:
        """How many events wait."""
        return len(self._events)

    def feed(self, texts: Sequence[str], events: Sequence[EventT]) -> Sequence[tuple[str, EventT | None]]:
        """Return what may go out after these texts came, each in an event."""
        if len(texts) > 1 and self._filter.changes is None:
            return [told for text, event in zip(texts, events, strict=True) for told in self.feed([text], [event])]
        alone = len(texts) == 1
        text = texts[0] if alone else "".join(texts)
        written = self._filter.feed(text)
        came, held = self._came, self._filter.held
        self._came = end = came + len(text)
        if alone and not held and written == text and not self._events:
            self._gone = end
            return ((text, events[0]),)
        if alone:
            self._ends.append(end)
        else:
            self._ends += islice(accumulate(map(len, texts), initial=came), 1, None)
        self._texts += texts
        self._events += events
        return self._let_out(written, end - held)

    def pause(self) -> Sequence[tuple[str, EventT | None]]:
        """Return what was held back and may go, since something else is said before more text, if any, comes."""
        written = self._filter.pause()
        return self._let_out(written, self._came - self._filter.held)

    def end(self) -> Sequence[tuple[str, EventT | None]]:
        """Return what was held back."""
        return self._let_out(self._filter.end(), self._came)

    def now(self, event: EventT, instead: EventT) -> Sequence[tuple[str, EventT | None]]:
        """Return what may go out now of the text that came last, in an event that cannot wait for the rest of it.

        The rest goes later, in the event `instead`.
        """
        events = self._events
        if not events or events[-1] is not event:
            return ()
        events[-1] = instead
        begun = self._begun if len(events) == 1 else ""
        self._begun = self._begun[len(begun) :]
        return ((begun, event),)

    def _let_out(self, written: str, gone: int) -> Sequence[tuple[str, EventT | None]]:
        ends, texts, events, began = self._ends, self._texts, self._events, self._gone
        self._gone = gone
        if ends and not self._begun:  # nearly always, where texts come one by one
            if gone == began and not written and ends[0] > gone and len(ends) < _MOST_OWED:
                return ()
            if ends[0] == gone and texts[0] == written and (len(ends) == 1 or ends[1] > gone):
                first = (written, events[0])
                del ends[0], texts[0], events[0]
                return (first,)
        # How much of the first event has gone before.
        past = max(0, began - ends[0] + len(texts[0])) if ends else 0
        whole = bisect_right(ends, gone)
        count = max(whole, len(ends) - _MOST_OWED)
        source = "".join(texts[: count + 1])[past : past + gone - began]
        if written == source and count == whole:
            pieces = texts[:count]
            if past and pieces:
                pieces[0] = pieces[0][past:]
            at = sum(map(len, pieces))
        else:
            cuts = [end - began for end in ends[:count]]
            if written != source:
                self.changed = True
                cuts = self._placed(source, written, cuts, began)
            at = 0
            pieces = [written[at : (at := cut)] for cut in cuts]
        if pieces:
            pieces[0], self._begun = self._begun + pieces[0], ""
        told = [*zip(pieces, events, strict=False)]
        del ends[:count], texts[:count], events[:count]
        rest = self._begun + written[at:]
        if rest and not events:
            told.append((rest, None))
            rest = ""
        elif len(rest) > _MOST_BEGUN_CHARS:
            told.append((rest, events[0]))
            events[0] = None
            rest = ""
        self._begun = rest
        return told

    def _placed(self, source: str, written: str, ends: Sequence[int], began: int) -> list[int]:
        """Return where events end in the `written` text; in its source they end at `ends`."""
        if self._filter.changes is None:
            return list(_cuts(source, written, ends))
        placed: list[int] = []
        longer = 0
        for start, came, goes in self._filter.changes:
            if start < began:  # nothing changed in length
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
    """Return where to cut `written`, which replaces a source that was cut at `ends`, so that no piece is empty.

    What both begin and end with is cut alike; what lies between is cut before its first blank.
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
    """Return how many characters both texts begin with alike, at most `most`."""
    count = 0
    for mine, its in zip(one[:most], other, strict=False):
        if mine != its:
            break
        count += 1
    return count
