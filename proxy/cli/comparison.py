"""How a comparison of two packs over a log is printed, and what it leaves open."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from proxy.hindsight.comparing import Compared
from proxy.rules.flags.flag import World
from proxy.rules.pack.pack import Pack
from proxy.rules.pack.words import Approval

_ALWAYS_OPEN = (
    "flags are those that rules raise within the log: none from before it, none of the hunter, none lifted by people",
    "quotas are not asked",
    "callers are assumed to send the same, whatever they are answered",
)


def comparison_lines(found: Compared, old: Pack, new: Pack) -> Iterator[str]:
    """Yield the lines for people."""
    yield (
        f"log: {_count(found.exchanges, 'exchange')}: {found.different} fire other rules, {found.same} the same, "
        f"{found.unknown.total()} unknown, {found.not_judged} not judged by a pack"
    )
    for why, count in sorted(found.unknown.items()):
        yield f"  unknown: {why}: {_count(count, 'exchange')}"
    enforced = {(rule, starts, stops) for rule, world, starts, stops in found.rules if world is World.ENFORCED}
    for rule, world, starts, stops in found.rules:
        if world is World.SHADOW and (rule, starts, stops) in enforced:
            continue  # what is enforced counts there too
        there = "" if world is World.ENFORCED else " with rules in shadow"
        yield f"  {rule}: fires{there} in {starts} more and {stops} fewer"
    for name, count in sorted(found.untold.items()):
        yield f"  {name}: cannot be told in {_count(count, 'exchange')}, and is left out of both packs there"
    moved = sum(move.accounts for move in found.moves)
    yield f"log: {_count(found.accounts, 'account')}: {moved} reach another rung, {found.uncertain} uncertain"
    for before, after, count in found.moves:
        yield f"  {before or 'none'} -> {after or 'none'}: {_count(count, 'account')}"
    for note in _open_questions(found, old, new):
        yield f"note: {note}"


def comparison_document(found: Compared, old: Pack, new: Pack, unread: list[str]) -> dict[str, Any]:
    """Return the same for programs; `unread` is what could not be read of the log."""
    return {
        "exchanges": found.exchanges,
        "different": found.different,
        "same": found.same,
        "unknown": found.unknown.total(),
        "unknown_because": dict(found.unknown),
        "not_judged": found.not_judged,
        "rules": [change._asdict() for change in found.rules],
        "untold": dict(found.untold),
        "accounts": found.accounts,
        "moves": [move._asdict() for move in found.moves],
        "uncertain": found.uncertain,
        "unlike": found.unlike,
        "notes": [*unread, *_open_questions(found, old, new)],
    }


def _open_questions(found: Compared, old: Pack, new: Pack) -> Iterator[str]:
    """Yield what the comparison cannot know."""
    yield from _ALWAYS_OPEN
    if any(rung.approval is not Approval.NONE for pack in (old, new) for rung in pack.ladder):
        yield "nobody has confirmed a flag: rungs that ask for an approval are not reached"
    if len(found.epochs) > 1:
        yield f"pseudonyms change with the month: an account counts once in each of {len(found.epochs)}"
    if found.unlike:
        yield (
            f"in {_count(found.unlike, 'exchange')} the pack that was in force does not say what it said then: "
            "the program or max_mode was another"
        )
    if found.forgotten:
        yield f"{_count(found.forgotten, 'live flag')} had to be let go, so some accounts may stand higher"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
