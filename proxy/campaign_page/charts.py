"""The page's charts: exchanges by hour of the day, members joining over time, the weight of a family of evidence."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from proxy.pages.charts import FOOT, HEIGHT, SIDE, TOP, WIDTH, Slot, chart, columns, label, scale
from proxy.pages.markup import Html, moment, number, tag

_STEPS = 200  # points of a curve
_TICKS = 4
_MINUTE, _DAY = 60.0, 86_400.0
_BAR_WIDTH, _BAR_HEIGHT = 220.0, 14.0


def hours(counts: Sequence[int]) -> Html:
    """Draw exchanges by hour of the day."""
    slots = [
        Slot("" if hour % 3 else f"{hour:02}", f"{hour:02}:00 to {hour:02}:59: {count} exchanges", [(count, "bar")])
        for hour, count in enumerate(counts)
    ]
    return columns("All exchanges of its members by hour of the day, UTC", slots)


def joining(since: Sequence[float], last: float) -> Html:
    """Draw how many members there were at each time, up to `last`."""
    ordered = sorted(since)
    first = ordered[0] if ordered else last
    span = max(last - first, 1.0)
    high, wide = HEIGHT - FOOT - TOP, WIDTH - SIDE - 30
    points: list[str] = []
    before = 0
    for step in range(_STEPS + 1):
        count = bisect_right(ordered, first + span * step / _STEPS)
        x = number(SIDE + wide * step / _STEPS)
        points += [f"{x},{number(HEIGHT - FOOT - high * n / max(1, len(ordered)))}" for n in (before, count)]
        before = count
    body = [tag("title", "Members by the time of their first exchange, UTC"), *scale(len(ordered))]
    body.append(tag("polyline", points=" ".join(points), class_="curve"))
    pattern = "%H:%M:%S" if span < 10 * _MINUTE else "%H:%M" if span < 2 * _DAY else "%Y-%m-%d"
    ticks = [tick / _TICKS for tick in range(_TICKS + 1)]
    return chart([*body, *(label(SIDE + wide * tick, moment(first + span * tick, pattern)) for tick in ticks)])


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
