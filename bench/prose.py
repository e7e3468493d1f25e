"""Reads prose from a folder of documentation or books: paragraphs, and texts of so many words made of them."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

_LEAST_WORDS = 12  # of a paragraph: what is shorter is a caption or a heading
_CODE = frozenset({"code", "tt", "kbd", "samp"})
_NO_PROSE = frozenset({"pre", "script", "style", "table"})
_SUFFIXES = frozenset({".html", ".txt"})


class _Paragraphs(HTMLParser):
    """Keeps the text of paragraphs, code in them between backticks as an answer would have it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._now: str | None = None
        self._within = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if tag == "p":
            self.end()
            self._now = ""
        self._within += tag in _NO_PROSE
        if tag in _CODE and self._now is not None:
            self._now += "`"

    def handle_endtag(self, tag: str) -> None:
        if tag == "p":
            self.end()
        self._within = max(0, self._within - (tag in _NO_PROSE))
        if tag in _CODE and self._now is not None:
            self._now += "`"

    def handle_data(self, data: str) -> None:
        if self._now is not None and not self._within:
            self._now += data

    def end(self) -> None:
        self.found.append(" ".join((self._now or "").split()))
        self._now = None


def texts(folder: Path, words: int) -> Iterator[str]:
    """Yield texts of at least so many words, each of paragraphs that follow each other in one file."""
    for file in sorted(folder.rglob("*")):
        if file.suffix in _SUFFIXES and file.is_file():
            yield from _joined(_paragraphs(file), words)


def _paragraphs(file: Path) -> list[str]:
    content = file.read_text("utf-8", "replace")
    if file.suffix == ".txt":
        return [" ".join(paragraph.split()) for paragraph in content.split("\n\n")]
    reader = _Paragraphs()
    reader.feed(content)
    reader.end()
    return reader.found


def _joined(paragraphs: list[str], words: int) -> Iterator[str]:
    taken: list[str] = []
    count = 0
    for paragraph in paragraphs:
        length = len(paragraph.split())
        if length < _LEAST_WORDS:
            continue
        taken.append(paragraph)
        count += length
        if count >= words:
            yield "\n\n".join(taken)
            taken, count = [], 0
