"""The parts of a message as an answer: one document, or the events of a stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from proxy.dialects._answers import written_bytes
from proxy.dialects._anthropic_answer import written_in
from proxy.dialects._anthropic_reasoning import MessageWithoutReasoning, StreamWithoutReasoning
from proxy.exchange import Chunk
from proxy.wire import ALL_LANES, Kind, Part, Seal, Summarise, Transform, manner


class MessagesWire:
    """The wire; a lane is the number of a content block."""

    def __init__(self, *, streamed: bool) -> None:
        self.streamed = streamed
        self.one_answer = True

    def parts(self, chunk: Chunk) -> Sequence[Part]:
        """Return the parts of a chunk."""
        if chunk.data is None:
            return []
        failed = [Part(Kind.ERROR, ALL_LANES, ("error",))] if chunk.data.get("error") else []
        return [*failed, *(_of_event(chunk.data) if self.streamed else _of_message(chunk.data, ()))]

    def written(self, chunk: Chunk) -> int:
        """Return how many UTF-8 bytes of a chunk the model wrote."""
        if chunk.data is None:
            return 0
        content = chunk.data.get("content")
        blocks = [*(content if type(content) is list else ()), chunk.data.get("content_block")]
        return written_bytes(chunk.data.get("delta")) + sum(map(written_in, blocks))

    def coarse(self, logprobs: Any, most: int | None, decimals: int | None) -> Any:  # noqa: ANN401 - JSON
        """Return what came: this API has no log-probabilities."""
        del most, decimals
        return logprobs

    def delta(self, like: Chunk, lane: int, text: str) -> Chunk:
        """Return an event that carries on a text block."""
        data = {"type": "content_block_delta", "index": lane, "delta": {"type": "text_delta", "text": text}}
        return Chunk(None, data, "content_block_delta", like=manner(like))

    def without_reasoning(self, seal: Seal, summarise: Summarise | None) -> Transform:
        """Return a transform that puts a handle in place of each block of reasoning, and perhaps a summary."""
        made = StreamWithoutReasoning if self.streamed else MessageWithoutReasoning
        return made(seal, summarise)


def _of_message(message: dict[str, Any], where: tuple[str, ...]) -> Iterator[Part]:
    if type(message.get("model")) is str:
        yield Part(Kind.MODEL, ALL_LANES, (*where, "model"), message["model"])
    content = message.get("content")
    for place, block in enumerate(content if type(content) is list else ()):
        if type(block) is dict and block.get("type") == "text" and type(block.get("text")) is str:
            yield Part(Kind.TEXT, place, (*where, "content", place, "text"), block["text"])
            yield Part(Kind.END, place, ())
        elif type(block) is dict and block.get("type") in ("thinking", "redacted_thinking"):
            yield Part(Kind.REASONING, place, (*where, "content", place))
    yield from _stop(message, where)


def _of_event(event: dict[str, Any]) -> Iterator[Part]:
    kind, index = event.get("type"), event.get("index")
    lane = index if type(index) is int else ALL_LANES
    if kind == "message_start" and type(event.get("message")) is dict:
        yield from _of_message(event["message"], ("message",))
    elif kind == "content_block_start" and type(block := event.get("content_block")) is dict:
        yield from _of_start(block, lane)
    elif kind == "content_block_delta" and type(delta := event.get("delta")) is dict:
        if delta.get("type") == "text_delta" and type(delta.get("text")) is str:
            yield Part(Kind.TEXT, lane, ("delta", "text"), delta["text"], alone=True)
        elif delta.get("type") == "thinking_delta" and type(delta.get("thinking")) is str:
            yield Part(Kind.REASONING, lane, ("delta", "thinking"), delta["thinking"], alone=True)
    elif kind == "content_block_stop":
        yield Part(Kind.END, lane, ())
    elif kind == "message_delta" and type(event.get("delta")) is dict:
        yield from _stop(event["delta"], ("delta",))
    elif kind == "message_stop":
        yield Part(Kind.END, ALL_LANES, ())


def _of_start(block: dict[str, Any], lane: int) -> Iterator[Part]:
    if block.get("type") == "text" and type(block.get("text")) is str:
        yield Part(Kind.TEXT, lane, ("content_block", "text"), block["text"])
    elif block.get("type") in ("thinking", "redacted_thinking"):
        yield Part(Kind.REASONING, lane, ("content_block",))


def _stop(holder: dict[str, Any], where: tuple[str, ...]) -> Iterator[Part]:
    if holder.get("stop_sequence") is not None:
        yield Part(Kind.STOP, ALL_LANES, (*where, "stop_sequence"))
