"""What a report says: the usual views, each under its title, over all exchanges of a time or those of one campaign."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from proxy.review.choosing import Choice, Question

if TYPE_CHECKING:
    from proxy.review.log import Log

_PARTS: Final = (
    ("Effects", "counts"),
    ("Effects over time", "over-time"),
    ("Top reasons", "top-reasons"),
    ("Rules, and what those in shadow would have done", "rules"),
    ("Quotas", "quotas"),
    ("Campaigns", "campaigns"),
    ("What reviewers withdrew", "false-positives"),
)


class Part(NamedTuple):
    """One view of the report."""

    title: str
    view: str
    names: tuple[str, ...]
    rows: list[tuple[Any, ...]]


def questions(choice: Choice, top: int) -> list[tuple[str, Question]]:
    """Return what a report asks, each with its title."""
    return [(title, Question(view, choice, top=top)) for title, view in _PARTS]


def parts(log: Log, choice: Choice, top: int) -> Iterator[Part]:
    """Ask a log that has the columns of all questions."""
    for title, question in questions(choice, top):
        names, rows = question.ask(log)
        yield Part(title, question.view, names, list(rows))
