"""Closes an exchange once, at its end: tells everything that counts, learns from or keeps a part of it."""

from __future__ import annotations

from proxy.deciding.course import Course, close, learn
from proxy.decision import Outcome
from proxy.decisions.ending import Ending
from proxy.steps.counting import count_ending
from proxy.steps.idempotency import Claims
from proxy.steps.parts import Parts


def closed(course: Course, parts: Parts, claims: Claims) -> Ending | None:
    """Settle an exchange and return what there is to record of it; None if that was done before. Does not await."""
    if not course.closed:
        learn(course)
    ending = close(course, parts.clock.monotonic())
    if ending is None:
        return None
    if course.claim is not None:
        claims.end(course.claim, answered=course.outcome is Outcome.ANSWERED)
    count_ending(parts.tally, ending)
    if parts.spans is not None:
        parts.spans.tell(ending)
    if parts.sampler is not None and parts.sampler.take(ending, course.heard):
        return ending._replace(sampled=True)
    return ending
