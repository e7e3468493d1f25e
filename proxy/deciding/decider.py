"""Decides about one exchange by one pack: facts, rules, ladder, actions, quotas; gateway and pack tests use it.

Laws:
- An exchange is decided by one pack from beginning to end, also when another one is loaded meanwhile.
- Signals count every exchange that could be read, also one that is denied.
- What a detector could not tell is unknown, not false: rules that read it count as failed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import compress
from operator import ne
from typing import Any, NamedTuple, Protocol, cast

from proxy.actions.base import AnswerAction, Rejection, Tools
from proxy.decision import Effect
from proxy.detectors.base import Detector, Remembering
from proxy.errors import StoreUnavailable
from proxy.exchange import NO_TIES, Answered, Call, Exchange, Principal, Text, Ties
from proxy.fields import Cost, Fields, FieldTable
from proxy.keyed.issued_ids import IssuedIds
from proxy.keyed.sealed_reasoning import SealedReasoning
from proxy.log import get
from proxy.rules.campaigns.containment import Containment
from proxy.rules.engine import NO_JUDGEMENT, Engine, Judgement
from proxy.rules.pack.pack import Rung
from proxy.rules.quotas.reservation import NO_PLAN, Amounts, Denial, Plan, Reservation
from proxy.secrets import Purpose

Estimate = Callable[[Call], Amounts]  # what an exchange may use at most
Fingerprint = Callable[[Sequence[Sequence[Text]]], Sequence[Any]]  # makes `Exchange.prints` of each prompt's texts


class Reserving(Protocol):
    """What holds callers to quotas: `Quotas`, or `InstantQuotas` where an exchange takes no time."""

    def __len__(self) -> int:
        """Return how many limits are counted here."""
        ...

    async def reserve(
        self,
        principal: Principal,
        model: str,
        amounts: Amounts,
        ties: Ties = NO_TIES,
        shadow_ties: Ties = NO_TIES,
    ) -> Reservation | Denial:
        """Reserve with every limit that applies, or say which one refuses; raises StoreUnavailable."""
        ...

    def settle(self, reservation: Reservation, used: Amounts) -> None:
        """Replace the reserve by what was really used."""
        ...


_ALLOW = Effect.ALLOW


class Acting(NamedTuple):
    """An action that waits for the answer, by its name and the rung that it belongs to."""

    name: str
    action: AnswerAction
    rung: Rung


class Decision(NamedTuple):
    """What was decided. `call` is what goes upstream; `actions` names what changed it.

    `acting` are the actions that may change the answer too, in the order of the ladder. A denial has either the
    `denial` of a quota, or the `rung` and its `rejection`.
    """

    effect: Effect
    judgement: Judgement = NO_JUDGEMENT
    call: Call | None = None
    actions: tuple[str, ...] = ()
    acting: tuple[Acting, ...] = ()
    disclose: bool = False
    rung: Rung | None = None  # the highest that acted or waits for the answer
    changed_by: Rung | None = None  # the highest one that changed the call
    rejection: Rejection | None = None
    denial: Denial | None = None
    reservation: Reservation | None = None
    shadow_denials: tuple[Denial, ...] = ()

    @property
    def applied(self) -> tuple[str, ...]:
        """The names of all actions at work: those that changed the call, then those that wait for the answer."""
        if not self.acting:
            return self.actions
        return tuple(dict.fromkeys([*self.actions, *[acting.name for acting in self.acting]]))

    @property
    def plan(self) -> Plan:
        """The quotas that apply to the caller, if they were asked."""
        made = self.reservation if self.denial is None else self.denial
        return NO_PLAN if made is None else made.plan

    @property
    def by(self) -> str:
        """The quota or rung that decided, empty for a plain allow."""
        if self.denial is not None:
            return self.denial.quota.id
        return self.rung.name if self.rung is not None and self.effect is not Effect.ALLOW else ""


@dataclass(slots=True)
class _Rewritten:
    call: Call
    actions: list[str] = field(default_factory=list)
    acting: list[Acting] = field(default_factory=list)
    disclose: bool = False
    rung: Rung | None = None
    changed_by: Rung | None = None
    rejection: Rejection | None = None


class Decider:
    """One pack at work.

    `fingerprint` is None if nobody asks for the prints of prompts; `told` are fields that others than the pack want.
    """

    def __init__(
        self,
        engine: Engine,
        quotas: Reserving,
        detectors: Sequence[Detector],
        table: FieldTable,
        tools: Tools,
        containment: Containment | None = None,
        fingerprint: Fingerprint | None = None,
        told: frozenset[str] = frozenset(),
    ) -> None:
        self.pack = engine.pack
        self.engine = engine
        self.quotas = quotas
        self._clock = tools.clock
        self._tools = tools
        self._disclosing = tools._replace(disclosed=True)
        self._fingerprint = fingerprint
        self._containment = containment
        self._detectors = tuple(detectors)
        self._remembering = tuple(
            cast("Remembering", detector) for detector in detectors if hasattr(detector, "look_up")
        )
        self._usual = {**table.defaults, **dict.fromkeys(engine.counts, 0)}
        self._recorded = engine.recorded
        self._recorded_usual = tuple(self._usual[name] for name in engine.recorded)
        read = engine.reads | told
        self.reads_texts = fingerprint is not None or any(table[name].cost is Cost.TEXT for name in read)

    def sealed(self, exchange: Exchange) -> SealedReasoning:
        """Return the opener of handles that stand for reasoning withheld from the caller's tenant."""
        key, others = self._tools.key(Purpose.REASONING), self._tools.others(Purpose.REASONING)
        return SealedReasoning(key, exchange.principal.tenant, others)

    def ids(self, exchange: Exchange, model: str) -> IssuedIds:
        """Return the names that the caller's tenant has for what the upstream of a model keeps."""
        facts = self._tools.models.get(model)
        where = facts.upstream if facts is not None else ""
        key, others = self._tools.key(Purpose.ISSUED_IDS), self._tools.others(Purpose.ISSUED_IDS)
        return IssuedIds(key, exchange.principal.tenant, where, self._tools.public_ids, others)

    @property
    def matches_prints(self) -> bool:
        """Whether the decision depends on the prints of a prompt."""
        return self._containment is not None and self._containment.matches

    def wants_prints(self, exchange: Exchange) -> bool:
        """Tell whether somebody asks for the prints of a prompt that was read and has none yet."""
        return self._fingerprint is not None and exchange.call is not None and exchange.prints is None

    def print_each(self, exchanges: Sequence[Exchange]) -> None:
        """Make the prints of several prompts at once; each is one that this pack, or an earlier one, wants printed."""
        if self._fingerprint is not None:
            each = self._fingerprint([exchange.texts for exchange in exchanges])
            for exchange, prints in zip(exchanges, each, strict=True):
                exchange.prints = prints

    def inspect(self, exchange: Exchange) -> None:
        """Fill in the fields that can be told from the request alone; needs no event loop."""
        fields = dict(self._usual)
        for detector in self._detectors:
            try:
                fields.update(detector.inspect(exchange))
            except Exception:  # noqa: BLE001 - a plug-in may be anybody's
                self._failed(detector, exchange)
        exchange.fields = fields

    def read_fields(self, exchange: Exchange) -> Fields:
        """Return the fields that the pack reads and that are not at their default: what the record holds."""
        if not exchange.fields:
            return {}  # the request was never read
        # Fifty comparisons for every exchange, so none of them in Python.
        values = tuple(map(exchange.fields.__getitem__, self._recorded))
        return dict(compress(zip(self._recorded, values, strict=True), map(ne, values, self._recorded_usual)))

    async def decide(self, exchange: Exchange, estimate: Estimate) -> Decision:
        """Decide about an exchange whose call and fields are there.

        Raises StoreUnavailable when an enforced limit had to ask the store and could not; then nothing is held.
        """
        if exchange.call is None:
            raise RuntimeError("an exchange is read before it is decided")
        if self._remembering:
            await self._look_up(exchange)
        if self._containment is not None:
            self._containment.place(exchange)
        judgement = self.engine.judge(exchange, self._clock.wall())
        call, rewritten = exchange.call, None
        if judgement.enforced.rungs:
            rewritten = await self._act(exchange, call, judgement.enforced.rungs)
            if rewritten.rejection is not None:
                refusing = tuple(rewritten.actions[-1:])
                return Decision(
                    Effect.DENY, judgement, actions=refusing, rung=rewritten.rung, rejection=rewritten.rejection
                )
            call = rewritten.call
        facts = self._tools.models.get(call.model)
        counted_as = call.model if facts is None else facts.counted_as or call.model
        result = await self.quotas.reserve(
            exchange.principal, counted_as, estimate(call), exchange.ties, exchange.shadow_ties
        )
        if isinstance(result, Denial):
            return Decision(Effect.DENY, judgement, denial=result)
        if rewritten is None:
            return Decision(_ALLOW, judgement, call, reservation=result, shadow_denials=tuple(result.shadow))
        return Decision(
            effect=Effect.DEGRADE if rewritten.actions or rewritten.acting else _ALLOW,
            judgement=judgement,
            call=call,
            actions=tuple(rewritten.actions),
            acting=tuple(rewritten.acting),
            disclose=rewritten.disclose,
            rung=rewritten.rung,
            changed_by=rewritten.changed_by,
            reservation=result,
            shadow_denials=tuple(result.shadow),
        )

    def learn(self, exchange: Exchange, answered: Answered) -> None:
        """Let the detectors and signals learn how an exchange ended that was decided here."""
        for detector in self._remembering:
            try:
                exchange.fields.update(detector.learn(exchange, answered))
            except Exception:  # noqa: BLE001 - a plug-in may be anybody's
                self._failed(detector, exchange)
        self.engine.learn(exchange, self._clock.wall())

    async def _look_up(self, exchange: Exchange) -> None:
        for detector in self._remembering:
            try:
                exchange.fields.update(await detector.look_up(exchange))
            except StoreUnavailable:
                exchange.unknown = exchange.unknown.union(entry.name for entry in detector.fields)
            except Exception:  # noqa: BLE001 - a plug-in may be anybody's
                self._failed(detector, exchange)

    async def _act(self, exchange: Exchange, call: Call, rungs: Sequence[Rung]) -> _Rewritten:
        """Let the actions of the rungs change the call, the lowest rung first."""
        done = _Rewritten(call)
        for rung in rungs:
            tools = self._disclosing if rung.disclose else self._tools
            for kind in rung.do:
                action = kind.begin(exchange, tools)
                result = await action.on_call(done.call)
                if isinstance(result, Rejection):
                    done.rejection, done.rung = result, rung
                    done.actions.append(kind.name)
                    return done
                if hasattr(action, "on_answer"):  # a protocol's isinstance takes as long as some actions
                    done.acting.append(Acting(kind.name, cast("AnswerAction", action), rung))
                    done.disclose, done.rung = done.disclose or rung.disclose, rung
                if result is not done.call:
                    done.call, done.rung, done.changed_by = result, rung, rung
                    done.disclose = done.disclose or rung.disclose
                    if kind.name not in done.actions:
                        done.actions.append(kind.name)
        return done

    @staticmethod
    def _failed(detector: Detector, exchange: Exchange) -> None:
        exchange.unknown = exchange.unknown.union(entry.name for entry in detector.fields)
        get("detectors").exception("a detector failed", detector=type(detector).__name__, exchange=exchange.id)
