"""Judges one recorded exchange again by the pack that judged it, and explains it; or says why that cannot be done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Final, NamedTuple

from proxy.decision import Counted, Effect
from proxy.decisions.line import TEXT_CHARS, printable
from proxy.decisions.logged import Logged
from proxy.errors import StillgateError
from proxy.fields import Fields, FieldTable
from proxy.hindsight.effect_again import EffectAgain, effect_again
from proxy.hindsight.recorded_world import RecordedFlags, RecordedSignals, exchange_at, fields_at, unknown_then
from proxy.hindsight.untold import told
from proxy.rules.engine import Engine, Judgement
from proxy.rules.explain import Explanation, explain
from proxy.rules.pack.pack import Pack
from proxy.rules.pack.words import Mode

_MODES: Final = (Mode.ENFORCE, Mode.SHADOW)  # OFF would explain any record in which nothing fired
_STAMP_S: Final = 0.002  # a record's times are cut to milliseconds


class NotReproducible(StillgateError):
    """The record lacks something without which the pack cannot be asked again."""


class Difference(NamedTuple):
    """Something on which the record and the pack's judgement now disagree."""

    what: str
    recorded: tuple[str, ...]
    now: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Again:
    """A recorded exchange that was judged again; `fields` are those it was judged by, signals included.

    `differences` are empty if all comes out as recorded: rules, flags, score, rung and reasons in both worlds, effect,
    what decided, and the actions. `notes` say what was taken from the record for that.
    """

    explanation: Explanation
    judgement: Judgement
    done: EffectAgain
    fields: Mapping[str, Any]
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]


def check_reproducible(logged: Logged) -> None:
    """Raise NotReproducible for a record about which no pack can be asked again."""
    if not logged.judged:
        if logged.by:
            raise NotReproducible(f"it was denied by the {logged.by}, not by the pack: {'; '.join(logged.reasons)}")
        raise NotReproducible("no pack was asked about it: it was answered by the proxy itself")
    if logged.cut:
        raise NotReproducible("its record was too long: the fields that the pack read were cut from it")


def judge_again(pack: Pack, table: FieldTable, logged: Logged, max_mode: Mode) -> Again:
    """Judge it by the pack of its record. Raises NotReproducible.

    `max_mode` is what the settings say now; if only another one gives what was recorded, that one is taken and noted.
    The same goes for another time of the decision, if something in the pack expired about then.
    """
    check_reproducible(logged)
    try:
        fields = fields_at(logged, table)
    except ValueError as wrong:
        raise NotReproducible(str(wrong)) from None
    modes = (max_mode, *(mode for mode in _MODES if mode is not max_mode))
    likely, *others = product(modes, _moments(pack, logged))
    first = _judge(pack, table, logged, fields, *likely)
    if not first.differences:
        return first
    for mode, moment in others:
        again = _judge(pack, table, logged, fields, mode, moment)
        if not again.differences:
            return replace(again, notes=(*again.notes, *_other(mode, max_mode, moment, logged)))
    return first


def _moments(pack: Pack, logged: Logged) -> tuple[float, ...]:
    """Return when it may have been judged: the record says when it was accepted and when it was decided."""
    earliest, latest = logged.time, logged.decided + _STAMP_S
    ends = [rule.expires for rule in pack.rules if rule.expires is not None]
    ends += [exemption.expires for exemption in pack.exemptions]
    between = any(earliest < end <= latest for end in ends)
    return (logged.decided, earliest, latest) if between else (logged.decided,)


def _other(mode: Mode, max_mode: Mode, moment: float, logged: Logged) -> Iterator[str]:
    if mode is not max_mode:
        yield f"max_mode was {mode} then; with {max_mode}, as the settings say now, the outcome would differ"
    if moment != logged.decided:
        yield "something in its pack expired while it was decided: this is the outcome just before or after that"


def _judge(pack: Pack, table: FieldTable, logged: Logged, fields: Fields, max_mode: Mode, moment: float) -> Again:
    """Let an engine that stands where one stood then judge it, and compare."""
    known = told(pack, table, logged)
    flags, signals = RecordedFlags(), RecordedSignals(pack)
    flags.stand(logged)
    signals.recorded = logged.fields
    unknown = unknown_then(known.pack, logged, fields, max_mode) | known.missing
    exchange = exchange_at(logged, dict(fields), unknown)
    judgement = Engine(known.pack, table, signals, flags, max_mode).judge(exchange, moment)
    done = effect_again(pack, judgement.enforced.rungs, logged)
    explained = explain(
        known.pack,
        exchange.fields,
        judgement,
        moment,
        unknown=unknown,
        max_mode=max_mode,
        ties=exchange.ties,
        shadow_ties=exchange.shadow_ties,
    )
    notes = [*known.notes(logged), *done.notes]
    if unknown:
        notes.append(f"not known then, since a detector failed: {', '.join(sorted(unknown))}")
    if flags.held_back:
        notes.append(f"raised by it, but lifted in that moment: {', '.join(sorted(flags.held_back))}")
    differences = tuple(_differences(logged, judgement, done))
    return Again(known.explained(explained, pack), judgement, done, exchange.fields, differences, tuple(notes))


def _differences(logged: Logged, judgement: Judgement, done: EffectAgain) -> Iterator[Difference]:
    enforced, shadow = judgement.enforced, judgement.shadow
    flags = tuple(flag.name for flag in enforced.flags)
    for what, recorded, now in (
        ("fired", logged.fired, judgement.fired),
        ("fired with those in shadow", logged.shadow.fired, judgement.shadow_fired),
        ("failed", logged.failed, judgement.failed),
        ("exempt", logged.exempt, judgement.exempt),
        ("flags", logged.flags, flags),
        ("what they count", _shown(logged.counted), _shown(enforced.counted)),
        ("score", (str(logged.score),), (str(enforced.score),)),
        ("rung", _named(logged.rung), _named(enforced.rung)),
        ("waiting", logged.waiting, enforced.waiting),
        ("what flags count with rules in shadow", _shown(logged.shadow_counted), _shown(shadow.counted)),
        ("score with rules in shadow", (str(logged.shadow.score),), (str(shadow.score),)),
        ("rung with rules in shadow", _named(logged.shadow.rung), _named(shadow.rung)),
        ("denied with quotas in shadow", logged.shadow.denied_by, done.shadow_denied_by),
    ):
        if recorded != now:
            yield Difference(what, recorded, now)
    why_first = logged.overruled or (done.effect is Effect.DENY and not done.actions)
    others = logged.reasons[1:] if why_first else logged.reasons
    reasons = tuple(map(_written, judgement.reasons))
    if tuple(map(_written, others)) != reasons:
        yield Difference("reasons", others, reasons)
    if logged.overruled:
        return
    for what, recorded, now in (
        ("effect", (str(logged.effect),), (str(done.effect),)),
        ("by", _named(logged.by), _named(done.by)),
        ("actions", logged.actions, done.actions),
    ):
        if recorded != now:
            yield Difference(what, recorded, now)


def _shown(counts: Counted) -> tuple[str, ...]:
    return tuple(f"{name} {score}, confirmed by {people}" for name, (score, people) in counts.items())


def _named(name: str) -> tuple[str, ...]:
    return (name,) if name else ()


def _written(reason: str) -> str:
    """Return a sentence as a record holds it at least."""
    return printable(reason[:TEXT_CHARS])
