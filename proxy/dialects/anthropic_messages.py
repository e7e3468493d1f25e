"""Anthropic's messages: POST /v1/messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from math import ceil
from typing import Any, ClassVar

from proxy.dialects import strict_json
from proxy.dialects._answers import DocumentDecoder, encode
from proxy.dialects._anthropic_answer import MessageStream, observe_message
from proxy.dialects._anthropic_request import KNOWN, SETTINGS, call_of
from proxy.dialects._anthropic_returned import put_back
from proxy.dialects._anthropic_wire import MessagesWire
from proxy.dialects._failures import upstream_failure
from proxy.dialects._request import accepted_names
from proxy.dialects._texts import texts
from proxy.dialects.base import ChunkDecoder
from proxy.errors import ProxyError
from proxy.exchange import Call, Chunk, Text
from proxy.sealed_reasoning import SealedReasoning
from proxy.wire import Wire

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


class AnthropicMessages:
    """The dialect; `allow` names further top-level members that requests may have."""

    name: ClassVar[str] = "anthropic.messages"
    path: ClassVar[str] = "/v1/messages"
    request_id_header: ClassVar[str] = "request-id"
    forwarded_headers: ClassVar[frozenset[str]] = frozenset({"anthropic-version"})
    default_headers: ClassVar[Mapping[str, str]] = {"anthropic-version": "2023-06-01"}

    def __init__(self, allow: frozenset[str] = frozenset()) -> None:
        self._accepted = accepted_names(KNOWN, allow)

    def read(self, body: bytes) -> Call:
        """Read a request strictly."""
        return self.call(strict_json.read(body))

    def call(self, document: dict[str, Any]) -> Call:
        """Check a document that was read strictly."""
        return call_of(document, self._accepted)

    def write(self, call: Call) -> bytes:
        """Serialise the call; this API always sends the usage."""
        return strict_json.write(call.body)

    def put_back(self, call: Call, sealed: SealedReasoning) -> Call:
        """Return the call with the blocks that its handles stand for."""
        return put_back(call, sealed)

    def texts(self, call: Call) -> Iterator[Text]:
        """Yield every string that the model would see."""
        return iter(texts(call.body, SETTINGS, KNOWN))

    def credential_headers(self, secret: str) -> Mapping[str, str]:
        """Return the headers that carry our credential to the upstream."""
        return {"x-api-key": secret}

    def decoder(self, call: Call, *, streamed: bool, every: bool = False) -> ChunkDecoder:
        """Return a decoder for an answer that is a stream of events, or one JSON document."""
        del call  # nothing of it was ours to ask
        return MessageStream(every=every) if streamed else DocumentDecoder(observe_message, exact=every)

    def wire(self, *, streamed: bool) -> Wire:
        """Return what actions may know of an answer."""
        return MessagesWire(streamed=streamed)

    def encode(self, chunk: Chunk, *, streamed: bool) -> bytes:
        """Return a chunk's bytes: as they came, or written anew if it was changed."""
        return encode(chunk, streamed=streamed)

    def error(self, error: ProxyError, exchange_id: str) -> bytes:
        """Return the JSON error body."""
        unnamed = "api_error" if error.status >= 500 else "invalid_request_error"
        shape = {"type": _ERROR_TYPES.get(error.status, unnamed), "message": error.message}
        return strict_json.write({"type": "error", "error": shape, "request_id": exchange_id})

    def error_event(self, error: ProxyError, exchange_id: str) -> bytes:
        """Return the error as the event that ends a stream; the blank line first ends an event that broke off."""
        return b"\n\nevent: error\ndata: %b\n\n" % self.error(error, exchange_id)

    def upstream_error(self, status: int, body: bytes) -> ProxyError:
        """Turn an upstream's error answer into one that may be passed on."""
        return upstream_failure(status, body, code="type")

    def models(self, models: list[str], created: int) -> bytes:
        """Return the list of models in this API's shape, all on one page."""
        moment = _moment(created)
        data = [
            {"type": "model", "id": name, "display_name": name, "created_at": moment, "lifecycle": "active"}
            for name in models
        ]
        first, last = (models[0], models[-1]) if models else (None, None)
        return strict_json.write({"data": data, "has_more": False, "first_id": first, "last_id": last})

    def limit_headers(
        self, measure: str, limit: int, remaining: int, reset_seconds: float, now: float
    ) -> dict[str, str]:
        """Return the headers that tell a client about one limit, none if this API has no word for the measure."""
        limited = _LIMITED.get(measure)
        if limited is None:
            return {}
        return {
            f"anthropic-ratelimit-{limited}-limit": str(limit),
            f"anthropic-ratelimit-{limited}-remaining": str(max(0, remaining)),
            f"anthropic-ratelimit-{limited}-reset": _moment(ceil(now + max(0.0, reset_seconds))),
        }


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
