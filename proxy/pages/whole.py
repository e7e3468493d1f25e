"""Puts a page together from its parts.

Law: one file that needs nothing else: no script, no font, no image and no address from elsewhere, and a policy in its
head that forbids them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from proxy.pages.markup import Html, tag

_STYLE: Final = Path(__file__).with_name("page.css").read_text()
# Nothing but the style below may load or run, whatever got into the page.
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def whole(title: str, main: Iterable[str], footer: str) -> str:
    """Return a page."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        tag("style", Html(_STYLE)),
    )
    body = tag("body", tag("main", *main), tag("footer", footer))
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def section(title: str, *children: str) -> Html:
    """Return a part of the page under its title."""
    return tag("section", tag("h2", title), *children)


def figures(entries: Iterable[tuple[str, str]]) -> Html:
    """Return numbers that stand out, each with its name."""
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in entries), class_="figures")


def table(names: Sequence[str], rows: Iterable[Sequence[str]], class_: str | None = None) -> Html:
    """Return a table that scrolls by itself where it is too wide."""
    head = tag("thead", tag("tr", *(tag("th", name, scope="col") for name in names)))
    body = tag("tbody", *(tag("tr", *(tag("td", cell, class_=_kind(cell)) for cell in row)) for row in rows))
    return tag("div", tag("table", head, body, class_=class_), class_="scroll")


def _kind(cell: str) -> str | None:
    """Return the class of a cell that holds a number."""
    return "n" if not isinstance(cell, Html) and cell.replace(",", "").replace(".", "").isdigit() else None
