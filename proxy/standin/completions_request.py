"""Reading an OpenAI completion request: texts to carry on, or the refusal that the real API would send."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.standin import reading, tokens
from proxy.standin.answer import Wish
from proxy.standin.catalog import Model, find_model
from proxy.standin.reading import Json, a_flag, a_string, an_integer, an_object, missing, wrong

_USUAL_TOKENS = 16
_MOST_CHOICES = 128
_MOST_STOPS = 4
_MOST_LOGPROBS = 5
_MOST_PROMPTS = 2048


@dataclass(frozen=True, slots=True)
class TextRequest:
    """One request, read. `top_logprobs` is None if none are asked for; `wishes` has one for each prompt."""

    model: Model
    stream: bool
    include_usage: bool
    choices: int
    best_of: int
    echo: bool
    top_logprobs: int | None
    prompts: tuple[str, ...]
    prompt_tokens: int
    wishes: tuple[Wish, ...]


def read(body: bytes, server_seed: int) -> TextRequest:
    """Return the request in `body`. Raises BadRequest or NotFound in the API's own words."""
    document = reading.read_object(body)
    name = a_string(document, "model")
    model = find_model(name, f"The model `{name}` does not exist or you do not have access to it.")
    prompts, prompt_tokens = read_texts(document, "prompt", _MOST_PROMPTS) if document.get("prompt") else (("",), 0)
    for member, low, high in (("temperature", 0, 2), ("top_p", 0, 1), ("presence_penalty", -2, 2)):
        reading.check_number(document, member, low, high)
    stream = a_flag(document, "stream")
    options = an_object(document, "stream_options")
    if options is not None and not stream:
        wrong("stream_options", "is only allowed when `stream` is true")
    choices = an_integer(document, "n", 1, _MOST_CHOICES) or 1
    best_of = an_integer(document, "best_of", 1, _MOST_CHOICES) or choices
    if best_of < choices:
        wrong("best_of", "must be at least `n`")
    if stream and best_of > choices:
        wrong("best_of", "cannot be streamed")
    length = an_integer(document, "max_tokens", 0, model.max_output_tokens)
    stop = document.get("stop")
    deciding = [document.get(member) for member in ("suffix", "seed")]
    wishes = tuple(
        Wish(
            seed=reading.canonical(server_seed, name, prompt, *deciding),
            max_tokens=_USUAL_TOKENS if length is None else length,
            stop=(stop,) if isinstance(stop, str) and stop else reading.strings(document, "stop", _MOST_STOPS),
        )
        for prompt in prompts
    )
    return TextRequest(
        model=model,
        stream=stream,
        include_usage=a_flag(options or {}, "include_usage"),
        choices=choices,
        best_of=best_of,
        echo=a_flag(document, "echo"),
        top_logprobs=an_integer(document, "logprobs", 0, _MOST_LOGPROBS),
        prompts=prompts,
        prompt_tokens=prompt_tokens,
        wishes=wishes,
    )


def read_texts(document: Json, name: str, most: int) -> tuple[tuple[str, ...], int]:
    """Return the texts of a member, and their tokens; tokens that are given as numbers are spelled as such."""
    value = document.get(name)
    if value is None:
        missing(name)
    if isinstance(value, str):
        return (value,), tokens.count(value)
    if isinstance(value, list) and value and len(value) <= most:
        if all(isinstance(text, str) for text in value):
            return tuple(value), sum(map(tokens.count, value))
        given = [value] if type(value[0]) is int else value
        if all(isinstance(text, list) and text and all(type(token) is int for token in text) for text in given):
            return tuple(" ".join(map(str, text)) for text in given), sum(map(len, given))
    return wrong(name, f"must be a string, or at most {most} strings, tokens or lists of tokens")
