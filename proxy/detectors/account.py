"""Who calls: facts about the principal and the hour, none of which needs memory."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import ClassVar

from proxy.exchange import Exchange
from proxy.fields import Field, Value

_HOUR_S = 3_600
_DAY_S = 86_400
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class AccountFacts:
    """Adds `account.*` and `time.*`."""

    fields: ClassVar[tuple[Field, ...]] = (
        Field("account.name", "", "The account's name.", private=True),
        Field("account.tenant", "", "The organisation that the account belongs to.", private=True),
        Field("account.plan", "", "The account's plan."),
        Field("account.age_days", 0.0, "How long ago the account was opened, or first seen.", unit="days"),
        Field("account.key", "", "The id of the key that was used, or of a token's caller.", private=True),
        Field(
            "time.hour",
            "",
            "The hour of the day in UTC, 00 to 23, as text: for counting distinct hours.",
            among=tuple(f"{hour:02}" for hour in range(24)),
        ),
        Field("time.weekday", "", "The day of the week in UTC, mon to sun.", among=_WEEKDAYS),
    )

    def __init__(self) -> None:
        self._hour = (-1, "", "")  # hours since 1970, with the hour's texts, which last for thousands of exchanges

    def inspect(self, exchange: Exchange) -> Mapping[str, Value]:
        """Return the caller's facts."""
        principal = exchange.principal
        number, hour, weekday = self._hour
        if number != exchange.started // _HOUR_S:
            moment = time.gmtime(exchange.started)
            hour, weekday = f"{moment.tm_hour:02}", _WEEKDAYS[moment.tm_wday]
            self._hour = (int(exchange.started // _HOUR_S), hour, weekday)
        return {
            "account.name": principal.account,
            "account.tenant": principal.tenant,
            "account.plan": principal.plan,
            "account.age_days": max(0.0, (exchange.started - principal.created_at) / _DAY_S),
            "account.key": principal.key_id,
            "time.hour": hour,
            "time.weekday": weekday,
        }
