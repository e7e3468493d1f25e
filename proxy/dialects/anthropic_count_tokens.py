"""Anthropic's count of a message's tokens before it is sent: POST /v1/messages/count_tokens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from proxy.dialects._answers import DocumentDecoder, tokens
from proxy.dialects._anthropic import AnthropicDialect
from proxy.dialects._anthropic_request import COUNTED, SETTINGS, count_of
from proxy.dialects._texts import texts
from proxy.dialects._wordless import WordlessWire, refuse_stream, write_unstreamed
from proxy.dialects.base import ChunkDecoder
from proxy.exchange import Call, Progress, Text, Usage
from proxy.wire import Wire

_NOTHING = Usage(0, 0)


class AnthropicCountTokens(AnthropicDialect):
    """The dialect; `allow` names further top-level members that requests may have. A count costs no tokens."""

    name: ClassVar[str] = "anthropic.count_tokens"
    path: ClassVar[str] = "/v1/messages/count_tokens"
    known: ClassVar[frozenset[str]] = COUNTED

    def call(self, document: dict[str, Any]) -> Call:
        """Check a document that was read strictly."""
        return count_of(document, self._accepted)

    def write(self, call: Call) -> bytes:
        """Serialise the call."""
        return write_unstreamed(call)

    def texts(self, call: Call) -> Iterator[Text]:
        """Yield every string that the model would see."""
        return iter(texts(call.body, SETTINGS, COUNTED))

    def decoder(self, call: Call, *, streamed: bool, every: bool = False) -> ChunkDecoder:
        """Return a decoder for an answer that is one JSON document."""
        del call  # we ask for nothing besides
        refuse_stream(streamed=streamed)
        return DocumentDecoder(_observe, exact=every)

    def wire(self, *, streamed: bool) -> Wire:
        """Return what actions may know of an answer: nothing."""
        del streamed  # the decoder has refused streams
        return WordlessWire()


def _observe(progress: Progress, document: dict[str, Any]) -> None:
    progress.complete = tokens(document, "input_tokens") is not None
    progress.usage = _NOTHING if progress.complete else None
