"""How one accepted exchange goes: what was decided, reserved and used; settled and recorded exactly once at its end.

Laws: `close` does not await, so neither a client that leaves nor a shutdown can cut it short; a second call does
nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from proxy.deciding.answering import Answering
from proxy.deciding.decider import Decider
from proxy.decision import ALLOWED, Effect, Outcome, UsageSource, Verdict
from proxy.decisions.ending import Ending
from proxy.errors import ProxyError, UpstreamFailed, UpstreamTimeout
from proxy.exchange import BYTES_PER_TOKEN, Answered, Exchange, Progress, Usage
from proxy.rules.quotas.reservation import NO_PLAN, NOTHING, Amounts, Denial, Plan, Reservation
from proxy.samples.excerpt import Heard
from proxy.store.base import Claim

# Tokens a second that a model may have written before its client left with nothing; faster ones are charged too little.
_TOKENS_PER_SECOND = 100

_LEFT = 499  # the status, in the record only, of a client that left before it was answered


class Terms(NamedTuple):
    """What serving one model takes: the longest answer, and prices in picodollars a token."""

    max_output_tokens: int
    input_picodollars: int
    output_picodollars: int

    def cost_microusd(self, input_tokens: int, output_tokens: int) -> int:
        """Return what tokens cost in micro-dollars, rounded up so that nothing is free."""
        return -(-(input_tokens * self.input_picodollars + output_tokens * self.output_picodollars) // 1_000_000)


@dataclass(slots=True, eq=False)
class Course:
    """The state of one exchange between its acceptance and its terminal record; times are monotonic seconds."""

    exchange: Exchange
    decider: Decider  # the pack that decides about it, from beginning to end
    task: asyncio.Task[None]  # the connection's; cancelling it cancels the handler that it awaits
    began: float
    verdict: Verdict = ALLOWED
    outcome: Outcome = Outcome.FAILED
    status: int = 0
    code: str = ""
    reserved: Amounts | None = None
    unseen: Sequence[int] = NOTHING  # how much less is reserved than for the call as it was asked
    reservation: Reservation | None = None
    plan: Plan = NO_PLAN
    met: Denial | None = None  # the limit that refused
    idempotency_key: str = ""
    claim: Claim | None = None  # made under that key
    terms: Terms | None = None
    upstream: str = ""
    model: str = ""  # the model that was sent the call
    decided: float | None = None
    sent: float | None = None  # when the call went upstream
    head: float | None = None  # when the answer's head came
    progress: Progress = field(default_factory=Progress)
    deadline: float | None = None  # when the answer takes too long
    bytes_in: int = 0
    bytes_out: int = 0
    chunks: int = 0
    disclosed: bool = False  # whether the client is told that its answer was limited
    answering: Answering | None = None  # the actions that change the answer
    cut: ProxyError | None = None  # set when we end the exchange: a shutdown, a total timeout
    heard: Heard | None = None  # what a sample would keep of the answer
    closed: bool = False

    @property
    def rerouted(self) -> bool:
        """Whether another model answers than was asked for."""
        return self.exchange.call is not None and self.model != self.exchange.call.model

    def end_with(self, error: ProxyError) -> None:
        """End the exchange from outside its task; the client is told in its own dialect, in the stream if it began."""
        if self.cut is None and not self.closed:
            self.cut = error
            self.task.cancel()


def used_by(course: Course, now: float) -> tuple[Usage, UsageSource]:
    """Return the tokens to charge: the upstream's figure, or an estimate of what it has produced so far.

    An exchange that got an error in place of an answer is charged nothing.
    """
    left = course.outcome is Outcome.CLIENT_LEFT
    if course.sent is None or course.reserved is None or (course.status >= 400 and not left):
        return Usage(0, 0), UsageSource.NONE
    if course.progress.usage is not None:
        return course.progress.usage, UsageSource.UPSTREAM
    produced = -(-course.progress.output_bytes // BYTES_PER_TOKEN)
    if left and not produced:
        # It left before it got any text; only the upstream knows how much had been written.
        produced = int((now - course.sent) * _TOKENS_PER_SECOND)
    return Usage(course.reserved.input_tokens, min(produced, course.reserved.output_tokens)), UsageSource.ESTIMATE


def learn(course: Course) -> None:
    """Tell those who learn from answers how an exchange that was judged has ended; called before it is closed."""
    if course.decided is None and course.reserved is None:  # a rung refuses before anything is reserved
        return
    usage = course.progress.usage or Usage(0, 0)
    progress = course.progress
    answered = Answered(course.status, usage, refused=progress.refused, signatures=tuple(progress.signatures))
    course.decider.learn(course.exchange, answered)


def close(course: Course, now: float) -> Ending | None:
    """Settle what the exchange used and return what there is to record; None if that was done before.

    It counts as a request if it was sent upstream and its status is below 500.
    """
    if course.closed:
        return None
    course.closed = True
    usage, source = used_by(course, now)
    cost = course.terms.cost_microusd(usage.input, usage.output) if course.terms is not None else 0
    quotas_applied: tuple[str, ...] = ()
    reserved: dict[str, int] = {}
    settled: dict[str, int] = {}
    if course.reservation is not None:
        counts = course.sent is not None and course.status < 500
        used = Amounts.of(usage.input, usage.output, cost, requests=int(counts))
        course.decider.quotas.settle(course.reservation, used)
        plan = course.reservation.plan
        quotas_applied = plan.quotas
        reserved, settled = plan.by_unit(course.reservation.amounts), plan.by_unit(used)
    sent, head = course.sent, course.head
    return Ending(  # in the order of its fields: naming them takes twice as long
        course.exchange,
        course.verdict if course.answering is None else course.answering.told(course.verdict),
        course.outcome,
        course.status,
        course.decider.pack.digest,
        course.decider.pack.name,
        now - course.began,
        None if course.decided is None else course.decided - course.began,
        None if head is None or sent is None else head - sent,
        None if sent is None else now - sent,
        course.code,
        quotas_applied,
        reserved,
        settled,
        usage,
        source,
        cost,
        course.bytes_in,
        course.bytes_out,
        course.chunks,
        course.upstream,
        course.decider.read_fields(course.exchange),
        course.model,
        {} if course.answering is None else course.answering.helped,
        course.progress.model,
    )


def leave(course: Course) -> None:
    """Note that the client has gone; before anything was sent upstream that counts as a denial, by the client."""
    course.outcome = Outcome.CLIENT_LEFT
    course.status = course.status or _LEFT
    if course.sent is None:
        reasons = ("left before anything was sent", *course.verdict.reasons)
        course.verdict = replace(course.verdict, effect=Effect.DENY, by="client", actions=(), reasons=reasons)


def outcome_of(error: ProxyError, course: Course) -> Outcome:
    """Return the outcome of an exchange that ended with `error`."""
    if course.sent is None:
        return Outcome.REFUSED if error.status < 500 or course.cut is None else Outcome.SHUTDOWN
    if course.cut is error and not isinstance(error, UpstreamFailed):
        return Outcome.SHUTDOWN
    if isinstance(error, UpstreamTimeout):
        return Outcome.UPSTREAM_TIMEOUT
    if course.head is None:
        return Outcome.UPSTREAM_UNREACHABLE
    if error.code in ("upstream_truncated", "upstream_reset"):
        return Outcome.UPSTREAM_TRUNCATED
    return Outcome.FAILED if type(error) is ProxyError else Outcome.UPSTREAM_ERROR
