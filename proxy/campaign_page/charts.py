"""The page's charts: exchanges by hour of the day, members joining over time, the weight of a family of evidence."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from proxy.campaign_page.facts import moment
from proxy.campaign_page.markup import Html, number, tag

_WIDTH, _HEIGHT, _FOOT, _SIDE = 640.0, 150.0, 22.0, 48.0
_STEPS = 200  # points of a curve
_TICKS = 4
_MINUTE, _DAY = 60.0, 86_400.0
_BAR_WIDTH, _BAR_HEIGHT = 220.0, 14.0


def hours(counts: Sequence[int]) -> Html:
    """Draw exchanges by hour of the day."""
    most = max(counts, default=0) or 1
    width = (_WIDTH - _SIDE) / max(1, len(counts))
    body = [tag("title", "Exchanges by hour of the day, UTC"), *_scale(most)]
    for hour, count in enumerate(counts):
        high = (_HEIGHT - _FOOT - 10) * count / most
        left = _SIDE + hour * width
        said = tag("title", f"{hour:02}:00 to {hour:02}:59: {count} exchanges")
        # An hour without exchanges has its line too, so that a gap is seen to be one.
        body.append(
            tag(
                "rect",
                said,
                x=number(left + 2),
                y=number(_HEIGHT - _FOOT - max(high, 1)),
                width=number(width - 4),
                height=number(max(high, 1)),
                class_="bar",
            )
        )
        if hour % 3 == 0:
            body.append(_label(left + width / 2, f"{hour:02}"))
    return _chart(body)


def joining(since: Sequence[float], last: float) -> Html:
    """Draw how many members there were at each time, up to `last`."""
    ordered = sorted(since)
    first = ordered[0] if ordered else last
    span = max(last - first, 1.0)
    high, wide = _HEIGHT - _FOOT - 10, _WIDTH - _SIDE - 30
    points: list[str] = []
    before = 0
    for step in range(_STEPS + 1):
        count = bisect_right(ordered, first + span * step / _STEPS)
        x = number(_SIDE + wide * step / _STEPS)
        points += [f"{x},{number(_HEIGHT - _FOOT - high * n / max(1, len(ordered)))}" for n in (before, count)]
        before = count
    body = [tag("title", "Members by the time of their first exchange, UTC"), *_scale(len(ordered))]
    body.append(tag("polyline", points=" ".join(points), class_="curve"))
    pattern = "%H:%M:%S" if span < 10 * _MINUTE else "%H:%M" if span < 2 * _DAY else "%Y-%m-%d"
    ticks = [tick / _TICKS for tick in range(_TICKS + 1)]
    return _chart([*body, *(_label(_SIDE + wide * tick, moment(first + span * tick, pattern)) for tick in ticks)])


def bar(weight: float, most: float) -> Html:
    """Draw one weight from the middle to the right, or to the left if it speaks against a campaign."""
    middle, room = _BAR_WIDTH * 0.3, _BAR_WIDTH * 0.7
    long = min(room if weight > 0 else middle, room * abs(weight) / max(most, 1e-9))
    return tag(
        "svg",
        tag(
            "rect",
            x=number(middle if weight > 0 else middle - long),
            y="2",
            width=number(max(long, 1)),
            height=number(_BAR_HEIGHT - 4),
            class_="bar" if weight > 0 else "against",
        ),
        tag("line", x1=number(middle), x2=number(middle), y1="0", y2=number(_BAR_HEIGHT), class_="axis"),
        viewBox=f"0 0 {number(_BAR_WIDTH)} {number(_BAR_HEIGHT)}",
        width=number(_BAR_WIDTH),
        height=number(_BAR_HEIGHT),
        aria_hidden="true",
    )


def _scale(most: int) -> list[Html]:
    """Return the base line, and the line of the highest value with its number."""
    lines = [
        tag("line", x1=number(_SIDE), x2=number(_WIDTH), y1=number(y), y2=number(y), class_="axis")
        for y in (10.0, _HEIGHT - _FOOT)
    ]
    return [*lines, tag("text", f"{most:,}", x=number(_SIDE - 6), y="14", text_anchor="end")]


def _label(x: float, words: str) -> Html:
    return tag("text", words, x=number(x), y=number(_HEIGHT - 6), text_anchor="middle")


def _chart(body: Sequence[Html]) -> Html:
    box = f"0 0 {number(_WIDTH)} {number(_HEIGHT)}"
    return tag("svg", *body, viewBox=box, width=number(_WIDTH), height=number(_HEIGHT), role="img", class_="chart")
