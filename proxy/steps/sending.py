"""The way out: the call that was decided on goes upstream, with our headers, and the answer's head comes back."""

from __future__ import annotations

import asyncio

from aiohttp.web_request import BaseRequest

from proxy.deciding.course import Course
from proxy.dialects.base import Dialect
from proxy.errors import UpstreamTimeout
from proxy.exchange import Call
from proxy.steps.parts import Parts
from proxy.upstream.model_api import UpstreamAnswer, UpstreamReset

_ERROR_BODY_BYTES = 65_536
_ERROR_BODY_S = 3.0


async def send(
    parts: Parts, request: BaseRequest, dialect: Dialect, course: Course, call: Call, body: bytes
) -> UpstreamAnswer:
    """Send a call, serialised as `body`, upstream; return once the head of a successful answer is there.

    Raises ProxyError.
    """
    model = parts.models[call.model]
    headers = {"x-request-id": course.exchange.id, **course.exchange.trace.headers(), **dialect.default_headers}
    for name in dialect.forwarded_headers:
        if name in request.headers:
            headers[name] = request.headers[name]
    if dialect.beta_header and (betas := _betas(request, dialect, parts.betas)):
        headers[dialect.beta_header] = betas
    now = parts.clock.monotonic
    course.upstream, course.model = model.upstream.name, call.model

    def begun() -> None:
        course.sent = now()
        course.deadline = course.sent + model.upstream.total_seconds

    answer = await model.post(course.exchange.principal.tenant, dialect, headers, call, body, begun)
    course.head = now()
    if answer.status == 200:
        return answer
    try:
        words = await _words(answer)
        # A caller who is to believe that the asked-for model answers must not read another one's words.
        wait = answer.wait(parts.clock.wall())
        raise dialect.upstream_error(answer.status, words if course.disclosed or not course.rerouted else b"", wait)
    finally:
        answer.close()


async def _words(answer: UpstreamAnswer) -> bytes:
    """Return the body of an error, empty if it breaks off or comes slowly: its status says enough."""
    try:
        async with asyncio.timeout(_ERROR_BODY_S):
            return await answer.read_at_most(_ERROR_BODY_BYTES)
    except (TimeoutError, UpstreamReset, UpstreamTimeout):
        return b""


def _betas(request: BaseRequest, dialect: Dialect, allowed: frozenset[str]) -> str:
    """Return what a client turns on with the API's beta header, as far as that is allowed."""
    if not allowed:
        return ""
    named = ",".join(request.headers.getall(dialect.beta_header, ())).split(",")
    return ",".join(dict.fromkeys(name for each in named if (name := each.strip()) in allowed))
