"""OpenAI's chat completions: POST /v1/chat/completions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from proxy.dialects._answers import DocumentDecoder
from proxy.dialects._openai import OpenAIDialect
from proxy.dialects._openai_chat_request import KNOWN, SETTINGS, call_of
from proxy.dialects._openai_chat_returned import put_back
from proxy.dialects._openai_chat_wire import ChatWire
from proxy.dialects._openai_choices import ChoiceStream, observe_choices
from proxy.dialects._openai_request import written
from proxy.dialects._texts import texts
from proxy.dialects.base import ChunkDecoder
from proxy.exchange import Call, Progress, Text
from proxy.keyed.sealed_reasoning import SealedReasoning
from proxy.wire import Wire


class OpenAIChat(OpenAIDialect):
    """The dialect; `allow` names further top-level members that requests may have."""

    name: ClassVar[str] = "openai.chat"
    path: ClassVar[str] = "/v1/chat/completions"
    known: ClassVar[frozenset[str]] = KNOWN
    write = staticmethod(written)

    def call(self, document: dict[str, Any]) -> Call:
        """Check a document that was read strictly."""
        return call_of(document, self._accepted)

    def put_back(self, call: Call, sealed: SealedReasoning) -> Call:
        """Return the call with the withheld reasoning that its handles stand for. Raises BadRequest."""
        return put_back(call, sealed)

    def texts(self, call: Call) -> Iterator[Text]:
        """Yield every string that the model would see."""
        return iter(texts(call.body, SETTINGS, KNOWN))

    def decoder(self, call: Call, *, streamed: bool, every: bool = False) -> ChunkDecoder:
        """Return a decoder for an answer that is a stream of events, or one JSON document."""
        return (
            ChoiceStream("delta", hide_usage=call.hide_usage, every=every)
            if streamed
            else DocumentDecoder(_observe_document, exact=every)
        )

    def wire(self, *, streamed: bool) -> Wire:
        """Return what actions may know of an answer."""
        return ChatWire(streamed=streamed)


def _observe_document(progress: Progress, document: dict[str, Any]) -> None:
    observe_choices(progress, document, "message")
