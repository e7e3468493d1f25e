"""Answers nothing: the caller gets the rung's message instead, and nothing goes upstream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from proxy.actions.base import Rejection, Tools
from proxy.actions.reading import members
from proxy.exchange import Call, Exchange

_STATUSES = (403, 429)


@dataclass(frozen=True, slots=True)
class Reject:
    """The action, also at work: it keeps nothing of an exchange."""

    status: int

    name: ClassVar[str] = "reject"
    summary: ClassVar[str] = "Refuses the request with the rung's `client` message; nothing goes upstream."
    parameters: ClassVar[dict[str, str]] = {
        "status": "403 (do not come back) or 429 (come back later); 403 if missing."
    }
    discloses: ClassVar[str] = "an error with the status, code and message of the rung"
    never_touches: ClassVar[str] = "answers; a refused request has none"

    @classmethod
    def read(cls, value: Any) -> Reject:  # noqa: ANN401 - a value of a YAML file
        """Make a rejection from its value in the pack."""
        status = members(value, cls.parameters).get("status")
        if status is None:
            return cls(_STATUSES[0])
        if type(status) is not int or status not in _STATUSES:
            raise ValueError("status should be 403 or 429")
        return cls(status)

    def begin(self, exchange: Exchange, tools: Tools) -> Reject:
        """Return the action for one exchange."""
        del exchange, tools
        return self

    async def on_call(self, call: Call) -> Rejection:
        """End the exchange."""
        del call
        return Rejection(self.status)
