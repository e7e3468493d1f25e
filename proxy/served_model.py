"""One model that customers may name: where it is, what serving it takes, and whether it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from proxy.asked_rest import AskedRest
from proxy.breaker import Breaker
from proxy.clock import Clock
from proxy.course import Terms
from proxy.dialects.base import Dialect
from proxy.errors import Unavailable, UpstreamFailed, UpstreamTimeout
from proxy.exchange import Call
from proxy.upstream import Upstream, UpstreamAnswer, UpstreamUnreachable

# What an upstream says of itself or of what is behind it, whatever the request is; 500 may be the request's doing.
_AWAY = frozenset({502, 503, 504, 529})
# What may ask to be left alone; a limit is that of our credential, which all tenants share.
_ASKING = frozenset({429, 503, 529})
_SUCCESS = 200
_TENANTS = 2


class ServedModel:
    """The model; `known_as` is what its upstream calls it. `on_rest` is called when it is let alone for a while."""

    def __init__(
        self, terms: Terms, upstream: Upstream, known_as: str, clock: Clock, on_rest: Callable[[], None]
    ) -> None:
        self.terms = terms
        self.upstream = upstream
        self._known_as = known_as
        self._clock = clock
        self._on_rest = on_rest
        self._breaker = Breaker(clock, tenants=_TENANTS, on_rest=on_rest)
        self._asked = AskedRest(clock)

    async def post(
        self,
        tenant: str,
        dialect: Dialect,
        headers: Mapping[str, str],
        call: Call,
        body: bytes,
        begun: Callable[[], None],
    ) -> UpstreamAnswer:
        """Send a call, which is `body` as it is, as `Upstream.post` does. Raises Unavailable also while it rests."""

        def go() -> None:
            self._check(tenant)  # once more: it may have been asked to rest while the call waited for its turn
            begun()

        self._check(tenant)
        if not self._breaker.lets_through():
            raise _resting(self._breaker.rest)
        sent = self._clock.monotonic()
        if self._known_as != call.model:
            body = dialect.write(replace(call, body={**call.body, "model": self._known_as}))
        try:
            answer = await self.upstream.post(dialect, headers, body, stream=call.stream, tenant=tenant, begun=go)
        except UpstreamUnreachable:
            self._breaker.failed()
            raise
        except (UpstreamFailed, UpstreamTimeout):
            self._breaker.failed(tenant)
            raise
        if answer.status in _AWAY:
            self._breaker.failed(tenant)
        else:
            self._breaker.worked()
        if answer.status in _ASKING:
            if (wait := answer.wait(self._clock.wall())) and self._asked.asked(tenant, wait):
                self._on_rest()
        elif answer.status == _SUCCESS:
            self._asked.worked(sent)
        return answer

    def _check(self, tenant: str) -> None:
        if rest := self._asked.rest(tenant):
            raise _resting(rest)


def _resting(seconds: float) -> Unavailable:
    message = "The model is not answering right now. Try again shortly."
    return Unavailable(message, code="upstream_resting", retry_after=max(1.0, seconds))
