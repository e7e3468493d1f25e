"""What a request asks for, in numbers: model, sizes, and the parameters that show that a model is probed."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Any, ClassVar

from proxy.detectors.reading import rich_parts
from proxy.exchange import Exchange, text_bytes
from proxy.fields import Field, Value
from proxy.tools_and_images import (
    IMAGES,
    OFFERING,
    count_images,
    count_tools,
    filled_in,
    images_within,
    kind_of,
    tools_offered,
)

DIALECT = "request.dialect"
_LOGPROBS = "message.output_text.logprobs"  # how OpenAI's responses ask for log-probabilities, in `include`
_MAX_KEYS = 1024
_MAX_KEY_CHARS = 32  # a token's number has ten digits at most
_STRING = attrgetter("text")
# Rare members: one look tells of most chats that they have none.
_SELDOM = frozenset(
    {"functions", "include", "input", "logit_bias", "logprobs", "stop", "stop_sequences", "tools", "top_logprobs"}
)


class RequestShape:
    """Adds `request.*`."""

    fields: ClassVar[tuple[Field, ...]] = (
        Field("request.model", "", "The model asked for, by the name the settings list."),
        Field(DIALECT, "", "The API's wire format, such as openai.chat."),
        Field("request.stream", False, "Whether a stream of server-sent events was asked for."),
        Field("request.choices", 1, "How many answers were asked for (`n`)."),
        Field("request.prompts", 1, "How many prompts or texts it has; several only in completions and embeddings."),
        Field("request.token_ids", 0, "How many tokens of prompts were given as numbers, which no detector reads."),
        Field("request.max_output_tokens", 0, "The client's own cap on output tokens; 0 if it gave none."),
        Field("request.text_bytes", 0, "UTF-8 bytes of text that the model would see.", unit="bytes"),
        Field(
            "request.tools",
            0,
            "How many tools the request offers, each of a namespace and each that a search found included.",
        ),
        Field("request.turns", 0, "How many messages the conversation has."),
        Field(
            "request.images",
            0,
            "How many images the conversation has: in messages, documents and results of tools, made by a tool, or "
            "filled into a stored prompt.",
        ),
        Field("request.logprobs", False, "Whether log-probabilities were asked for."),
        Field("request.top_logprobs", 0, "How many alternatives a token were asked for."),
        Field("request.logit_bias_size", 0, "How many tokens were given a bias."),
        Field("request.logit_bias_keys", (), "The tokens that were given a bias, as they were written.", private=True),
        Field("request.stop_sequences", 0, "How many stop sequences were given."),
        Field("request.temperature", 1.0, "The sampling temperature; 1 if none was given."),
    )

    def inspect(self, exchange: Exchange) -> Mapping[str, Value]:
        """Return the request's numbers."""
        call = exchange.call
        if call is None:
            return {}
        body = call.body
        seldom = not _SELDOM.isdisjoint(body)
        items: list[dict[str, Any]] = []
        if seldom and type(given := body.get("input")) is list:
            items = [item for item in given if type(item) is dict]
        found: dict[str, Value] = {
            "request.model": call.model,
            DIALECT: exchange.dialect,
            "request.stream": call.stream,
            "request.choices": call.choices,
            "request.max_output_tokens": call.max_output_tokens or 0,
            "request.text_bytes": _bytes(list(map(_STRING, exchange.texts))),
            "request.tools": _offered(body, items) if seldom else 0,
            "request.turns": sum(map(_is_message, items)) if items else _size(body.get("messages")),
            "request.images": _images(rich_parts(exchange), body),
        }
        if call.prompts > 1:
            found["request.prompts"] = call.prompts
        if call.token_ids:
            found["request.token_ids"] = call.token_ids
        temperature = body.get("temperature")
        if isinstance(temperature, int | float):
            found["request.temperature"] = float(temperature)
        return found | _seldom(body) if seldom else found


def _seldom(body: Mapping[str, Any]) -> dict[str, Value]:
    """Return the numbers of rare members."""
    found: dict[str, Value] = {}
    logprobs, top = body.get("logprobs"), body.get("top_logprobs")
    if logprobs or top or type(logprobs) is int:  # in a text completion, 0 asks for the tokens' own
        top = logprobs if type(logprobs) is int else top
        found["request.logprobs"] = True
        found["request.top_logprobs"] = top if type(top) is int else 0
    bias = body.get("logit_bias")
    if type(bias) is dict and bias:
        found["request.logit_bias_size"] = len(bias)
        found["request.logit_bias_keys"] = tuple([key[:_MAX_KEY_CHARS] for key in bias][:_MAX_KEYS])
    stops = body.get("stop", body.get("stop_sequences"))
    if stops:
        found["request.stop_sequences"] = len(stops) if type(stops) is list else 1
    if type(included := body.get("include")) is list and _LOGPROBS in included:
        found["request.logprobs"] = True
    return found


def _bytes(strings: list[str]) -> int:
    return sum(map(len if all(map(str.isascii, strings)) else text_bytes, strings))


def _is_message(item: Mapping[str, Any]) -> bool:
    return "role" in item and item.get("type") not in OFFERING


def _size(items: object) -> int:
    return len(items) if type(items) is list else 0


def _offered(body: Mapping[str, Any], items: list[Any]) -> int:
    """Count the tools that a request offers, also those in items of its conversation."""
    offered = [body.get("functions"), body.get("tools"), *tools_offered(items).values()]
    return sum(map(count_tools, offered))


def _images(items: list[Any], body: Mapping[str, Any]) -> int:
    """Count the images in a conversation's items, items that are images, and images in a stored prompt's variables."""
    count = count_images(list(filled_in(body).values())) if "prompt" in body else 0
    for item in items:
        if type(item) is dict:
            count += (kind_of(item) in IMAGES) + images_within(item)
    return count
