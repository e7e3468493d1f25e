"""One model that customers may name: its upstream, its terms, and whether it is left alone for now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from proxy.clock import Clock
from proxy.config import Settings
from proxy.deciding.course import Terms
from proxy.dialects.base import Dialect
from proxy.errors import Unavailable, UpstreamFailed, UpstreamTimeout
from proxy.exchange import Call
from proxy.settings.upstreams import Model
from proxy.telemetry.tally import Tally
from proxy.upstream.asked_rest import AskedRest
from proxy.upstream.breaker import Breaker
from proxy.upstream.model_api import Upstream, UpstreamAnswer, UpstreamUnreachable

# By these an upstream speaks of itself or of what is behind it, whatever the request is; 500 may be the request's
# fault.
_AWAY = frozenset({502, 503, 504, 529})
# Statuses that may come with a time to wait; a rate limit is that of our credential, which all tenants share.
_ASKING = frozenset({429, 503, 529})
_SUCCESS = 200
_CHAT = "openai.chat"
_CHAT_LENGTHS = ("max_tokens", "max_completion_tokens")
_TENANTS = 2


class ServedModel:
    """The model; `known_as` is its upstream's name for it, `chat_length` the member that caps a chat (None: as asked).

    `on_rest` is called when it is left alone for a while.
    """

    def __init__(
        self,
        terms: Terms,
        upstream: Upstream,
        known_as: str,
        clock: Clock,
        on_rest: Callable[[], None],
        *,
        chat_length: str | None = None,
    ) -> None:
        self.terms = terms
        self.upstream = upstream
        self._known_as = known_as
        self._chat_length = chat_length
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
        """Send a call, serialised as `body`, as `Upstream.post` does. Raises Unavailable also while the model rests."""

        def go() -> None:
            self._check(tenant)  # once more: it may have been asked to rest while the call waited for its turn
            begun()

        self._check(tenant)
        if not self._breaker.lets_through():
            raise _resting(self._breaker.rest)
        sent = self._clock.monotonic()
        if (named := self._named(call, dialect)) is not call.body:
            body = dialect.write(replace(call, body=named))
        try:
            answer = await self.upstream.post(dialect, headers, body, stream=call.stream, tenant=tenant, begun=go)
        except BaseException as error:
            self._note(error, tenant, sent)
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

    def _note(self, error: BaseException, tenant: str, sent: float) -> None:
        match error:
            case UpstreamUnreachable():
                self._breaker.failed()
            case UpstreamFailed() | UpstreamTimeout():
                self._breaker.failed(tenant)
            case _:  # its client left, or there was no room
                self._breaker.left(sent)

    def _named(self, call: Call, dialect: Dialect) -> dict[str, Any]:
        """Return a call's body with the names that the model's upstream knows."""
        body = call.body
        if self._known_as != call.model:
            body = {**body, "model": self._known_as}
        if self._chat_length is None or dialect.name != _CHAT:
            return body
        others = [name for name in _CHAT_LENGTHS if name in body and name != self._chat_length]
        if not others:
            return body
        body = dict(body)
        for name in others:
            length = body.pop(name)  # the same under both names, if it has both
            if length is not None:
                body[self._chat_length] = length
        return body

    def _check(self, tenant: str) -> None:
        if rest := self._asked.rest(tenant):
            raise _resting(rest)


def _resting(seconds: float) -> Unavailable:
    message = "The model is not answering right now. Try again shortly."
    return Unavailable(message, code="upstream_resting", retry_after=max(1.0, seconds))


def served_models(
    settings: Settings, upstreams: Mapping[str, Upstream], tally: Tally, clock: Clock
) -> dict[str, ServedModel]:
    """Return the models of the settings, by the name that customers have for them."""

    def served(name: str, model: Model) -> ServedModel:
        on_rest = partial(tally.count, "stillgate_upstream_rests_total", (name,))
        on_rest(0)  # a counter that starts at its first rest shows no increase for it
        return ServedModel(
            Terms(model.max_output_tokens, model.input_picodollars, model.output_picodollars),
            upstreams[model.upstream],
            model.known_as or name,
            clock,
            on_rest,
            chat_length=settings.upstreams[model.upstream].chat_length,
        )

    return {name: served(name, model) for name, model in settings.models.items()}
