"""One lane of an answer at work: what a filter makes of its text, event by event as it came.

Laws:
- What is held back goes out later in the events that it came in, so that their number, sizes and order tell nobody that
  it was held back.
- Where a filter changes a text, what comes of it is cut as near as can be where the text was cut.
- What a filter only held back for a while is no change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Generic, Protocol, TypeAlias, TypeVar

# Of a text that came in one event and of which the rest is still held back; of more, that goes in one of its own.
_MOST_BEGUN_CHARS: Final = 4_096
_MOST_OWED = 4_096  # events, of which those without a text are soon too many: what is held back has fewer characters

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
        text = texts[0] if len(texts) == 1 else "".join(texts)
        written = self._filter.feed(text)
        came, owed, held = self._came, self._owed, self._filter.held
        if not owed and not held and written == text and len(texts) == 1:
            self._came = self._gone = came + len(text)
            return ((text, events[0]),)
        for one, event in zip(texts, events, strict=True):
            came += len(one)
            owed.append((came, one, event))
        self._came = came
        return self._let_out(written, came - held)

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
        count = next((at for at, each in enumerate(owed) if each[0] > gone), len(owed))
        count = max(count, len(owed) - _MOST_OWED)
        source = "".join([text for _, text, _ in owed[: count + 1]])[past : past + gone - began]
        ends = [end - began for end, _, _ in owed[:count]]
        if written != source:
            self.changed = True
            ends = self._placed(source, written, ends, began)
        pieces = [written[at:end] for at, end in zip([0, *ends], ends, strict=False)]
        if pieces:
            pieces[0], self._begun = self._begun + pieces[0], ""
        told = [(piece, event) for piece, (_, _, event) in zip(pieces, owed, strict=False)]
        del owed[:count]
        rest = self._begun + written[ends[-1] if ends else 0 :]
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
            placed += [end + longer for end in ends[len(placed) :] if end <= at]
            within = [end - at for end in ends[len(placed) :] if end <= at + came]
            there = at + longer
            cuts = _cuts(source[at : at + came], written[there : there + goes], within)
            placed += [there + cut for cut in cuts]
            longer += goes - came
        self._filter.changes.clear()
        return [*placed, *(end + longer for end in ends[len(placed) :])]


def _cuts(source: str, written: str, ends: Sequence[int]) -> Iterator[int]:
    """Yield where a text is to be cut that stands in place of one which was cut there, so that no piece is empty.

    What both begin and end with is cut alike, and what is between them before its first blank.
    """
    if len(ends) == 1 and ends[0] == len(source):
        yield len(written)
        return
    most = min(len(source), len(written))
    same = next((at for at in range(most) if source[at] != written[at]), most)
    alike = next((at for at in range(most - same) if source[-1 - at] != written[-1 - at]), most - same)
    blank = written.find(" ", same, len(written) - alike)
    left = len({*ends} - {0})  # pieces that are not empty
    cut = before = 0
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
        yield cut
