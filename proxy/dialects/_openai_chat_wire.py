"""The parts of a chat completion's answer, as a document or as a chunk of a stream."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

from proxy.dialects._answers import written_bytes
from proxy.dialects._logprobs import coarse
from proxy.dialects._openai_chat_held import CALLS, TEXTS, calls_tools, handle_in
from proxy.dialects._openai_chat_reasoning import ChatWithoutReasoning
from proxy.exchange import Chunk
from proxy.wire import ALL_LANES, PADDING, Kind, Part, Path, Seal, Summarise, Transform, manner, repadded

# Members in which model servers show reasoning, or its seal. The API itself has none, and every server names them as it
# likes, such as `reasoning_content`, `thinking_blocks` or `redacted_reasoning_content`.
_REASONING = re.compile(r"(?:redacted_)?(?:reasoning|thinking)(?:[_A-Z]\w*)?|thoughts?|cot_\w+")
_AUDIO = "audio"  # the member of a message that is spoken
_COPIES = "provider_specific_fields"  # here some gateways repeat such members of a message or a choice
THOUGHTS: Final = ("thinking", "redacted_thinking", "reasoning")  # types of content parts
# Tokens as numbers, in a message or in its choice.
TOKENS: Final = ("token_id", "token_ids")
# Rare members of a choice or its message that say more than the text does.
_MORE = frozenset({_AUDIO, "delta", "error", "message", "text", _COPIES, *CALLS, *TOKENS})
_NAMES = 1_024  # remembered: each piece of an answer has the same few
_DONE = b"[DONE]"
# Members that all chunks of a stream share, those of a single chunk, and those of a choice that goes on.
_COMMON = frozenset({"id", "object", "created", "model", "provider", "service_tier", "system_fingerprint"})
_OWN = frozenset({"choices", "obfuscation", "usage"})
_MODEL, _TEXT, _MODEL_PATH = Kind.MODEL, Kind.TEXT, ("model",)  # looked up once, since an enumeration is slow
_USUAL = ("index", "logprobs", "finish_reason")
_STOPS = ("matched_stop", "stop_reason")
_EMPTY = frozenset({"finish_reason", "logprobs", "native_finish_reason", "stop_reason", "token_ids"})


class ChatWire:
    """The wire; a lane is the number of a choice."""

    def __init__(self, *, streamed: bool) -> None:
        self.streamed = streamed
        self.one_answer = False
        self._padded = ("", "")  # the padding of the last event with text and padding, and that text
        self._holder, self._other = ("delta", "message") if streamed else ("message", "delta")

    def parts(self, chunk: Chunk) -> Sequence[Part]:
        """Return the parts of a chunk."""
        if chunk.data is None:
            return [Part(Kind.END, ALL_LANES, ())] if chunk.raw is not None and _DONE in chunk.raw else []
        if chunk.parts is not None and PADDING not in chunk.data:  # every action asks; padding is noted by each wire
            return chunk.parts
        found: list[Part] = []
        chunk.parts = found
        if type(model := chunk.data.get("model")) is str:
            found.append(Part(_MODEL, ALL_LANES, _MODEL_PATH, model))
        failed = "error" in chunk.data
        if failed:
            found += error_in(chunk.data, ())
        choices = chunk.data.get("choices")
        if type(choices) is list:
            padding = padding if type(padding := chunk.data.get(PADDING)) is str else ""
            waits = self.streamed and len(choices) == 1 and not failed
            bare = waits and not chunk.data.get("usage")
            for place, choice in enumerate(choices):
                if type(choice) is dict:
                    self._add_choice(found, choice, place, padding, bare=bare, waits=waits)
        return found

    def written(self, chunk: Chunk) -> int:
        """Return how many UTF-8 bytes of a chunk the model wrote."""
        choices = chunk.data.get("choices") if chunk.data is not None else None
        given = choices if type(choices) is list else []
        holders = [choice.get(self._holder) for choice in given if type(choice) is dict]
        return sum(map(written_bytes, holders)) - sum(map(_handle_bytes, holders))

    def coarse(self, logprobs: Any, most: int | None, decimals: int | None) -> Any:  # noqa: ANN401 - JSON
        """Return log-probabilities with less detail."""
        return coarse(logprobs, most, decimals)

    def delta(self, like: Chunk, lane: int, text: str, name: str = "content") -> Chunk:
        """Return a chunk that carries on a choice's text, or another member of that name."""
        return carried_on(like, lane, {"delta": {name: text}}, (*self._padded, text))

    def without_reasoning(self, seal: Seal, summarise: Summarise | None) -> Transform:
        """Return a transform that takes the reasoning out, or puts a summary there; a turn with calls gets a handle."""
        return ChatWithoutReasoning(self, seal, summarise)

    def _add_choice(
        self, found: list[Part], choice: dict[str, Any], place: int, padding: str, *, bare: bool, waits: bool
    ) -> None:
        index = choice.get("index")
        lane = index if type(index) is int else place
        ended = not self.streamed or choice.get("finish_reason") is not None
        holder, where = choice.get(self._holder), ("choices", place, self._holder)
        if type(holder) is dict:
            self._add_message(found, holder, (lane, where), padding, bare=bare and not ended, waits=waits and not ended)
        if _says_more(tuple(choice), self._holder):
            found += _reasoning(choice, lane, ("choices", place))
            if type(other := choice.get(self._other)) is dict:  # no client looks there, but whoever reads bytes does
                found += _reasoning(other, lane, ("choices", place, self._other))
                found += said_again(other, ("content", *TOKENS), lane, ("choices", place, self._other))
            found += said_again(choice, ("text", *TOKENS), lane, ("choices", place))
            found += _copied(choice, lane, ("choices", place))
            found += error_in(choice, ("choices", place))  # as OpenRouter has it
        if choice.get("logprobs") is not None:
            found.append(Part(Kind.LOGPROBS, lane, ("choices", place, "logprobs")))
        if ended:
            found += stops_in(choice, lane, place)
            found.append(Part(Kind.END, lane, ()))

    def _add_message(
        self,
        found: list[Part],
        holder: dict[str, Any],
        place: tuple[int, Path],
        padding: str,
        *,
        bare: bool,
        waits: bool,
    ) -> None:
        lane, where = place
        more = _says_more(tuple(holder))
        bare = bare and sum([value is not None for value in holder.values()]) == 1
        if more:
            found += _reasoning(holder, lane, where, alone=bare)
            found += said_again(holder, TOKENS, lane, where)
            found += _copied(holder, lane, where)
            found += _spoken(holder.get(_AUDIO), lane, (*where, _AUDIO))
        calls = more and self.streamed and calls_tools(holder)
        content = holder.get("content")
        if type(content) is str:
            found.append(Part(_TEXT, lane, (*where, "content"), content, bare, waits and not calls))
            if padding and content:
                self._padded = (padding, content)
        elif type(content) is list:
            found += _content(content, lane, (*where, "content"))
        if calls:
            found.append(Part(Kind.CALL, lane, ()))


def carried_on(like: Chunk, lane: int, said: dict[str, Any], padded: tuple[str, str, str]) -> Chunk:
    """Return a chunk in which a choice says `said` and nothing else, and which otherwise is like another of its stream.

    `padded` is the padding of an earlier text, that text, and the text that is said now.
    """
    data = like.data if like.data is not None else {}
    choices = data.get("choices")
    first = choices[0] if type(choices) is list and choices and type(choices[0]) is dict else _USUAL
    choice = {name: None for name in first if name in _EMPTY or name == "index" or name in said}
    own: dict[str, Any] = {"choices": [{**choice, "index": lane, **said}]}
    if type(padding := data.get("obfuscation")) is str:
        old, was, now = padded
        own["obfuscation"] = repadded(old[::-1], was, now) if old and now else padding[::-1]
    made = {name: value for name, value in data.items() if name in _COMMON}
    made |= {name: own.get(name) for name in data if name in _OWN}
    return Chunk(None, {**made, **own}, like=manner(like))


@lru_cache(_NAMES)
def _says_more(names: tuple[str, ...], but: str = "") -> bool:
    """Tell whether any member, other than `but`, may say more than the text of a choice does."""
    return any((name in _MORE and name != but) or is_reasoning(name) for name in names)


@lru_cache(_NAMES)
def is_reasoning(name: str) -> bool:
    """Tell whether a member of a message holds reasoning, by its name."""
    return _REASONING.fullmatch(name) is not None


def _handle_bytes(holder: object) -> int:
    """Return how many bytes of a message's reasoning texts are handles of ours."""
    return sum([len(handle_in(name, holder.get(name))) for name in TEXTS]) if type(holder) is dict else 0


def _reasoning(holder: dict[str, Any], lane: int, where: Path, *, alone: bool = False) -> Iterator[Part]:
    for name, value in holder.items():
        if value and is_reasoning(name):
            yield Part(Kind.REASONING, lane, (*where, name), value if type(value) is str else "", alone)


def said_again(holder: dict[str, Any], members: Sequence[str], lane: int, where: Path) -> Iterator[Part]:
    """Yield the parts in which a model server repeats what the model wrote, in these members."""
    for name in members:
        if (value := holder.get(name)) not in (None, ""):
            yield Part(Kind.COPY, lane, (*where, name), value if type(value) is str else "")


def _copied(holder: dict[str, Any], lane: int, where: Path) -> Iterator[Part]:
    """Yield the parts in which a gateway repeats members of a message or a choice that it does not know."""
    if type(copies := holder.get(_COPIES)) is dict:
        yield from _reasoning(copies, lane, (*where, _COPIES))
        yield from said_again(copies, ("text", *TOKENS), lane, (*where, _COPIES))


def stops_in(choice: dict[str, Any], lane: int, place: int) -> Iterator[Part]:
    """Yield the parts that tell which stop sequence ended a choice, as with vLLM and SGLang; the API has none."""
    for name in _STOPS:
        if choice.get(name) is not None:
            yield Part(Kind.STOP, lane, ("choices", place, name))


def error_in(holder: dict[str, Any], where: Path) -> Iterator[Part]:
    """Yield the part that says that an answer failed."""
    if holder.get("error"):
        yield Part(Kind.ERROR, ALL_LANES, (*where, "error"))


def _spoken(audio: object, lane: int, where: Path) -> Iterator[Part]:
    """Yield the words and the sound of an answer that is spoken."""
    if type(audio) is dict:
        if type(text := audio.get("transcript")) is str and text:
            yield Part(Kind.SPOKEN, lane, (*where, "transcript"), text)
        if audio.get("data"):
            yield Part(Kind.SOUND, lane, (*where, "data"))


def _content(content: list[Any], lane: int, where: Path) -> Iterator[Part]:
    """Yield the parts of a content that is, with some model servers, a list of typed parts."""
    for place, part in enumerate(content):
        if type(part) is dict and type(part.get("text")) is str and part.get("type") == "text":
            yield Part(Kind.TEXT, lane, (*where, place, "text"), part["text"])
        elif type(part) is dict and part.get("type") in THOUGHTS:
            yield Part(Kind.REASONING, lane, (*where, place))
