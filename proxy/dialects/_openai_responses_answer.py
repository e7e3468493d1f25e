"""Decodes the answers of OpenAI's responses API: typed events, or one response."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from proxy.dialects._answers import ObservedStream, error_type, member, note_model, thought, tokens, written_bytes
from proxy.exchange import Progress, Usage, text_bytes

_MAX_SEALS = 64
_ENDS = ("response.completed", "response.incomplete")
_FOUND = ("file_search_call", "tool_search_output")  # items whose texts the model only read
# The text of an event as JSON spells it: a string with its escapes.
_DELTA = re.compile(rb'"delta": ?"([^"\\]*(?:\\.[^"\\]*)*)"')
_ESCAPE_BYTES = 3  # how much longer most characters are escaped than in UTF-8


class ResponseStream(ObservedStream):
    """Decodes the events of one response.

    Events that repeat what came in pieces, or hold the response so far, are read.
    """

    _TELLING: ClassVar[tuple[bytes, ...]] = (
        b'"response"',
        b'"item"',
        b'"error"',
        b'.done"',
        b'.added"',
        b"response.refusal",
    )

    def _counted(self, events: bytes, size: int) -> bool:
        # Events of many kinds and with padding of any length share no envelope, but each has its text in one place.
        written = b"".join(_DELTA.findall(events, 0, size))
        self.progress.output_bytes += len(written) - _ESCAPE_BYTES * written.count(b"\\u")
        return True

    def _written(self, document: dict[str, Any]) -> int:
        return written_by(document)

    def _observe(self, document: dict[str, Any]) -> None:
        progress = self.progress
        kind = document.get("type")
        if type(kind) is not str:
            if document.get("error"):
                progress.failed = error_type(document["error"])
        elif kind.endswith(".delta"):
            progress.output_bytes += self._written(document)
            progress.refused = progress.refused or kind == "response.refusal.delta"
        elif kind == "response.output_item.done":
            _note_seal(progress, document.get("item"))
        elif kind in _ENDS or kind == "response.failed":
            _observe_end(progress, document.get("response"))
            progress.complete = kind in _ENDS
            if kind == "response.failed":
                progress.failed = error_type(member(document.get("response"), "error"))
        elif kind == "error":
            progress.failed = error_type(document.get("error") or {"code": document.get("code")})


def written_by(event: dict[str, Any]) -> int:
    """Count the UTF-8 bytes that the model wrote in an event: text, reasoning, arguments, code."""
    delta = event.get("delta")
    return text_bytes(delta) if type(delta) is str else 0


def written_in(output: object) -> int:
    """Count the UTF-8 bytes that the model wrote in the items of a whole response."""
    items = [item for item in (output if type(output) is list else ()) if member(item, "type") not in _FOUND]
    codes = [member(item, "code") for item in items]
    return written_bytes(items) + sum([text_bytes(code) for code in codes if type(code) is str])


def observe_response(progress: Progress, document: dict[str, Any]) -> None:
    """Read a whole response into the progress."""
    progress.complete = type(document.get("output")) is list
    output = document.get("output")
    for item in output if type(output) is list else ():
        _note_seal(progress, item)
    _observe_end(progress, document)
    if progress.usage is None:  # only then is there anything to estimate
        progress.output_bytes += written_in(output)
    if document.get("error"):
        progress.failed = error_type(document["error"])


def _observe_end(progress: Progress, response: object) -> None:
    note_model(progress, response)
    usage = member(response, "usage")
    read, written = tokens(usage, "input_tokens"), tokens(usage, "output_tokens")
    if read is not None and written is not None:
        # Pictures are made by another model, whose tokens are not in the usage.
        drawn = member(member(response, "tool_usage"), "image_gen")
        shown, made = tokens(drawn, "input_tokens") or 0, tokens(drawn, "output_tokens") or 0
        progress.usage = Usage(read + shown, written + made, thought(usage, "output_tokens_details", written))
    output = member(response, "output")
    refused = member(member(response, "incomplete_details"), "reason") == "content_filter"
    progress.refused = progress.refused or refused or any(map(_refuses, output if type(output) is list else ()))


def _refuses(item: object) -> bool:
    """Tell whether an item is a message in which the model declines."""
    content = member(item, "content")
    return type(content) is list and any(member(part, "type") == "refusal" for part in content)


def _note_seal(progress: Progress, item: object) -> None:
    """Note the seal of an item of reasoning or compaction, a few at most."""
    if member(item, "type") not in ("reasoning", "compaction"):
        return
    seal = member(item, "encrypted_content")
    if type(seal) is str and seal and len(progress.signatures) < _MAX_SEALS:
        progress.signatures.append(seal)
