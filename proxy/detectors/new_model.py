"""How new the asked-for model is, and whether the account has just moved to it.

The settings say when a model was released; without that nothing is known. Each process remembers its own exchanges.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from proxy.detectors.recent import Recent
from proxy.exchange import Answered, Exchange
from proxy.fields import Field, Value

_DAY_S = 86_400
_MAX_ACCOUNTS = 50_000  # far more than are active on the day of a release on one process
_UNKNOWN_DAYS = 1e9  # so that "younger than a week" does not hold for a model without a date


class NewModel:
    """Adds `request.model_age_days` and `account.new_model_day`; `released` is Unix seconds by the model's name."""

    fields: ClassVar[tuple[Field, ...]] = (
        Field(
            "request.model_age_days",
            _UNKNOWN_DAYS,
            "How long ago the model was released, by the settings; a billion if they do not say.",
            unit="days",
        ),
        Field(
            "account.new_model_day",
            False,
            "Whether the model is less than a day old and the account, as this process saw, used an older one before.",
        ),
    )

    def __init__(self, released: Mapping[str, float]) -> None:
        self._released = released
        # The last model that an account used, except on a model's first day.
        self._settled: Recent[str, str] = Recent(_MAX_ACCOUNTS)

    def inspect(self, exchange: Exchange) -> Mapping[str, Value]:
        """Return the model's age."""
        age = self._age_s(exchange)
        return {} if age is None else {"request.model_age_days": max(0.0, age / _DAY_S)}

    async def look_up(self, exchange: Exchange) -> Mapping[str, Value]:
        """Tell whether the account has moved to a model on its first day."""
        age = self._age_s(exchange)
        if age is None or not 0 <= age < _DAY_S or self._settled.get(exchange.principal.account) is None:
            return {}
        return {"account.new_model_day": True}

    def learn(self, exchange: Exchange, answered: Answered) -> Mapping[str, Value]:
        """Remember which model the account uses."""
        del answered
        age = self._age_s(exchange)
        if exchange.call is not None and (age is None or age >= _DAY_S):
            self._settled.set(exchange.principal.account, exchange.call.model)
        return {}

    def _age_s(self, exchange: Exchange) -> float | None:
        released = self._released.get(exchange.call.model) if exchange.call is not None else None
        return None if released is None else exchange.started - released
