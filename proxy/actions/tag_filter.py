"""Cuts what stands between certain tags out of a text, however the text is split.

What counts as a tag, in upper or lower case: `<think>`, `<think lang="en">`, `</think >`. Decisions:
- Code is no shelter: a caller who wants to read on would only have to ask for a code block around it.
- A tag that is never closed hides the rest: an answer that ends within its reasoning ends so too.
- An element within one of the same name belongs to it. A closing tag without an opening one is text.
- Where nothing else is left, `LEFT_OUT` stands: the APIs take no empty text back in the next turn.
- A tag between two equal quotes or backticks is talked about, so it neither opens nor closes anything.
Laws: no more is held back than the longest tag; the text that comes out depends on the text that goes in, not on how it
was split.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final, NamedTuple

NAME: Final = r"[^\W\d_][\w.:-]{0,255}"  # of a tag
LEFT_OUT = "\N{HORIZONTAL ELLIPSIS}"
_TAG = re.compile(rf"<(/?)({NAME})(?=[\s/>])")
_MARKS = frozenset("\"'`")
_AFTER_TAG = re.compile("(?<=>)")
_JSON_BEGINS = ("{", "[", '"')


class Left(NamedTuple):
    """The state of a lane's text: the open tag, how deep it is, whether within a tag, and what is undecided."""

    within: str = ""  # in lower case
    depth: int = 0
    tag: str = ""  # within a tag: "/" if it closes, "<" if it opens
    slash: bool = False  # whether what came of a tag so far ends in a slash
    rest: str = ""  # what may be the beginning of a tag
    before: str = ""  # the character before `rest`


class TagFilter:
    """The filter of one lane, which may go on from where another has `left` off."""

    changes = None

    def __init__(self, tags: Collection[str], left: Left = Left()) -> None:  # noqa: B008 - it is frozen
        self._names = frozenset(map(str.casefold, tags))
        self._within, self._depth, self._tag, self._slash, self._held, self._before = left
        self._rest = ""  # what was held when the lane ended
        self._owed = len(self._held)  # how many held characters come from before the lane
        self._cut = self._shown = False  # whether anything was cut, and anything visible was not

    @property
    def is_open(self) -> bool:
        """Whether what comes next is withheld."""
        return bool(self._depth or self._tag)

    @property
    def has_cut(self) -> bool:
        """Whether anything was cut out so far."""
        return self._cut

    @property
    def is_at_beginning(self) -> bool:
        """Whether nothing visible has come out, and nothing is open or held back: the answer proper begins here."""
        return not (self._depth or self._tag or self._held or self._shown)

    @property
    def left(self) -> Left:
        """The state of the text, once the lane has ended."""
        return Left(self._within, self._depth, self._tag, self._slash, self._rest, self._before)

    @property
    def held(self) -> int:
        """How many characters of the lane are held back."""
        return max(0, len(self._held) - self._owed)

    def follow(self, text: str) -> None:
        """Go on as if the lane had begun with a text that its reader already knows."""
        self.feed(text)
        self._owed = len(self._held)
        self._cut = self._shown = False

    def feed(self, text: str) -> str:
        """Return what stands outside of tags, as far as that is certain."""
        if "<" not in text and not (self._depth or self._tag or self._held):
            self._shown = self._shown or not (not text or text.isspace())
            self._before = text[-1:] or self._before
            return text
        data = self._held + text
        out, at, certain = [], 0, len(data)
        while at < certain:
            if self._tag:
                at = self._through_tag(data, at)
                continue
            match = _TAG.search(data, at)
            quoted = match is not None and match[2].casefold() in self._names and self._is_quoted(data, match)
            if match is None or quoted is None:
                stop = certain = self._maybe_tag(data, at) if match is None else match.start()
            else:
                stop = match.end() if quoted or not self._counts(match) else match.start()
            if not self._depth:
                out.append(data[max(at, self._owed) : stop])
            at = stop
            if match is not None and stop == match.start() < certain:
                at = self._enter(match)
        written = "".join(out)
        self._cut = self._cut or len(written) < max(0, certain - self._owed)
        self._shown = self._shown or not (not written or written.isspace())
        self._owed = max(0, self._owed - certain)
        self._before = data[certain - 1] if certain else self._before
        self._held = data[certain:]
        return written

    def pause(self) -> str:
        """Return nothing: a tag may go on after whatever else is said."""
        return ""

    def end(self) -> str:
        """Return the beginning of a tag that was none, or `LEFT_OUT` for a text of which nothing is left."""
        self._rest, self._held = self._held, ""
        held = self._rest[self._owed :]
        if held and (self._depth or ((match := _TAG.match(held)) is not None and self._counts(match))):
            held, self._cut = "", True
        return held or (LEFT_OUT if self._cut and not self._shown else "")

    def _counts(self, match: re.Match[str]) -> bool:
        """Tell whether a tag opens or closes anything here."""
        name = match[2].casefold()
        return name == self._within if self._depth else not match[1] and name in self._names

    def _enter(self, match: re.Match[str]) -> int:
        self._within = match[2].casefold()
        self._tag, self._slash = match[1] or "<", False
        return match.end()

    def _through_tag(self, data: str, at: int) -> int:
        """Return the place behind a tag's end, or the end of what came of it."""
        end = data.find(">", at)
        if end < 0:
            self._slash = data.endswith("/")
            return len(data)
        empty = data[end - 1] == "/" if end > at else self._slash
        if self._tag == "/":
            self._depth -= 1
        elif not empty:
            self._depth += 1
        self._tag = ""
        if not self._depth:
            self._within = ""
        return end + 1

    def _is_quoted(self, data: str, match: re.Match[str]) -> bool | None:
        """Tell whether a tag stands between two equal marks, None if that cannot be told yet."""
        mark = data[match.start() - 1] if match.start() else self._before
        if mark not in _MARKS:
            return False
        after, quoting = data[match.end() : match.end() + 2], f">{mark}"
        return after == quoting or (None if quoting.startswith(after) else False)

    def _maybe_tag(self, data: str, at: int) -> int:
        """Return where a tag may have begun at the end of a text, else the text's end."""
        start = data.rfind("<", at)
        if start < 0:
            return len(data)
        name = data[start + 1 :].removeprefix("/").casefold()
        return start if any(known.startswith(name) for known in self._names) else len(data)


class BeforeJson:
    """Lets a filter cut what stands before a JSON document, which passes as it is; without one, all is filtered."""

    changes = None

    def __init__(self, filter_: TagFilter, before: str) -> None:
        self._filter = filter_
        self._passes = before.lstrip().startswith(_JSON_BEGINS)  # the answer has begun with JSON

    @property
    def held(self) -> int:
        """How many characters of the lane are held back."""
        return 0 if self._passes else self._filter.held

    def feed(self, text: str) -> str:
        """Return what may go out now."""
        return "".join(map(self._fed, _AFTER_TAG.split(text)))

    def pause(self) -> str:
        """Return nothing, as the filter does."""
        return ""

    def end(self) -> str:
        """Return what was held back."""
        return "" if self._passes else self._filter.end()

    def _fed(self, text: str) -> str:
        if self._filter.is_at_beginning and text.lstrip().startswith(_JSON_BEGINS):
            self._passes = True
        return text if self._passes else self._filter.feed(text)
