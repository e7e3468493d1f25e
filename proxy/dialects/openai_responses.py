"""OpenAI's responses: POST /v1/responses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from proxy.dialects import strict_json
from proxy.dialects._answers import DocumentDecoder
from proxy.dialects._openai import OpenAIDialect
from proxy.dialects._openai_responses_answer import ResponseStream, observe_response
from proxy.dialects._openai_responses_request import KNOWN, SETTINGS, call_of
from proxy.dialects._openai_responses_retelling import ResponseRetelling
from proxy.dialects._openai_responses_returned import put_back
from proxy.dialects._openai_responses_wire import ResponsesWire
from proxy.dialects._texts import texts
from proxy.dialects.base import ChunkDecoder
from proxy.errors import ProxyError
from proxy.exchange import Call, Text
from proxy.keyed.sealed_reasoning import SealedReasoning
from proxy.wire import Retelling, Wire


class OpenAIResponses(OpenAIDialect):
    """The dialect; `allow` names further top-level members that requests may have."""

    name: ClassVar[str] = "openai.responses"
    path: ClassVar[str] = "/v1/responses"
    known: ClassVar[frozenset[str]] = KNOWN

    def call(self, document: dict[str, Any]) -> Call:
        """Check a document that was read strictly."""
        return call_of(document, self._accepted)

    def write(self, call: Call) -> bytes:
        """Serialise the call; this API always sends the usage."""
        return strict_json.write(call.body)

    def put_back(self, call: Call, sealed: SealedReasoning) -> Call:
        """Return the call with the reasoning that its handles stand for. Raises BadRequest."""
        return put_back(call, sealed)

    def texts(self, call: Call) -> Iterator[Text]:
        """Yield every string that the model would see."""
        return iter(texts(call.body, SETTINGS, KNOWN, items="input"))

    def decoder(self, call: Call, *, streamed: bool, every: bool = False) -> ChunkDecoder:
        """Return a decoder for an answer that is a stream of events, or one JSON document."""
        del call  # we ask for nothing besides
        return ResponseStream(every=every) if streamed else DocumentDecoder(observe_response, exact=every)

    def wire(self, *, streamed: bool) -> Wire:
        """Return what actions may know of an answer."""
        return ResponsesWire(streamed=streamed)

    def retelling(self, asked: Call, sent: Call, *, streamed: bool) -> Retelling:
        """Return what keeps the answer consistent behind all actions."""
        return ResponseRetelling(asked, sent, streamed=streamed)

    def error_event(self, error: ProxyError, exchange_id: str) -> bytes:
        """Return the error as the event that ends a stream, in the documented form and in that which clients raise."""
        body = strict_json.read(self.error(error, exchange_id))["error"]
        shape = {name: body[name] for name in ("code", "message", "param")}
        document = {"type": "error", **shape, "sequence_number": 0, "error": body}
        return b"\n\nevent: error\ndata: %b\n\n" % strict_json.write(document)
