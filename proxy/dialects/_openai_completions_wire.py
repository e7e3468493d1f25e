"""The parts of a text completion, as a document or as a chunk of a stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from heapq import nlargest
from itertools import islice
from typing import Any

from proxy.dialects._answers import written_bytes
from proxy.dialects._logprobs import coarse
from proxy.dialects._openai_chat_reasoning import ChatWithoutReasoning
from proxy.dialects._openai_chat_wire import TOKENS, carried_on, error_in, is_reasoning, said_again, stops_in
from proxy.exchange import Chunk
from proxy.wire import ALL_LANES, PADDING, Kind, Part, Seal, Summarise, Transform

_DONE = b"[DONE]"
_TOP = "top_logprobs"
# Where vLLM has the figures of an echoed prompt: for each token an object, with the token's own first, then the best.
_OF_PROMPT = "prompt_logprobs"


class CompletionsWire:
    """The wire; a lane is the number of a choice, counted on from prompt to prompt."""

    def __init__(self, *, streamed: bool) -> None:
        self.streamed = streamed
        self.one_answer = False
        self._padded = ("", "")  # the padding of the last event with text and padding, and that text

    def parts(self, chunk: Chunk) -> Sequence[Part]:
        """Return the parts of a chunk."""
        if chunk.data is None:
            return [Part(Kind.END, ALL_LANES, ())] if chunk.raw is not None and _DONE in chunk.raw else []
        found: list[Part] = []
        if type(chunk.data.get("model")) is str:
            found.append(Part(Kind.MODEL, ALL_LANES, ("model",), chunk.data["model"]))
        if "error" in chunk.data:
            found += error_in(chunk.data, ())
        given = chunk.data.get("choices")
        choices: list[Any] = given if type(given) is list else []
        waits = self.streamed and len(choices) == 1 and "error" not in chunk.data
        bare = waits and not chunk.data.get("usage")
        for place, choice in enumerate(choices):
            if type(choice) is dict:
                if type(padding := chunk.data.get(PADDING)) is str and type(text := choice.get("text")) is str and text:
                    self._padded = (padding, text)
                found += self._of_choice(choice, place, bare=bare, waits=waits)
        return found

    def written(self, chunk: Chunk) -> int:
        """Return how many UTF-8 bytes of a chunk the model wrote, or repeated if an echo was asked for."""
        return written_bytes(chunk.data.get("choices")) if chunk.data is not None else 0

    def coarse(self, logprobs: Any, most: int | None, decimals: int | None) -> Any:  # noqa: ANN401 - JSON
        """Return log-probabilities with less detail; here a token's alternatives are an object, by their texts."""
        if most is not None and type(logprobs) is list:
            logprobs = [dict(islice(of.items(), most + 1)) if type(of) is dict else of for of in logprobs]
        if most is not None and type(logprobs) is dict and type(tops := logprobs.get(_TOP)) is list:
            logprobs = {**logprobs, _TOP: [_likeliest(top, most) for top in tops] if most else None}
        return coarse(logprobs, None, decimals)

    def delta(self, like: Chunk, lane: int, text: str, name: str = "text") -> Chunk:
        """Return a chunk that carries on a choice's text, or another member of that name."""
        return carried_on(like, lane, {name: text}, (*self._padded, text))

    def without_reasoning(self, seal: Seal, summarise: Summarise | None) -> Transform:
        """Return a transform that takes out members of reasoning, which the API itself does not have; no summaries."""
        del seal, summarise
        return ChatWithoutReasoning(self, None, None)

    def _of_choice(self, choice: dict[str, Any], place: int, *, bare: bool, waits: bool) -> Iterator[Part]:
        index = choice.get("index")
        lane = index if type(index) is int else place
        ended = not self.streamed or choice.get("finish_reason") is not None
        for name, value in choice.items():
            if value and is_reasoning(name):
                yield Part(Kind.REASONING, lane, ("choices", place, name), value if type(value) is str else "")
        if type(text := choice.get("text")) is str:
            alone = bare and not ended and choice.get("logprobs") is None
            yield Part(Kind.TEXT, lane, ("choices", place, "text"), text, alone, waits and not ended)
        yield from said_again(choice, ("delta", "message", *TOKENS), lane, ("choices", place))
        for name in ("logprobs", _OF_PROMPT):
            if choice.get(name) is not None:
                yield Part(Kind.LOGPROBS, lane, ("choices", place, name))
        if ended:
            yield from stops_in(choice, lane, place)
            yield Part(Kind.END, lane, ())


def _likeliest(top: Any, most: int) -> Any:  # noqa: ANN401 - a part of a JSON document
    if not isinstance(top, Mapping):
        return top
    known = {token: figure for token, figure in top.items() if type(figure) in (int, float)}
    kept = set(nlargest(most, known, key=known.__getitem__))
    return {token: figure for token, figure in top.items() if token in kept}
