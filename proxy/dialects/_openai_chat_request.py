"""Reads a request for a chat completion: which members it may have, and what may stand in them.

Only what is interpreted here or by a quota is checked for its type; the rest is the upstream's to judge.
"""

from __future__ import annotations

from typing import Any

from proxy.dialects import _request as request
from proxy.dialects._names import names
from proxy.dialects._openai_chat_wire import THOUGHTS
from proxy.dialects._openai_request import MAX_CHOICES, check_sampling, usage_asked
from proxy.dialects._texts import FREE
from proxy.errors import BadRequest
from proxy.exchange import Call, Kept
from proxy.keyed.issued_ids import StateRefused

# The top-level members of the API, as of 2026: those that no model sees, and all.
SETTINGS = names(
    "audio frequency_penalty logit_bias logprobs max_completion_tokens max_tokens metadata modalities model moderation "
    "n parallel_tool_calls presence_penalty prompt_cache_key prompt_cache_options prompt_cache_retention "
    "reasoning_effort safety_identifier seed service_tier stop store stream stream_options temperature top_logprobs "
    "top_p user verbosity"
)
KNOWN = SETTINGS | names(
    "function_call functions messages prediction response_format tool_choice tools web_search_options"
)
_ROLES = frozenset({"developer", "system", "user", "assistant", "tool", "function"})
_INSTRUCTING = frozenset({"developer", "system"})
# Part types of the API; those that vLLM, SGLang and Mistral have for more media; and those in which some servers give
# reasoning and want it returned.
_PARTS = frozenset(
    {"text", "image_url", "input_audio", "file", "refusal", "audio_url", "document_url", "video_url", *THOUGHTS}
)
_TOOLS = frozenset({"function", "custom"})
# Members that are checked but rare: one look tells of most requests that they have none.
_SELDOM = names("audio functions logit_bias n stop store stream_options tools")
_MAX_TOOLS = 256


def call_of(document: dict[str, Any], accepted: frozenset[str]) -> Call:
    """Check a document that was read strictly; `accepted` are the top-level names that may occur."""
    request.check_names(document, accepted)
    model = request.model(document)
    kept: list[Kept] = []
    for index, message in enumerate(request.messages(document, _ROLES)):
        if len(message) != 2 or type(message.get("content")) is not str:  # most are just a role and a text
            kept += _check_message(message, index)
    seldom = not _SELDOM.isdisjoint(document)
    if seldom and request.flag(document, "store"):
        raise StateRefused("store")
    stream = request.flag(document, "stream")
    asked = seldom and usage_asked(document, stream=stream)
    most = _max_output_tokens(document)
    choices = 1
    if seldom:
        choices = request.whole(document, "n", 1, MAX_CHOICES) or 1
        _check_settings(document)
    return Call(
        model,
        stream,
        document,
        most,
        choices,
        hide_usage=stream and not asked,
        length_member="max_completion_tokens",
        instruct=instructed,
        kept=tuple(kept),
    )


def instructed(body: dict[str, Any], text: str) -> dict[str, Any]:
    """Return a body with one more instruction, behind those at its beginning and in their role."""
    messages = body["messages"]
    count = next((at for at, message in enumerate(messages) if message["role"] not in _INSTRUCTING), len(messages))
    role = messages[count - 1]["role"] if count else "system"
    return {**body, "messages": [*messages[:count], {"role": role, "content": text}, *messages[count:]]}


def _check_message(message: dict[str, Any], index: int) -> list[Kept]:
    """Check a message, and return the ids in it of what the upstream keeps."""
    content = message.get("content")
    plain = content is None or type(content) is str
    if type(content) is list:
        plain = _check_parts(content, index)
    elif not plain:
        raise request.wrong(f"messages[{index}].content", "a string or a list of parts")
    if plain and len(message) == 2:  # just a role and text
        return []
    if message.get("audio") is not None:  # an earlier spoken answer, by its id
        raise StateRefused(f"messages[{index}].audio")
    return request.kept_ids(message, ("messages", index), FREE)


def _check_parts(parts: list[Any], message: int) -> bool:
    """Check the types of a message's parts; return whether all are plain text."""
    plain = True
    for index, part in enumerate(parts):
        kind = part.get("type") if type(part) is dict else None
        if type(kind) is not str or kind not in _PARTS:
            where = f"messages[{message}].content[{index}]"
            raise request.wrong(where, f"a content part of type {', '.join(sorted(_PARTS))}")
        plain = plain and kind == "text" and len(part) == 2 and type(part.get("text")) is str
    return plain


def _max_output_tokens(body: dict[str, Any]) -> int | None:
    old = request.whole(body, "max_tokens", 1)
    new = request.whole(body, "max_completion_tokens", 1)
    if old is not None and new is not None and old != new:
        raise BadRequest("`max_tokens` and `max_completion_tokens` contradict each other.", param="max_tokens")
    return new if old is None else old


def _check_settings(body: dict[str, Any]) -> None:
    check_sampling(body)
    request.objects(body, "functions", _MAX_TOOLS)
    for index, tool in enumerate(request.objects(body, "tools", _MAX_TOOLS)):
        kind = tool.get("type")
        if type(kind) is not str or kind not in _TOOLS:
            raise request.wrong(f"tools[{index}].type", f"one of {', '.join(sorted(_TOOLS))}")
    audio = body.get("audio")
    if type(audio) is dict and type(audio.get("voice")) is dict:  # a voice of the account's own, by its id
        raise StateRefused("audio.voice")
