"""What Anthropic's dialects have in common: credential, version, error shape, list of models, limit headers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from math import ceil
from typing import Any, ClassVar

from proxy.dialects import strict_json
from proxy.dialects._anthropic_returned import put_back
from proxy.dialects._endpoint import Endpoint
from proxy.dialects._failures import upstream_failure
from proxy.errors import ProxyError
from proxy.exchange import Call
from proxy.keyed.issued_ids import StateRefused
from proxy.keyed.sealed_reasoning import SealedReasoning

_ERROR_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_LIMITED = {
    "requests": "requests",
    "input_tokens": "input-tokens",
    "output_tokens": "output-tokens",
    "total_tokens": "tokens",
}
_CACHED = 4096


class AnthropicDialect(Endpoint):
    """The parts of the Dialect protocol that do not depend on the endpoint."""

    request_id_header: ClassVar[str] = "request-id"
    forwarded_headers: ClassVar[frozenset[str]] = frozenset({"anthropic-version"})
    beta_header: ClassVar[str] = "anthropic-beta"
    default_headers: ClassVar[Mapping[str, str]] = {"anthropic-version": "2023-06-01"}
    overloaded_status: ClassVar[int] = 529

    def put_back(self, call: Call, sealed: SealedReasoning) -> Call:
        """Return the call with the blocks that its handles stand for."""
        return put_back(call, sealed)

    def credential_headers(self, secret: str) -> Mapping[str, str]:
        """Return the headers that carry our credential to the upstream."""
        return {"x-api-key": secret}

    def error(self, error: ProxyError, exchange_id: str) -> bytes:
        """Return the JSON error body."""
        unnamed = "api_error" if error.status >= 500 else "invalid_request_error"
        shape: dict[str, Any] = {"type": _ERROR_TYPES.get(error.status, unnamed), "message": error.message}
        if error.details is not None:
            shape["details"] = error.details
        elif isinstance(error, StateRefused) and error.param == "thread":
            shape["details"] = {"error_code": "thread_unsupported_request"}  # this tells clients to go on without
        return strict_json.write({"type": "error", "error": shape, "request_id": exchange_id})

    def error_event(self, error: ProxyError, exchange_id: str) -> bytes:
        """Return the error as the event that ends a stream; the blank line first ends an event that broke off."""
        return b"\n\nevent: error\ndata: %b\n\n" % self.error(error, exchange_id)

    def upstream_error(self, status: int, body: bytes, wait: float | None = None) -> ProxyError:
        """Turn an upstream's error answer into one that may be passed on."""
        return upstream_failure(status, body, wait, code="type")

    def models(self, models: list[str], created: int) -> bytes:
        """Return the list of models in this API's shape, all on one page."""
        moment = _moment(created)
        data = [
            {"type": "model", "id": name, "display_name": name, "created_at": moment, "lifecycle": "active"}
            for name in models
        ]
        first, last = (models[0], models[-1]) if models else (None, None)
        return strict_json.write({"data": data, "has_more": False, "first_id": first, "last_id": last})

    def limit_names(self, measure: str) -> tuple[str, str, str] | None:
        """Return the headers that tell a client of a limit, None if this API has no word for the measure."""
        word = _LIMITED.get(measure)
        if word is None:
            return None
        name = f"anthropic-ratelimit-{word}"
        return f"{name}-limit", f"{name}-remaining", f"{name}-reset"

    def limit_reset(self, seconds: int, now: float) -> str:
        """Return the moment as this API does, rounded up to a whole second."""
        return _moment(ceil(now + seconds))


@lru_cache(_CACHED)
def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
