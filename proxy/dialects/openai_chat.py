"""OpenAI's chat completions: POST /v1/chat/completions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from proxy.dialects import strict_json
from proxy.dialects._answer_json import load
from proxy.dialects._answers import DocumentDecoder, StreamDecoder, error_type, member, tokens, written_bytes
from proxy.dialects._openai import OpenAIDialect
from proxy.dialects._openai_chat_request import KNOWN, SETTINGS, call_of
from proxy.dialects._openai_chat_wire import ChatWire
from proxy.dialects._request import accepted_names
from proxy.dialects._sse import Event
from proxy.dialects._texts import texts
from proxy.dialects.base import ChunkDecoder
from proxy.exchange import Call, Chunk, Progress, Text, Usage
from proxy.sealed_reasoning import SealedReasoning
from proxy.wire import Wire


class OpenAIChat(OpenAIDialect):
    """The dialect; `allow` names further top-level members that requests may have."""

    name: ClassVar[str] = "openai.chat"
    path: ClassVar[str] = "/v1/chat/completions"

    def __init__(self, allow: frozenset[str] = frozenset()) -> None:
        self._accepted = accepted_names(KNOWN, allow)

    def read(self, body: bytes) -> Call:
        """Read a request strictly."""
        return self.call(strict_json.read(body))

    def call(self, document: dict[str, Any]) -> Call:
        """Check a document that was read strictly."""
        return call_of(document, self._accepted)

    def write(self, call: Call) -> bytes:
        """Serialise the call, asking for the usage of a stream whether the client did or not."""
        if not call.hide_usage:
            return strict_json.write(call.body)
        options = {**(call.body.get("stream_options") or {}), "include_usage": True}
        return strict_json.write({**call.body, "stream_options": options})

    def put_back(self, call: Call, sealed: SealedReasoning) -> Call:
        """Return the call: answers of this API have no handles."""
        del sealed
        return call

    def texts(self, call: Call) -> Iterator[Text]:
        """Yield every string that the model would see."""
        return iter(texts(call.body, SETTINGS, KNOWN))

    def decoder(self, call: Call, *, streamed: bool, every: bool = False) -> ChunkDecoder:
        """Return a decoder for an answer that is a stream of events, or one JSON document."""
        return (
            _ChatStream(hide_usage=call.hide_usage, every=every)
            if streamed
            else DocumentDecoder(_observe_document, exact=every)
        )

    def wire(self, *, streamed: bool) -> Wire:
        """Return what actions may know of an answer."""
        return ChatWire(streamed=streamed)


class _ChatStream(StreamDecoder):
    """Decodes a stream of completion chunks; `hide_usage` takes the usage out again that only we asked for."""

    _TELLING: ClassVar[tuple[bytes, ...]] = (b'"usage"', b'"error"', b"[DONE]", b'"refusal":"', b"content_filter")

    def __init__(self, *, hide_usage: bool, every: bool = False) -> None:
        super().__init__(every=every)
        self._hide_usage = hide_usage

    def _trimmed(self, events: bytes) -> bytes:
        # Inside a string the quotes would be escaped, so these bytes are always a member, unless a line begins with
        # them. Those and other spellings are left to `_chunks`.
        if not self._hide_usage or b'\n,"usage":null' in events or events.startswith(b',"usage":null'):
            return events
        return events.replace(b',"usage":null', b"")

    def _written(self, document: dict[str, Any]) -> int:
        return _written_bytes(document.get("choices"), "delta")

    def _chunks(self, events: list[Event]) -> list[Chunk]:
        chunks = []
        progress = self.progress
        for raw, name, data in events:
            document = load(data)
            kept: bytes | None = raw
            if document is None:
                progress.complete = progress.complete or data == b"[DONE]"
            else:
                choices = document.get("choices")
                if choices:
                    progress.output_bytes += _written_bytes(choices, "delta")
                    progress.refused = progress.refused or _refused(choices, "delta")
                if "usage" in document or "error" in document:
                    _observe_extras(progress, document)
                    if self._hide_usage and "usage" in document:
                        if document.pop("usage") is not None and not choices and "error" not in document:
                            continue
                        kept = None
            chunks.append(Chunk(kept, document, name.decode(errors="replace") if name else ""))
        return chunks


def _observe_document(progress: Progress, document: dict[str, Any]) -> None:
    choices = document.get("choices")
    progress.complete = type(choices) is list
    progress.refused = _refused(choices, "message")
    _observe_extras(progress, document)
    if progress.usage is None:  # only then is there anything to estimate
        progress.output_bytes += _written_bytes(choices, "message")


def _written_bytes(choices: object, holder: str) -> int:
    count = 0
    if type(choices) is list:
        for choice in choices:
            if type(choice) is dict:
                count += written_bytes(choice.get(holder))
    return count


def _refused(choices: object, holder: str) -> bool:
    """Tell whether the model declined in any of the choices."""
    if type(choices) is list:
        for choice in choices:
            if type(choice) is dict and (
                choice.get("finish_reason") == "content_filter" or member(choice.get(holder), "refusal")
            ):
                return True
    return False


def _observe_extras(progress: Progress, document: dict[str, Any]) -> None:
    usage = document.get("usage")
    prompt, completion = tokens(usage, "prompt_tokens"), tokens(usage, "completion_tokens")
    if prompt is not None and completion is not None:
        progress.usage = Usage(prompt, completion)
    error = document.get("error")
    if error:
        progress.failed = error_type(error)
