"""Judges one recorded exchange again by the pack that judged it, and explains it; or says why that cannot be done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from proxy.decisions.logged import Logged
from proxy.errors import StillgateError
from proxy.fields import Fields, FieldTable
from proxy.hindsight.live_flags import live_flags
from proxy.hindsight.recorded_world import RecordedFlags, RecordedSignals, exchange_at, fields_at, unknown_then
from proxy.rules.engine import Engine, Judgement
from proxy.rules.explain import Explanation, explain
from proxy.rules.flags import Flag
from proxy.rules.pack import Mode, Pack

_PEOPLE: Final = (("one",), ("one", "two"))


class NotReproducible(StillgateError):
    """What the record leaves out, without which the pack cannot be asked again."""


class Difference(NamedTuple):
    """What the record says and what the pack says now do not agree on."""

    what: str
    recorded: tuple[str, ...]
    now: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Again:
    """A recorded exchange that was judged again; `fields` are those it was judged by, signals included.

    `differences` are empty if the same rules fire in both worlds and fail. `notes` say what the record leaves open.
    """

    explanation: Explanation
    judgement: Judgement
    fields: Mapping[str, Any]
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]


def check_reproducible(logged: Logged) -> None:
    """Raise NotReproducible for a record of which no pack can be asked again."""
    if not logged.judged:
        if logged.by:
            raise NotReproducible(f"it was denied by the {logged.by}, not by the pack: {'; '.join(logged.reasons)}")
        raise NotReproducible("no pack was asked about it: it was answered by the proxy itself")
    if logged.cut:
        raise NotReproducible("its record was too long: the fields that the pack read were cut from it")


def judge_again(pack: Pack, table: FieldTable, logged: Logged, max_mode: Mode) -> Again:
    """Judge it by the pack of its record. Raises NotReproducible.

    `max_mode` is what the settings say now; if only another one leads to what was recorded, that is taken and noted.
    """
    check_reproducible(logged)
    try:
        fields = fields_at(logged, table)
    except ValueError as wrong:
        raise NotReproducible(str(wrong)) from None
    again = _Attempt(pack, table, logged, fields, max_mode).judge()
    other = Mode.SHADOW if max_mode is Mode.ENFORCE else Mode.ENFORCE
    if again.differences and logged.shadow.fired:  # else any weaker mode would fit
        then = _Attempt(pack, table, logged, fields, other).judge()
        if not then.differences:
            note = f"max_mode was {other} then; with {max_mode}, as the settings say now, it would come out otherwise"
            return replace(then, notes=(*then.notes, note))
    return again


class _Attempt:
    """One engine, put where it stood."""

    def __init__(self, pack: Pack, table: FieldTable, logged: Logged, fields: Fields, max_mode: Mode) -> None:
        self._pack = pack
        self._logged = logged
        self._fields = fields
        self._max_mode = max_mode
        self._flags = RecordedFlags()
        signals = RecordedSignals(pack)
        signals.recorded = logged.fields
        self._engine = Engine(pack, table, signals, self._flags, max_mode)

    def judge(self) -> Again:
        """Judge it with the flags of that moment, and compare."""
        pack, logged = self._pack, self._logged
        unknown = unknown_then(pack, logged, self._fields, self._max_mode)
        raised, _ = self._stand((), unknown)
        names = {rule.id: rule.flag.name for rule in pack.rules}
        found = live_flags(pack, logged, [names[rule] for rule in raised.shadow_fired])
        judgement, fields = self._stand(found.flags, unknown)
        notes = list(found.notes)
        for people in _PEOPLE:
            if _where(judgement) == (logged.rung, logged.waiting):
                break
            confirmed = [flag._replace(confirmed_by=people) for flag in found.flags]
            other, _ = self._stand(confirmed, unknown)
            if _where(other) == (logged.rung, logged.waiting):
                judgement = other
                notes.append(f"its flags count as confirmed by {len(people)}, which the record does not say itself")
        if unknown:
            notes.append(f"not known then, since a detector failed: {', '.join(sorted(unknown))}")
        notes += _open(logged, judgement)
        explanation = explain(pack, fields, judgement, logged.decided, unknown=unknown, max_mode=self._max_mode)
        return Again(explanation, judgement, fields, tuple(_differences(logged, judgement)), tuple(notes))

    def _stand(self, live: Sequence[Flag], unknown: frozenset[str]) -> tuple[Judgement, Fields]:
        self._flags.stand(live)
        exchange = exchange_at(self._logged, dict(self._fields), unknown)
        return self._engine.judge(exchange, self._logged.decided), exchange.fields


def _where(judgement: Judgement) -> tuple[str, tuple[str, ...]]:
    return judgement.enforced.rung, judgement.enforced.waiting


def _differences(logged: Logged, judgement: Judgement) -> Iterator[Difference]:
    for what, recorded, now in (
        ("fired", logged.fired, judgement.fired),
        ("fired with those in shadow", logged.shadow.fired, judgement.shadow_fired),
        ("failed", logged.failed, judgement.failed),
    ):
        if recorded != now:
            yield Difference(what, recorded, now)


def _open(logged: Logged, judgement: Judgement) -> Iterator[str]:
    """Yield what has to be said about where it stood."""
    enforced, shadow = judgement.enforced, judgement.shadow
    if enforced.score != logged.score:
        yield f"the score in the record is {logged.score}, and what is known of its flags comes to {enforced.score}"
    if enforced.rung != logged.rung:
        yield f"the rung in the record is {logged.rung or 'none'}, and not {enforced.rung or 'none'}"
    if shadow.score != logged.shadow.score:
        yield (
            f"the score with rules in shadow is {logged.shadow.score} in the record and {shadow.score} here: "
            "flags that they raised before are not in the record"
        )
    if logged.shortened:
        yield f"texts in the record may be shortened or cleaned: {', '.join(logged.shortened)}"
