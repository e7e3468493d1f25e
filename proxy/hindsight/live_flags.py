"""Which flags were live at a recorded exchange, with their scores: the record has names and the sum alone.

A score is that of a rule or campaign of the pack that raises a flag of that name; where several do, the sum decides;
where none does, it is what is missing from the sum.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from proxy.decisions.logged import Logged
from proxy.rules.flags import Flag
from proxy.rules.pack import Pack

_MOST_WAYS: Final = 10_000
_LIFE_S: Final = 60.0  # past the moment that is looked at


class LiveFlags(NamedTuple):
    """The flags of one moment, and what has to be said about how they are known."""

    flags: tuple[Flag, ...]
    notes: tuple[str, ...]


def live_flags(pack: Pack, logged: Logged, raised: Sequence[str]) -> LiveFlags:
    """Return the flags that were live; `raised` names those that the exchange raised itself, which need no guess."""
    scores = _scores(pack)
    unknown = [name for name in logged.flags if name not in scores]
    notes = []
    fitting = list(_fitting(logged, scores, unknown))
    found = fitting[0] if fitting else {name: max(scores[name]) for name in logged.flags if name in scores}
    named = [name for name in logged.flags if name in scores and name not in raised]
    if named:
        notes.append(f"live before, by name in the record; scores are those of the pack's rules: {_listed(named)}")
    if not fitting and logged.flags:
        notes.append(f"the scores of its flags do not add up to the recorded {logged.score}: some were others then")
    if fitting and unknown:
        notes.append(f"no rule of the pack raises {unknown[0]}: its score is what is missing from the recorded sum")
    elif unknown:
        notes.append(f"no rule of the pack raises {_listed(unknown)}: their scores are not known, and not counted")
    if len(fitting) > 1:
        notes.append("several rules raise its flags with other scores: which of them did is not in the record")
    flags = [
        Flag(name, score, logged.decided, logged.decided + _LIFE_S, "", "live before") for name, score in found.items()
    ]
    return LiveFlags(tuple(flags), tuple(notes))


def _scores(pack: Pack) -> dict[str, list[int]]:
    scores: dict[str, list[int]] = {}
    for spec in (*(rule.flag for rule in pack.rules), *(campaign.flag for campaign in pack.campaigns)):
        if spec.score not in scores.setdefault(spec.name, []):
            scores[spec.name].append(spec.score)
    return scores


def _fitting(logged: Logged, scores: Mapping[str, Sequence[int]], unknown: Sequence[str]) -> Iterator[dict[str, int]]:
    """Yield the ways in which the flags come to the recorded sum in the recorded order, the highest score first."""
    if len(unknown) > 1:
        return
    known = [name for name in logged.flags if name in scores]
    ways = itertools.product(*(sorted(scores[name], reverse=True) for name in known))
    for way in itertools.islice(ways, _MOST_WAYS):
        found = dict(zip(known, way, strict=True))
        rest = logged.score - sum(way)
        if unknown and rest > 0:
            found[unknown[0]] = rest
        elif unknown or rest:
            continue
        ordered = sorted(found, key=lambda name: (-found[name], name))
        if ordered == list(logged.flags):
            yield found


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
