"""What all of OpenAI's dialects have in common: credential, error shape, list of models, limit headers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import ClassVar

from proxy.dialects import strict_json
from proxy.dialects._endpoint import Endpoint
from proxy.dialects._failures import upstream_failure
from proxy.errors import ProxyError
from proxy.exchange import Call
from proxy.keyed.sealed_reasoning import SealedReasoning

# This API limits requests and tokens only, and does not distinguish input from output tokens.
_LIMITED = {"requests": "requests", "input_tokens": "tokens", "output_tokens": "tokens", "total_tokens": "tokens"}
_CACHED = 4096


class OpenAIDialect(Endpoint):
    """The parts of the Dialect protocol that do not depend on the endpoint."""

    request_id_header: ClassVar[str] = "x-request-id"
    forwarded_headers: ClassVar[frozenset[str]] = frozenset()
    beta_header: ClassVar[str] = ""
    default_headers: ClassVar[Mapping[str, str]] = {}
    overloaded_status: ClassVar[int] = 503

    def put_back(self, call: Call, sealed: SealedReasoning) -> Call:
        """Return the call as it is: the answers of most of these APIs have no handles."""
        del sealed
        return call

    def credential_headers(self, secret: str) -> Mapping[str, str]:
        """Return the headers that carry our credential to the upstream."""
        return {"authorization": f"Bearer {secret}"}

    def error(self, error: ProxyError, exchange_id: str) -> bytes:  # noqa: ARG002 - this API gives the id in a header
        """Return the JSON error body."""
        shape = {
            "message": error.message,
            "type": _error_type(error),
            "param": error.param,
            "code": error.code,
        }
        return strict_json.write({"error": shape})

    def error_event(self, error: ProxyError, exchange_id: str) -> bytes:
        """Return the error as the event that ends a stream; the blank line first ends an event that broke off."""
        return b"\n\ndata: %b\n\n" % self.error(error, exchange_id)

    def upstream_error(self, status: int, body: bytes, wait: float | None = None) -> ProxyError:
        """Turn an upstream's error answer into one that may be passed on."""
        return upstream_failure(status, body, wait, code="code")

    def models(self, models: list[str], created: int) -> bytes:
        """Return the list of models in this API's shape."""
        data = [{"id": name, "object": "model", "created": created, "owned_by": "stillgate"} for name in models]
        return strict_json.write({"object": "list", "data": data})

    def limit_names(self, measure: str) -> tuple[str, str, str] | None:
        """Return the headers that tell a client of a limit, None if this API has no word for the measure."""
        word = _LIMITED.get(measure)
        if word is None:
            return None
        return f"x-ratelimit-limit-{word}", f"x-ratelimit-remaining-{word}", f"x-ratelimit-reset-{word}"

    def limit_reset(self, seconds: int, now: float) -> str:  # noqa: ARG002 - this API says how long, not until when
        """Write a duration as this API does: `6m0s`."""
        return _duration(seconds)


def _error_type(error: ProxyError) -> str:
    if error.status == 429:
        return "insufficient_quota" if error.code == "insufficient_quota" else "rate_limit_error"
    if error.status == 403:
        return "permission_error"
    return "server_error" if error.status >= 500 else "invalid_request_error"


@lru_cache(_CACHED)
def _duration(seconds: int) -> str:
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{seconds}s"
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
