"""Decodes the answers of Anthropic's messages: a stream of events, or one message."""

from __future__ import annotations

from typing import Any, ClassVar

from proxy.dialects._answers import ObservedStream, error_type, member, note_model, thought, tokens, written_bytes
from proxy.dialects._passed_over import AT_ONCE_BYTES
from proxy.dialects._sse import MAX_EVENT_BYTES
from proxy.exchange import Progress, Usage

_MAX_SEALS = 64
_COMPACTION = "compaction"  # a type of blocks and of iterations
# The members of blocks, and of the deltas that carry them on, that hold seals.
_SEALS = {
    "thinking": ("signature",),
    "redacted_thinking": ("data",),
    _COMPACTION: ("signature", "encrypted_content"),
    "signature_delta": ("signature",),
    "compaction_delta": ("encrypted_content",),
}


class MessageStream(ObservedStream):
    """Decodes the events of one message.

    The tokens read are known with the first event, those written with the last but one. No usage is noted before that:
    half of it would pass for a short answer.
    """

    _TELLING: ClassVar[tuple[bytes, ...]] = (
        b'"usage"',
        b'"error"',
        b'"message_stop"',
        b'"signature_delta"',
        b'"redacted_thinking"',
        b'"compaction',  # a block, or its delta
        b'"file_id"',  # ids have to be tagged for the tenant
        b'_tool_result"',  # the model wrote nothing of it
    )

    def __init__(self, *, every: bool) -> None:
        # There are no log-probabilities; what has their name is an argument of a call, which counts.
        super().__init__(AT_ONCE_BYTES if every else MAX_EVENT_BYTES, every=every)
        self._first: dict[str, Any] = {}

    def _written(self, document: dict[str, Any]) -> int:
        return written_bytes(document.get("delta"))

    def _observe(self, document: dict[str, Any]) -> None:
        kind = document.get("type")
        progress = self.progress
        if kind == "content_block_delta":
            delta = document.get("delta")
            progress.output_bytes += written_bytes(delta)
            _note_seals(progress, delta)
        elif kind == "content_block_start":
            block = document.get("content_block")
            progress.output_bytes += written_in(block)
            _note_seals(progress, block)
        elif kind == "message_start":
            note_model(progress, document.get("message"))
            usage = member(document.get("message"), "usage")
            self._first = usage if type(usage) is dict else {}
        elif kind == "message_delta":
            # Its figures are totals so far; those that it leaves out stand as they were at the start.
            usage = document.get("usage")
            progress.refused = progress.refused or member(document.get("delta"), "stop_reason") == "refusal"
            if type(usage) is dict:
                sent = {name: count for name, count in usage.items() if count is not None}
                progress.usage = _usage({**self._first, "output_tokens": None, **sent}) or progress.usage
        elif kind == "message_stop":
            progress.complete = True
        elif kind == "error":
            progress.failed = error_type(document.get("error"))


def written_in(block: object) -> int:
    """Count the UTF-8 bytes that the model wrote in a block; the result of a server tool it has only read."""
    return 0 if str(member(block, "type")).endswith("_tool_result") else written_bytes(block)


def observe_message(progress: Progress, document: dict[str, Any]) -> None:
    """Read a whole message into the progress."""
    kind = document.get("type")
    progress.complete = kind == "message"
    progress.refused = document.get("stop_reason") == "refusal"
    content = document.get("content")
    for block in content if type(content) is list else ():
        _note_seals(progress, block)
    note_model(progress, document)
    progress.usage = _usage(document.get("usage"))
    if progress.usage is None:  # only then is there anything to estimate
        progress.output_bytes += sum(map(written_in, content if type(content) is list else ()))
    if kind == "error":
        progress.failed = error_type(document.get("error"))


def _note_seals(progress: Progress, block: object) -> None:
    """Note the seals of reasoning or of a compaction, a few at most: an answer has one or two."""
    kind = member(block, "type")
    for name in _SEALS.get(kind, ()) if type(kind) is str else ():
        seal = member(block, name)
        if type(seal) is str and seal and len(progress.signatures) < _MAX_SEALS:
            progress.signatures.append(seal)


def _usage(usage: object) -> Usage | None:
    """Return a usage, None if it is none. Its totals do not include compaction, which is added."""
    total = _sum(usage)
    iterations = member(usage, "iterations")
    if total is None or type(iterations) is not list:
        return total
    apart = [_sum(each) for each in iterations if member(each, "type") == _COMPACTION]
    read, written = (sum(each[of] for each in (total, *apart) if each is not None) for of in (0, 1))
    return Usage(read, written, total.reasoning)


def _sum(usage: object) -> Usage | None:
    read, written = tokens(usage, "input_tokens"), tokens(usage, "output_tokens")
    if read is None or written is None:
        return None
    for cached in ("cache_creation_input_tokens", "cache_read_input_tokens"):
        if member(usage, cached) is not None:
            count = tokens(usage, cached)
            if count is None:
                return None
            read += count
    return Usage(read, written, thought(usage, "output_tokens_details", written))
