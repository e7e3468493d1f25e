"""What several of OpenAI's dialects check in a request, and how they write one."""

from __future__ import annotations

from typing import Any, Final

from proxy.dialects import _request as request
from proxy.dialects import strict_json
from proxy.errors import BadRequest
from proxy.exchange import Call

MAX_CHOICES: Final = 128
# Options of the API, and one of vLLM and SGLang: usage so far in each event, which `hide_usage` takes out too.
_STREAM_OPTIONS = frozenset({"include_usage", "include_obfuscation", "continuous_usage_stats"})
_MAX_STOPS = 16
_MAX_BIASES = 1024


def usage_asked(body: dict[str, Any], *, stream: bool) -> bool:
    """Check the stream options; return whether the client itself asks for the usage."""
    options = body.get("stream_options")
    if options is None:
        return False
    if not stream:
        raise BadRequest("`stream_options` is only allowed when `stream` is true.", param="stream_options")
    if type(options) is not dict or not options.keys() <= _STREAM_OPTIONS:
        raise request.wrong("stream_options", f"an object with {', '.join(sorted(_STREAM_OPTIONS))} only")
    for other in ("include_obfuscation", "continuous_usage_stats"):
        request.flag(options, other, "stream_options.")
    return request.flag(options, "include_usage", "stream_options.")


def check_sampling(body: dict[str, Any]) -> None:
    """Check the stop sequences and the bias on tokens."""
    if type(body.get("stop")) is not str:
        request.stops(body, "stop", _MAX_STOPS)
    bias = body.get("logit_bias")
    if bias is not None and (type(bias) is not dict or len(bias) > _MAX_BIASES):
        raise request.wrong("logit_bias", f"an object with at most {_MAX_BIASES:,} members")


def prompt_tokens(body: dict[str, Any], name: str, most: int) -> tuple[int, int]:
    """Check texts that may be given as tokens: a string, a list of strings, of tokens, or of lists of tokens.

    Return how many texts there are, and how many tokens are given as numbers.
    """
    value = body.get(name)
    if type(value) is str:
        return 1, 0
    if type(value) is list and value:
        kind = type(value[0])
        if kind is int and _are_tokens(value):
            return 1, len(value)
        if len(value) > most:
            raise request.wrong(name, f"a list of at most {most:,} texts")
        if kind is str and all(type(text) is str for text in value):
            return len(value), 0
        if kind is list and all(type(text) is list and text and _are_tokens(text) for text in value):
            return len(value), sum(map(len, value))
    raise request.wrong(name, "a string, or a list of strings, of tokens, or of lists of tokens, not empty")


def written(call: Call) -> bytes:
    """Serialise the call; if the usage of its stream is to be hidden from the client, ask for it."""
    if not call.hide_usage:
        return strict_json.write(call.body)
    options = {**(call.body.get("stream_options") or {}), "include_usage": True}
    return strict_json.write({**call.body, "stream_options": options})


def _are_tokens(values: list[Any]) -> bool:
    return set(map(type, values)) == {int} and min(values) >= 0
