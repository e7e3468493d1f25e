"""Words a denial as the pack's author chose, and a decision as the record has it.

Law: a client learns neither rule nor rung; of limits it learns its own (see `limit_headers`), and what the author says
of the one that was reached.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from proxy.deciding.decider import Decision
from proxy.decision import ALLOWED, NO_SHADOW, Effect, Shadow, Verdict
from proxy.errors import LimitReached, ProxyError
from proxy.rules.engine import NO_JUDGEMENT
from proxy.rules.pack.units import window_text
from proxy.rules.quotas.reservation import Denial, limit_words

NO_LINKS: Final[Mapping[str, str]] = MappingProxyType({"docs_url": "", "appeal_url": ""})  # where there is no operator
# Where the window of a limit is longer, a client should not wait and retry but tell a person.
_RETRYABLE_MS = 3_600_000


def to_error(decision: Decision, exchange_id: str, links: Mapping[str, str]) -> ProxyError:
    """Return the client's error for a denial by a quota or a rung; `links` has values for docs_url and appeal_url."""
    if decision.denial is not None:
        return _limit_reached(decision.denial, exchange_id, links)
    if decision.rejection is None or decision.rung is None:
        raise RuntimeError("nothing was denied")
    rejection, client = decision.rejection, decision.rung.client
    if rejection.error is not None:
        return rejection.error
    words = {**links, "exchange_id": exchange_id, "verify_url": rejection.verify_url}
    message = rejection.message if client is None else client.message
    return LimitReached(
        message.format(measure="", window="", retry_after="", **words).strip(),
        status=rejection.status,
        code=rejection.code if client is None or client.code is None else client.code,
        # The official clients retry a 429 twice unless they are told not to.
        headers={"x-should-retry": "false"},
    )


def to_verdict(decision: Decision) -> Verdict:
    """Return a decision as the record has it."""
    judgement, denial = decision.judgement, decision.denial
    if decision.effect is Effect.ALLOW and judgement is NO_JUDGEMENT and not decision.shadow_denials:
        return ALLOWED
    denied_by = tuple(denied.quota.id for denied in decision.shadow_denials)
    enforced, shadow = judgement.enforced, judgement.shadow
    world = Shadow(shadow.rung, shadow.score, judgement.shadow_fired, denied_by)
    return Verdict(
        decision.effect,
        by=decision.by,
        reasons=judgement.reasons if denial is None else (_reason(denial), *judgement.reasons),
        rung=enforced.rung,
        score=enforced.score,
        actions=decision.applied,
        fired=judgement.fired,
        flags=tuple(flag.name for flag in enforced.flags),
        waiting=enforced.waiting,
        exempt=judgement.exempt,
        failed=judgement.failed,
        shadow=NO_SHADOW if world == NO_SHADOW else world,
        counted=enforced.counted,
        shadow_counted=shadow.counted,
    )


def refused(verdict: Verdict, error: ProxyError) -> Verdict:
    """Return the verdict on a request that is refused whatever the pack says: for a fault in it, or one of ours.

    What the pack said of it stays, if it was asked: who sends such requests on purpose is to be found.
    """
    reasons = (error.message, *verdict.reasons)
    return replace(verdict, effect=Effect.DENY, by="request", actions=(), reasons=reasons)


def _limit_reached(denial: Denial, exchange_id: str, links: Mapping[str, str]) -> LimitReached:
    """Return the error in the quota's words; its code is the pack's, or says whether a retry makes sense."""
    limit, refusal, client = denial.limit, denial.refusal, denial.quota.client
    never = refusal.retry_after < 0
    retry_after = None if never else max(1, math.ceil(refusal.retry_after))
    retryable = not never and limit.window_ms <= _RETRYABLE_MS
    words = client.message if limit.window_ms else client.message.replace(" per {window}", "")
    message = words.format(
        measure=limit.measure.replace("_", " "),
        window=window_text(limit.window_ms),
        retry_after="making the request smaller" if retry_after is None else f"{retry_after} s",
        exchange_id=exchange_id,
        **links,
    )
    return LimitReached(
        message.strip(),
        status=client.status,
        code=client.code or ("rate_limit_exceeded" if retryable else "insufficient_quota"),
        retry_after=retry_after,
        headers={} if retryable else {"x-should-retry": "false"},
    )


def _reason(denial: Denial) -> str:
    return f"{limit_words(denial.quota, denial.limit)}; {denial.refusal.remaining} left"
