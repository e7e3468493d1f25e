"""How an exchange ended, for signals; and how the account and its address were answered shortly before.

Each process remembers only its own exchanges: a caller that is spread over several replicas seems to come less often,
never wrongly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from proxy.detectors.recent import Recent
from proxy.exchange import Answered, Exchange
from proxy.fields import Field, Value, When

# Far more than are active in an hour anywhere; some 10 MB each when full.
_MAX_ACCOUNTS = 50_000
_MAX_PEERS = 50_000
# A pool of accounts tries the next one at once; a person takes a minute to put in a second key.
_FAILOVER_S = 60.0
_USER_AGENT_CHARS = 256  # the rest does not count, so that memory stays small
_TURNED_AWAY = (403, 429)
_LONG_AGO_S = 1e9  # so that "less than a minute ago" does not hold for an account that was never refused


class AnswerFacts:
    """Adds `answer.*`, `account.seconds_since_refusal` and `peer.failover`."""

    fields: ClassVar[tuple[Field, ...]] = (
        Field("answer.status", 0, "The HTTP status that the client was given.", when=When.ANSWER),
        Field("answer.output_tokens", 0, "The tokens of the answer, as the model API bills them.", when=When.ANSWER),
        Field("answer.refused", False, "Whether the model declined to answer.", when=When.ANSWER),
        Field(
            "account.seconds_since_refusal",
            _LONG_AGO_S,
            "How long ago the model last declined to answer this account, as this process saw; a billion if never.",
            unit="seconds",
        ),
        Field(
            "peer.failover",
            False,
            "Whether another account with this address and user agent was answered 403 or 429 less than a minute ago.",
        ),
    )

    def __init__(self) -> None:
        self._refused: Recent[str, float] = Recent(_MAX_ACCOUNTS)
        # The last two accounts that were turned away: the caller's own may be one of them.
        self._turned_away: Recent[tuple[str, str], tuple[tuple[str, float], ...]] = Recent(_MAX_PEERS)

    def inspect(self, exchange: Exchange) -> Mapping[str, Value]:
        """Return nothing: the request alone tells none of this."""
        del exchange
        return {}

    async def look_up(self, exchange: Exchange) -> Mapping[str, Value]:
        """Return what is remembered of the account and of its address."""
        account, now = exchange.principal.account, exchange.started
        found: dict[str, Value] = {}
        refused = self._refused.get(account)
        if refused is not None:
            found["account.seconds_since_refusal"] = max(0.0, now - refused)
        others = self._turned_away.get(_place(exchange))
        if others and any(other != account and now - when < _FAILOVER_S for other, when in others):
            found["peer.failover"] = True
        return found

    def learn(self, exchange: Exchange, answered: Answered) -> Mapping[str, Value]:
        """Remember refusals, and return how the exchange ended."""
        account = exchange.principal.account
        if answered.refused:
            self._refused.set(account, exchange.started)
        if answered.status in _TURNED_AWAY:
            place = _place(exchange)
            before = self._turned_away.get(place) or ()
            others = [entry for entry in before if entry[0] != account]
            self._turned_away.set(place, (*others[-1:], (account, exchange.started)))
        return {
            "answer.status": answered.status,
            "answer.output_tokens": answered.usage.output,
            "answer.refused": answered.refused,
        }


def _place(exchange: Exchange) -> tuple[str, str]:
    return exchange.peer, exchange.user_agent[:_USER_AGENT_CHARS]
