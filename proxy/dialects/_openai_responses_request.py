"""Reads a request for a response: which members it may have, what may stand in them, and what it names by an id.

Only what is interpreted here or by a quota is checked for its type; the rest is the upstream's to judge. Whether an id
was given to this tenant is checked elsewhere: `Call.kept` says where ids stand.
"""

from __future__ import annotations

from typing import Any

from proxy.dialects import _request as request
from proxy.dialects._names import names
from proxy.dialects._openai_responses_items import items_kept
from proxy.dialects._openai_responses_tools import check_tools
from proxy.dialects._texts import FREE
from proxy.errors import BadRequest
from proxy.exchange import Call, Kept

# The top-level members of the API, as of 2026: those that no model sees, and all.
SETTINGS = names(
    "background context_management conversation image include max_output_tokens max_tool_calls metadata model "
    "moderation parallel_tool_calls previous_response_id prompt_cache_key prompt_cache_options prompt_cache_retention "
    "reasoning safety_identifier service_tier store stream stream_options temperature top_logprobs top_p truncation "
    "user"
)
KNOWN = SETTINGS | names("input instructions prompt text tool_choice tools")
# Members in which an id may stand.
_NAMING = names("context_management conversation previous_response_id prompt_cache_options tool_choice tools")
_INCLUDED = names(
    "code_interpreter_call.outputs computer_call_output.output.image_url file_search_call.results "
    "message.input_image.image_url message.output_text.logprobs reasoning.encrypted_content "
    "web_search_call.action.sources web_search_call.results"
)
_STREAM_OPTIONS = frozenset({"include_obfuscation"})
_MAX_LOGPROBS = 20


def call_of(document: dict[str, Any], accepted: frozenset[str]) -> Call:
    """Check a document that was read strictly; `accepted` are the top-level names that may occur."""
    request.check_names(document, accepted)
    model = request.model(document)
    if request.flag(document, "background"):
        message = "`background` is not available here: an answer that nobody waits for cannot be charged."
        raise BadRequest(message, code="unsupported_parameter", param="background")
    stream = request.flag(document, "stream")
    request.flag(document, "store")
    if document.get("instructions") is not None and type(document["instructions"]) is not str:
        raise request.wrong("instructions", "a string")
    request.whole(document, "top_logprobs", 0, _MAX_LOGPROBS)
    most = request.whole(document, "max_output_tokens", 1)
    _check_settings(document, stream=stream)
    kept = items_kept(document)
    for name in _NAMING & document.keys():
        kept += request.kept_ids({name: document[name]}, (), FREE)
    if document.get("prompt") is not None:
        kept += _prompt(document["prompt"])
    return Call(
        model,
        stream,
        document,
        most,
        length_member="max_output_tokens",
        instruct=instructed,
        kept=tuple(kept),
        gives=given_ids,
    )


def instructed(body: dict[str, Any], text: str) -> dict[str, Any]:
    """Return a body with one more instruction, behind all others."""
    instructions = body.get("instructions")
    if body.get("prompt") is None or instructions:
        return {**body, "instructions": f"{instructions}\n\n{text}" if instructions else text}
    # The request's `instructions` would replace those of a stored prompt.
    asked = body.get("input")
    items = [{"role": "user", "content": asked}] if type(asked) is str else asked or []
    return {**body, "input": [{"role": "developer", "content": text}, *items]}


def given_ids(document: dict[str, Any]) -> list[str]:
    """Return the ids that a document of the answer gives out: of the response, its items and their containers."""
    response = document.get("response") if "type" in document else document
    found: list[object] = []
    items: list[object] = [document.get("item")]
    if type(response) is dict:
        found.append(response.get("id"))
        found.append(response.get("previous_response_id"))  # repeated from the request
        for name in ("output", "input_transformations"):  # the second is about items that the client gave
            items += listed if type(listed := response.get(name)) is list else ()
    for item in items:
        if type(item) is dict:
            found += (item.get("id"), item.get("container_id"))
            if type(environment := item.get("environment")) is dict:
                found.append(environment.get("container_id"))
    return [each for each in found if type(each) is str]


def _check_settings(body: dict[str, Any], *, stream: bool) -> None:
    options = body.get("stream_options")
    if options is not None:
        if not stream:
            raise BadRequest("`stream_options` is only allowed when `stream` is true.", param="stream_options")
        if type(options) is not dict or not options.keys() <= _STREAM_OPTIONS:
            raise request.wrong("stream_options", f"an object with {' and '.join(sorted(_STREAM_OPTIONS))} only")
        request.flag(options, "include_obfuscation", "stream_options.")
    included = body.get("include")
    if included is not None and (
        type(included) is not list or not all(type(name) is str and name in _INCLUDED for name in included)
    ):
        raise request.wrong("include", f"a list of {', '.join(sorted(_INCLUDED))}")
    for name in ("reasoning", "text"):
        if body.get(name) is not None and type(body[name]) is not dict:
            raise request.wrong(name, "an object")
    check_tools(body)


def _prompt(prompt: object) -> list[Kept]:
    """Return the id of a stored prompt, and the ids in its variables."""
    if type(prompt) is not dict or type(prompt.get("id")) is not str:
        raise request.wrong("prompt", "an object with the id of a stored prompt")
    variables = prompt.get("variables")
    found = [Kept(("prompt", "id"))]
    for name, value in variables.items() if type(variables) is dict else ():
        found += request.kept_ids(value, ("prompt", "variables", name))
    return found
