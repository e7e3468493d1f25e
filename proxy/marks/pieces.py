"""Cuts prose that comes in parts into pieces, each a run without white space, with the white space before it.

Laws:
- However the text is cut, the same pieces come out; joined again, they are the text.
- What is no plain prose is marked as such: code, tables, headings, quotations, formulas, figures, addresses, JSON.
- What is held back is one run of at most `MOST_CHARS` and the white space before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain, repeat
from typing import Final

from proxy.marks.code_signs import CODE_OPENERS, KEYWORDS, OPERATORS, ends_early
from proxy.marks.runs import ENDS, Piece, is_shaped, opens_italic, plain

MOST_CHARS: Final = 96  # of a run or of white space; a longer one is no prose
_TOO_LONG = re.compile(rf"\S{{{MOST_CHARS + 1}}}|\s{{{MOST_CHARS + 1}}}")
# Matches only where a run can begin: else an unfinished run would be tried from each of its characters.
_RUN = re.compile(r"(?:\A|(?<=\S)(?=\s))(\s*+)(\S++)(?=\s)")
# Quotation marks of either kind: an apostrophe ends no quotation in the others, nor does a mark after a backslash.
_OPENING = {
    '"': re.compile(r"(?:^|[(\[{*_=:,—–-])[\"“„«]"),  # noqa: RUF001 - a dash
    "'": re.compile(r"^[(\[*_]*[‘']"),  # noqa: RUF001 - a quotation mark
}
_CLOSING = {
    '"': re.compile(r"(?<!\\)[\"”“»][)\]*_.,;:!?…]*$"),
    "'": re.compile(r"[’'][)\]*_.,;:!?…]*$"),  # noqa: RUF001 - a quotation mark
}
_TICKS = re.compile(r"`+")
_BULLET = re.compile(r"[-*+•]|\d{1,3}[.)]")
_FENCE = re.compile(r"(```+|~~~+)")
_INDENT = 4  # a line indented by so many columns is code
# What begins a heading, quotation, table, markup, image, link, data, or comment in code.
_LINE_OPENERS = ("#", ">", "|", "<", "!", "[", "{", "+-", "//", "/*", "--")
_RULE = re.compile(r"([=~^*_+-])\1{2,}")  # a rule below a title
# A line that is indented by this much more than the one before it in its paragraph is no prose.
_FURTHER = 2
_PROSE_OPENERS = re.compile(r"(?![A-Z][A-Z\d_]+$)[^\W\d_a-z]|(?:[-*+•]|\d{1,3}[.)])$")
_SPANS = {"$$": "$$", r"\[": r"\]", r"\(": r"\)", "<code": "</code>"}
_DATA_OPENERS = ("{", "[", "<")  # an answer that begins with one is no prose


class Cutter:
    """Cuts one text into pieces."""

    def __init__(self) -> None:
        self.came = 0  # characters
        self.cut = 0  # how many of them are cut: up to the end of the last piece or overlong string
        self._held = ""
        self._raw = False  # within a run that is too long
        self._blank = False  # within white space that is too long
        self._zones = Zones()

    def feed(self, text: str) -> Iterable[Piece | str]:
        """Return the pieces that are whole now, all of which have to be taken; overlong parts come as strings."""
        self.came += len(text)
        held = self._held + text
        started = self._raw or self._blank
        if held.isprintable() and "  " not in held and not started:  # the blank is the only printable white space
            runs = held.split(" ")
            if len(held) <= MOST_CHARS or max(map(len, runs)) <= MOST_CHARS:
                return self._of_line(held, runs)
        short = len(held) <= MOST_CHARS or _TOO_LONG.search(held) is None
        return self._of_short(held) if short and not started else self._of_long(held)

    def _of_line(self, held: str, runs: list[str]) -> list[Piece]:
        """Return the pieces of a text whose runs are parted by single blanks, as in nearly all parts of a stream."""
        before, gap = self.came - len(held), " " if held.startswith(" ") else ""
        del runs[: len(gap)]  # split leaves nothing before a first blank
        rest = runs.pop() if runs else ""
        if len(runs) == 1:
            pieces, self.cut = [self._zones.piece(gap, runs[0], before)], before + len(gap) + len(runs[0])
        else:
            found = zip(chain((gap,), repeat(" ")), runs, strict=False)
            pieces, self.cut = self._zones.pieces(found, before, in_line=True)
        self._held = f" {rest}" if pieces else held
        return pieces

    def _of_short(self, held: str) -> list[Piece]:
        """Return the pieces of a text in which none can be too long."""
        before = self.came - len(held)
        pieces, self.cut = self._zones.pieces(_RUN.findall(held), before, in_line="\n" not in held)
        self._held = held[self.cut - before :]
        return pieces

    def _of_long(self, held: str) -> Iterator[Piece | str]:
        at, before = 0, self.came - len(held)
        while True:
            if self._raw:
                end = next((place for place in range(at, len(held)) if held[place].isspace()), len(held))
                self.cut = before + at
                if end > at:
                    yield held[at:end]
                at = end
                if at == len(held):
                    break
                self._raw = False
            match = _RUN.match(held, at)
            if match is not None and len(match[1]) <= MOST_CHARS >= len(match[2]) and not self._blank:
                yield self._zones.piece(match[1], match[2], before + at)
                at = match.end()
                continue
            if match is None and len(held) - at <= MOST_CHARS and not self._blank:
                break
            rest = held[at:]
            run = rest.lstrip()
            gap = rest[: len(rest) - len(run)]
            self.cut = before + at
            if len(gap) > MOST_CHARS or (gap and self._blank):
                self._blank = True
                self._zones.leave()
                yield gap
                at += len(gap)
                continue
            if match is None and len(run) <= MOST_CHARS and not (run and self._blank):
                break
            self._blank = False
            self._zones.leave()
            yield gap
            at += len(gap)
            self._raw = True
        self._held = held[at:]
        self.cut = before + at

    def stop(self) -> None:
        """Let nothing be prose from here on."""
        self._zones.stop()

    def end(self) -> Iterator[Piece | str]:
        """Yield what is left."""
        rest, self._held = self._held, ""
        run = rest.lstrip()
        if run and not self._blank:
            self.cut = self.came
            yield self._zones.piece(rest[: len(rest) - len(run)], run, self.came - len(rest))
        elif rest:
            yield rest
            self.cut = self.came


class Zones:
    """Tells of each run whether it is plain prose, from what came before it."""

    def __init__(self) -> None:
        self._first = True
        self._off = False  # nothing more is prose
        self._line = False  # no prose until the end of the line
        self._block = False  # no prose until a blank line
        self._opens = True  # no line but comments has begun in this paragraph or after a colon
        self._prose = False  # the line began like prose or an item of a list
        self._last = ""  # the run before this one
        self._list = False  # this paragraph, or one before it if this is indented, has an item of a list
        self._plain = False  # the line before may be prose
        self._width = self._indent = 0  # of the line
        self._widest = 0  # line of this paragraph
        self._fence = ""
        self._until = ""  # what ends the open span: code, a formula, a quotation, bold type
        self._starts = True

    def leave(self) -> None:
        """Note something that is too long to be prose."""
        self._line, self._until, self._first = True, "", False

    def stop(self) -> None:
        """Let nothing be prose from here on."""
        self._off = True

    def pieces(self, found: Iterable[tuple[str, str]], at: int, *, in_line: bool) -> tuple[list[Piece], int]:
        """Return runs, each with its white space, as pieces, and where they end; `in_line`: no line begins there."""
        pieces: list[Piece] = []
        prose = in_line and self._is_prose()
        for gap, run in found:
            size = len(gap) + len(run)
            known = plain(run) if prose else None
            if known is None:
                pieces.append(self.piece(gap, run, at))
                prose = in_line and self._is_prose()
            else:
                lead, core, trail, word, kind, ends = known
                pieces.append(Piece(gap, lead, core, trail, at, word, kind))
                pieces[-1].starts, self._starts, self._last = self._starts, ends, run
                self._width += size
            at += size
        return pieces, at

    def _is_prose(self) -> bool:
        """Tell whether a plain word is prose here."""
        return not (self._first or self._off or self._fence or self._line or self._block or self._until)

    def piece(self, gap: str, run: str, at: int) -> Piece:
        """Return a run as a piece."""
        before, self._last = self._last, run
        begins = self._first or "\n" in gap
        if begins and self._begin_line(gap, run, before[-1:]):
            return Piece(gap, "", run, "", at)
        self._width += len(gap) + len(run)
        if self._off or self._fence or self._line or self._block:
            return Piece(gap, "", run, "", at)
        if self._until:
            if self._ends(run):
                self._until = ""
                self._starts = run.rstrip("*_)\"”’'`")[-1:] in ENDS  # noqa: RUF001 - quotation marks
            return Piece(gap, "", run, "", at)
        if begins and _BULLET.fullmatch(run):
            self._starts = True
            return Piece(gap, "", run, "", at)
        known = plain(run)
        if known is None:
            self._open_zone(run)
            self._starts = run[-1] in ENDS
            return Piece(gap, "", run, "", at)
        lead, core, trail, word, kind, ends = known
        piece = Piece(gap, lead, core, trail, at, word, kind)
        piece.starts, self._starts = self._starts, ends
        return piece

    def _open_zone(self, run: str) -> None:
        """Note whether a run that is no plain word begins something to be left alone."""
        if not is_shaped(run):
            self._line = run in OPERATORS
            self._block = self._line and not self._prose
            self._open(run)
        elif "**" in run or "__" in run:
            if run.count("**") + run.count("__") == 1:
                self._until = "**" if "**" in run else "__"
        else:
            self._until = opens_italic(run)

    def _open(self, run: str) -> None:
        """Note whether a run begins a span to be left alone."""
        for opener, closer in _SPANS.items():
            if opener in run:
                if closer not in run.partition(opener)[2]:
                    self._until = closer
                return
        if "`" in run:
            self._until = _open_ticks(run)
        elif run.count("**") == 1:
            self._until = "**"
        elif run.count("$") == 1 and run.startswith("$") and not run[1:2].isdigit():
            self._until = "$"
        else:
            for kind, opening in _OPENING.items():
                if (match := opening.search(run)) is not None and not _CLOSING[kind].search(run, match.end()):
                    self._until = kind
            if not self._until:
                self._until = opens_italic(run)

    def _ends(self, run: str) -> bool:
        if (closing := _CLOSING.get(self._until)) is not None:
            return closing.search(run) is not None
        return not _open_ticks(run, self._until) if "`" in self._until else self._until in run

    def _begin_line(self, gap: str, run: str, before: str) -> bool:
        """Note a new line, and the character before it; return True if its first run is no prose."""
        if self._first:
            self._first = False
            self._off = self._off or run.startswith(_DATA_OPENERS)
        blank = gap.count("\n") > 1
        if blank or self._until not in ("$$", r"\]", r"\)"):
            ended = blank or self._until in ("'", "$", "**", "__", "*", "_") or _BULLET.fullmatch(run)
            self._until = "" if ended else self._until
        if blank:
            self._starts = True
        fence = _FENCE.match(run)
        if self._fence:
            if run.strip("`~") == "" and run.startswith(self._fence):
                self._fence = ""
                self._line = True
            return True
        if fence is not None:
            self._fence = fence[1]
            return True
        indent = len(gap.rpartition("\n")[2].expandtabs(_INDENT))
        self._line = indent >= _INDENT or run.startswith(_LINE_OPENERS) or _RULE.fullmatch(run) is not None
        self._prose = _PROSE_OPENERS.match(run) is not None
        self._opens = self._opens or blank or before == ":"
        self._list = _BULLET.fullmatch(run) is not None or (self._list and (not blank or indent > 0))
        if blank:
            self._block, self._widest = self._block and indent > 0, 0
        elif self._plain and not (self._line or self._list or before == ":"):
            self._widest = max(self._widest, self._width)
            early = ends_early(before, self._width + len(run), self._widest)
            self._block = self._block or early or indent >= self._indent + _FURTHER
        self._block = self._block or KEYWORDS.match(run) is not None
        self._plain, self._width, self._indent = not self._line, -len(gap), indent
        if self._opens and not self._line:
            self._opens = False
            self._block = self._block or CODE_OPENERS.match(run) is not None
        return self._line or self._block


def _open_ticks(run: str, ticks: str = "") -> str:
    """Return the backticks that would end a span of code still open after a run: as many as it began with."""
    for found in _TICKS.findall(run):
        ticks = "" if found == ticks else ticks or found
    return ticks
