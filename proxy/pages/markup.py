"""Makes HTML and SVG.

Law: only what `tag` returns is markup. Every other string is escaped, and what a browser would not show as a
character, or would turn the text around with, becomes a replacement character: names are chosen by attackers.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from html import escape

# Elements without an end tag; those of SVG that are empty here have one, which HTML reads as well.
_VOID = frozenset({"meta"})


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def tag(name: str, /, *children: str, **attributes: object) -> Html:
    """Return an element. `class_` stands for class and `_` for `-`; an attribute that is None is left out."""
    said = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Html(f"<{name}{said}>")
    return Html(f"<{name}{said}>{joined(children)}</{name}>")


def joined(children: Iterable[str]) -> Html:
    """Return children one after another, those that are no markup escaped."""
    return Html("".join(child if isinstance(child, Html) else text(child) for child in children))


def text(words: str) -> Html:
    """Return plain words as markup."""
    shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in words)
    return Html(escape(shown, quote=True))


def named(name: str, most: int = 64) -> Html:
    """Return a name of somebody's choosing: cut, and kept from turning around what stands beside it."""
    return tag("bdi", short(name, most))


def short(words: str, most: int = 64) -> str:
    """Return so many characters at most."""
    return words if len(words) <= most else f"{words[: most - 1]}…"


def number(value: float) -> str:
    """Return a number for a drawing, as short as it can be."""
    return f"{value:.1f}".removesuffix(".0")


def moment(seconds: float, pattern: str = "%Y-%m-%d %H:%M") -> str:
    """Return a moment in UTC."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime(pattern)
