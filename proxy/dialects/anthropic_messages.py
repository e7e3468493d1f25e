"""Anthropic's messages: POST /v1/messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from proxy.dialects import strict_json
from proxy.dialects._answers import MAX_DOCUMENT_BYTES, DocumentDecoder
from proxy.dialects._anthropic import AnthropicDialect
from proxy.dialects._anthropic_answer import MessageStream, observe_message
from proxy.dialects._anthropic_request import KNOWN, SETTINGS, call_of
from proxy.dialects._anthropic_wire import MessagesWire
from proxy.dialects._passed_over import AT_ONCE_BYTES
from proxy.dialects._texts import texts
from proxy.dialects.base import ChunkDecoder
from proxy.exchange import Call, Text
from proxy.wire import Wire


class AnthropicMessages(AnthropicDialect):
    """The dialect; `allow` names further top-level members that requests may have."""

    name: ClassVar[str] = "anthropic.messages"
    path: ClassVar[str] = "/v1/messages"
    known: ClassVar[frozenset[str]] = KNOWN

    def call(self, document: dict[str, Any]) -> Call:
        """Check a document that was read strictly."""
        return call_of(document, self._accepted)

    def write(self, call: Call) -> bytes:
        """Serialise the call; this API always sends the usage."""
        return strict_json.write(call.body)

    def texts(self, call: Call) -> Iterator[Text]:
        """Yield every string that the model would see."""
        return iter(texts(call.body, SETTINGS, KNOWN))

    def decoder(self, call: Call, *, streamed: bool, every: bool = False) -> ChunkDecoder:
        """Return a decoder for an answer that is a stream of events, or one JSON document."""
        del call  # we ask for nothing besides
        if streamed:
            return MessageStream(every=every)
        # There are no log-probabilities; what has their name is an argument of a call, which counts.
        at_once = AT_ONCE_BYTES if every else MAX_DOCUMENT_BYTES
        return DocumentDecoder(observe_message, at_once=at_once, exact=every)

    def wire(self, *, streamed: bool) -> Wire:
        """Return what actions may know of an answer."""
        return MessagesWire(streamed=streamed)
