"""The way of a request, one call a step: route, authenticate, read, reserve, send, relay, settle, record.

Laws:
- Nothing goes upstream before an exchange is allowed; what was judged is what is sent, the client's bytes never are.
- Every accepted exchange is closed once, however it ends; a denial is recorded before it is answered.
"""

from __future__ import annotations

import asyncio

from aiohttp.web_request import BaseRequest

from proxy.clients.answers import Answer, AnswerWriter, Reply
from proxy.clients.connection import Connection
from proxy.clients.framing import check_framing
from proxy.clients.peer import client_address
from proxy.deciding.answering import Answering
from proxy.deciding.course import Course, leave, outcome_of
from proxy.deciding.decider import Decider, Decision
from proxy.decision import Effect, Outcome
from proxy.decisions.writer import LogUnavailable
from proxy.dialects.base import Dialect
from proxy.errors import (
    BadRequest,
    NotFound,
    ProxyError,
    StoreUnavailable,
    Unavailable,
    UpstreamTimeout,
    forget_origin,
)
from proxy.exchange import Call, Exchange, Principal
from proxy.log import get
from proxy.rules.quotas.reservation import NOTHING, Amounts
from proxy.steps.admission import Admission
from proxy.steps.closing import closed
from proxy.steps.counting import count_decision, count_refusal
from proxy.steps.idempotency import Claims, key_of
from proxy.steps.intake import Intake, Reader
from proxy.steps.limit_headers import LimitHeaders
from proxy.steps.parts import Parts
from proxy.steps.refusal import refused, to_error, to_verdict
from proxy.steps.relay import Relay
from proxy.steps.routing import check_route
from proxy.steps.sending import send
from proxy.telemetry.metrics import Refusal

_CLIENT_ID_CHARS = 128
_WATCH_S = 1.0


class Gateway:
    """Handles the requests of one process."""

    def __init__(self, parts: Parts, reader: Reader, claims: Claims, decider: Decider) -> None:
        self._parts = parts
        self._claims = claims
        self._decider = decider
        self._reader = reader
        self._answers = AnswerWriter(parts.clock)
        self._limits = LimitHeaders(parts.clock)
        self._logger = get("gateway")
        self._courses: set[Course] = set()
        self._admission = Admission(parts)

    def __len__(self) -> int:
        return len(self._courses)

    async def handle(self, request: BaseRequest) -> Reply:
        """Answer one request. The only other way out is cancellation: the client has left."""
        parts = self._parts
        exchange_id = parts.new_id()
        path = request.raw_path.partition("?")[0]
        known = parts.dialects.get(path)
        # Chosen before the framing is checked: an error there is answered in the dialect of a known path as well.
        dialect = known or (parts.anthropic if "anthropic-version" in request.headers else parts.openai)
        try:
            check_framing(request, parts.hosts)
            check_route(request.method, path, known)
            principal = await self._admission.admit(request, dialect, len(self._courses))
        except ProxyError as error:
            count_refusal(parts.tally, error)
            return Relay(self._answers, self._limits, request, dialect, exchange_id).fail(error)
        course = self._accept(request, dialect, exchange_id, principal)
        self._courses.add(course)
        try:
            return await self._conduct(request, dialect, course, lists_models=known is None)
        finally:
            self._courses.discard(course)
            self._reader.release(principal.account, course.bytes_in)
            if (ending := closed(course, parts, self._claims)) is not None:
                parts.afterwards.add(ending, course.decider)

    def _accept(self, request: BaseRequest, dialect: Dialect, exchange_id: str, principal: Principal) -> Course:
        now = self._parts.clock.monotonic()
        peer, connection = "", request.protocol
        if isinstance(connection, Connection):
            peer, connection.tenant = connection.peer, principal.tenant
        exchange = Exchange(
            id=exchange_id,
            dialect=dialect.name,
            peer=client_address(request.headers, peer, self._parts.trusted_hops),
            user_agent=request.headers.get("User-Agent", ""),
            client_request_id=request.headers.get("X-Request-Id", "")[:_CLIENT_ID_CHARS],
            started=self._parts.clock.wall(),
            principal=principal,
            trace=self._parts.tracing.begin(
                request.headers.getall("traceparent", ()), request.headers.getall("tracestate", ())
            ),
        )
        return Course(exchange, self._decider, request.task, now)

    async def _conduct(self, request: BaseRequest, dialect: Dialect, course: Course, *, lists_models: bool) -> Reply:
        """Decide, send and relay; turn whatever goes wrong into an answer in the dialect."""
        relay = Relay(self._answers, self._limits, request, dialect, course.exchange.id)
        try:
            if lists_models:
                course.status, course.outcome = 200, Outcome.LOCAL
                return relay.whole(dialect.models(sorted(self._parts.models), 0))
            course.idempotency_key = key_of(request.headers)
            intake = await self._read(request, dialect, course)
            decision = await self._decide(intake, dialect, course)
            call = decision.call or intake.call
            changed = call is not intake.call
            answer = await send(
                self._parts, request, dialect, course, call, dialect.write(call) if changed else intake.sent
            )
            try:
                return await relay.relay(answer, intake.call, course)
            finally:
                answer.close()
        except ProxyError as error:
            return await self._fail(relay, course, error)
        except asyncio.CancelledError:
            if course.cut is None:
                leave(course)
                raise
            course.task.uncancel()
            return await self._fail(relay, course, course.cut)
        except ConnectionError:
            leave(course)
            raise
        except Exception:
            self._logger.exception("an exchange failed", exchange=course.exchange.id)
            return await self._fail(relay, course, ProxyError("Something went wrong here."))

    async def _read(self, request: BaseRequest, dialect: Dialect, course: Course) -> Intake:
        """Read the body and note its facts; the model must be one that the settings list."""
        intake = await self._reader.read(request, dialect, course.exchange, course.decider)
        course.bytes_in = intake.received
        if intake.call.model not in self._parts.models:
            raise NotFound("The model does not exist or is not available here.", code="model_not_found", param="model")
        return intake

    async def _decide(self, intake: Intake, dialect: Dialect, course: Course) -> Decision:
        """Let the pack decide; a denial is a value that becomes the client's error here."""
        parts, exchange = self._parts, course.exchange

        def amounts(call: Call) -> Amounts:
            terms = course.terms = parts.models[call.model].terms
            tokens_in, tokens_out = call.most_input(intake.text_bytes), call.most_output(terms.max_output_tokens)
            return Amounts.of(tokens_in, tokens_out, terms.cost_microusd(tokens_in, tokens_out))

        def estimate(call: Call) -> Amounts:
            asked = None if call is intake.call else amounts(intake.call)
            reserved = course.reserved = amounts(call)  # last, since the terms are those of the model that answers
            course.unseen = NOTHING if asked is None else asked.beyond(reserved)
            return reserved

        try:
            decision = await course.decider.decide(exchange, estimate)
        except StoreUnavailable:
            raise Unavailable("Limits cannot be checked right now.", retry_after=2) from None
        course.decided = parts.clock.monotonic()
        course.reservation, course.plan, course.met = decision.reservation, decision.plan, decision.denial
        count_decision(parts.tally, decision)
        error: ProxyError | None = None
        if decision.effect is Effect.DENY:
            error = to_error(decision, exchange.id, parts.links)
        course.verdict = to_verdict(decision)
        doubtful = intake.flaw is not None or course.idempotency_key
        if doubtful and error is None and (error := await self._objection(intake, course)) is not None:
            course.verdict = refused(course.verdict, error)
        if error is not None:
            raise error
        if decision.effect is Effect.DEGRADE:
            course.disclosed = decision.disclose
            course.answering = Answering.of_decision(decision, dialect, parts.clock)
            try:
                await parts.journal.begin(exchange, course.verdict, course.decider.pack.digest)
            except LogUnavailable:
                raise Unavailable("The decision cannot be recorded right now.", retry_after=5) from None
        if parts.sampler is not None:
            course.heard = parts.sampler.listen(exchange.id, course.verdict)
        return decision

    async def _objection(self, intake: Intake, course: Course) -> ProxyError | None:
        """Return why a call that the pack allows is refused, for what it returns or its idempotency key; else None."""
        if intake.flaw is not None:
            return intake.flaw
        course.claim = await self._claims.of(course.exchange, course.idempotency_key, intake.sent)
        return await self._claims.make(course.claim)

    async def _fail(self, relay: Relay, course: Course, error: ProxyError) -> Reply:
        """Answer with an error: as the answer if nothing was sent yet, as the stream's last event otherwise."""
        forget_origin(error)
        course.code = error.code
        course.outcome = outcome_of(error, course)
        if relay.begun:
            return await relay.fail_in_stream(error)
        course.status = error.status
        if course.sent is None:
            if course.verdict.effect is not Effect.DENY:
                course.verdict = refused(course.verdict, error)
            if (ending := closed(course, self._parts, self._claims)) is not None:
                self._parts.afterwards.tell(ending, course.decider)
                try:
                    await self._parts.journal.record_first(ending)
                except LogUnavailable:
                    error = Unavailable("The decision cannot be recorded right now.", retry_after=5)
        return relay.fail(error, course)

    def on_error(self, connection: Connection, status: int, error: BaseException | None) -> Answer:
        """Answer bytes that are no HTTP, or what escaped `handle`."""
        del connection
        if status >= 500:
            self._logger.error("a request failed", error=type(error).__name__)
        self._parts.tally.refused(Refusal.BAD_FRAMING)
        problem = (
            BadRequest("The request is not valid HTTP.") if status < 500 else ProxyError("Something went wrong here.")
        )
        body = self._parts.openai.error(problem, self._parts.new_id())
        return self._answers.whole(None, problem.status, "application/json", body, {})

    async def watch(self) -> None:
        """End exchanges that take longer than allowed, until cancelled."""
        while True:
            await asyncio.sleep(_WATCH_S)
            now = self._parts.clock.monotonic()
            for course in list(self._courses):
                if course.deadline is not None and now > course.deadline:
                    course.end_with(UpstreamTimeout("The answer took too long."))

    @property
    def decider(self) -> Decider:
        """What decides about new exchanges."""
        return self._decider

    def adopt(self, decider: Decider) -> None:
        """Let another pack decide about every exchange that is accepted from now on."""
        self._decider = decider

    def drain(self) -> None:
        """Take no new work."""
        self._admission.draining = True

    def note_memory(self, *, full: bool) -> None:
        """Take no new work while memory is full; what runs goes on."""
        self._admission.memory_full = full

    def end_all(self) -> None:
        """End what still runs with an error in its own dialect."""
        for course in list(self._courses):
            course.end_with(Unavailable("The proxy is shutting down.", code="shutting_down", retry_after=1))
