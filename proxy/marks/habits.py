"""Reads from a text which habits of style it shows; needs no key.

Laws: code does not count. A habit counts once in each text, as the text mostly has it, and once in all texts together:
without the key each is a fair coin, whatever an author's habits are, so that what holds for places holds for habits too
(`proxy.marks.chance`).
"""

from __future__ import annotations

import re
from functools import cache

from proxy.marks.place import Place
from proxy.marks.style import HABITS, row

_FENCED = re.compile(r"^[ \t]*(```|~~~)[^\n]*$.*?(?:^[ \t]*\1|\Z)", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`[^`\n]*`")


def read(text: str) -> list[Place]:
    """Return the habits that a text shows, each as a place without a context."""
    prose = _SPAN.sub("code", _FENCED.sub("", text))
    shown = []
    for name, ways in _expressions().items():
        first, second = (sum(1 for _ in way.finditer(prose)) for way in ways)
        if first != second:
            shown.append(Place(row(name), "", int(second > first), 2))
    return shown


@cache
def _expressions() -> dict[str, tuple[re.Pattern[str], re.Pattern[str]]]:
    """Return the expressions of every habit, compiled at their first use."""
    return {
        name: (re.compile(habit.seen[0], re.MULTILINE), re.compile(habit.seen[1], re.MULTILINE))
        for name, habit in HABITS.items()
    }
