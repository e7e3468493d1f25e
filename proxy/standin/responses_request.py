"""Reading an OpenAI responses request: what it asks for, or the refusal that the real API would send."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from proxy.errors import BadRequest
from proxy.standin import reading, tokens
from proxy.standin.answer import Tool, Wish, choose_tool
from proxy.standin.catalog import Model, find_model
from proxy.standin.chat_request import ANY_OBJECT, EFFORT_TOKENS
from proxy.standin.reading import Json, a_flag, a_string, an_integer, an_object, missing, objects, wrong
from proxy.standin.responses_store import ResponseStore
from proxy.standin.signing import ThoughtSigner

_ROLES = frozenset({"developer", "system", "user", "assistant"})
_ITEM_TOKENS = 4  # what the envelope of an item costs
_LEAST_OUTPUT = 16
_NOT_HEARD = frozenset({"id", "call_id", "status", "encrypted_content"})  # what an answer does not depend on
_ENCRYPTED = "reasoning.encrypted_content"
_LOGPROBS = "message.output_text.logprobs"
_TOLD = (
    "instructions",
    "max_output_tokens",
    "metadata",
    "previous_response_id",
    "text",
    "tool_choice",
    "tools",
    "user",
)


@dataclass(frozen=True, slots=True)
class ResponsesRequest:
    """One request, read.

    `conversation` are all its items, those of the response before included. `told` is what the response tells again.
    `top_logprobs` is None if no log probabilities are asked for.
    """

    model: Model
    stream: bool
    store: bool
    conversation: list[Json]
    told: Json
    input_tokens: int
    top_logprobs: int | None
    summarises: bool
    encrypts: bool
    wish: Wish


def read(body: bytes, server_seed: int, store: ResponseStore, signer: ThoughtSigner) -> ResponsesRequest:
    """Return the request in `body`. Raises BadRequest or NotFound in the API's own words."""
    document = reading.read_object(body)
    name = a_string(document, "model")
    model = find_model(name, f"The model `{name}` does not exist or you do not have access to it.")
    conversation = _conversation(document, store, signer)
    tools = [_tool(place, tool) for place, tool in objects(document, "tools")]
    reasoning = an_object(document, "reasoning") or {}
    effort = reasoning.get("effort") or ("medium" if model.reasons else "none")
    if not (isinstance(effort, str) and effort in EFFORT_TOKENS):
        wrong("reasoning.effort", f"must be one of {', '.join(EFFORT_TOKENS)}")
    reading.check_number(document, "temperature", 0, 2)
    included = reading.strings(document, "include", 16)
    top = an_integer(document, "top_logprobs", 0, 20)
    heard = [{key: value for key, value in item.items() if key not in _NOT_HEARD} for item in conversation]
    wish = Wish(
        seed=reading.canonical(
            server_seed, name, heard, *(document.get(member) for member in ("instructions", "tools", "text"))
        ),
        max_tokens=an_integer(document, "max_output_tokens", _LEAST_OUTPUT, model.max_output_tokens),
        reasoning=EFFORT_TOKENS[effort],
        tool=_tool_to_call(document, tools, _asked(conversation[-1])),
        shape=_shape(document),
    )
    count = sum(_ITEM_TOKENS + tokens.count_document(item) for item in heard)
    count += sum(tokens.count_document(document[member]) for member in ("instructions", "tools") if member in document)
    return ResponsesRequest(
        model=model,
        stream=a_flag(document, "stream"),
        store=document.get("store") is not False,
        conversation=conversation,
        told={member: document.get(member) for member in _TOLD} | {"reasoning": reasoning, "top_logprobs": top or 0},
        input_tokens=count,
        top_logprobs=(top or 0) if _LOGPROBS in included or top else None,
        summarises=reasoning.get("summary") is not None,
        encrypts=_ENCRYPTED in included,
        wish=wish,
    )


def encrypted(thought: str, signer: ThoughtSigner) -> str:
    """Return what a reasoning item carries for the next turn, which only this process can make."""
    return f"{base64.b64encode(thought.encode()).decode()}.{signer.sign(thought)}"


def _conversation(document: Json, store: ResponseStore, signer: ThoughtSigner) -> list[Json]:
    previous = document.get("previous_response_id")
    before = store.conversation(previous) if isinstance(previous, str) else []
    given = document.get("input")
    if isinstance(given, str):
        return [*before, {"type": "message", "role": "user", "content": given}]
    if not given:
        missing("input")
    return [*before, *(_item(place, item, store, signer) for place, item in objects(document, "input"))]


def _item(place: str, item: Json, store: ResponseStore, signer: ThoughtSigner) -> Json:
    kind = item.get("type") or ("message" if "role" in item else "item_reference")
    if kind == "item_reference":
        return store.item(a_string(item, "id", place))
    if kind == "message" and a_string(item, "role", place) not in _ROLES:
        wrong(place + "role", f"must be one of {', '.join(sorted(_ROLES))}")
    if kind == "reasoning":
        seal = item.get("encrypted_content")
        if seal is None:
            return store.item(a_string(item, "id", place))
        if not _is_ours(seal, signer):
            message = "The encrypted content could not be verified."
            raise BadRequest(message, code="invalid_encrypted_content", param=place + "encrypted_content")
    return {**item, "type": kind}


def _is_ours(seal: object, signer: ThoughtSigner) -> bool:
    thought, _, signature = seal.partition(".") if isinstance(seal, str) else ("", "", "")
    try:
        return signer.is_ours(base64.b64decode(thought, validate=True).decode(), signature)
    except ValueError:
        return False


def _asked(last: Json) -> str | None:
    """Return the last item's text if it is the user's, None if it is the result of a tool."""
    if last["type"].endswith("_output"):
        return None
    content: Any = last.get("content") if last.get("role") == "user" else ""
    return content if isinstance(content, str) else " ".join(part.get("text") or "" for part in content or ())


def _tool(place: str, tool: Json) -> Tool:
    if tool.get("type") != "function":
        wrong(place + "type", "must be function")
    return Tool(a_string(tool, "name", place), an_object(tool, "parameters", place) or {"type": "object"})


def _tool_to_call(document: Json, tools: list[Tool], asked: str | None) -> Tool | None:
    """Return the tool to call; after a tool's output it is time for the answer, whatever `tool_choice` says."""
    choice = document.get("tool_choice", "auto")
    if isinstance(choice, dict):
        tools = [tool for tool in tools if tool.name == choice.get("name")]
        if not tools:
            wrong("tool_choice", "names a tool that is not in `tools`")
        choice = "required"
    if asked is None or choice == "none":
        return None
    return choose_tool(tools, required=choice == "required", asked=asked)


def _shape(document: Json) -> Json | None:
    wanted = an_object(an_object(document, "text") or {}, "format", "text.")
    kind = (wanted or {}).get("type", "text")
    if wanted is None or kind == "text":
        return None
    if kind not in ("json_object", "json_schema"):
        wrong("text.format.type", "must be text, json_object or json_schema")
    return an_object(wanted, "schema", "text.format.") or ANY_OBJECT
