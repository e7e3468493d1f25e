"""Reading an OpenAI chat completion request: what it asks for, or the refusal that the real API would send."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from proxy.standin import reading, tokens
from proxy.standin.answer import Tool, Wish, choose_tool
from proxy.standin.catalog import Model, find_model
from proxy.standin.reading import Json, a_flag, a_string, an_integer, an_object, missing, objects, wrong

_ROLES = frozenset({"developer", "system", "user", "assistant", "tool"})
_PARTS = frozenset({"text", "image_url", "input_audio", "file", "refusal"})
EFFORT_TOKENS = {"none": 0, "minimal": 0, "low": 24, "medium": 72, "high": 160, "xhigh": 320}
_DECIDING = ("messages", "tools", "response_format", "seed")  # what an answer depends on beside the model
_MESSAGE_TOKENS = 4  # what the envelope of a message costs
_MOST_CHOICES = 128
_MOST_STOPS = 4
ANY_OBJECT: Json = {
    "type": "object",
    "properties": {
        "answer": {"type": "string"},
        "confidence": {"type": "number", "minimum": 0, "maximum": 1},
        "points": {"type": "array", "items": {"type": "string"}},
    },
}


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One request, read. `top_logprobs` is None if no log probabilities are asked for, else how many alternatives."""

    model: Model
    stream: bool
    include_usage: bool
    choices: int
    prompt_tokens: int
    top_logprobs: int | None
    shows_reasoning: bool
    wish: Wish


def read(body: bytes, server_seed: int) -> ChatRequest:
    """Return the request in `body`. Raises BadRequest or NotFound in the API's own words."""
    document = reading.read_object(body)
    name = a_string(document, "model")
    model = find_model(name, f"The model `{name}` does not exist or you do not have access to it.")
    prompt_tokens, asked = _messages(document)
    tools = [_tool(place, tool) for place, tool in objects(document, "tools")]
    prompt_tokens += sum(tokens.count_document(tool) for tool in document.get("tools") or ())
    effort = document.get("reasoning_effort")
    if effort is not None and not (isinstance(effort, str) and effort in EFFORT_TOKENS):
        wrong("reasoning_effort", f"must be one of {', '.join(EFFORT_TOKENS)}")
    for member, low, high in (("temperature", 0, 2), ("top_p", 0, 1), ("presence_penalty", -2, 2)):
        reading.check_number(document, member, low, high)
    stream = a_flag(document, "stream")
    wish = Wish(
        seed=reading.canonical(server_seed, name, *(document.get(member) for member in _DECIDING)),
        max_tokens=_max_tokens(document, model),
        stop=_stop(document),
        reasoning=EFFORT_TOKENS[effort or ("medium" if model.reasons else "none")],
        tool=_tool_to_call(document, tools, asked),
        shape=_shape(document),
    )
    return ChatRequest(
        model=model,
        stream=stream,
        include_usage=_include_usage(document, stream=stream),
        choices=an_integer(document, "n", 1, _MOST_CHOICES) or 1,
        prompt_tokens=prompt_tokens,
        top_logprobs=_top_logprobs(document),
        shows_reasoning=effort is not None,
        wish=wish,
    )


def _messages(document: Json) -> tuple[int, str | None]:
    """Return the prompt's tokens, and the last message's text if it is the user's (None after a tool result)."""
    if not document.get("messages"):
        missing("messages")
    count, calls = 0, set()
    message: Json = {}
    for place, message in objects(document, "messages"):
        role = a_string(message, "role", place)
        if role not in _ROLES:
            wrong(place + "role", f"must be one of {', '.join(sorted(_ROLES))}")
        content = message.get("content")
        _check_content(place, content, optional=role == "assistant" and "tool_calls" in message)
        if role == "assistant":
            for call_place, call in objects(message, "tool_calls", place):
                calls.add(a_string(call, "id", call_place))
                count += tokens.count_document(call)
        if role == "tool" and a_string(message, "tool_call_id", place) not in calls:
            wrong(place + "tool_call_id", "must answer a call in the `tool_calls` of an earlier message")
        count += _MESSAGE_TOKENS + tokens.count_content(content)
    last = message["role"]
    return count, None if last == "tool" else _text(message["content"]) if last == "user" else ""


def _check_content(place: str, content: object, *, optional: bool) -> None:
    if isinstance(content, str) or (content is None and optional):
        return
    if not isinstance(content, list):
        wrong(place + "content", "must be a string or a list of parts", code="invalid_type")
    for index, part in enumerate(content):
        if not isinstance(part, dict) or not isinstance(part.get("type"), str) or part["type"] not in _PARTS:
            wrong(f"{place}content.{index}.type", f"must be one of {', '.join(sorted(_PARTS))}")
        if part["type"] == "text":
            a_string(part, "text", f"{place}content.{index}.")


def _text(content: Any) -> str:  # noqa: ANN401 - checked before: a string or a list of parts
    return content if isinstance(content, str) else " ".join(part["text"] for part in content if part["type"] == "text")


def _tool(place: str, tool: Json) -> Tool:
    if tool.get("type") != "function":
        wrong(place + "type", "must be function")
    function = an_object(tool, "function", place)
    if function is None:
        missing(place + "function")
    parameters = an_object(function, "parameters", place + "function.")
    return Tool(a_string(function, "name", place + "function."), parameters or {"type": "object"})


def _tool_to_call(document: Json, tools: list[Tool], asked: str | None) -> Tool | None:
    """Return the tool to call; after a tool result it is time for the answer, whatever `tool_choice` says."""
    choice = document.get("tool_choice", "auto")
    if choice is not None and not tools and "tool_choice" in document:
        wrong("tool_choice", "is only allowed when `tools` are given")
    if isinstance(choice, dict):
        name = a_string(an_object(choice, "function", "tool_choice.") or {}, "name", "tool_choice.function.")
        tools = [tool for tool in tools if tool.name == name]
        if not tools:
            wrong("tool_choice", "names a tool that is not in `tools`")
        choice = "required"
    elif choice not in ("none", "auto", "required", None):
        wrong("tool_choice", "must be none, auto, required or an object that names a function")
    if asked is None or choice == "none":
        return None
    return choose_tool(tools, required=choice == "required", asked=asked)


def _shape(document: Json) -> Json | None:
    wanted = an_object(document, "response_format")
    if wanted is None:
        return None
    kind = a_string(wanted, "type", "response_format.")
    if kind == "text":
        return None
    if kind == "json_object":
        return ANY_OBJECT
    if kind != "json_schema":
        wrong("response_format.type", "must be text, json_object or json_schema")
    spec = an_object(wanted, "json_schema", "response_format.") or {}
    a_string(spec, "name", "response_format.json_schema.")
    return an_object(spec, "schema", "response_format.json_schema.") or ANY_OBJECT


def _max_tokens(document: Json, model: Model) -> int | None:
    most = model.max_output_tokens
    old, new = (an_integer(document, name, 1, most) for name in ("max_tokens", "max_completion_tokens"))
    if old is not None and new is not None:
        wrong("max_tokens", "cannot be given together with `max_completion_tokens`")
    return old if new is None else new


def _stop(document: Json) -> tuple[str, ...]:
    stop = document.get("stop")
    return (stop,) if isinstance(stop, str) and stop else reading.strings(document, "stop", _MOST_STOPS)


def _top_logprobs(document: Json) -> int | None:
    wanted = a_flag(document, "logprobs")
    top = an_integer(document, "top_logprobs", 0, 20)
    if top is not None and not wanted:
        wrong("top_logprobs", "is only allowed when `logprobs` is true")
    return (top or 0) if wanted else None


def _include_usage(document: Json, *, stream: bool) -> bool:
    options = an_object(document, "stream_options")
    if options is not None and not stream:
        wrong("stream_options", "is only allowed when `stream` is true")
    return a_flag(options or {}, "include_usage")
