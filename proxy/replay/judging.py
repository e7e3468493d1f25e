"""Decides about recorded exchanges, one after the other, with the decider that serves customers.

Laws:
- An exchange's usage is known, so it is settled, and learned from, at the time at which it is decided.
- A recorded answer has no text: nothing is learned about refusals and seals of reasoning, so no seal counts as foreign.
- Actions see only those members of a request that are neither texts nor lists.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Final, NamedTuple

from proxy.clock import VirtualClock
from proxy.deciding.course import Terms
from proxy.deciding.decider import Decider, Decision
from proxy.decision import Effect
from proxy.exchange import Answered, Call, Exchange, Principal, Usage
from proxy.fields import FieldTable
from proxy.fingerprint.winnow import Prints
from proxy.replay.reading import principal_of
from proxy.replay.seen import Caller, Request, Seen
from proxy.rules.quotas.reservation import Amounts
from proxy.steps.refusal import NO_LINKS, to_error

_CALLERS_MAX: Final = 100_000  # remembered, at some 600 bytes each; then all are forgotten
_NOTHING: Final = Usage(0, 0)


class Judged(NamedTuple):
    """What was decided about one exchange; `status` and `used` are what the caller was given in the replay."""

    exchange: Exchange
    decision: Decision
    status: int
    used: Usage


class Judging:
    """One decider on `clock`, which the caller moves; models that are not in `models` are as `usual`."""

    def __init__(
        self, decider: Decider, table: FieldTable, clock: VirtualClock, models: Mapping[str, Terms], usual: Terms
    ) -> None:
        self._decider = decider
        self._clock = clock
        self._defaults = dict(table.defaults)
        self._models = models
        self._usual = usual
        self._principals: dict[tuple[str, str], tuple[Caller, Principal]] = {}  # by key and account, as last seen
        self._numbers = itertools.count()

    async def judge(self, seen: Seen, request: Request, prints: Prints | None) -> Judged:
        """Decide about one exchange, settle it and let everybody learn from it."""
        exchange = self._exchange(seen, request)
        exchange.prints = prints
        asked = request.call.most_input(request.text_bytes)

        def estimate(call: Call) -> Amounts:
            terms = self._models.get(call.model, self._usual)
            most = call.most_output(terms.max_output_tokens)
            return Amounts.of(asked, most, terms.cost_microusd(asked, most))

        decider = self._decider
        decision = await decider.decide(exchange, estimate)
        status, used = seen.status, seen.usage
        if decision.effect is Effect.DENY:
            error = to_error(decision, exchange.id, NO_LINKS)
            status, used = error.status, _NOTHING
        elif status >= 400:
            used = _NOTHING
        if decision.reservation is not None:
            used_model = decision.call.model if decision.call is not None else request.call.model
            cost = self._models.get(used_model, self._usual).cost_microusd(used.input, used.output)
            amounts = Amounts.of(used.input, used.output, cost, requests=int(status < 500))
            decider.quotas.settle(decision.reservation, amounts)
        decider.learn(exchange, Answered(status, used))
        return Judged(exchange, decision, status, used)

    def _exchange(self, seen: Seen, request: Request) -> Exchange:
        return Exchange(
            f"replay-{next(self._numbers)}",
            seen.dialect,
            seen.peer,
            seen.agent,
            "",
            self._clock.wall(),
            self._principal(seen.caller),
            request.call,
            (),
            {**self._defaults, **request.fields},
            request.unknown,
            text_bytes=request.text_bytes,
        )

    def _principal(self, caller: Caller) -> Principal:
        key = (caller.key_id, caller.account)
        found = self._principals.get(key)
        if found is None or found[0] != caller:
            if len(self._principals) >= _CALLERS_MAX:
                self._principals.clear()
            found = self._principals[key] = caller, principal_of(caller)
        return found[1]
