"""Puts a summary in the place of a block of reasoning, with the block's handle as its signature.

A client returns the signature with the block, and so the original can be put back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from proxy.exchange import Asking, Chunk, Gap
from proxy.wire import Path, Summarise, edited


def in_message(path: Path, block: Mapping[str, Any], handle: str, summarise: Summarise | None) -> Gap | None:
    """Return the gap at the place of a block in a message, None if there is to be no summary of it."""
    asking = _asking(block, summarise)

    def fill(chunk: Chunk, summary: str) -> Sequence[Chunk]:
        return [edited(chunk, {path: _thinking(summary, handle)}) if summary else chunk]

    return None if asking is None else Gap(asking, fill)


def in_stream(
    start: Mapping[str, Any], block: Mapping[str, Any], handle: str, summarise: Summarise | None
) -> Gap | None:
    """Return the gap in the event that starts a block, None if there is to be no summary of it."""
    asking = _asking(block, summarise)

    def delta(**members: str) -> Chunk:
        event = {"type": "content_block_delta", "index": start.get("index"), "delta": members}
        return Chunk(None, event, "content_block_delta")

    def fill(chunk: Chunk, summary: str) -> Sequence[Chunk]:
        if not summary:
            return [chunk]
        return [
            Chunk(None, {**start, "content_block": _thinking("", "")}, chunk.event),
            delta(type="thinking_delta", thinking=summary),
            delta(type="signature_delta", signature=handle),
        ]

    return None if asking is None else Gap(asking, fill)


def _asking(block: Mapping[str, Any], summarise: Summarise | None) -> Asking | None:
    text = block.get("thinking")
    return summarise(text) if summarise is not None and type(text) is str else None


def _thinking(text: str, signature: str) -> dict[str, str]:
    return {"type": "thinking", "thinking": text, "signature": signature}
