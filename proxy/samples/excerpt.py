"""What is kept of a request and of its answer: bounded before anything is copied, however long they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from proxy.exchange import Text

_EACH: Final = 128  # characters that each text costs in addition, so that a million short ones are not all read


class Excerpt(NamedTuple):
    """The beginning and the end of a request's texts; `whole` if nothing is missing between them."""

    beginning: list[Text]
    end: list[Text]
    whole: bool

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it: each text as its role, its place and its characters."""
        return {"beginning": [*map(list, self.beginning)], "end": [*map(list, self.end)], "whole": self.whole}

    @classmethod
    def read(cls, document: Any) -> Excerpt:  # noqa: ANN401 - JSON of whoever could seal it
        """Return what a document says. Raises ValueError, KeyError or TypeError for one that is none."""
        beginning, end = ([Text(*map(_text, text)) for text in document[name]] for name in ("beginning", "end"))
        return cls(beginning, end, whole=document["whole"] is True)


def _text(value: object) -> str:
    if type(value) is not str:
        raise ValueError("should be text")
    return value


def excerpt(texts: Sequence[Text], most: int) -> Excerpt:
    """Return up to `most` characters of texts, half of them from the end: that is where a conversation is going."""
    beginning, index, offset = _from_beginning(texts, most - most // 2)
    end: list[Text] = []
    room, last = most // 2, len(texts) - 1
    while last >= index and room > 0:
        role, where, text = texts[last]
        start = max(offset if last == index else 0, len(text) - room)
        if last == index and start == offset and offset:
            beginning[-1] = texts[index]  # all fits, so it need not be cut
            return Excerpt(beginning, end[::-1], whole=True)
        end.append(Text(role, where, text[start:]))
        if start > (offset if last == index else 0):
            break
        room -= len(text) + _EACH
        last -= 1
    return Excerpt(beginning, end[::-1], whole=last < index)


def _from_beginning(texts: Sequence[Text], room: int) -> tuple[list[Text], int, int]:
    """Return what fits, and where what is left begins: in which text, and at which character of it."""
    found: list[Text] = []
    for index, (role, where, text) in enumerate(texts):
        if room <= 0:
            return found, index, 0
        found.append(Text(role, where, text[:room]))
        if len(text) > room:
            return found, index, room
        room -= len(text) + _EACH
    return found, len(texts), 0


class Content(NamedTuple):
    """What a sample says; `answer` is how it began, as its bytes went to the client, None if there was none."""

    dialect: str
    request: Excerpt
    answer: str | None
    answer_whole: bool

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {**self._asdict(), "request": self.request.document()}

    @classmethod
    def read(cls, document: Any) -> Content:  # noqa: ANN401 - JSON of whoever could seal it
        """Return what a document says. Raises ValueError for one that is no sample's."""
        try:
            dialect, request, answer, whole = (document[name] for name in cls._fields)
            found = cls(dialect, Excerpt.read(request), answer, whole)
        except (KeyError, TypeError):
            raise ValueError("is not a sample's content") from None
        if type(dialect) is not str or type(answer) not in (str, type(None)) or type(whole) is not bool:
            raise ValueError("is not a sample's content")
        return found


class Heard:
    """The beginning of an answer, as its bytes went to the client."""

    __slots__ = ("_most", "kept", "whole")

    def __init__(self, most: int) -> None:
        self._most = most
        self.kept = bytearray()
        self.whole = True

    def add(self, data: bytes) -> None:
        """Keep what goes to the client, as far as there is room."""
        room = self._most - len(self.kept)
        self.kept += data[:room]
        self.whole = self.whole and len(data) <= room
