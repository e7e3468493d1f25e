"""Puts a summary into an item of reasoning that was withheld; in a stream, events tell it before the whole item.

Where the item is repeated later, `_openai_responses_retelling` puts in the summary that was sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from proxy.exchange import Asking, Chunk, Gap
from proxy.wire import Path, Summarise, edited

_KIND = "response.reasoning_summary"


def in_response(path: Path, item: Mapping[str, Any], summarise: Summarise | None) -> Gap | None:
    """Return the gap in an item of a response, None if it gets no summary; `item` is as it came."""
    asking = _asking(item, summarise)

    def fill(chunk: Chunk, summary: str) -> Sequence[Chunk]:
        return [edited(chunk, {(*path, "summary"): [_part(summary)]}) if summary else chunk]

    return None if asking is None else Gap(asking, fill)


def in_stream(item: Mapping[str, Any], summarise: Summarise | None) -> Gap | None:
    """Return the gap in the event that gives an item as a whole, None if it gets no summary."""
    asking = _asking(item, summarise)

    def fill(chunk: Chunk, summary: str) -> Sequence[Chunk]:
        if not summary:
            return [chunk]
        return [*_told(chunk, summary), edited(chunk, {("item", "summary"): [_part(summary)]})]

    return None if asking is None else Gap(asking, fill)


def _told(chunk: Chunk, summary: str) -> Iterator[Chunk]:
    """Yield the events of a summary; each has the number of the event with its item, until it leaves."""
    event = chunk.data or {}
    item = event.get("item", {})
    about: dict[str, Any] = {"item_id": item.get("id", ""), "output_index": event.get("output_index")}
    about["summary_index"] = 0
    if "sequence_number" in event:
        about["sequence_number"] = event["sequence_number"]
    for kind, members in (
        ("_part.added", {"part": _part("")}),
        ("_text.delta", {"delta": summary}),
        ("_text.done", {"text": summary}),
        ("_part.done", {"part": _part(summary)}),
    ):
        yield Chunk(None, {"type": _KIND + kind, **about, **members}, _KIND + kind, like=chunk.like)


def _part(text: str) -> dict[str, str]:
    return {"type": "summary_text", "text": text}


def _asking(item: Mapping[str, Any], summarise: Summarise | None) -> Asking | None:
    """Say how to ask for the summary of an item: of its text, or else of the summary that the model API gave."""
    if summarise is None:
        return None
    return summarise(_text(item.get("content")) or _text(item.get("summary")))


def _text(parts: object) -> str:
    texts = [part.get("text") for part in (parts if type(parts) is list else ()) if type(part) is dict]
    return "\n".join(text for text in texts if type(text) is str)
