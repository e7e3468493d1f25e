"""Puts a quota's denial into the words that the pack's author chose, with headers that are true."""

from __future__ import annotations

import math
from collections.abc import Mapping

from proxy.dialects.base import Dialect
from proxy.errors import LimitReached
from proxy.rules.pack import Measure
from proxy.rules.quotas import Denial
from proxy.rules.units import window_text

# Beyond this a client had better not wait for its turn but tell a person.
_RETRYABLE_MS = 3_600_000


def to_error(denial: Denial, dialect: Dialect, exchange_id: str, now: float, links: Mapping[str, str]) -> LimitReached:
    """Return the client's error. `now` is wall time in seconds, `links` are the values of docs_url and appeal_url.

    The code is the pack's, or says whether a retry makes sense: `rate_limit_exceeded` or `insufficient_quota`.
    """
    limit, refusal, client = denial.limit, denial.refusal, denial.quota.client
    never = refusal.retry_after < 0
    retry_after = None if never else max(1, math.ceil(refusal.retry_after))
    retryable = not never and limit.window_ms <= _RETRYABLE_MS
    message = client.message.format(
        measure=limit.measure.replace("_", " "),
        window=window_text(limit.window_ms),
        retry_after="a smaller request" if retry_after is None else f"{retry_after} s",
        exchange_id=exchange_id,
        **links,
    )
    headers = dialect.limit_headers(limit.measure, limit.max, refusal.remaining, max(0.0, refusal.reset), now)
    if not retryable:
        # The official clients retry a 429 twice unless they are told not to.
        headers["x-should-retry"] = "false"
    return LimitReached(
        message,
        status=client.status,
        code=client.code or ("rate_limit_exceeded" if retryable else "insufficient_quota"),
        retry_after=retry_after,
        headers=headers,
    )


def reason(denial: Denial) -> str:
    """Return the sentence for the decision record."""
    limit = denial.limit
    per = "at once" if limit.measure is Measure.CONCURRENCY else f"per {window_text(limit.window_ms)}"
    return f"{limit.measure} over {limit.max} {per} for this {denial.quota.per}; {denial.refusal.remaining} left"
