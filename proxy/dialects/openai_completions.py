"""OpenAI's completions of texts, the API before chats: POST /v1/completions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

from proxy.dialects._answers import DocumentDecoder
from proxy.dialects._openai import OpenAIDialect
from proxy.dialects._openai_choices import ChoiceStream, observe_choices
from proxy.dialects._openai_completions_request import KNOWN, SETTINGS, USUAL_TOKENS, call_of
from proxy.dialects._openai_completions_wire import CompletionsWire
from proxy.dialects._openai_request import written
from proxy.dialects._texts import texts
from proxy.dialects.base import ChunkDecoder
from proxy.exchange import Call, Progress, Text
from proxy.wire import Wire


class OpenAICompletions(OpenAIDialect):
    """The dialect; `allow` names further top-level members that requests may have."""

    name: ClassVar[str] = "openai.completions"
    path: ClassVar[str] = "/v1/completions"
    known: ClassVar[frozenset[str]] = KNOWN

    def call(self, document: dict[str, Any]) -> Call:
        """Check a document that was read strictly."""
        return call_of(document, self._accepted)

    def write(self, call: Call) -> bytes:
        """Serialise the call with a cap on the answer, so that no server's own default exceeds what is reserved."""
        if call.body.get("max_tokens") is not None:
            return written(call)
        return written(replace(call, body={**call.body, "max_tokens": USUAL_TOKENS}))

    def texts(self, call: Call) -> Iterator[Text]:
        """Yield every string that the model would see, without a prompt given as tokens, which nobody here can read."""
        body = call.body
        if call.token_ids:
            body = {name: value for name, value in body.items() if name != "prompt"}
        return iter(texts(body, SETTINGS, KNOWN))

    def decoder(self, call: Call, *, streamed: bool, every: bool = False) -> ChunkDecoder:
        """Return a decoder for an answer that is a stream of events, or one JSON document."""
        return (
            ChoiceStream("", hide_usage=call.hide_usage, every=every)
            if streamed
            else DocumentDecoder(_observe_document, exact=every)
        )

    def wire(self, *, streamed: bool) -> Wire:
        """Return what actions may know of an answer."""
        return CompletionsWire(streamed=streamed)


def _observe_document(progress: Progress, document: dict[str, Any]) -> None:
    observe_choices(progress, document, "")
