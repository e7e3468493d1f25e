"""One decision: rules before quotas, every denial with its reason, and nothing held after a refusal."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import orjson
import pytest

from proxy.actions.base import Tools
from proxy.actions.clamp import Clamp
from proxy.actions.reject import Reject
from proxy.actions.withhold import Withhold
from proxy.clock import VirtualClock
from proxy.deciding.decider import Decider, Decision
from proxy.decision import Effect
from proxy.detectors import field_table
from proxy.detectors.account import AccountFacts
from proxy.detectors.request_shape import RequestShape
from proxy.dialects import dialects
from proxy.errors import StoreUnavailable
from proxy.exchange import Answered, Call, Exchange, Principal, Text, Usage
from proxy.fields import Field, FieldTable, Value, When
from proxy.keyed.link_names import LinkNames
from proxy.rules.campaigns.book import CampaignBook
from proxy.rules.campaigns.containment import Containment
from proxy.rules.conditions.condition import AllOf, Comparison, Operator
from proxy.rules.engine import Engine
from proxy.rules.pack.pack import Campaign, ClientMessage, FlagSpec, Limit, Pack, Quota, Rule, Rung, Signal
from proxy.rules.pack.words import Approval, Measure, Mode, OnError, Scope, Severity, Subject
from proxy.rules.quotas.quotas import Quotas
from proxy.rules.quotas.reservation import Amounts
from proxy.steps.intake import understand
from proxy.store.memory import MemoryStore
from tests.rules.books import ExactFlags, ExactSignals
from tests.rules.campaigns.known import campaign

ALWAYS = AllOf(())
DAY_MS = 86_400_000


def rule(score: int, when: Any = ALWAYS, **changes: Any) -> Rule:
    flag = FlagSpec("f", (Subject.ACCOUNT,), score, DAY_MS)
    return replace(Rule("r", Severity.LOW, Mode.ENFORCE, when, flag, "why", OnError.SKIP), **changes)


RUNGS = (
    Rung("clamp", 50, (Clamp(8, None),), disclose=True, approval=Approval.NONE, client=None),
    Rung("block", 100, (Reject(403),), disclose=False, approval=Approval.NONE, client=None),
)


def tokens(most: int, mode: Mode = Mode.ENFORCE) -> Quota:
    limits = (Limit(Measure.OUTPUT_TOKENS, most, 60_000, exact=True),)
    return Quota("tokens", Scope.ACCOUNT, mode, limits, ClientMessage(429, None, "no"))


class Moody:
    """A detector that remembers, and fails when it is told to."""

    fields: ClassVar[tuple[Field, ...]] = (
        Field("moody.known", False, "Whether it was looked up."),
        Field("moody.ended", False, "Whether it ended.", when=When.ANSWER),
    )

    def __init__(self) -> None:
        self.fails: dict[str, Exception] = {}  # by what it is asked for
        self.learned: list[Answered] = []

    def inspect(self, exchange: Exchange) -> Mapping[str, Value]:
        del exchange
        self._ask("inspect")
        return {}

    async def look_up(self, exchange: Exchange) -> Mapping[str, Value]:
        del exchange
        self._ask("look_up")
        return {"moody.known": True}

    def learn(self, exchange: Exchange, answered: Answered) -> Mapping[str, Value]:
        del exchange
        self.learned.append(answered)
        return {"moody.ended": True}

    def _ask(self, what: str) -> None:
        if what in self.fails:
            raise self.fails[what]


class Bench:
    """A decider on a store in memory."""

    def __init__(
        self,
        *rules: Rule,
        quotas: tuple[Quota, ...] = (),
        signals: tuple[Signal, ...] = (),
        ladder: tuple[Rung, ...] = RUNGS,
    ) -> None:
        clock, numbers = VirtualClock(), itertools.count()
        store = MemoryStore(clock)
        pack = Pack("p", "1", "o", "0" * 64, quotas, signals=signals, rules=rules, ladder=ladder)
        self.table = table = FieldTable([*field_table().values(), *Moody.fields])
        self.moody = Moody()
        self.signals = ExactSignals()
        engine = Engine(pack, table, self.signals, ExactFlags(), Mode.ENFORCE)
        self.quotas = Quotas(pack, store, clock, "bench", lambda: f"op-{next(numbers)}")
        self.decider = Decider(engine, self.quotas, (RequestShape(), AccountFacts(), self.moody), table, Tools(clock))

    async def decide(self, **members: Any) -> tuple[Decision, Exchange]:
        call = Call("m", stream=False, body={"model": "m", "messages": [], **members}, max_output_tokens=100)
        exchange = Exchange("x", "openai.chat", "", "", "", 0.0, Principal("k", "a", "t", "pro", 0.0, {}), call)
        self.decider.inspect(exchange)
        return await self.decider.decide(
            exchange, lambda call: Amounts.of(10, call.max_output_tokens or 0, 0)
        ), exchange


async def test_without_rules_an_exchange_is_allowed_with_its_very_call_and_a_reservation() -> None:
    decision, exchange = await Bench(quotas=(tokens(100),)).decide()
    assert (decision.effect, decision.by, decision.actions) == (Effect.ALLOW, "", ())
    assert decision.call is exchange.call
    assert decision.reservation is not None


async def test_quotas_are_reserved_for_the_call_that_is_really_made() -> None:
    bench = Bench(rule(60), quotas=(tokens(16),))
    for _ in range(2):
        decision, _ = await bench.decide()
        assert (decision.effect, decision.by, decision.disclose) == (Effect.DEGRADE, "clamp", True)
        assert decision.call is not None
        assert decision.call.max_output_tokens == 8
    assert (await bench.decide())[0].by == "tokens"


async def test_a_rung_that_rejects_reserves_nothing() -> None:
    bench = Bench(rule(100, Comparison("request.temperature", Operator.GT, 1.5)), quotas=(tokens(100),))
    decision, _ = await bench.decide(temperature=2)
    assert (decision.effect, decision.by, decision.reservation) == (Effect.DENY, "block", None)
    assert decision.actions == ("reject",)
    assert len(bench.quotas) == 0


async def test_an_exchange_that_a_quota_denies_is_counted_by_signals_all_the_same() -> None:
    seen = Signal("seen", "", Scope.ACCOUNT, 60_000, ALWAYS, "digest")
    bench = Bench(rule(1, Comparison("signals.seen", Operator.GTE, 2)), quotas=(tokens(100),), signals=(seen,))
    first, _ = await bench.decide()
    second, _ = await bench.decide()
    assert (first.effect, second.effect, second.by) == (Effect.ALLOW, Effect.DENY, "tokens")
    assert second.judgement.fired == ("r",)


async def test_a_quota_in_shadow_is_only_reported() -> None:
    bench = Bench(quotas=(tokens(99, Mode.SHADOW),))
    decision, _ = await bench.decide()
    assert decision.effect is Effect.ALLOW
    assert [denial.quota.id for denial in decision.shadow_denials] == ["tokens"]


@pytest.mark.parametrize(
    "kinds", [(Clamp(8, None), Clamp(4, None)), (Withhold(), Withhold()), (Withhold(), Clamp(4, None))]
)
@pytest.mark.parametrize("told", [(False, False), (False, True), (True, False)])
async def test_a_caller_is_told_if_any_rung_that_acts_says_so(kinds: Sequence[Any], told: Sequence[bool]) -> None:
    ladder = tuple(
        Rung(f"rung-{score}", score, (kind,), disclose=disclose, approval=Approval.NONE, client=None)
        for score, kind, disclose in zip((40, 60), kinds, told, strict=True)
    )
    decision, _ = await Bench(rule(60), ladder=ladder).decide()
    assert (decision.effect, decision.by, decision.disclose) == (Effect.DEGRADE, "rung-60", any(told))
    assert set(decision.applied) == {kind.name for kind in kinds}


@pytest.mark.parametrize(
    ("asked", "failure"),
    [
        ("look_up", StoreUnavailable("away")),
        ("look_up", RuntimeError("a fault of a plug-in")),
        ("inspect", RuntimeError("a fault of a plug-in")),
    ],
)
async def test_what_a_detector_cannot_tell_fails_the_rules_that_read_it_and_no_others(
    asked: str, failure: Exception
) -> None:
    reading = rule(60, Comparison("moody.known", Operator.EQ, operand=False))
    bench = Bench(reading, rule(1, flag=FlagSpec("g", (Subject.ACCOUNT,), 1, DAY_MS), id="other"))
    bench.moody.fails[asked] = failure
    decision, _ = await bench.decide()
    assert decision.judgement.failed == ("r",)
    assert decision.judgement.fired == ("other",)


async def test_what_was_looked_up_is_read_and_what_was_answered_is_learned() -> None:
    ended = Signal("ended", "", Scope.ACCOUNT, 60_000, Comparison("moody.ended", Operator.EQ, operand=True), "digest")
    rules = (
        rule(1, Comparison("moody.known", Operator.EQ, operand=True)),
        rule(1, Comparison("signals.ended", Operator.GTE, 1), id="after"),
    )
    bench = Bench(*rules, signals=(ended,))
    decision, exchange = await bench.decide()
    assert decision.judgement.fired == ("r",)
    answered = Answered(200, Usage(1, 2))
    bench.decider.learn(exchange, answered)
    assert bench.moody.learned == [answered]
    decision, exchange = await bench.decide()
    assert decision.judgement.fired == ("r", "after")
    recorded = bench.decider.read_fields(exchange)
    assert recorded.items() >= {"moody.known": True, "signals.ended": 1, "request.model": "m"}.items()
    assert not recorded.keys() & {"account.name", "account.tenant", "account.key"}, "they name somebody"


async def test_nothing_is_told_of_an_exchange_that_could_not_be_read() -> None:
    bench = Bench(rule(1, Comparison("account.plan", Operator.EQ, "free")))
    _, read = await bench.decide()
    assert bench.decider.read_fields(read)
    assert bench.decider.read_fields(replace(read, fields={})) == {}


async def test_an_exchange_is_placed_among_known_campaigns_before_it_is_judged() -> None:
    bench = Bench()
    decided, exchange = await bench.decide()
    assert (exchange.cluster, decided.effect) == ("", Effect.ALLOW)
    budget = Limit(Measure.REQUESTS, 1, 60_000, exact=True)
    quota = Quota("campaign", Scope.CLUSTER, Mode.ENFORCE, (budget,), ClientMessage(429, None, "no"))
    campaigned = Bench(quotas=(quota,))
    flag = FlagSpec("campaign", (Subject.CLUSTER,), 50, DAY_MS)
    entry = Campaign("extraction", Mode.ENFORCE, 2, 1, DAY_MS, 0.9, flag, None)
    book = CampaignBook(LinkNames(b"n" * 32))
    book.hear(campaign(accounts=frozenset({"a"})))
    engine = campaigned.decider.engine
    containment = Containment(replace(engine.pack, campaigns=(entry,)), book, Mode.ENFORCE)
    campaigned.decider = Decider(engine, campaigned.quotas, (), campaigned.table, Tools(VirtualClock()), containment)
    _, exchange = await campaigned.decide()
    denied, _ = await campaigned.decide()
    assert (exchange.cluster, denied.by) == ("c-1", "campaign")


def texts_of(prompts: Sequence[Sequence[Text]]) -> list[list[str]]:
    return [[text.text for text in texts] for texts in prompts]


@pytest.mark.parametrize(
    ("asked_for", "known", "question", "when"),
    [
        (True, True, "Hi", "before"),
        (True, False, "Hi", "after"),
        (True, False, "Hi" * 5_000, "before"),
        (False, False, "Hi", "never"),
    ],
    ids=["a campaign is known", "nothing is known", "a long text", "nobody asks"],
)
def test_prints_are_made_of_what_the_model_would_see_before_it_is_decided_if_that_hangs_on_them(
    *, asked_for: bool, known: bool, question: str, when: str
) -> None:
    bench = Bench()
    engine, dialect = bench.decider.engine, dialects()["/v1/chat/completions"]
    book = CampaignBook(LinkNames(b"n" * 32))
    if known:
        book.hear(campaign(accounts=frozenset({"a"})))
    flag = FlagSpec("campaign", (Subject.CLUSTER,), 50, DAY_MS)
    entry = Campaign("extraction", Mode.ENFORCE, 2, 1, DAY_MS, 0.9, flag, None)
    containment = Containment(replace(engine.pack, campaigns=(entry,)), book, Mode.ENFORCE)
    fingerprint = texts_of if asked_for else None
    decider = Decider(engine, bench.quotas, (), bench.table, Tools(VirtualClock()), containment, fingerprint)
    exchange = Exchange("x", "openai.chat", "", "", "", 0.0, Principal("k", "a", "t", "pro", 0.0, {}))
    body = {
        "model": "m",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": question}],
    }
    understand(dialect, orjson.dumps(body), exchange, decider)
    assert (exchange.prints is not None) is (when == "before")
    assert decider.wants_prints(exchange) is (when == "after")
    decider.print_each([exchange])
    assert exchange.prints == (None if when == "never" else ["Be brief.", question])
