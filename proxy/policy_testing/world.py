"""A world of its own for one case: store, counters, flags and clock, around the parts that production decides with.

Laws: nothing sleeps; what production does from time to time is done whenever so much virtual time has passed.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

from proxy.actions.base import ModelFacts, Tools
from proxy.clock import VirtualClock
from proxy.deciding.course import Terms
from proxy.deciding.decider import Decider, Decision
from proxy.decision import Effect
from proxy.detectors.base import Detector
from proxy.dialects import dialects
from proxy.errors import ProxyError
from proxy.exchange import Answered, Call, Exchange, Usage, Work
from proxy.fields import Field, FieldTable, Value
from proxy.policy_testing.campaigns import KnownCampaigns
from proxy.policy_testing.requests import Asked, Caller
from proxy.policy_testing.schema import Fixtures, ModelFixture
from proxy.rules.engine import NO_JUDGEMENT, Engine, Judgement
from proxy.rules.flags.flag import Flags
from proxy.rules.pack.pack import Pack
from proxy.rules.pack.words import Mode
from proxy.rules.quotas.quotas import Quotas
from proxy.rules.quotas.reservation import Amounts, Denial
from proxy.rules.signals.signals import Signals
from proxy.steps.intake import understand
from proxy.steps.refusal import NO_LINKS, to_error
from proxy.store.base import Store
from proxy.store.memory import MemoryStore

_TEND_US = 250_000  # as often as production looks after its leases
_RENEW_US = 5_000_000  # concurrency slots that are in use must be renewed by then


@dataclass(frozen=True, slots=True)
class Observed:
    """What became of one send.

    `actions` are those that changed the call and those that wait for its answer;
    `denials` those of quotas, in shadow included; `quotas` those that applied, None if a denial left that open;
    `fields` what the rules read, empty if the request was not understood; `unknown` what detectors failed to tell;
    `campaign` whether the account or the prompt is of a known campaign.
    """

    effect: Effect
    status: int = 200
    code: str = ""
    message: str = ""
    by: str = ""
    judgement: Judgement = NO_JUDGEMENT
    actions: tuple[str, ...] = ()
    denials: tuple[Denial, ...] = ()
    shadow_denied: tuple[str, ...] = ()
    quotas: tuple[str, ...] | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    unknown: frozenset[str] = frozenset()
    campaign: bool = False


class _Open(NamedTuple):
    ends: int  # microseconds
    number: int
    exchange: Exchange
    decision: Decision
    answered: Answered


class _Given:
    """A detector whose facts are those that a test sets directly; it runs last, so that they hold."""

    fields: ClassVar[tuple[Field, ...]] = ()

    def __init__(self) -> None:
        self.values: dict[str, Mapping[str, Value]] = {}  # by exchange

    def inspect(self, exchange: Exchange) -> Mapping[str, Value]:
        """Return what the test sets."""
        return self.values.get(exchange.id, {})

    async def look_up(self, exchange: Exchange) -> Mapping[str, Value]:
        """Return what the test sets, over what other detectors remember."""
        return self.values.get(exchange.id, {})

    def learn(self, exchange: Exchange, answered: Answered) -> Mapping[str, Value]:
        """Return what the test sets, over what other detectors learned, and forget it."""
        del answered
        return self.values.pop(exchange.id, {})


class Minds(NamedTuple):
    """What remembers and what looks, made anew for each world; detectors know when models were released."""

    table: FieldTable
    detectors: Callable[[Store, Mapping[str, float]], Sequence[Detector]]
    signals: Callable[[], Signals]
    flags: Callable[[], Flags]


class World:
    """Sends requests of fixtures through a pack; `start` is Unix seconds."""

    def __init__(self, pack: Pack, start: float, fixtures: Fixtures, minds: Minds) -> None:
        self._start = start
        flags = minds.flags()
        self._campaigns = KnownCampaigns(pack, start, fixtures.campaigns, flags)
        self._passed_us = 0
        self._tended_us = 0
        self._clock = VirtualClock(start)
        self._callers = Caller(fixtures.accounts, start)
        self._models = fixtures.models
        self._dialects = {dialect.name: dialect for dialect in dialects().values()}
        numbers = itertools.count()
        self._given = _Given()
        store = MemoryStore(self._clock)
        self._quotas = Quotas(pack, store, self._clock, holder="test", op=lambda: f"op-{next(numbers)}")
        table = minds.table
        engine = Engine(pack, table, minds.signals(), flags, Mode.ENFORCE)
        released = {name: moment for name, model in self._models.items() if (moment := model.released_at) is not None}
        detectors = minds.detectors(store, released)
        needed = [each for each in detectors if any(field.name in engine.reads for field in each.fields)]
        containment = self._campaigns.containment
        facts = {name: ModelFacts(model.max_output_tokens) for name, model in self._models.items()}
        tools = Tools(self._clock, models=facts)
        self._decider = Decider(engine, self._quotas, [*needed, self._given], table, tools, containment)
        self._open: list[_Open] = []
        self._sent = 0

    @property
    def now(self) -> float:
        """The virtual time in Unix seconds."""
        return self._clock.wall()

    async def advance(self, seconds: float) -> None:
        """Let time pass; answers that end meanwhile end at their moment."""
        target = self._passed_us + round(seconds * 1_000_000)
        while self._open:
            if (ends := self._open[0].ends) > target:
                if target - self._passed_us <= _RENEW_US:
                    break
                await self._move_to(self._passed_us + _RENEW_US)
            elif ends - self._passed_us > _RENEW_US:
                await self._move_to(self._passed_us + _RENEW_US)
            else:
                await self._move_to(ends)
                await self._end(heapq.heappop(self._open))
        await self._move_to(target)

    async def send(self, who: str, asked: Asked, ordinal: int, takes: float) -> Observed:
        """Send one request; the answer ends `takes` seconds later, with 0 at once."""
        account, principal = self._callers.get(who, ordinal)
        self._campaigns.join(account.cluster, principal.account)
        fixture = asked.fixture
        dialect = self._dialects[fixture.dialect]
        self._sent += 1
        exchange = Exchange(
            id=f"test-{self._sent}",
            dialect=fixture.dialect,
            peer=account.peer,
            user_agent=account.user_agent,
            client_request_id="",
            started=self.now,
            principal=principal,
            template=fixture.template,
        )
        if fields := asked.fields(ordinal):
            self._given.values[exchange.id] = fields
        try:
            intake = understand(dialect, asked.body(ordinal), exchange, self._decider)
        except ProxyError as error:
            return Observed(Effect.DENY, error.status, error.code, error.message, "request")
        input_tokens = intake.call.most_input(intake.text_bytes)

        def estimate(call: Call) -> Amounts:
            terms = self._terms(call.model)
            output = call.most_output(terms.max_output_tokens)
            return Amounts.of(input_tokens, output, terms.cost_microusd(input_tokens, output))

        decision = await self._decider.decide(exchange, estimate)
        written = fixture.output_tokens if intake.call.work is Work.ANSWER else 0
        used = Usage(input_tokens if fixture.input_tokens is None else fixture.input_tokens, written)
        return await self._note(exchange, decision, Answered(200, used, fixture.refused, fixture.signatures), takes)

    async def _note(self, exchange: Exchange, decision: Decision, answered: Answered, takes: float) -> Observed:
        status, code, message = answered.status, "", ""
        if decision.effect is Effect.DENY:
            error = to_error(decision, exchange.id, NO_LINKS)
            status, code, message = error.status, error.code, error.message
            answered = Answered(status, Usage(0, 0))
        shadow = decision.shadow_denials
        observed = Observed(
            effect=decision.effect,
            status=status,
            code=code,
            message=message,
            by=decision.by,
            judgement=decision.judgement,
            actions=decision.applied,
            denials=shadow if decision.denial is None else (decision.denial, *shadow),
            shadow_denied=tuple(denial.quota.id for denial in shadow),
            quotas=None if decision.reservation is None else decision.reservation.plan.quotas,
            fields=dict(exchange.fields),
            unknown=exchange.unknown,
            campaign=bool(exchange.template or exchange.cluster),
        )
        ends = self._passed_us + (round(takes * 1_000_000) if decision.effect is not Effect.DENY else 0)
        running = _Open(ends, self._sent, exchange, decision, answered)
        if ends > self._passed_us:
            heapq.heappush(self._open, running)
        else:
            await self._end(running)
        return observed

    async def _end(self, running: _Open) -> None:
        """Settle what an exchange used, and let everybody learn from it."""
        if running.decision.reservation is not None:
            call, usage = running.decision.call, running.answered.usage
            cost = self._terms(call.model).cost_microusd(usage.input, usage.output) if call is not None else 0
            self._quotas.settle(running.decision.reservation, Amounts.of(usage.input, usage.output, cost))
            await self._quotas.returns.flush()
        self._decider.learn(running.exchange, running.answered)

    async def _move_to(self, target_us: int) -> None:
        """Set the clock; counted from the start in whole microseconds, so that many small steps are one large one."""
        self._passed_us = target_us
        self._clock.advance(max(0.0, self._start + target_us / 1_000_000 - self._clock.wall()))
        if target_us - self._tended_us >= _TEND_US:
            self._tended_us = target_us
            await self._quotas.tend()

    def _terms(self, model: str) -> Terms:
        known = self._models.get(model) or _ANY_MODEL
        return Terms(known.max_output_tokens, known.input_picodollars, known.output_picodollars)


_ANY_MODEL = ModelFixture()
