"""What a pack does to a recorded exchange, given the rungs that it stands on: effect, what decides, and the actions.

Laws:
- What cannot be worked out from a record is taken from it: what an action found to change (a record has no call and no
  answer), and what was left of a quota (which was in the store).
- All else follows from the pack, so that a record which says otherwise shows as different.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from proxy.actions.reject import Reject
from proxy.decision import Effect
from proxy.decisions.logged import Logged
from proxy.rules.pack.pack import Limit, Pack, Quota, Rung
from proxy.rules.pack.words import Mode
from proxy.rules.quotas.reservation import limit_words


class EffectAgain(NamedTuple):
    """What is done, by which quota or rung, and what was taken from the record for that."""

    effect: Effect
    by: str
    actions: tuple[str, ...]
    shadow_denied_by: tuple[str, ...]
    notes: tuple[str, ...] = ()


def effect_again(pack: Pack, rungs: Sequence[Rung], logged: Logged) -> EffectAgain:
    """Return what is done to an exchange that stands on these rungs, lowest first."""
    shadow = tuple(each.id for each in pack.quotas if each.mode is Mode.SHADOW and each.id in logged.shadow.denied_by)
    if (refusing := _refusing(rungs, logged)) is not None:
        return EffectAgain(Effect.DENY, *refusing, shadow)
    if (refused := _limit(pack, logged)) is not None:
        quota, limit = refused
        note = f"what was left of quota {quota.id} is taken from the record: {limit.measure} was counted in the store"
        return EffectAgain(Effect.DENY, quota.id, (), shadow, (note,))
    acts = tuple(dict.fromkeys(kind.name for rung in rungs for kind in rung.do))
    if not acts:
        return EffectAgain(Effect.ALLOW, "", (), shadow)
    note = f"what {', '.join(acts)} changed is taken from the record, which holds no calls and answers"
    done = tuple(name for name in logged.actions if name in acts)
    acted = [rung.name for rung in rungs if any(kind.name in done for kind in rung.do)]
    if not acted or logged.effect is Effect.ALLOW:
        return EffectAgain(Effect.ALLOW, "", done, shadow, (note,))
    return EffectAgain(Effect.DEGRADE, logged.by if logged.by in acted else acted[-1], done, shadow, (note,))


def _refusing(rungs: Sequence[Rung], logged: Logged) -> tuple[str, tuple[str, ...]] | None:
    """Return the rung and the action that refuse: the first that always does, or that did then."""
    for rung in rungs:
        for kind in rung.do:
            did = (logged.effect, logged.by, logged.actions) == (Effect.DENY, rung.name, (kind.name,))
            if did or isinstance(kind, Reject):
                return rung.name, (kind.name,)
    return None


def _limit(pack: Pack, logged: Logged) -> tuple[Quota, Limit] | None:
    """Return the limit that refused, if it is one of the pack's that could."""
    if logged.effect is not Effect.DENY or not logged.reasons:
        return None
    found: Iterator[tuple[Quota, Limit]] = (
        (quota, limit)
        for quota in pack.quotas
        if quota.id == logged.by and quota.mode is Mode.ENFORCE
        for limit in quota.limits
        if logged.reasons[0].startswith(f"{limit_words(quota, limit)}; ")
    )
    return next(found, None)
