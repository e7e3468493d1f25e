"""Reading an Anthropic messages request: what it asks for, or the refusal that the real API would send."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.standin import reading, tokens
from proxy.standin.answer import Tool, Wish, choose_tool
from proxy.standin.catalog import Model, find_model
from proxy.standin.messages_blocks import check_blocks, marks_of
from proxy.standin.prompt_cache import CacheUse, PromptCache
from proxy.standin.reading import Json, a_flag, a_string, an_integer, an_object, missing, objects, wrong
from proxy.standin.signing import ThoughtSigner

_LEAST_BUDGET = 1024
_USUAL_THOUGHT = 160  # tokens; a budget is a limit, not an order
_MOST_STOPS = 16
_DECIDING = ("system", "messages", "tools")  # what an answer depends on beside the model
_MESSAGE_TOKENS = 4  # what the envelope of a message costs


@dataclass(frozen=True, slots=True)
class MessagesRequest:
    """One request, read. `prompt_tokens` are all of the prompt's, those in the cache included."""

    model: Model
    stream: bool
    prompt_tokens: int
    cached: CacheUse
    wish: Wish


def read(body: bytes, server_seed: int, signer: ThoughtSigner, cache: PromptCache) -> MessagesRequest:
    """Return the request in `body`. Raises BadRequest or NotFound in the API's own words."""
    document = reading.read_object(body)
    name = a_string(document, "model")
    model = find_model(name, f"model: {name}")
    prompt_tokens, asked, tools = _prompt(document, signer)
    max_tokens = an_integer(document, "max_tokens", 1, model.max_output_tokens)
    if max_tokens is None:
        missing("max_tokens")
    reading.check_number(document, "temperature", 0, 1)
    reading.check_number(document, "top_p", 0, 1)
    thinking = _thinking(document, max_tokens)
    wish = Wish(
        seed=reading.canonical(server_seed, name, *(document.get(member) for member in _DECIDING)),
        max_tokens=max_tokens,
        stop=reading.strings(document, "stop_sequences", _MOST_STOPS),
        reasoning=thinking,
        tool=_tool_to_call(document, tools, asked, thinks=thinking > 0),
        shape=_shape(document),
    )
    cached = cache.use(marks_of(document)) if b'"cache_control"' in body else CacheUse(0, 0)
    return MessagesRequest(model, a_flag(document, "stream"), prompt_tokens, cached, wish)


def count(body: bytes, signer: ThoughtSigner) -> int:
    """Return how many tokens the prompt of a request in `body` has. Raises BadRequest or NotFound."""
    document = reading.read_object(body)
    name = a_string(document, "model")
    find_model(name, f"model: {name}")
    for unknown in ("max_tokens", "stream"):
        if unknown in document:
            wrong(unknown, "Extra inputs are not permitted")
    return _prompt(document, signer)[0]


def _prompt(document: Json, signer: ThoughtSigner) -> tuple[int, str | None, list[Tool | None]]:
    """Return the prompt's tokens, what `_messages` says of the last message, and the tools."""
    prompt_tokens, asked = _messages(document, signer)
    prompt_tokens += _system_tokens(document, signer)
    tools = [_tool(place, tool) for place, tool in objects(document, "tools")]
    prompt_tokens += sum(tokens.count_document(tool) for tool in document.get("tools") or ())
    return prompt_tokens, asked, tools


def _messages(document: Json, signer: ThoughtSigner) -> tuple[int, str | None]:
    """Return the messages' tokens, and the last one's text if it is the user's (None if it holds a tool result)."""
    if not document.get("messages"):
        missing("messages")
    count = 0
    asked: str | None = ""
    calls: set[str] = set()
    for place, message in objects(document, "messages"):
        role = a_string(message, "role", place)
        if role not in ("user", "assistant"):
            wrong(place + "role", "must be user or assistant")
        content = message.get("content")
        count += _MESSAGE_TOKENS + _content_tokens(message, "content", place, signer)
        asked = ""
        if isinstance(content, str):
            asked = content if role == "user" else ""
            calls = set()
            continue
        blocks = content or []
        if answered := {block["tool_use_id"] for block in blocks if block["type"] == "tool_result"}:
            asked = None
            if role != "user" or not answered <= calls:
                wrong(
                    place + "content", "unexpected `tool_use_id` in `tool_result`: the message before has no such call"
                )
        elif role == "user":
            asked = " ".join(block["text"] for block in blocks if block["type"] == "text")
        calls = {block["id"] for block in blocks if block["type"] == "tool_use"}
    return count, asked


def _content_tokens(document: Json, name: str, place: str, signer: ThoughtSigner) -> int:
    """Check a string or a list of blocks and return its tokens."""
    content = document.get(name)
    if content is None:
        missing(place + name)
    if isinstance(content, str):
        return tokens.count(content)
    check_blocks(document, name, place, signer)
    return tokens.count_content(content)


def _system_tokens(document: Json, signer: ThoughtSigner) -> int:
    return 0 if document.get("system") is None else _content_tokens(document, "system", "", signer)


def _tool(place: str, tool: Json) -> Tool | None:
    """Return a tool that the client runs; None for one that the real API runs itself, which is never called here."""
    name = a_string(tool, "name", place)
    if tool.get("type") not in (None, "custom"):
        return None
    schema = an_object(tool, "input_schema", place)
    if schema is None:
        missing(place + "input_schema")
    if schema.get("type") != "object":
        wrong(place + "input_schema.type", "must be object")
    return Tool(name, schema)


def _tool_to_call(document: Json, offered: list[Tool | None], asked: str | None, *, thinks: bool) -> Tool | None:
    """Return the tool to call; after a tool result it is time for the answer, whatever `tool_choice` says."""
    tools = [tool for tool in offered if tool is not None]
    choice = an_object(document, "tool_choice") or {"type": "auto"}
    kind = a_string(choice, "type", "tool_choice.")
    if kind not in ("auto", "any", "tool", "none"):
        wrong("tool_choice.type", "must be auto, any, tool or none")
    if kind == "tool":
        name = a_string(choice, "name", "tool_choice.")
        tools = [tool for tool in tools if tool.name == name]
    forced = kind in ("any", "tool")
    if forced and not tools:
        wrong("tool_choice", "there is no such tool in `tools`")
    if forced and thinks:
        wrong("tool_choice", "thinking may not be enabled when `tool_choice` forces tool use")
    if asked is None or kind == "none":
        return None
    return choose_tool(tools, required=forced, asked=asked)


def _shape(document: Json) -> Json | None:
    """Return the schema that the text must have, None for prose."""
    wanted = an_object(an_object(document, "output_config") or {}, "format", "output_config.")
    if wanted is None:
        return None
    if a_string(wanted, "type", "output_config.format.") != "json_schema":
        wrong("output_config.format.type", "must be json_schema")
    schema = an_object(wanted, "schema", "output_config.format.")
    if schema is None:
        missing("output_config.format.schema")
    return schema


def _thinking(document: Json, max_tokens: int) -> int:
    """Return the most tokens to think."""
    thinking = an_object(document, "thinking")
    if thinking is None:
        return 0
    kind = a_string(thinking, "type", "thinking.")
    if kind == "disabled":
        return 0
    if kind == "adaptive":
        return min(_USUAL_THOUGHT, max_tokens // 2)
    if kind != "enabled":
        wrong("thinking.type", "must be enabled, adaptive or disabled")
    budget = an_integer(thinking, "budget_tokens", _LEAST_BUDGET, 1 << 31, "thinking.")
    if budget is None:
        missing("thinking.budget_tokens")
    if budget >= max_tokens:
        wrong("max_tokens", "must be greater than `thinking.budget_tokens`")
    return min(_USUAL_THOUGHT, budget)
