"""Who may begin an exchange: a caller that we know, while we are not ending and there is room and memory for it.

Laws: reasons of our own to turn a caller away are checked before who it is, which costs more; answers that are on their
way go before new requests.
"""

from __future__ import annotations

from aiohttp.web_request import BaseRequest

from proxy.auth.credential import one_credential
from proxy.clients.exchange_starts import Starts
from proxy.dialects.base import Dialect
from proxy.errors import Unavailable
from proxy.exchange import Principal
from proxy.steps.parts import Parts

_FULL_RETRY_S = 5  # memory is looked at once a second, and what runs needs a moment to end


class Admission:
    """The door of one process."""

    def __init__(self, parts: Parts) -> None:
        self.draining = False  # new work is not taken any more
        self.memory_full = False
        self._parts = parts
        self._starts = Starts(parts.clock.monotonic)

    async def admit(self, request: BaseRequest, dialect: Dialect, running: int) -> Principal:
        """Return who calls, with `running` exchanges inside. Raises ProxyError if it may not begin another."""
        await self._starts.turn(running)
        if self.draining:
            raise Unavailable("The proxy is shutting down.", code="shutting_down", retry_after=1)
        if self.memory_full:
            raise _overloaded("There is no memory for another request right now.", dialect, _FULL_RETRY_S)
        if running >= self._parts.max_exchanges:
            raise _overloaded("Too many requests are being answered right now.", dialect, 1)
        secret = one_credential(request.headers)
        tokens = self._parts.tokens
        return await (tokens if tokens.takes(secret) else self._parts.keys).authenticate(secret)


def _overloaded(message: str, dialect: Dialect, retry_after: int) -> Unavailable:
    return Unavailable(message, code="overloaded", status=dialect.overloaded_status, retry_after=retry_after)
