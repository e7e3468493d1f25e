"""Draws who hangs together: the groups on a circle, a dot for an account, lines where groups share something else.

Law: nothing is drawn by chance, so two pages of one finding can be laid over each other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from proxy.campaign_page.groups import Group, Groups, what
from proxy.pages.markup import Html, joined, number, short, tag

DOTS_MOST = 400
_DOT = 4.0  # radius
_STEP = 5.6  # how far apart dots stand
_GOLDEN = math.pi * (3 - math.sqrt(5))  # turning by it fills a disc evenly (Vogel 1979)
_LEAST_CIRCLE = 110.0
_WIDEST = 760.0
_GAP = 16.0
_LABEL = 13.0  # from a group's edge to the middle of its number
_KINDS = 5  # colours of groups, by kind


class _Spot(NamedTuple):
    x: float
    y: float
    radius: float
    angle: float


def accounts_of_dot(accounts: int) -> int:
    """Return how many accounts one dot stands for."""
    return max(1, -(-accounts // DOTS_MOST))


def draw(groups: Groups, label: str) -> Html:
    """Return the drawing of all groups; those that share nothing of the kind, and the rest, come last."""
    every = [entry for entry in (*groups.groups, groups.loose, groups.rest) if entry.accounts]
    step = accounts_of_dot(sum(len(entry.accounts) for entry in every))
    spots = _circle([max(1, -(-len(entry.accounts) // step)) for entry in every])
    kinds = list(dict.fromkeys(entry.link[0] for entry in groups.groups if entry.link))
    body = [tag("title", label), *_lines(groups, spots)]
    for place, (entry, spot) in enumerate(zip(every, spots, strict=True)):
        colour = f"k{kinds.index(entry.link[0]) % _KINDS}" if entry.link else "none"
        body.append(_disc(entry, spot, step, colour, str(place + 1) if entry.link else ""))
    left, top, wide, high = _box(spots)
    box = " ".join(map(number, (left, top, wide, high)))
    part = min(1.0, _WIDEST / wide)
    return tag(
        "svg", *body, viewBox=box, width=number(wide * part), height=number(high * part), role="img", class_="graph"
    )


def _circle(dots: Sequence[int]) -> list[_Spot]:
    """Place groups of so many dots around a circle, each with room of its own, beginning at the top."""
    radii = [_STEP * math.sqrt(count) + _DOT + 3 for count in dots]
    if len(radii) == 1:
        return [_Spot(0.0, 0.0, radii[0], -math.pi / 2)]
    widths = [2 * radius + _GAP for radius in radii]
    circle = max(_LEAST_CIRCLE, 1.05 * sum(widths) / (2 * math.pi), max(radii, default=0.0) * 1.2)
    spots, turned = [], -math.pi / 2 - (math.pi * widths[0] / sum(widths) if widths else 0.0)
    for radius, width in zip(radii, widths, strict=True):
        half = math.pi * width / sum(widths)
        turned += half
        spots.append(_Spot(circle * math.cos(turned), circle * math.sin(turned), radius, turned))
        turned += half
    return spots


def _box(spots: Sequence[_Spot]) -> tuple[float, float, float, float]:
    """Return the left and upper edge of what is drawn, its width and its height."""
    far = [spot.radius + 2 * _LABEL for spot in spots]
    left = min((spot.x - edge for spot, edge in zip(spots, far, strict=True)), default=0.0)
    top = min((spot.y - edge for spot, edge in zip(spots, far, strict=True)), default=0.0)
    right = max((spot.x + edge for spot, edge in zip(spots, far, strict=True)), default=1.0)
    bottom = max((spot.y + edge for spot, edge in zip(spots, far, strict=True)), default=1.0)
    return left, top, right - left, bottom - top


def _lines(groups: Groups, spots: Sequence[_Spot]) -> Iterator[Html]:
    for tie in groups.ties:
        one, other = spots[tie.first], spots[tie.second]
        said = f"groups {tie.first + 1} and {tie.second + 1} share: {what(tie.kind)} ({tie.values})"
        path = (
            f"M{number(one.x)} {number(one.y)}Q{number((one.x + other.x) / 5)} {number((one.y + other.y) / 5)} "
            f"{number(other.x)} {number(other.y)}"
        )
        yield tag(
            "path", tag("title", said), d=path, class_="tie", stroke_width=number(min(5.0, 1 + math.log2(tie.values)))
        )


def _disc(entry: Group, spot: _Spot, step: int, colour: str, mark: str) -> Html:
    title = f"group {mark}, {what(entry.link[0])} {entry.link[1]}" if entry.link else "accounts of no group drawn here"
    dots = []
    for place, account in enumerate(entry.accounts[::step]):
        away, turned = _STEP * math.sqrt(place + 0.5), place * _GOLDEN
        x, y = spot.x + away * math.cos(turned), spot.y + away * math.sin(turned)
        told = [tag("title", short(account))] if step == 1 else []
        dots.append(tag("circle", *told, cx=number(x), cy=number(y), r=number(_DOT)))
    far = spot.radius + _LABEL
    at = {"x": number(spot.x + far * math.cos(spot.angle)), "y": number(spot.y + far * math.sin(spot.angle))}
    return tag(
        "g",
        tag(
            "circle",
            tag("title", f"{title}: {len(entry.accounts)} accounts"),
            cx=number(spot.x),
            cy=number(spot.y),
            r=number(spot.radius),
            class_="disc",
        ),
        joined(dots),
        tag("text", mark, **at, text_anchor="middle", dominant_baseline="central"),
        class_=colour,
    )
