"""Decodes completions of chats and of texts: answers with several choices, as a stream of chunks or one document."""

from __future__ import annotations

from typing import Any, ClassVar

from proxy.dialects._answers import StreamDecoder, error_type, member, note_model, thought, tokens, written_bytes
from proxy.dialects._sse import Event
from proxy.exchange import Chunk, Progress, Usage

_DONE = b"[DONE]"
# Members of a message in which servers give reasoning in blocks, and the members of a block that seal it.
_THOUGHTS = ("reasoning_details", "thinking_blocks")
_SELDOM = frozenset(_THOUGHTS)
_SEALS = ("signature", "data")
_MAX_SEALS = 64


class ChoiceStream(StreamDecoder):
    """Decodes a stream of completion chunks; `hide_usage` takes out the usage that only we asked for.

    `holder` names the member of a choice that has what the model wrote; empty if that is the choice itself.
    """

    _TELLING: ClassVar[tuple[bytes, ...]] = (
        b'"usage"',
        b'"error"',
        _DONE,
        b'"refusal":"',
        b"content_filter",
        b'"audio":{',  # a thousandth of it is words
        *(b'"signature":"', b"reasoning.encrypted", b"redacted_thinking"),
    )

    def __init__(self, holder: str, *, hide_usage: bool, every: bool) -> None:
        super().__init__(every=every, rewrites=hide_usage)
        self._holder = holder
        self._hide_usage = hide_usage

    def _trimmed(self, events: bytes) -> bytes:
        # Inside a string the quotes would be escaped, so these bytes are always a member, unless a line begins with
        # them. Those and other spellings are left to `_chunks`.
        if not self._hide_usage or b'\n,"usage":null' in events or events.startswith(b',"usage":null'):
            return events
        return events.replace(b',"usage":null', b"")

    def _written(self, document: dict[str, Any]) -> int:
        return _written_bytes(document.get("choices"), self._holder)

    def _chunks(self, events: list[Event]) -> list[Chunk]:
        chunks = []
        progress = self.progress
        for raw, name, data in events:
            # The end is no JSON, which takes long to find out.
            document = None if data == _DONE else self._document(raw, data)
            kept: bytes | None = raw
            if document is None:
                progress.complete = progress.complete or data == _DONE
            else:
                choices = document.get("choices")
                if choices:
                    progress.output_bytes += _written_bytes(choices, self._holder)
                    progress.refused = progress.refused or _refused(choices, self._holder)
                    _note_seals(progress, choices, self._holder)
                if "usage" in document or "error" in document:
                    _observe_extras(progress, document)
                    if self._hide_usage and "usage" in document:
                        if document.pop("usage") is not None and not choices and "error" not in document:
                            continue
                        kept = None
            event = name.decode(errors="replace") if name else ""
            chunks.append(Chunk(kept, document, event, like=raw if kept is None else None))
        return chunks


def observe_choices(progress: Progress, document: dict[str, Any], holder: str) -> None:
    """Read a whole completion into the progress."""
    choices = document.get("choices")
    progress.complete = type(choices) is list
    progress.refused = _refused(choices, holder)
    _note_seals(progress, choices, holder)
    _observe_extras(progress, document)
    if progress.usage is None:  # only then is there anything to estimate
        progress.output_bytes += _written_bytes(choices, holder)


def _written_bytes(choices: object, holder: str) -> int:
    count = 0
    if type(choices) is list:
        for choice in choices:
            if type(choice) is dict:
                count += written_bytes(choice.get(holder) if holder else choice)
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


def _note_seals(progress: Progress, choices: object, holder: str) -> None:
    """Note the seals of blocks of reasoning, a few at most: an answer has one or two."""
    for choice in choices if type(choices) is list else ():
        said = member(choice, holder)
        if type(said) is not dict or _SELDOM.isdisjoint(said):
            continue
        for name in _THOUGHTS:
            blocks = said.get(name)
            for block in blocks if type(blocks) is list else ():
                seals = [seal for place in _SEALS if type(seal := member(block, place)) is str and seal]
                progress.signatures += seals[: _MAX_SEALS - len(progress.signatures)]


def _observe_extras(progress: Progress, document: dict[str, Any]) -> None:
    note_model(progress, document)
    progress.usage = _usage(document.get("usage")) or progress.usage
    error = document.get("error")
    if error:
        progress.failed = error_type(error)


def _usage(usage: object) -> Usage | None:
    """Return a usage, None if it is none.

    What the total has besides input and output was reasoning: Gemini's and xAI's APIs leave reasoning out of the
    output, and leave the output out of the usage if there was no other.
    """
    read, total = tokens(usage, "prompt_tokens"), tokens(usage, "total_tokens")
    written = tokens(usage, "completion_tokens")
    if total is not None and type(usage) is dict and "completion_tokens" not in usage:
        written = 0
    if read is None or written is None:
        return None
    output = written if total is None else max(written, total - read)
    return Usage(read, output, max(output - written, thought(usage, "completion_tokens_details", output)))
