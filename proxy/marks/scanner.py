"""Finds the places in a text where one of several wordings stands, and puts the chosen one there.

One scanner both marks and reads marks: only the choosing differs. Laws:
- However the text is cut, the same comes out. What is held back is `AHEAD` runs without white space.
- A place is known by its row and its context: content words before it that belong to no place; see contexts.py.
- Nothing but the words of a place, a comma and an article before it is changed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from typing import Final

from proxy.marks.contexts import Contexts
from proxy.marks.joint_words import FINITE_WORDS, NESTING, UNSEEN_BEFORE
from proxy.marks.joints import COMMA, STOP, THAT, THEN, Spot, conditional, joint, may_be, may_open, opens, unseen
from proxy.marks.pieces import Cutter
from proxy.marks.place import Choose, Place
from proxy.marks.runs import ARTICLE, CONTENT, ENGLISH, FINITE, JOINS, NESTS, SAYS, SIGNS, WATCHED, Piece
from proxy.marks.spared import Spared
from proxy.marks.stops import Stops, joined, reworded
from proxy.marks.table import BEGINNING, FIGURES, PUNCTUATION, Table, Wording
from proxy.marks.writing import article_for, may_change, stands, written

AHEAD: Final = 8
_LEFT = 6  # pieces that conditions look back on
_OPENING_WORDS = 6
_MEMORY = 0.92  # a memory of some twelve words, whose share tells whether the text is English
_LEAST, _FIRST = 0.75, 0.88  # thresholds by which the first word may be a place, the second if the first is English


class Scanner:
    """Scans one text; a change never brings about one of the sequences in `stops`."""

    def __init__(self, table: Table, choose: Choose, stops: Collection[str] = ()) -> None:
        self._wordings = table.wordings
        self._choose = choose
        self._cutter = Cutter()
        self._spared = Spared()
        self._over = False  # whether no word is a place any more
        self._queue: deque[Piece] = deque()
        self._left: deque[Piece] = deque(maxlen=_LEFT)
        self._contexts = Contexts()
        self._english = _FIRST
        self._since = 0  # words since the sentence began
        self._nested = False  # whether a clause of the sentence depends on another
        self._if = False  # whether the sentence so far is a condition without a sign
        self._finite = False  # whether that condition has its verb
        self._opening: list[str] = []  # the words of the sentence so far, while they are few and may open it
        self._barred = -1  # where the last bar of a table stood
        self._out: list[str] = []
        self.changes: list[tuple[int, int, int]] = []  # (at which character, how many, became how many)
        self._changed = 0  # how many pieces, from the first on, may change in length
        self._stops = Stops(stops) if stops else None

    @property
    def held(self) -> int:
        """How many characters of what came are held back."""
        return self._cutter.came - (self._queue[0].at if self._queue else self._cutter.cut)

    def feed(self, text: str) -> str:
        """Return what may go out now."""
        self._take(self._cutter.feed(text))
        return self._taken()

    def end(self) -> str:
        """Return what was held back; text that comes later goes on as after a blank."""
        self._take(self._cutter.end())
        while self._queue:
            self._go()
        return self._taken()

    def _take(self, pieces: Iterable[Piece | str]) -> None:
        queue, spared = self._queue, self._spared
        for piece in pieces:
            if isinstance(piece, str):
                while queue:
                    self._go()
                self._out.append(piece)
                self._left.clear()
                continue
            queue.append(piece)
            if piece.kind:
                if self._over:  # it may have been cut before this was known
                    piece.word, piece.kind = "", 0
                elif piece.kind & WATCHED or spared.wary:
                    if spared.by(piece.word, starts=piece.starts):
                        self._spare()
                else:
                    spared.words += 1
            elif piece.core == "|":
                self._barred = piece.at
            if len(queue) > AHEAD:
                self._go()

    def _spare(self) -> None:
        """Let no further word be a place."""
        self._over = True
        self._cutter.stop()
        for piece in self._queue:
            piece.word, piece.kind = "", 0

    def _taken(self) -> str:
        out, self._out = "".join(self._out), []
        return out if self._stops is None else self._stops.went(out)

    def _go(self) -> None:
        """Let the first piece go, with the whole wording if one begins there, and note a change in length."""
        queue = self._queue
        head = queue[0]
        kind, before = head.kind, len(self._out)
        if kind:
            self._english = self._english * _MEMORY + (1 if kind & ENGLISH else 0)
        open_to = kind and self._english >= _LEAST and (head.word in self._wordings or kind & ARTICLE)
        if not open_to or not self._went(head):
            self._pass(queue.popleft())
        if self._changed:
            self._changed -= 1
            end = queue[0].at if queue else self._cutter.cut
            self.changes.append((head.at, end - head.at, sum(map(len, self._out[before:]))))

    def _went(self, head: Piece) -> bool:
        """Let a wording go that begins with the first piece, or after an article there; tell whether there was one."""
        for at in (1, 0) if head.kind & ARTICLE and not head.trail else (0,):
            found = self._find(at)
            if found is not None:
                chosen = self._chosen(found, at)
                if at:
                    article = self._queue.popleft()
                    article.core = article.core if chosen is found else article_for(article.core, chosen)
                    self._pass(article)
                self._emit(found, chosen)
                return True
        return False

    def _find(self, at: int) -> Wording | None:
        """Return the wording that begins at a piece, if it may be exchanged."""
        queue = self._queue
        seconds = self._wordings.get(queue[at].word) if at < len(queue) else None
        if seconds is None:
            return None
        following = queue[at + 1].word if at + 1 < len(queue) else ""
        found = seconds.get(following) or seconds.get("")
        if found is None or not may_change(queue[at]):
            return None
        before = self._before(at)
        for wording in found:
            condition = wording.row.before
            if condition is not None and not condition.holds(before):
                continue
            if stands(queue, wording, at) and self._fits(wording, at):
                return wording
        return None

    def _fits(self, wording: Wording, at: int) -> bool:
        row, queue = wording.row, self._queue
        last = at + len(wording.words) - 1
        after = queue[last + 1] if last + 1 < len(queue) else None
        shown = PUNCTUATION
        if after is not None and not after.lead and not self._ends(queue[last], after, wording, at):
            shown = after.word or (FIGURES if after.core[:1].isdigit() else "")
        if row.after is not None and not row.after.holds(shown):
            return False
        if row.second is not None:
            second = queue[last + 2] if last + 2 < len(queue) else None
            if second is None or after is None or after.trail or not row.second.holds(second.word):
                return False
        if queue[at].core[0].isupper() and after is not None and shown and after.core[:1].isupper():
            return False  # most likely a name
        return self._barred < queue[0].at

    def _ends(self, last: Piece, after: Piece, wording: Wording, at: int) -> bool:
        """Tell whether a sign that is no mere matter of taste ends a wording."""
        if not last.trail or wording.row.comma is not None:
            return False
        opened = at == 0 and (self._queue[0].starts or bool(self._opening)) and opens([*self._opening, *wording.words])
        return not unseen(last, after, opened=opened)

    def _before(self, at: int) -> str:
        """Return what stands before a piece, as conditions have it: a word, a beginning or a sign."""
        piece = self._queue[at]
        if at:
            return self._queue[at - 1].word
        if piece.starts:
            return BEGINNING
        if not self._left or piece.lead:
            return PUNCTUATION
        last = self._left[-1]
        sign = last.trail if last.word else last.core[-1:] if last.core[-1:] in SIGNS else ""
        return PUNCTUATION if sign and (sign != COMMA or piece.word not in UNSEEN_BEFORE) else last.word

    def _chosen(self, wording: Wording, at: int) -> Wording:
        """Return the wording to stand in place of the one that begins at a piece, which may follow an article."""
        row = wording.row
        number = self._choose(Place(row.name, self._contexts.of(row.name), wording.number, len(row.wordings)))
        chosen = wording if number == wording.number else Wording(row, number, row.wordings[number])
        if chosen is wording or self._stops is None:
            return chosen
        instead = reworded(self._queue, at, wording, chosen)
        return wording if self._stops.come(self._out, self._queue, instead) else chosen

    def _emit(self, found: Wording, chosen: Wording) -> None:
        """Put a wording in place of another, with the case and the signs of the original."""
        self._changed = self._changed or int(chosen is not found)
        left = [self._queue.popleft() for _ in found.words]
        taken = left if chosen is found else written(left, chosen)
        for piece in taken[:-1]:
            self._note(piece)
            self._left.append(piece)
            self._out.append(str(piece))
        self._note(taken[-1])
        if self._if:
            self._finite = self._finite or not any(map(FINITE_WORDS.isdisjoint, chosen.row.wordings))
        self._leave(taken[-1])

    def _pass(self, piece: Piece) -> None:
        """Let a piece go that belongs to no wording."""
        kind = piece.kind
        if kind:
            if piece.starts or self._if or self._opening:
                self._note(piece)
            else:
                self._since += 1
                self._nested = self._nested or kind & NESTS > 0
            if kind & CONTENT:
                self._contexts.nearest.append(piece.word)
            if self._if:
                self._finite = self._finite or kind & FINITE > 0
        else:
            self._opening = []
            self._if = self._if and piece.core[-1:] not in SIGNS
            self._since += 1
        self._leave(piece)

    def _note(self, piece: Piece) -> None:
        """Note a word for those that follow in its sentence."""
        if piece.starts:
            self._since, self._nested = 1, False
            self._opening = [piece.word] if may_open(piece.word) else []
            self._if, self._finite = conditional(piece.word), False
        else:
            self._since += 1
            if self._if or self._opening:
                ended = bool(self._left and self._left[-1].trail)
                self._if = self._if and not piece.lead and not ended
                if ended or len(self._opening) == _OPENING_WORDS:
                    self._opening = []
                elif self._opening:
                    self._opening.append(piece.word)
        self._nested = self._nested or piece.word in NESTING

    def _leave(self, piece: Piece) -> None:
        """Let a piece go, with what is chosen to stand between it and the next."""
        left, queue = self._left, self._queue
        left.append(piece)
        kind = piece.kind
        if not kind or not queue or not (piece.trail or queue[0].kind & JOINS or kind & SAYS):
            self._out.append(f"{piece.gap}{piece.lead}{piece.core}{piece.trail}")
            return
        found, condition, word = None, self._if and self._finite, queue[0].word
        if word and may_be(piece, word, self._opening, condition=condition):
            found = joint(Spot(left, queue, self._since, self._opening, self._nested, condition, piece, word))
        if found is None:
            self._out.append(f"{piece.gap}{piece.lead}{piece.core}{piece.trail}")
            return
        wanted = self._choose(Place(found.row, self._contexts.of(found.row), int(found.there), 2)) == 1
        if wanted is not found.there and self._stops is not None:
            wanted = wanted is not self._stops.come(self._out, (piece, *queue), joined(piece, queue, found))
        if wanted is not found.there:
            self._changed = 2  # the blank before the next piece may change too
        if wanted is not found.there and found.what is COMMA:
            piece.trail = COMMA if wanted else ""
        elif wanted is not found.there and found.what is STOP:
            piece.trail = "." if wanted else ";"
            core = self._queue[0].core
            self._queue[0].core = core[0].upper() + core[1:] if wanted else core[0].lower() + core[1:]
        self._out.append(str(piece))
        if found.what in (THAT, THEN):
            self._join(found.what, wanted=wanted, there=found.there)

    def _join(self, what: str, *, wanted: bool, there: bool) -> None:
        """Put a word before the next piece, or leave it out."""
        if there:
            joining = self._queue.popleft()
            if not wanted:
                if self._queue:
                    self._queue[0].gap = joining.gap
                return
        elif wanted:
            joining = Piece(" ", "", what, "")
            joining.word = what
        else:
            return
        self._left.append(joining)
        self._out.append(str(joining))
        self._since += 1
