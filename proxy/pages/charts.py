"""Draws what counts are: columns one beside another, each of one or several parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from proxy.pages.markup import Html, number, tag

WIDTH: Final = 640.0
HEIGHT: Final = 150.0
FOOT: Final = 22.0
SIDE: Final = 48.0
TOP: Final = 10.0


class Slot(NamedTuple):
    """One column: what stands below it, what is said of it, and its parts from below, each of a class of the style."""

    label: str
    said: str
    parts: Sequence[tuple[int, str]]


def columns(title: str, slots: Sequence[Slot]) -> Html:
    """Draw columns, all on one scale."""
    most = max((sum(count for count, _ in slot.parts) for slot in slots), default=0) or 1
    width = (WIDTH - SIDE) / max(1, len(slots))
    gap = min(2.0, width / 8)
    body = [tag("title", title), *scale(most)]
    for place, slot in enumerate(slots):
        left, floor = SIDE + place * width, HEIGHT - FOOT
        for count, class_ in slot.parts:
            # A column of nothing has its line too, so that a gap is seen to be one.
            high = max((HEIGHT - FOOT - TOP) * count / most, 1 if class_ == slot.parts[0][1] else 0)
            floor -= high
            if high:
                body.append(
                    tag(
                        "rect",
                        tag("title", slot.said),
                        x=number(left + gap),
                        y=number(floor),
                        width=number(width - 2 * gap),
                        height=number(high),
                        class_=class_,
                    )
                )
        if slot.label:
            body.append(label(left + width / 2, slot.label))
    return chart(body)


def scale(most: int) -> list[Html]:
    """Return the base line, and the line of the highest value with its number."""
    lines = [
        tag("line", x1=number(SIDE), x2=number(WIDTH), y1=number(y), y2=number(y), class_="axis")
        for y in (TOP, HEIGHT - FOOT)
    ]
    return [*lines, tag("text", f"{most:,}", x=number(SIDE - 6), y="14", text_anchor="end")]


def label(x: float, words: str) -> Html:
    """Return words below the base line."""
    return tag("text", words, x=number(x), y=number(HEIGHT - 6), text_anchor="middle")


def chart(body: Sequence[Html]) -> Html:
    """Return a drawing of the size that all charts have."""
    box = f"0 0 {number(WIDTH)} {number(HEIGHT)}"
    return tag("svg", *body, viewBox=box, width=number(WIDTH), height=number(HEIGHT), role="img", class_="chart")
