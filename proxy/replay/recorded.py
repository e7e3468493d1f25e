"""Judges the records of a decision log by a pack, with the engine alone, from the fields and counts in them.

Records have no prompt and no usage: nothing is hunted and no quota is asked. For an exchange whose record lacks what a
rule reads, that rule is left out, as in `proxy.hindsight`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

from proxy.actions.base import Tools
from proxy.clock import VirtualClock
from proxy.deciding.decider import Decider, Decision
from proxy.decisions.logged import Logged
from proxy.exchange import Call, Exchange
from proxy.fields import Fields, FieldTable
from proxy.hindsight.comparing import CUT, NO_PACK, OTHER_TYPE
from proxy.hindsight.recorded_world import exchange_at, fields_at, unknown_then
from proxy.hindsight.sight import Sight, sight
from proxy.hindsight.sights import Sights
from proxy.rules.flags.book import FlagBook
from proxy.rules.flags.flag import Flags
from proxy.rules.pack.pack import Pack
from proxy.rules.pack.words import Mode
from proxy.rules.quotas.instant import InstantQuotas
from proxy.rules.quotas.reservation import NOTHING


class CannotTell(Exception):
    """Why a record cannot be judged by another pack."""


class RecordedJudging:
    """One pack applied to records; `untold` counts, by the id of a rule, exemption or quota, the exchanges for which it
    was left out though it might have mattered.
    """

    def __init__(
        self,
        pack: Pack,
        table: FieldTable,
        flags: Flags,
        clock: VirtualClock,
        archived: Callable[[str], Pack | None],
    ) -> None:
        self.untold: Counter[str] = Counter()
        self._pack = pack
        self._table = table
        self._flags = flags
        self._clock = clock
        self._quotas = InstantQuotas(replace(pack, quotas=()), clock)
        self._unasked = {quota.id for quota in pack.quotas if quota.mode is not Mode.OFF}
        self._sights = Sights((pack,), archived, self._sight)

    async def judge(self, logged: Logged) -> tuple[Exchange, Decision]:
        """Decide about a recorded exchange that some pack judged. Raises CannotTell."""
        if logged.cut:
            raise CannotTell(CUT)
        found = self._sights.of(logged)
        if found is None:
            raise CannotTell(NO_PACK)
        seen, decider = found
        try:
            fields = fields_at(logged, self._table)
        except ValueError:
            raise CannotTell(OTHER_TYPE) from None
        seen.new.signals.recorded = logged.fields
        exchange = exchange_at(logged, fields, unknown_then(seen.by, logged, fields, Mode.ENFORCE))
        exchange.call = _call(logged, fields)
        decision = await decider.decide(exchange, lambda _: NOTHING)
        capping = seen.new.may_cap(decision.judgement.enforced.rung)
        self.untold.update(seen.untold | seen.doubts(seen.new, exchange) | capping | self._unasked)
        return exchange, decision

    def _sight(self, by: Pack, hidden: frozenset[str], held: Mapping[str, bool]) -> tuple[Sight, Decider]:
        seen = sight(by, by, self._pack, (FlagBook(), self._flags), self._table, hidden, held)
        return seen, Decider(seen.new.engine, self._quotas, (), self._table, Tools(self._clock))


def _call(logged: Logged, fields: Fields) -> Call:
    """Return the call as far as the record's fields tell: enough for what actions look at."""
    most = cast("int", fields["request.max_output_tokens"])
    body: dict[str, Any] = {"model": logged.model}
    if fields["request.logprobs"]:
        body["logprobs"] = True
        body["top_logprobs"] = fields["request.top_logprobs"]
    if size := cast("int", fields["request.logit_bias_size"]):
        body["logit_bias"] = dict.fromkeys(map(str, range(size)), 0)
    choices = cast("int", fields["request.choices"])
    if choices > 1:
        body["n"] = choices
    if most:
        body["max_tokens"] = most
    return Call(logged.model, bool(fields["request.stream"]), body, most or None, choices)
